/* The driver contract: what one SQL product has to provide so that the registry can stand on it.
 *
 * The registry's logic (schema, lease, txn, change log, locks, the connection thread and its queues) is written once,
 * in this folder, and linked into each plug-in. A driver is only connecting, executing, types and errors: this table,
 * and the fragments in which the dialects differ.
 *
 * Threads. `open` and `free` run on the host's thread, before the connection thread starts and after it has ended.
 * `interrupt` runs on the host's thread at any time between them. Everything else runs on the connection thread, one
 * call at a time, and may block. No driver calls the host, except for its log (which any thread may).
 *
 * Statements. All SQL is a fixed catalogue (statements.h), expanded once per connection with the driver's fragments. A
 * batch names statements by their number in it, so a driver can keep a prepared statement per number, or a text that it
 * has taken apart once. In the expanded text
 *   ?1 .. ?9   are parameters: the values of `params` (?1 = params[0]); the same one may appear more than once;
 *   {rows}     at most once, right after FROM or JOIN, followed by an alias: the row source. With `rows_per_statement`
 * == 1 the layer has already written it as (SELECT ?11 AS a, ?12 AS b ...), the columns being ?11 upward, and the
 * driver runs the statement once per row. With more, the driver replaces it by (SELECT <literal> AS a, <literal> AS b
 * UNION ALL SELECT ...) of up to `rows_per_statement` rows, and runs the statement as often as the rows need (their
 * packet size bounds it too). Both must mean the same: rows of one step never depend on each other. Bytes are compared
 * bytewise everywhere (VARBINARY, BLOB): a driver sends them as binary literals (x'2F61' or _binary'...'), never as
 * text with a collation.
 */
#ifndef MOONWATCH_SQL_DRIVER_H
#define MOONWATCH_SQL_DRIVER_H

#include <moonwatch/backend.h>

typedef struct mw_sql_driver mw_sql_driver;
typedef struct mw_sql_db mw_sql_db; /* the driver's own: one connection to one server or file */

/* ---- Values */

typedef enum mw_sql_type { MW_SQL_NULL, MW_SQL_INT, MW_SQL_BYTES } mw_sql_type;

/* A parameter, a cell of the row source, or a cell of a result. Borrowed: parameters live until `run` returns, results
 * until the row's callback returns. */
typedef struct mw_sql_value {
    mw_sql_type type;
    int64_t integer;
    mw_str bytes;
} mw_sql_value;

/* ---- Statements and batches */

typedef struct mw_sql_statement {
    const char *name;       /* for messages: "txn_verdict" */
    const char *text;       /* expanded, as told above */
    const char *columns[9]; /* of the row source, in the order of the cells of `rows`; NULL ends; [0] NULL = no rows */
} mw_sql_statement;

/* The statement takes an integer anew (a fencing token): `returned` must be filled when a row was changed, and 0 when
 * none was. The text is an INSERT with `take`, or a renewal with `beat`. */
#define MW_SQL_RETURNS 1u
/* A SELECT in the middle of a write batch: no row, or a first cell other than 0, and the txn is refused. A driver that
 * runs statements one by one rolls back there (after `row`) and returns MW_OK with `stopped` set. One that sends the
 * whole batch at once ignores the flag: every later statement is guarded by itself and then does nothing. */
#define MW_SQL_VERDICT 2u

typedef struct mw_sql_step {
    unsigned statement; /* index into the catalogue */
    unsigned flags;
    const mw_sql_value *params;
    size_t param_count;
    const mw_sql_value *rows; /* row_count times the statement's columns, row by row */
    size_t row_count;         /* 0 for a statement with a row source: the step is skipped */
    int64_t affected;         /* out: rows matched (not: changed), over all rows of the source */
    int64_t returned;         /* out, MW_SQL_RETURNS: the integer, 0 = nothing was changed */
} mw_sql_step;

typedef enum mw_sql_batch_kind {
    MW_SQL_ONE,  /* one round trip without a transaction around it: a statement, or two that do not need each other.
                  * When it fails, what came first may have been done */
    MW_SQL_READ, /* several reads of one consistent snapshot */
    MW_SQL_WRITE /* all or nothing, in one round trip where the product can: BEGIN; steps; COMMIT */
} mw_sql_batch_kind;

typedef struct mw_sql_batch {
    mw_sql_batch_kind kind;
    bool writes;   /* may change something (WRITE: always) */
    bool announce; /* adds to the change log: other processes are to be woken after the commit */
    mw_sql_step *steps;
    size_t step_count;
    /* Each row of each step that selects, in order. */
    void (*row)(void *arg, size_t step, const mw_sql_value *cells, size_t count);
    void *arg;
    bool stopped; /* out: see MW_SQL_VERDICT */
    bool changed; /* out: something was written and committed (counts as a write transaction) */
} mw_sql_batch;

/* ---- Fragments */

/* Where the dialects differ, as SQL text. In the catalogue they stand in braces: {now}. All required, "" where a
 * product needs nothing. */
typedef struct mw_sql_dialect {
    const char *now;          /* the lease clock, integer milliseconds. SQLite: mw_now(); MySQL: server time in UTC */
    const char *wall;         /* milliseconds since 1970, server time */
    const char *boot;         /* names the span in which `now` is comparable, as bytes; a constant when it always is */
    const char *ignore;       /* "INSERT OR IGNORE INTO" / "INSERT IGNORE INTO" */
    const char *upsert;       /* "ON CONFLICT (path) DO UPDATE SET" / "ON DUPLICATE KEY UPDATE" */
    const char *fresh_before; /* {new:col} = before col after: "excluded." "" / "VALUES(" ")" */
    const char *fresh_after;
    const char *share; /* makes a SELECT in a guard a locking read: "" / "LOCK IN SHARE MODE" */
    /* What turns "INSERT INTO mw_locks (path, token, holder, handle, waiters, value, since) SELECT ..." into one
     * statement that makes the row of a lock or takes it when it is free with nobody waiting, and gives the token. */
    const char *take;
    const char *first_token; /* "lock_floor + 1" / "LAST_INSERT_ID(lock_floor + 1)" */
    /* May be NULL. Follows the sum that a renewal sets, adds nothing to it, and makes the statement give (`returned`)
     * {now} and the milliseconds until the first session runs out, as MW_SQL_BEAT_BITS tells: the look for the expired
     * within the one statement of a heartbeat. */
    const char *beat;
    bool joins;             /* DELETE and UPDATE of several tables, joined, instead of one WHERE ... IN */
    const char *path_type;  /* "BLOB" / "VARBINARY(1024)" */
    const char *bytes_type; /* "BLOB" / "LONGBLOB" */
    const char *short_type; /* up to 64 bytes, compared bytewise: "BLOB" / "VARBINARY(64)" */
    const char *int_type;   /* 64 bit: "INTEGER" / "BIGINT" */
    const char *table_end;  /* after the closing parenthesis: "WITHOUT ROWID" / "ENGINE=InnoDB" */
    /* How tables are changed while others go on using them: what ends CREATE INDEX, and an ALTER TABLE that drops one
     * (NULL: DROP INDEX does it). */
    const char *online;     /* "" / " ALGORITHM=INPLACE LOCK=NONE" */
    const char *drop_index; /* NULL / ", ALGORITHM=INPLACE, LOCK=NONE" */
} mw_sql_dialect;

/* What `beat` gives: the clock, and in the lower bits the way to the first end, no less than 0 and no more than their
 * most. */
#define MW_SQL_BEAT_BITS 20
#define MW_SQL_BEAT_MOST "1048575"

/* ---- The schema */

/* What a database says of its tables: their version, and the schema of the oldest programs that work with them. The
 * programs of schema 1 look at one number only, and refuse one above theirs: a mark keeps `oldest` where they look. */
typedef struct mw_sql_mark {
    int oldest;
    int version;
} mw_sql_mark;

/* From one version to the next. Where DDL commits by itself, a crash may come between any two statements: they are all
 * run again then, and what is there already (or has gone) counts as done. */
typedef struct mw_sql_upgrade {
    int oldest;                    /* of the mark that follows */
    const char *const *statements; /* ended by NULL */
} mw_sql_upgrade;

typedef struct mw_sql_schema {
    int version;                    /* of `tables` */
    int least;                      /* the oldest tables that this program works with while nobody may upgrade them */
    const char *const *tables;      /* what makes them in an empty database; ended by NULL */
    const mw_sql_upgrade *upgrades; /* from 1 to 2, from 2 to 3 ... */
    size_t upgrade_count;           /* version - 1 */
} mw_sql_schema;

/* The mark of tables of `version`, which is 1 to `schema->version`. */
mw_sql_mark mw_sql_schema_mark(const mw_sql_schema *schema, int version);

/* May this program work with tables that are marked so (perhaps after an upgrade)? MW_EUNSUPPORTED: they are too new.
 * MW_ECORRUPT: that is no mark. */
int mw_sql_schema_judge(const mw_sql_schema *schema, const mw_sql_mark *found, const char *where, mw_error *err);

/* Call `run` for each statement that tables of version `from` lack, and `complete` after each version. Ends with the
 * first that fails, and its status. */
int mw_sql_schema_upgrade(const mw_sql_schema *schema, int from, int (*run)(void *arg, const char *text, mw_error *err),
                          int (*complete)(void *arg, const mw_sql_mark *mark, mw_error *err), void *arg, mw_error *err);

/* ---- The driver */

typedef struct mw_sql_driver_config {
    mw_host *host;                   /* for its log only */
    const mw_option *options;        /* the driver's own keys and the shared ones (mw_sql_option); ended by NULL */
    mw_time session_timeout;         /* as decided by the layer */
    const mw_sql_statement *catalog; /* lives as long as the db */
    size_t catalog_size;
} mw_sql_driver_config;

/* Check the options and allocate; no I/O. Errors: MW_EINVALID naming the option, MW_ENO_MEMORY, MW_EUNSUPPORTED. */
typedef int mw_sql_open_fn(const mw_sql_driver_config *config, mw_sql_db **ret_db, mw_error *err);
typedef void mw_sql_free_fn(mw_sql_db *db);

/* Connect (or connect again, after `disconnect`). MW_EDISCONNECTED, MW_EIO, MW_EBUSY, MW_ETIMEOUT: the layer tries
 * again with a growing, jittered pause. Anything else is final: the message must tell what to do. */
typedef int mw_sql_connect_fn(mw_sql_db *db, mw_error *err);
typedef void mw_sql_disconnect_fn(mw_sql_db *db);

/* Bring the schema: make the tables where there are none, and bring older ones up, all or nothing or under a lock, so
 * that two processes starting at once both succeed and one that was killed midway is finished by the next. Old programs
 * keep working meanwhile, as far as the marks say. Tables that cannot be brought up now are used as they are, with a
 * warning, when `least` allows it. Tables that are too new are MW_EUNSUPPORTED, what is no registry at all MW_ECORRUPT.
 * Called after each connect. */
typedef int mw_sql_schema_fn(mw_sql_db *db, const mw_sql_schema *schema, mw_error *err);

/* Run a batch. The layer clears its own results before each call; a driver calls `row` for what one attempt gave.
 *   MW_OK             done (see `stopped`)
 *   MW_EBUSY          a conflict with another client (deadlock, lock wait, file lock); rolled back. The layer repeats
 * it MW_EDISCONNECTED  the connection is gone, and it was certainly not committed MW_EUNKNOWN       the connection is
 * gone, and the commit may have happened. The layer decides by the marker anything else     refused and rolled back;
 * the connection is usable: MW_EIO (disk full ...), MW_EDENIED (read-only, rights), MW_ECORRUPT, MW_ETOO_LARGE,
 * MW_EINTERNAL (a bug: bad SQL) */
typedef int mw_sql_run_fn(mw_sql_db *db, mw_sql_batch *batch, mw_error *err);

/* The descriptor that becomes readable when somebody may have committed, or -1; asked after each connect and before
 * each wait. `woken` is called when it is. */
typedef int mw_sql_wake_fd_fn(mw_sql_db *db);
typedef void mw_sql_woken_fn(mw_sql_db *db);

/* Has anything changed since the last call, cheaply (PRAGMA data_version)? MW_OK with the answer, or as `run`. When the
 * slot is NULL the layer reads revision and changes, in one statement. */
typedef int mw_sql_changed_fn(mw_sql_db *db, bool *ret_changed, mw_error *err);

/* Make a call that blocks on the connection thread return soon (a flag that ends its waits; shutdown of the socket),
 * and each later one until `disconnect`. */
typedef void mw_sql_interrupt_fn(mw_sql_db *db);

struct mw_sql_driver {
    const char *name; /* "sqlite" */
    mw_sql_dialect dialect;
    size_t rows_per_statement; /* 1, or how many rows of a row source one statement takes */
    bool own_clock;            /* {now} is this machine's boot clock: expiry needs no proof that clocks agree */
    mw_time poll_interval;     /* between idle look-ups when there is a wake_fd to tell earlier */
    mw_time blind_interval;    /* the same without a wake_fd */
    bool wakes_early;          /* wake_fd may tell of a commit before a read can see it: look again soon */

    mw_sql_open_fn *open;                 /* required */
    mw_sql_free_fn *free;                 /* required */
    mw_sql_connect_fn *connect;           /* required */
    mw_sql_disconnect_fn *disconnect;     /* required; harmless when not connected */
    mw_sql_schema_fn *schema;             /* required */
    mw_sql_run_fn *run;                   /* required */
    mw_sql_wake_fd_fn *wake_fd;           /* optional, otherwise polled at blind_interval */
    mw_sql_woken_fn *woken;               /* required with wake_fd */
    mw_sql_changed_fn *changed;           /* optional */
    mw_sql_interrupt_fn *interrupt;       /* required */
    const char *(*server)(mw_sql_db *db); /* required: where, for people ("127.0.0.1:3306/moonwatch"); no secret */

    /* Required: what the server calls itself ("10.11.6-MariaDB"). On the connection thread, while connected. */
    const char *(*product)(mw_sql_db *db);
};

/* ---- What a plug-in uses of this layer */

/* Open a connection on `driver`: the plug-in's `open` slot is this one line. Keys that the layer itself understands
 * (MW_SQL_OPTIONS) and those of `backend->options` are accepted, any other is MW_EINVALID. */
int mw_sql_open(const mw_backend *backend, const mw_sql_driver *driver, const mw_conn_config *config,
                mw_conn **ret_conn, mw_error *err);

/* The other slots, for the plug-in's table. */
mw_backend_close_fn mw_sql_close;
mw_backend_abandon_fn mw_sql_abandon;
mw_backend_expire_fn mw_sql_expire;
mw_backend_submit_fn mw_sql_submit;
mw_backend_cancel_fn mw_sql_cancel;
mw_backend_watch_fn mw_sql_watch;
mw_backend_unwatch_fn mw_sql_unwatch;
mw_backend_lock_fn mw_sql_lock;
mw_backend_unlock_fn mw_sql_unlock;
mw_backend_end_session_fn mw_sql_end_session;
mw_backend_stats_fn mw_sql_stats;

/* Rows of the options table that every SQL backend has; `timeout`: the session's, where none is asked for. */
/* clang-format off */
#define MW_SQL_OPTIONS(timeout)                                                                                        \
    {"session_timeout_ms", "duration", timeout, false, "a session without renewal for so long is over"},                \
    {"poll_interval_ms", "duration", NULL, false, "idle look-ups for changes; events come sooner where they can"},     \
    {"lock_idle_ms", "duration", "600000", false, "a lock that nobody used for so long leaves the table"},             \
    {"retention", "integer", "10000", false, "revisions kept in the change log; who slept longer reads anew"}
/* clang-format on */

/* The value of `key`, or NULL. */
const char *mw_sql_option(const mw_option *options, const char *key);

/* A whole number within [least, most], or `initial` when absent. MW_EINVALID names the key. */
int mw_sql_option_int(const mw_option *options, const char *key, int64_t initial, int64_t least, int64_t most,
                      int64_t *ret_value, mw_error *err);

/* What a DBA runs, malloc'ed: the tables of an empty database (`from` = 0), or what brings up those of schema `from`;
 * with their marks, which `mark` words. MW_EINVALID: there is no such schema. */
#define MW_SQL_MARK_SIZE 256
int mw_sql_schema_script(const mw_sql_dialect *dialect, int from,
                         void (*mark)(char *text, size_t size, const mw_sql_mark *mark), char **ret_text,
                         mw_error *err);

#endif
