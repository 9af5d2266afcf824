// Package sourcegraph holds the words of Sourcegraph and the grammar of its links: the
// address of an instance, names of repositories by repositoryPathPattern, and the
// addresses of pages. It does no I/O, and knows nothing of Bitbucket.
//
// Links come from an Instance, and an Instance from ParseInstance, which refuses
// sourcegraph.com. So no link can lead to a host that nobody configured.
//
// # Concurrency
//
// All values are immutable and safe for concurrent use.
package sourcegraph
