// Package visit has real browsers, with the extension that a server packed, visit the pages
// of doubles of Bitbucket. The tests of this package, the screenshots and the bench share its
// World: what the browsers, the server and the doubles are, and which pages there are.
package visit
