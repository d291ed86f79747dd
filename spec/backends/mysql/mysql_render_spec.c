/* A batch as one packet: framing, literals, rows that are split, and the limit. */
#include "backends/mysql/render.h"

#include "support/check.h"

static mw_mysql_packet packet;
static const mw_sql_statement catalog[] = {
    {.name = "plain", .text = "UPDATE t SET a = ?1, b = ?2 WHERE a = ?1"},
    {.name = "rows", .text = "INSERT INTO t SELECT s.n, s.path FROM {rows} s WHERE ?1 = 1", .columns = {"n", "path"}},
};

static mw_sql_value integer(int64_t number) {
    return (mw_sql_value){.type = MW_SQL_INT, .integer = number};
}
static mw_sql_value bytes(const char *data, size_t len) {
    return (mw_sql_value){.type = MW_SQL_BYTES, .bytes = {data, len}};
}

static const char *render(mw_sql_batch_kind kind, mw_sql_step *steps, size_t count) {
    static char text[65536];
    mw_sql_batch batch = {.kind = kind, .steps = steps, .step_count = count};
    CHECK_INT(mw_mysql_render(&packet, catalog, &batch, sizeof text, NULL), MW_OK);
    snprintf(text, sizeof text, "%.*s", (int)packet.len, packet.text);
    return text;
}

static void a_single_statement_has_no_frame(void) {
    mw_sql_value params[] = {integer(INT64_MIN), {.type = MW_SQL_NULL}};
    mw_sql_step step = {.statement = 0, .params = params, .param_count = 2};
    CHECK_TEXT(render(MW_SQL_ONE, &step, 1),
               "UPDATE t SET a = -9223372036854775808, b = NULL WHERE a = -9223372036854775808");
    CHECK_INT(packet.statement_count, 1);
    CHECK_INT(packet.steps[0], 0);
}

static void a_write_is_one_transaction(void) {
    mw_sql_value params[] = {integer(1), integer(2)};
    mw_sql_step step = {.statement = 0, .params = params, .param_count = 2};
    CHECK_TEXT(render(MW_SQL_WRITE, &step, 1), "START TRANSACTION;UPDATE t SET a = 1, b = 2 WHERE a = 1;COMMIT");
    CHECK_INT(packet.statement_count, 3);
    CHECK_INT(packet.steps[0], MW_MYSQL_FRAME);
    CHECK_INT(packet.steps[1], 0);
    CHECK_INT(packet.steps[2], MW_MYSQL_COMMIT);
}

static void several_reads_share_a_snapshot(void) {
    CHECK_TEXT(render(MW_SQL_READ, NULL, 0), "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
                                             "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;COMMIT");
}

static void bytes_cannot_leave_their_quotes(void) {
    mw_sql_value params[] = {bytes("a'b\\c\0d?1;{rows}", 16), bytes("", 0)};
    mw_sql_step step = {.statement = 0, .params = params, .param_count = 2};
    CHECK_TEXT(render(MW_SQL_ONE, &step, 1), "UPDATE t SET a = _binary'a\\'b\\\\c\\0d?1;{rows}', b = _binary'' "
                                             "WHERE a = _binary'a\\'b\\\\c\\0d?1;{rows}'");
}

static void rows_become_a_union(void) {
    mw_sql_value params[] = {integer(7)}, rows[] = {integer(1), bytes("/a", 2), integer(2), bytes("/b", 2)};
    mw_sql_step step = {.statement = 1, .params = params, .param_count = 1, .rows = rows, .row_count = 2};
    CHECK_TEXT(render(MW_SQL_ONE, &step, 1),
               "INSERT INTO t SELECT s.n, s.path FROM (SELECT 1 AS n, _binary'/a' AS path "
               "UNION ALL SELECT 2, _binary'/b') s WHERE 7 = 1");
}

static void rows_become_a_list_where_the_server_takes_one(void) {
    mw_sql_value params[] = {integer(7)};
    mw_sql_value rows[] = {integer(1), bytes("/a", 2), integer(2), bytes("/b", 2), integer(3), {.type = MW_SQL_NULL}};
    mw_sql_step step = {.statement = 1, .params = params, .param_count = 1, .rows = rows, .row_count = 3};
    packet.values = true;
    CHECK_TEXT(render(MW_SQL_ONE, &step, 1),
               "INSERT INTO t SELECT s.n, s.path FROM (SELECT 1 AS n, _binary'/a' AS path "
               "UNION ALL VALUES (2, _binary'/b'), (3, NULL)) s WHERE 7 = 1");
    step.row_count = 1;
    CHECK_TEXT(render(MW_SQL_ONE, &step, 1),
               "INSERT INTO t SELECT s.n, s.path FROM (SELECT 1 AS n, _binary'/a' AS path) s WHERE 7 = 1");
    packet.values = false;
}

static void no_rows_are_no_statement(void) {
    mw_sql_step step = {.statement = 1};
    CHECK_TEXT(render(MW_SQL_WRITE, &step, 1), "START TRANSACTION;COMMIT");
}

static void many_rows_are_split(void) {
    enum { COUNT = MW_MYSQL_ROWS_PER_STATEMENT + 1 };
    static mw_sql_value rows[COUNT * 2];
    mw_sql_value params[] = {integer(7)};
    for (size_t i = 0; i < COUNT; i++) {
        rows[2 * i] = integer((int64_t)i);
        rows[2 * i + 1] = bytes("/a", 2);
    }
    mw_sql_step step = {.statement = 1, .params = params, .param_count = 1, .rows = rows, .row_count = COUNT};
    render(MW_SQL_WRITE, &step, 1);
    CHECK_INT(packet.statement_count, 4);
    CHECK_INT(packet.steps[1], 0);
    CHECK_INT(packet.steps[2], 0);
    CHECK(strstr(render(MW_SQL_WRITE, &step, 1), "FROM (SELECT 512 AS n, _binary'/a' AS path) s WHERE 7 = 1;COMMIT"));
}

static void what_the_server_would_refuse_is_not_sent(void) {
    mw_error err;
    mw_sql_value params[] = {bytes("0123456789", 10), integer(1)};
    mw_sql_step step = {.statement = 0, .params = params, .param_count = 2};
    mw_sql_batch batch = {.kind = MW_SQL_ONE, .steps = &step, .step_count = 1};
    CHECK_INT(mw_mysql_render(&packet, catalog, &batch, 20, &err), MW_ETOO_LARGE);
    CHECK(strstr(err.message, "max_allowed_packet"));
}

static const spec_case cases[] = {
    {"a single statement has no frame", a_single_statement_has_no_frame},
    {"a write is one transaction", a_write_is_one_transaction},
    {"several reads share a snapshot", several_reads_share_a_snapshot},
    {"bytes cannot leave their quotes", bytes_cannot_leave_their_quotes},
    {"rows become a union", rows_become_a_union},
    {"rows become a list where the server takes one", rows_become_a_list_where_the_server_takes_one},
    {"no rows are no statement", no_rows_are_no_statement},
    {"many rows are split", many_rows_are_split},
    {"what the server would refuse is not sent", what_the_server_would_refuse_is_not_sent},
};

int main(int argc, char **argv) {
    int status = spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
    mw_mysql_packet_release(&packet);
    return status;
}
