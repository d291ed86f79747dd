/* A release and the attempt at a lock behind it travel together: what becomes of both when they do not arrive whole. */
#include "faulty_bench.h"

static spi_ticket first, second, other;
static spi_op look;

static void open_both(void) {
    options[1] = (mw_option){"session_timeout_ms", "60000"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&a, &first, "/lock", false);
    CHECK(spi_await(&a, &first.grants, 1));
}

/* The connection thread finds both when it comes back from a look. */
static void exchange(const char *wanted) {
    atomic_store(&faulty.frozen, true);
    spi_submit_read(&a, &look, MW_READ_GET, "/nothing");
    a.backend->unlock(a.conn, &first.ticket);
    spi_lock(&a, &second, wanted, false);
    atomic_store(&faulty.frozen, false);
}

static void on_answer(void *arg, int status, const mw_error *detail) {
    ++*(int *)arg;
}

static void nothing_is_left(void) {
    static spi_op op;
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 0);
}

static uint64_t round_trips(void) {
    mw_backend_stats stats;
    a.backend->stats(a.conn, &stats);
    return stats.round_trips;
}

static void both_take_one_round_trip(const char *wanted) {
    open_both();
    uint64_t before_it = round_trips();
    exchange(wanted);
    CHECK(spi_await(&a, &second.grants, 1));
    CHECK_INT(first.ends, 1);
    CHECK_INT(first.status, MW_OK);
    CHECK_INT((int)(round_trips() - before_it), 2); /* one is the look's */
    spi_unlock(&a, &second);
    nothing_is_left();
}

static void a_lock_is_taken_again_in_one_round_trip(void) {
    both_take_one_round_trip("/lock");
    CHECK(second.ticket.token > first.ticket.token);
}

static void another_lock_is_taken_in_one_round_trip(void) {
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&a, &other, "/other", false); /* its row is there */
    CHECK(spi_await(&a, &other.grants, 1));
    spi_unlock(&a, &other);
    spi_close(&a);
    both_take_one_round_trip("/other");
}

static void who_waits_comes_first(void) {
    open_both();
    spi_lock(&b, &other, "/lock", false);
    static spi_op op;
    CHECK_INT(spi_read(&b, &op, MW_READ_QUEUES, "/"), MW_OK);
    exchange("/lock");
    CHECK(spi_await(&b, &other.grants, 1));
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK); /* behind the attempt */
    CHECK_INT(second.grants, 0);
    spi_unlock(&b, &other);
    CHECK(spi_await(&a, &second.grants, 1));
    CHECK(second.ticket.token > other.ticket.token && other.ticket.token > first.ticket.token);
    spi_unlock(&a, &second);
    nothing_is_left();
}

/* Whatever happens to the packet or to what follows it, both end as they would have ended alone. */
static void an_exchange_that_fails_ends_as_two(void) {
    static const faulty_mode modes[] = {FAULTY_BUSY, FAULTY_REFUSED,    FAULTY_NO_MEMORY, FAULTY_CUT_BEFORE,
                                        FAULTY_LOST, FAULTY_LOST_REPLY, FAULTY_LATE};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        open_both();
        faulty_arm(modes[i], 1, true);
        exchange("/lock");
        CHECK(spi_await(&a, &second.grants, 1));
        CHECK(has_struck(NULL));
        CHECK_INT(first.ends, 1);
        CHECK_INT(first.status, MW_OK);
        CHECK_INT(second.ends, 0);
        CHECK(second.ticket.token > first.ticket.token);
        spi_unlock(&a, &second);
        if (modes[i] == FAULTY_LATE)
            faulty_arrive();
        nothing_is_left();
        after();
        before();
    }
}

/* The session is over when the packet comes: neither holds anything, and who comes next is served. */
static void an_exchange_of_a_lost_session_takes_nothing(void) {
    static int answers;
    open_both();
    atomic_store(&faulty.frozen, true);
    spi_submit_read(&a, &look, MW_READ_GET, "/nothing");
    a.backend->unlock(a.conn, &first.ticket);
    spi_lock(&a, &second, "/lock", false);
    answers = 0;
    b.backend->end_session(b.conn, a.session.id, a.session.secret, on_answer, &answers);
    CHECK(spi_await(&b, &answers, 1));
    spi_lock(&b, &other, "/lock", false);
    CHECK(spi_await(&b, &other.grants, 1));
    atomic_store(&faulty.frozen, false);
    CHECK(spi_await(&a, &second.ends, 1));
    CHECK_INT(second.status, MW_ESESSION_LOST);
    CHECK_INT(second.grants, 0);
    CHECK_INT(first.ends, 1);
    spi_unlock(&b, &other);
    nothing_is_left();
}

static const spec_case cases[] = {
    {"a lock is taken again in one round trip", a_lock_is_taken_again_in_one_round_trip},
    {"another lock is taken in one round trip", another_lock_is_taken_in_one_round_trip},
    {"who waits comes first", who_waits_comes_first},
    {"an exchange that fails ends as two", an_exchange_that_fails_ends_as_two},
    {"an exchange of a lost session takes nothing", an_exchange_of_a_lost_session_takes_nothing},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
