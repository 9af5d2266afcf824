// Package bitbuckettest is a double of a Bitbucket Server: REST, git over HTTP, and the
// headers, errors and page limits of a chosen version from 4.0 to 9.x. The tests talk to
// it, and so does the demo; it needs nothing of package testing.
//
// Start gives an empty Bitbucket that listens on the loopback interface. AddUser,
// AddProject, AddRepository and AddPullRequest fill it. Repositories are real bare repositories, made by
// git fast-import with fixed dates and authors, so that a History has the same
// hashes on every machine. Webhooks are told of pushes, renames and pull requests in the shape of
// the version. StartLinkWorld and StartDemoWorld give filled ones.
//
// What a real server is known to do is what the double does; where nobody knows, it does
// the most likely thing, and an option or a Fault gives the other one.
//
// # Concurrency
//
// All methods are safe for concurrent use, also while the server answers.
package bitbuckettest
