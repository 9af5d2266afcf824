-- +goose Up

-- The key that signs the browser extension, sealed; at most one row.
CREATE TABLE extension_keys (
    id         INTEGER PRIMARY KEY,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

-- What was packed under each version number of the extension.
CREATE TABLE extension_versions (
    number     INTEGER PRIMARY KEY,
    digest     TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- +goose Down

DROP TABLE extension_versions;
DROP TABLE extension_keys;
