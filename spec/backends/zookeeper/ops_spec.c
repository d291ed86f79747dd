/* Reads and writes over the SPI against a real server. */
#include "rig.h"

/* A check for absence travels as two operations. The server drops the connection of whoever sends it too much. */
static void counts_what_checks_for_absence_take(void) {
    enum { CHECKS = 4600, LENGTH = 120 };
    rig r;
    static ask a;
    char(*paths)[LENGTH + 1] = calloc(CHECKS, sizeof *paths);
    mw_write *writes = calloc(CHECKS, sizeof *writes);
    mw_written *written = calloc(CHECKS, sizeof *written);
    rig_open(&r);
    for (int i = 0; i < CHECKS; i++) {
        snprintf(paths[i], sizeof *paths, "/absent-%0*d", LENGTH - 8, i);
        writes[i] = (mw_write){.kind = MW_CHECK, .path = mw_str_of(paths[i]), .version = MW_VERSION_ABSENT};
    }
    a = (ask){.status = 1};
    a.request = (mw_request){.kind = MW_WRITE, .writes = writes, .write_count = CHECKS, .written = written};
    a.request.done = ask_done;
    r.backend->submit(r.conn, &a.request);
    CHECK_INT(ask_wait(&r, &a), MW_ETOO_LARGE);
    CHECK_INT(r.disconnected, 0);
    rig_close(&r);
    free(paths);
    free(writes);
    free(written);
}

static void creates_reads_and_deletes(void) {
    rig r;
    ask a;
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/one", "v", 0, false), MW_OK);
    int64_t created = a.written[0].created, revision = a.written[0].revision;
    CHECK(created > 0);
    CHECK_INT(revision, created);
    CHECK_INT(rig_read(&r, &a, MW_READ_GET, "/ops/one"), MW_OK);
    CHECK_TEXT(a.entries[0].value, "v");
    CHECK_INT(a.entries[0].entry.version, 0);
    CHECK_INT(a.entries[0].entry.created, created);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/one", "v", 0, false), MW_EEXISTS);
    CHECK_INT(rig_write(&r, &a, MW_SET, "/ops/one", "w", 0, false), MW_OK);
    CHECK_INT(a.written[0].version, 1);
    CHECK(a.written[0].revision > revision);
    CHECK_INT(a.written[0].created, created);
    CHECK_INT(rig_write(&r, &a, MW_SET, "/ops/one", "x", 0, false), MW_ECONFLICT);
    CHECK_INT(rig_write(&r, &a, MW_DELETE, "/ops/one", "", 1, false), MW_OK);
    CHECK(a.written[0].revision > revision);
    CHECK_INT(rig_read(&r, &a, MW_READ_GET, "/ops/one"), MW_ENOT_FOUND);
    CHECK_INT(rig_write(&r, &a, MW_DELETE, "/ops/one", "", MW_VERSION_ANY, false), MW_ENOT_FOUND);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void put_creates_then_replaces(void) {
    rig r;
    ask a;
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/p/q", "1", 0, false), MW_OK);
    CHECK_INT(a.written[0].version, 0);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/p/q", "2", 0, false), MW_OK);
    CHECK_INT(a.written[0].version, 1);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/p/q", "3", 0, true), MW_ECONFLICT);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void never_adopts_what_another_session_owns(void) {
    rig r, other;
    ask a;
    rig_open(&r);
    rig_open_with(&other, r.host, rig_servers(), RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&other, &a, MW_CREATE, "/ops/e", "theirs", 0, true), MW_OK);
    CHECK(a.written[0].owner == other.session.id);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/e", "mine", 0, true), MW_ECONFLICT);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/e", "mine", 0, false), MW_ECONFLICT);
    rig_end(&other);
    CHECK_INT(rig_read(&r, &a, MW_READ_GET, "/ops/e"), MW_ENOT_FOUND);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void writes_all_or_nothing(void) {
    rig r;
    ask a;
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/base", "b", 0, false), MW_OK);
    memset(&a, 0, sizeof a);
    ask_write(&a, MW_CHECK, "/ops/base", "", 0, false);
    ask_write(&a, MW_CHECK, "/ops/deep/er", "", MW_VERSION_ABSENT, false);
    ask_write(&a, MW_CREATE, "/ops/new", "n", 0, true);
    ask_write(&a, MW_CREATE, "/ops/dir", "", 0, false);
    ask_write(&a, MW_CREATE, "/ops/dir/child", "c", 0, false);
    ask_write(&a, MW_SET, "/ops/base", "b2", 0, false);
    ask_start(&r, &a);
    CHECK_INT(ask_wait(&r, &a), MW_OK);
    CHECK_INT(a.written[2].created, a.written[2].revision);
    CHECK_INT(a.written[5].revision, a.written[2].revision);
    CHECK_INT(a.written[5].version, 1);
    CHECK(a.written[2].owner == r.session.id);
    memset(&a, 0, sizeof a);
    ask_write(&a, MW_CREATE, "/ops/never", "n", 0, false);
    ask_write(&a, MW_CHECK, "/ops/dir", "", MW_VERSION_ABSENT, false);
    ask_start(&r, &a);
    CHECK_INT(ask_wait(&r, &a), MW_EEXISTS);
    CHECK_INT(a.request.failed_write, 1);
    CHECK_INT(rig_read(&r, &a, MW_READ_STAT, "/ops/never"), MW_ENOT_FOUND);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void lists_without_its_own_marks(void) {
    rig r;
    ask a;
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/a/b/c", "3", 0, false), MW_OK);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/ab", "x", 0, false), MW_OK);
    CHECK_INT(rig_read(&r, &a, MW_READ_LIST, "/ops"), MW_OK);
    CHECK_INT(a.count, 4);
    CHECK_INT(rig_read(&r, &a, MW_READ_CHILDREN, "/ops"), MW_OK);
    CHECK_INT(a.count, 2);
    CHECK_INT(rig_read(&r, &a, MW_READ_LIST, "/absent"), MW_OK);
    CHECK_INT(a.count, 0);
    CHECK_INT(rig_read(&r, &a, MW_READ_CHILDREN, "/absent"), MW_ENOT_FOUND);
    CHECK_INT(rig_read(&r, &a, MW_READ_CHILDREN, "/"), MW_OK);
    CHECK_INT(a.count, 1);
    CHECK_INT(rig_read(&r, &a, MW_READ_SESSIONS, "/"), MW_OK);
    CHECK_INT(a.count, 1);
    CHECK_TEXT(a.entries[0].value, "spec");
    CHECK(a.entries[0].entry.owner == r.session.id);
    /* when it would end, had it not been renewed since */
    CHECK(a.entries[0].entry.mtime - a.entries[0].entry.ctime >= (int64_t)(r.session.timeout / MW_MS));
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void is_closed_while_it_asks_for_the_version(void) {
    rig r;
    ask taken_back, open;
    rig_open(&r);
    memset(&taken_back, 0, sizeof taken_back);
    memset(&open, 0, sizeof open);
    taken_back.request.kind = open.request.kind = MW_READ_VERSION;
    taken_back.request.path = open.request.path = mw_str_of("/");
    ask_start(&r, &taken_back);
    ask_start(&r, &open);
    CHECK(!r.backend->cancel(r.conn, &taken_back.request));
    r.backend->abandon(r.conn);
    RIG_UNTIL(&r, r.closed == 1);
    CHECK_INT(taken_back.status, 1);
    CHECK_INT(open.status, MW_EDISCONNECTED);
    mw_uv_host_free(r.host);
}

/* A process remembers what it wrote; others may have removed it, and made it anew with the same version. */
static void what_it_remembers_may_be_gone(void) {
    rig r, other;
    ask a;
    rig_open(&r);
    rig_open_with(&other, r.host, rig_servers(), RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/anew", "mine", 0, false), MW_OK);
    CHECK_INT(rig_write(&other, &a, MW_DELETE, "/ops/anew", "", MW_VERSION_ANY, false), MW_OK);
    CHECK_INT(rig_write(&other, &a, MW_CREATE, "/ops/anew", "theirs", 0, false), MW_OK);
    CHECK_INT(rig_write(&r, &a, MW_DELETE, "/ops/anew", "", 0, false), MW_ECONFLICT);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/gone", "mine", 0, false), MW_OK);
    CHECK_INT(rig_write(&other, &a, MW_DELETE, "/ops/gone", "", MW_VERSION_ANY, false), MW_OK);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/gone", "mine", 0, true), MW_OK);
    CHECK(a.written[0].owner == r.session.id);
    rig_end(&other);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

typedef struct watcher {
    mw_feed feed;
    int synced;
    bool below; /* /ops/d/below was told */
} watcher;

static void watcher_begin(mw_feed *feed) {}
static void watcher_entry(mw_feed *feed, const mw_entry *entry) {
    mw_container(feed, watcher, feed)->below |= mw_str_equal(entry->path, mw_str_of("/ops/d/below"));
}
static void watcher_gone(mw_feed *feed, mw_str path, int64_t revision) {}
static void watcher_synced(mw_feed *feed, int64_t revision) {
    mw_container(feed, watcher, feed)->synced++;
}
static void watcher_failed(mw_feed *feed, int status, const mw_error *detail) {}

/* Removed and made again in one step: the watch on its children went with the former one. */
static void watches_the_children_of_a_new_incarnation(void) {
    rig r;
    ask a;
    watcher w = {.feed = {mw_str_of("/ops"),
                          MW_DEPTH_SUBTREE,
                          watcher_begin,
                          watcher_entry,
                          watcher_gone,
                          watcher_synced,
                          watcher_failed,
                          {NULL}}};
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/d", "1", 0, false), MW_OK);
    CHECK_INT(r.backend->watch(r.conn, &w.feed), MW_OK);
    RIG_UNTIL(&r, w.synced);
    memset(&a, 0, sizeof a);
    ask_write(&a, MW_DELETE, "/ops/d", "", MW_VERSION_ANY, false);
    ask_write(&a, MW_CREATE, "/ops/d", "2", 0, false);
    ask_start(&r, &a);
    CHECK_INT(ask_wait(&r, &a), MW_OK);
    CHECK_INT(rig_read(&r, &a, MW_READ_GET, "/ops/d"), MW_OK); /* its event has been read by then */
    CHECK_INT(rig_read(&r, &a, MW_READ_GET, "/ops/d"), MW_OK);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/d/below", "", 0, false), MW_OK);
    RIG_UNTIL(&r, w.below);
    r.backend->unwatch(r.conn, &w.feed);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void refuses_what_no_packet_holds(void) {
    rig r;
    ask a;
    rig_open(&r);
    static char big[1048576];
    memset(big, 'x', sizeof big);
    memset(&a, 0, sizeof a);
    ask_write(&a, MW_CREATE, "/ops/big", "", 0, false);
    a.writes[0].value = (mw_str){big, sizeof big};
    mw_backend_stats before, after;
    r.backend->stats(r.conn, &before);
    ask_start(&r, &a);
    CHECK_INT(ask_wait(&r, &a), MW_ETOO_LARGE);
    r.backend->stats(r.conn, &after);
    CHECK_INT(after.statements, before.statements);
    memset(&a, 0, sizeof a);
    ask_write(&a, MW_CREATE, "/ops/big", "", 0, false);
    a.writes[0].value = (mw_str){big, sizeof big - 1024};
    ask_start(&r, &a);
    CHECK_INT(ask_wait(&r, &a), MW_OK);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void creates_the_chroot_and_stays_in_it(void) {
    rig r, plain;
    ask a;
    char servers[256];
    snprintf(servers, sizeof servers, "%s/tenant/one", rig_servers());
    rig_open_with(&r, rig_host(), servers, RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/x", "in", 0, false), MW_OK);
    CHECK_INT(rig_read(&r, &a, MW_READ_CHILDREN, "/"), MW_OK);
    CHECK_INT(a.count, 1);
    CHECK_TEXT(a.entries[0].path, "/x");
    rig_open_with(&plain, r.host, rig_servers(), RIG_TIMEOUT_MS);
    CHECK_INT(rig_read(&plain, &a, MW_READ_GET, "/tenant/one/x"), MW_OK);
    rig_end(&r);
    rig_clear(&plain, "/tenant/one/.moonwatch");
    rig_clear(&plain, "/tenant");
    rig_close(&plain);
}

/* The server's counter of a directory wraps from the largest number to the smallest; such names are made here by hand.
 */
static void reads_a_queue_over_the_wrap_of_its_sequence(void) {
    static const char *const members[] = {"-2147483647", "2147483646", "-2147483648", "2147483647"};
    static const char *const in_line[] = {"2147483646", "2147483647", "-2147483648", "-2147483647"};
    rig r;
    ask a;
    waiter first;
    rig_open(&r);
    rig_lock(&r, &first, "/ops/lock"); /* makes the lock's node */
    RIG_UNTIL(&r, first.granted == 1);
    r.backend->unlock(r.conn, &first.ticket);
    RIG_UNTIL(&r, first.ended == 1);
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "/ops/lock/_c_0f8fad5b-d9cb-469f-a165-70867728950%zu-lock-%s", i, members[i]);
        CHECK_INT(rig_write(&r, &a, MW_CREATE, path, members[i], 0, true), MW_OK);
    }
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, "/ops/lock"), MW_OK);
    CHECK_INT(a.count, 4);
    for (size_t i = 0; i < 4; i++) {
        CHECK_TEXT(a.entries[i].value, in_line[i]);
        CHECK((a.entries[i].entry.revision > 0) == (i == 0)); /* the first holds it */
    }
    rig_end(&r);
    rig_open_with(&r, r.host, rig_servers(), RIG_TIMEOUT_MS);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void refuses_wrong_options(void) {
    static const struct {
        const char *key, *value, *says;
        int status;
    } bad[] = {
        {"servers", "", "host:port", MW_EINVALID},
        {"servers", "host", "host:port", MW_EINVALID},
        {"servers", "host:0", "host:port", MW_EINVALID},
        {"servers", "host:1,,b:2", "host:port", MW_EINVALID},
        {"servers", "host:1/a/", "ends with", MW_EINVALID},
        {"session_timeout_ms", "soon", "session_timeout_ms", MW_EINVALID},
        {"digest", "nocolon", "user:password", MW_EINVALID},
        {"digest_file", "/nonexistent/file", "digest_file", MW_EINVALID},
        {"acl", "private", "needs an identity", MW_EINVALID},
#ifndef ZK_HAS_TLS /* otherwise: tls_spec.c */
        {"tls", "true", "built without it", MW_EUNSUPPORTED},
#endif
        {"sasl", "true", "built without it", MW_EUNSUPPORTED},
        {"colour", "blue", "no option 'colour'", MW_EINVALID},
    };
    mw_host *host = rig_host();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rig r;
        mw_error err = {0};
        mw_option options[] = {{"servers", "127.0.0.1:1"}, {bad[i].key, bad[i].value}, {0}};
        CHECK_INT(rig_try_open(&r, options, host, &err), bad[i].status);
        CHECK(strstr(err.message, bad[i].says) != NULL);
    }
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"counts what checks for absence take", counts_what_checks_for_absence_take},
    {"creates, reads and deletes", creates_reads_and_deletes},
    {"put creates, then replaces", put_creates_then_replaces},
    {"never adopts what another session owns", never_adopts_what_another_session_owns},
    {"writes all or nothing", writes_all_or_nothing},
    {"lists without its own marks", lists_without_its_own_marks},
    {"is closed while it asks for the version", is_closed_while_it_asks_for_the_version},
    {"what it remembers may be gone", what_it_remembers_may_be_gone},
    {"watches the children of a new incarnation", watches_the_children_of_a_new_incarnation},
    {"refuses what no packet holds", refuses_what_no_packet_holds},
    {"creates the chroot and stays in it", creates_the_chroot_and_stays_in_it},
    {"reads a queue over the wrap of its sequence", reads_a_queue_over_the_wrap_of_its_sequence},
    {"refuses wrong options", refuses_wrong_options},
};
SPEC_MAIN(cases)
