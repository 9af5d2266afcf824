package store

import (
	"errors"
	"fmt"
)

// What can be wrong with a database. The driver's error is wrapped beside these.
var (
	// ErrWrongKey means that the database was made with another key.
	ErrWrongKey = errors.New("the key does not fit the database: put back the secret.key that the data folder had when the database was made; " +
		"if that key is lost, move signpost.db away and set the site configuration anew (mirrors stay)")
	// ErrDamaged means that a sealed text was changed outside of the program. The key fits.
	ErrDamaged = errors.New("a stored text was changed outside of Signpost: put back a backup of signpost.db, or store the site configuration anew")
	// ErrNewerSchema means that a newer Signpost has had the database.
	ErrNewerSchema = errors.New("the database was written by a newer Signpost: run that version or a newer one, or put back the backup of signpost.db from before the update")
	// ErrForeignFile means that the file is a SQLite database of another program.
	ErrForeignFile = errors.New("the file is a database of another program: choose another data folder")
	// ErrCorrupt means that the file is not, or not any more, a whole SQLite database.
	ErrCorrupt = errors.New("the database file is damaged: stop Signpost and put back a backup of signpost.db; " +
		"without one, move signpost.db away and set the site configuration anew (mirrors stay)")
	// ErrDiskFull means that nothing was stored, for want of space. What was stored before
	// is whole, and storing works again as soon as there is space.
	ErrDiskFull = errors.New("no space is left on the disk of the data folder: free some, nothing else needs to be done")
	// ErrNotWritable means that the file or its folder cannot be written by this account.
	ErrNotWritable = errors.New("the database file cannot be opened or written: the data folder, signpost.db, signpost.db-wal and signpost.db-shm must belong to the account that runs Signpost")
	// ErrLocked means that another process holds the database.
	ErrLocked = errors.New("the database is held by another process: stop the other Signpost, or the tool that has signpost.db open")
	// ErrDisk means that the disk or its file system failed.
	ErrDisk = errors.New("reading or writing the database file failed: look at the disk and its file system")
	// ErrUnknownListing means that a listing was not begun by this Store, or finished
	// already, or that others came after it: what it found is not known, so it proves nothing.
	ErrUnknownListing = errors.New("the listing was not begun since the program started, or is over: nothing is removed for it, list again")
)

// describe says in err what was being done. Beside the driver's error it wraps the sentinel
// that classify has for it.
func describe(classify func(error) error, doing string, err error) error {
	if err == nil {
		return nil
	}
	kind := classify(err)
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("store: %s: %w", doing, err)
	}
	return fmt.Errorf("store: %s: %w: %w", doing, kind, err)
}
