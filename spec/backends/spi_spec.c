/* The spec of the SPI: its cases in a row, each on a registry of its own; and opening and closing. */
#define SPEC_SHARED
#include "spi_cases.h"

#include <assert.h>

spi_stage on;

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

static const spec_case end_cases[] = {
    {"refuses unknown options", refuses_unknown_options},
    {"closing ends what is outstanding", closing_ends_what_is_outstanding},
    {NULL, NULL},
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
    static const spec_case *const lists[] = {spi_entry_cases, spi_session_cases, spi_feed_cases, spi_lock_cases,
                                             end_cases};
    static spec_case all[64];
    on.bench = bench;
    spec.before = before;
    spec.after = after;
    size_t count = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const spec_case *one = lists[i]; one->name; one++, count++) {
            assert(count < sizeof all / sizeof *all);
            all[count] = *one;
        }
    return spec_run(all, count, argc, argv);
}
