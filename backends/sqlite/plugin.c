/* The loadable backend "sqlite". */
#include "db.h"

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    return mw_sql_open(backend, &mw__sqlite_driver, config, ret_conn, err);
}

static char *schema(void) {
    return mw_sql_schema_script(
        &mw__sqlite_driver.dialect,
        "PRAGMA application_id = " MW__SQLITE_TEXT(MW__SQLITE_APPLICATION_ID) ";\nPRAGMA user_version = ", ";\n");
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
};

__attribute__((visibility("default"))) const mw_backend *mw_backend_plugin(void);

const mw_backend *mw_backend_plugin(void) {
    return &backend;
}
