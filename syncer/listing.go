package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// maxDoubts bounds how many a status names.
const maxDoubts = 50

// listing is one pass over what a connection selects.
type listing struct {
	s    *Syncer
	conn *connection
	host CodeHost
	// progress is told how many repositories were found so far.
	progress func(found int)

	number    int64
	seen      map[int64]bool  // what was found, by Bitbucket's id; true when a selector takes it
	addresses map[string]bool // where it was found, in lower case
	selected  int
	changed   bool     // the index differs from before
	doubts    []string // what makes the listing incomplete, in words; with any, nothing is removed
	answered  bool     // the selector that is asked for has found something
	failures  int      // selectors in a row that Bitbucket could not answer, not even in part

	archivedUnknown bool // doubts say that which repositories are archived could not be asked
}

// storeError is an error of the database, which no selector is to blame for.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// list lists a connection and stores its status, which says in plain words what went
// wrong at Bitbucket. The error is for what went wrong here: the database, or the end of ctx, after which
// no status is stored. The caller holds the connection's flight.
func (s *Syncer) list(ctx context.Context, conn *connection, progress func(found int)) (ConnectionStatus, error) {
	begun := s.now()
	conn.changed.Store(false)
	status, err := s.status(ctx, conn.Name)
	if err != nil {
		return ConnectionStatus{}, err
	}
	if err := s.settleNow(ctx, conn); err != nil {
		conn.changed.Store(true) // the next sweep tries again
		return status, err
	}
	limited, cancel := context.WithTimeout(ctx, s.opts.ListTimeout)
	defer cancel()
	l := &listing{
		s: s, conn: conn, progress: progress,
		seen: make(map[int64]bool), addresses: make(map[string]bool),
	}
	complete, err := l.run(limited, &status)
	if ctx.Err() != nil {
		return status, ctx.Err()
	}
	var store storeError
	if errors.As(err, &store) && limited.Err() == nil {
		conn.changed.Store(true) // the next sweep tries again
		return status, err
	}
	if err != nil {
		complete = false
		if !errors.Is(err, errStop) {
			l.doubt(err)
		}
	}
	before := status.Error
	status.LastAttempt = s.now()
	if complete {
		status.LastComplete = status.LastAttempt
	}
	collisions, err := s.collisionsOf(ctx, conn.Name)
	if err != nil {
		return status, err
	}
	problems := append(l.problems(), collisions...)
	if err := conn.blocked(status.LastAttempt); err != nil && conn.overSSH() {
		problems = append(problems, inWords(err, conn.Connection)) // REST, which lists, has another credential
	}
	status.Error = strings.Join(problems, "\n")
	save, cancelSave := saveContext(ctx)
	defer cancelSave()
	if err := s.opts.Status.SaveConnectionStatus(save, status); err != nil {
		return status, fmt.Errorf("store the status of connection %s: %w", conn.Name, err)
	}
	s.metrics.listed(conn.Name, complete, status.LastAttempt.Sub(begun))
	if complete {
		s.departing.listed(conn.Name)
	}
	level := slog.LevelDebug // every minute, for ever
	switch {
	case status.Error != "" && status.Error != before:
		level = slog.LevelWarn
	case l.changed || status.Error != before:
		level = slog.LevelInfo
	}
	s.log.Log(ctx, level, "listed", "connection", conn.Name, "complete", complete, "found", len(l.seen),
		"selected", l.selected, "missing", status.Missing, "withheld", status.Withheld, "problem", status.Error)
	return status, nil
}

// status returns the stored status of a connection, or a new one.
func (s *Syncer) status(ctx context.Context, name string) (ConnectionStatus, error) {
	all, err := s.opts.Status.ConnectionStatuses(ctx)
	if err != nil {
		return ConnectionStatus{}, fmt.Errorf("read the status of connection %s: %w", name, err)
	}
	for _, status := range all {
		if status.Connection == name {
			return status, nil
		}
	}
	return ConnectionStatus{Connection: name}, nil
}

// run lists, and tells whether the listing was complete. It fills in what it learns of status.
func (l *listing) run(ctx context.Context, status *ConnectionStatus) (complete bool, err error) {
	if l.conn.selectionErr != nil {
		return false, l.conn.selectionErr
	}
	if l.host, err = l.s.opts.Hosts.CodeHost(l.conn.Name); err != nil {
		return false, err
	}
	// The credential first: an expired token can mean 200 and an empty list.
	account, err := l.conn.credential.check(ctx, l.host, true)
	if err != nil {
		return false, err
	}
	version, err := l.host.Version(ctx)
	if err != nil {
		return false, err
	}
	status.Account, status.Version = account, version.String()
	if err := l.s.claim(ctx, l.conn); err != nil {
		if errors.Is(err, errReconfigured) {
			return false, err
		}
		return false, storeError{err}
	}
	if l.number, err = l.s.opts.Index.BeginListing(ctx, l.conn.Name); err != nil {
		return false, storeError{fmt.Errorf("begin a listing of %s: %w", l.conn.Name, err)}
	}
	if err := l.ask(ctx); err != nil {
		return false, err
	}
	if len(l.doubts) > 0 {
		return false, nil
	}
	if err := l.confirmMissing(ctx); err != nil {
		return false, err
	}
	if len(l.doubts) > 0 {
		return false, nil
	}
	// And last: a token that expired on the way leaves a short and valid list.
	after, err := l.conn.credential.check(ctx, l.host, true)
	if err != nil {
		return false, err
	}
	if after != account {
		l.doubts = append(l.doubts, fmt.Sprintf("the account changed from %q to %q during the listing; nothing is removed", account, after))
		return false, nil
	}
	return true, l.finish(ctx, status)
}

// problems returns the doubts as the status has them: a configuration can name thousands of
// projects that the account may not see, and they are stored and logged with each listing. The last
// one says why the listing ended.
func (l *listing) problems() []string {
	n := len(l.doubts) - 1
	if n <= maxDoubts {
		return l.doubts
	}
	return append(slices.Clone(l.doubts[:maxDoubts]), fmt.Sprintf("%d more entries have such problems", n-maxDoubts), l.doubts[n])
}

// doubt notes an error that ended the listing.
func (l *listing) doubt(err error) {
	l.s.metrics.listingErrors.WithLabelValues(l.conn.Name, errorKind(err)).Inc()
	l.doubts = append(l.doubts, inWords(err, l.conn.Connection))
}

// finish ends a complete listing: what it lacks leaves the index, within the limits.
func (l *listing) finish(ctx context.Context, status *ConnectionStatus) error {
	if err := l.narrow(ctx); err != nil {
		return err
	}
	finished, err := l.end(ctx)
	if err != nil {
		return err
	}
	status.Listed, status.Selected = len(l.seen), l.selected
	status.Missing, status.Withheld = finished.Missing, finished.Withheld
	switch {
	case finished.Withheld == 0:
	case len(l.seen) == 0:
		l.doubts = append(l.doubts, fmt.Sprintf(
			"the listing found no repository at all; the %d known ones stay. Check what the account may see", finished.Withheld))
	default:
		l.doubts = append(l.doubts, fmt.Sprintf(
			"%d repositories are missing and maxDeletions is %d; %d of them stay for now. Raise maxDeletions if they are meant to go",
			finished.Missing, l.conn.MaxDeletions, finished.Withheld))
	}
	return nil
}

// end takes what the listing lacks out of the index, unless the connection's entry changed
// since the questions were asked.
func (l *listing) end(ctx context.Context) (Finished, error) {
	l.s.deciding.RLock()
	defer l.s.deciding.RUnlock()
	if l.s.connection(l.conn.Name) != l.conn {
		return Finished{}, errReconfigured
	}
	ctx, cancel := context.WithTimeout(ctx, decidingTimeout)
	defer cancel()
	finished, err := l.s.opts.Index.FinishListing(ctx, l.conn.Name, l.number, l.conn.MaxDeletions, l.s.now())
	if err != nil {
		return Finished{}, storeError{fmt.Errorf("finish the listing of %s: %w", l.conn.Name, err)}
	}
	l.s.announce(l.conn, finished.Changes)
	l.changed = l.changed || !finished.none()
	return finished, nil
}

// narrow keeps what no selector takes any more from being taken for missing: nobody asked
// for it. Such a record leaves the selection, with that reason, and stays. On a listing that found nothing
// this waits, unless nothing is what was asked for.
func (l *listing) narrow(ctx context.Context) error {
	if l.conn.selection.takesAll() || (len(l.seen) == 0 && !l.conn.selection.takesNothing()) {
		return nil
	}
	var dropped []Found
	err := l.s.opts.Records.EachRecord(ctx, l.conn.Name, func(r Record) error {
		// A record whose address another repository was found at is out of date, and must not take it back.
		if _, found := l.seen[r.ID.Number]; found || !r.MissingSince.IsZero() || l.addresses[strings.ToLower(r.String())] {
			return nil
		}
		if _, taken := l.conn.takenBy(r.Repository, r); taken == NotTaken {
			dropped = append(dropped, Found{Repository: r.Repository, Reason: l.conn.selection.Select(r.Repository).Reason})
		}
		return nil
	})
	if err != nil {
		return storeError{fmt.Errorf("read the records of %s: %w", l.conn.Name, err)}
	}
	for chunk := range slices.Chunk(dropped, recordsPerSave) {
		if err := l.store(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}
