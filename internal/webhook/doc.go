// Package webhook takes what Bitbucket pushes: it checks the signature of a delivery over
// its raw bytes, only then reads it, and acts on it. It knows neither HTTP servers nor SQL:
// what it needs of the index, the syncer and the resolver are small interfaces of its own.
//
// # What is understood
//
// The built-in webhooks of Bitbucket 5.4 and newer, the payloads of the plugins before them (Post
// Webhooks, Atlassian's Post-Receive, Sourcegraph's), and whatever they send that is of no
// concern here: that is answered well and ignored, since Bitbucket leaves an address alone for
// hours after a few answers that are no success.
//
// # Trust
//
// Whoever holds the connection's secret can make the server look at Bitbucket sooner, and no
// more: what a delivery says of hashes and branches is never believed. A delivery that is
// sent again does no harm.
//
// # Floods
//
// Deliveries of one repository that arrive together share one request for a fetch, and those
// of one connection one request for a listing; see Receiver.
package webhook
