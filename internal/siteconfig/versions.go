package siteconfig

import (
	"context"
	"errors"
	"time"
)

// What can be wrong with stored versions.
var (
	// ErrConflict means that somebody else stored a version since the expected one.
	ErrConflict = errors.New("the site configuration was changed by somebody else")
	// ErrStorageFull means that the disk has no room for another version; nothing changed.
	ErrStorageFull = errors.New("no room for another version of the site configuration")
	// ErrNoVersion means that nothing is stored yet.
	ErrNoVersion = errors.New("no site configuration is stored yet")
)

// StoredVersion is one stored text of the site configuration, secrets in the clear.
type StoredVersion struct {
	Version int64 // 1, 2, 3, ...
	Text    string
	Author  string // who stored it: "admin token", "command line", "file PATH"
	Created time.Time
}

// Versions keeps every text that the site configuration ever had. The database fills it
// in, with the texts encrypted at rest. Safe for concurrent use.
type Versions interface {
	// LatestVersion returns the newest version, or ErrNoVersion.
	LatestVersion(ctx context.Context) (StoredVersion, error)
	// AppendVersion stores text as version expected+1 and returns it. Unless the newest
	// version is expected (0 for none), it stores nothing and the error is ErrConflict. On a
	// full disk it is ErrStorageFull.
	AppendVersion(ctx context.Context, expected int64, text, author string) (StoredVersion, error)
	// ListVersions returns versions, newest first, at most limit of them.
	ListVersions(ctx context.Context, limit int) ([]StoredVersion, error)
}
