/* The loadable backend "mysql". */
#define _GNU_SOURCE /* asprintf */
#include "plugin.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>

#include "db.h"
#include "driver.h"
#include "options.h"

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    return mw_sql_open(backend, &mw_mysql_driver, config, ret_conn, err);
}

/* The statements below what is to be known of rights. */
static int script(int from, const char *rights, char **ret_text, mw_error *err) {
    char *text = NULL, *all = NULL;
    int status = mw_sql_schema_script(&mw_mysql_driver.dialect, from, mw_mysql_mark, &text, err);
    if (status == MW_OK && asprintf(&all, "%s%s", rights, text) < 0)
        status = mw_fail(err, MW_ENO_MEMORY, "out of memory writing the schema");
    free(text);
    if (status == MW_OK)
        *ret_text = all;
    return status;
}

static char *schema(void) {
    char *text = NULL;
    (void)script(0,
                 "-- The account needs on this database: SELECT, INSERT, UPDATE, DELETE.\n"
                 "-- So that it hears of changes at once, on *.* (optional): REPLICATION SLAVE.\n"
                 "-- So that it makes these tables itself, and brings them up later: CREATE, ALTER, INDEX as well.\n",
                 &text, NULL);
    return text;
}

static int upgrade(int from, char **ret_text, mw_error *err) {
    return script(
        from,
        "-- Who runs this needs on this database: CREATE, ALTER, INDEX. The account of Moonwatch needs no more\n"
        "-- than before. Processes may run meanwhile: tables are changed in place, and others go on using them.\n"
        "-- It may be run again after it was cut off: where error 1050, 1060, 1061 or 1091 says that a\n"
        "-- statement is done already, go on with the next.\n",
        ret_text, err);
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
    .upgrade = upgrade,
};

const mw_backend *mw_backend_plugin(void) {
    return &backend;
}
