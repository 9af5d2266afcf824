package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// departedRow is a record with the time when it left.
type departedRow struct {
	Connection   string `bun:"connection"`
	Number       int64  `bun:"number"`
	ProjectKey   string `bun:"project_key"`
	Slug         string `bun:"slug"`
	Reason       string `bun:"reason"`
	MissingSince int64  `bun:"missing_since"`
	Left         int64  `bun:"left_time"`
}

// departed selects what syncer.DepartureStore calls departed.
func departed(db bun.IDB, before time.Time) *bun.SelectQuery {
	limit := toNanos(before)
	return db.NewSelect().TableExpr("repositories AS r").Join("LEFT JOIN connections AS c ON c.connection = r.connection").
		ColumnExpr("r.connection, r.number, r.project_key, r.slug, r.reason, r.missing_since").
		ColumnExpr("CASE WHEN r.left_at <> 0 THEN r.left_at ELSE c.gone_since END AS left_time").
		Where("((r.left_at <> 0 AND r.left_at <= ?) OR (c.gone_since <> 0 AND c.gone_since <= ?))", limit, limit).
		Where("(r.last_fetch <> 0 OR r.next_fetch <> 0 OR r.failures <> 0 OR r.foreign_mirror OR (r.missing_since <> 0 AND r.missing_since <= ?))", limit)
}

// Departed implements syncer.DepartureStore.
func (s *Store) Departed(ctx context.Context, before time.Time, limit int) ([]syncer.Departed, error) {
	var rows []departedRow
	err := departed(s.db.readers, before).OrderExpr("left_time, r.connection, r.number").Limit(int64(limit)).Scan(ctx, &rows)
	if err != nil {
		return nil, s.describe("read which repositories have left", err)
	}
	all := make([]syncer.Departed, len(rows))
	for i, row := range rows {
		all[i] = syncer.Departed{
			ID:      bitbucket.RepoID{Connection: row.Connection, Number: row.Number},
			Address: bitbucket.Address{Key: row.ProjectKey, Slug: row.Slug},
			Left:    fromNanos(row.Left), Reason: row.Reason, Missing: row.MissingSince != 0,
		}
	}
	return all, nil
}

// IsDeparted implements syncer.DepartureStore.
func (s *Store) IsDeparted(ctx context.Context, id bitbucket.RepoID, before time.Time) (bool, error) {
	is, err := isDeparted(ctx, s.db.readers, id, before)
	return is, s.describe("read whether "+id.String()+" has left", err)
}

func isDeparted(ctx context.Context, db bun.IDB, id bitbucket.RepoID, before time.Time) (bool, error) {
	count, err := departed(db, before).Where("r.connection = ?", id.Connection).Where("r.number = ?", id.Number).Count(ctx)
	return count > 0, err
}

// Forget implements syncer.DepartureStore.
func (s *Store) Forget(ctx context.Context, id bitbucket.RepoID, before time.Time) (deleted bool, err error) {
	err = s.write(ctx, "forget the mirror "+id.String(), func(ctx context.Context, tx bun.Tx) error {
		deleted = false
		still, err := isDeparted(ctx, tx, id, before)
		if err != nil {
			return err
		}
		if still {
			// Its former addresses go with it.
			result, err := tx.NewDelete().Model((*recordRow)(nil)).
				Where("connection = ?", id.Connection).Where("number = ?", id.Number).
				Where("missing_since <> 0").Where("missing_since <= ?", toNanos(before)).Exec(ctx)
			if err != nil {
				return err
			}
			rows, err := result.RowsAffected()
			if err != nil || rows > 0 {
				deleted = rows > 0
				return err
			}
		}
		_, err = clearMirror(tx.NewUpdate().Model((*recordRow)(nil)).Set("foreign_mirror = ?", false)).
			Where("connection = ?", id.Connection).Where("number = ?", id.Number).Exec(ctx)
		return err
	})
	return deleted, err
}
