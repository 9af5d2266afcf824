package gitmirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// syncPath writes a file or a folder through to the disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncTree makes everything below dir private to this account and writes it through to the
// disk, folders after what they hold.
func syncTree(dir string) error {
	var folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, path)
			return os.Chmod(path, 0o700)
		}
		if err := os.Chmod(path, 0o600); err != nil { // go-git leaves packs readable to all
			return err
		}
		return syncPath(path)
	})
	if err != nil {
		return err
	}
	for _, folder := range slices.Backward(folders) {
		if err := syncPath(folder); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile puts content at path so that readers see the old file or the new one, whole.
// The file is prepared in tmp, which must be on the same filesystem. The caller syncs the folder.
func replaceFile(tmp, path string, content []byte) (err error) {
	f, err := os.CreateTemp(tmp, tmpPrefix+"file-") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// sizeOf returns the bytes of all files below dir.
func sizeOf(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure the mirror: %w", err)
	}
	return size, nil
}
