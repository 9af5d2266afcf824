// Package gitmirror keeps bare mirrors of Bitbucket repositories on disk: branches, tags
// and HEAD, and never refs/pull-requests. It is the only importer of go-git.
//
// A mirror lies at Root/CONNECTION/NUMBER.git. It is cloned in Tmp and renamed into its
// place, so what is there is whole. A fetch first receives and checks all new objects in
// Tmp, then moves them into the mirror, and only then replaces the refs, all of them by
// the rename of one file. So a fetch that fails, is canceled or is killed leaves the refs
// as they were, and never a ref without its objects. Everything is written to the disk
// before the rename that makes it visible.
//
// # Engines
//
// Listing refs, asking for objects and reading them are go-git's. Its Remote.Fetch is not
// used: it writes refs one by one in place, without fsync, fails when a branch x/y is
// replaced by x, scans packed-refs once for each ref, and takes its HTTP client from a
// global table. Here each fetch has its own client, and a refTable is written as a whole. Nor is its
// RepackObjects, which fails on submodules and may lose objects (#2370).
//
// An engine does the heavy step between: it writes the pack that comes and makes its index. One is go-git,
// in this process; the other is the git program, of which "git index-pack" reads the pack from a pipe
// and completes a thin one from the mirror. Over HTTP the requests are go-git's; over SSH they are written here, on
// golang.org/x/crypto/ssh. The program is never given an address. "git clone" and
// "git fetch" would be, and with it a credential: git 2.39 sends the header of http.extraHeader to whom a
// redirect leads, takes a login page for a repository without refs and prunes all, opens
// its own connections beside the rate limit, and tells errors in prose. So both engines have the same
// requests, the same credential in the same place, the same refusals and the same bytes.
//
// # Concurrency
//
// A mirror has one writer, which holds its lock, and any number of readers. Readers work on
// handles that are opened anew after a fetch; those in use finish on the old ones.
//
// # Upkeep
//
// A mirror is checked before the first fetch after a start, by CheckAll, when its packs changed, and when a reader
// gets what a whole mirror does not give. One whose objects are damaged answers what it still can until a clone
// has taken its place; refs alone are written again. What a server leaves out of a pack, but for what its
// refs name, is found by the readers: for the git program to look for it takes a sixth more of the processor and half more
// memory, and go-git cannot.
//
// Small packs are made one once there are many; the old ones go while nobody reads. The git program looks for deltas
// between the objects on the way; without it they are copied as they are. A mirror that has very many packs all the
// same is cloned anew.
package gitmirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

var (
	_ syncer.Mirrors       = (*Mirrors)(nil)
	_ syncer.MirrorFolders = (*Mirrors)(nil)
	_ resolver.Mirrors     = (*Mirrors)(nil)
)

// ErrClosed means that the Mirrors were closed.
var ErrClosed = errors.New("the mirrors are closed")

// tmpPrefix begins the name of everything that this package puts into Tmp. Only what has
// it is swept at start.
const tmpPrefix = "gitmirror-"

// Options says where the mirrors lie, and how much may be kept open to read them.
type Options struct {
	// Root is the folder of the mirrors; it is made when absent. Required.
	Root string
	// Tmp is the folder where clones and packs are prepared, on the same filesystem as
	// Root; it is made when absent. Required.
	Tmp string
	// Damaged is told of each mirror that is found to be damaged, once until it is mended; its next fetch
	// clones it anew or writes its refs again. It is called from any goroutine and must not block. May be nil.
	Damaged func(bitbucket.RepoID)
	// Logger gets a line about refs that cannot be mirrored and leftovers that were swept. It discards if nil.
	Logger *slog.Logger

	// IdleTimeout ends a fetch whose server sent no byte for so long; 2 minutes if zero. An
	// answer may take five times as long to begin.
	// The whole fetch is bounded by its context alone.
	IdleTimeout time.Duration
	// MaxPacks is how many packs a mirror has at most before it is cloned anew, beside the old
	// one; 500 if zero. With so many the first look after a fetch takes some tenths of a second.
	MaxPacks int
	// RepackPacks is how many packs a mirror has at least when the small ones are made one; 20 if zero.
	RepackPacks int
	// OpenRepositories bounds how many repositories are kept open for readers; 64 if zero.
	OpenRepositories int
	// HandlesPerRepository bounds how many readers one repository has at once; 2 if zero. Further
	// readers wait.
	HandlesPerRepository int
	// ReaderMemory bounds, roughly and in bytes, what open repositories take; 256 MiB if zero. One
	// repository stays open even if it alone takes more.
	ReaderMemory int64
}

// Mirrors keeps the mirrors of one data folder. It fills syncer.Mirrors and
// resolver.Mirrors, and is safe for concurrent use.
type Mirrors struct {
	root       string
	tmp        string
	idle       time.Duration
	maxPacks   int
	repackAt   int
	repackTime time.Duration
	space      func() (free, total uint64, err error)
	memory     memory // of what fetches do
	syncFolder func(path string) error
	damaged    func(bitbucket.RepoID) // may be nil
	log        *slog.Logger
	readers    *readers
	identities sshIdentities
	started    time.Time // what is older in a mirror has no owner

	life        context.Context // ends with Close
	end         context.CancelFunc
	background  sync.WaitGroup
	inspections chan struct{} // holds one token while a mirror is read as a whole

	mu          sync.Mutex
	closed      bool
	settings    Settings
	findProgram func() (*gitProgram, error) // looks once
	writers     map[bitbucket.RepoID]*writer
	suspects    map[bitbucket.RepoID]bool // that are being looked at, or wait for it
}

// writer is the writing side of a mirror.
type writer struct {
	id   bitbucket.RepoID
	dir  string
	lock chan struct{} // holds one token while somebody writes

	users   int  // that have it, or wait for lock; guarded by Mirrors.mu
	removed bool // nothing need be known of it any more; guarded by lock

	size     int64 // bytes on disk after the last fetch, 0 when unknown; guarded by lock
	repackAt int   // packs before which a repack that failed is not tried again, 0 for none; guarded by lock
	health
}

// New returns the mirrors below o.Root, with the zero Settings. It makes the folders and removes from o.Tmp
// what a killed process left there.
func New(o Options) (*Mirrors, error) {
	if o.Root == "" || o.Tmp == "" {
		return nil, errors.New("gitmirror: Options needs Root and Tmp")
	}
	m := &Mirrors{
		idle:     cmp.Or(o.IdleTimeout, 2*time.Minute),
		maxPacks: cmp.Or(o.MaxPacks, 500),
		repackAt: cmp.Or(o.RepackPacks, 20),

		repackTime: repackTime,
		syncFolder: syncPath,
		damaged:    o.Damaged,
		log:        cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		started:    time.Now(),
		writers:    make(map[bitbucket.RepoID]*writer),
		suspects:   make(map[bitbucket.RepoID]bool),

		inspections: make(chan struct{}, 1),
		readers: newReaders(
			cmp.Or(o.OpenRepositories, 64),
			cmp.Or(o.HandlesPerRepository, 2),
			cmp.Or(o.ReaderMemory, 256<<20),
		),
	}
	m.life, m.end = context.WithCancel(context.Background())
	var err error
	if m.root, err = makeFolder(o.Root); err != nil {
		return nil, err
	}
	m.space = func() (uint64, uint64, error) { return diskSpace(m.root) }
	if m.tmp, err = makeFolder(o.Tmp); err != nil {
		return nil, err
	}
	if err := m.sweepTmp(); err != nil {
		return nil, err
	}
	if err := m.checkRename(); err != nil {
		return nil, err
	}
	m.Configure(Settings{})
	return m, nil
}

// Close closes what readers kept open and ends what runs in the background. Calls that run finish; later
// ones get ErrClosed.
func (m *Mirrors) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	m.background.Wait()
	m.readers.close()
	return nil
}

// makeFolder makes a folder that only this account can read, and returns its absolute path.
func makeFolder(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("gitmirror: %w", err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("gitmirror: make the folder of the mirrors: %w", err)
	}
	return abs, nil
}

// sweepTmp removes what a process that was killed left in Tmp, but for a mirror that stood aside without
// another in its place. What others put there stays.
func (m *Mirrors) sweepTmp() error {
	entries, err := os.ReadDir(m.tmp)
	if err != nil {
		return fmt.Errorf("gitmirror: look for leftovers: %w", err)
	}
	swept := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tmpPrefix) {
			continue
		}
		back, err := m.putBack(e.Name())
		if err != nil {
			return fmt.Errorf("gitmirror: put a mirror back into its place: %w", err)
		}
		if back {
			continue
		}
		if err := os.RemoveAll(filepath.Join(m.tmp, e.Name())); err != nil {
			return fmt.Errorf("gitmirror: remove a leftover: %w", err)
		}
		swept++
	}
	if swept > 0 {
		m.log.Info("removed leftovers of an interrupted run", "folder", m.tmp, "count", swept)
	}
	return nil
}

// checkRename makes sure at start, rather than after the first long clone, that a folder
// can be renamed from Tmp to Root.
func (m *Mirrors) checkRename() error {
	probe, err := os.MkdirTemp(m.tmp, tmpPrefix+"probe-")
	if err != nil {
		return fmt.Errorf("gitmirror: the temporary folder cannot be written: %w", err)
	}
	target := filepath.Join(m.root, filepath.Base(probe))
	if err := os.Rename(probe, target); err != nil {
		_ = os.Remove(probe)
		return fmt.Errorf("gitmirror: mirrors and temporary folder must be writable and on one filesystem: %w", err)
	}
	if err := os.Remove(target); err != nil {
		return fmt.Errorf("gitmirror: %w", err)
	}
	return nil
}

// folder returns where a mirror lies. The connection's name comes from the configuration,
// and must not lead out of Root.
func (m *Mirrors) folder(id bitbucket.RepoID) (string, error) {
	c := id.Connection
	if c == "" || c == "." || c == ".." || strings.ContainsAny(c, "/\\\x00") || strings.HasPrefix(c, tmpPrefix) || !filepath.IsLocal(c) {
		return "", fmt.Errorf("gitmirror: the connection name %q cannot be a folder name", c)
	}
	if id.Number <= 0 {
		return "", fmt.Errorf("gitmirror: %d is no repository id", id.Number)
	}
	return filepath.Join(m.root, c, strconv.FormatInt(id.Number, 10)+".git"), nil
}

// writer returns the writing side of a mirror, which may not be there yet. The caller calls leave.
func (m *Mirrors) writer(id bitbucket.RepoID) (*writer, error) {
	dir, err := m.folder(id)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	w := m.writers[id]
	if w == nil {
		w = &writer{id: id, dir: dir, lock: make(chan struct{}, 1)}
		m.writers[id] = w
	}
	w.users++
	return w, nil
}

// leave gives a writer back. The last one who had that of a removed mirror forgets it.
func (m *Mirrors) leave(w *writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.users--; w.users == 0 && w.removed {
		delete(m.writers, w.id)
	}
}

// lockWriter waits until nobody else writes the mirror, or ctx ends. The caller unlocks.
func (m *Mirrors) lockWriter(ctx context.Context, id bitbucket.RepoID) (w *writer, unlock func(), err error) {
	if w, err = m.writer(id); err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		m.leave(w)
		return nil, nil, err
	}
	select {
	case w.lock <- struct{}{}:
		return w, func() { <-w.lock; m.leave(w) }, nil
	case <-ctx.Done():
		m.leave(w)
		return nil, nil, fmt.Errorf("wait for another fetch of the repository: %w", ctx.Err())
	}
}
