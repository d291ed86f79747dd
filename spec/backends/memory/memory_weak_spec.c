/* The freedoms of the weak mode are taken, and no more than those. */
#include "cluster.h"

static const mw_memory_faults weak = {.weak = true};

static long long number_in(const spi_op *op) {
    const char *sign = strchr(op->seen, '=');
    return sign ? atoll(sign + 1) : -1;
}

/* "/n" goes from 1 to `last`, one step per call. */
static void count_up(spi_client *client, int n) {
    char text[16];
    (void)snprintf(text, sizeof text, "%d", n);
    CHECK_INT(spi_write(client, MW_PUT, "/n", text, 0), MW_OK);
}

static void reads_lag_but_never_go_back(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    int stale = 0;
    long long before = 0;
    count_up(a, 1);
    CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
    for (int n = 2; n < 60; n++) {
        count_up(a, n);
        int status = spi_read(b, &op, MW_READ_GET, "/n");
        CHECK(status == MW_OK || (status == MW_ENOT_FOUND && before == 0));
        long long read = number_in(&op);
        if (status == MW_OK)
            CHECK(read >= before && read <= n);
        stale += read < n;
        before = read > before ? read : before;
    }
    CHECK(stale > 10);
}

static void reads_include_own_writes(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_op op;
    CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
    for (int n = 1; n < 60; n++) {
        count_up(a, n);
        CHECK_INT(spi_read(a, &op, MW_READ_GET, "/n"), MW_OK);
        CHECK_INT(number_in(&op), n);
    }
}

static void fresh_reads_do_not_lag(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
    for (int n = 1; n < 60; n++) {
        count_up(a, n);
        op = (spi_op){.request = {.kind = MW_READ_GET, .path = mw_str_of("/n"), .fresh = true}};
        spi_submit(b, &op);
        CHECK_INT(spi_end(b, &op), MW_OK);
        CHECK_INT(number_in(&op), n);
    }
}

/* Two entries that always change together are seen apart; one that was deleted is still listed. */
static void a_list_is_no_snapshot(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    int torn = 0, gone = 0;
    CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
    for (int n = 1; n < 300; n++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", n);
        mw_write writes[] = {spi_step(MW_PUT, "/d/1", text, 0), spi_step(MW_PUT, "/d/2", text, 0)};
        CHECK_INT(spi_txn(a, &op, writes, 2), MW_OK);
        CHECK_INT(spi_write(a, MW_CREATE, "/d/short", "", 0), MW_OK);
        CHECK_INT(spi_write(a, MW_DELETE, "/d/short", NULL, 0), MW_OK);
        if (n % 5 != 0)
            continue; /* the more has happened, the more there is to confuse */
        CHECK_INT(spi_read(b, &op, MW_READ_LIST, "/d"), MW_OK);
        const char *one = strstr(op.seen, "/d/1="), *two = strstr(op.seen, "/d/2=");
        torn += one && two && atoi(one + 5) != atoi(two + 5);
        const char *short_lived = strstr(op.seen, "/d/short");
        gone += short_lived != NULL;
        CHECK(!short_lived || !strstr(short_lived + 1, "/d/short")); /* at most once */
    }
    CHECK(torn > 0);
    CHECK(gone > 0);
}

/* The last number in the feed's text. */
static long long last_told(const spi_feed *feed) {
    const char *sign = strrchr(feed->seen, '=');
    return sign ? atoll(sign + 1) : 0;
}

static void feeds_leave_states_out_but_not_the_last(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_feed feed;
    CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
    spi_watch(b, &feed, "/n", MW_DEPTH_SELF);
    CHECK(spi_await(b, &feed.synced, 1));
    for (int n = 1; n <= 50; n++)
        count_up(a, n);
    CHECK(spi_await_text(b, feed.seen, "/n=50 "));
    CHECK_INT(last_told(&feed), 50);
    int told = 0;
    for (const char *at = feed.seen; (at = strchr(at, '=')); at++)
        told++;
    CHECK(told < 50);
    b->backend->unwatch(b->conn, &feed.feed);
}

static void reads_do_not_fall_behind_what_a_feed_told(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_feed feed;
    static spi_op op;
    CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
    spi_watch(b, &feed, "/n", MW_DEPTH_SELF);
    for (int n = 1; n < 60; n++) {
        count_up(a, n);
        long long told = last_told(&feed);
        int status = spi_read(b, &op, MW_READ_GET, "/n");
        CHECK(status == MW_OK ? number_in(&op) >= told : told == 0);
        mw_world_advance(on.world, 5 * MW_MS);
    }
    b->backend->unwatch(b->conn, &feed.feed);
}

static void the_same_seed_gives_the_same_run(void) {
    static char seen[2][2048];
    uint64_t seed = on.seed;
    for (int run = 0; run < 2; run++) {
        static spi_feed feed;
        spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
        CHECK_INT(mw_memory_set_faults(on.server, 0, &weak), MW_OK);
        spi_watch(b, &feed, "/n", MW_DEPTH_SELF);
        for (int n = 1; n <= 30; n++)
            count_up(a, n);
        CHECK(spi_await_text(b, feed.seen, "/n=30 "));
        memcpy(seen[run], feed.seen, sizeof feed.seen);
        b->backend->unwatch(b->conn, &feed.feed);
        cluster_stop();
        on.seed = seed;
        cluster_start();
    }
    CHECK_TEXT(seen[0], seen[1]);
}

static const spec_case cases[] = {
    {"reads lag but never go back", reads_lag_but_never_go_back},
    {"reads include own writes", reads_include_own_writes},
    {"fresh reads do not lag", fresh_reads_do_not_lag},
    {"a list is no snapshot", a_list_is_no_snapshot},
    {"feeds leave states out but not the last", feeds_leave_states_out_but_not_the_last},
    {"reads do not fall behind what a feed told", reads_do_not_fall_behind_what_a_feed_told},
    {"the same seed gives the same run", the_same_seed_gives_the_same_run},
};

int main(int argc, char **argv) {
    on.seed = 7;
    spec.before = cluster_start;
    spec.after = cluster_stop;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
