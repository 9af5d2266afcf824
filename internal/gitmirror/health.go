package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// health is what is known of a mirror's soundness since the process began. The writer's lock guards it.
type health struct {
	swept   bool
	checked uint64 // the packs that checkMirror found in order, as fingerprint tells them; 0 for none
	whole   uint64 // the packs that checkMirrorWhole found in order
	damage  error  // a *damagedError, until a fetch has mended it
}

// settled is how old a folder's time must be for it to tell that nothing came or went since: files have their
// times from a clock of some milliseconds.
const settled = time.Second

// fingerprint tells one state of a mirror's folder of packs from another: what came, went or was renamed. It
// is 0 while the folder is too young to tell. It costs one stat.
func fingerprint(dir string) (uint64, error) {
	info, err := os.Stat(filepath.Join(dir, "objects", "pack"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if time.Since(info.ModTime()) < settled {
		return 0, nil
	}
	state := uint64(info.ModTime().UnixNano())
	if file, ok := info.Sys().(*syscall.Stat_t); ok { // another mirror's folder may be as old
		state ^= file.Ino << 1
	}
	return state | 1, nil
}

// examine checks the mirror, unless its packs are those that were found in order before. A
// *damagedError is proof of damage, and stays until healed; other errors are of the disk. files are those that
// readMirror gave since the writer's lock is held, or nil for them to be read. The caller holds it.
func (w *writer) examine(started time.Time, files *refFiles) error {
	if w.damage != nil {
		return w.damage
	}
	if !w.swept {
		if files == nil {
			var err error
			if files, err = readMirror(w.dir); err != nil {
				return err
			}
		}
		var locks []string
		if files != nil { // otherwise checkMirror says what is missing
			locks = files.locks
		}
		if _, err := sweepMirror(w.dir, locks, started, time.Now()); err != nil {
			return fmt.Errorf("sweep the mirror: %w", err)
		}
		w.swept = true
	}
	now, err := fingerprint(w.dir)
	if err != nil || now != 0 && now == w.checked {
		return err
	}
	return w.judge(now, checkMirror(w.dir, files))
}

// judge keeps what a check of the packs that now tells found.
func (w *writer) judge(now uint64, err error) error {
	if _, ok := errors.AsType[*damagedError](err); ok {
		w.damage = err
	} else if err == nil {
		w.checked = now
	}
	return err
}

// healed forgets what was known of the mirror: it is another one now.
func (w *writer) healed() { w.health = health{swept: true} }

// CheckAll sweeps and checks every mirror that nobody writes just then, tells Options.Damaged of those
// that are damaged, and returns how many these are. It reads the ends of all packs, so it is
// for the background, once after a start. Until it comes to a mirror, the first fetch of that does the same.
// The error is of the folder of the mirrors, or of ctx.
func (m *Mirrors) CheckAll(ctx context.Context) (damaged int, err error) {
	err = m.each(ctx, func(id bitbucket.RepoID) {
		if m.checkIdle(ctx, id) {
			damaged++
		}
	})
	if err != nil && stopped(ctx) == nil {
		err = fmt.Errorf("check the mirrors: %w", err)
	}
	return damaged, err
}

// checkIdle checks a mirror unless somebody writes it, and tells whether it is damaged.
func (m *Mirrors) checkIdle(ctx context.Context, id bitbucket.RepoID) bool {
	w, err := m.writer(id)
	if err != nil {
		return false // closed, or a folder of somebody else
	}
	defer m.leave(w)
	select {
	case w.lock <- struct{}{}:
	default:
		return false // its fetch checks it
	}
	err = w.examine(m.started, nil)
	<-w.lock
	return m.report(ctx, id, err)
}

// report tells of a check that ended with err, and whether the mirror is damaged.
func (m *Mirrors) report(ctx context.Context, id bitbucket.RepoID, err error) bool {
	if err == nil {
		return false
	}
	damage, ok := errors.AsType[*damagedError](err)
	if !ok {
		if stopped(ctx) == nil && !errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			m.log.WarnContext(ctx, "a mirror could not be checked", "repository", id, "err", err)
		}
		return false
	}
	m.log.WarnContext(ctx, "a mirror is damaged; the next fetch mends it", "repository", id, "err", damage.cause)
	if m.damaged != nil {
		m.damaged(id)
	}
	return true
}

// missingError is about an object that another object of the mirror names and that is in no pack.
type missingError struct {
	parent plumbing.Hash // which is there; zero for a ref
	hash   plumbing.Hash
}

func (e *missingError) Error() string { return fmt.Sprintf("the mirror has no %s", e.hash) }

func (e *missingError) Unwrap() error { return plumbing.ErrObjectNotFound }

// suspicious tells whether an error of a reader is one that a whole mirror does not give.
func suspicious(err error) bool {
	if _, ok := errors.AsType[*missingError](err); ok {
		return true
	}
	switch {
	case errors.Is(err, resolver.ErrRefNotFound), errors.Is(err, resolver.ErrPathNotFound), errors.Is(err, resolver.ErrNotMirrored),
		errors.Is(err, ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case isLocal(err): // for want of descriptors, for instance
		return errors.Is(err, syscall.EIO) || errors.Is(err, fs.ErrNotExist)
	}
	return true
}

// suspect looks in the background whether a mirror is damaged, since a reader got err from it. What a reader
// saw is no proof: packs may have come and gone under it.
func (m *Mirrors) suspect(id bitbucket.RepoID, err error) {
	if !suspicious(err) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.suspects[id] {
		return
	}
	m.suspects[id] = true
	m.background.Go(func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.suspects, id)
		}()
		m.inspect(id, err)
	})
}

// inspect looks for the proof of a reader's suspicion.
func (m *Mirrors) inspect(id bitbucket.RepoID, suspicion error) {
	ctx := m.life
	select {
	case m.inspections <- struct{}{}: // reading every byte of a mirror is for one at a time
	case <-ctx.Done():
		return
	}
	defer func() { <-m.inspections }()
	w, unlock, err := m.lockWriter(ctx, id)
	if err != nil {
		return
	}
	if w.damage != nil {
		unlock()
		return // known, and told
	}
	err = w.prove(ctx, suspicion)
	unlock()
	if !m.report(ctx, id, err) {
		m.log.DebugContext(ctx, "a reader's error is not the mirror's fault", "repository", id, "err", suspicion)
	}
}

// prove returns a *damagedError if the mirror is damaged. The caller holds the writer's lock.
func (w *writer) prove(ctx context.Context, suspicion error) error {
	now, err := fingerprint(w.dir)
	if err != nil {
		return err
	}
	if err = checkMirror(w.dir, nil); err != nil {
		return w.judge(now, err)
	}
	if missing, ok := errors.AsType[*missingError](suspicion); ok {
		err = w.proveMissing(missing)
	}
	if err == nil && (now == 0 || now != w.whole) {
		if err = checkMirrorWhole(ctx, w.dir); err == nil {
			w.whole = now
		}
	}
	if damage, ok := errors.AsType[*damagedError](err); ok {
		// The cheap check would not find it after a restart. On a full disk there is no mark.
		_ = os.WriteFile(filepath.Join(w.dir, damagedMark), []byte(damage.cause.Error()+"\n"), 0o600)
	}
	return w.judge(now, err)
}

// proveMissing returns a *damagedError if the mirror has the object that names the missing one, and not
// that. (What a ref names is checkMirror's.) A mirror that was cloned anew may have neither.
func (w *writer) proveMissing(missing *missingError) error {
	if missing.parent.IsZero() {
		return nil
	}
	h := openHandle(w.dir)
	defer h.close()
	if _, err := h.object(missing.parent); err != nil {
		return nil //nolint:nilerr // the check of every byte finds what is wrong with it
	}
	if _, err := h.object(missing.hash); errors.Is(err, plumbing.ErrObjectNotFound) {
		return damaged("%s, which %s names, is missing", missing.hash, missing.parent)
	}
	return nil
}
