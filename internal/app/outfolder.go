package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	extension "example.com/signpost/extension-assets"
)

// outFolder is where a build of the extension goes.
type outFolder struct{ path string }

// openOutFolder makes the folder if it is not there, and sees that it can be written.
func openOutFolder(path string) (outFolder, error) {
	cannot := func(err error) (outFolder, error) {
		return outFolder{}, fmt.Errorf("the packages cannot be written: %w; choose another folder with --out, or mend the permissions", err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return cannot(err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return cannot(err)
	}
	probe, err := os.CreateTemp(path, ".signpost-*")
	if err != nil {
		return cannot(err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return cannot(err)
	}
	return outFolder{path}, nil
}

// write writes each file and each unpacked folder beside its place and renames it, so that it is there
// whole or as it was before. What else is in the folder stays.
func (o outFolder) write(packages *extension.Packages) error {
	for _, b := range extension.Browsers {
		if err := o.checkReplaceable(string(b)); err != nil {
			return err
		}
	}
	beside, err := os.MkdirTemp(o.path, ".signpost-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(beside) }() // what was replaced, or what was not finished
	for _, file := range packages.Unpacked() {
		if err := writeNew(filepath.Join(beside, filepath.FromSlash(file.Name)), file.Content); err != nil {
			return err
		}
	}
	for _, b := range extension.Browsers {
		if err := replaceFolder(filepath.Join(o.path, string(b)), filepath.Join(beside, string(b))); err != nil {
			return err
		}
	}
	for _, file := range packages.Files() {
		path := filepath.Join(o.path, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := writeFileBeside(path, file.Content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checkReplaceable refuses a folder that no build made: it is somebody's.
func (o outFolder) checkReplaceable(name string) error {
	folder := filepath.Join(o.path, name)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(folder, "manifest.json"))
	}
	if err != nil {
		return fmt.Errorf("%s is no unpacked extension and is left alone: move it away, or choose another folder with --out", folder)
	}
	return nil
}

// writeNew writes a file that is not in its place yet.
func writeNew(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// replaceFolder puts a folder into the place of one that may be there, which goes to where the new one was.
func replaceFolder(place, beside string) error {
	old := beside + ".old"
	if err := os.Rename(place, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(beside, place); err != nil {
		return errors.Join(err, putBack(old, place))
	}
	return nil
}

func putBack(old, place string) error {
	if err := os.Rename(old, place); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
