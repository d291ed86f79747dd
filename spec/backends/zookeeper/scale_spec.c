/* Many watches, many waiters: over the bare SPI, counted, not timed. */
#include "rig.h"

#define WATCHED 20000
#define WAITERS 200

#define RESTART "$ZK_CTL kill $ZK_DIR 1 && %s $ZK_CTL up $ZK_DIR 1 && $ZK_CTL wait $ZK_DIR"

static void restart(const char *environment) {
    char command[256];
    snprintf(command, sizeof command, RESTART, environment);
    CHECK_INT(system(command), 0);
}

/* ---- Feeds */

typedef struct counted_feed {
    mw_feed feed;
    int begins, synced, entries, gone, failed;
} counted_feed;

static void feed_begin(mw_feed *feed) {
    counted_feed *f = mw_container(feed, counted_feed, feed);
    f->begins++;
    f->entries = 0;
}
static void feed_entry(mw_feed *feed, const mw_entry *entry) {
    mw_container(feed, counted_feed, feed)->entries++;
}
static void feed_gone(mw_feed *feed, mw_str path, int64_t revision) {
    mw_container(feed, counted_feed, feed)->gone++;
}
static void feed_synced(mw_feed *feed, int64_t revision) {
    mw_container(feed, counted_feed, feed)->synced++;
}
static void feed_failed(mw_feed *feed, int status, const mw_error *detail) {
    mw_container(feed, counted_feed, feed)->failed = status;
}

static void watch(rig *r, counted_feed *f, const char *path, mw_depth depth) {
    *f = (counted_feed){.feed = {mw_str_of(path), depth, feed_begin, feed_entry, feed_gone, feed_synced, feed_failed}};
    CHECK_INT(r->backend->watch(r->conn, &f->feed), MW_OK);
}

/* Many entries, pipelined. */
typedef struct bulk {
    mw_request request;
    mw_write write;
    mw_written written;
    char path[48];
    int *left;
} bulk;

static void bulk_done(mw_request *request, int status, const mw_error *detail) {
    bulk *b = mw_container(request, bulk, request);
    if (status == MW_OK)
        --*b->left;
}

static void fill(rig *r, bulk *all, int count, mw_write_kind kind, const char *format) {
    int left = count;
    for (int i = 0; i < count; i++) {
        all[i] = (bulk){.left = &left};
        snprintf(all[i].path, sizeof all[i].path, format, i);
        all[i].write = (mw_write){kind, mw_str_of(all[i].path), {"", 0}, MW_VERSION_ANY, kind == MW_CREATE, NULL};
        all[i].request = (mw_request){
            .kind = MW_WRITE, .writes = &all[i].write, .write_count = 1, .written = &all[i].written, .done = bulk_done};
        r->backend->submit(r->conn, &all[i].request);
    }
    RIG_UNTIL(r, left == 0);
}

/* The client would set all watches again in one packet, which the server refuses: for ever. */
static void many_watches_survive_a_reconnect(void) {
    rig owner, r;
    static counted_feed f;
    bulk *all = calloc(WATCHED, sizeof *all);
    rig_open(&owner);
    rig_open_with(&r, owner.host, rig_servers(), RIG_TIMEOUT_MS);
    fill(&owner, all, WATCHED, MW_CREATE, "/scale/an-entry-with-a-name-%d");
    watch(&r, &f, "/scale", MW_DEPTH_CHILDREN);
    RIG_UNTIL(&r, f.synced == 1);
    CHECK_INT(f.entries, WATCHED);
    mw_backend_stats before, after;
    r.backend->stats(r.conn, &before);
    /* The server starts anew: connections break, sessions live. */
    restart("");
    RIG_UNTIL(&r, r.resumed == 1 && owner.resumed == 1 && f.synced == 2);
    CHECK_INT(f.entries, WATCHED);
    CHECK_INT(r.disconnected, 1);
    r.backend->stats(r.conn, &after);
    CHECK_INT(after.reconnects - before.reconnects, 1);
    ask a;
    CHECK_INT(rig_write(&owner, &a, MW_CREATE, "/scale/one-more", "", 0, true), MW_OK);
    RIG_UNTIL(&r, f.entries == WATCHED + 1);
    r.backend->unwatch(r.conn, &f.feed);
    rig_end(&r);
    rig_end(&owner);
    mw_uv_host_free(owner.host);
    free(all);
}

/* The limit of the servers' packets holds for the watches that are set again, too. */
static void watches_fit_the_packets_of_small_servers(void) {
    enum { COUNT = 2000 };
    rig owner, r;
    mw_error err = {0};
    static counted_feed f;
    bulk *all = calloc(COUNT, sizeof *all);
    mw_option options[] = {
        {"servers", rig_servers()}, {"session_timeout_ms", RIG_TIMEOUT_MS}, {"packet_limit", "65536"}, {0}};
    rig_open(&owner);
    fill(&owner, all, COUNT, MW_CREATE, "/small/an-entry-with-a-name-of-40-letters-%d");
    CHECK_INT(rig_try_open(&r, options, owner.host, &err), MW_OK);
    RIG_UNTIL(&r, r.connected == 1);
    watch(&r, &f, "/small", MW_DEPTH_CHILDREN);
    RIG_UNTIL(&r, f.synced == 1);
    restart("ZK_JAVA=-Djute.maxbuffer=65536");
    RIG_UNTIL(&r, r.resumed == 1 && f.synced == 2);
    CHECK_INT(f.entries, COUNT);
    CHECK_INT(r.disconnected, 1);
    r.backend->unwatch(r.conn, &f.feed);
    rig_end(&r);
    rig_close(&owner);
    free(all);
    restart("");
}

static void a_directory_of_50000(void) {
    rig owner;
    static counted_feed f;
    enum { COUNT = 50000 };
    bulk *all = calloc(COUNT, sizeof *all);
    rig_open(&owner);
    fill(&owner, all, COUNT, MW_CREATE, "/wide/%d");
    watch(&owner, &f, "/wide", MW_DEPTH_CHILDREN);
    RIG_UNTIL(&owner, f.synced == 1);
    CHECK_INT(f.entries, COUNT);
    CHECK_INT(f.failed, 0);
    owner.backend->unwatch(owner.conn, &f.feed);
    rig_close(&owner);
    free(all);
}

/* ---- Locks */

static void one_release_wakes_one_waiter(void) {
    rig r;
    static waiter all[WAITERS];
    mw_backend_stats before, after;
    rig_open(&r);
    for (int i = 0; i < WAITERS; i++) {
        rig_lock(&r, &all[i], "/scale-lock");
    }
    RIG_UNTIL(&r, all[0].granted);
    ask a;
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, "/scale-lock"), MW_OK);
    CHECK_INT(a.count, WAITERS);
    r.backend->stats(r.conn, &before);
    for (int i = 0; i + 1 < WAITERS; i++) {
        r.backend->unlock(r.conn, &all[i].ticket);
        RIG_UNTIL(&r, all[i + 1].granted);
        CHECK(all[i + 1].ticket.token > all[i].ticket.token);
    }
    r.backend->stats(r.conn, &after);
    CHECK_INT(after.wakeups - before.wakeups, WAITERS - 1);
    r.backend->unlock(r.conn, &all[WAITERS - 1].ticket);
    RIG_UNTIL(&r, all[WAITERS - 1].ended);
    rig_close(&r);
}

/* Locks are watched, too: their paths in one packet would be more than the server takes. */
static void many_watched_locks_survive_a_reconnect(void) {
    enum { LOCKS = 1300 };
    rig r;
    static waiter all[LOCKS];
    static char paths[LOCKS][960];
    rig_open_with(&r, rig_host(), rig_servers(), "20000");
    for (int i = 0; i < LOCKS; i++) {
        snprintf(paths[i], sizeof *paths, "/scale-locks/%0*d", 900, i);
        rig_lock(&r, &all[i], paths[i]);
    }
    RIG_UNTIL(&r, all[LOCKS - 1].granted);
    int confirmed = r.confirmed;
    RIG_UNTIL(&r, r.confirmed > confirmed + 1); /* a probe lies between: all are watched */
    restart("");
    RIG_UNTIL(&r, r.connected == 2);
    CHECK_INT(r.resumed, 1);
    for (int i = 0; i < LOCKS; i++)
        r.backend->unlock(r.conn, &all[i].ticket);
    RIG_UNTIL(&r, all[LOCKS - 1].ended);
    CHECK_INT(r.disconnected, 1);
    rig_close(&r);
}

/* Who gave up waiting watches no more. */
static void many_that_were_waited_for_survive_a_reconnect(void) {
    enum { LOCKS = 1300 };
    rig holder, r;
    static waiter held[LOCKS], given_up[LOCKS];
    static char paths[LOCKS][960];
    rig_open(&holder);
    rig_open_with(&r, holder.host, rig_servers(), RIG_TIMEOUT_MS);
    for (int i = 0; i < LOCKS; i++) {
        snprintf(paths[i], sizeof *paths, "/scale-waits/%0*d", 900, i);
        rig_lock(&holder, &held[i], paths[i]);
    }
    RIG_UNTIL(&holder, held[LOCKS - 1].granted);
    for (int i = 0; i < LOCKS; i++)
        rig_lock(&r, &given_up[i], paths[i]);
    ask a; /* behind all that wait: they watch */
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, paths[LOCKS - 1]), MW_OK);
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, paths[LOCKS - 1]), MW_OK);
    for (int i = 0; i < LOCKS; i++)
        r.backend->unlock(r.conn, &given_up[i].ticket);
    RIG_UNTIL(&r, given_up[LOCKS - 1].ended);
    restart("");
    RIG_UNTIL(&r, r.connected == 2);
    CHECK_INT(r.resumed, 1);
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, paths[0]), MW_OK); /* it is not thrown out again */
    CHECK_INT(r.disconnected, 1);
    rig_end(&r);
    rig_close(&holder);
}

/* The small server first: it could not read the log of the others. */
static const spec_case cases[] = {
    {"watches fit the packets of small servers", watches_fit_the_packets_of_small_servers},
    {"1,300 watched locks survive a reconnect", many_watched_locks_survive_a_reconnect},
    {"1,300 that were waited for survive a reconnect", many_that_were_waited_for_survive_a_reconnect},
    {"20,000 watches survive a reconnect", many_watches_survive_a_reconnect},
    {"a directory of 50,000", a_directory_of_50000},
    {"one release wakes one of 200 waiters", one_release_wakes_one_waiter},
};
SPEC_MAIN(cases)
