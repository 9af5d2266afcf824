// Package bitbucket holds the words of Bitbucket Server and Data Center, and the grammar
// of their URLs: what a URL of one of the configured servers says is a Location. It does
// no I/O, and knows nothing of Sourcegraph.
//
// A URL comes from anybody. ParseURL takes any bytes and answers with a Location or with
// ErrInvalidURL, ErrUnknownHost or ErrUnsupportedPage. The shape of a URL is judged before
// its host, so that a malformed URL of a foreign host is ErrInvalidURL; what a parameter
// holds is judged after, because only the page tells which parameters count.
//
// # Concurrency
//
// All values are immutable and safe for concurrent use.
package bitbucket
