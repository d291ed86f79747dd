-- The tables of schema 1, as programs of that schema made them on MySQL.
CREATE TABLE mw_meta (id BIGINT NOT NULL PRIMARY KEY, identity VARBINARY(64) NOT NULL, revision BIGINT NOT NULL, floor BIGINT NOT NULL, lock_floor BIGINT NOT NULL, epoch BIGINT NOT NULL) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE TABLE mw_sessions (id BIGINT NOT NULL PRIMARY KEY, secret VARBINARY(64) NOT NULL, name LONGBLOB NOT NULL, opened BIGINT NOT NULL, expires BIGINT NOT NULL, timeout BIGINT NOT NULL, boot VARBINARY(64) NOT NULL, ended BIGINT NOT NULL, txn BIGINT NOT NULL, verdict BIGINT NOT NULL, txn_revision BIGINT NOT NULL) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE INDEX mw_sessions_expires ON mw_sessions (expires);
CREATE TABLE mw_entries (path VARBINARY(1024) NOT NULL PRIMARY KEY, parent VARBINARY(1024) NOT NULL, value LONGBLOB NOT NULL, version BIGINT NOT NULL, revision BIGINT NOT NULL, created BIGINT NOT NULL, owner BIGINT NOT NULL, ctime BIGINT NOT NULL, mtime BIGINT NOT NULL) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE INDEX mw_entries_parent ON mw_entries (parent);
CREATE INDEX mw_entries_owner ON mw_entries (owner);
CREATE TABLE mw_changes (revision BIGINT NOT NULL, kind BIGINT NOT NULL, path VARBINARY(1024) NOT NULL, step BIGINT NOT NULL, version BIGINT NOT NULL, created BIGINT NOT NULL, owner BIGINT NOT NULL, value LONGBLOB, PRIMARY KEY (revision, kind, path)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE TABLE mw_locks (path VARBINARY(1024) NOT NULL PRIMARY KEY, token BIGINT NOT NULL, holder BIGINT NOT NULL, handle BIGINT NOT NULL, waiters BIGINT NOT NULL, value LONGBLOB NOT NULL, since BIGINT NOT NULL) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE INDEX mw_locks_holder ON mw_locks (holder);
CREATE TABLE mw_lock_waiters (path VARBINARY(1024) NOT NULL, seq BIGINT NOT NULL, session BIGINT NOT NULL, handle BIGINT NOT NULL, value LONGBLOB NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (path, seq)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE INDEX mw_lock_waiters_session ON mw_lock_waiters (session);
CREATE UNIQUE INDEX mw_lock_waiters_handle ON mw_lock_waiters (handle);
ALTER TABLE mw_meta COMMENT = 'moonwatch schema 1';
