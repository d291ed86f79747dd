/* Tables of an older version than the program's: brought up by whoever may, with all that is in them, while processes
 * go on; or left as they are, and said why. */
#include "schema_rig.h"

static const char *rows(void) {
    return ask(
        "SELECT HEX(path), HEX(value), version, revision, created, owner, ctime, mtime FROM moonwatch.mw_entries "
        "UNION ALL SELECT HEX(path), HEX(value), token, holder, handle, waiters, since, '' FROM moonwatch.mw_locks "
        "UNION ALL SELECT HEX(path), HEX(value), seq, session, handle, since, '', '' "
        "FROM moonwatch.mw_lock_waiters UNION ALL SELECT revision, kind, HEX(path), step, version, created, owner, "
        "HEX(value) FROM moonwatch.mw_changes UNION ALL SELECT id, HEX(secret), HEX(name), opened, txn, verdict, "
        "txn_revision, '' FROM moonwatch.mw_sessions WHERE id < 1000 ORDER BY 1, 2, 3");
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

/* Who may not change the tables stands for them: it works on what schema 1 has. */
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

static const spec_case cases[] = {
    {"what is there stays as it was", what_is_there_stays_as_it_was},
    {"tables that were brought up are as new ones", tables_that_were_brought_up_are_as_new_ones},
    {"of two at once, one does it", of_two_at_once_one_does_it},
    {"who may not goes on, and says what is missing", who_may_not_goes_on_and_says_what_is_missing},
    {"who has half the rights changes nothing", who_has_half_the_rights_changes_nothing},
    {"a DBA brings them up while others run", a_dba_brings_them_up_while_others_run},
    {"those of the older version go on", those_of_the_older_version_go_on},
    {"those of the older version come back", those_of_the_older_version_come_back},
};

int main(int argc, char **argv) {
    return rig_main("--log-bin=bin", cases, sizeof cases / sizeof *cases, argc, argv);
}
