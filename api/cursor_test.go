package api

import (
	"testing"

	"example.com/signpost/internal/bitbucket"
)

func FuzzCursor(f *testing.F) {
	f.Add(cursorBehind(bitbucket.RepoID{Connection: "bitbucket", Number: 42}))
	f.Add(cursorBehind(bitbucket.RepoID{Connection: "a.b_c-7", Number: 1<<63 - 1}))
	f.Add("")
	f.Add("AAAAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		id, ok := readCursor(cursor)
		if !ok {
			if id != (bitbucket.RepoID{}) {
				t.Errorf("%q is refused, and is %s", cursor, id)
			}
			return
		}
		if again := cursorBehind(id); again != cursor {
			t.Errorf("%q and %q are both the cursor behind %s", cursor, again, id)
		}
	})
}

func FuzzRepositoryID(f *testing.F) {
	for _, seed := range []string{"bitbucket:42", "a.b_c-7:0", "bitbucket:042", ":1", "a:b:1", "a/b:1", "\x00:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := parseRepositoryID(text)
		if ok && (formatRepositoryID(id) != text || id.Connection == "" || id.Number < 0) {
			t.Errorf("%q became %+v", text, id)
		}
	})
}
