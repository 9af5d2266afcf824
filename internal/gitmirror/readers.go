package gitmirror

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// readers keeps the views of the repositories that were read last. Its lock is held for map
// look-ups only, never while the disk is read.
type readers struct {
	maxViews   int
	maxHandles int
	maxMemory  int64

	mu          sync.Mutex
	closed      bool
	views       map[bitbucket.RepoID]*list.Element
	recent      *list.List  // of *view, the last one used in front
	generations [256]uint64 // by the number of the repository; where several share one, a view is opened once too often
	uses        map[bitbucket.RepoID]*uses
}

// uses counts the reads of a repository that are at work.
type uses struct {
	n    int
	gate chan struct{} // closed when reads may begin again; nil while they may
	idle chan struct{} // closed when the last read has ended; nil unless somebody waits for that
}

func newReaders(maxViews, maxHandles int, maxMemory int64) *readers {
	return &readers{
		maxViews:   maxViews,
		maxHandles: maxHandles,
		maxMemory:  maxMemory,
		views:      make(map[bitbucket.RepoID]*list.Element),
		recent:     list.New(),
		uses:       make(map[bitbucket.RepoID]*uses),
	}
}

// stamp tells one state of a mirror's refs from another. Fetches announce themselves by renew; the stamp
// notices mirrors that were replaced or removed by somebody else. It costs two stats.
type stamp struct{ head, packed fileStamp }

type fileStamp struct {
	info  fs.FileInfo
	mtime time.Time
	size  int64
}

func (s fileStamp) same(o fileStamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return s.mtime.Equal(o.mtime) && s.size == o.size && os.SameFile(s.info, o.info)
}

func (s stamp) same(o stamp) bool { return s.head.same(o.head) && s.packed.same(o.packed) }

// stampFile returns the stamp of a file, the zero one when there is none.
func stampFile(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fileStamp{}, nil
	}
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info: info, mtime: info.ModTime(), size: info.Size()}, nil
}

// stampOf returns the stamp of the mirror at dir. ErrNotMirrored when there is none.
func stampOf(dir string) (stamp, error) {
	head, err := stampFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		return stamp{}, err
	}
	if head.info == nil {
		return stamp{}, resolver.ErrNotMirrored
	}
	packed, err := stampFile(filepath.Join(dir, packedRefsFile))
	return stamp{head: head, packed: packed}, err
}

// view returns the state of the mirror at dir as it is now.
func (r *readers) view(id bitbucket.RepoID, dir string) (*view, error) {
	now, err := stampOf(dir)
	if err != nil {
		if errors.Is(err, resolver.ErrNotMirrored) {
			r.renew(id)
		}
		return nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	if el, ok := r.views[id]; ok {
		if v := el.Value.(*view); v.stamp.same(now) {
			r.recent.MoveToFront(el)
			r.mu.Unlock()
			return v, nil
		}
	}
	generation := *r.generation(id)
	r.mu.Unlock()

	v, err := newView(id, dir, now, r.maxHandles)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || *r.generation(id) != generation {
		v.close() // refs were written meanwhile: good for this call, and no further
		return v, nil
	}
	if el, ok := r.views[id]; ok {
		if other := el.Value.(*view); other.stamp.same(now) {
			v.close() // another reader was faster
			r.recent.MoveToFront(el)
			return other, nil
		}
		r.remove(el)
	}
	r.views[id] = r.recent.PushFront(v)
	r.shrink()
	return v, nil
}

// shrink closes views that were not used for longest, until the rest keeps the bounds.
// The caller holds the lock.
func (r *readers) shrink() {
	var memory int64
	for el := r.recent.Front(); el != nil; el = el.Next() {
		memory += el.Value.(*view).memory.Load()
	}
	for r.recent.Len() > 1 && (r.recent.Len() > r.maxViews || memory > r.maxMemory) {
		oldest := r.recent.Back()
		memory -= oldest.Value.(*view).memory.Load()
		r.remove(oldest)
	}
}

// grown keeps the bound on memory after a view opened a handle.
func (r *readers) grown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shrink()
}

// remove forgets a view. Those who use it finish. The caller holds the lock.
func (r *readers) remove(el *list.Element) {
	v := r.recent.Remove(el).(*view)
	delete(r.views, v.id)
	v.close()
}

// renew begins a new generation of a repository: later readers open it anew.
func (r *readers) renew(id bitbucket.RepoID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*r.generation(id)++
	if el, ok := r.views[id]; ok {
		r.remove(el)
	}
}

// generation returns where the generation of a repository is counted. The caller holds the lock.
func (r *readers) generation(id bitbucket.RepoID) *uint64 {
	return &r.generations[uint64(id.Number)%uint64(len(r.generations))]
}

// forget removes v, unless a newer view has taken its place already.
func (r *readers) forget(v *view) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if el, ok := r.views[v.id]; ok && el.Value.(*view) == v {
		r.remove(el)
	}
}

func (r *readers) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for r.recent.Len() > 0 {
		r.remove(r.recent.Front())
	}
}

// enter begins a read of a repository, for which it waits while packs are being removed. The caller calls leave at
// the end.
func (r *readers) enter(ctx context.Context, id bitbucket.RepoID) (leave func(), err error) {
	r.mu.Lock()
	for {
		u := r.uses[id]
		if u == nil {
			u = &uses{}
			r.uses[id] = u
		}
		if u.gate == nil {
			u.n++
			r.mu.Unlock()
			return func() { r.leave(id, u) }, nil
		}
		gate := u.gate
		r.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a repack of the mirror: %w", ctx.Err())
		}
		r.mu.Lock()
	}
}

func (r *readers) leave(id bitbucket.RepoID, u *uses) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.n--; u.n > 0 {
		return
	}
	if u.idle != nil {
		close(u.idle)
		u.idle = nil
	}
	if u.gate == nil {
		delete(r.uses, id)
	}
}

// alone calls fn while nobody reads the repository: reads that begin wait, those at work are waited for, at
// most for so long. It tells whether fn was called. The caller holds the writer's lock.
func (r *readers) alone(ctx context.Context, id bitbucket.RepoID, limit time.Duration, fn func()) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r.mu.Lock()
	u := r.uses[id]
	if u == nil {
		u = &uses{}
		r.uses[id] = u
	}
	u.gate = make(chan struct{})
	idle := make(chan struct{})
	if u.n == 0 {
		close(idle)
	} else {
		u.idle = idle
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(u.gate)
		u.gate, u.idle = nil, nil
		if u.n == 0 {
			delete(r.uses, id)
		}
	}()
	select {
	case <-idle:
		fn()
		return true
	case <-ctx.Done():
		return false
	}
}
