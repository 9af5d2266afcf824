package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// What can be wrong with a data folder.
var (
	// ErrDataFolderInUse means that another process works on the data folder.
	ErrDataFolderInUse = errors.New("the data folder is in use")
	// ErrDataFolder means that the data folder cannot be used.
	ErrDataFolder = errors.New("the data folder cannot be used")
)

// dataFolder is the folder that holds everything that the program keeps. One process at a
// time has it.
type dataFolder struct {
	path string
	lock *flock.Flock
}

// openDataFolder makes the folder if it is not there, and takes it for this process.
func openDataFolder(path string) (*dataFolder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDataFolder, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w; choose another with --data, or mend the permissions", ErrDataFolder, err)
	}
	d := &dataFolder{path: path}
	// One that somebody made for this program is made private; one that holds something may be
	// meant to be read by others.
	if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
		makePrivate(path, 0o700)
	}
	lockFile := d.file("signpost.lock")
	d.lock = flock.New(lockFile, flock.SetPermissions(0o600))
	locked, err := d.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("%w: %w; the account that runs this program must be able to write there", ErrDataFolder, err)
	}
	if !locked {
		return nil, fmt.Errorf("%w: %s is used by %s; stop it first, or ask it with --server", ErrDataFolderInUse, path, holder(lockFile))
	}
	// The process id is for the message above only: the lock itself is the kernel's, and
	// goes with the process however that ends.
	if err := os.WriteFile(lockFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = d.close()
		return nil, fmt.Errorf("%w: %w; the account that runs this program must be able to write there", ErrDataFolder, err)
	}
	return d, nil
}

// requireDataFolder refuses a path where nothing was ever kept, so that a mistyped one is not
// taken for an empty folder by a command that only reads.
func requireDataFolder(path string) error {
	if _, err := os.Stat(filepath.Join(path, "signpost.db")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s holds nothing yet; choose another with --data, or run signpost serve first", ErrDataFolder, path)
	}
	return nil // whatever else is wrong is said when it is opened
}

func holder(lockFile string) string {
	text, err := os.ReadFile(lockFile)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another process"
}

func (d *dataFolder) file(name string) string { return filepath.Join(d.path, name) }

// close lets another process have the folder. The lock file stays: removing it would let
// two processes lock two files of one name.
func (d *dataFolder) close() error { return d.lock.Unlock() }

// secretKey returns the key that encrypts the secrets in the database. A new folder gets
// a new key; one with a database does not, since no new key fits it.
func (d *dataFolder) secretKey() (key [32]byte, err error) {
	path := d.file("secret.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if database, err := os.Stat(d.file("signpost.db")); err == nil && database.Size() > 0 {
			return key, fmt.Errorf("%w: %s is missing, and signpost.db is encrypted with it; put the file back from a backup, "+
				"or move signpost.db away and set the site configuration anew (mirrors stay)", ErrDataFolder, path)
		}
		return d.newSecretKey(path)
	}
	if err != nil {
		return key, fmt.Errorf("%w: %w; the account that runs this program must be able to read it", ErrDataFolder, err)
	}
	makePrivate(path, 0o600) // copied back from a backup, perhaps
	bytes, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(bytes) != len(key) {
		return key, fmt.Errorf("%w: %s holds no key of 64 hexadecimal digits; put the file back from a backup", ErrDataFolder, path)
	}
	return [32]byte(bytes), nil
}

// makePrivate takes rights of others away. What belongs to another account, as a volume of a
// container can, stays as it is.
func makePrivate(path string, mode fs.FileMode) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		_ = os.Chmod(path, mode)
	}
}

func (d *dataFolder) newSecretKey(path string) (key [32]byte, err error) {
	if _, err := rand.Read(key[:]); err != nil {
		return key, err
	}
	if err := writeFileBeside(path, []byte(hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		return key, fmt.Errorf("%w: %w", ErrDataFolder, err)
	}
	return key, nil
}

// writeFileBeside writes a file so that it is there whole or not at all, also after a
// power cut.
func writeFileBeside(path string, content []byte, mode fs.FileMode) error {
	beside, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(beside.Name()) }() // gone already when all went well
	_, err = beside.Write(content)
	if err == nil {
		err = beside.Chmod(mode)
	}
	if err == nil {
		err = beside.Sync()
	}
	if closeErr := beside.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}
