/* A registry that went back to a copy: whoever notices raises its counters, once, beyond all that was given. */
#include "faulty_bench.h"
#include "sql/statements.h"

/* The copy is older than anybody's last look. */
static void go_back(void) {
    execute("UPDATE mw_meta SET revision = revision - 1000 WHERE id = 1");
}

/* By a write, which finds it out, and is not applied. */
static void notice(spi_client *client) {
    int connected = client->connected;
    CHECK_INT(spi_write(client, MW_PUT, "/notice", "1", 0), MW_EDISCONNECTED);
    CHECK(spi_await(client, &client->connected, connected + 1));
}

/* ---- Revisions and tokens */

/* Further than the counters are raised. */
static void a_registry_that_went_far_back_repeats_no_revision(void) {
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    execute("UPDATE mw_meta SET revision = revision + 5000000 WHERE id = 1");
    mw_write put = spi_step(MW_PUT, "/a", "1", 0);
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_OK);
    int64_t last = op.written[0].revision;
    execute("UPDATE mw_meta SET revision = revision - 5000000 WHERE id = 1");
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_EDISCONNECTED);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_OK);
    CHECK(op.written[0].revision > last);
}

static int64_t take(spi_client *client) {
    static spi_ticket ticket;
    spi_lock(client, &ticket, "/lock", false);
    CHECK(spi_await(client, &ticket.grants, 1));
    spi_unlock(client, &ticket);
    return ticket.ticket.token;
}

/* Tokens may be ahead of the clock: it was set back, or they were raised before. */
static void a_token_that_nobody_who_is_left_knows_is_not_repeated(void) {
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    (void)take(&a);
    execute("UPDATE mw_locks SET token = 9000000000000");
    (void)take(&a);
    (void)take(&b);
    int64_t last = take(&b);
    spi_close(&b);
    execute("UPDATE mw_locks SET token = 3");
    go_back();
    notice(&a);
    CHECK(take(&a) > last);
}

/* ---- Sessions */

/* It had read the old numbers before the first one raised them. */
static void who_comes_second_to_raise_it_ends_nobody(void) {
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&b, MW_PUT, "/b", "1", 0), MW_OK);
    execute("UPDATE mw_meta SET revision = revision - 1000 WHERE id = 1");
    atomic_store(&faulty.stops_at, MW__SQL_RAISE_META);
    mw_write put = spi_step(MW_PUT, "/a", "1", 0);
    spi_submit_writes(&a, &op, &put, 1);
    CHECK(spi.run(stands_still, NULL));
    CHECK_INT(spi_write(&b, MW_PUT, "/b", "2", 0), MW_EDISCONNECTED);
    CHECK(spi_await(&b, &b.connected, 2));
    atomic_store(&faulty.frozen, false);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK_INT(spi_write(&b, MW_PUT, "/b", "2", 0), MW_OK);
    CHECK_INT(b.expired, 1);
}

/* Who saw nothing that the copy lacks cannot notice by itself. With the clock of a server, nobody is silent yet. */
static void who_saw_no_more_than_the_copy_is_over_too(void) {
    faulty.server_clock = true;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, faulty_backend(), options);
    for (int i = 0; i < 3; i++)
        CHECK_INT(spi_write(&b, MW_PUT, "/b", "1", 0), MW_OK);
    execute("UPDATE mw_meta SET revision = revision - 1 WHERE id = 1");
    notice(&b);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "1", 0), MW_EDISCONNECTED);
    CHECK_INT(a.expired, 1);
}

static bool nothing_is_owned(void *arg) {
    return ask("SELECT COUNT(*) FROM mw_entries WHERE owner <> 0") == 0;
}

/* Not only when their time is up. */
static void what_the_sessions_owned_goes_at_once(void) {
    options[1] = (mw_option){"session_timeout_ms", "600000"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    CHECK_INT(spi_write(&a, MW_CREATE, "/e", "~1", 0), MW_OK);
    go_back();
    notice(&a);
    CHECK(spi.run(nothing_is_owned, NULL));
}

static const spec_case cases[] = {
    {"a registry that went far back repeats no revision", a_registry_that_went_far_back_repeats_no_revision},
    {"a token that nobody who is left knows is not repeated", a_token_that_nobody_who_is_left_knows_is_not_repeated},
    {"who comes second to raise it ends nobody", who_comes_second_to_raise_it_ends_nobody},
    {"who saw no more than the copy is over too", who_saw_no_more_than_the_copy_is_over_too},
    {"what the sessions owned goes at once", what_the_sessions_owned_goes_at_once},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
