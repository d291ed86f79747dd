/* The loadable backend "sqlite". */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>

#include "db.h"

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    return mw_sql_open(backend, &mw__sqlite_driver, config, ret_conn, err);
}

static char *schema(void) {
    char *text = NULL;
    (void)mw_sql_schema_script(&mw__sqlite_driver.dialect, 0, mw__sqlite_mark, &text, NULL);
    return text;
}

/* Whole or not at all, as we do it ourselves. */
static int upgrade(int from, char **ret_text, mw_error *err) {
    char *text = NULL, *all = NULL;
    int status = mw_sql_schema_script(&mw__sqlite_driver.dialect, from, mw__sqlite_mark, &text, err);
    if (status == MW_OK && asprintf(&all, "BEGIN IMMEDIATE;\n%sCOMMIT;\n", text) < 0)
        status = mw_fail(err, MW_ENO_MEMORY, "out of memory writing the schema");
    free(text);
    if (status == MW_OK)
        *ret_text = all;
    return status;
}

static const mw_backend backend = {
    .size = sizeof backend,
    .abi = MW_BACKEND_ABI,
    .name = "sqlite",
    .library = "SQLite " SQLITE_VERSION,
    .caps = MW_CAP_DURABLE | MW_CAP_SESSIONS | MW_CAP_EXACT_PUT,
    .options = mw__sqlite_options,
    .open = open_conn,
    .close = mw_sql_close,
    .abandon = mw_sql_abandon,
    .expire = mw_sql_expire,
    .submit = mw_sql_submit,
    .cancel = mw_sql_cancel,
    .watch = mw_sql_watch,
    .unwatch = mw_sql_unwatch,
    .lock = mw_sql_lock,
    .unlock = mw_sql_unlock,
    .end_session = mw_sql_end_session,
    .stats = mw_sql_stats,
    .schema = schema,
    .upgrade = upgrade,
};

__attribute__((visibility("default"))) const mw_backend *mw_backend_plugin(void);

const mw_backend *mw_backend_plugin(void) {
    return &backend;
}
