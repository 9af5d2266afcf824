// Package store keeps what Signpost must not forget in a database: the versions of the
// site configuration (encrypted), the index of repositories with the state of their
// mirrors, what the listings of the connections said, the signing key and the versions of the
// browser extension, and the queue of jobs. It is the only importer of SQL.
//
// The database is SQLite, in one file of the data folder. What is particular to SQLite is
// in sqlite.go and migrations/sqlite; package storetest is the suite that every database
// passes.
//
// # Concurrency
//
// A Store is safe for concurrent use. There is one writer connection: writers, the queue
// among them, wait for one another as long as their contexts allow. Readers have
// connections of their own and never wait for a writer: they see what was last committed.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// Options says what a Store works with.
type Options struct {
	// Path is the file of the database. It is created, with mode 0600, when it is not there;
	// its folder must exist. Required.
	Path string
	// Key encrypts the site configuration's texts. It must be the same for as long as the
	// database lives, random, and kept outside of it. Required.
	Key [32]byte
	// Logger discards if nil.
	Logger *slog.Logger
}

// Store is an open database. Close it after everything that uses it has stopped.
type Store struct {
	db       *database
	sealer   sealer
	log      *slog.Logger
	now      func() time.Time
	listings listings
	release  sync.Mutex // held by NewQueue
	released bool       // jobs of the process before this one are free again
}

// The interfaces that the Store fills in.
var (
	_ siteconfig.Versions = (*Store)(nil)
	_ syncer.IndexStore   = (*Store)(nil)
	_ syncer.RecordReader = (*Store)(nil)
	_ syncer.StatusStore  = (*Store)(nil)
	_ syncer.RefusalStore = (*Store)(nil)
	_ extension.Records   = (*Store)(nil)
)

// Open opens the database at o.Path and brings its schema up to date. Only one process may
// have it open at a time; the caller sees to that, by a lock on the data folder.
//
// Errors: ErrWrongKey, ErrNewerSchema, ErrCorrupt, ErrForeignFile, ErrNotWritable, ErrDiskFull, ErrLocked.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Path == "" || o.Key == [32]byte{} {
		return nil, errors.New("store: Options needs Path and Key")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := openSQLite(ctx, o.Path)
	if err != nil {
		return nil, describe(classifySQLite, "open "+o.Path, err)
	}
	s := &Store{db: db, sealer: sealer{key: o.Key}, log: o.Logger, now: time.Now}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(s.describe("open "+o.Path, err), db.close())
	}
	return s, nil
}

// prepare brings the schema up to date and looks whether the key fits.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.db.migrate(ctx, s.log); err != nil {
		return err
	}
	return s.checkKey(ctx)
}

// Close closes the database. The Store and its queues must not be in use any more.
func (s *Store) Close() error {
	if err := s.db.close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// write runs fn in a transaction of the writer connection. fn must use tx alone: anything
// else would wait for the connection that fn holds.
func (s *Store) write(ctx context.Context, doing string, fn func(ctx context.Context, tx bun.Tx) error) error {
	return s.describe(doing, s.db.writer.RunInTx(ctx, nil, fn))
}

// writeDurably is write for what a power cut must not lose once this has returned.
func (s *Store) writeDurably(ctx context.Context, doing string, fn func(ctx context.Context, tx bun.Tx) error) error {
	return s.describe(doing, s.db.durably(ctx, func(conn bun.Conn) error { return conn.RunInTx(ctx, nil, fn) }))
}

// read runs fn in a transaction of a reader connection: fn sees one state of the database.
func (s *Store) read(ctx context.Context, doing string, fn func(ctx context.Context, tx bun.Tx) error) error {
	return s.describe(doing, s.db.readers.RunInTx(ctx, nil, fn))
}

// describe says what failed, and adds the sentinel that the driver's code stands for.
func (s *Store) describe(doing string, err error) error {
	return describe(s.db.classify, doing, err)
}
