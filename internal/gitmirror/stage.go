package gitmirror

import (
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// stagedObjects are the objects of a repository that is being received. Close it.
type stagedObjects struct {
	*filesystem.Storage
	files *stagedFiles
}

// openStage opens the objects of the repository that is prepared at dir.
func openStage(dir string) *stagedObjects {
	files := &stagedFiles{Filesystem: osfs.New(dir)}
	return &stagedObjects{Storage: openObjectsOn(files), files: files}
}

// Close closes what was opened to write and to read the objects.
func (s *stagedObjects) Close() error {
	err := s.Storage.Close()
	s.files.close()
	return err
}

// stagedFiles remembers the files that go-git opens. Its writer of packs leaves two of them open
// when a pack breaks off; until the garbage collector finds these, the descriptors are lost, and the
// bytes of the pack on the disk, though the file is removed.
type stagedFiles struct {
	billy.Filesystem

	mu     sync.Mutex
	opened []billy.File
}

// Open opens a file to read.
func (s *stagedFiles) Open(name string) (billy.File, error) {
	return s.remember(s.Filesystem.Open(name))
}

// TempFile makes a file whose name begins with prefix.
func (s *stagedFiles) TempFile(dir, prefix string) (billy.File, error) {
	return s.remember(s.Filesystem.TempFile(dir, prefix))
}

func (s *stagedFiles) remember(f billy.File, err error) (billy.File, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, f)
	return f, nil
}

func (s *stagedFiles) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.opened {
		_ = f.Close() // most are closed already
	}
	s.opened = nil
}
