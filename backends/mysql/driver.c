#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "db.h"
#include "dial.h"

#define FREE "mw_locks.holder = 0 AND mw_locks.waiters = 0"

/* Milliseconds since 1970 of the server's clock, whatever time zone anybody sets. */
#define SERVER_MS "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)"

/* Of the table as it was before the renewal: a read that locks nothing, for it is READ COMMITTED. */
#define FIRST_END "(SELECT x.first_end FROM (SELECT MIN(expires) AS first_end FROM mw_sessions) x)"

static void name_place(mw_sql_db *db) {
    const mw_mysql_options *options = &db->options;
    if (options->socket)
        snprintf(db->where, sizeof db->where, "%.150s/%.128s", options->socket, options->database);
    else
        snprintf(db->where, sizeof db->where, strchr(options->host, ':') ? "[%.150s]:%u/%.128s" : "%.150s:%u/%.128s",
                 options->host, options->port, options->database);
}

static void free_db(mw_sql_db *db) {
    if (!db)
        return;
    mw_mysql_disconnect(db);
    mw_mysql_binlog_release(&db->binlog);
    if (db->interrupt_fd >= 0)
        close(db->interrupt_fd);
    pthread_mutex_destroy(&db->lock);
    mw_mysql_packet_release(&db->packet);
    mw_mysql_options_release(&db->options);
    free(db);
}

static int prepare(mw_sql_db *db, mw_error *err) {
    uint32_t server_id;
    name_place(db);
    /* From the upper half: nobody numbers replicas there by hand. */
    mw_host_random(db->host, &server_id, sizeof server_id);
    int status =
        mw_mysql_binlog_init(&db->binlog, db->host, &db->options, db->where, server_id | UINT32_C(0x80000000), err);
    if (status)
        return status;
    db->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (db->interrupt_fd < 0)
        return mw_fail(err, MW_EIO, "eventfd: %s", strerror(errno));
    return mysql_library_init(0, NULL, NULL) ? mw_fail(err, MW_EUNSUPPORTED, "the MySQL client library does not start")
                                             : MW_OK;
}

static int open_db(const mw_sql_driver_config *config, mw_sql_db **ret_db, mw_error *err) {
    mw_sql_db *db = calloc(1, sizeof *db);
    if (!db)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory");
    db->host = config->host;
    db->session_timeout = config->session_timeout;
    db->catalog = config->catalog;
    db->socket = db->interrupt_fd = db->binlog.hint_fd = db->binlog.stop_fd = -1;
    pthread_mutex_init(&db->lock, NULL);
    int status = mw_mysql_options_read(config->options, &db->options, err);
    if (!status)
        status = prepare(db, err);
    if (status) {
        free_db(db);
        return status;
    }
    *ret_db = db;
    return MW_OK;
}

static int wake_fd(mw_sql_db *db) {
    return mw_mysql_binlog_fd(&db->binlog);
}

static void woken(mw_sql_db *db) {
    mw_mysql_binlog_clear(&db->binlog);
}

static const char *server(mw_sql_db *db) {
    return db->where;
}

static const char *product(mw_sql_db *db) {
    return db->server.version;
}

const mw_sql_driver mw_mysql_driver = {
    .name = "mysql",
    .dialect =
        {
            .now = SERVER_MS,
            .wall = SERVER_MS,
            .boot = "_binary''",
            .ignore = "INSERT IGNORE INTO",
            .upsert = "ON DUPLICATE KEY UPDATE",
            .fresh_before = "VALUES(",
            .fresh_after = ")",
            .share = "LOCK IN SHARE MODE",
            /* Assigned from left to right: `holder`, on which the others depend, comes last. LAST_INSERT_ID(0) takes
             * back what the SELECT has set. */
            .take = "ON DUPLICATE KEY UPDATE "
                    "token = IF(" FREE ", LAST_INSERT_ID(mw_locks.token + 1), mw_locks.token + LAST_INSERT_ID(0)), "
                    "handle = IF(" FREE ", VALUES(handle), mw_locks.handle), "
                    "value = IF(" FREE ", VALUES(value), mw_locks.value), "
                    "since = IF(" FREE ", VALUES(since), mw_locks.since), "
                    "holder = IF(" FREE ", VALUES(holder), mw_locks.holder)",
            .first_token = "LAST_INSERT_ID(lock_floor + 1)",
            .beat = " + 0 * LAST_INSERT_ID((" SERVER_MS " << 20) + LEAST(GREATEST(" FIRST_END " - " SERVER_MS
                    ", 0), " MW_SQL_BEAT_MOST "))",
            .joins = true,
            .path_type = "VARBINARY(1024)",
            .bytes_type = "LONGBLOB",
            .short_type = "VARBINARY(64)",
            .int_type = "BIGINT",
            .table_end = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
            .online = " ALGORITHM=INPLACE LOCK=NONE",
            .drop_index = ", ALGORITHM=INPLACE, LOCK=NONE",
        },
    .rows_per_statement = MW_MYSQL_ROWS_PER_STATEMENT,
    .own_clock = false,
    .poll_interval = 1000 * MW_MS,
    .blind_interval = 200 * MW_MS,
    .wakes_early = true, /* the binary log is written before the engine commits */
    .open = open_db,
    .free = free_db,
    .connect = mw_mysql_connect,
    .disconnect = mw_mysql_disconnect,
    .schema = mw_mysql_schema,
    .run = mw_mysql_run,
    .wake_fd = wake_fd,
    .woken = woken,
    .interrupt = mw_mysql_interrupt,
    .server = server,
    .product = product,
};
