/* What another transaction is about to change while a statement of ours reads it: a guard is a locking read, or what it
 * saw is over before it counts. The other one is root's, in plain SQL, and ends when ours waits for it. */
#include <pthread.h>

#include "backends/mysql/driver.h"
#include "rig.h"
#include "sql/statements.h"

#define SQL(...) spec_mysql_sql(&rig.server, __VA_ARGS__)

static const mw_option quiet[] = {{"session_timeout_ms", "600000"},
                                  {"heartbeat_ms", "200000"},
                                  {"poll_interval_ms", "600000"},
                                  {"binlog", "off"},
                                  {NULL, NULL}};

/* Somebody waits for a row of the other transaction; or is done (`arg`, a count) without having waited. */
static bool waits(void *arg) {
    return *(const int *)arg > 0 || spec_mysql_status(&rig.server, "INNODB_ROW_LOCK_CURRENT_WAITS") > 0;
}

static void commit_when_it_waits(int *done) {
    CHECK(rig_run(waits, done));
    SQL("COMMIT");
}

static int64_t id_of(const spi_client *client) {
    return (int64_t)client->session.id;
}

static void hold(spi_client *client, spi_ticket *ticket, const char *path) {
    spi_lock(client, ticket, path, false);
    CHECK(spi_await(client, &ticket->grants, 1));
}

static int ended;
static void on_ended(void *arg, int status, const mw_error *detail) {
    CHECK_INT(status, MW_OK);
    ended++;
}

static void end_a(void) {
    ended = 0;
    rig.b.backend->end_session(rig.b.conn, rig.a.session.id, rig.a.session.secret, on_ended, NULL);
}

static void before(void) {
    rig_before();
    rig_open(&rig.a, quiet);
    rig_open(&rig.b, quiet);
    CHECK_INT(mysql_select_db(rig.server.root, "moonwatch"), 0);
    SQL("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"); /* as ours: gaps are not locked */
}

static void after(void) {
    SQL("ROLLBACK"); /* of a case that failed */
    rig_after();
}

/* ---- Locks and the end of their sessions */

/* Else a lock would be held by nobody, and for good. */
static void a_session_that_is_being_ended_takes_no_lock(void) {
    static spi_ticket ticket;
    SQL("BEGIN; DELETE FROM mw_sessions WHERE id = %lld", (long long)id_of(&rig.a));
    int64_t id = id_of(&rig.a);
    spi_lock(&rig.a, &ticket, "/lock", false);
    commit_when_it_waits(&ticket.grants);
    CHECK(spi_await(&rig.a, &ticket.ends, 1));
    CHECK_INT(ticket.status, MW_ESESSION_LOST);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_locks WHERE holder = %lld", (long long)id), 0);
}

/* Nor a place in the queue, whose turn would come. */
static void a_session_that_is_being_ended_does_not_queue(void) {
    static spi_ticket held, ticket;
    hold(&rig.b, &held, "/lock");
    SQL("BEGIN; DELETE FROM mw_sessions WHERE id = %lld", (long long)id_of(&rig.a));
    spi_lock(&rig.a, &ticket, "/lock", false);
    commit_when_it_waits(&ticket.grants);
    CHECK(spi_await(&rig.a, &ticket.ends, 1));
    CHECK_INT(ticket.status, MW_ESESSION_LOST);
    CHECK_INT(SQL("SELECT waiters FROM mw_locks WHERE path = '/lock'"), 0);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_lock_waiters"), 0);
    spi_unlock(&rig.b, &held);
}

/* The end finds the lock's row taken by the one who joins. */
static void who_joins_while_the_holder_is_ended_gets_the_lock(void) {
    static spi_ticket held;
    hold(&rig.a, &held, "/lock");
    SQL("BEGIN; UPDATE mw_locks SET waiters = waiters + 1 WHERE path = '/lock'; "
        "INSERT INTO mw_lock_waiters VALUES ('/lock', 1, %lld, 777, 'next', 0)",
        (long long)id_of(&rig.b));
    end_a();
    commit_when_it_waits(&ended);
    CHECK(spi_await(&rig.b, &ended, 1));
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_locks WHERE path = '/lock' AND holder = %lld AND handle = 777 "
                  "AND waiters = 0 AND value = 'next' AND token = 2",
                  (long long)id_of(&rig.b)),
              1);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_lock_waiters"), 0);
}

/* ---- Tokens */

/* Its row was idle, and goes: the floor of tokens, raised before, is what counts. */
static void a_lock_whose_row_is_being_dropped_repeats_no_token(void) {
    static spi_ticket ticket;
    hold(&rig.a, &ticket, "/lock");
    spi_unlock(&rig.a, &ticket);
    SQL("BEGIN; UPDATE mw_meta SET lock_floor = 40 WHERE id = 2; DELETE FROM mw_locks WHERE path = '/lock'");
    spi_lock(&rig.a, &ticket, "/lock", false);
    commit_when_it_waits(&ticket.grants);
    CHECK(spi_await(&rig.a, &ticket.grants, 1));
    CHECK_INT(ticket.ticket.token, 41);
    spi_unlock(&rig.a, &ticket);
}

/* What an attempt that found the lock held makes sure of first; by itself, on a connection of its own. */
static void *make_row(void *catalog) {
    const mw_sql_value params[] = {{.type = MW_SQL_INT, .integer = id_of(&rig.a)},
                                   {.type = MW_SQL_BYTES, .bytes = mw_str_of("/lock")},
                                   {.type = MW_SQL_INT, .integer = 1},
                                   {.type = MW_SQL_BYTES, .bytes = mw_str_of("")},
                                   {.type = MW_SQL_INT},
                                   {.type = MW_SQL_INT}};
    mw_sql_step step = {.statement = MW__SQL_LOCK_ROW, .params = params, .param_count = 6};
    mw_sql_batch batch = {.kind = MW_SQL_WRITE, .writes = true, .steps = &step, .step_count = 1};
    mw_sql_driver_config config = {
        .host = rig.host, .options = rig_options(quiet), .session_timeout = 600 * MW_SECOND, .catalog = catalog};
    static int status;
    mw_sql_db *db = NULL;
    status = mw_mysql_driver.open(&config, &db, NULL);
    if (!status)
        status = mw_mysql_driver.connect(db, NULL);
    if (!status)
        status = mw_mysql_driver.run(db, &batch, NULL);
    mw_mysql_driver.free(db);
    return &status;
}

static void a_row_that_is_made_anew_starts_at_the_floor_of_tokens(void) {
    static spi_ticket ticket;
    mw_sql_statement *catalog = NULL;
    pthread_t thread;
    void *status = NULL;
    int never = 0;
    hold(&rig.a, &ticket, "/lock");
    spi_unlock(&rig.a, &ticket);
    CHECK_INT(mw__sql_catalog_new(&mw_mysql_driver, &catalog, NULL), MW_OK);
    SQL("BEGIN; UPDATE mw_meta SET lock_floor = 40 WHERE id = 2; DELETE FROM mw_locks WHERE path = '/lock'");
    CHECK_INT(pthread_create(&thread, NULL, make_row, catalog), 0);
    bool waited = rig_run(waits, &never);
    SQL("COMMIT");
    CHECK_INT(pthread_join(thread, &status), 0);
    mw__sql_catalog_free(catalog);
    CHECK(waited);
    CHECK_INT(*(int *)status, MW_OK);
    CHECK_INT(SQL("SELECT token FROM mw_locks WHERE path = '/lock'"), 40);
}

/* ---- Guarded writes */

static mw_write guarded[2];

static void submit_guarded(spi_op *op, spi_ticket *ticket) {
    guarded[0] = (mw_write){.kind = MW_CHECK_LOCK, .lock = &ticket->ticket};
    guarded[1] = spi_step(MW_PUT, "/guarded", "old holder", 0);
    spi_submit_writes(&rig.a, op, guarded, 2);
}

static void an_old_holder_does_not_write_while_its_lock_changes_hands(void) {
    static spi_ticket held;
    static spi_op op;
    hold(&rig.a, &held, "/lock");
    SQL("BEGIN; UPDATE mw_locks SET token = token + 1, holder = %lld, handle = 777 WHERE path = '/lock'",
        (long long)id_of(&rig.b));
    submit_guarded(&op, &held);
    commit_when_it_waits(&op.ends);
    CHECK_INT(spi_end(&rig.a, &op), MW_EFENCED);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_entries WHERE path = '/guarded'"), 0);
}

/* It stands still behind its check; to whoever wants the lock then, this says: not before its commit. */
static void a_lock_does_not_change_hands_while_its_holder_writes(void) {
    static spi_ticket held;
    static spi_op op;
    hold(&rig.a, &held, "/lock");
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/guarded", "v", 0), MW_OK);
    SQL("SET SESSION innodb_lock_wait_timeout = 0; BEGIN; SELECT 1 FROM mw_entries WHERE path = '/guarded' FOR UPDATE");
    submit_guarded(&op, &held);
    CHECK(rig_run(waits, &op.ends));
    CHECK(mysql_query(rig.server.root, "UPDATE mw_locks SET token = token + 1 WHERE path = '/lock'") != 0);
    CHECK_INT(mysql_errno(rig.server.root), 1205);
    SQL("COMMIT; UPDATE mw_locks SET token = token + 1 WHERE path = '/lock' AND 1 = 0");
    CHECK_INT(spi_end(&rig.a, &op), MW_OK);
}

/* ---- A registry that is recognised as gone backwards */

/* It would be one of those that were, and not know it. */
static void no_session_is_opened_while_all_are_declared_over(void) {
    spi_close(&rig.b);
    SQL("BEGIN; UPDATE mw_meta SET identity = REPEAT('n', 16), revision = revision + 1000000; "
        "UPDATE mw_sessions SET ended = 1, expires = 0");
    CHECK_INT(spi_start(&rig.b, &rig_bench, rig.host, mw_backend_plugin(), rig_options(quiet), NULL), MW_OK);
    CHECK(rig_run(waits, &rig.b.connected));
    CHECK_INT(rig.b.connected, 0);
    SQL("COMMIT");
    CHECK(spi_await(&rig.b, &rig.b.connected, 1));
}

/* It read the old numbers before the first one had raised them, and the server runs all that it says. */
static void who_comes_second_to_raise_it_changes_nothing(void) {
    static spi_op op;
    spi_close(&rig.b);
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/a", "v", 0), MW_OK);
    SQL("UPDATE mw_meta SET revision = 0 WHERE id = 1; KILL CONNECTION USER 'mwlog'; "
        "BEGIN; UPDATE mw_meta SET identity = REPEAT('n', 16), revision = 2000000, lock_floor = 3000000; "
        "UPDATE mw_sessions SET ended = 1, expires = 0; "
        "INSERT INTO mw_sessions VALUES (9, 's', 'first', 0, 4000000000000, 600000, '', 0, 0, 0, 0); "
        "INSERT INTO mw_entries VALUES ('/e', '/', 'v', 0, 1999999, 1, 9, 0, 0); "
        "INSERT INTO mw_locks VALUES ('/held', 3000001, 9, 91, 0, 'v', 0)");
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_GET, "/a"), MW_EDISCONNECTED);
    commit_when_it_waits(&rig.a.expired);
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_meta WHERE revision = 2000000 AND lock_floor = 3000000"), 2);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_sessions WHERE id = 9 AND ended = 0 AND expires > 0"), 1);
    CHECK_INT(SQL("SELECT revision FROM mw_entries WHERE path = '/e'"), 1999999);
    CHECK_INT(SQL("SELECT token FROM mw_locks WHERE path = '/held'"), 3000001);
}

/* ---- The end of who was silent, and is heard again */

/* It owns an entry, holds a lock and waits for another. By a third connection: the second is in a transaction. */
static void insert_silent_session(void) {
    spec_mysql third = rig.server;
    third.root = mysql_init(NULL);
    CHECK(mysql_real_connect(third.root, NULL, "root", "", "moonwatch", 0, third.socket, CLIENT_MULTI_STATEMENTS));
    spec_mysql_sql(&third, "BEGIN; INSERT INTO mw_sessions VALUES (7, 's', 'silent', 0, 1, 1, '', 0, 0, 0, 0); "
                           "INSERT INTO mw_entries VALUES ('/e', '/', 'v', 0, 1, 1, 7, 0, 0); "
                           "INSERT INTO mw_locks VALUES ('/held', 5, 7, 71, 1, 'v', 0), ('/awaited', 6, 8, 81, 1, 'v', "
                           "0); INSERT INTO mw_lock_waiters VALUES ('/held', 1, 8, 82, 'v', 0), ('/awaited', 1, 7, 72, "
                           "'v', 0); COMMIT");
    mysql_close(third.root);
}

/* Whoever finds it silent waits for the row that all writers change first; until then it has renewed. */
static void is_heard_again(const char *expires) {
    static const mw_option brisk[] = {
        {"session_timeout_ms", "600000"}, {"heartbeat_ms", "50"}, {"binlog", "off"}, {NULL, NULL}};
    static spi_op flush;
    int never = 0;
    spi_close(&rig.b);
    rig_open(&rig.b, brisk);
    SQL("BEGIN; UPDATE mw_meta SET epoch = epoch + 1 WHERE id = 1");
    insert_silent_session();
    CHECK(rig_run(waits, &never));
    SQL("UPDATE mw_sessions SET expires = %s, timeout = 600000 WHERE id = 7; COMMIT", expires);
    CHECK_INT(spi_read(&rig.b, &flush, MW_READ_GET, "/e"), MW_OK); /* behind the end that came too late */
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_sessions WHERE id = 7 AND ended = 0"), 1);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_changes WHERE path IN ('/e', '/held')"), 0);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_locks WHERE waiters = 1 AND (token = 5 AND holder = 7 OR token = 6)"), 2);
    CHECK_INT(SQL("SELECT COUNT(*) FROM mw_lock_waiters"), 2);
}

static void who_renews_before_it_is_ended_loses_nothing(void) {
    is_heard_again("4000000000000");
}

/* That it was silent before proves nothing: it has its whole time again. */
static void who_renewed_and_is_late_again_has_its_time(void) {
    is_heard_again("2");
}

static const spec_case cases[] = {
    {"a session that is being ended takes no lock", a_session_that_is_being_ended_takes_no_lock},
    {"a session that is being ended does not queue", a_session_that_is_being_ended_does_not_queue},
    {"who joins while the holder is ended gets the lock", who_joins_while_the_holder_is_ended_gets_the_lock},
    {"a lock whose row is being dropped repeats no token", a_lock_whose_row_is_being_dropped_repeats_no_token},
    {"a row that is made anew starts at the floor of tokens", a_row_that_is_made_anew_starts_at_the_floor_of_tokens},
    {"an old holder does not write while its lock changes hands",
     an_old_holder_does_not_write_while_its_lock_changes_hands},
    {"a lock does not change hands while its holder writes", a_lock_does_not_change_hands_while_its_holder_writes},
    {"no session is opened while all are declared over", no_session_is_opened_while_all_are_declared_over},
    {"who comes second to raise it changes nothing", who_comes_second_to_raise_it_changes_nothing},
    {"who renews before it is ended loses nothing", who_renews_before_it_is_ended_loses_nothing},
    {"who renewed and is late again has its time", who_renewed_and_is_late_again_has_its_time},
};

int main(int argc, char **argv) {
    spec_mysql_start(&rig.server, "");
    spec.before = before;
    spec.after = after;
    int status = spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
    spec_mysql_remove(&rig.server);
    return status;
}
