/* The registry's tables: found, made or brought up under a lock, or refused. DDL commits by itself, so a mark that is
 * written last says that all of it is there; who finds tables without it finishes what another began. The mark is the
 * comment of mw_meta. Its first number, all that programs of schema 1 look at, says who may come.
 */
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "dial.h"

#define MARK "moonwatch schema "

typedef struct found_schema {
    bool there;       /* mw_meta at least */
    mw_sql_mark mark; /* version 0 = none */
    long locked;
} found_schema;

void mw_mysql_mark(char *text, size_t size, const mw_sql_mark *mark) {
    snprintf(text, size, "ALTER TABLE mw_meta COMMENT = '" MARK "%d..%d'", mark->oldest, mark->version);
}

/* ---- What is there */

/* "moonwatch schema 1..2", and "moonwatch schema 1" as programs of schema 1 write it. */
static void read_mark(void *arg, MYSQL_ROW cells, unsigned count) {
    found_schema *found = arg;
    int oldest = 0, version = 0;
    found->there = true;
    if (!cells[0] || strncmp(cells[0], MARK, strlen(MARK)) != 0)
        return;
    if (sscanf(cells[0] + strlen(MARK), "%d..%d", &oldest, &version) == 1)
        version = oldest;
    found->mark = oldest > 0 && version > 0 ? (mw_sql_mark){oldest, version} : (mw_sql_mark){-1, -1};
}

static void read_locked(void *arg, MYSQL_ROW cells, unsigned count) {
    found_schema *found = arg;
    found->locked = cells[0] ? strtol(cells[0], NULL, 10) : 0;
}

static int look(mw_sql_db *db, found_schema *found, mw_error *err) {
    *found = (found_schema){0};
    return mw_mysql_ask(db->mysql, "schema",
                        "SELECT TABLE_COMMENT FROM information_schema.TABLES "
                        "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'mw_meta'",
                        read_mark, found, err);
}

/* ---- The right to change it */

/* Whoever may not is told what a DBA does instead. */
static int may_not(mw_sql_db *db, const mw_sql_schema *schema, int version, mw_error *err) {
    if (!version)
        return mw_fail(err, MW_EDENIED,
                       "%s: the registry's tables are missing, and the account '%s' may not create them: grant it "
                       "CREATE, ALTER and INDEX, or let a DBA run what `moonwatch schema mysql` prints",
                       db->where, db->options.username);
    return mw_fail(err, MW_EDENIED,
                   "%s: the tables have schema %d, and the account '%s' may not bring them to schema %d: grant it "
                   "CREATE, ALTER and INDEX, or let a DBA run what `moonwatch schema mysql --from %d` prints",
                   db->where, version, db->options.username, schema->version, version);
}

/* Who may make tables and not all the rest would leave a half behind, on which the DBA's script fails. The server looks
 * at the rights before it misses the table, or the column and the index. */
static int check_rights_to_change(mw_sql_db *db, const mw_sql_schema *schema, int version, mw_error *err) {
    static const char *const probes[] = {"ALTER TABLE mw_meta DROP COLUMN mw_none", "DROP INDEX mw_none ON mw_meta"};
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        int status = mw_mysql_ask(db->mysql, "rights", probes[i], NULL, NULL, err);
        if (status == MW_EDENIED)
            return may_not(db, schema, version, err);
    }
    return MW_OK;
}

/* ---- Making it, and bringing it up. Under the lock */

/* What another has made, or taken away, before us or before it died. */
static bool is_done_already(unsigned number) {
    return number == ER_TABLE_EXISTS_ERROR || number == ER_DUP_KEYNAME || number == ER_DUP_FIELDNAME ||
           number == ER_CANT_DROP_FIELD_OR_KEY;
}

static int change(void *arg, const char *text, mw_error *err) {
    mw_sql_db *db = arg;
    int status = mw_mysql_ask_patiently(db->mysql, db->interrupt_fd, "schema", text, err);
    return status && is_done_already(mysql_errno(db->mysql)) ? MW_OK : status;
}

static int set_mark(void *arg, const mw_sql_mark *mark, mw_error *err) {
    char text[MW_SQL_MARK_SIZE];
    mw_mysql_mark(text, sizeof text, mark);
    return change(arg, text, err);
}

/* Tables of these names that are not ours lack a column. */
static int check_columns(mw_sql_db *db, mw_error *err) {
    int status = mw_mysql_ask(db->mysql, "schema",
                              "SELECT identity, revision, floor, lock_floor, epoch FROM mw_meta WHERE 1 = 0;"
                              "SELECT id, secret, expires, txn, verdict, txn_revision FROM mw_sessions WHERE 1 = 0",
                              NULL, NULL, err);
    return status == MW_EINTERNAL
               ? mw_fail(err, MW_ECORRUPT,
                         "%s: tables named mw_... are there and are no registry's: use another database", db->where)
               : status;
}

static int no_mark(void *arg, const mw_sql_mark *mark, mw_error *err) {
    return MW_OK;
}

/* Tables without a mark may be the half that an older program made. */
static int make(mw_sql_db *db, const mw_sql_schema *schema, const found_schema *found, mw_error *err) {
    mw_sql_mark mark = mw_sql_schema_mark(schema, schema->version);
    int status = MW_OK;
    for (size_t i = 0; !status && schema->tables[i]; i++)
        status = change(db, schema->tables[i], err);
    if (!status)
        status = check_columns(db, err);
    if (!status && found->there)
        status = mw_sql_schema_upgrade(schema, 1, change, no_mark, db, err);
    return status ? status : set_mark(db, &mark, err);
}

static int bring_up(mw_sql_db *db, const mw_sql_schema *schema, const found_schema *found, mw_error *err) {
    int from = found->mark.version;
    mw_log(db->host, MW_LOG_INFO, "mysql", "%s: brings the tables from schema %d to %d", db->where, from,
           schema->version);
    int status = mw_sql_schema_upgrade(schema, from, change, set_mark, db, err);
    if (!status)
        mw_log(db->host, MW_LOG_INFO, "mysql", "%s: the tables have schema %d", db->where, schema->version);
    return status;
}

static int change_locked(mw_sql_db *db, const mw_sql_schema *schema, found_schema *found, mw_error *err) {
    int status = look(db, found, err); /* others may have been here since we looked */
    int version = found->mark.version;
    if (!status && version)
        status = mw_sql_schema_judge(schema, &found->mark, db->where, err);
    if (status || version >= schema->version)
        return status;
    status = check_rights_to_change(db, schema, version, err);
    if (!status)
        status = version ? bring_up(db, schema, found, err) : make(db, schema, found, err);
    return status == MW_EDENIED ? may_not(db, schema, version, err) : status;
}

static int lock_and_change(mw_sql_db *db, const mw_sql_schema *schema, found_schema *found, mw_error *err) {
    /* As long as any lock is waited for: the connection's own limits are longer. */
    int status =
        mw_mysql_ask(db->mysql, "schema", "SELECT GET_LOCK(CONCAT('moonwatch.', MD5(DATABASE())), @@lock_wait_timeout)",
                     read_locked, found, err);
    if (status)
        return status;
    if (found->locked != 1)
        return mw_fail(err, MW_EBUSY, "%s: another process is making the tables, or brings them up", db->where);
    status = change_locked(db, schema, found, err);
    mw_error ignored;
    (void)mw_mysql_ask(db->mysql, "schema", "DO RELEASE_LOCK(CONCAT('moonwatch.', MD5(DATABASE())))", NULL, NULL,
                       &ignored);
    return status;
}

static bool is_about_the_change(int status) {
    return status != MW_EDISCONNECTED && status != MW_ECORRUPT && status != MW_EUNSUPPORTED && status != MW_ENO_MEMORY;
}

/* Whoever finds tables that it knows how to use stays in service: a DBA has time until the morning. */
static int make_do(mw_sql_db *db, const mw_sql_schema *schema, const found_schema *found, int status, mw_error *err) {
    int version = found->mark.version;
    if (version < schema->least || !is_about_the_change(status))
        return status;
    if (!db->made_do)
        mw_log(db->host, MW_LOG_WARN, "mysql", "goes on with tables of schema %d: %s", version, err->message);
    db->made_do = true;
    return MW_OK;
}

/* No row is touched; the server checks the rights all the same, and says now what is missing. */
static int check_rights(mw_sql_db *db, mw_error *err) {
    mw_error why;
    int status = mw_mysql_ask(db->mysql, "rights",
                              "UPDATE mw_meta SET epoch = epoch WHERE 1 = 0;"
                              "INSERT INTO mw_changes SELECT * FROM mw_changes WHERE 1 = 0;"
                              "DELETE FROM mw_changes WHERE 1 = 0",
                              NULL, NULL, &why);
    if (status == MW_EDENIED)
        return mw_fail(err, MW_EDENIED, "%s: a right is missing (SELECT, INSERT, UPDATE and DELETE are needed): %s",
                       db->where, mysql_error(db->mysql));
    return status ? mw_fail(err, status, "%s", why.message) : MW_OK;
}

int mw_mysql_schema(mw_sql_db *db, const mw_sql_schema *schema, mw_error *err) {
    found_schema found;
    mw_error why = {0};
    int status = look(db, &found, &why);
    if (!status && found.mark.version < schema->version) {
        status = lock_and_change(db, schema, &found, &why);
        if (status)
            status = make_do(db, schema, &found, status, &why);
    } else if (!status) {
        status = mw_sql_schema_judge(schema, &found.mark, db->where, &why);
    }
    return status ? mw_fail(err, status, "%s", why.message) : check_rights(db, err);
}
