// Package rest asks a Bitbucket Server or Data Center, 4.0 to 9.x, by its REST API 1.0,
// which every one of these versions answers.
//
// One [Client] belongs to one connection. It picks per version what to ask, reads lists to
// their end, tries again what is worth it, and keeps to the connection's rate limit. What
// goes wrong comes back wrapped around the sentinels of package bitbucket, in words for
// administrators, and never holds a secret.
//
// # Care for the account
//
// Bitbucket locks an account after a few wrong passwords in a row, counted over REST and
// git together, and then refuses the right password too. So after one answer that refuses
// the credential, a Client does not send that credential again for the rest of its life;
// a changed site configuration makes a new Client.
//
// # Concurrency
//
// A Client is safe for concurrent use.
package rest
