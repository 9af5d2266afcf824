// Package bitbuckettest is a double of a Bitbucket Server: REST, git over HTTP, web pages,
// and the headers, errors and page limits of a chosen version from 4.0 to 9.x. The tests talk to
// it, and so does the demo; it needs nothing of package testing.
//
// Start gives an empty Bitbucket that listens on the loopback interface. AddUser,
// AddProject, AddRepository and AddPullRequest fill it. Repositories are real bare repositories, made by
// git fast-import with fixed dates and authors, so that a History has the same
// hashes on every machine. Webhooks are told of pushes, renames and pull requests in the shape of
// the version. StartLinkWorld and StartDemoWorld give filled ones.
//
// # Web pages
//
// The web interface shows the same repositories: source, diffs, commits, branches, comparisons and pull
// requests, drawn by script after load and again after history.pushState, under a strict policy. Ids and
// classes are Bitbucket's where the version's are known and the double's own (double-…) elsewhere;
// a comment in the page says which. Pull requests of 7.0 and later throw foreign nodes away when they draw again.
//
// For tests, in every version: body[data-double-page] is the kind of the page, and these can be clicked:
// a[data-double-line] and [data-double-diff-line] ("t=8", "f=8") select lines (with shift a range, on a file);
// [data-double-menu=revisions] opens the menu whose a[data-double-ref] switch the branch or tag; a[data-double-mode]
// ("source", "diff"), a[data-double-revision] (in [data-double-menu=history]), a[data-double-tab] ("overview",
// "diff", "commits") and a[data-double-open] (a file of a pull request) go there without a load;
// a[data-double-entry], a[data-double-commit] and a[data-double-pull] load a page; [data-double-again]
// makes a pull request draw again. [data-double-row] are the lines, .double-selected those that are selected.
//
// What a real server is known to do is what the double does; where nobody knows, it does
// the most likely thing, and an option or a Fault gives the other one.
//
// # Concurrency
//
// All methods are safe for concurrent use, also while the server answers.
package bitbuckettest
