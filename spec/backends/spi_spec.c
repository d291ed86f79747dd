#include "spi_client.h"

/* One registry per case, and up to three clients on it; those still open at the end of a case are closed. */
static struct {
    const spi_bench *bench;
    mw_host *host;
    const mw_backend *backend;
    const mw_option *options;
    spi_client a, b, c;
} on;

static spi_client *client(spi_client *which) {
    spi_open(which, on.bench, on.host, on.backend, on.options);
    return which;
}

/* `path` behind the bench's prefix; four at a time. */
static const char *at(const char *path) {
    static char text[4][128];
    static int next;
    char *place = text[next++ % 4];
    (void)snprintf(place, sizeof text[0], "%s%s", on.bench->prefix, path);
    return place;
}

/* ---- Entries */

static void creates_and_reads(void) {
    spi_client *a = client(&on.a);
    mw_write write = spi_step(MW_CREATE, at("/a"), "one", 0);
    static spi_op op, got;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    CHECK_INT(op.written[0].version, 0);
    CHECK(op.written[0].revision > 0);
    CHECK_INT(op.written[0].created, op.written[0].revision);
    CHECK_INT(spi_read(a, &got, MW_READ_GET, at("/a")), MW_OK);
    CHECK(strstr(got.seen, "/a=one "));
    CHECK_INT(got.last.revision, op.written[0].revision);
    CHECK_INT(got.last.owner, 0);
    CHECK(got.last.ctime > 0 && got.last.mtime == got.last.ctime);
    CHECK_INT(spi_read(a, &got, MW_READ_STAT, at("/a")), MW_OK);
    CHECK(strstr(got.seen, "/a= "));
}

static void counts_versions_per_incarnation(void) {
    spi_client *a = client(&on.a);
    static spi_op got;
    CHECK_INT(spi_write(a, MW_PUT, at("/a"), "1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/a"), "2", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_SET, at("/a"), "3", 1), MW_OK);
    CHECK_INT(spi_read(a, &got, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(got.last.version, 2);
    int64_t created = got.last.created;
    CHECK_INT(spi_write(a, MW_DELETE, at("/a"), NULL, MW_VERSION_ANY), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "4", 0), MW_OK);
    CHECK_INT(spi_read(a, &got, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(got.last.version, 0);
    CHECK(got.last.created > created);
}

static void refuses_with_the_right_word(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/b"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_EEXISTS);
    CHECK_INT(spi_write(a, MW_SET, at("/x"), "", MW_VERSION_ANY), MW_ENOT_FOUND);
    CHECK_INT(spi_write(a, MW_SET, at("/a"), "", 7), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_DELETE, at("/x"), NULL, MW_VERSION_ANY), MW_ENOT_FOUND);
    CHECK_INT(spi_write(a, MW_DELETE, at("/a/b"), NULL, 7), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_DELETE, at("/a"), NULL, MW_VERSION_ANY), MW_ENOT_EMPTY);
    CHECK_INT(spi_write(a, MW_CHECK, at("/x"), NULL, MW_VERSION_ANY), MW_ENOT_FOUND);
    CHECK_INT(spi_write(a, MW_CHECK, at("/a"), NULL, 7), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_CHECK, at("/a"), NULL, MW_VERSION_ABSENT), MW_EEXISTS);
    CHECK_INT(spi_write(a, MW_CHECK, at("/x"), NULL, MW_VERSION_ABSENT), MW_OK);
}

static void a_refused_txn_changes_nothing(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/old"), "old", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/gone"), "", 0), MW_OK);
    mw_write writes[] = {spi_step(MW_CREATE, at("/new"), "", 0), spi_step(MW_SET, at("/old"), "new", 0),
                         spi_step(MW_DELETE, at("/gone"), NULL, 0), spi_step(MW_SET, "/x", "", MW_VERSION_ANY)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 4), MW_ENOT_FOUND);
    CHECK_INT(op.request.failed_write, 3);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/new")), MW_ENOT_FOUND);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/gone")), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/old")), MW_OK);
    CHECK(strstr(op.seen, "=old ") && op.last.version == 0);
}

static void a_txn_is_one_revision(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/c"), "", 0), MW_OK);
    mw_write writes[] = {spi_step(MW_CHECK, at("/c"), NULL, 0), spi_step(MW_CREATE, at("/a"), "", 0),
                         spi_step(MW_CREATE, at("/a/b"), "", 0), spi_step(MW_DELETE, at("/c"), NULL, 0)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 4), MW_OK);
    for (int i = 1; i < 4; i++)
        CHECK_INT(op.written[i].revision, op.written[0].revision);
    CHECK_INT(op.written[2].created, op.written[0].revision);
}

static void deletes_children_before_their_parent_in_one_txn(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/b"), "", 0), MW_OK);
    mw_write writes[] = {spi_step(MW_DELETE, at("/a/b"), NULL, 0), spi_step(MW_DELETE, at("/a"), NULL, 0)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 2), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/a")), MW_ENOT_FOUND);
}

static void makes_missing_parents(void) {
    spi_client *a = client(&on.a);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, at("/p/q/r"), "x", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/p/q")), MW_OK);
    CHECK_INT(op.last.owner, 0);
    CHECK_INT(spi_write(a, MW_PUT, at("/s/t"), "~x", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/s")), MW_OK);
    CHECK_INT(op.last.owner, 0);
}

static void siblings_with_a_common_prefix_are_apart(void) {
    spi_client *a = client(&on.a);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/ab"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/x"), "1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/x/y"), "2", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, at("/a")), MW_OK);
    CHECK_INT(op.entries, 1);
    CHECK_INT(spi_read(a, &op, MW_READ_LIST, at("/a")), MW_OK);
    CHECK_INT(op.entries, 2);
    CHECK(strstr(op.seen, "/a/x=1 ") && strstr(op.seen, "/a/x/y=2 "));
}

static void tells_an_absent_parent_from_an_empty_one(void) {
    spi_client *a = client(&on.a);
    static spi_op op;
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, at("/x")), MW_ENOT_FOUND);
    CHECK_INT(spi_read(a, &op, MW_READ_LIST, at("/x")), MW_OK);
    CHECK_INT(op.entries, 0);
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, "/"), MW_OK);
}

static void values_are_bytes(void) {
    spi_client *a = client(&on.a);
    mw_write write = spi_step(MW_CREATE, at("/a"), NULL, 0);
    write.value = (mw_str){"a\0b\xFF", 4};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(op.value_len, 4);
    CHECK(memcmp(op.value, "a\0b\xFF", 4) == 0);
}

static void answers_in_order_of_submission(void) {
    spi_client *a = client(&on.a);
    mw_write write = spi_step(MW_CREATE, at("/a"), "mine", 0);
    static spi_op one, two;
    spi_submit_writes(a, &one, &write, 1);
    spi_submit_read(a, &two, MW_READ_GET, at("/a"));
    CHECK_INT(one.ends + two.ends, 0); /* never inline */
    CHECK_INT(spi_end(a, &two), MW_OK);
    CHECK_INT(one.ends, 1);
}

static void a_cancelled_request_is_forgotten(void) {
    spi_client *a = client(&on.a);
    static spi_op one, two;
    spi_submit_read(a, &one, MW_READ_GET, at("/a"));
    a->backend->cancel(a->conn, &one.request);
    CHECK_INT(spi_read(a, &two, MW_READ_GET, at("/a")), MW_ENOT_FOUND);
    CHECK_INT(one.ends, 0);
}

/* ---- Sessions */

static void ephemerals_end_with_their_session(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, at("/e"), "~x", 0), MW_OK);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, at("/e")), MW_OK);
    CHECK_INT(op.last.owner, a->session.id);
    CHECK_INT(spi_write(b, MW_CREATE, at("/e/child"), "", 0), MW_ECONFLICT);
    spi_close(a);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, at("/e")), MW_ENOT_FOUND);
}

static void put_adopts_no_entry_of_another_owner_or_kind(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    CHECK_INT(spi_write(a, MW_PUT, at("/e"), "~1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/e"), "~2", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/e"), "3", 0), MW_ECONFLICT);
    CHECK_INT(spi_write(b, MW_PUT, at("/e"), "~3", 0), MW_ECONFLICT);
    CHECK_INT(spi_write(b, MW_PUT, at("/e"), "3", 0), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_PUT, at("/p"), "1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/p"), "~2", 0), MW_ECONFLICT);
}

typedef struct ended {
    int count, status;
} ended;

static void on_ended(void *arg, int status, const mw_error *detail) {
    ended *self = arg;
    self->count++;
    self->status = status;
}

static void a_secret_ends_a_session(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    unsigned char wrong[MW_SECRET_SIZE] = {0};
    static ended one, two, three;
    one = two = three = (ended){0};
    CHECK_INT(spi_write(a, MW_CREATE, at("/e"), "~x", 0), MW_OK);
    b->backend->end_session(b->conn, a->session.id, wrong, on_ended, &one);
    CHECK(spi_await(b, &one.count, 1));
    CHECK_INT(one.status, MW_EDENIED);
    b->backend->end_session(b->conn, a->session.id, a->session.secret, on_ended, &two);
    CHECK(spi_await(b, &two.count, 1));
    CHECK_INT(two.status, MW_OK);
    static spi_op op;
    CHECK_INT(spi_read(b, &op, MW_READ_GET, at("/e")), MW_ENOT_FOUND);
    b->backend->end_session(b->conn, a->session.id, a->session.secret, on_ended, &three);
    CHECK(spi_await(b, &three.count, 1));
    CHECK_INT(three.status, MW_OK);
    CHECK(spi_await(a, &a->expired, 1));
    CHECK(spi_await(a, &a->connected, 2));
}

static void an_abandoned_session_is_left_to_its_timeout(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_feed feed;
    CHECK_INT(spi_write(a, MW_CREATE, at("/e"), "~x", 0), MW_OK);
    spi_watch(b, &feed, at("/e"), MW_DEPTH_SELF);
    CHECK(spi_await(b, &feed.synced, 1));
    a->backend->abandon(a->conn);
    CHECK(spi_await(b, &a->closed, 1));
    static spi_op op;
    CHECK_INT(spi_read(b, &op, MW_READ_GET, at("/e")), MW_OK);
    CHECK(spi_await_text(b, feed.seen, "-"));
    b->backend->unwatch(b->conn, &feed.feed);
}

static void an_expired_connection_gets_a_new_session(void) {
    spi_client *a = client(&on.a);
    mw_session_id before = a->session.id;
    static spi_ticket ticket;
    spi_lock(a, &ticket, at("/lock"), false);
    CHECK(spi_await(a, &ticket.grants, 1));
    a->backend->expire(a->conn);
    CHECK_INT(a->expired, 0); /* never inline */
    CHECK(spi_await(a, &a->connected, 2));
    CHECK_INT(a->expired, 1);
    CHECK_INT(ticket.ends, 1);
    CHECK_INT(ticket.status, MW_ESESSION_LOST);
    CHECK(a->session.id != before && !a->session.resumed);
}

static void renewals_are_confirmed(void) {
    spi_client *a = client(&on.a);
    CHECK(spi_await(a, &a->confirmed, 1));
    mw_time first = a->confirmed_at;
    CHECK(spi_await(a, &a->confirmed, 3));
    CHECK(a->confirmed_at > first && a->confirmed_at <= mw_host_now(on.host));
}

/* The session's time runs since its hello was sent, not since its answer came. */
static void a_session_is_dated_before_it_is_told(void) {
    mw_time before = mw_host_now(on.host);
    spi_client *a = client(&on.a);
    CHECK(a->confirmed > 0 && a->confirmed_at >= before && a->confirmed_at <= mw_host_now(on.host));
    a->backend->expire(a->conn);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK_INT(a->undated, 0);
}

/* However long it may take: what is under way is answered, and the session ends. */
static void closing_may_be_given_all_time(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_op op, seen;
    CHECK_INT(spi_write(a, MW_CREATE, at("/e"), "~1", 0), MW_OK);
    spi_submit_read(a, &op, MW_READ_GET, at("/e"));
    a->backend->close(a->conn, MW_FOREVER);
    CHECK(spi_await(a, &a->closed, 1));
    CHECK_INT(op.ends, 1);
    seen = (spi_op){.request = {.kind = MW_READ_GET, .path = mw_str_of(at("/e")), .fresh = true}};
    spi_submit(b, &seen);
    CHECK_INT(spi_end(b, &seen), MW_ENOT_FOUND);
}

static void lists_sessions(void) {
    spi_client *a = client(&on.a);
    if (!(on.backend->caps & MW_CAP_SESSIONS))
        return;
    static spi_op op;
    CHECK_INT(spi_read(a, &op, MW_READ_SESSIONS, "/"), MW_OK);
    CHECK(strstr(op.seen, "=spec "));
    CHECK(op.last.owner != 0 && op.last.mtime >= op.last.ctime);
}

/* ---- Feeds */

static void a_feed_starts_with_what_is_there(void) {
    spi_client *a = client(&on.a);
    static spi_feed feed;
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/x"), "1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/ab"), "no", 0), MW_OK);
    spi_watch(a, &feed, at("/a"), MW_DEPTH_CHILDREN);
    CHECK_INT(feed.begun, 0); /* never inline */
    CHECK(spi_await(a, &feed.synced, 1));
    CHECK(strstr(feed.seen, "/a/x=1 ") && !strstr(feed.seen, "=no"));
    a->backend->unwatch(a->conn, &feed.feed);
}

static void a_feed_covers_its_depth(void) {
    spi_client *a = client(&on.a);
    static const mw_depth depths[] = {MW_DEPTH_SELF, MW_DEPTH_CHILDREN, MW_DEPTH_SUBTREE};
    static spi_feed feeds[3];
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    for (int i = 0; i < 3; i++) {
        spi_watch(a, &feeds[i], at("/a"), depths[i]);
        CHECK(spi_await(a, &feeds[i].synced, 1));
    }
    CHECK_INT(spi_write(a, MW_PUT, at("/a"), "self", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/ab"), "sibling", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/a/b"), "child", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/a/b/c"), "deep", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/a/z"), "last", 0), MW_OK);
    CHECK(spi_await_text(a, feeds[0].seen, "=self "));
    CHECK(spi_await_text(a, feeds[1].seen, "=last "));
    CHECK(spi_await_text(a, feeds[2].seen, "=last "));
    CHECK(!strstr(feeds[0].seen, "=child") && !strstr(feeds[0].seen, "=sibling"));
    CHECK(strstr(feeds[1].seen, "=child") && !strstr(feeds[1].seen, "=deep") && !strstr(feeds[1].seen, "=self"));
    CHECK(strstr(feeds[2].seen, "=child") && strstr(feeds[2].seen, "=deep") && !strstr(feeds[2].seen, "=self"));
    CHECK(!strstr(feeds[2].seen, "=sibling"));
    for (int i = 0; i < 3; i++)
        a->backend->unwatch(a->conn, &feeds[i].feed);
}

static void a_feed_tells_what_is_gone(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_feed feed;
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/x"), "1", 0), MW_OK);
    spi_watch(b, &feed, at("/a"), MW_DEPTH_SUBTREE);
    CHECK(spi_await(b, &feed.synced, 1));
    mw_write write = spi_step(MW_DELETE, at("/a/x"), NULL, MW_VERSION_ANY);
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    CHECK(spi_await_text(b, feed.seen, "-"));
    CHECK(feed.revision >= op.written[0].revision);
    b->backend->unwatch(b->conn, &feed.feed);
}

static void a_feed_waits_for_what_is_absent(void) {
    spi_client *a = client(&on.a);
    static spi_feed feed;
    spi_watch(a, &feed, at("/later"), MW_DEPTH_SELF);
    CHECK(spi_await(a, &feed.synced, 1));
    CHECK_INT(spi_write(a, MW_CREATE, at("/later"), "here", 0), MW_OK);
    CHECK(spi_await_text(a, feed.seen, "/later=here "));
    a->backend->unwatch(a->conn, &feed.feed);
    CHECK_INT(spi_write(a, MW_PUT, at("/later"), "unseen", 0), MW_OK);
    static spi_op op;
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/later")), MW_OK);
    CHECK(!strstr(feed.seen, "unseen"));
}

static void a_feed_outlives_a_session(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_feed feed;
    spi_watch(a, &feed, at("/a"), MW_DEPTH_CHILDREN);
    CHECK(spi_await(a, &feed.synced, 1));
    a->backend->expire(a->conn);
    CHECK_INT(spi_write(b, MW_CREATE, at("/a/x"), "while away", 0), MW_OK);
    CHECK(spi_await_text(a, feed.seen, "/a/x=while away "));
    a->backend->unwatch(a->conn, &feed.feed);
}

/* ---- Locks */

static void a_lock_goes_to_the_first_in_the_queue(void) {
    spi_client *a = client(&on.a), *b = client(&on.b), *c = client(&on.c);
    static spi_ticket one, two, three;
    spi_lock(a, &one, at("/lock"), false);
    CHECK_INT(one.grants, 0); /* never inline */
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, at("/lock"), false);
    static spi_op op;
    CHECK_INT(spi_read(b, &op, MW_READ_QUEUE, at("/lock")), MW_OK);
    CHECK_INT(op.entries, 2);
    CHECK_INT(op.last.owner, b->session.id);
    CHECK_INT(op.last.revision, 0);
    spi_lock(c, &three, at("/lock"), false);
    CHECK_INT(spi_read(c, &op, MW_READ_QUEUE, at("/lock")), MW_OK);
    spi_unlock(a, &one);
    CHECK_INT(one.status, MW_OK);
    CHECK(spi_await(b, &two.grants, 1));
    CHECK_INT(three.grants, 0);
    spi_unlock(b, &two);
    CHECK(spi_await(c, &three.grants, 1));
    CHECK(one.ticket.token < two.ticket.token && two.ticket.token < three.ticket.token);
    spi_unlock(c, &three);
    CHECK_INT(spi_read(c, &op, MW_READ_QUEUE, at("/lock")), MW_OK);
    CHECK_INT(op.entries, 0);
}

static void try_does_not_wait(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_ticket one, two;
    spi_lock(a, &one, at("/lock"), true);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, at("/lock"), true);
    CHECK(spi_await(b, &two.ends, 1));
    CHECK_INT(two.status, MW_EBUSY);
    static spi_op op;
    CHECK_INT(spi_read(b, &op, MW_READ_QUEUE, at("/lock")), MW_OK);
    CHECK_INT(op.entries, 1);
    spi_unlock(a, &one);
}

static void a_withdrawn_ticket_leaves_nothing(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_ticket one, two, three;
    spi_lock(a, &one, at("/lock"), false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, at("/lock"), false);
    spi_unlock(b, &two);
    CHECK_INT(two.status, MW_OK);
    CHECK_INT(two.grants, 0);
    mw_write guard = {.kind = MW_CHECK_LOCK, .lock = &one.ticket};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, &guard, 1), MW_OK); /* the holder is not touched */
    CHECK_INT(one.grants, 1);
    spi_unlock(a, &one);
    spi_lock(a, &three, at("/lock"), true);
    CHECK(spi_await(a, &three.grants, 1));
    spi_unlock(a, &three);
}

static void nothing_is_granted_after_unlock(void) {
    spi_client *a = client(&on.a);
    static spi_ticket ticket;
    spi_lock(a, &ticket, at("/lock"), false);
    spi_unlock(a, &ticket);
    CHECK_INT(ticket.grants, 0);
    CHECK_INT(ticket.status, MW_OK);
    static spi_op op;
    CHECK_INT(spi_read(a, &op, MW_READ_QUEUE, at("/lock")), MW_OK);
    CHECK_INT(op.entries, 0);
}

static void locks_end_with_their_session(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_ticket one, two;
    spi_lock(a, &one, at("/lock"), false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, at("/lock"), false);
    spi_close(a);
    CHECK_INT(one.ends, 1);
    CHECK(spi_await(b, &two.grants, 1));
    CHECK(two.ticket.token > one.ticket.token);
    spi_unlock(b, &two);
}

static void a_lock_guards_a_txn(void) {
    spi_client *a = client(&on.a);
    static spi_ticket ticket;
    spi_lock(a, &ticket, at("/lock"), false);
    CHECK(spi_await(a, &ticket.grants, 1));
    mw_write writes[] = {{.kind = MW_CHECK_LOCK, .lock = &ticket.ticket}, spi_step(MW_PUT, at("/a"), "1", 0)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 2), MW_OK);
    spi_unlock(a, &ticket);
    CHECK_INT(spi_txn(a, &op, writes, 2), MW_EFENCED);
    CHECK_INT(op.request.failed_write, 0);
    static spi_ticket again;
    spi_lock(a, &again, at("/lock"), false);
    CHECK(spi_await(a, &again.grants, 1));
    CHECK_INT(spi_txn(a, &op, writes, 2), MW_EFENCED); /* held, but not with that token */
    spi_unlock(a, &again);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(op.last.version, 0);
}

static void queues_are_no_entries(void) {
    spi_client *a = client(&on.a);
    static spi_ticket ticket;
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, at("/dir"), "", 0), MW_OK);
    spi_lock(a, &ticket, at("/dir/lock"), false);
    CHECK(spi_await(a, &ticket.grants, 1));
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, at("/dir")), MW_OK);
    CHECK_INT(op.entries, 0);
    CHECK_INT(spi_read(a, &op, MW_READ_QUEUES, at("/dir")), MW_OK);
    CHECK_INT(op.entries, 1);
    CHECK_INT(op.last.revision, ticket.ticket.token);
    spi_unlock(a, &ticket);
}

static uint64_t cost_of_a_free_lock(spi_client *a, const char *path) {
    static spi_ticket ticket;
    static spi_op got;
    mw_backend_stats before, after;
    (void)spi_read(a, &got, MW_READ_GET, path); /* what the one before has left to do is done */
    on.backend->stats(a->conn, &before);
    spi_lock(a, &ticket, path, false);
    CHECK(spi_await(a, &ticket.grants, 1));
    on.backend->stats(a->conn, &after);
    spi_unlock(a, &ticket);
    return after.round_trips - before.round_trips;
}

/* The least of several: renewals and idle look-ups fall between at times. */
static void a_free_lock_costs_one_round_trip(void) {
    static const char *const paths[] = {"/lock0", "/lock1", "/lock2", "/lock3", "/lock4", "/lock5", "/lock6", "/lock7"};
    spi_client *a = client(&on.a);
    if (!on.backend->stats)
        return;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        uint64_t cost = cost_of_a_free_lock(a, at(paths[i]));
        least = cost < least ? cost : least;
    }
    CHECK_INT(least, 1);
}

/* ---- Opening and closing */

static void refuses_unknown_options(void) {
    static const mw_option unknown[] = {{"no_such_option", "1"}, {0}};
    mw_error err = {0};
    CHECK_INT(spi_start(&on.a, on.bench, on.host, on.backend, unknown, &err), MW_EINVALID);
    CHECK(strstr(err.message, "no_such_option"));
    on.a.conn = NULL;
}

static void closing_ends_what_is_outstanding(void) {
    spi_client *a = client(&on.a), *b = client(&on.b);
    static spi_ticket one, two;
    static spi_feed feed;
    static spi_op op;
    spi_lock(a, &one, at("/lock"), false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, at("/lock"), false);
    spi_watch(b, &feed, at("/a"), MW_DEPTH_SELF);
    spi_submit_read(b, &op, MW_READ_GET, at("/a"));
    spi_close(b);
    CHECK_INT(op.ends, 1);
    CHECK_INT(two.ends, 1);
    CHECK_INT(two.status, MW_ECLOSED);
    spi_unlock(a, &one);
}

static const spec_case cases[] = {
    {"creates and reads", creates_and_reads},
    {"counts versions per incarnation", counts_versions_per_incarnation},
    {"refuses with the right word", refuses_with_the_right_word},
    {"a refused txn changes nothing", a_refused_txn_changes_nothing},
    {"a txn is one revision", a_txn_is_one_revision},
    {"deletes children before their parent in one txn", deletes_children_before_their_parent_in_one_txn},
    {"makes missing parents", makes_missing_parents},
    {"siblings with a common prefix are apart", siblings_with_a_common_prefix_are_apart},
    {"tells an absent parent from an empty one", tells_an_absent_parent_from_an_empty_one},
    {"values are bytes", values_are_bytes},
    {"answers in order of submission", answers_in_order_of_submission},
    {"a cancelled request is forgotten", a_cancelled_request_is_forgotten},
    {"ephemerals end with their session", ephemerals_end_with_their_session},
    {"put adopts no entry of another owner or kind", put_adopts_no_entry_of_another_owner_or_kind},
    {"a secret ends a session", a_secret_ends_a_session},
    {"an abandoned session is left to its timeout", an_abandoned_session_is_left_to_its_timeout},
    {"an expired connection gets a new session", an_expired_connection_gets_a_new_session},
    {"renewals are confirmed", renewals_are_confirmed},
    {"a session is dated before it is told", a_session_is_dated_before_it_is_told},
    {"closing may be given all time", closing_may_be_given_all_time},
    {"lists sessions", lists_sessions},
    {"a feed starts with what is there", a_feed_starts_with_what_is_there},
    {"a feed covers its depth", a_feed_covers_its_depth},
    {"a feed tells what is gone", a_feed_tells_what_is_gone},
    {"a feed waits for what is absent", a_feed_waits_for_what_is_absent},
    {"a feed outlives a session", a_feed_outlives_a_session},
    {"a lock goes to the first in the queue", a_lock_goes_to_the_first_in_the_queue},
    {"try does not wait", try_does_not_wait},
    {"a withdrawn ticket leaves nothing", a_withdrawn_ticket_leaves_nothing},
    {"nothing is granted after unlock", nothing_is_granted_after_unlock},
    {"locks end with their session", locks_end_with_their_session},
    {"a lock guards a txn", a_lock_guards_a_txn},
    {"queues are no entries", queues_are_no_entries},
    {"a free lock costs one round trip", a_free_lock_costs_one_round_trip},
    {"refuses unknown options", refuses_unknown_options},
    {"closing ends what is outstanding", closing_ends_what_is_outstanding},
};

static void before(void) {
    on.a = on.b = on.c = (spi_client){0};
    on.bench->begin(&on.host, &on.backend, &on.options);
}

/* Close what the case left open, also when it failed: what it asked for is static, so the answers still find it. */
static void after(void) {
    spi_client *clients[] = {&on.a, &on.b, &on.c};
    for (int i = 0; i < 3; i++)
        if (clients[i]->conn && !clients[i]->closed)
            spi_close(clients[i]);
    on.bench->end();
}

int spi_spec_run(const spi_bench *bench, int argc, char **argv) {
    on.bench = bench;
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
