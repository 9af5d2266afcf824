package store

import (
	"context"

	"github.com/uptrace/bun"

	"example.com/signpost/syncer"
)

// connectionStatusRow is what the last listing of a connection said.
type connectionStatusRow struct {
	bun.BaseModel `bun:"table:connection_statuses"`

	Connection   string `bun:"connection,pk"`
	Version      string `bun:"version"`
	Account      string `bun:"account"`
	LastComplete int64  `bun:"last_complete"`
	LastAttempt  int64  `bun:"last_attempt"`
	Error        string `bun:"error"`
	Listed       int    `bun:"listed"`
	Selected     int    `bun:"selected"`
	Missing      int    `bun:"missing"`
	Withheld     int    `bun:"withheld"`
}

// SaveConnectionStatus implements syncer.StatusStore.
func (s *Store) SaveConnectionStatus(ctx context.Context, status syncer.ConnectionStatus) error {
	row := connectionStatusRow{
		Connection:   status.Connection,
		Version:      clean(status.Version),
		Account:      clean(status.Account),
		LastComplete: toNanos(status.LastComplete),
		LastAttempt:  toNanos(status.LastAttempt),
		Error:        clean(status.Error),
		Listed:       status.Listed,
		Selected:     status.Selected,
		Missing:      status.Missing,
		Withheld:     status.Withheld,
	}
	return s.write(ctx, "save the status of "+status.Connection, func(ctx context.Context, tx bun.Tx) error {
		// Without Set, every column takes the new value.
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (connection) DO UPDATE").Exec(ctx)
		return err
	})
}

// ConnectionStatuses implements syncer.StatusStore, in the order of the connections' names.
func (s *Store) ConnectionStatuses(ctx context.Context) ([]syncer.ConnectionStatus, error) {
	var rows []connectionStatusRow
	if err := s.db.readers.NewSelect().Model(&rows).OrderExpr("connection").Scan(ctx); err != nil {
		return nil, s.describe("read the status of the connections", err)
	}
	statuses := make([]syncer.ConnectionStatus, len(rows))
	for i := range rows {
		statuses[i] = syncer.ConnectionStatus{
			Connection:   rows[i].Connection,
			Version:      rows[i].Version,
			Account:      rows[i].Account,
			LastComplete: fromNanos(rows[i].LastComplete),
			LastAttempt:  fromNanos(rows[i].LastAttempt),
			Error:        rows[i].Error,
			Listed:       rows[i].Listed,
			Selected:     rows[i].Selected,
			Missing:      rows[i].Missing,
			Withheld:     rows[i].Withheld,
		}
	}
	return statuses, nil
}
