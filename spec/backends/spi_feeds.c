/* Feeds: what is there, and what becomes of it. */
#define SPEC_HELPER
#include "spi_cases.h"

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

const spec_case spi_feed_cases[] = {
    {"a feed starts with what is there", a_feed_starts_with_what_is_there},
    {"a feed covers its depth", a_feed_covers_its_depth},
    {"a feed tells what is gone", a_feed_tells_what_is_gone},
    {"a feed waits for what is absent", a_feed_waits_for_what_is_absent},
    {"a feed outlives a session", a_feed_outlives_a_session},
    {NULL, NULL},
};
