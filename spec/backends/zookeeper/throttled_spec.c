/* A server that throttles (ZooKeeper's RequestThrottler): it answers that it did not look. It is left, and asked again
 * later; nothing ends because of it. */
#include "rig.h"

#define ENTRIES 30
#define THROTTLE                                                                                                       \
    "-Dzookeeper.request_throttle_max_requests=1 -Dzookeeper.request_throttle_stall_time=20 "                          \
    "-Dzookeeper.throttled_op_wait_time=1"

typedef struct counted_feed {
    mw_feed feed;
    int entries, synced, failed;
} counted_feed;

static void feed_begin(mw_feed *feed) {}
static void feed_entry(mw_feed *feed, const mw_entry *entry) {
    mw_container(feed, counted_feed, feed)->entries++;
}
static void feed_gone(mw_feed *feed, mw_str path, int64_t revision) {}
static void feed_synced(mw_feed *feed, int64_t revision) {
    mw_container(feed, counted_feed, feed)->synced++;
}
static void feed_failed(mw_feed *feed, int status, const mw_error *detail) {
    mw_container(feed, counted_feed, feed)->failed = status;
}

static void read_all(rig *r) {
    counted_feed f = {.feed = {mw_str_of("/throttled"), MW_DEPTH_CHILDREN, feed_begin, feed_entry, feed_gone,
                               feed_synced, feed_failed}};
    CHECK_INT(r->backend->watch(r->conn, &f.feed), MW_OK);
    RIG_UNTIL(r, f.synced == 1 || f.failed);
    CHECK_INT(f.failed, 0);
    CHECK_INT(f.entries, ENTRIES);
    r->backend->unwatch(r->conn, &f.feed);
}

/* Thirty reads of one turn are mostly too many for it; so are the three of a lock, now and then. */
static void what_is_throttled_is_asked_again(void) {
    rig r;
    ask a;
    waiter lock;
    char path[32];
    rig_open(&r);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(path, sizeof path, "/throttled/%d", i);
        CHECK_INT(rig_write(&r, &a, MW_CREATE, path, "", 0, false), MW_OK);
    }
    rig_close(&r);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 && ZK_JAVA='" THROTTLE "' $ZK_CTL up $ZK_DIR 1 && $ZK_CTL wait $ZK_DIR"),
              0);
    rig_open_with(&r, rig_host(), rig_servers(), "5000");
    for (int i = 0; i < 100 && r.disconnected == 0; i++) /* when it answers fast, it throttles nothing */
        read_all(&r);
    CHECK(r.disconnected > 0);
    for (int i = 0; i < 8; i++) {
        RIG_UNTIL(&r, r.connected == r.disconnected + 1);
        rig_lock(&r, &lock, "/throttled-lock");
        RIG_UNTIL(&r, lock.granted || lock.ended);
        CHECK_INT(lock.ended, 0);
        r.backend->unlock(r.conn, &lock.ticket);
        RIG_UNTIL(&r, lock.ended);
        CHECK_INT(lock.status, MW_OK);
    }
    rig_close(&r);
}

static const spec_case cases[] = {
    {"what is throttled is asked again", what_is_throttled_is_asked_again},
};
SPEC_MAIN(cases)
