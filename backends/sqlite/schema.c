/* The registry's tables in a file: made, brought up or refused, in one transaction each.
 *
 * The header's `user_version` is all that programs of schema 1 look at, so it says who may come: the mark's `oldest`.
 * The version itself stands in a table; where that is missing, it is the same.
 */
#include "db.h"

typedef struct identity {
    int64_t application;
    int64_t objects;
    mw_sql_mark mark;
} identity;

void mw__sqlite_mark(char *text, size_t size, const mw_sql_mark *mark) {
    (void)sqlite3_snprintf((int)size, text,
                           "CREATE TABLE IF NOT EXISTS mw_schema (version INTEGER NOT NULL);\n"
                           "DELETE FROM mw_schema;\n"
                           "INSERT INTO mw_schema VALUES (%d);\n"
                           "PRAGMA application_id = %d;\n"
                           "PRAGMA user_version = %d",
                           mark->version, MW__SQLITE_APPLICATION_ID, mark->oldest);
}

/* ---- What is there */

static int ask(mw_sql_db *db, const char *text, int64_t *ret_value, mw_error *err) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    int end = sqlite3_finalize(statement);
    return code == SQLITE_ROW ? MW_OK : mw__sqlite_fail(db, end ? end : code, err);
}

static int read_mark(mw_sql_db *db, bool ours, mw_sql_mark *ret_mark, mw_error *err) {
    int64_t oldest = 0, version = 0, told = 0;
    int status = ask(db, "PRAGMA user_version", &oldest, err);
    if (status == MW_OK && ours)
        status = ask(db, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'mw_schema'", &told, err);
    if (status == MW_OK && told)
        status = ask(db, "SELECT MAX(version) FROM mw_schema", &version, err);
    *ret_mark = (mw_sql_mark){(int)oldest, (int)(told ? version : oldest)};
    return status;
}

static int identify(mw_sql_db *db, identity *ret_identity, mw_error *err) {
    *ret_identity = (identity){0};
    int status = ask(db, "SELECT COUNT(*) FROM sqlite_master", &ret_identity->objects, err);
    if (status == MW_OK)
        status = ask(db, "PRAGMA application_id", &ret_identity->application, err);
    bool ours = ret_identity->application == MW__SQLITE_APPLICATION_ID;
    return status == MW_OK ? read_mark(db, ours, &ret_identity->mark, err) : status;
}

static bool is_empty(const identity *is) {
    return is->application == 0 && is->objects == 0 && is->mark.oldest == 0;
}

static int judge(mw_sql_db *db, const identity *is, const mw_sql_schema *schema, mw_error *err) {
    if (is_empty(is))
        return MW_OK;
    if (is->application != MW__SQLITE_APPLICATION_ID)
        return mw_fail(err, MW_ECORRUPT, "%s: the database of another application; choose another path", db->path);
    return mw_sql_schema_judge(schema, &is->mark, db->path, err);
}

static int look(mw_sql_db *db, const mw_sql_schema *schema, identity *ret_identity, mw_error *err) {
    int status = mw__sqlite_execute(db, "BEGIN", err);
    if (status != MW_OK)
        return status;
    status = identify(db, ret_identity, err);
    if (status == MW_OK)
        status = mw__sqlite_check_size(db, err);
    if (status == MW_OK)
        status = judge(db, ret_identity, schema, err);
    (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- What is missing */

static int run(void *arg, const char *text, mw_error *err) {
    return mw__sqlite_execute(arg, text, err);
}

static int set_mark(void *arg, const mw_sql_mark *mark, mw_error *err) {
    char text[MW_SQL_MARK_SIZE];
    mw__sqlite_mark(text, sizeof text, mark);
    return mw__sqlite_execute(arg, text, err);
}

static int make(mw_sql_db *db, const mw_sql_schema *schema, mw_error *err) {
    mw_sql_mark mark = mw_sql_schema_mark(schema, schema->version);
    int status = MW_OK;
    for (size_t i = 0; status == MW_OK && schema->tables[i]; i++)
        status = mw__sqlite_execute(db, schema->tables[i], err);
    return status == MW_OK ? set_mark(db, &mark, err) : status;
}

/* Others may have been here since we looked. */
static int bring(mw_sql_db *db, const mw_sql_schema *schema, identity *is, mw_error *err) {
    int status = mw__sqlite_execute(db, "BEGIN IMMEDIATE", err);
    if (status == MW_OK)
        status = identify(db, is, err);
    if (status == MW_OK)
        status = judge(db, is, schema, err);
    if (status == MW_OK)
        status = is_empty(is) ? make(db, schema, err)
                              : mw_sql_schema_upgrade(schema, is->mark.version, run, set_mark, db, err);
    if (status == MW_OK)
        status = mw__sqlite_execute(db, "COMMIT", err);
    if (status != MW_OK && !sqlite3_get_autocommit(db->handle))
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

int mw__sqlite_schema(mw_sql_db *db, const mw_sql_schema *schema, mw_error *err) {
    identity is = {0};
    int status = look(db, schema, &is, err);
    if (status != MW_OK || (!is_empty(&is) && is.mark.version >= schema->version))
        return status;
    status = bring(db, schema, &is, err);
    if (status == MW_OK && !is_empty(&is))
        mw_log(db->host, MW_LOG_INFO, "sqlite", "%s: brought from schema %d to %d", db->path, is.mark.version,
               schema->version);
    return status;
}
