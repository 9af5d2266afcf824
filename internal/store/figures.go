package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// Figures implements syncer.FiguresReader, in one pass over the index repositories_due.
func (s *Store) Figures(ctx context.Context, now time.Time, paused bool) (syncer.Figures, error) {
	// The cases of syncer.MirrorStateOf, in its order.
	const state = `CASE WHEN NOT selected OR state <> ? THEN ?
		WHEN failures > 0 THEN ?
		WHEN last_fetch = 0 THEN ?
		WHEN NOT ? AND next_fetch < ? THEN ?
		WHEN empty THEN ?
		ELSE ? END`
	at, horizon := toNanos(now), toNanos(now.Add(syncer.FetchHorizon))
	args := []any{
		string(bitbucket.StateAvailable), syncer.MirrorNone, syncer.MirrorFailing, syncer.MirrorWaiting,
		paused, toNanos(now.Add(-syncer.LateAfter)), syncer.MirrorBehind, syncer.MirrorEmpty, syncer.MirrorFresh,
	}
	// lag is NULL of what has no time for its next fetch, and counts in no sum then.
	const lag = `CASE WHEN selected AND state = ? AND next_fetch <> 0 AND (last_fetch = 0 OR NOT ?) THEN
		CASE WHEN next_fetch < ? THEN ? - next_fetch ELSE 0 END END`
	args = append(args, string(bitbucket.StateAvailable), paused, at, at)
	const due = `CASE WHEN selected AND state = ? AND (last_fetch = 0 OR NOT ?) AND
		(next_fetch <= ? OR next_fetch > ? OR last_fetch > ?) THEN 1 ELSE 0 END`
	args = append(args, string(bitbucket.StateAvailable), paused, at, horizon, at)

	var sums strings.Builder
	bounds := syncer.LagBounds()
	var outer []any
	for _, bound := range bounds {
		sums.WriteString(", COALESCE(SUM(CASE WHEN lag <= ? THEN 1 ELSE 0 END), 0)")
		outer = append(outer, int64(bound))
	}
	query := fmt.Sprintf(`SELECT mirror, COUNT(*), SUM(due), COUNT(lag), COALESCE(SUM(lag / 1000), 0), COALESCE(MAX(lag), 0)%s
		FROM (SELECT %s AS mirror, %s AS lag, %s AS due FROM repositories
			WHERE connection NOT IN (SELECT connection FROM connections WHERE gone_since <> 0)) AS m
		GROUP BY mirror`, sums.String(), state, lag, due)
	rows, err := s.db.readers.QueryContext(ctx, query, append(outer, args...)...)
	if err != nil {
		return syncer.Figures{}, s.describe("read the figures of the mirrors", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	figures := syncer.Figures{States: make(map[syncer.MirrorState]int), Late: make([]int, len(bounds))}
	for rows.Next() {
		var mirror string
		var count, dueNow, lagged int
		var micros, most int64
		late := make([]int, len(bounds))
		targets := []any{&mirror, &count, &dueNow, &lagged, &micros, &most}
		for i := range late {
			targets = append(targets, &late[i])
		}
		if err := rows.Scan(targets...); err != nil {
			return syncer.Figures{}, s.describe("read the figures of the mirrors", err)
		}
		figures.States[syncer.MirrorState(mirror)] = count
		figures.Due += dueNow
		figures.Lagged += lagged
		figures.Lag += time.Duration(micros) * time.Microsecond
		figures.MaxLag = max(figures.MaxLag, time.Duration(most))
		for i := range late {
			figures.Late[i] += late[i]
		}
	}
	return figures, s.describe("read the figures of the mirrors", rows.Err())
}
