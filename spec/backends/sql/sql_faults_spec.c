/* Each batch of a whole life (open, writes, reads, feeds, locks, close) fails once, in each way a server can fail: what
 * is told must be true, and nothing may be left behind. */
#include "faulty_bench.h"

/* As the core does: what was certainly not applied is submitted again once connected. */
static int insist(spi_client *client, spi_op *op, const mw_write *writes, size_t count) {
    for (int attempt = 0; attempt < 20; attempt++) {
        CHECK(spi_await(client, &client->connected, client->disconnected + 1));
        if (spi_txn(client, op, writes, count) != MW_EDISCONNECTED)
            return op->status;
        CHECK(spi_await(client, &client->disconnected, 1));
    }
    return MW_ETIMEOUT;
}

static int insist_read(spi_client *client, spi_op *op, mw_request_kind kind, const char *path) {
    for (int attempt = 0; attempt < 20; attempt++) {
        CHECK(spi_await(client, &client->connected, client->disconnected + 1));
        if (spi_read(client, op, kind, path) != MW_EDISCONNECTED)
            return op->status;
    }
    return MW_ETIMEOUT;
}

static void live(void) {
    static spi_op op;
    static spi_ticket ticket;
    static spi_feed feed;
    spi_watch(&a, &feed, "/a", MW_DEPTH_SUBTREE);
    mw_write create = spi_step(MW_CREATE, "/a/b/c", "1", 0);
    CHECK_INT(insist(&a, &op, &create, 1), MW_OK);
    CHECK_INT(op.written[0].version, 0);
    CHECK(op.written[0].revision > 0 && op.written[0].created == op.written[0].revision);
    mw_write set = spi_step(MW_SET, "/a/b/c", "2", 0);
    CHECK_INT(insist(&a, &op, &set, 1), MW_OK);
    CHECK_INT(op.written[0].version, 1);
    mw_write refused = spi_step(MW_SET, "/a/b/c", "3", 0);
    CHECK_INT(insist(&a, &op, &refused, 1), MW_ECONFLICT);
    CHECK(spi_await(&a, &a.connected, a.disconnected + 1));
    spi_lock(&a, &ticket, "/lock", false);
    CHECK(spi_await(&a, &ticket.grants, 1));
    mw_write txn[] = {{.kind = MW_CHECK_LOCK, .lock = &ticket.ticket},
                      spi_step(MW_PUT, "/a/d", "4", 0),
                      spi_step(MW_DELETE, "/a/b/c", NULL, 1)};
    CHECK_INT(insist(&a, &op, txn, 3), MW_OK);
    spi_unlock(&a, &ticket);
    CHECK_INT(ticket.status, MW_OK);
    CHECK_INT(insist_read(&a, &op, MW_READ_LIST, "/"), MW_OK);
    CHECK_TEXT(op.seen, "/a= /a/b= /a/d=4 ");
    CHECK_INT(insist_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 0);
    CHECK(spi_await_text(&a, feed.seen, "/a/d=4 "));
    CHECK(!feed.failed);
    a.backend->unwatch(a.conn, &feed.feed);
    CHECK_INT(a.expired, 0);
}

static void fail_each(faulty_mode mode, bool writes_only) {
    for (int nth = 1;; nth++) {
        faulty_arm(mode, nth, writes_only);
        CHECK_INT(spi_start(&a, &spi, bench.host, faulty_backend(), options, NULL), MW_OK);
        CHECK(spi_await(&a, &a.connected, 1));
        live();
        bool struck = atomic_load(&faulty.struck) != 0;
        faulty_arm(FAULTY_NONE, 0, false);
        spi_close(&a);
        after();
        before();
        if (!struck) {
            CHECK(nth > 10);
            return;
        }
    }
}

static void a_conflict_is_repeated(void) {
    fail_each(FAULTY_BUSY, false);
}

static void a_cut_before_sending_is_repeated(void) {
    fail_each(FAULTY_CUT_BEFORE, false);
}

static void a_lost_write_is_known_not_to_have_happened(void) {
    fail_each(FAULTY_LOST, true);
}

static void a_lost_reply_is_known_to_have_happened(void) {
    fail_each(FAULTY_LOST_REPLY, true);
}

/* ---- Where it is not decided */

static void a_lost_reply_of_a_lost_session_is_unknown(void) {
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    mw_write put = spi_step(MW_PUT, "/a", "1", 0);
    static spi_op op;
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_OK);
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_LOST_REPLY, 1, true);
    spi_submit_writes(&a, &op, &put, 1);
    CHECK(spi_await(&a, &a.disconnected, 1));
    a.backend->expire(a.conn);
    CHECK(spi_await(&a, &a.expired, 1));
    atomic_store(&faulty.down, false);
    CHECK_INT(spi_end(&a, &op), MW_EUNKNOWN);
    CHECK(spi_await(&a, &a.connected, 2));
}

/* Versions stand in the change log only, and others have bounded it meanwhile. */
static void a_lost_reply_whose_result_is_forgotten_is_unknown(void) {
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    options[2] = (mw_option){"retention", "5"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    mw_write put = spi_step(MW_PUT, "/a", "1", 0);
    static spi_op op;
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_OK);
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_LOST_REPLY, 1, true);
    spi_submit_writes(&a, &op, &put, 1);
    CHECK(spi_await(&a, &a.disconnected, 1));
    for (int i = 0; i < 40; i++)
        CHECK_INT(spi_write(&b, MW_PUT, "/b", "2", 0), MW_OK);
    atomic_store(&faulty.down, false);
    CHECK_INT(spi_end(&a, &op), MW_EUNKNOWN);
    CHECK_INT(a.expired, 0);
}

static void a_session_is_taken_up_again(void) {
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    mw_session_id id = a.session.id;
    static spi_op op;
    CHECK_INT(spi_write(&a, MW_CREATE, "/e", "~1", 0), MW_OK);
    faulty_arm(FAULTY_CUT_BEFORE, 1, false);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/e"), MW_EDISCONNECTED);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK(a.session.resumed && a.session.id == id);
    CHECK_INT(a.expired, 0);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/e"), MW_OK);
}

/* Whichever batch of it is cut off. */
static void a_reconnection_that_fails_midway_costs_no_session(void) {
    static spi_op op;
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    mw_session_id id = a.session.id;
    for (int nth = 1; nth <= 6; nth++) {
        int connected = a.connected;
        faulty_arm(FAULTY_CUT_BEFORE, 1, false);
        atomic_store(&faulty.again, nth);
        CHECK_INT(spi_read(&a, &op, MW_READ_LIST, "/"), MW_EDISCONNECTED);
        CHECK(spi_await(&a, &a.connected, connected + 1));
        CHECK_INT(insist_read(&a, &op, MW_READ_LIST, "/"), MW_OK);
        CHECK_INT(a.expired, 0);
        CHECK(a.session.resumed && a.session.id == id);
        CHECK_INT(a.connected, a.disconnected + 1);
    }
}

static void a_session_that_was_ended_meanwhile_is_lost(void) {
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    static spi_ticket ticket;
    static spi_op op;
    spi_lock(&a, &ticket, "/lock", false);
    CHECK(spi_await(&a, &ticket.grants, 1));
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_CUT_BEFORE, 1, false);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/x"), MW_EDISCONNECTED);
    CHECK(spi_await(&a, &a.disconnected, 1));
    static int ended;
    ended = 0;
    b.backend->end_session(b.conn, a.session.id, a.session.secret,
                           (void (*)(void *, int, const mw_error *))spi_on_failed, &a);
    CHECK(spi_await(&b, &a.failed, 1));
    a.failed = ended;
    atomic_store(&faulty.down, false);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK_INT(a.expired, 1);
    CHECK_INT(ticket.ends, 1);
    CHECK_INT(ticket.status, MW_ESESSION_LOST);
    CHECK(!a.session.resumed);
}

static void closing_while_the_server_is_down_ends(void) {
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    static spi_op op;
    static spi_ticket ticket;
    spi_lock(&a, &ticket, "/lock", false);
    CHECK(spi_await(&a, &ticket.grants, 1));
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_LOST_REPLY, 1, true);
    mw_write put = spi_step(MW_PUT, "/a", "1", 0);
    spi_submit_writes(&a, &op, &put, 1);
    CHECK(spi_await(&a, &a.disconnected, 1));
    a.backend->unlock(a.conn, &ticket.ticket);
    spi_close(&a);
    CHECK_INT(op.status, MW_EUNKNOWN);
    CHECK_INT(ticket.ends, 1);
}

/* The connection broke a moment ago, and nobody has noticed: the session must not be left to its timeout. */
static void a_goodbye_that_fails_is_said_again(void) {
    static const faulty_mode modes[] = {FAULTY_CUT_BEFORE, FAULTY_LOST, FAULTY_LOST_REPLY, FAULTY_REFUSED};
    static spi_op op;
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        spi_open(&a, &spi, bench.host, faulty_backend(), options);
        CHECK_INT(spi_write(&a, MW_CREATE, "/e", "~1", 0), MW_OK);
        faulty_arm(modes[i], 1, true);
        atomic_store(&faulty.again, 1);
        a.backend->close(a.conn, MW_FOREVER);
        CHECK(spi_await(&a, &a.closed, 1));
        CHECK(atomic_load(&faulty.struck) > 0);
        CHECK_INT(spi_read(&b, &op, MW_READ_GET, "/e"), MW_ENOT_FOUND);
    }
}

static void a_goodbye_ends_with_its_patience(void) {
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_CUT_BEFORE, 1, true);
    a.backend->close(a.conn, 300 * MW_MS);
    CHECK(spi_await(&a, &a.closed, 1));
    CHECK_INT(atomic_load(&faulty.struck), 1);
}

/* As long as the session can last. */
static void a_goodbye_without_a_bound_ends_with_the_session(void) {
    options[1] = (mw_option){"session_timeout_ms", "600"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_CUT_BEFORE, 1, true);
    a.backend->close(a.conn, MW_FOREVER);
    CHECK(spi_await(&a, &a.closed, 1));
}

static void a_reader_below_the_floor_reads_anew(void) {
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    options[2] = (mw_option){"retention", "5"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    static spi_feed feed;
    CHECK_INT(spi_write(&b, MW_CREATE, "/a/gone", "1", 0), MW_OK);
    spi_watch(&a, &feed, "/a", MW_DEPTH_CHILDREN);
    CHECK(spi_await(&a, &feed.synced, 1));
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_CUT_BEFORE, 1, false);
    static spi_op op;
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/x"), MW_EDISCONNECTED);
    CHECK_INT(spi_write(&b, MW_DELETE, "/a/gone", NULL, 0), MW_OK);
    for (int i = 0; i < 40; i++)
        CHECK_INT(spi_write(&b, MW_PUT, "/a/new", "2", 0), MW_OK);
    atomic_store(&faulty.down, false);
    CHECK(spi_await(&a, &feed.synced, 2));
    CHECK(strstr(feed.seen, "begin /a/new=2 synced "));
    a.backend->unwatch(a.conn, &feed.feed);
}

static void a_refusal_by_the_disk_loses_nothing(void) {
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    static spi_ticket ticket;
    faulty_arm(FAULTY_REFUSED, 1, true);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "1", 0), MW_EIO);
    CHECK_INT(spi_write(&a, MW_CREATE, "/a", "1", 0), MW_OK);
    spi_lock(&a, &ticket, "/lock", false);
    CHECK(spi_await(&a, &ticket.grants, 1));
    faulty_arm(FAULTY_REFUSED, 1, true);
    a.backend->unlock(a.conn, &ticket.ticket);
    CHECK(spi_await(&a, &ticket.ends, 1)); /* tried again with the next heartbeat */
    CHECK_INT(ticket.status, MW_OK);
    static spi_op op;
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 0);
}

/* As the binary log's events may: then the next poll would be an hour away. */
static void a_wake_up_before_its_commit_can_be_seen_is_looked_at_again(void) {
    static spi_feed feed;
    int bound = 4;
    options[3] = (mw_option){"poll_interval_ms", "3600000"};
    atomic_store(&faulty.wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_watch(&a, &feed, "/a", MW_DEPTH_CHILDREN);
    CHECK(spi_await(&a, &feed.synced, 1));
    for (int hidden = 0; hidden < bound; hidden++) {
        char value[] = {(char)('0' + hidden), '\0'}, told[] = {'=', value[0], ' ', '\0'};
        CHECK_INT(spi_write(&b, MW_PUT, "/a/x", value, 0), MW_OK);
        atomic_store(&faulty.hidden, hidden);
        CHECK_INT(eventfd_write(atomic_load(&faulty.wake_fd), 1), 0);
        CHECK(spi_await_text(&a, feed.seen, told));
    }
    a.backend->unwatch(a.conn, &feed.feed);
}

/* Nothing was committed: four looks, and the next wake-up begins anew. */
static void a_wake_up_for_nothing_costs_a_bounded_number_of_looks(void) {
    static spi_feed feed;
    options[3] = (mw_option){"poll_interval_ms", "3600000"};
    atomic_store(&faulty.wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_watch(&a, &feed, "/a", MW_DEPTH_CHILDREN);
    CHECK(spi_await(&a, &feed.synced, 1));
    for (int round = 1; round <= 3; round++) {
        int all = atomic_load(&faulty.looks) + 4;
        CHECK_INT(eventfd_write(atomic_load(&faulty.wake_fd), 1), 0);
        CHECK(spi.run(has_looked, &all));
        CHECK_INT(spi_write(&a, MW_PUT, "/b", "1", 0), MW_OK);
        CHECK_INT(atomic_load(&faulty.looks), all);
    }
    a.backend->unwatch(a.conn, &feed.feed);
}

static const spec_case cases[] = {
    {"a conflict is repeated", a_conflict_is_repeated},
    {"a cut before sending is repeated", a_cut_before_sending_is_repeated},
    {"a lost write is known not to have happened", a_lost_write_is_known_not_to_have_happened},
    {"a lost reply is known to have happened", a_lost_reply_is_known_to_have_happened},
    {"a lost reply of a lost session is unknown", a_lost_reply_of_a_lost_session_is_unknown},
    {"a lost reply whose result is forgotten is unknown", a_lost_reply_whose_result_is_forgotten_is_unknown},
    {"a session is taken up again", a_session_is_taken_up_again},
    {"a reconnection that fails midway costs no session", a_reconnection_that_fails_midway_costs_no_session},
    {"a session that was ended meanwhile is lost", a_session_that_was_ended_meanwhile_is_lost},
    {"closing while the server is down ends", closing_while_the_server_is_down_ends},
    {"a goodbye that fails is said again", a_goodbye_that_fails_is_said_again},
    {"a goodbye ends with its patience", a_goodbye_ends_with_its_patience},
    {"a goodbye without a bound ends with the session", a_goodbye_without_a_bound_ends_with_the_session},
    {"a reader below the floor reads anew", a_reader_below_the_floor_reads_anew},
    {"a refusal by the disk loses nothing", a_refusal_by_the_disk_loses_nothing},
    {"a wake-up before its commit can be seen is looked at again",
     a_wake_up_before_its_commit_can_be_seen_is_looked_at_again},
    {"a wake-up for nothing costs a bounded number of looks", a_wake_up_for_nothing_costs_a_bounded_number_of_looks},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
