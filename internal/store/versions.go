package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/siteconfig"
)

// versionRow is a stored text of the site configuration.
type versionRow struct {
	bun.BaseModel `bun:"table:site_config_versions"`

	Version   int64  `bun:"version,pk"`
	Sealed    []byte `bun:"sealed"`
	Author    string `bun:"author"`
	CreatedAt int64  `bun:"created_at"`
}

// purpose binds the sealed text to its version: a row cannot be passed off as another.
func (r *versionRow) purpose() string { return fmt.Sprintf("site configuration %d", r.Version) }

// stored opens the row. ErrDamaged: the key is known to fit.
func (r *versionRow) stored(s *sealer) (siteconfig.StoredVersion, error) {
	text, err := s.open(r.purpose(), r.Sealed)
	if err != nil {
		return siteconfig.StoredVersion{}, fmt.Errorf("version %d of the site configuration: %w", r.Version, ErrDamaged)
	}
	return siteconfig.StoredVersion{Version: r.Version, Text: text, Author: r.Author, Created: fromNanos(r.CreatedAt)}, nil
}

// LatestVersion implements siteconfig.Versions.
func (s *Store) LatestVersion(ctx context.Context) (siteconfig.StoredVersion, error) {
	versions, err := s.ListVersions(ctx, 1)
	if err != nil {
		return siteconfig.StoredVersion{}, err
	}
	if len(versions) == 0 {
		return siteconfig.StoredVersion{}, siteconfig.ErrNoVersion
	}
	return versions[0], nil
}

// AppendVersion implements siteconfig.Versions. What it stored survives a power cut.
func (s *Store) AppendVersion(ctx context.Context, expected int64, text, author string) (siteconfig.StoredVersion, error) {
	row := versionRow{Version: expected + 1, Author: clean(author), CreatedAt: toNanos(s.now())}
	row.Sealed = s.sealer.seal(row.purpose(), text)
	err := s.db.durably(ctx, func(conn bun.Conn) error {
		return conn.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			newest, err := newestVersion(ctx, tx)
			if err != nil {
				return err
			}
			if newest != expected {
				return fmt.Errorf("%w: version %d is stored, %d was expected", siteconfig.ErrConflict, newest, expected)
			}
			_, err = tx.NewInsert().Model(&row).Exec(ctx)
			return err
		})
	})
	if err != nil {
		err = s.describe("store the site configuration", err)
		if errors.Is(err, ErrDiskFull) {
			err = fmt.Errorf("%w: %w", siteconfig.ErrStorageFull, err)
		}
		return siteconfig.StoredVersion{}, err
	}
	return siteconfig.StoredVersion{Version: row.Version, Text: text, Author: row.Author, Created: fromNanos(row.CreatedAt)}, nil
}

// newestVersion returns the number of the newest version, 0 when there is none.
func newestVersion(ctx context.Context, tx bun.Tx) (int64, error) {
	var newest int64
	err := tx.NewSelect().Model((*versionRow)(nil)).Column("version").OrderExpr("version DESC").Limit(1).Scan(ctx, &newest)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return newest, err
}

// ListVersions implements siteconfig.Versions.
func (s *Store) ListVersions(ctx context.Context, limit int) ([]siteconfig.StoredVersion, error) {
	if limit <= 0 {
		return nil, nil
	}
	var rows []versionRow
	err := s.db.readers.NewSelect().Model(&rows).OrderExpr("version DESC").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, s.describe("read the site configuration", err)
	}
	versions := make([]siteconfig.StoredVersion, len(rows))
	for i := range rows {
		if versions[i], err = rows[i].stored(&s.sealer); err != nil {
			return nil, s.describe("read the site configuration", err)
		}
	}
	return versions, nil
}
