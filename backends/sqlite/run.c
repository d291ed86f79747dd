/* Statements, transactions and what SQLite's errors mean. */
#include <unistd.h>

#include "db.h"

#define FIRST_COLUMN 11
#define MOST_CELLS 16

int mw__sqlite_fail(const mw_sql_db *db, int code, mw_error *err) {
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mw_fail(err, MW_EBUSY,
                       "%s: locked by another process for too long (one that was stopped while writing?)", db->path);
    case SQLITE_FULL:
        return mw_fail(err, MW_EIO, "%s: the disk is full; nothing was changed", db->path);
    case SQLITE_READONLY:
        if (code == SQLITE_READONLY_DBMOVED)
            return mw_fail(err, MW_EDISCONNECTED, "%s: the file was moved or deleted", db->path);
        return mw_fail(err, MW_EDENIED, "%s: read-only; let this user write the file and its directory", db->path);
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return mw_fail(err, MW_EDENIED, "%s: %s", db->path, text);
    case SQLITE_CORRUPT:
        return mw_fail(err, MW_ECORRUPT, "%s: damaged (%s); restore it from a copy", db->path, text);
    case SQLITE_NOTADB:
        return mw_fail(err, MW_ECORRUPT, "%s: not an SQLite database; choose another path", db->path);
    case SQLITE_TOOBIG:
        return mw_fail(err, MW_ETOO_LARGE, "%s: too large a value", db->path);
    case SQLITE_NOMEM:
        return mw_fail(err, MW_ENO_MEMORY, "%s: out of memory", db->path);
    case SQLITE_INTERRUPT:
        return mw_fail(err, MW_EDISCONNECTED, "%s: interrupted", db->path);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS:
        return mw_fail(err, MW_EIO, "%s: %s (code %d)", db->path, text, code);
    default:
        return mw_fail(err, MW_EINTERNAL, "%s: %s (code %d)", db->path, text, code);
    }
}

void mw__sqlite_finalize(mw_sql_db *db) {
    for (size_t i = 0; db->prepared && i < db->catalog_size; i++) {
        (void)sqlite3_finalize(db->prepared[i]);
        db->prepared[i] = NULL;
    }
    sqlite3_stmt **const own[] = {&db->begin_write, &db->begin_read, &db->commit, &db->rollback, &db->data_version};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        (void)sqlite3_finalize(*own[i]);
        *own[i] = NULL;
    }
}

static int prepare(const mw_sql_db *db, const char *text, sqlite3_stmt **statement) {
    if (*statement)
        return SQLITE_OK;
    return sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

static int command(const mw_sql_db *db, const char *text, sqlite3_stmt **statement) {
    int code = prepare(db, text, statement);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(*statement);
    (void)sqlite3_reset(*statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* ---- One statement */

static int bind(sqlite3_stmt *statement, int index, const mw_sql_value *value) {
    switch (value->type) {
    case MW_SQL_INT:
        return sqlite3_bind_int64(statement, index, value->integer);
    case MW_SQL_BYTES:
        return sqlite3_bind_blob64(statement, index, value->bytes.len ? value->bytes.data : "", value->bytes.len,
                                   SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, index);
    }
}

static int bind_params(sqlite3_stmt *statement, const mw_sql_step *step) {
    int most = sqlite3_bind_parameter_count(statement), code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < step->param_count && (int)i < most; i++)
        code = bind(statement, (int)i + 1, &step->params[i]);
    return code;
}

static size_t read_cells(sqlite3_stmt *statement, mw_sql_value cells[MOST_CELLS]) {
    size_t count = (size_t)sqlite3_column_count(statement);
    for (size_t i = 0; i < count && i < MOST_CELLS; i++) {
        int column = (int)i, type = sqlite3_column_type(statement, column);
        cells[i] = (mw_sql_value){.type = MW_SQL_NULL};
        if (type == SQLITE_INTEGER) {
            cells[i] = (mw_sql_value){.type = MW_SQL_INT, .integer = sqlite3_column_int64(statement, column)};
        } else if (type != SQLITE_NULL) {
            const char *bytes = sqlite3_column_blob(statement, column);
            cells[i] =
                (mw_sql_value){.type = MW_SQL_BYTES, .bytes = {bytes, (size_t)sqlite3_column_bytes(statement, column)}};
        }
    }
    return count < MOST_CELLS ? count : MOST_CELLS;
}

typedef struct outcome {
    bool refused; /* MW_SQL_VERDICT said so */
} outcome;

static int run_once(mw_sql_db *db, mw_sql_batch *batch, size_t index, sqlite3_stmt *statement, outcome *ret_outcome) {
    mw_sql_step *step = &batch->steps[index];
    mw_sql_value cells[MOST_CELLS] = {{.type = MW_SQL_NULL}};
    bool any = false, granted = false;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        size_t count = read_cells(statement, cells);
        if (!any && count > 0)
            granted = cells[0].type == MW_SQL_INT && cells[0].integer == 0;
        any = true;
        if (step->flags & MW_SQL_RETURNS)
            step->returned = cells[0].integer;
        else if (batch->row)
            batch->row(batch->arg, index, cells, count);
    }
    if (code == SQLITE_DONE && !sqlite3_stmt_readonly(statement))
        step->affected += sqlite3_changes64(db->handle);
    (void)sqlite3_reset(statement);
    if (step->flags & MW_SQL_VERDICT)
        ret_outcome->refused = !granted;
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static size_t column_count(const mw_sql_statement *text) {
    size_t count = 0;
    while (text->columns[count])
        count++;
    return count;
}

static int run_step(mw_sql_db *db, mw_sql_batch *batch, size_t index, outcome *ret_outcome) {
    mw_sql_step *step = &batch->steps[index];
    const mw_sql_statement *text = &db->catalog[step->statement];
    sqlite3_stmt **statement = &db->prepared[step->statement];
    size_t columns = column_count(text);
    step->affected = 0;
    step->returned = 0;
    int code = prepare(db, text->text, statement);
    if (code == SQLITE_OK)
        code = bind_params(*statement, step);
    if (columns == 0)
        return code == SQLITE_OK ? run_once(db, batch, index, *statement, ret_outcome) : code;
    for (size_t row = 0; code == SQLITE_OK && row < step->row_count; row++) {
        for (size_t i = 0; code == SQLITE_OK && i < columns; i++)
            code = bind(*statement, FIRST_COLUMN + (int)i, &step->rows[row * columns + i]);
        if (code == SQLITE_OK)
            code = run_once(db, batch, index, *statement, ret_outcome);
    }
    return code;
}

/* ---- Batches */

static void roll_back(mw_sql_db *db) {
    if (!sqlite3_get_autocommit(db->handle))
        (void)command(db, "ROLLBACK", &db->rollback);
}

static int begin(mw_sql_db *db, const mw_sql_batch *batch) {
    if (batch->kind == MW_SQL_READ)
        return command(db, "BEGIN", &db->begin_read);
    return batch->writes ? command(db, "BEGIN IMMEDIATE", &db->begin_write) : SQLITE_OK;
}

static int commit(mw_sql_db *db, const mw_sql_batch *batch) {
    bool open = batch->writes || batch->kind == MW_SQL_READ;
    return open ? command(db, "COMMIT", &db->commit) : SQLITE_OK;
}

/* Whether a commit that reported a failure has certainly not happened: the file's own counter of commits stands where
 * it stood. Reading it rolls back what the commit left half done. */
static bool certainly_not(mw_sql_db *db, uint32_t counter) {
    uint32_t now = 0;
    bool same = sqlite3_exec(db->handle, "BEGIN; SELECT COUNT(*) FROM mw_meta;", NULL, NULL, NULL) == SQLITE_OK &&
                mw__sqlite_counter(db, &now) == SQLITE_OK && now == counter;
    roll_back(db);
    return same;
}

static int failed(mw_sql_db *db, int code, bool committing, uint32_t counter, mw_error *err) {
    int status = mw__sqlite_fail(db, code, err), primary = code & 0xFF;
    roll_back(db);
    bool doubtful = committing && (primary == SQLITE_IOERR || primary == SQLITE_FULL || primary == SQLITE_CORRUPT);
    if (!doubtful || certainly_not(db, counter))
        return status;
    if (err)
        err->code = MW_EUNKNOWN;
    return MW_EUNKNOWN;
}

int mw__sqlite_run(mw_sql_db *db, mw_sql_batch *batch, mw_error *err) {
    int status = mw__sqlite_same_file(db, err);
    if (status != MW_OK)
        return status;
    if (batch->writes)
        mw__sqlite_yield(db);
    outcome come = {0};
    sqlite3_int64 before = sqlite3_total_changes64(db->handle);
    uint32_t counter = 0;
    bool committing = false;
    int code = begin(db, batch);
    if (code == SQLITE_OK && batch->writes)
        code = mw__sqlite_counter(db, &counter);
    for (size_t i = 0; code == SQLITE_OK && !come.refused && i < batch->step_count; i++)
        code = run_step(db, batch, i, &come);
    if (code == SQLITE_OK && !come.refused) {
        committing = batch->writes;
        code = commit(db, batch);
    }
    if (code != SQLITE_OK)
        return failed(db, code, committing, counter, err);
    batch->stopped = come.refused;
    if (come.refused) {
        roll_back(db);
        return MW_OK;
    }
    batch->changed = batch->writes && sqlite3_total_changes64(db->handle) != before;
    if (batch->announce && batch->changed)
        mw__sqlite_announce(db);
    return MW_OK;
}

int mw__sqlite_changed(mw_sql_db *db, bool *ret_changed, mw_error *err) {
    int status = mw__sqlite_same_file(db, err);
    if (status != MW_OK)
        return status;
    int code = prepare(db, "PRAGMA data_version", &db->data_version);
    int64_t version = db->version;
    if (code == SQLITE_OK) {
        code = sqlite3_step(db->data_version);
        if (code == SQLITE_ROW)
            version = sqlite3_column_int64(db->data_version, 0);
        int end = sqlite3_reset(db->data_version);
        code = code == SQLITE_ROW ? SQLITE_OK : end;
    }
    if (code != SQLITE_OK)
        return mw__sqlite_fail(db, code, err);
    *ret_changed = version != db->version;
    db->version = version;
    return MW_OK;
}
