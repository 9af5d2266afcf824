package store

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// reasonMissing is the reason of a record that a complete listing lacked.
const reasonMissing = "the last complete listing lacks it: it was deleted on Bitbucket, or the account cannot see it any more"

// listingNumberRow holds the number of the newest listing.
type listingNumberRow struct {
	bun.BaseModel `bun:"table:listing_numbers,alias:n"`

	ID     int64 `bun:"id,pk"`
	Newest int64 `bun:"newest"`
}

// newestListing returns the number of the newest listing of any connection.
func newestListing(ctx context.Context, tx bun.Tx) (int64, error) {
	row := listingNumberRow{ID: 1}
	err := tx.NewSelect().Model(&row).WherePK().Scan(ctx)
	return row.Newest, err
}

// BeginListing implements syncer.IndexStore.
func (s *Store) BeginListing(ctx context.Context, connection string) (int64, error) {
	row := listingNumberRow{ID: 1}
	err := s.write(ctx, "begin a listing of "+connection, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewUpdate().Model(&row).Set("newest = n.newest + 1").WherePK().Returning("newest").Scan(ctx)
	})
	if err != nil {
		return 0, err
	}
	s.listings.begin(connection, row.Newest)
	return row.Newest, nil
}

// FinishListing implements syncer.IndexStore. Records that are missing already are not
// counted again. Of more missing ones than maxDeletions, those with the lowest numbers go.
// ErrUnknownListing when the listing was not begun by this Store or is over.
func (s *Store) FinishListing(ctx context.Context, connection string, listing int64, maxDeletions int, now time.Time) (syncer.Finished, error) {
	var finished syncer.Finished
	err := s.write(ctx, "finish the listing of "+connection, func(ctx context.Context, tx bun.Tx) error {
		finished = syncer.Finished{}
		// Not those that changed since the listing began: something found them, maybe in another process.
		var numbers []int64
		err := tx.NewSelect().Model((*recordRow)(nil)).Column("number").
			Where("r.connection = ?", connection).Where("r.missing_since = 0").Where("r.changed_in < ?", listing).
			OrderExpr("r.number").Scan(ctx, &numbers)
		if err != nil {
			return err
		}
		missing, foundAny, open := s.listings.lacked(connection, listing, numbers)
		if !open {
			return ErrUnknownListing
		}
		finished.Missing = len(missing)
		switch {
		case !foundAny:
			missing = nil
		case maxDeletions > 0:
			missing = missing[:min(len(missing), maxDeletions)]
		}
		finished.Withheld = finished.Missing - len(missing)
		for _, number := range missing {
			finished.Removed = append(finished.Removed, bitbucket.RepoID{Connection: connection, Number: number})
		}
		return markMissing(ctx, tx, connection, missing, now)
	})
	if err != nil {
		return syncer.Finished{}, err
	}
	s.listings.end(connection, listing)
	return finished, nil
}

// markMissing takes the records out of the selection.
func markMissing(ctx context.Context, tx bun.Tx, connection string, numbers []int64, now time.Time) error {
	for chunk := range slices.Chunk(numbers, statementRows) {
		_, err := tx.NewUpdate().Model((*recordRow)(nil)).
			Set("missing_since = ?", toNanos(now)).Set("selected = ?", false).Set("reason = ?", reasonMissing).
			Set("left_at = CASE WHEN left_at = 0 THEN ? ELSE left_at END", toNanos(now)).
			Where("connection = ?", connection).Where("number IN (?)", bun.List(chunk)).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// SaveMirror implements syncer.IndexStore.
func (s *Store) SaveMirror(ctx context.Context, id bitbucket.RepoID, status syncer.MirrorStatus) error {
	row := recordRow{Connection: id.Connection, Number: id.Number, mirrorColumns: newMirrorColumns(&status)}
	return s.write(ctx, "save the state of the mirror "+id.String(), func(ctx context.Context, tx bun.Tx) error {
		result, err := tx.NewUpdate().Model(&row).Column(mirrorColumnNames...).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if updated, err := result.RowsAffected(); err != nil || updated == 1 {
			return err
		}
		return syncer.ErrNoRecord
	})
}

// SaveMirrors implements syncer.IndexStore.
func (s *Store) SaveMirrors(ctx context.Context, statuses map[bitbucket.RepoID]syncer.MirrorStatus) (gone []bitbucket.RepoID, err error) {
	rows := make([]recordRow, 0, len(statuses))
	for id, status := range statuses {
		rows = append(rows, recordRow{Connection: id.Connection, Number: id.Number, mirrorColumns: newMirrorColumns(&status)})
	}
	err = s.write(ctx, "save the state of mirrors", func(ctx context.Context, tx bun.Tx) error {
		gone = nil
		for chunk := range slices.Chunk(rows, statementRows) {
			result, err := tx.NewUpdate().Model(&chunk).Column(mirrorColumnNames...).Bulk().Exec(ctx)
			if err != nil {
				return err
			}
			updated, err := result.RowsAffected()
			if err == nil && updated < int64(len(chunk)) {
				gone, err = appendGone(ctx, tx, gone, chunk)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// appendGone appends the ids of those rows that the database does not have.
func appendGone(ctx context.Context, tx bun.Tx, gone []bitbucket.RepoID, rows []recordRow) ([]bitbucket.RepoID, error) {
	for i := range rows {
		exists, err := tx.NewSelect().Model(&rows[i]).WherePK().Exists(ctx)
		if err != nil {
			return nil, err
		}
		if !exists {
			gone = append(gone, bitbucket.RepoID{Connection: rows[i].Connection, Number: rows[i].Number})
		}
	}
	return gone, nil
}
