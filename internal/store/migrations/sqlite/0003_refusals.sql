-- +goose Up

-- Credentials that Bitbucket refused: they are not tried again after a restart. mark tells which
-- credential of which configuration it was, sealed.
CREATE TABLE refusals (
    connection TEXT PRIMARY KEY,
    mark       BLOB NOT NULL,
    said       TEXT NOT NULL,
    captcha    BOOLEAN NOT NULL,
    refused_at INTEGER NOT NULL
);

-- +goose Down

DROP TABLE refusals;
