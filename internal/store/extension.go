package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/siteconfig"
)

// extensionKeyRow is the key that signs the browser extension.
type extensionKeyRow struct {
	bun.BaseModel `bun:"table:extension_keys"`

	ID        int64  `bun:"id,pk"`
	Sealed    []byte `bun:"sealed"`
	CreatedAt int64  `bun:"created_at"`
}

// extensionVersionRow is what was packed under a version number.
type extensionVersionRow struct {
	bun.BaseModel `bun:"table:extension_versions"`

	Number    int64  `bun:"number,pk"`
	Digest    string `bun:"digest"`
	CreatedAt int64  `bun:"created_at"`
}

const (
	extensionKeyID      = 1 // of the one row
	extensionKeyPurpose = "extension key"
)

// ExtensionKey implements extension.Records.
func (s *Store) ExtensionKey(ctx context.Context) (siteconfig.Secret, error) {
	key, err := s.extensionKey(ctx, s.db.readers)
	if err != nil {
		return siteconfig.Secret{}, s.describe("read the signing key of the extension", err)
	}
	return key, nil
}

func (s *Store) extensionKey(ctx context.Context, db bun.IDB) (siteconfig.Secret, error) {
	row := extensionKeyRow{ID: extensionKeyID}
	err := db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return siteconfig.Secret{}, extension.ErrNoKey
	}
	if err != nil {
		return siteconfig.Secret{}, err
	}
	key, err := s.sealer.open(extensionKeyPurpose, row.Sealed)
	if err != nil {
		return siteconfig.Secret{}, ErrDamaged
	}
	return siteconfig.NewSecret(key), nil
}

// SaveExtensionKey implements extension.Records. The key is sealed.
func (s *Store) SaveExtensionKey(ctx context.Context, key siteconfig.Secret) (siteconfig.Secret, error) {
	row := extensionKeyRow{ID: extensionKeyID, Sealed: s.sealer.seal(extensionKeyPurpose, key.Reveal()), CreatedAt: toNanos(s.now())}
	err := s.writeDurably(ctx, "store the signing key of the extension", func(ctx context.Context, tx bun.Tx) error {
		stored, err := s.extensionKey(ctx, tx)
		if errors.Is(err, extension.ErrNoKey) {
			_, err = tx.NewInsert().Model(&row).Exec(ctx)
			return err
		}
		key = stored
		return err
	})
	if err != nil {
		return siteconfig.Secret{}, err
	}
	return key, nil
}

// ExtensionVersion implements extension.Records.
func (s *Store) ExtensionVersion(ctx context.Context, digest string) (number int64, err error) {
	err = s.writeDurably(ctx, "store the version of the extension", func(ctx context.Context, tx bun.Tx) error {
		var newest extensionVersionRow
		err := tx.NewSelect().Model(&newest).OrderExpr("number DESC").Limit(1).Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil && newest.Digest == digest {
			number = newest.Number
			return nil
		}
		number = newest.Number + 1
		_, err = tx.NewInsert().Model(&extensionVersionRow{Number: number, Digest: digest, CreatedAt: toNanos(s.now())}).Exec(ctx)
		return err
	})
	return number, err
}
