-- +goose Up

-- When the repository left the selection, 0 while it is selected.
ALTER TABLE repositories ADD COLUMN left_at INTEGER NOT NULL DEFAULT 0;

-- Whether its mirror is of a repository of another server, which had the number before.
ALTER TABLE repositories ADD COLUMN foreign_mirror BOOLEAN NOT NULL DEFAULT FALSE;

-- Of those that left before this was kept, nobody knows when; their time begins now.
UPDATE repositories
SET left_at = CASE WHEN missing_since <> 0 THEN missing_since ELSE CAST(strftime('%s', 'now') AS INTEGER) * 1000000000 END
WHERE missing_since <> 0 OR NOT selected;

CREATE INDEX repositories_left ON repositories (left_at) WHERE left_at <> 0;

CREATE INDEX repositories_foreign ON repositories (connection) WHERE foreign_mirror;

-- What is due, and the figures of all mirrors, are read from this index alone.
DROP INDEX repositories_due;

CREATE INDEX repositories_due ON repositories (selected, state, next_fetch, last_fetch, failures, empty, connection);

-- The connections that were ever configured. addresses are those of their server, one a line, the
-- base URL first; '' when not known.
CREATE TABLE connections (
    connection TEXT PRIMARY KEY,
    addresses  TEXT NOT NULL,
    gone_since INTEGER NOT NULL -- 0 while it is configured
);

INSERT INTO connections (connection, addresses, gone_since) SELECT DISTINCT connection, '', 0 FROM repositories;

-- +goose Down

DROP TABLE connections;
DROP INDEX repositories_due;
DROP INDEX repositories_foreign;
DROP INDEX repositories_left;
ALTER TABLE repositories DROP COLUMN foreign_mirror;
ALTER TABLE repositories DROP COLUMN left_at;
CREATE INDEX repositories_due ON repositories (selected, state, next_fetch);
