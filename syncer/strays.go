package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// strayInterval is the time between two looks for mirrors that no record knows.
const strayInterval = time.Hour

// MirrorFolders tells of the folders of the mirrors. gitmirror fills it in. Safe for concurrent use.
type MirrorFolders interface {
	// Mirrored returns the mirrors that are on the disk, in no order.
	Mirrored(ctx context.Context) ([]Mirrored, error)
	// SetUnclaimed notes with the mirror since when no record knows it; the zero time takes the note away. A mirror
	// that is not there is no error.
	SetUnclaimed(ctx context.Context, repo bitbucket.RepoID, since time.Time) error
}

// Mirrored is a mirror that is on the disk.
type Mirrored struct {
	Repo      bitbucket.RepoID
	Unclaimed time.Time // as SetUnclaimed noted it, in whole seconds; zero for none
}

// strays remembers the mirrors that no record knows, as this process has seen them. Held by who cleans up.
type strays struct {
	looked time.Duration // the last look, since the start; 0 for none
	since  map[bitbucket.RepoID]time.Duration
}

// removeStrays removes mirrors that no record has known for the grace time: those of a database that was restored from
// before they were made, or that a crash left. The records of what has left are cleanUp's, which keeps them until
// the mirror is gone.
//
// A note with the mirror says since when nothing knows it, so that a restart does not begin the grace time anew. As
// for those that left, this process must have listed the connection completely and have seen the stray for an hour;
// a program without any connection removes none.
func (s *Syncer) removeStrays(ctx context.Context, before time.Time, grace time.Duration) error {
	if s.opts.Folders == nil {
		return nil
	}
	d := s.departing
	uptime, now := d.uptime(), s.now()
	if d.strays.looked > 0 && uptime-d.strays.looked < strayInterval {
		return nil
	}
	d.strays.looked = uptime
	mirrors, err := s.opts.Folders.Mirrored(ctx)
	if err != nil {
		return fmt.Errorf("look for mirrors that no record knows: %w", err)
	}
	known := make(map[bitbucket.RepoID]bool, len(mirrors))
	if err := s.opts.Records.EachRecord(ctx, "", func(r Record) error { known[r.ID] = true; return nil }); err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	since := make(map[bitbucket.RepoID]time.Duration)
	for _, m := range mirrors {
		if known[m.Repo] {
			if !m.Unclaimed.IsZero() {
				s.noteUnclaimed(ctx, m.Repo, time.Time{})
			}
			continue
		}
		first, seen := d.strays.since[m.Repo]
		if !seen {
			first = uptime
		}
		since[m.Repo] = first
		switch {
		case m.Unclaimed.IsZero(), m.Unclaimed.After(now): // or noted before the clock was set back
			s.noteUnclaimed(ctx, m.Repo, now)
		case m.Unclaimed.After(before), uptime-first < min(grace, watchFor):
		default:
			if err := s.removeStray(ctx, m); err != nil {
				return err
			}
		}
	}
	d.strays.since = since
	return nil
}

// noteUnclaimed notes since when no record knows a mirror, or, with the zero time, that one does. What cannot be
// noted is noted the next time.
func (s *Syncer) noteUnclaimed(ctx context.Context, repo bitbucket.RepoID, since time.Time) {
	if err := s.opts.Folders.SetUnclaimed(ctx, repo, since); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "it could not be noted whether a mirror is still known", "repository", repo.String(), "err", err)
	}
}

// removeStray removes a mirror if no record knows it at this moment. The error is of the database, or the end of ctx.
func (s *Syncer) removeStray(ctx context.Context, m Mirrored) error {
	_, conns := s.current()
	if len(conns) == 0 || s.connection(m.Repo.Connection) != nil && !s.departing.isComplete(m.Repo.Connection) {
		return nil
	}
	end, ok := s.fetches.tryBegin(m.Repo)
	if !ok {
		return nil
	}
	defer end()
	if _, err := s.opts.Records.Record(ctx, m.Repo); !errors.Is(err, ErrNoRecord) {
		return err
	}
	if err := s.opts.Mirrors.Remove(ctx, m.Repo); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.WarnContext(ctx, "a mirror that no record knows could not be removed; it is tried again", "repository", m.Repo.String(), "err", err)
		return nil
	}
	s.log.InfoContext(ctx, "removed a mirror that no record knows", "repository", m.Repo.String(), "since", m.Unclaimed)
	return nil
}
