package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// gistColumns are the columns that ListRecords lets its match see, in the order of gistTargets. Reading
// all takes more than twice as long.
var gistColumns = []string{
	"connection", "number", "project_key", "slug", "name", "state", "selected", "missing_since",
	"last_fetch", "next_fetch", "failures", "empty",
}

func (r *recordRow) gistTargets() []any {
	return []any{
		&r.Connection, &r.Number, &r.ProjectKey, &r.Slug, &r.Name, &r.State, &r.Selected, &r.MissingSince,
		&r.LastFetch, &r.NextFetch, &r.Failures, &r.Empty,
	}
}

// ListRecords implements syncer.RecordReader. The primary key gives the order, so a page begins
// without reading what is before it. Whether a text is part of another one is decided in Go: databases
// differ in what they take for a letter.
func (s *Store) ListRecords(ctx context.Context, after bitbucket.RepoID, limit int, match func(syncer.Record) bool) (records []syncer.Record, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = s.read(ctx, "list the repositories", func(ctx context.Context, tx bun.Tx) error {
		ids, err := matching(ctx, tx, after, limit, match)
		if err != nil {
			return err
		}
		records, err = recordsOf(ctx, tx, ids)
		return err
	})
	return records, err
}

// RecordsOf implements syncer.RecordReader.
func (s *Store) RecordsOf(ctx context.Context, ids []bitbucket.RepoID) (records []syncer.Record, err error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b bitbucket.RepoID) int {
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.Number, b.Number))
	})
	ids = slices.Compact(ids)
	err = s.read(ctx, "read some repositories", func(ctx context.Context, tx bun.Tx) error {
		records, err = recordsOf(ctx, tx, ids)
		return err
	})
	return records, err
}

// recordsOf reads the records of ids, which are in order and each there once.
func recordsOf(ctx context.Context, tx bun.Tx, ids []bitbucket.RepoID) (records []syncer.Record, err error) {
	for len(ids) > 0 {
		n := 1 // a statement for those of one connection
		for n < len(ids) && ids[n].Connection == ids[0].Connection {
			n++
		}
		if records, err = appendRecords(ctx, tx, records, ids[:n]); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return records, nil
}

// matching returns the first limit ids behind after whose records match.
func matching(ctx context.Context, tx bun.Tx, after bitbucket.RepoID, limit int, match func(syncer.Record) bool) ([]bitbucket.RepoID, error) {
	rows, err := tx.NewSelect().Model((*recordRow)(nil)).Column(gistColumns...).
		Where("(r.connection, r.number) > (?, ?)", after.Connection, after.Number).
		OrderExpr("r.connection, r.number").Rows(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	var row recordRow
	var ids []bitbucket.RepoID
	targets := row.gistTargets()
	for len(ids) < limit && rows.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err // rows learn of it from a goroutine, which a busy machine may run late
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		if record := row.record(nil); match(record) {
			ids = append(ids, record.ID)
		}
	}
	return ids, rows.Err()
}

// appendRecords appends the records of ids, which are in order and of one connection.
func appendRecords(ctx context.Context, tx bun.Tx, records []syncer.Record, ids []bitbucket.RepoID) ([]syncer.Record, error) {
	connection := ids[0].Connection
	numbers := make([]int64, len(ids))
	for i := range ids {
		numbers[i] = ids[i].Number
	}
	var rows []recordRow
	for chunk := range slices.Chunk(numbers, statementRows) {
		var some []recordRow
		err := tx.NewSelect().Model(&some).
			Where("r.connection = ?", connection).Where("r.number IN (?)", bun.List(chunk)).
			OrderExpr("r.number").Scan(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	former, err := formerOf(ctx, tx, connection, numbers)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		records = append(records, rows[i].record(former[rows[i].Number]))
	}
	return records, nil
}
