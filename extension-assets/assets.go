package extension

import "embed"

// Files are the plain extension, as it can be loaded unpacked, and what userscript and bookmarklet
// are made of.
//
//go:embed extension extension/_locales userscript/main.js userscript/bookmarklet.js
var Files embed.FS
