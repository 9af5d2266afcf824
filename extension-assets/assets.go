package extension

import (
	"embed"
	"io/fs"
)

//go:embed testdata/plain testdata/plain/extension/_locales
var embedded embed.FS

// Files are the plain extension and what userscript and bookmarklet are made of.
var Files = func() fs.FS {
	files, err := fs.Sub(embedded, "testdata/plain")
	if err != nil {
		panic(err)
	}
	return files
}()
