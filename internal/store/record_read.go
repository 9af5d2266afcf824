package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// Record implements syncer.RecordReader.
func (s *Store) Record(ctx context.Context, id bitbucket.RepoID) (record syncer.Record, err error) {
	err = s.read(ctx, "read the repository "+id.String(), func(ctx context.Context, tx bun.Tx) error {
		record, err = loadRecord(ctx, tx, id)
		return err
	})
	return record, err
}

// RecordAt implements syncer.RecordReader. A record that is missing or not selected is
// returned too.
func (s *Store) RecordAt(ctx context.Context, connection string, address bitbucket.Address) (record syncer.Record, err error) {
	doing := "read the repository at " + address.String() + " of " + connection
	err = s.read(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
		var number int64
		for _, model := range []any{(*recordRow)(nil), (*formerRow)(nil)} { // a present address before a former one
			err = tx.NewSelect().Model(model).Column("number").
				Where("connection = ?", connection).Where("folded_address = ?", fold(address)).Scan(ctx, &number)
			if !errors.Is(err, sql.ErrNoRows) {
				break
			}
		}
		if err != nil {
			return noRecord(err)
		}
		record, err = loadRecord(ctx, tx, bitbucket.RepoID{Connection: connection, Number: number})
		return err
	})
	return record, err
}

// loadRecord reads one record, or gives syncer.ErrNoRecord.
func loadRecord(ctx context.Context, tx bun.Tx, id bitbucket.RepoID) (syncer.Record, error) {
	row := recordRow{Connection: id.Connection, Number: id.Number}
	if err := tx.NewSelect().Model(&row).WherePK().Scan(ctx); err != nil {
		return syncer.Record{}, noRecord(err)
	}
	former, err := formerOf(ctx, tx, id.Connection, []int64{id.Number})
	if err != nil {
		return syncer.Record{}, err
	}
	return row.record(former[id.Number]), nil
}

func noRecord(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return syncer.ErrNoRecord
	}
	return err
}

// EachRecord implements syncer.RecordReader. All records are of one moment. yield may use
// the Store; while it runs, the write-ahead log grows with what others write.
func (s *Store) EachRecord(ctx context.Context, connection string, yield func(syncer.Record) error) error {
	var stopped error // of yield: returned as it is
	err := s.read(ctx, "read the repositories", func(ctx context.Context, tx bun.Tx) error {
		former, err := allFormer(ctx, tx, connection)
		if err != nil {
			return err
		}
		query := tx.NewSelect().Model((*recordRow)(nil)).Column(recordColumnNames...).OrderExpr("r.connection, r.number")
		if connection != "" {
			query.Where("r.connection = ?", connection)
		}
		rows, err := query.Rows(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
		var row recordRow
		targets := row.scanTargets()
		for rows.Next() {
			if err := ctx.Err(); err != nil {
				return err // rows learn of it from a goroutine, which a busy machine may run late
			}
			if err := rows.Scan(targets...); err != nil {
				return err
			}
			record := row.record(nil)
			record.Former = former[record.ID]
			if stopped = yield(record); stopped != nil {
				return nil
			}
		}
		return rows.Err()
	})
	return cmp.Or(stopped, err)
}

// DueMirrors implements syncer.RecordReader.
func (s *Store) DueMirrors(ctx context.Context, kind syncer.DueKind, now time.Time, limit int) ([]syncer.Due, error) {
	if limit <= 0 {
		return nil, nil
	}
	var rows []recordRow
	query := s.db.readers.NewSelect().Model(&rows).Column("connection", "number", "size_bytes").
		Where("r.selected = ?", true).Where("r.state = ?", string(bitbucket.StateAvailable))
	if kind == syncer.DueClones {
		query.Where("r.last_fetch = 0").OrderExpr("CASE WHEN r.failures = 0 THEN 0 ELSE 1 END")
	} else {
		query.Where("r.last_fetch <> 0")
	}
	err := query.
		Where("(r.next_fetch <= ? OR r.next_fetch > ? OR r.last_fetch > ?)", toNanos(now), toNanos(now.Add(syncer.FetchHorizon)), toNanos(now)).
		OrderExpr("r.next_fetch, r.connection, r.number").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, s.describe("read which mirrors are due", err)
	}
	due := make([]syncer.Due, len(rows))
	for i := range rows {
		due[i] = syncer.Due{ID: bitbucket.RepoID{Connection: rows[i].Connection, Number: rows[i].Number}, SizeBytes: rows[i].SizeBytes}
	}
	return due, nil
}

// formerOf returns the former addresses of repositories of a connection, the oldest first.
func formerOf(ctx context.Context, tx bun.Tx, connection string, numbers []int64) (map[int64][]bitbucket.Address, error) {
	former := make(map[int64][]bitbucket.Address)
	for chunk := range slices.Chunk(numbers, statementRows) {
		var rows []formerRow
		err := tx.NewSelect().Model(&rows).
			Where("f.connection = ?", connection).Where("f.number IN (?)", bun.List(chunk)).
			OrderExpr("f.left_at, f.folded_address").Scan(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			former[rows[i].Number] = append(former[rows[i].Number], rows[i].address())
		}
	}
	return former, nil
}

// allFormer returns the former addresses of a connection ("": of all), the oldest first.
func allFormer(ctx context.Context, tx bun.Tx, connection string) (map[bitbucket.RepoID][]bitbucket.Address, error) {
	var rows []formerRow
	query := tx.NewSelect().Model(&rows).OrderExpr("f.left_at, f.folded_address")
	if connection != "" {
		query.Where("f.connection = ?", connection)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, err
	}
	former := make(map[bitbucket.RepoID][]bitbucket.Address)
	for i := range rows {
		id := bitbucket.RepoID{Connection: rows[i].Connection, Number: rows[i].Number}
		former[id] = append(former[id], rows[i].address())
	}
	return former, nil
}

func (r *formerRow) address() bitbucket.Address {
	return bitbucket.Address{Key: r.ProjectKey, Slug: r.Slug}
}

func byNumber(a, b *recordRow) int { return cmp.Compare(a.Number, b.Number) }
