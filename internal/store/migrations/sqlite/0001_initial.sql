-- +goose Up

-- Whether a key is the one that the sealed texts were sealed with.
CREATE TABLE key_checks (
    id     INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
);

-- Every text that the site configuration ever had, sealed.
CREATE TABLE site_config_versions (
    version    INTEGER PRIMARY KEY,
    sealed     BLOB NOT NULL,
    author     TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- The number of the newest listing of any connection; one row.
CREATE TABLE listing_numbers (
    id     INTEGER PRIMARY KEY,
    newest INTEGER NOT NULL
);

INSERT INTO listing_numbers (id, newest) VALUES (1, 0);

-- Times are nanoseconds since 1970 in UTC, 0 for never. folded_address is the address in
-- lower case, NULL while another repository has it.
CREATE TABLE repositories (
    connection     TEXT NOT NULL,
    number         INTEGER NOT NULL,
    project_key    TEXT NOT NULL,
    slug           TEXT NOT NULL,
    folded_address TEXT,
    name           TEXT NOT NULL,
    project_name   TEXT NOT NULL,
    personal       BOOLEAN NOT NULL,
    state          TEXT NOT NULL,
    archived       BOOLEAN NOT NULL,
    fork           BOOLEAN NOT NULL,
    clone_http     TEXT NOT NULL,
    clone_ssh      TEXT NOT NULL,
    selected       BOOLEAN NOT NULL,
    reason         TEXT NOT NULL,
    missing_since  INTEGER NOT NULL DEFAULT 0,
    changed_in     INTEGER NOT NULL, -- the newest listing when the row last changed
    last_fetch     INTEGER NOT NULL DEFAULT 0,
    last_change    INTEGER NOT NULL DEFAULT 0,
    next_fetch     INTEGER NOT NULL DEFAULT 0,
    failures       INTEGER NOT NULL DEFAULT 0,
    error          TEXT NOT NULL DEFAULT '',
    refs_digest    TEXT NOT NULL DEFAULT '',
    default_branch TEXT NOT NULL DEFAULT '',
    size_bytes     INTEGER NOT NULL DEFAULT 0,
    empty          BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (connection, number)
);

CREATE UNIQUE INDEX repositories_address ON repositories (connection, folded_address);

CREATE INDEX repositories_due ON repositories (selected, state, next_fetch);

-- Addresses that repositories had before. No repository has one of them now.
CREATE TABLE former_addresses (
    connection     TEXT NOT NULL,
    folded_address TEXT NOT NULL,
    number         INTEGER NOT NULL,
    project_key    TEXT NOT NULL,
    slug           TEXT NOT NULL,
    left_at        INTEGER NOT NULL,
    PRIMARY KEY (connection, folded_address),
    FOREIGN KEY (connection, number) REFERENCES repositories (connection, number) ON DELETE CASCADE
);

CREATE INDEX former_addresses_repository ON former_addresses (connection, number);

CREATE TABLE connection_statuses (
    connection    TEXT PRIMARY KEY,
    version       TEXT NOT NULL,
    account       TEXT NOT NULL,
    last_complete INTEGER NOT NULL,
    last_attempt  INTEGER NOT NULL,
    error         TEXT NOT NULL,
    listed        INTEGER NOT NULL,
    selected      INTEGER NOT NULL,
    missing       INTEGER NOT NULL,
    withheld      INTEGER NOT NULL
);

-- +goose Down

DROP TABLE connection_statuses;
DROP TABLE former_addresses;
DROP TABLE repositories;
DROP TABLE listing_numbers;
DROP TABLE site_config_versions;
DROP TABLE key_checks;
