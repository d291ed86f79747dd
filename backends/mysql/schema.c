/* The registry's tables: found, created under a lock, or refused. DDL commits by itself, so a mark that is written last
 * says that all of it is there; who finds tables without it finishes what another began. */
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "dial.h"
#include "driver.h"
#include "errors.h"

#define MARK MW_MYSQL_SCHEMA_MARK

typedef struct found_schema {
    bool there; /* mw_meta at least */
    bool marked;
    int version;
    long locked;
} found_schema;

static void read_mark(void *arg, MYSQL_ROW cells, unsigned count) {
    found_schema *found = arg;
    found->there = true;
    if (cells[0] && strncmp(cells[0], MARK, strlen(MARK)) == 0) {
        found->marked = true;
        found->version = atoi(cells[0] + strlen(MARK));
    }
}

static void read_locked(void *arg, MYSQL_ROW cells, unsigned count) {
    found_schema *found = arg;
    found->locked = cells[0] ? strtol(cells[0], NULL, 10) : 0;
}

static int look(mw_sql_db *db, found_schema *found, mw_error *err) {
    return mw_mysql_ask(db->mysql, "schema",
                        "SELECT TABLE_COMMENT FROM information_schema.TABLES "
                        "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'mw_meta'",
                        read_mark, found, err);
}

/* What another has created before us, or before it died. */
static bool is_there_already(unsigned number) {
    return number == ER_TABLE_EXISTS_ERROR || number == ER_DUP_KEYNAME;
}

static int may_not_create(mw_sql_db *db, mw_error *err) {
    return mw_fail(err, MW_EDENIED,
                   "%s: the registry's tables are missing, and the account '%s' may not create them: grant it "
                   "CREATE, ALTER and INDEX, or let a DBA run what `moonwatch schema mysql` prints",
                   db->where, db->options.username);
}

/* Who may make tables and not all the rest would leave a half behind, on which the DBA's script fails. The server looks
 * at the rights before it misses the table. */
static int check_rights_to_create(mw_sql_db *db, mw_error *err) {
    static const char *const probes[] = {"ALTER TABLE mw_meta DROP COLUMN mw_none", "DROP INDEX mw_none ON mw_meta"};
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        int status = mw_mysql_ask(db->mysql, "rights", probes[i], NULL, NULL, err);
        if (status == MW_EDENIED)
            return may_not_create(db, err);
        if (mw_mysql_is_gone(mysql_errno(db->mysql)))
            return status;
    }
    return MW_OK;
}

static int create(mw_sql_db *db, const char *const *ddl, int version, mw_error *err) {
    char mark[96];
    snprintf(mark, sizeof mark, "ALTER TABLE mw_meta COMMENT = '" MARK "%d'", version);
    for (size_t i = 0; ddl[i]; i++) {
        int status = mw_mysql_ask(db->mysql, "create", ddl[i], NULL, NULL, err);
        if (status == MW_EDENIED)
            return may_not_create(db, err);
        if (status && !is_there_already(mysql_errno(db->mysql)))
            return status;
    }
    /* Tables of these names that are not ours lack a column. */
    int status = mw_mysql_ask(db->mysql, "create",
                              "SELECT identity, revision, floor, lock_floor, epoch FROM mw_meta WHERE 1 = 0;"
                              "SELECT id, secret, expires, txn, verdict, txn_revision FROM mw_sessions WHERE 1 = 0",
                              NULL, NULL, err);
    if (status == MW_EINTERNAL)
        return mw_fail(err, MW_ECORRUPT,
                       "%s: tables named mw_... are there and are no registry's: use another database", db->where);
    return status ? status : mw_mysql_ask(db->mysql, "create", mark, NULL, NULL, err);
}

static int create_locked(mw_sql_db *db, const char *const *ddl, int version, found_schema *found, mw_error *err) {
    int status = mw_mysql_ask(db->mysql, "schema", "SELECT GET_LOCK(CONCAT('moonwatch.', MD5(DATABASE())), 10)",
                              read_locked, found, err);
    if (status)
        return status;
    if (found->locked != 1)
        return mw_fail(err, MW_EBUSY, "%s: another process is creating the tables", db->where);
    status = look(db, found, err);
    if (!status && !found->there)
        status = check_rights_to_create(db, err);
    if (!status && !found->marked) {
        status = create(db, ddl, version, err);
        found->marked = !status;
        found->version = version;
    }
    mw_error ignored;
    (void)mw_mysql_ask(db->mysql, "schema", "DO RELEASE_LOCK(CONCAT('moonwatch.', MD5(DATABASE())))", NULL, NULL,
                       &ignored);
    return status;
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

int mw_mysql_schema(mw_sql_db *db, const char *const *ddl, int version, mw_error *err) {
    found_schema found = {0};
    int status = look(db, &found, err);
    if (!status && !found.marked)
        status = create_locked(db, ddl, version, &found, err);
    if (status)
        return status;
    if (found.version != version)
        return mw_fail(err, MW_EUNSUPPORTED, "%s: the tables have schema %d, this program knows %d: update %s",
                       db->where, found.version, version, found.version > version ? "it" : "them");
    return check_rights(db, err);
}
