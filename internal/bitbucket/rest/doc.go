// Package rest asks a Bitbucket Server or Data Center, 4.0 to 9.x, by its REST API 1.0,
// which every one of these versions answers.
//
// One [Client] belongs to one connection. It picks per version what to ask, reads lists to
// their end, tries again what is worth it, and keeps to the connection's rate limit. What
// goes wrong comes back wrapped around the sentinels of package bitbucket, in words for
// administrators, and never holds a secret.
//
// The one thing that it changes in Bitbucket are webhooks, when somebody asks for that.
//
// # Care for the account
//
// Bitbucket locks an account after a few wrong passwords in a row, counted over REST and
// git together, and then refuses the right password too. So after one answer that refuses
// the credential, a Client does not send that credential again: not before the site
// configuration is stored anew, nor after a restart, as far as its user remembers the refusal
// (Options.OnRefusal, Options.Refused). The same holds for a CAPTCHA that is due.
//
// # Care for the server
//
// Everything of a connection, REST and git, shares one rate limit, one pause after a 429 and
// one circuit, which opens while Bitbucket does not answer: then questions fail at once.
//
// # Concurrency
//
// A Client is safe for concurrent use.
package rest
