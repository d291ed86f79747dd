/* The SQLite driver: its table, its options, and how a connection begins and ends. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "db.h"

/* RETURNING, and an upsert that we rely on. */
#define OLDEST_SQLITE 3037000

static void free_db(mw_sql_db *db) {
    if (!db)
        return;
    free(db->prepared);
    free(db->path);
    free(db);
}

/* Absolute, since the process may change its directory while we look at the path again and again. */
static char *absolute(const char *path) {
    char here[4096], *whole = NULL;
    if (path[0] == '/')
        return strdup(path);
    if (!getcwd(here, sizeof here) || asprintf(&whole, "%s/%s", here, path) < 0)
        return NULL;
    return whole;
}

static int check_library(mw_error *err) {
    if (sqlite3_libversion_number() < OLDEST_SQLITE)
        return mw_fail(err, MW_EUNSUPPORTED, "SQLite %s is too old; 3.37.0 or newer is needed", sqlite3_libversion());
    if (!sqlite3_threadsafe())
        return mw_fail(err, MW_EUNSUPPORTED, "this SQLite was built without threads");
    return MW_OK;
}

static int open_db(const mw_sql_driver_config *config, mw_sql_db **ret_db, mw_error *err) {
    const char *path = mw_sql_option(config->options, "path");
    int64_t busy = 0;
    int status = check_library(err);
    if (status == MW_OK)
        status = mw_sql_option_int(config->options, "busy_timeout_ms", 1000, 1, 3600000, &busy, err);
    if (status != MW_OK)
        return status;
    if (!path || !*path)
        return mw_fail(err, MW_EINVALID, "path: the registry's file is needed");
    mw_sql_db *db = calloc(1, sizeof *db);
    if (db) {
        db->path = absolute(path);
        db->prepared = calloc(config->catalog_size, sizeof *db->prepared);
    }
    if (!db || !db->path || !db->prepared) {
        free_db(db);
        return mw_fail(err, MW_ENO_MEMORY, "out of memory opening %s", path);
    }
    db->host = config->host;
    db->catalog = config->catalog;
    db->catalog_size = config->catalog_size;
    db->busy_timeout = (mw_time)busy * MW_MS;
    db->watch_fd = -1;
    mw_host_random(config->host, &db->random, sizeof db->random);
    db->random |= 1;
    *ret_db = db;
    return MW_OK;
}

static int wake_fd(mw_sql_db *db) {
    return db->watch_fd;
}

static void woken(mw_sql_db *db) {
    char events[4096];
    ssize_t got = read(db->watch_fd, events, sizeof events);
    (void)got; /* what happened does not matter: the file is looked at */
}

/* Only waiting for the file's lock takes long: the flag ends that. What runs is left to finish. */
static void interrupt(mw_sql_db *db) {
    atomic_store(&db->interrupted, true);
}

static const char *server(mw_sql_db *db) {
    return db->path;
}

static const char *product(mw_sql_db *db) {
    return sqlite3_libversion(); /* of the library that is loaded now */
}

const mw_sql_driver mw__sqlite_driver = {
    .name = "sqlite",
    .dialect =
        {
            .now = "mw_now()",
            .wall = "mw_wall()",
            .boot = "mw_boot()",
            .ignore = "INSERT OR IGNORE INTO",
            .upsert = "ON CONFLICT (path) DO UPDATE SET",
            .fresh_before = "excluded.",
            .fresh_after = "",
            .share = "",
            .take = "ON CONFLICT (path) DO UPDATE SET token = token + 1, holder = excluded.holder, "
                    "handle = excluded.handle, value = excluded.value, since = excluded.since "
                    "WHERE holder = 0 AND waiters = 0 RETURNING token",
            .first_token = "lock_floor + 1",
            .path_type = "BLOB",
            .bytes_type = "BLOB",
            .short_type = "BLOB",
            .int_type = "INTEGER",
            .online = "",
            .table_end = "WITHOUT ROWID",
        },
    .rows_per_statement = 1,
    .own_clock = true,
    .poll_interval = MW_SECOND,
    .blind_interval = 20 * MW_MS,
    .open = open_db,
    .free = free_db,
    .connect = mw__sqlite_connect,
    .disconnect = mw__sqlite_disconnect,
    .schema = mw__sqlite_schema,
    .run = mw__sqlite_run,
    .wake_fd = wake_fd,
    .woken = woken,
    .changed = mw__sqlite_changed,
    .interrupt = interrupt,
    .server = server,
    .product = product,
};

const mw_requirement mw__sqlite_options[] = {
    {"path", "path", NULL, true, "the registry's file; created when it is not there"},
    {"busy_timeout_ms", "duration", "1000", false, "how long one attempt waits for a file that another process locked"},
    MW_SQL_OPTIONS("6000"),
    {NULL, NULL, NULL, false, NULL},
};
