-- The tables of schema 1, as programs of that schema made them in a file.
CREATE TABLE mw_meta (id INTEGER NOT NULL PRIMARY KEY, identity BLOB NOT NULL, revision INTEGER NOT NULL, floor INTEGER NOT NULL, lock_floor INTEGER NOT NULL, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE mw_sessions (id INTEGER NOT NULL PRIMARY KEY, secret BLOB NOT NULL, name BLOB NOT NULL, opened INTEGER NOT NULL, expires INTEGER NOT NULL, timeout INTEGER NOT NULL, boot BLOB NOT NULL, ended INTEGER NOT NULL, txn INTEGER NOT NULL, verdict INTEGER NOT NULL, txn_revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX mw_sessions_expires ON mw_sessions (expires);
CREATE TABLE mw_entries (path BLOB NOT NULL PRIMARY KEY, parent BLOB NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL, owner INTEGER NOT NULL, ctime INTEGER NOT NULL, mtime INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX mw_entries_parent ON mw_entries (parent);
CREATE INDEX mw_entries_owner ON mw_entries (owner);
CREATE TABLE mw_changes (revision INTEGER NOT NULL, kind INTEGER NOT NULL, path BLOB NOT NULL, step INTEGER NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL, owner INTEGER NOT NULL, value BLOB, PRIMARY KEY (revision, kind, path)) WITHOUT ROWID;
CREATE TABLE mw_locks (path BLOB NOT NULL PRIMARY KEY, token INTEGER NOT NULL, holder INTEGER NOT NULL, handle INTEGER NOT NULL, waiters INTEGER NOT NULL, value BLOB NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX mw_locks_holder ON mw_locks (holder);
CREATE TABLE mw_lock_waiters (path BLOB NOT NULL, seq INTEGER NOT NULL, session INTEGER NOT NULL, handle INTEGER NOT NULL, value BLOB NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (path, seq)) WITHOUT ROWID;
CREATE INDEX mw_lock_waiters_session ON mw_lock_waiters (session);
CREATE UNIQUE INDEX mw_lock_waiters_handle ON mw_lock_waiters (handle);
PRAGMA application_id = 1299665511;
PRAGMA user_version = 1;
