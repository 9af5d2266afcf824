package gitmirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/signpost/internal/bitbucket"
)

// asidePrefix begins the name of a mirror that stands aside while another takes its place.
const asidePrefix = tmpPrefix + "aside-"

// swap puts the whole mirror at fresh into its place. What was there is in the temporary folder
// afterwards, at fresh or beside it, and remove removes it. At no moment is neither of the two in its
// place, where the filesystem can exchange them; where it cannot, a start finds the old one and puts it back.
func (w *writer) swap(fresh, tmp string) (remove func(), err error) {
	nothing := func() {}
	err = unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, w.dir, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return func() { _ = os.RemoveAll(fresh) }, nil
	case errors.Is(err, fs.ErrNotExist):
		return nothing, os.Rename(fresh, w.dir)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EOPNOTSUPP),
		errors.Is(err, syscall.EPERM): // what a sandbox answers to a call that it does not know
		return w.swapInTurn(fresh, tmp)
	default:
		return nothing, fmt.Errorf("exchange the mirrors: %w", err)
	}
}

// swapInTurn is swap in two steps.
func (w *writer) swapInTurn(fresh, tmp string) (remove func(), err error) {
	nothing := func() {}
	aside := filepath.Join(tmp, asideName(w.id))
	if err := os.RemoveAll(aside); err != nil { // one that could not be removed before
		return nothing, err
	}
	if err := os.Rename(w.dir, aside); err != nil {
		return nothing, err
	}
	if err := os.Rename(fresh, w.dir); err != nil {
		return nothing, errors.Join(err, os.Rename(aside, w.dir))
	}
	return func() { _ = os.RemoveAll(aside) }, nil
}

func asideName(id bitbucket.RepoID) string {
	return asidePrefix + strconv.FormatInt(id.Number, 10) + "-" + id.Connection
}

// putBack puts a mirror back that stood aside when the process was killed, unless another has its place. It
// tells whether name was such a mirror.
func (m *Mirrors) putBack(name string) (bool, error) {
	text, ok := strings.CutPrefix(name, asidePrefix)
	if !ok {
		return false, nil
	}
	number, connection, _ := strings.Cut(text, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return false, nil
	}
	dir, err := m.folder(bitbucket.RepoID{Connection: connection, Number: n})
	if err != nil {
		return false, nil
	}
	if _, err := os.Lstat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return false, err
	}
	return true, os.Rename(filepath.Join(m.tmp, name), dir)
}
