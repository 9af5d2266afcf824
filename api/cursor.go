package api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// A cursor is the place where a page ends: the id of its last repository, behind a checksum, so
// that one that was cut or mistyped is refused instead of leading somewhere else. It holds no
// secret, and needs none: whoever may list may begin anywhere.

var cursorEncoding = base64.RawURLEncoding.Strict()

// cursorBehind returns the cursor of the page behind a repository.
func cursorBehind(id bitbucket.RepoID) string {
	text := []byte(formatRepositoryID(id))
	return cursorEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(text)), text...))
}

// readCursor is the inverse of cursorBehind.
func readCursor(cursor string) (id bitbucket.RepoID, ok bool) {
	decoded, err := cursorEncoding.DecodeString(cursor)
	if err != nil || strings.ContainsAny(cursor, "\r\n") || // which the decoder passes over
		len(decoded) < 4 || binary.BigEndian.Uint32(decoded) != crc32.ChecksumIEEE(decoded[4:]) {
		return bitbucket.RepoID{}, false
	}
	return parseRepositoryID(string(decoded[4:]))
}
