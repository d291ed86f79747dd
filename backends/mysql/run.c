/* A batch as one packet: send, read every result, and judge what became of it when something goes wrong. */
#include <errmsg.h>
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "errors.h"

#define MAX_CELLS 16

static const char *name_of(const mw_sql_db *db, const mw_sql_batch *batch, size_t index) {
    int step = db->packet.steps[index];
    return step >= 0 ? db->catalog[batch->steps[step].statement].name : step == MW_MYSQL_COMMIT ? "commit" : "begin";
}

/* ---- Results */

static mw_sql_value read_cell(const MYSQL_FIELD *field, const char *data, unsigned long len) {
    mw_sql_value cell = {.type = MW_SQL_NULL};
    if (!data)
        return cell;
    if (IS_NUM(field->type)) {
        cell.type = MW_SQL_INT;
        cell.integer = strtoll(data, NULL, 10);
    } else {
        cell.type = MW_SQL_BYTES;
        cell.bytes = (mw_str){data, len};
    }
    return cell;
}

static void report_rows(mw_sql_batch *batch, size_t step, MYSQL_RES *result) {
    unsigned count = mysql_num_fields(result);
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    mw_sql_value cells[MAX_CELLS];
    for (MYSQL_ROW row; batch->row && count <= MAX_CELLS && (row = mysql_fetch_row(result));) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned i = 0; i < count; i++)
            cells[i] = read_cell(&fields[i], row[i], lengths[i]);
        batch->row(batch->arg, step, cells, count);
    }
    mysql_free_result(result);
}

/* The result of the statement that was just answered. */
static int take_result(mw_sql_db *db, mw_sql_batch *batch, size_t index) {
    int step = db->packet.steps[index];
    MYSQL_RES *result = mysql_store_result(db->mysql);
    if (!result && mysql_field_count(db->mysql))
        return -1;
    if (result && step >= 0) {
        report_rows(batch, (size_t)step, result);
    } else if (result) {
        mysql_free_result(result);
    } else if (step >= 0) {
        batch->steps[step].affected += (int64_t)mysql_affected_rows(db->mysql);
        batch->steps[step].returned = (int64_t)mysql_insert_id(db->mysql);
    }
    return 0;
}

/* All results in order. 0, or -1 with `ret_index` = the statement that failed or whose answer never came. */
static int take_results(mw_sql_db *db, mw_sql_batch *batch, size_t *ret_index) {
    for (size_t index = 0; index < db->packet.statement_count; index++) {
        *ret_index = index;
        int more = index ? mysql_next_result(db->mysql) : mysql_read_query_result(db->mysql);
        if (more != 0 || take_result(db, batch, index) != 0)
            return -1;
    }
    return 0;
}

/* ---- When it fails */

/* Not one byte too many: a packet that did not leave whole is never carried out. */
static int not_sent(mw_sql_db *db, mw_error *err) {
    return mw_fail(err, MW_EDISCONNECTED, "%s: %s (%u)", db->where, mysql_error(db->mysql), mysql_errno(db->mysql));
}

/* Sent, and then the connection broke. Only a write's commit can have happened unseen. */
static int lost(mw_sql_db *db, const mw_sql_batch *batch, mw_error *err) {
    return mw_fail(err, batch->writes ? MW_EUNKNOWN : MW_EDISCONNECTED, "%s: %s (%u)", db->where,
                   mysql_error(db->mysql), mysql_errno(db->mysql));
}

/* The server refused a statement and skipped the rest of the packet. What it did before in a transaction goes: a failed
 * rollback means a lost connection, and the server rolls back on that by itself. */
static int refused(mw_sql_db *db, const mw_sql_batch *batch, size_t index, mw_error *err) {
    int status = mw_mysql_statement_error(db->mysql, name_of(db, batch, index), err);
    if (batch->kind != MW_SQL_ONE && mysql_real_query(db->mysql, "ROLLBACK", 8) != 0)
        return mw_fail(err, MW_EDISCONNECTED, "%s: %s (%u)", db->where, mysql_error(db->mysql), mysql_errno(db->mysql));
    return status;
}

static int failed(mw_sql_db *db, const mw_sql_batch *batch, size_t index, mw_error *err) {
    unsigned number = mysql_errno(db->mysql);
    /* An engine failed in the middle of its commit, perhaps after the binary log had it. (Killed or timed out, a COMMIT
     * tells the truth: tried with one that waited for a replica's word.) */
    if (batch->writes && number == ER_ERROR_DURING_COMMIT)
        return lost(db, batch, err);
    if (!mw_mysql_is_gone(number))
        return refused(db, batch, index, err);
    /* Told by the server itself, in the answer to a statement before the commit: it went no further. */
    bool told = number < CR_MIN_ERROR || number > CR_MYSQL_LAST_ERROR;
    if (told && batch->kind == MW_SQL_WRITE && db->packet.steps[index] != MW_MYSQL_COMMIT)
        return mw_fail(err, MW_EDISCONNECTED, "%s: %s (%u)", db->where, mysql_error(db->mysql), number);
    return lost(db, batch, err);
}

/* ---- The batch */

static void clear(mw_sql_batch *batch) {
    batch->stopped = batch->changed = false;
    for (size_t i = 0; i < batch->step_count; i++)
        batch->steps[i].affected = batch->steps[i].returned = 0;
}

int mw_mysql_run(mw_sql_db *db, mw_sql_batch *batch, mw_error *err) {
    size_t index = 0;
    clear(batch);
    if (!db->mysql)
        return mw_fail(err, MW_EDISCONNECTED, "%s: not connected", db->where);
    int status = mw_mysql_render(&db->packet, db->catalog, batch, db->server.packet_limit, err);
    if (status)
        return status;
    if (!db->packet.statement_count)
        return MW_OK;
    if (mysql_send_query(db->mysql, db->packet.text, db->packet.len) != 0)
        return not_sent(db, err);
    if (take_results(db, batch, &index) != 0)
        return failed(db, batch, index, err);
    batch->changed = batch->kind == MW_SQL_WRITE;
    for (size_t i = 0; batch->kind == MW_SQL_ONE && batch->writes && i < batch->step_count; i++)
        batch->changed = batch->changed || batch->steps[i].affected > 0;
    return MW_OK;
}
