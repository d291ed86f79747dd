/* Locks: the queue, the token, and what it guards. */
#define SPEC_HELPER
#include "spi_cases.h"

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

const spec_case spi_lock_cases[] = {
    {"a lock goes to the first in the queue", a_lock_goes_to_the_first_in_the_queue},
    {"try does not wait", try_does_not_wait},
    {"a withdrawn ticket leaves nothing", a_withdrawn_ticket_leaves_nothing},
    {"nothing is granted after unlock", nothing_is_granted_after_unlock},
    {"locks end with their session", locks_end_with_their_session},
    {"a lock guards a txn", a_lock_guards_a_txn},
    {"queues are no entries", queues_are_no_entries},
    {"a free lock costs one round trip", a_free_lock_costs_one_round_trip},
    {NULL, NULL},
};
