package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// statementRows is how many rows a statement names at most: a statement's text is bounded
// (SQLite takes a megabyte), and so are its variables.
const statementRows = 200

// reasonDisplaced is the reason of a record whose address another repository has, until it
// is found again.
const reasonDisplaced = "another repository has its address now; it waits to be found at its new one"

// SaveFound implements syncer.IndexStore. A record whose address another repository was
// found to have, and which was not itself found elsewhere yet, leaves the selection until
// it is found: a link to it would show the other repository.
func (s *Store) SaveFound(ctx context.Context, connection string, listing int64, found []syncer.Found) (syncer.Changes, error) {
	if len(found) == 0 {
		return syncer.Changes{}, nil
	}
	batch, err := newFoundBatch(connection, found)
	if err != nil {
		return syncer.Changes{}, s.describe("save what was found on "+connection, err)
	}
	var changes syncer.Changes
	err = s.write(ctx, "save what was found on "+connection, func(ctx context.Context, tx bun.Tx) error {
		// Inside the transaction, so that no listing is finished between the two. Should the
		// transaction fail, the repositories exist all the same.
		s.listings.saw(connection, listing, batch.numbers)
		if err := batch.load(ctx, tx); err != nil {
			return err
		}
		if !batch.compare() {
			return nil
		}
		if err := batch.save(ctx, tx, toNanos(s.now())); err != nil {
			return err
		}
		changes, err = batch.changes(ctx, tx)
		return err
	})
	if err != nil {
		return syncer.Changes{}, err
	}
	return changes, nil
}

// foundBatch is what one call of SaveFound works with.
type foundBatch struct {
	connection string
	numbers    []int64              // of what was found, each once, in order
	found      map[int64]*recordRow // by number
	addresses  map[string]int64     // folded address to the number that was found there

	stored map[int64]*recordRow // the rows as they were: those found, and those whose address was taken

	changed   []*recordRow       // found rows that are new or differ from the stored ones
	moved     []*recordRow       // of these, those that are new at their address
	displaced []*recordRow       // stored rows whose address was taken, changed already
	losers    map[int64]struct{} // numbers that lose a former address
}

// newFoundBatch sorts what was found. Of a number, or of an address, that is there twice, the last counts.
func newFoundBatch(connection string, found []syncer.Found) (*foundBatch, error) {
	b := &foundBatch{
		connection: connection,
		found:      make(map[int64]*recordRow, len(found)),
		addresses:  make(map[string]int64, len(found)),
		stored:     make(map[int64]*recordRow, len(found)),
		losers:     make(map[int64]struct{}),
	}
	for i := range found {
		row := newRecordRow(connection, &found[i])
		if row.Number <= 0 {
			return nil, fmt.Errorf("the repository %s has no number", found[i].Address)
		}
		if earlier, twice := b.found[row.Number]; twice {
			if b.addresses[earlier.folded()] == row.Number {
				delete(b.addresses, earlier.folded())
			}
		} else {
			b.numbers = append(b.numbers, row.Number)
		}
		b.found[row.Number] = row
		if other, taken := b.addresses[row.folded()]; taken && other != row.Number {
			b.found[other].displace()
		}
		b.addresses[row.folded()] = row.Number
	}
	return b, nil
}

// displace takes its address from the row.
func (r *recordRow) displace() {
	r.FoldedAddress = nil
	if r.MissingSince == 0 {
		r.Selected, r.Reason = false, reasonDisplaced
	}
}

// leave keeps since when the row is not selected.
func (r *recordRow) leave(now int64) {
	switch {
	case r.Selected:
		r.LeftAt = 0
	case r.LeftAt == 0:
		r.LeftAt = now
	}
}

// load reads the stored rows of what was found, and of those whose address was found.
func (b *foundBatch) load(ctx context.Context, tx bun.Tx) error {
	for numbers := range slices.Chunk(b.numbers, statementRows) {
		if err := b.loadWhere(ctx, tx, "r.number IN (?)", bun.List(numbers)); err != nil {
			return err
		}
	}
	// Only an address that its row did not have before can have been taken from another.
	var taken []string
	for address, number := range b.addresses {
		if stored := b.stored[number]; stored == nil || stored.folded() != address {
			taken = append(taken, address)
		}
	}
	for addresses := range slices.Chunk(taken, statementRows) {
		if err := b.loadWhere(ctx, tx, "r.folded_address IN (?)", bun.List(addresses)); err != nil {
			return err
		}
	}
	return nil
}

func (b *foundBatch) loadWhere(ctx context.Context, tx bun.Tx, where string, list any) error {
	var rows []*recordRow
	err := tx.NewSelect().Model(&rows).Where("r.connection = ?", b.connection).Where(where, list).Scan(ctx)
	for _, row := range rows {
		b.stored[row.Number] = row
	}
	return err
}

// compare finds out what is to be written, and whether anything is.
func (b *foundBatch) compare() bool {
	for _, number := range b.numbers {
		row, stored := b.found[number], b.stored[number]
		if stored != nil {
			row.mirrorColumns, row.ForeignMirror = stored.mirrorColumns, stored.ForeignMirror
			if row.sameFound(stored) {
				continue
			}
		}
		b.changed = append(b.changed, row)
		if address := row.folded(); address != "" && (stored == nil || stored.folded() != address) {
			b.moved = append(b.moved, row)
		}
	}
	for _, stored := range b.stored {
		if _, found := b.found[stored.Number]; found {
			continue
		}
		row := *stored
		row.displace()
		b.displaced = append(b.displaced, &row)
	}
	slices.SortFunc(b.displaced, byNumber)
	return len(b.changed) > 0
}

// save writes what compare found. Addresses are given up before they are taken, so that
// repositories can swap theirs.
func (b *foundBatch) save(ctx context.Context, tx bun.Tx, now int64) error {
	newest, err := newestListing(ctx, tx)
	if err != nil {
		return err
	}
	if err := b.giveUpAddresses(ctx, tx); err != nil {
		return err
	}
	for _, row := range b.changed {
		row.ChangedIn = newest
		if stored := b.stored[row.Number]; stored != nil {
			row.LeftAt = stored.LeftAt
		}
		row.leave(now)
	}
	for _, row := range b.displaced {
		row.leave(now)
	}
	for _, rows := range [][]*recordRow{b.changed, b.displaced} {
		for chunk := range slices.Chunk(rows, statementRows) {
			insert := tx.NewInsert().Model(&chunk).On("CONFLICT (connection, number) DO UPDATE")
			for _, column := range foundColumns {
				insert.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
			}
			if _, err := insert.Exec(ctx); err != nil {
				return err
			}
		}
	}
	if err := b.dropFormer(ctx, tx); err != nil {
		return err
	}
	return b.addFormer(ctx, tx, now)
}

// giveUpAddresses frees the addresses of stored rows that have another one now, or none.
func (b *foundBatch) giveUpAddresses(ctx context.Context, tx bun.Tx) error {
	var numbers []int64
	for number, stored := range b.stored {
		if row, found := b.found[number]; stored.folded() != "" && (!found || row.folded() != stored.folded()) {
			numbers = append(numbers, number)
		}
	}
	for chunk := range slices.Chunk(numbers, statementRows) {
		_, err := tx.NewUpdate().Model((*recordRow)(nil)).Set("folded_address = NULL").
			Where("connection = ?", b.connection).Where("number IN (?)", bun.List(chunk)).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// dropFormer drops the former addresses that a repository has now.
func (b *foundBatch) dropFormer(ctx context.Context, tx bun.Tx) error {
	for rows := range slices.Chunk(b.moved, statementRows) {
		addresses := make([]string, len(rows))
		for i, row := range rows {
			addresses[i] = row.folded()
		}
		var dropped []formerRow
		err := tx.NewDelete().Model(&dropped).
			Where("connection = ?", b.connection).Where("folded_address IN (?)", bun.List(addresses)).
			Returning("number").Scan(ctx)
		if err != nil {
			return err
		}
		for i := range dropped {
			b.losers[dropped[i].Number] = struct{}{}
		}
	}
	return nil
}

// addFormer gives the rows that moved their old addresses as former ones, unless another
// repository has those now.
func (b *foundBatch) addFormer(ctx context.Context, tx bun.Tx, now int64) error {
	var rows []formerRow
	for _, row := range b.changed {
		stored := b.stored[row.Number]
		if stored == nil || stored.folded() == "" || stored.folded() == row.folded() {
			continue
		}
		if _, taken := b.addresses[stored.folded()]; taken {
			continue
		}
		rows = append(rows, formerRow{
			Connection: b.connection, FoldedAddress: stored.folded(), Number: row.Number,
			ProjectKey: stored.ProjectKey, Slug: stored.Slug, LeftAt: now,
		})
	}
	for chunk := range slices.Chunk(rows, statementRows) {
		if _, err := tx.NewInsert().Model(&chunk).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// changes returns the records that save changed, as they are now.
func (b *foundBatch) changes(ctx context.Context, tx bun.Tx) (syncer.Changes, error) {
	rows := slices.Clone(b.changed)
	for _, row := range slices.Concat(b.changed, b.displaced) {
		delete(b.losers, row.Number) // told of already
	}
	for numbers := range slices.Chunk(slices.Sorted(maps.Keys(b.losers)), statementRows) {
		var loaded []*recordRow
		err := tx.NewSelect().Model(&loaded).Where("r.connection = ?", b.connection).
			Where("r.number IN (?)", bun.List(numbers)).OrderExpr("r.number").Scan(ctx)
		if err != nil {
			return syncer.Changes{}, err
		}
		rows = append(rows, loaded...)
	}

	var numbers []int64
	for _, row := range rows {
		if row.Selected {
			numbers = append(numbers, row.Number)
		}
	}
	former, err := formerOf(ctx, tx, b.connection, numbers)
	if err != nil {
		return syncer.Changes{}, err
	}
	var changes syncer.Changes
	for _, row := range append(rows, b.displaced...) {
		stored := b.stored[row.Number]
		switch {
		case row.Selected:
			changes.Upserted = append(changes.Upserted, row.record(former[row.Number]))
		case stored != nil && stored.Selected:
			changes.Removed = append(changes.Removed, bitbucket.RepoID{Connection: b.connection, Number: row.Number})
		}
	}
	return changes, nil
}
