/* Sessions: what ends with them, who may end them, and how they are kept. */
#define SPEC_HELPER
#include "spi_cases.h"

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

const spec_case spi_session_cases[] = {
    {"ephemerals end with their session", ephemerals_end_with_their_session},
    {"put adopts no entry of another owner or kind", put_adopts_no_entry_of_another_owner_or_kind},
    {"a secret ends a session", a_secret_ends_a_session},
    {"an abandoned session is left to its timeout", an_abandoned_session_is_left_to_its_timeout},
    {"an expired connection gets a new session", an_expired_connection_gets_a_new_session},
    {"renewals are confirmed", renewals_are_confirmed},
    {"a session is dated before it is told", a_session_is_dated_before_it_is_told},
    {"closing may be given all time", closing_may_be_given_all_time},
    {"lists sessions", lists_sessions},
    {NULL, NULL},
};
