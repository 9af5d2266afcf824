package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// connectionRow is a connection that is or was configured.
type connectionRow struct {
	bun.BaseModel `bun:"table:connections"`

	Connection string `bun:"connection,pk"`
	Addresses  string `bun:"addresses"`  // one a line, the base URL first; "" when not known
	GoneSince  int64  `bun:"gone_since"` // 0 while it is configured
}

func (r *connectionRow) addresses() []string {
	return strings.FieldsFunc(r.Addresses, func(c rune) bool { return c == '\n' })
}

func loadConnections(ctx context.Context, db bun.IDB) (map[string]*connectionRow, error) {
	var rows []*connectionRow
	if err := db.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, err
	}
	byName := make(map[string]*connectionRow, len(rows))
	for _, row := range rows {
		byName[row.Connection] = row
	}
	return byName, nil
}

// Origins implements syncer.OriginStore.
func (s *Store) Origins(ctx context.Context) (map[string][]string, error) {
	rows, err := loadConnections(ctx, s.db.readers)
	if err != nil {
		return nil, s.describe("read the addresses of the connections", err)
	}
	origins := make(map[string][]string, len(rows))
	for name, row := range rows {
		if addresses := row.addresses(); len(addresses) > 0 {
			origins[name] = addresses
		}
	}
	return origins, nil
}

// NoteConnections implements syncer.OriginStore. It writes what is new only.
func (s *Store) NoteConnections(ctx context.Context, configured map[string][]string, now time.Time) error {
	doing := "note which connections are configured"
	rows, err := loadConnections(ctx, s.db.readers)
	if err != nil {
		return s.describe(doing, err)
	}
	if len(newConnectionRows(rows, configured, now)) == 0 {
		return nil
	}
	return s.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
		rows, err := loadConnections(ctx, tx)
		if err != nil {
			return err
		}
		for _, row := range newConnectionRows(rows, configured, now) {
			if err := saveConnection(ctx, tx, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// newConnectionRows returns the rows that are to be written.
func newConnectionRows(stored map[string]*connectionRow, configured map[string][]string, now time.Time) []*connectionRow {
	var changed []*connectionRow
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		row, known := stored[name]
		if known && row.GoneSince == 0 && row.Addresses != "" {
			continue
		}
		next := connectionRow{Connection: name}
		if known {
			next.Addresses = row.Addresses
		}
		if next.Addresses == "" {
			next.Addresses = strings.Join(configured[name], "\n")
		}
		changed = append(changed, &next)
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if _, there := configured[name]; there || stored[name].GoneSince != 0 {
			continue
		}
		next := *stored[name]
		next.GoneSince = toNanos(now)
		changed = append(changed, &next)
	}
	return changed
}

func saveConnection(ctx context.Context, tx bun.Tx, row *connectionRow) error {
	_, err := tx.NewInsert().Model(row).On("CONFLICT (connection) DO UPDATE").Exec(ctx)
	return err
}

// ClaimConnection implements syncer.OriginStore.
func (s *Store) ClaimConnection(ctx context.Context, connection string, addresses []string, now time.Time, reason string) (syncer.Claimed, error) {
	var claimed syncer.Claimed
	err := s.write(ctx, "claim the records of "+connection, func(ctx context.Context, tx bun.Tx) error {
		claimed = syncer.Claimed{}
		rows, err := loadConnections(ctx, tx)
		if err != nil {
			return err
		}
		next := connectionRow{Connection: connection, Addresses: strings.Join(addresses, "\n")}
		stored, known := rows[connection]
		if known && !syncer.SameServer(stored.addresses(), addresses) {
			if claimed.Removed, err = takeOver(ctx, tx, connection, now, reason); err != nil {
				return err
			}
		}
		if !known || *stored != next {
			if err := saveConnection(ctx, tx, &next); err != nil {
				return err
			}
		}
		claimed.Foreign, err = tx.NewSelect().Model((*recordRow)(nil)).
			Where("r.connection = ?", connection).Where("r.foreign_mirror").Exists(ctx)
		return err
	})
	if err != nil {
		return syncer.Claimed{}, err
	}
	return claimed, nil
}

// takeOver takes everything from the records of a connection that another server knows
// nothing of, and returns those that were selected.
func takeOver(ctx context.Context, tx bun.Tx, connection string, now time.Time, reason string) ([]bitbucket.RepoID, error) {
	var numbers []int64
	err := tx.NewSelect().Model((*recordRow)(nil)).Column("number").
		Where("r.connection = ?", connection).Where("r.selected = ?", true).OrderExpr("r.number").Scan(ctx, &numbers)
	if err != nil {
		return nil, err
	}
	update := tx.NewUpdate().Model((*recordRow)(nil)).
		Set("selected = ?", false).Set("reason = ?", clean(reason)).Set("folded_address = NULL").
		Set("foreign_mirror = ?", true).
		Set("missing_since = CASE WHEN missing_since = 0 THEN ? ELSE missing_since END", toNanos(now)).
		Set("left_at = CASE WHEN left_at = 0 THEN ? ELSE left_at END", toNanos(now))
	if _, err := clearMirror(update).Where("connection = ?", connection).Exec(ctx); err != nil {
		return nil, err
	}
	if _, err := tx.NewDelete().Model((*formerRow)(nil)).Where("connection = ?", connection).Exec(ctx); err != nil {
		return nil, err
	}
	var removed []bitbucket.RepoID
	for _, number := range numbers {
		removed = append(removed, bitbucket.RepoID{Connection: connection, Number: number})
	}
	return removed, nil
}

// clearMirror sets the columns of a mirror's status as those of a repository that has none.
func clearMirror(update *bun.UpdateQuery) *bun.UpdateQuery {
	return update.Set("last_fetch = 0").Set("last_change = 0").Set("next_fetch = 0").Set("failures = 0").
		Set("error = ''").Set("refs_digest = ''").Set("default_branch = ''").Set("size_bytes = 0").Set("empty = ?", false)
}
