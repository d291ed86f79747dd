/* The loadable backend "mysql". */
#define _GNU_SOURCE /* asprintf */
#include "plugin.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"
#include "options.h"

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    return mw_sql_open(backend, &mw_mysql_driver, config, ret_conn, err);
}

static char *tables(void) {
    return mw_sql_schema_script(&mw_mysql_driver.dialect, "ALTER TABLE mw_meta COMMENT = '" MW_MYSQL_SCHEMA_MARK,
                                "';\n");
}

static char *schema(void) {
    static const char rights[] = "-- The account needs on this database: SELECT, INSERT, UPDATE, DELETE.\n"
                                 "-- So that it hears of changes at once, on *.* (optional): REPLICATION SLAVE.\n"
                                 "-- So that it makes these tables itself: CREATE, ALTER, INDEX as well.\n";
    char *text = tables(), *all = NULL;
    if (text && asprintf(&all, "%s%s", rights, text) < 0)
        all = NULL;
    free(text);
    return all;
}

static const mw_backend backend = {
    .size = sizeof backend,
    .abi = MW_BACKEND_ABI,
    .name = "mysql",
    .library = "MariaDB Connector/C " MARIADB_PACKAGE_VERSION,
    .caps = MW_CAP_DURABLE | MW_CAP_DISTRIBUTED | MW_CAP_SESSIONS | MW_CAP_EXACT_PUT,
    .options = mw_mysql_requirements,
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

const mw_backend *mw_backend_plugin(void) {
    return &backend;
}
