/* Tables of another version than the program's: brought up by whoever comes first, with all that is in them, while
 * those of the older version go on; or left as they are, and said why. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/mysql/driver.h"
#include "backends/sql/schema.h"
#include "rig.h"

#define SQL(...) spec_mysql_sql(&rig.server, __VA_ARGS__)

static const mw_option four[] = {{"username", "four"}, {"binlog", "off"}, {NULL, NULL}};

/* ---- Tables of schema 1 */

static void run_file(const char *name) {
    char path[512], text[12000];
    const char *source = getenv("MOONWATCH_SOURCE");
    snprintf(path, sizeof path, "%s/spec/backends/sql/schema_1/%s", source ? source : SPEC_SOURCE, name);
    FILE *file = fopen(path, "r");
    CHECK(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    SQL("%s", text);
}

/* As their programs left them; with rows, in the middle of their work. */
static void make_schema_1(bool rows) {
    CHECK_INT(mysql_select_db(rig.server.root, "moonwatch"), 0);
    run_file("mysql.sql");
    if (rows)
        run_file("rows.sql");
    SQL("CREATE OR REPLACE USER four@'%%' IDENTIFIED BY 's3cret'; "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON moonwatch.* TO four@'%%'");
}

/* All that `query` gives, as one text. */
static const char *ask(const char *query) {
    static char text[2][8192];
    static int turn;
    char *to = text[turn ^= 1];
    *to = '\0';
    CHECK_INT(mysql_query(rig.server.root, query), 0);
    MYSQL_RES *result = mysql_store_result(rig.server.root);
    CHECK(result);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result)); spi_append(to, sizeof text[0], "\n"))
        for (unsigned i = 0; i < mysql_num_fields(result); i++)
            spi_append(to, sizeof text[0], "%s ", row[i] ? row[i] : "-");
    mysql_free_result(result);
    return to;
}

static const char *mark(void) {
    return ask("SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'moonwatch' "
               "AND TABLE_NAME = 'mw_meta'");
}

/* What a program of schema 1 does with the mark. */
static bool schema_1_comes(void) {
    return atoi(mark() + strlen("moonwatch schema ")) == 1;
}

static const char *columns_and_indexes(void) {
    return ask("SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS "
               "WHERE TABLE_SCHEMA = 'moonwatch' UNION ALL SELECT TABLE_NAME, INDEX_NAME, "
               "GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX), NON_UNIQUE FROM information_schema.STATISTICS "
               "WHERE TABLE_SCHEMA = 'moonwatch' GROUP BY 1, 2, 4 ORDER BY 1, 2, 3");
}

static const char *rows(void) {
    return ask(
        "SELECT HEX(path), HEX(value), version, revision, created, owner, ctime, mtime FROM moonwatch.mw_entries "
        "UNION ALL SELECT HEX(path), HEX(value), token, holder, handle, waiters, since, '' FROM moonwatch.mw_locks "
        "UNION ALL SELECT HEX(path), HEX(value), seq, session, handle, since, '', '' "
        "FROM moonwatch.mw_lock_waiters UNION ALL SELECT revision, kind, HEX(path), step, version, created, owner, "
        "HEX(value) FROM moonwatch.mw_changes UNION ALL SELECT id, HEX(secret), HEX(name), opened, txn, verdict, "
        "txn_revision, '' FROM moonwatch.mw_sessions WHERE id < 1000 ORDER BY 1, 2, 3");
}

/* ---- A program with another schema than ours, without a loop: its connection alone */

static mw_sql_schema made_up;
static const char *const no_tables[] = {NULL};

static mw_sql_db *connect_with(const mw_option *more) {
    mw_sql_db *db = NULL;
    mw_sql_driver_config config = {.host = rig.host, .options = rig_options(more), .session_timeout = 900 * MW_MS};
    CHECK_INT(mw_mysql_driver.open(&config, &db, NULL), MW_OK);
    CHECK_INT(mw_mysql_driver.connect(db, NULL), MW_OK);
    return db;
}

static int bring(const mw_sql_schema *schema, const mw_option *more, mw_error *err) {
    mw_sql_db *db = connect_with(more);
    int status = mw_mysql_driver.schema(db, schema, err);
    mw_mysql_driver.free(db);
    return status;
}

/* From 1 to 2 by these statements; what comes is for programs from `oldest` on, and ours needs `least`. */
static const mw_sql_schema *schema_2(const char *const *statements, int oldest, int least) {
    static mw_sql_upgrade step;
    step = (mw_sql_upgrade){oldest, statements};
    made_up = (mw_sql_schema){2, least, no_tables, &step, 1};
    return &made_up;
}

/* ---- Brought up */

static void on_ended(void *arg, int status, const mw_error *detail) {
    CHECK_INT(status, MW_OK);
    ++*(int *)arg;
}

static void end_session(mw_session_id id, char digit) {
    int ends = 0;
    unsigned char secret[MW_SECRET_SIZE];
    memset(secret, digit, sizeof secret);
    rig.a.backend->end_session(rig.a.conn, id, secret, on_ended, &ends);
    CHECK(spi_await(&rig.a, &ends, 1));
}

static void what_is_there_stays_as_it_was(void) {
    static spi_ticket ticket;
    static spi_op op;
    make_schema_1(true);
    char before[8192];
    snprintf(before, sizeof before, "%s", rows());
    rig_open(&rig.a, NULL);
    CHECK_TEXT(rows(), before);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_GET, "/a/b"), MW_OK);
    CHECK_INT(op.last.version, 7);
    spi_lock(&rig.a, &ticket, "/lock", false); /* behind those who wait already */
    end_session(101, '1');
    CHECK_INT(SQL("SELECT holder FROM moonwatch.mw_locks WHERE path = '/lock' AND token = 42"), 102);
    end_session(102, '2');
    CHECK_INT(SQL("SELECT holder FROM moonwatch.mw_locks WHERE path = '/lock' AND token = 43"), 103);
    CHECK_INT(ticket.grants, 0);
    end_session(103, '3');
    CHECK(spi_await(&rig.a, &ticket.grants, 1));
    CHECK_INT(ticket.ticket.token, 44);
    spi_unlock(&rig.a, &ticket);
    spi_lock(&rig.a, &ticket, "/free", true);
    CHECK(spi_await(&rig.a, &ticket.grants, 1));
    CHECK_INT(ticket.ticket.token, 18);
    spi_close(&rig.a);
}

static void tables_that_were_brought_up_are_as_new_ones(void) {
    make_schema_1(true);
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    char upgraded[8192];
    snprintf(upgraded, sizeof upgraded, "%s%s", mark(), columns_and_indexes());
    spec_mysql_empty(&rig.server);
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    char fresh[8192];
    snprintf(fresh, sizeof fresh, "%s", mark());
    spi_append(fresh, sizeof fresh, "%s", columns_and_indexes());
    CHECK_TEXT(upgraded, fresh);
}

static int times(const char *text, const char *words) {
    int count = 0;
    for (; (text = strstr(text, words)); text++)
        count++;
    return count;
}

static void of_two_at_once_one_does_it(void) {
    make_schema_1(true);
    CHECK_INT(spi_start(&rig.a, &rig_bench, rig.host, mw_backend_plugin(), rig_options(NULL), NULL), MW_OK);
    CHECK_INT(spi_start(&rig.b, &rig_bench, rig.host, mw_backend_plugin(), rig_options(NULL), NULL), MW_OK);
    CHECK(spi_await(&rig.a, &rig.a.connected, 1) && spi_await(&rig.b, &rig.b.connected, 1));
    CHECK_INT(rig.a.failed + rig.b.failed, 0);
    CHECK(spi_await_text(&rig.a, rig.log, "the tables have schema 2"));
    CHECK_INT(times(rig.log, "from schema 1 to 2"), 1);
    CHECK(!strstr(rig.log, "goes on with"));
    spi_close(&rig.a);
    spi_close(&rig.b);
}

static bool child_sleeps(void *arg) {
    return SQL("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%%SLEEP(600)%%' "
               "AND ID <> CONNECTION_ID()") > 0;
}

static pid_t bring_and_hang(void) {
    pid_t child = fork();
    if (child == 0) {
        static const char *const statements[] = {"CREATE INDEX mw_locks_holder_since ON mw_locks (holder, since)",
                                                 "DO SLEEP(600)", NULL};
        mw_error err;
        (void)bring(schema_2(statements, 1, 2), NULL, &err);
        _exit(1);
    }
    return child;
}

/* The lock goes when the server notices; until then the next one waits, or goes on with what is there. */
static void what_one_killed_midway_left_is_finished(void) {
    make_schema_1(true);
    pid_t child = bring_and_hang();
    CHECK(child > 0 && rig_run(child_sleeps, NULL));
    CHECK_INT(kill(child, SIGKILL), 0);
    CHECK_INT(waitpid(child, NULL, 0), child);
    CHECK_TEXT(mark(), "moonwatch schema 1 \n");
    CHECK(strstr(columns_and_indexes(), "mw_locks_holder_since") && strstr(columns_and_indexes(), "mw_locks_holder "));
    for (int attempt = 0; attempt < 30 && strcmp(mark(), "moonwatch schema 1..2 \n") != 0; attempt++) {
        rig_open(&rig.a, (mw_option[]){{"session_timeout_ms", "900"}, {NULL, NULL}});
        spi_close(&rig.a);
    }
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK(!strstr(columns_and_indexes(), "mw_locks_holder "));
}

/* Its last step was done, and then it died. */
static void what_was_done_and_not_marked_is_marked(void) {
    make_schema_1(false);
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    char whole[8192];
    snprintf(whole, sizeof whole, "%s", columns_and_indexes());
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema 1'");
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK_TEXT(columns_and_indexes(), whole);
}

/* Longer than the server and our connection let anything else take. */
static void a_step_takes_the_time_that_it_takes(void) {
    static const char *const statements[] = {"CREATE TABLE mw_new AS SELECT SLEEP(3) AS cut_off", NULL};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(schema_2(statements, 1, 2), NULL, &err), MW_OK);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK_INT(SQL("SELECT cut_off FROM moonwatch.mw_new"), 0);
}

/* ---- Not by us */

static void who_may_not_goes_on_and_says_what_is_missing(void) {
    make_schema_1(true);
    rig_open(&rig.a, four);
    CHECK(spi_await_text(&rig.a, rig.log, "goes on with tables of schema 1: 127.0.0.1:"));
    CHECK(strstr(rig.log, "the account 'four' may not bring them to schema 2: grant it CREATE, ALTER and INDEX, or let "
                          "a DBA run what `moonwatch schema mysql --from 1` prints"));
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
    spec_mysql_do(&rig.server, "stop");
    spec_mysql_restart(&rig.server, "--log-bin=bin");
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    CHECK_INT(times(rig.log, "goes on with"), 1); /* each time would fill the log */
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 1 \n");
}

static void who_needs_them_brought_up_and_may_not_says_so(void) {
    static const char *const statements[] = {"CREATE TABLE mw_new (x BIGINT)", NULL};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(schema_2(statements, 1, 2), four, &err), MW_EDENIED);
    CHECK(strstr(err.message, "--from 1") && !strchr(err.message, '\n'));
}

/* A half would need the DBA to find out what is missing. */
static void who_has_half_the_rights_changes_nothing(void) {
    static const char *const rights[] = {"INDEX", "CREATE, ALTER", "CREATE, INDEX"};
    make_schema_1(false);
    char before[8192];
    snprintf(before, sizeof before, "%s", columns_and_indexes());
    for (size_t i = 0; i < sizeof rights / sizeof *rights; i++) {
        SQL("CREATE OR REPLACE USER four@'%%' IDENTIFIED BY 's3cret'; "
            "GRANT SELECT, INSERT, UPDATE, DELETE, %s ON moonwatch.* TO four@'%%'",
            rights[i]);
        rig.log[0] = '\0';
        rig_open(&rig.a, four);
        CHECK(spi_await_text(&rig.a, rig.log, "may not bring them to schema 2"));
        spi_close(&rig.a);
        CHECK_TEXT(columns_and_indexes(), before);
    }
}

static void a_dba_brings_them_up_while_others_run(void) {
    char *text = NULL;
    make_schema_1(true);
    rig_open(&rig.a, four);
    CHECK_INT(mw_backend_plugin()->upgrade(1, &text, NULL), MW_OK);
    CHECK(strstr(text, "CREATE, ALTER, INDEX"));
    SQL("%s", text);
    free(text);
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
    rig.log[0] = '\0';
    rig_open(&rig.b, four);
    CHECK(!strstr(rig.log, "goes on with"));
    spi_close(&rig.b);
    CHECK_INT(rig.a.disconnected, 0);
    spi_close(&rig.a);
    CHECK_INT(mw_backend_plugin()->upgrade(2, &text, NULL), MW_EINVALID);
    CHECK_INT(mw_backend_plugin()->upgrade(7, &text, NULL), MW_EINVALID);
}

/* ---- Programs of the older version meanwhile */

/* What it asks the tables for is what a program of schema 1 asks for: it found them so, and connects no more. */
static void those_of_the_older_version_go_on(void) {
    static spi_ticket held, waits, next;
    static spi_op op;
    make_schema_1(false);
    rig_open(&rig.a, four);
    spi_lock(&rig.a, &held, "/lock", false);
    CHECK(spi_await(&rig.a, &held.grants, 1));
    spi_lock(&rig.a, &waits, "/lock", false);
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_QUEUES, "/"), MW_OK);
    rig_open(&rig.b, NULL);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    spi_lock(&rig.b, &next, "/lock", false);
    CHECK_INT(spi_read(&rig.b, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 3);
    spi_unlock(&rig.a, &held);
    CHECK(spi_await(&rig.a, &waits.grants, 1));
    CHECK_INT(waits.ticket.token, held.ticket.token + 1);
    spi_unlock(&rig.a, &waits);
    CHECK(spi_await(&rig.b, &next.grants, 1));
    CHECK_INT(next.ticket.token, held.ticket.token + 2);
    CHECK_INT(rig.a.disconnected + rig.a.expired, 0);
    spi_unlock(&rig.b, &next);
    spi_close(&rig.b);
    spi_close(&rig.a);
}

/* All statements of theirs name the columns; what they say to tables that were made by us is what their rows say. */
static void those_of_the_older_version_come_back(void) {
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    CHECK(schema_1_comes());
    CHECK_INT(mysql_select_db(rig.server.root, "moonwatch"), 0);
    SQL("DELETE FROM mw_meta");
    run_file("rows.sql");
}

static void those_who_are_too_old_stay_out(void) {
    static const char *const statements[] = {"CREATE TABLE mw_new (x BIGINT)", NULL};
    static const char *const none[] = {NULL};
    static const mw_sql_upgrade steps[] = {{1, none}, {3, statements}};
    static const mw_sql_schema third = {3, 1, none, steps, 2};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(&third, NULL, &err), MW_OK);
    CHECK_TEXT(mark(), "moonwatch schema 3..3 \n");
    CHECK(!schema_1_comes());
    CHECK_INT(bring(schema_2(none, 1, 1), NULL, &err), MW_EUNSUPPORTED);
    CHECK(strstr(err.message, "the tables have schema 3") && strstr(err.message, "this one knows schema 2"));
}

static void newer_tables_that_bear_us_are_used(void) {
    make_schema_1(false);
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema 2..9'");
    rig_open(&rig.a, NULL);
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 2..9 \n");
}

static void a_mark_that_says_nothing_is_refused(void) {
    static const char *const marks[] = {"x", "0", "-1", "3..2", "2..1"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        mw_error err = {0};
        static const char *const none[] = {NULL};
        spec_mysql_empty(&rig.server);
        make_schema_1(false);
        SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema %s'", marks[i]);
        int status = bring(schema_2(none, 1, 1), NULL, &err);
        CHECK(status == MW_ECORRUPT || status == MW_EUNSUPPORTED);
    }
}

/* A program of schema 1 died over it, and ours finds no mark. */
static void half_of_an_older_schema_is_finished_as_ours(void) {
    make_schema_1(false);
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = ''; DROP TABLE moonwatch.mw_lock_waiters");
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK(!strstr(columns_and_indexes(), "mw_locks_holder "));
}

static const spec_case cases[] = {
    {"what is there stays as it was", what_is_there_stays_as_it_was},
    {"tables that were brought up are as new ones", tables_that_were_brought_up_are_as_new_ones},
    {"of two at once, one does it", of_two_at_once_one_does_it},
    {"what one killed midway left is finished", what_one_killed_midway_left_is_finished},
    {"what was done and not marked is marked", what_was_done_and_not_marked_is_marked},
    {"a step takes the time that it takes", a_step_takes_the_time_that_it_takes},
    {"who may not goes on, and says what is missing", who_may_not_goes_on_and_says_what_is_missing},
    {"who needs them brought up and may not says so", who_needs_them_brought_up_and_may_not_says_so},
    {"who has half the rights changes nothing", who_has_half_the_rights_changes_nothing},
    {"a DBA brings them up while others run", a_dba_brings_them_up_while_others_run},
    {"those of the older version go on", those_of_the_older_version_go_on},
    {"those of the older version come back", those_of_the_older_version_come_back},
    {"those who are too old stay out", those_who_are_too_old_stay_out},
    {"newer tables that bear us are used", newer_tables_that_bear_us_are_used},
    {"a mark that says nothing is refused", a_mark_that_says_nothing_is_refused},
    {"half of an older schema is finished as ours", half_of_an_older_schema_is_finished_as_ours},
};

int main(int argc, char **argv) {
    spec_mysql_start(&rig.server, "--log-bin=bin");
    spec.before = rig_before;
    spec.after = rig_after;
    int status = spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
    spec_mysql_remove(&rig.server);
    return status;
}
