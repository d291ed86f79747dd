/* Attempts at locks whose answers are lost or late: nothing is held for a ticket that is no more. */
#include "faulty_bench.h"

static bool has_answer(void *arg) {
    const spi_ticket *ticket = arg;
    return ticket->grants + ticket->ends > 0;
}

/* The reply to the join was lost, and asking again fails: the place in the queue must not stay behind. */
static void a_failed_attempt_leaves_no_place_in_the_queue(void) {
    int failures = 0;
    for (int nth = 1; nth <= 8; nth++) {
        static spi_ticket first, second;
        static spi_op op;
        options[1] = (mw_option){"session_timeout_ms", "900"};
        spi_open(&a, &spi, bench.host, faulty_backend(), options);
        spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
        spi_lock(&b, &first, "/lock", false);
        CHECK(spi_await(&b, &first.grants, 1));
        atomic_store(&faulty.frozen, true);
        spi_lock(&a, &second, "/lock", false);
        atomic_store(&faulty.down, true);
        faulty_arm(FAULTY_LOST_REPLY, 2, true); /* the attempt to take it comes first */
        atomic_store(&faulty.frozen, false);
        CHECK(spi_await(&a, &a.disconnected, 1));
        faulty_arm(FAULTY_REFUSED, nth, true);
        atomic_store(&faulty.down, false);
        CHECK(spi.run(has_struck, NULL));
        spi_unlock(&b, &first);
        CHECK(spi.run(has_answer, &second));
        failures += second.ends;
        if (!second.ends)
            spi_unlock(&a, &second);
        CHECK_INT(spi_read(&b, &op, MW_READ_QUEUES, "/"), MW_OK);
        CHECK_INT(op.entries, 0);
        after();
        before();
    }
    CHECK(failures > 0);
}

/* The one to the join: it is made again, finds its place, and keeps it. */
static void an_attempt_whose_answer_was_lost_keeps_its_place(void) {
    static spi_ticket first, second, next;
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&b, &first, "/lock", false);
    CHECK(spi_await(&b, &first.grants, 1));
    faulty_arm(FAULTY_LOST_REPLY, 2, true); /* the attempt to take it comes first */
    spi_lock(&a, &second, "/lock", false);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK); /* behind the second attempt */
    CHECK_INT(op.entries, 2);
    CHECK_INT(second.ends, 0);
    spi_unlock(&b, &first);
    CHECK(spi_await(&a, &second.grants, 1));
    spi_unlock(&a, &second);
    spi_lock(&b, &next, "/lock", true); /* nobody is counted who does not wait */
    CHECK(spi_await(&b, &next.grants, 1));
    spi_unlock(&b, &next);
}

static int answer;
static void on_answer(void *arg, int status, const mw_error *detail) {
    answer = status;
    ++*(int *)arg;
}

/* What became of its lock comes to it sooner than its next renewal. */
static void who_was_ended_by_others_hears_lost_and_not_fenced(void) {
    static spi_ticket held, next;
    static int answers;
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    open_woken_by_hand();
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&a, &held, "/lock", false);
    CHECK(spi_await(&a, &held.grants, 1));
    spi_lock(&b, &next, "/lock", false);
    answers = 0;
    b.backend->end_session(b.conn, a.session.id, a.session.secret, on_answer, &answers);
    CHECK(spi_await(&b, &answers, 1));
    CHECK_INT(answer, MW_OK);
    CHECK(spi_await(&b, &next.grants, 1));
    wake();
    CHECK(spi_await(&a, &held.ends, 1));
    CHECK_INT(held.status, MW_ESESSION_LOST);
    CHECK_INT(a.expired, 1);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK_INT(a.disconnected, 0);
    spi_unlock(&b, &next);
}

/* The `nth` write of an attempt stays on its way until the attempt, made again, is over and given up. */
static void an_attempt_that_comes_late(int nth, bool held, int places) {
    static spi_ticket first, second;
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&b, &first, "/lock", false);
    CHECK(spi_await(&b, &first.grants, 1));
    if (!held)
        spi_unlock(&b, &first);
    faulty_arm(FAULTY_LATE, nth, true);
    spi_lock(&a, &second, "/lock", false);
    CHECK(spi_await(&a, &a.connected, 2));
    if (!held)
        CHECK(spi_await(&a, &second.grants, 1));
    spi_unlock(&a, &second);
    faulty_arrive();
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, places);
    if (held)
        spi_unlock(&b, &first);
}

static void a_late_attempt_takes_no_lock(void) {
    an_attempt_that_comes_late(1, false, 0);
}

static void a_late_attempt_takes_no_place_in_the_queue(void) {
    an_attempt_that_comes_late(2, true, 1); /* the attempt to take it comes first */
}

/* The fence itself fails once: the way out of the queue raises it. */
static void a_late_attempt_takes_no_place_after_a_failure(void) {
    static spi_ticket first, second;
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&b, &first, "/lock", false);
    CHECK(spi_await(&b, &first.grants, 1));
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_LATE, 2, true);
    spi_lock(&a, &second, "/lock", false);
    CHECK(spi_await(&a, &a.disconnected, 1));
    faulty_arm(FAULTY_REFUSED, 2, true); /* the renewal comes first */
    atomic_store(&faulty.down, false);
    CHECK(spi_await(&a, &second.ends, 1));
    CHECK_INT(second.status, MW_EIO);
    faulty_arrive();
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 1);
    spi_unlock(&b, &first);
}

/* All of its places, or the lock would be free and yet wait for those who are gone. */
static void who_ends_while_it_waits_leaves_no_place(void) {
    static spi_ticket held, waiting[3], next;
    static spi_op op;
    static int answers;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&b, &held, "/lock", false);
    CHECK(spi_await(&b, &held.grants, 1));
    for (int i = 0; i < 3; i++)
        spi_lock(&a, &waiting[i], "/lock", false);
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 4);
    answers = 0;
    b.backend->end_session(b.conn, a.session.id, a.session.secret, on_answer, &answers);
    CHECK(spi_await(&b, &answers, 1));
    CHECK_INT(spi_read(&b, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 1);
    spi_unlock(&b, &held);
    spi_lock(&b, &next, "/lock", true);
    CHECK(spi_await(&b, &next.grants, 1));
    spi_unlock(&b, &next);
}

static const spec_case cases[] = {
    {"a failed attempt leaves no place in the queue", a_failed_attempt_leaves_no_place_in_the_queue},
    {"an attempt whose answer was lost keeps its place", an_attempt_whose_answer_was_lost_keeps_its_place},
    {"who was ended by others hears lost, and not fenced", who_was_ended_by_others_hears_lost_and_not_fenced},
    {"who ends while it waits leaves no place", who_ends_while_it_waits_leaves_no_place},
    {"a late attempt takes no lock", a_late_attempt_takes_no_lock},
    {"a late attempt takes no place in the queue", a_late_attempt_takes_no_place_in_the_queue},
    {"a late attempt takes no place after a failure", a_late_attempt_takes_no_place_after_a_failure},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
