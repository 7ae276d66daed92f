package sqlite

import (
	"database/sql/driver"
	"fmt"
)

const (
	// applicationID marks the file, in its header: "disp".
	applicationID = 0x64697370

	// version counts the changes of the schema.
	version = 1
)

// schema makes the tables. See the package comment, which is their documentation: the comments
// here are what the .schema command of the sqlite3 shell shows.
const schema = `
CREATE TABLE jobs (
	number     INTEGER PRIMARY KEY, -- in the order in which the jobs were accepted
	state      TEXT NOT NULL,       -- 'waiting', 'claimed' (a process has it, or had it when it died), 'dead'
	key        TEXT NOT NULL,
	priority   INTEGER NOT NULL,
	class      INTEGER,             -- its limits, in class_limits; 0: none; NULL: the dispatcher's Config.Params
	id         TEXT,
	submitted  INTEGER,             -- instants are nanoseconds since 1970
	not_before INTEGER,
	deadline   INTEGER,
	timeout    INTEGER,             -- nanoseconds
	retry      TEXT,                -- JSON, durations in nanoseconds; NULL: the policy of the dispatcher
	meta       TEXT,                -- JSON
	version    INTEGER NOT NULL,    -- of the codec of payload
	attempts   INTEGER NOT NULL,
	failures   INTEGER NOT NULL,
	holds      INTEGER NOT NULL,
	losses     INTEGER NOT NULL,    -- how many times its process died
	retry_at   INTEGER,
	last_error TEXT,
	died_at    INTEGER,
	reason     TEXT,                -- why it is dead
	payload    BLOB
);
CREATE INDEX jobs_by_id ON jobs (id) WHERE id IS NOT NULL AND state <> 'dead';
CREATE INDEX jobs_dead ON jobs (number) WHERE state = 'dead';

CREATE TABLE class_limits (
	class     INTEGER NOT NULL,
	position  INTEGER NOT NULL,
	key       TEXT NOT NULL,
	plus_key  INTEGER NOT NULL, -- 1: the key of the job follows on key
	events    INTEGER NOT NULL, -- so many events
	period    INTEGER NOT NULL, -- in so many nanoseconds
	burst     INTEGER NOT NULL, -- 0: 1
	cost      INTEGER NOT NULL, -- 0: 1
	PRIMARY KEY (class, position)
) WITHOUT ROWID;

CREATE TABLE limit_states (
	key        TEXT PRIMARY KEY,
	tat        INTEGER NOT NULL, -- the limit has debt until then
	last       INTEGER NOT NULL, -- its latest slot
	interval   INTEGER NOT NULL, -- between two events, in nanoseconds
	held_until INTEGER NOT NULL,
	written_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE settings (
	position INTEGER PRIMARY KEY,
	name     TEXT NOT NULL UNIQUE,
	value    BLOB NOT NULL
);

CREATE TABLE journal (
	next_number INTEGER NOT NULL, -- of the next job
	owner       TEXT              -- the process that works on the file, or did when it died
);
INSERT INTO journal VALUES (1, NULL);

CREATE VIEW queue AS
	SELECT number, state, key, priority, id,
		datetime(submitted/1000000000, 'unixepoch') AS submitted,
		datetime(nullif(max(ifnull(not_before, 0), ifnull(retry_at, 0)), 0)/1000000000, 'unixepoch') AS not_before,
		attempts, last_error, payload
	FROM jobs WHERE state <> 'dead' ORDER BY number;

CREATE VIEW dead AS
	SELECT number, key, id, datetime(died_at/1000000000, 'unixepoch') AS died_at, reason, attempts, last_error, payload
	FROM jobs WHERE state = 'dead' ORDER BY number;

CREATE VIEW limits AS
	SELECT key, max(0, round(tat/1e9 - (julianday('now') - 2440587.5)*86400, 3)) AS debt_seconds,
		interval/1e9 AS interval_seconds, max(0, round(held_until/1e9 - (julianday('now') - 2440587.5)*86400, 3)) AS held_seconds
	FROM limit_states;
`

// identify returns nil if the file is one of this package, of a version that it knows. isNew
// says that it is empty. identify changes nothing.
func identify(c *conn, path string) (isNew bool, err error) {
	id, err := c.number("PRAGMA application_id")
	if err != nil {
		return false, err
	}
	v, err := c.number("PRAGMA user_version")
	if err != nil {
		return false, err
	}
	switch {
	case id == applicationID && v > version:
		return false, &Error{Path: path, Kind: ErrNewer, Err: fmt.Errorf("schema version %d, this program knows %d", v, version)}
	case id == applicationID && v == version:
		return false, nil
	case id != 0 || v != 0:
		return false, &Error{Path: path, Kind: ErrForeign, Err: fmt.Errorf("application_id %#x, user_version %d", id, v)}
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	if err == nil && tables > 0 {
		err = &Error{Path: path, Kind: ErrForeign, Err: fmt.Errorf("a database with %d tables and indexes", tables)}
	}
	return err == nil, err
}

// create makes the tables in an empty file, all or none.
func create(c *conn) error {
	return c.script(fmt.Sprintf("BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s COMMIT",
		applicationID, version, schema))
}

// configure sets up a connection that writes. What it sets lasts as long as the
// connection, except journal_mode and auto_vacuum, which are kept in the file.
func configure(c *conn, isNew bool, cfg Config) error {
	if isNew {
		if err := c.script("PRAGMA auto_vacuum = INCREMENTAL"); err != nil {
			return err
		}
	}
	mode := ""
	err := c.query(func(row []driver.Value) error {
		mode, _ = row[0].(string)
		return nil
	}, "PRAGMA journal_mode = WAL")
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("sqlite: the file can't have a write-ahead log (journal_mode is %s): it must be on a local disk", mode)
	}
	synchronous := "FULL"
	if cfg.NoSync {
		synchronous = "NORMAL"
	}
	return c.script(fmt.Sprintf(
		"PRAGMA synchronous = %s; PRAGMA cache_size = -%d; PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d",
		synchronous, cacheKiB, checkpointPages, logLimit))
}

const (
	cacheKiB = 16 << 10
	logLimit = 64 << 20 // a log that a slow reader has made longer is cut to that
)

// checkpointPages is how long the log is, 16 MB, before it is copied into the file.
var checkpointPages = 4000
