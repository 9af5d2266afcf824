package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// applicationID marks a SQLite file as Signpost's: "sgnp" in the file's header.
const applicationID = 0x73676e70

// readerConnections bounds how many readers run at once; more wait for one another.
const readerConnections = 8

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// database is what the rest of the package uses of a kind of database.
type database struct {
	writer      *bun.DB // one connection
	readers     *bun.DB // cannot write
	river       *riversqlite.Driver
	goose       goose.Dialect
	migrations  fs.FS
	classify    func(error) error                                       // the sentinel for a driver's error, or nil
	durably     func(context.Context, func(conn bun.Conn) error) error  // runs a write that must outlive a power cut
	releaseJobs func(context.Context, bun.Tx) (released int64, _ error) // frees what a killed process held
}

// openSQLite opens the file at path, and makes it if it is not there.
func openSQLite(ctx context.Context, path string) (*database, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := privateFile(path); err != nil {
		return nil, err
	}
	migrations, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", sqliteDSN(path, "immediate",
		"journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)", "journal_size_limit(67108864)"))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	write.SetMaxIdleConns(1)
	if err := claimSQLite(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := sql.Open("sqlite", sqliteDSN(path, "deferred", "query_only(1)"))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readerConnections)
	read.SetMaxIdleConns(readerConnections)
	read.SetConnMaxIdleTime(5 * time.Minute)
	db := &database{
		writer:      bun.NewDB(write, sqlitedialect.New()),
		readers:     bun.NewDB(read, sqlitedialect.New()),
		river:       riversqlite.New(write),
		goose:       goose.DialectSQLite3,
		migrations:  migrations,
		classify:    classifySQLite,
		releaseJobs: releaseSQLiteJobs,
	}
	db.durably = db.durablySQLite
	return db, nil
}

// close closes the readers first, so that the writer is the last to leave: that moves the
// write-ahead log into the database file and removes it.
func (db *database) close() error {
	return errors.Join(db.readers.Close(), db.writer.Close())
}

// sqliteDSN is the driver's address of the file: every new connection runs the pragmas.
func sqliteDSN(path, lock string, pragmas ...string) string {
	query := url.Values{"_txlock": {lock}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
}

// privateFile makes the file with mode 0600, or takes rights of others away from it.
// SQLite gives its -wal and -shm files the mode of the database.
func privateFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return file.Close()
	}
	// An existing file is not opened here: closing it would drop the locks that SQLite holds on it.
	info, statErr := os.Stat(path)
	switch {
	case statErr != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w (%s is no regular file)", ErrNotWritable, path)
	case info.Mode().Perm()&0o077 != 0:
		return os.Chmod(path, 0o600)
	default:
		return nil
	}
}

// claimSQLite marks a new file as Signpost's and refuses one that another program made.
func claimSQLite(ctx context.Context, db *sql.DB) error {
	var id, tables int64
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id == applicationID {
		return nil
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	if id != 0 || tables != 0 {
		return ErrForeignFile
	}
	_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	return err
}

// durablySQLite runs fn on the writer connection so that what it commits is on the disk when
// it returns. All else is committed with synchronous=NORMAL: a crash of the program loses
// nothing, a power cut may lose the last transactions.
func (db *database) durablySQLite(ctx context.Context, fn func(conn bun.Conn) error) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	// Left at FULL after an error, the connection would be slower, not wrong.
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL") }()
	return fn(conn)
}

// releaseSQLiteJobs makes the jobs available that a killed process was working on, and ends
// its leadership: the file has one process at a time, so that one is gone. Without this River
// would wait for RescueStuckJobsAfter, and unique jobs would be refused all the while. A job
// that has no attempt left is discarded, as River's own rescue does.
func releaseSQLiteJobs(ctx context.Context, tx bun.Tx) (int64, error) {
	if _, err := tx.ExecContext(ctx, "DELETE FROM river_leader"); err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, `UPDATE river_job
		SET state = CASE WHEN attempt < max_attempts THEN 'available' ELSE 'discarded' END,
			finalized_at = CASE WHEN attempt < max_attempts THEN NULL ELSE datetime('now', 'subsec') END,
			scheduled_at = datetime('now', 'subsec')
		WHERE state = 'running'`)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// classifySQLite gives the sentinel for an error of the driver or of the file system. The
// codes are SQLite's (https://www.sqlite.org/rescode.html); the low byte is the primary one.
// What a context ended, the driver reports as the context's error.
func classifySQLite(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return ErrDiskFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EROFS):
		return ErrNotWritable
	}
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return nil
	}
	switch failure.Code() {
	case sqlite3.SQLITE_IOERR_SHMSIZE: // the shared index could not grow: the disk is full
		return ErrDiskFull
	case sqlite3.SQLITE_READONLY_DBMOVED:
		return ErrNotWritable
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return ErrCorrupt
	case sqlite3.SQLITE_FULL:
		return ErrDiskFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return ErrNotWritable
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrLocked
	case sqlite3.SQLITE_IOERR:
		return ErrDisk
	default:
		return nil
	}
}
