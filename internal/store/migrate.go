package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// migrate brings the tables of this package and those of River up to date, each migration in
// a transaction of its own. A database that is further than this program is left alone: ErrNewerSchema.
func (db *database) migrate(ctx context.Context, log *slog.Logger) error {
	own, err := goose.NewProvider(db.goose, db.writer.DB, db.migrations,
		goose.WithDisableGlobalRegistry(true), goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	// River logs each start that has nothing to migrate; only what is wrong is of interest.
	jobs, err := rivermigrate.New(db.river, &rivermigrate.Config{Logger: slog.New(warnings{log.Handler()})})
	if err != nil {
		return fmt.Errorf("read the migrations of the queue: %w", err)
	}

	// Both are looked at before either changes anything.
	has, knows, err := own.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	if has > knows {
		return fmt.Errorf("%w (its schema is %d, this Signpost knows %d)", ErrNewerSchema, has, knows)
	}
	jobsKnows := 0
	for _, v := range jobs.AllVersions() {
		jobsKnows = max(jobsKnows, v.Version)
	}
	jobsHas, err := db.jobSchema(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the queue's schema: %w", err)
	}
	if jobsHas > jobsKnows {
		return fmt.Errorf("%w (its queue's schema is %d, this Signpost knows %d)", ErrNewerSchema, jobsHas, jobsKnows)
	}

	if _, err := own.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema from version %d to %d: %w", has, knows, err)
	}
	if jobsHas < jobsKnows {
		if _, err := jobs.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("bring the queue's schema from version %d to %d: %w", jobsHas, jobsKnows, err)
		}
	}
	if has < knows {
		log.InfoContext(ctx, "database schema is up to date", "from", has, "to", knows)
	}
	return nil
}

// jobSchema returns the version of River's tables, 0 when there are none. River's own
// migrator has no sentinel for versions that it does not know.
func (db *database) jobSchema(ctx context.Context) (int, error) {
	const table = "river_migration"
	exists, err := db.river.GetExecutor().TableExists(ctx, &riverdriver.TableExistsParams{Table: table})
	if err != nil || !exists {
		return 0, err
	}
	var version int
	err = db.writer.NewSelect().Table(table).ColumnExpr("COALESCE(MAX(version), 0)").Scan(ctx, &version)
	return version, err
}

// warnings is a handler that lets warnings and errors through.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
