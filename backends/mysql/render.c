#include "render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(mw_mysql_packet *packet, size_t more) {
    if (packet->no_memory)
        return false;
    if (packet->capacity - packet->len >= more)
        return true;
    size_t capacity = packet->capacity ? packet->capacity : 4096;
    while (capacity - packet->len < more)
        capacity *= 2;
    char *grown = realloc(packet->text, capacity);
    packet->no_memory = !grown;
    if (!grown)
        return false;
    packet->text = grown;
    packet->capacity = capacity;
    return true;
}

static void append(mw_mysql_packet *packet, const char *text, size_t len) {
    if (reserve(packet, len)) {
        memcpy(packet->text + packet->len, text, len);
        packet->len += len;
    }
}

static void append_text(mw_mysql_packet *packet, const char *text) {
    append(packet, text, strlen(text));
}

/* The session's sql_mode and character set are ours (connect.c): a backslash escapes, and no byte is half a letter. */
static void append_bytes(mw_mysql_packet *packet, mw_str bytes) {
    append_text(packet, "_binary'");
    if (reserve(packet, 2 * bytes.len)) {
        char *end = packet->text + packet->len;
        for (size_t i = 0; i < bytes.len; i++) {
            char c = bytes.data[i];
            if (c == '\'' || c == '\\' || c == '\0')
                *end++ = '\\';
            *end++ = c ? c : '0';
        }
        packet->len = (size_t)(end - packet->text);
    }
    append_text(packet, "'");
}

static void append_value(mw_mysql_packet *packet, const mw_sql_value *value) {
    char number[32];
    switch (value->type) {
    case MW_SQL_NULL:
        append_text(packet, "NULL");
        break;
    case MW_SQL_INT:
        append(packet, number, (size_t)snprintf(number, sizeof number, "%" PRId64, value->integer));
        break;
    case MW_SQL_BYTES:
        append_bytes(packet, value->bytes);
        break;
    }
}

/* ---- The row source */

static size_t column_count(const mw_sql_statement *statement) {
    size_t count = 0;
    while (count < sizeof statement->columns / sizeof *statement->columns && statement->columns[count])
        count++;
    return count;
}

/* The cells of one row. */
static void append_row(mw_mysql_packet *packet, const mw_sql_value *cells, size_t columns) {
    for (size_t column = 0; column < columns; column++) {
        if (column)
            append_text(packet, ", ");
        append_value(packet, &cells[column]);
    }
}

/* The first row names the columns. */
static void append_named_row(mw_mysql_packet *packet, const mw_sql_statement *statement, const mw_sql_value *cells,
                             size_t columns) {
    for (size_t column = 0; column < columns; column++) {
        append_text(packet, column ? ", " : "SELECT ");
        append_value(packet, &cells[column]);
        append_text(packet, " AS ");
        append_text(packet, statement->columns[column]);
    }
}

/* (SELECT 1 AS n, _binary'/a' AS path UNION ALL VALUES (2, _binary'/b'), (...)), or with a SELECT for each row. */
static void append_rows(mw_mysql_packet *packet, const mw_sql_statement *statement, const mw_sql_value *rows,
                        size_t count) {
    size_t columns = column_count(statement);
    append_text(packet, "(");
    append_named_row(packet, statement, rows, columns);
    for (size_t row = 1; row < count; row++) {
        if (!packet->values)
            append_text(packet, " UNION ALL SELECT ");
        else
            append_text(packet, row == 1 ? " UNION ALL VALUES (" : ", (");
        append_row(packet, rows + row * columns, columns);
        if (packet->values)
            append_text(packet, ")");
    }
    append_text(packet, ")");
}

/* ---- Statements */

static void begin_statement(mw_mysql_packet *packet, int step) {
    if (packet->statement_count == packet->statement_capacity) {
        size_t capacity = packet->statement_capacity ? packet->statement_capacity * 2 : 64;
        int *grown = realloc(packet->steps, capacity * sizeof *grown);
        packet->no_memory = packet->no_memory || !grown;
        if (!grown)
            return;
        packet->steps = grown;
        packet->statement_capacity = capacity;
    }
    if (packet->statement_count)
        append_text(packet, ";");
    packet->steps[packet->statement_count++] = step;
}

static void append_frame(mw_mysql_packet *packet, const char *text, int step) {
    begin_statement(packet, step);
    append_text(packet, text);
}

/* One statement with its parameters, for `count` rows of its source. */
static void append_statement(mw_mysql_packet *packet, const mw_sql_statement *statement, const mw_sql_step *step,
                             const mw_sql_value *rows, size_t count) {
    for (const char *at = statement->text; *at;) {
        size_t plain = strcspn(at, "?{");
        append(packet, at, plain);
        at += plain;
        if (*at == '?') {
            size_t index = (size_t)(at[1] - '1');
            if (index < step->param_count)
                append_value(packet, &step->params[index]);
            at += 2;
        } else if (*at == '{') {
            append_rows(packet, statement, rows, count);
            at += strcspn(at, "}") + 1;
        }
    }
}

static void append_step(mw_mysql_packet *packet, const mw_sql_statement *catalog, const mw_sql_step *step, int index) {
    const mw_sql_statement *statement = &catalog[step->statement];
    size_t columns = column_count(statement);
    if (!columns) {
        begin_statement(packet, index);
        append_statement(packet, statement, step, NULL, 0);
        return;
    }
    for (size_t row = 0; row < step->row_count; row += MW_MYSQL_ROWS_PER_STATEMENT) {
        size_t left = step->row_count - row;
        begin_statement(packet, index);
        append_statement(packet, statement, step, step->rows + row * columns,
                         left < MW_MYSQL_ROWS_PER_STATEMENT ? left : MW_MYSQL_ROWS_PER_STATEMENT);
    }
}

static void append_begin(mw_mysql_packet *packet, mw_sql_batch_kind kind) {
    if (kind == MW_SQL_WRITE) {
        append_frame(packet, "START TRANSACTION", MW_MYSQL_FRAME);
    } else if (kind == MW_SQL_READ) {
        append_frame(packet, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", MW_MYSQL_FRAME);
        append_frame(packet, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", MW_MYSQL_FRAME);
    }
}

int mw_mysql_render(mw_mysql_packet *packet, const mw_sql_statement *catalog, const mw_sql_batch *batch, size_t limit,
                    mw_error *err) {
    packet->len = packet->statement_count = 0;
    packet->no_memory = false;
    append_begin(packet, batch->kind);
    for (size_t i = 0; i < batch->step_count; i++)
        append_step(packet, catalog, &batch->steps[i], (int)i);
    if (batch->kind != MW_SQL_ONE)
        append_frame(packet, "COMMIT", MW_MYSQL_COMMIT);
    if (packet->no_memory)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory for a packet of %zu bytes", packet->len);
    if (packet->len >= limit)
        return mw_fail(err, MW_ETOO_LARGE, "a packet of %zu bytes is over the server's max_allowed_packet (%zu)",
                       packet->len, limit);
    return MW_OK;
}

void mw_mysql_packet_release(mw_mysql_packet *packet) {
    free(packet->text);
    free(packet->steps);
    memset(packet, 0, sizeof *packet);
}
