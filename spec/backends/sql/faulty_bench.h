/* A file of its own, two clients, and a driver that breaks on demand, for specs of the shared SQL layer. */
#ifndef SPEC_SQL_FAULTY_BENCH_H
#define SPEC_SQL_FAULTY_BENCH_H

#include "backends/spi_client.h"
#include "backends/sqlite/bench.h"
#include "faulty.h"

#include <sqlite3.h>
#include <sys/eventfd.h>
#include <unistd.h>

static sqlite_bench bench;
static mw_option options[5];
static spi_client a, b;

static inline bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

static const spi_bench spi = {NULL, NULL, run, ""};

static inline void reset_faults(void) {
    faulty_arm(FAULTY_NONE, 0, false);
    atomic_store(&faulty.down, false);
    atomic_store(&faulty.stops_at, 0);
    atomic_store(&faulty.frozen, false);
    atomic_store(&faulty.hidden, 0);
    faulty.server_clock = false;
}

static inline void before(void) {
    a = b = (spi_client){0};
    reset_faults();
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    options[1] = (mw_option){"session_timeout_ms", "5000"};
    options[2] = (mw_option){"retention", "100"};
    options[3] = options[4] = (mw_option){NULL, NULL};
}

static inline void after(void) {
    reset_faults();
    spi_client *clients[] = {&a, &b};
    for (int i = 0; i < 2; i++)
        if (clients[i]->conn && !clients[i]->closed)
            spi_close(clients[i]);
    if (atomic_load(&faulty.wake_fd))
        close(atomic_load(&faulty.wake_fd));
    atomic_store(&faulty.wake_fd, 0);
    sqlite_bench_end(&bench);
}

static inline bool has_looked(void *arg) {
    return atomic_load(&faulty.looks) >= *(int *)arg;
}

static inline bool has_struck(void *arg) {
    return atomic_load(&faulty.struck) > 0;
}

static inline bool stands_still(void *arg) {
    return atomic_load(&faulty.frozen);
}

/* Woken by us alone, and no poll comes by itself but the first. */
static inline void open_woken_by_hand(void) {
    int once = atomic_load(&faulty.looks) + 1;
    options[3] = (mw_option){"poll_interval_ms", "3600000"};
    atomic_store(&faulty.wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    static spi_feed first;
    spi_watch(&a, &first, "/first", MW_DEPTH_SELF);
    CHECK(spi_await(&a, &first.synced, 1));
    CHECK(spi.run(has_looked, &once));
    a.backend->unwatch(a.conn, &first.feed);
}

static inline void wake(void) {
    CHECK_INT(eventfd_write(atomic_load(&faulty.wake_fd), 1), 0);
}

/* ---- Another process, in plain SQL */

static inline void execute(const char *sql) {
    sqlite3 *handle = NULL;
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(handle, 10000), SQLITE_OK);
    int code = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    (void)sqlite3_close(handle);
    CHECK_INT(code, SQLITE_OK);
}

static inline int64_t ask(const char *sql) {
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(handle, 10000), SQLITE_OK);
    CHECK_INT(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    int64_t answer = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(handle);
    return answer;
}

#endif
