package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// refusalRow is a credential that Bitbucket refused.
type refusalRow struct {
	bun.BaseModel `bun:"table:refusals"`

	Connection string `bun:"connection,pk"`
	Mark       []byte `bun:"mark"`
	Said       string `bun:"said"`
	Captcha    bool   `bun:"captcha"`
	RefusedAt  int64  `bun:"refused_at"`
}

// purpose binds the sealed mark to its connection.
func (r *refusalRow) purpose() string { return "refusal of " + r.Connection }

// SaveRefusal implements syncer.RefusalStore. The mark is sealed.
func (s *Store) SaveRefusal(ctx context.Context, r syncer.Refusal) error {
	row := refusalRow{Connection: r.Connection, Said: clean(r.Said), Captcha: r.Captcha, RefusedAt: toNanos(r.At)}
	row.Mark = s.sealer.seal(row.purpose(), r.Mark.Reveal())
	return s.write(ctx, "save that the credential of "+r.Connection+" is refused", func(ctx context.Context, tx bun.Tx) error {
		// Without Set, every column takes the new value.
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (connection) DO UPDATE").Exec(ctx)
		return err
	})
}

// Refusals implements syncer.RefusalStore.
func (s *Store) Refusals(ctx context.Context) ([]syncer.Refusal, error) {
	const doing = "read the refused credentials"
	var rows []refusalRow
	if err := s.db.readers.NewSelect().Model(&rows).OrderExpr("connection").Scan(ctx); err != nil {
		return nil, s.describe(doing, err)
	}
	refusals := make([]syncer.Refusal, len(rows))
	for i := range rows {
		mark, err := s.sealer.open(rows[i].purpose(), rows[i].Mark)
		if err != nil {
			return nil, s.describe(doing, fmt.Errorf("the one of %s: %w", rows[i].Connection, ErrDamaged))
		}
		refusals[i] = syncer.Refusal{
			Connection: rows[i].Connection, Mark: siteconfig.NewSecret(mark), Said: rows[i].Said,
			Captcha: rows[i].Captcha, At: fromNanos(rows[i].RefusedAt),
		}
	}
	return refusals, nil
}

// ForgetRefusals implements syncer.RefusalStore.
func (s *Store) ForgetRefusals(ctx context.Context) error {
	return s.write(ctx, "forget the refused credentials", func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*refusalRow)(nil)).Where("TRUE").Exec(ctx)
		return err
	})
}
