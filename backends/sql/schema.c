/* The tables, the steps from each version of them to the next, and the rules for programs and tables of unlike age.
 *
 * A new version is a step more at the end of `steps` and the tables as they are after it. Old programs run on while
 * their tables are brought up, and come back: as long as what they say still works, `oldest` stays. So a column is
 * added with a default, and what they still use is not taken away before programs of the version before are gone.
 */
#include "schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "statements.h"

/* clang-format off */
/* mw_meta has two rows: 1 is what each writer changes first, 2 holds the floor of tokens, which only those read and
 * change who make and drop the rows of locks. */
static const char *const tables[] = {
    "CREATE TABLE mw_meta (id {int} NOT NULL PRIMARY KEY, identity {short} NOT NULL, revision {int} NOT NULL, "
        "floor {int} NOT NULL, lock_floor {int} NOT NULL, epoch {int} NOT NULL) {table_end}",
    "CREATE TABLE mw_sessions (id {int} NOT NULL PRIMARY KEY, secret {short} NOT NULL, name {bytes} NOT NULL, "
        "opened {int} NOT NULL, expires {int} NOT NULL, timeout {int} NOT NULL, boot {short} NOT NULL, "
        "ended {int} NOT NULL, txn {int} NOT NULL, verdict {int} NOT NULL, txn_revision {int} NOT NULL) {table_end}",
    "CREATE INDEX mw_sessions_expires ON mw_sessions (expires)",
    "CREATE TABLE mw_entries (path {path} NOT NULL PRIMARY KEY, parent {path} NOT NULL, value {bytes} NOT NULL, "
        "version {int} NOT NULL, revision {int} NOT NULL, created {int} NOT NULL, owner {int} NOT NULL, "
        "ctime {int} NOT NULL, mtime {int} NOT NULL) {table_end}",
    "CREATE INDEX mw_entries_parent ON mw_entries (parent)",
    "CREATE INDEX mw_entries_owner ON mw_entries (owner)",
    "CREATE TABLE mw_changes (revision {int} NOT NULL, kind {int} NOT NULL, path {path} NOT NULL, step {int} NOT NULL, "
        "version {int} NOT NULL, created {int} NOT NULL, owner {int} NOT NULL, value {bytes}, "
        "PRIMARY KEY (revision, kind, path)) {table_end}",
    "CREATE TABLE mw_locks (path {path} NOT NULL PRIMARY KEY, token {int} NOT NULL, holder {int} NOT NULL, "
        "handle {int} NOT NULL, waiters {int} NOT NULL, value {bytes} NOT NULL, since {int} NOT NULL) {table_end}",
    "CREATE INDEX mw_locks_holder_since ON mw_locks (holder, since)",
    "CREATE TABLE mw_lock_waiters (path {path} NOT NULL, seq {int} NOT NULL, session {int} NOT NULL, "
        "handle {int} NOT NULL, value {bytes} NOT NULL, since {int} NOT NULL, PRIMARY KEY (path, seq)) {table_end}",
    "CREATE INDEX mw_lock_waiters_session ON mw_lock_waiters (session)",
    "CREATE UNIQUE INDEX mw_lock_waiters_handle ON mw_lock_waiters (handle)",
    NULL,
};

/* The look for idle locks read every free one. No index more for that: taking and releasing a lock pays for each. */
static const char *const to_2[] = {
    "CREATE INDEX mw_locks_holder_since ON mw_locks (holder, since){online}",
    "{drop_index:mw_locks.mw_locks_holder}",
    NULL,
};
/* clang-format on */

static const struct {
    int oldest; /* as of mw_sql_upgrade */
    const char *const *statements;
} steps[MW__SQL_SCHEMA_VERSION - 1] = {
    {1, to_2},
};

/* The oldest tables that this program gets along with while nobody may bring them up. */
#define LEAST 1

#define STEP_COUNT (sizeof steps / sizeof *steps)

/* ---- Filling in a dialect */

static void free_texts(const char *const *texts) {
    for (size_t i = 0; texts && texts[i]; i++)
        free((char *)texts[i]);
    free((void *)texts);
}

static int expand_all(const mw_sql_dialect *dialect, const char *const *templates, const char *const **ret_texts,
                      mw_error *err) {
    size_t count = 0;
    while (templates[count])
        count++;
    const char **texts = calloc(count + 1, sizeof *texts);
    *ret_texts = texts;
    if (!texts)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory preparing SQL");
    int status = MW_OK;
    for (size_t i = 0; status == MW_OK && i < count; i++)
        status = mw__sql_expand(dialect, templates[i], &texts[i], err);
    return status;
}

int mw__sql_schema_new(const mw_sql_dialect *dialect, mw_sql_schema **ret_schema, mw_error *err) {
    mw_sql_schema *schema = calloc(1, sizeof *schema);
    mw_sql_upgrade *upgrades = calloc(STEP_COUNT, sizeof *upgrades);
    if (!schema || !upgrades) {
        free(schema);
        free(upgrades);
        (void)mw_fail(err, MW_ENO_MEMORY, "out of memory preparing SQL");
        return MW_ENO_MEMORY;
    }
    *schema = (mw_sql_schema){
        .version = MW__SQL_SCHEMA_VERSION, .least = LEAST, .upgrades = upgrades, .upgrade_count = STEP_COUNT};
    int status = expand_all(dialect, tables, &schema->tables, err);
    for (size_t i = 0; status == MW_OK && i < STEP_COUNT; i++) {
        upgrades[i].oldest = steps[i].oldest;
        status = expand_all(dialect, steps[i].statements, &upgrades[i].statements, err);
    }
    if (status != MW_OK) {
        mw__sql_schema_free(schema);
        return status;
    }
    *ret_schema = schema;
    return MW_OK;
}

void mw__sql_schema_free(mw_sql_schema *schema) {
    if (!schema)
        return;
    for (size_t i = 0; i < schema->upgrade_count; i++)
        free_texts(schema->upgrades[i].statements);
    free((void *)schema->upgrades);
    free_texts(schema->tables);
    free(schema);
}

/* ---- Versions */

mw_sql_mark mw_sql_schema_mark(const mw_sql_schema *schema, int version) {
    int oldest = version > 1 ? schema->upgrades[version - 2].oldest : 1;
    return (mw_sql_mark){oldest, version};
}

int mw_sql_schema_judge(const mw_sql_schema *schema, const mw_sql_mark *found, const char *where, mw_error *err) {
    if (found->oldest > schema->version)
        return mw_fail(err, MW_EUNSUPPORTED,
                       "%s: the tables have schema %d, made by a newer Moonwatch; this one knows schema %d and is too "
                       "old for them: update it",
                       where, found->version > found->oldest ? found->version : found->oldest, schema->version);
    if (found->oldest < 1 || found->version < found->oldest)
        return mw_fail(err, MW_ECORRUPT, "%s: the tables say that they have schema %d, for programs from %d on", where,
                       found->version, found->oldest);
    return MW_OK;
}

int mw_sql_schema_upgrade(const mw_sql_schema *schema, int from, int (*run)(void *arg, const char *text, mw_error *err),
                          int (*complete)(void *arg, const mw_sql_mark *mark, mw_error *err), void *arg,
                          mw_error *err) {
    int status = MW_OK;
    for (int version = from; status == MW_OK && version < schema->version; version++) {
        const char *const *statements = schema->upgrades[version - 1].statements;
        for (size_t i = 0; status == MW_OK && statements[i]; i++)
            status = run(arg, statements[i], err);
        mw_sql_mark mark = mw_sql_schema_mark(schema, version + 1);
        if (status == MW_OK)
            status = complete(arg, &mark, err);
    }
    return status;
}

/* ---- For a DBA */

typedef struct script {
    FILE *out;
    void (*mark)(char *text, size_t size, const mw_sql_mark *mark);
} script;

static int write_statement(void *arg, const char *text, mw_error *err) {
    (void)fprintf(((script *)arg)->out, "%s;\n", text);
    return MW_OK;
}

static int write_mark(void *arg, const mw_sql_mark *mark, mw_error *err) {
    const script *to = arg;
    char text[MW_SQL_MARK_SIZE];
    to->mark(text, sizeof text, mark);
    return write_statement(arg, text, err);
}

static int write_script(const mw_sql_schema *schema, int from, script *to, mw_error *err) {
    if (from)
        return mw_sql_schema_upgrade(schema, from, write_statement, write_mark, to, err);
    for (size_t i = 0; schema->tables[i]; i++)
        (void)write_statement(to, schema->tables[i], err);
    mw_sql_mark mark = mw_sql_schema_mark(schema, schema->version);
    return write_mark(to, &mark, err);
}

int mw_sql_schema_script(const mw_sql_dialect *dialect, int from,
                         void (*mark)(char *text, size_t size, const mw_sql_mark *mark), char **ret_text,
                         mw_error *err) {
    if (from < 0 || from >= MW__SQL_SCHEMA_VERSION)
        return mw_fail(err, MW_EINVALID, "there is nothing to bring up from schema %d: the newest is %d", from,
                       MW__SQL_SCHEMA_VERSION);
    mw_sql_schema *schema = NULL;
    int status = mw__sql_schema_new(dialect, &schema, err);
    if (status != MW_OK)
        return status;
    char *bytes = NULL;
    size_t size = 0;
    script to = {open_memstream(&bytes, &size), mark};
    if (to.out)
        status = write_script(schema, from, &to, err);
    mw__sql_schema_free(schema);
    if (!to.out || fclose(to.out) != 0 || status != MW_OK) {
        free(bytes);
        return mw_fail(err, MW_ENO_MEMORY, "out of memory writing the schema");
    }
    *ret_text = bytes;
    return MW_OK;
}
