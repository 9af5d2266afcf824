// Package extension holds the browser extension and packs it: for Chrome, Edge and Firefox, as
// a userscript and as a bookmarklet, with the addresses of this server and of its Bitbuckets
// inside, so that nobody who installs it types anything.
//
// Build goes from values to values and gives the same bytes for the same input. Publisher keeps
// what it built for the running site configuration, with the signing key and the version number
// that Records keeps. How browsers want each package is in the comments beside the code; what an
// administrator does with them is in docs/extension.md.
package extension
