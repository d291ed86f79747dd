/* What MySQL is asked, counted by the server itself; and that no change is missed under many writers. */
#include "rig.h"

/* Statements of others since `before`, our own question left out. */
static int64_t asked_since(int64_t before) {
    return spec_mysql_status(&rig.server, "QUESTIONS") - before - 1;
}

static const mw_option quiet[] = {{"session_timeout_ms", "600000"},
                                  {"heartbeat_ms", "200000"},
                                  {"poll_interval_ms", "600000"},
                                  {"binlog", "off"},
                                  {NULL, NULL}};

/* For the expired, and for changes. */
static bool has_had_its_first_looks(void *arg) {
    mw_backend_stats stats;
    rig.a.backend->stats(rig.a.conn, &stats);
    return stats.polls >= 2;
}

/* Once somebody waits for changes, as whoever has a lock does, the first look for them comes 100 ms after connecting:
 * in the middle of the counting, on a busy machine. The next one is minutes away. */
static void open_and_let_it_look(void) {
    static spi_ticket ticket;
    rig_open(&rig.a, quiet);
    spi_lock(&rig.a, &ticket, "/first", false);
    CHECK(rig_run(has_had_its_first_looks, NULL));
    spi_unlock(&rig.a, &ticket);
}

static void a_free_lock_is_one_statement_and_so_is_its_release(void) {
    static spi_ticket ticket;
    static spi_op flush;
    open_and_let_it_look();
    for (int i = 0; i < 3; i++) {
        /* What the last release has left to do is done. */
        CHECK_INT(spi_read(&rig.a, &flush, MW_READ_GET, "/x"), MW_ENOT_FOUND);
        int64_t before = spec_mysql_status(&rig.server, "QUESTIONS");
        spi_lock(&rig.a, &ticket, "/lock", false);
        CHECK(spi_await(&rig.a, &ticket.grants, 1));
        CHECK_INT(asked_since(before), 1);
        CHECK_INT(ticket.ticket.token, i + 1);
        before = spec_mysql_status(&rig.server, "QUESTIONS");
        spi_unlock(&rig.a, &ticket);
        CHECK_INT(asked_since(before), 1);
    }
    spi_close(&rig.a);
}

static void fill(int count) {
    spec_mysql_sql(&rig.server,
                   "INSERT INTO moonwatch.mw_entries SELECT CONCAT('/f/', seq), '/f', 'value', 0, 1, 1, 0, 0, 0 "
                   "FROM mysql.seq_1_to_%d",
                   count);
}

/* Statements per renewal over twelve heartbeats of a process that has much registered and watches nothing. */
static double statements_per_heartbeat(void) {
    mw_backend_stats first, last;
    mw_backend_plugin()->stats(rig.a.conn, &first);
    int64_t before = spec_mysql_status(&rig.server, "QUESTIONS");
    CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 12));
    int64_t asked = asked_since(before);
    mw_backend_plugin()->stats(rig.a.conn, &last);
    return (double)asked / (double)(last.renewals - first.renewals);
}

/* The look for the expired is within it. */
static void a_heartbeat_is_one_statement_whatever_is_registered(void) {
    static const mw_option brisk[] = {{"session_timeout_ms", "900"}, {"heartbeat_ms", "300"}, {NULL, NULL}};
    rig_open(&rig.a, brisk);
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/e", "~v", 0), MW_OK);
    /* One may fall between the two counts at either end. */
    double few = statements_per_heartbeat();
    CHECK(few > 0.8 && few < 1.2);
    fill(10000);
    double many = statements_per_heartbeat();
    CHECK(many > 0.8 && many < 1.2);
    spi_close(&rig.a);
}

static int64_t rows_per_poll(void) {
    mw_backend_stats first, last;
    /* The status query reads rows itself: what two in a row show is taken off. */
    int64_t rows = spec_mysql_status(&rig.server, "ROWS_READ"),
            own = spec_mysql_status(&rig.server, "ROWS_READ") - rows;
    mw_backend_plugin()->stats(rig.a.conn, &first);
    rows = spec_mysql_status(&rig.server, "ROWS_READ");
    CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 10));
    rows = spec_mysql_status(&rig.server, "ROWS_READ") - rows - own;
    mw_backend_plugin()->stats(rig.a.conn, &last);
    return rows / (int64_t)(last.polls - first.polls + last.renewals - first.renewals);
}

static void an_idle_look_reads_the_same_rows_beside_ten_thousand_entries(void) {
    static const mw_option brisk[] = {
        {"session_timeout_ms", "3000"}, {"heartbeat_ms", "50"}, {"poll_interval_ms", "5"}, {NULL, NULL}};
    static spi_feed feed;
    rig_open(&rig.a, brisk);
    fill(10);
    spi_watch(&rig.a, &feed, "/f", MW_DEPTH_CHILDREN);
    CHECK(spi_await(&rig.a, &feed.synced, 1));
    int64_t few = rows_per_poll();
    spec_mysql_sql(&rig.server, "DELETE FROM moonwatch.mw_entries");
    fill(10000);
    int64_t many = rows_per_poll();
    mw_backend_plugin()->unwatch(rig.a.conn, &feed.feed);
    spi_close(&rig.a);
    CHECK(few <= 2);
    CHECK(many <= 2);
}

/* ---- The end of a session */

static int ended;
static void on_ended(void *arg, int status, const mw_error *detail) {
    CHECK_INT(status, MW_OK);
    ended++;
}

static void end_a(void) {
    ended = 0;
    rig.b.backend->end_session(rig.b.conn, rig.a.session.id, rig.a.session.secret, on_ended, NULL);
    CHECK(spi_await(&rig.b, &ended, 1));
}

/* Locks that others hold, with one waiter each. */
static void crowd(int count) {
    spec_mysql_sql(&rig.server,
                   "INSERT INTO moonwatch.mw_locks SELECT CONCAT('/l/', seq), 1, 1, seq, 1, '', 0 "
                   "FROM mysql.seq_1_to_%d; "
                   "INSERT INTO moonwatch.mw_lock_waiters SELECT CONCAT('/l/', seq), 1, 2, 1000000 + seq, '', 0 "
                   "FROM mysql.seq_1_to_%d; "
                   "ANALYZE TABLE moonwatch.mw_locks, moonwatch.mw_lock_waiters",
                   count, count);
}

/* `a` holds one lock and waits for another; `b` ends it, and has what it held. */
static int64_t rows_of_an_end(int others) {
    static spi_ticket held, waits, theirs, next;
    rig_open(&rig.a, quiet);
    rig_open(&rig.b, quiet);
    crowd(others);
    spi_lock(&rig.a, &held, "/mine", false);
    CHECK(spi_await(&rig.a, &held.grants, 1));
    spi_lock(&rig.b, &theirs, "/theirs", false);
    CHECK(spi_await(&rig.b, &theirs.grants, 1));
    spi_lock(&rig.a, &waits, "/theirs", false);
    static spi_op flush;
    CHECK_INT(spi_read(&rig.a, &flush, MW_READ_QUEUES, "/theirs"), MW_OK);
    CHECK_INT(flush.entries, 2);
    spi_lock(&rig.b, &next, "/mine", false);
    CHECK_INT(spi_read(&rig.b, &flush, MW_READ_QUEUES, "/mine"), MW_OK);
    int64_t rows = spec_mysql_status(&rig.server, "ROWS_READ"),
            own = spec_mysql_status(&rig.server, "ROWS_READ") - rows;
    rows = spec_mysql_status(&rig.server, "ROWS_READ");
    end_a();
    rows = spec_mysql_status(&rig.server, "ROWS_READ") - rows - own;
    CHECK(spi_await(&rig.b, &next.grants, 1));
    CHECK_INT(spec_mysql_sql(&rig.server, "SELECT SUM(waiters) FROM moonwatch.mw_locks WHERE path NOT LIKE '/l/%%'"),
              0);
    CHECK_INT(spec_mysql_sql(&rig.server, "SELECT COUNT(*) FROM moonwatch.mw_lock_waiters"), others);
    spi_close(&rig.b);
    rig_drop(&rig.a);
    spec_mysql_empty(&rig.server);
    return rows;
}

static void the_end_of_a_session_reads_the_same_rows_beside_ten_thousand_waiters(void) {
    int64_t few = rows_of_an_end(10), many = rows_of_an_end(10000);
    CHECK(few < 100);
    CHECK(many < 100);
}

/* As a process that stalls in the middle of a txn keeps it. */
static void the_end_of_a_session_waits_for_no_row_of_others(void) {
    static spi_ticket held;
    rig_open(&rig.a, quiet);
    rig_open(&rig.b, quiet);
    crowd(100);
    spi_lock(&rig.a, &held, "/mine", false);
    CHECK(spi_await(&rig.a, &held.grants, 1));
    spec_mysql_sql(&rig.server, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; "
                                "SELECT COUNT(*) FROM moonwatch.mw_lock_waiters FOR UPDATE; "
                                "SELECT COUNT(*) FROM moonwatch.mw_locks WHERE path LIKE '/l/%%' FOR UPDATE");
    end_a();
    spec_mysql_sql(&rig.server, "ROLLBACK");
    spi_close(&rig.b);
}

/* ---- Idle locks */

/* Free ones that were used a moment ago: none of them may leave the table. */
static void leave_free(int count) {
    spec_mysql_sql(&rig.server,
                   "INSERT INTO moonwatch.mw_locks SELECT CONCAT('/f/', seq), 1, 0, 0, 0, '', UNIX_TIMESTAMP() * 1000 "
                   "FROM mysql.seq_1_to_%d; ANALYZE TABLE moonwatch.mw_locks",
                   count);
}

/* Over more heartbeats than lie between two looks for them. */
static int64_t rows_of_looks_for_idle_locks(void) {
    int64_t rows = spec_mysql_status(&rig.server, "ROWS_READ"),
            own = spec_mysql_status(&rig.server, "ROWS_READ") - rows;
    rows = spec_mysql_status(&rig.server, "ROWS_READ");
    CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 70));
    return spec_mysql_status(&rig.server, "ROWS_READ") - rows - own;
}

static void a_look_for_idle_locks_reads_the_same_rows_beside_ten_thousand_free_ones(void) {
    static const mw_option brisk[] = {
        {"session_timeout_ms", "3000"}, {"heartbeat_ms", "20"}, {"binlog", "off"}, {NULL, NULL}};
    rig_open(&rig.a, brisk);
    leave_free(10);
    int64_t few = rows_of_looks_for_idle_locks();
    spec_mysql_sql(&rig.server, "DELETE FROM moonwatch.mw_locks");
    leave_free(10000);
    int64_t many = rows_of_looks_for_idle_locks();
    spi_close(&rig.a);
    CHECK(few < 1000);
    CHECK(many < 1000);
}

enum { WRITERS = 32, EACH = 20 };

typedef struct writer {
    spi_client client;
    spi_op op;
    mw_write write;
    char path[32];
    int number, count;
} writer;

static writer writers[WRITERS];

static bool next_write(writer *self) {
    if (self->count == EACH)
        return false;
    snprintf(self->path, sizeof self->path, "/w/%d.%d", self->number, self->count++);
    self->write = spi_step(MW_CREATE, self->path, "v", 0);
    spi_submit_writes(&self->client, &self->op, &self->write, 1);
    return true;
}

/* Whoever is done writes again. */
static bool all_written(void *arg) {
    bool busy = false;
    for (int i = 0; i < WRITERS; i++)
        busy = (writers[i].op.ends == 0 || next_write(&writers[i])) || busy;
    return !busy;
}

static int shown;
static void count_entry(mw_feed *feed, const mw_entry *entry) {
    shown++;
}

/* With ids from auto-increment a reader passes those that commit late, and never comes back to them. */
static void no_change_is_passed_over_under_32_writers(void) {
    static const mw_option eager[] = {{"poll_interval_ms", "1"}, {"binlog", "off"}, {NULL, NULL}};
    static spi_feed feed;
    shown = 0;
    rig_open(&rig.a, eager);
    spi_watch(&rig.a, &feed, "/w", MW_DEPTH_SUBTREE);
    feed.feed.entry = count_entry;
    CHECK(spi_await(&rig.a, &feed.synced, 1));
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.number = i};
        rig_open(&writers[i].client, eager);
        CHECK(next_write(&writers[i]));
    }
    CHECK(rig_run(all_written, NULL));
    CHECK(rig_run(spi_reached, &(spi_count){&shown, WRITERS * EACH}));
    CHECK_INT(shown, WRITERS * EACH);
    CHECK_INT(feed.begun, 1);
    CHECK_INT(spec_mysql_sql(&rig.server,
                             "SELECT COUNT(DISTINCT revision) FROM moonwatch.mw_changes WHERE path LIKE '/w/%%'"),
              WRITERS * EACH);
    mw_backend_plugin()->unwatch(rig.a.conn, &feed.feed);
    for (int i = 0; i < WRITERS; i++)
        spi_close(&writers[i].client);
    spi_close(&rig.a);
}

/* The change log is read without asking the server for an order. */
static void changes_seen_in_one_look_come_in_the_order_of_their_commits(void) {
    static const mw_option slow[] = {{"poll_interval_ms", "1500"}, {"binlog", "off"}, {NULL, NULL}};
    static spi_feed feed;
    rig_open(&rig.a, slow);
    rig_open(&rig.b, slow);
    CHECK_INT(spi_write(&rig.b, MW_CREATE, "/o/x", "first", 0), MW_OK);
    spi_watch(&rig.a, &feed, "/o", MW_DEPTH_CHILDREN);
    CHECK(spi_await(&rig.a, &feed.synced, 1));
    for (int i = 0; i < 5; i++) {
        CHECK_INT(spi_write(&rig.b, MW_DELETE, "/o/x", NULL, -1), MW_OK);
        CHECK_INT(spi_write(&rig.b, MW_CREATE, "/o/x", i == 4 ? "last" : "again", 0), MW_OK);
    }
    CHECK(spi_await_text(&rig.a, feed.seen, "/o/x=last"));
    CHECK(strstr(feed.seen, "-/o/x /o/x=last"));
    mw_backend_plugin()->unwatch(rig.a.conn, &feed.feed);
    spi_close(&rig.b);
    spi_close(&rig.a);
}

static const spec_case cases[] = {
    {"a free lock is one statement, and so is its release", a_free_lock_is_one_statement_and_so_is_its_release},
    {"a heartbeat is one statement whatever is registered", a_heartbeat_is_one_statement_whatever_is_registered},
    {"an idle look reads the same rows beside 10,000 entries",
     an_idle_look_reads_the_same_rows_beside_ten_thousand_entries},
    {"the end of a session reads the same rows beside 10,000 waiters",
     the_end_of_a_session_reads_the_same_rows_beside_ten_thousand_waiters},
    {"the end of a session waits for no row of others", the_end_of_a_session_waits_for_no_row_of_others},
    {"a look for idle locks reads the same rows beside 10,000 free ones",
     a_look_for_idle_locks_reads_the_same_rows_beside_ten_thousand_free_ones},
    {"no change is passed over under 32 writers", no_change_is_passed_over_under_32_writers},
    {"changes seen in one look come in the order of their commits",
     changes_seen_in_one_look_come_in_the_order_of_their_commits},
};

int main(int argc, char **argv) {
    return rig_main("--log-bin=bin --max-connections=200", cases, sizeof cases / sizeof *cases, argc, argv);
}
