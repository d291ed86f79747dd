#include "sqlite_bench_floor.h"

#include "sql/statements.h"
#include "sqlite/db.h"

#include <stdlib.h>

#define SESSION 4242

struct bench_floor {
    sqlite3 *handle;
    sqlite3_stmt *steps[8];
    size_t count;
    mw_sql_db functions; /* for mw_now() and its kin only */
    mw_sql_statement *statements;
    sqlite3_int64 txn;
};

/* What backends/sql sends for a put, in its order. */
static const mw__sql_statement_id of_a_put[] = {MW__SQL_BUMP,        MW__SQL_TXN_MARK, MW__SQL_TXN_CHECK,
                                                MW__SQL_TXN_VERDICT, MW__SQL_TXN_PUT,  MW__SQL_TXN_CHANGED,
                                                MW__SQL_TXN_RESULTS};

static int prepare(bench_floor *bare) {
    for (size_t i = 0; i < sizeof of_a_put / sizeof *of_a_put; i++) {
        const char *text = bare->statements[of_a_put[i]].text;
        if (sqlite3_prepare_v3(bare->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &bare->steps[i], NULL) != SQLITE_OK)
            return -1;
        bare->count++;
    }
    return 0;
}

bench_floor *bench_floor_open(const char *path) {
    bench_floor *bare = calloc(1, sizeof *bare);
    if (!bare || mw__sql_catalog_new(&mw__sqlite_driver, &bare->statements, NULL) != MW_OK)
        return NULL;
    if (sqlite3_open(path, &bare->handle) != SQLITE_OK)
        return NULL;
    (void)sqlite3_busy_timeout(bare->handle, 10000); /* a renewal of ours may be under way */
    bare->functions.handle = bare->handle;
    (void)mw__sqlite_add_functions(&bare->functions);
    if (sqlite3_exec(bare->handle,
                     "PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL;"
                     "DELETE FROM mw_sessions WHERE id = 4242; INSERT INTO mw_sessions VALUES "
                     "(4242, x'', x'', 0, 9000000000000000, 1000000, x'', 0, 0, 0, 0)",
                     NULL, NULL, NULL) != SQLITE_OK ||
        prepare(bare) != 0)
        return NULL;
    return bare;
}

static int run(sqlite3_stmt *step) {
    int code;
    do
        code = sqlite3_step(step);
    while (code == SQLITE_ROW);
    (void)sqlite3_reset(step);
    return code == SQLITE_DONE ? 0 : -1;
}

static void text(sqlite3_stmt *step, int index, const char *bytes) {
    (void)sqlite3_bind_blob(step, index, bytes, (int)strlen(bytes), SQLITE_STATIC);
}

static void bind(bench_floor *bare, size_t i, const char *path, const char *value) {
    sqlite3_stmt *step = bare->steps[i];
    (void)sqlite3_bind_int64(step, 1, SESSION);
    (void)sqlite3_bind_int64(step, 2, bare->txn);
    if (of_a_put[i] == MW__SQL_TXN_CHECK) {
        (void)sqlite3_bind_int64(step, 11, 0);
        (void)sqlite3_bind_int64(step, 12, MW__SQL_STEP_PUT);
        text(step, 13, path);
        text(step, 14, "/bench");
        (void)sqlite3_bind_int64(step, 15, 0);
        (void)sqlite3_bind_int64(step, 16, 0);
        (void)sqlite3_bind_int64(step, 17, 0);
    } else if (of_a_put[i] == MW__SQL_TXN_PUT) {
        text(step, 11, path);
        text(step, 12, "/bench");
        text(step, 13, value);
        (void)sqlite3_bind_int64(step, 14, 0);
    } else if (of_a_put[i] == MW__SQL_TXN_CHANGED) {
        (void)sqlite3_bind_int64(step, 11, 0);
        text(step, 12, path);
    }
}

int bench_floor_put(bench_floor *bare, const char *path, const char *value) {
    bare->txn++;
    if (sqlite3_exec(bare->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return -1;
    for (size_t i = 0; i < bare->count; i++) {
        bind(bare, i, path, value);
        if (run(bare->steps[i]) != 0)
            return -1;
    }
    return sqlite3_exec(bare->handle, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

void bench_floor_close(bench_floor *bare) {
    for (size_t i = 0; i < bare->count; i++)
        (void)sqlite3_finalize(bare->steps[i]);
    (void)sqlite3_exec(bare->handle, "DELETE FROM mw_sessions WHERE id = 4242", NULL, NULL, NULL);
    (void)sqlite3_close(bare->handle);
    mw__sql_catalog_free(bare->statements);
    free(bare);
}
