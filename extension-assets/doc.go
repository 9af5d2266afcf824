// Package extension is the place of the browser extension: its files, embedded, and their
// packing for each browser. Nothing is in it yet; until then bookmarklets can use /go.
package extension
