/* What another does between two requests of ours: the second is held back by the proxy meanwhile. */
#define SPEC_SHARED
#include "rig.h"
#include "world.h"

#define EXISTS 3
#define GET_CHILDREN2 12
#define MULTI 14
#define READS 20

typedef struct scene {
    proxy proxy;
    rig near, far; /* through the proxy; directly */
} scene;

static void scene_begin(scene *s) {
    char servers[32];
    proxy_start(&s->proxy, world_port(1));
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->proxy.port);
    rig_open(&s->far);
    rig_open_with(&s->near, s->far.host, servers, RIG_TIMEOUT_MS);
}

static void scene_end(scene *s) {
    rig_end(&s->near);
    rig_clear(&s->far, "/between");
    rig_close(&s->far);
    proxy_stop(&s->proxy);
}

static void far_writes(scene *s, mw_write_kind kind, const char *path, bool ephemeral) {
    ask a;
    CHECK_INT(rig_write(&s->far, &a, kind, path, "", kind == MW_CREATE ? 0 : MW_VERSION_ANY, ephemeral), MW_OK);
}

/* What was sent before it has come to the server, and been answered. */
static void until_held(scene *s) {
    ask a;
    RIG_UNTIL(&s->near, proxy_stat(&s->proxy, "held") == 1);
    for (int i = 0; i < READS; i++)
        (void)rig_read(&s->far, &a, MW_READ_STAT, "/between");
}

/* Nothing is below an ephemeral: but another entry stands in its place when the `nth` request of a kind comes. */
static void ephemeral_goes_before(int nth, int op) {
    static scene s;
    static ask one;
    ask a;
    memset(&one, 0, sizeof one);
    scene_begin(&s);
    far_writes(&s, MW_CREATE, "/between/e", true);
    far_writes(&s, MW_SET, "/between/e", false);
    proxy_tell(&s.proxy, "hold %d %d", nth, op);
    ask_write(&one, MW_CHECK, "/between/e/x", "", MW_VERSION_ABSENT, false);
    ask_write(&one, MW_CREATE, "/between/out", "", 0, false);
    ask_start(&s.near, &one);
    until_held(&s);
    far_writes(&s, MW_DELETE, "/between/e", false);
    far_writes(&s, MW_CREATE, "/between/e/x", false);
    proxy_tell(&s.proxy, "thaw");
    CHECK_INT(ask_wait(&s.near, &one), MW_EEXISTS);
    CHECK_INT(one.request.failed_write, 0);
    CHECK_INT(rig_read(&s.far, &a, MW_READ_STAT, "/between/out"), MW_ENOT_FOUND);
    scene_end(&s);
}

static void an_ephemeral_that_goes_before_the_check(void) {
    ephemeral_goes_before(2, MULTI); /* the first is refused */
}

static void an_ephemeral_that_goes_before_the_look(void) {
    ephemeral_goes_before(2, EXISTS); /* the first is for the directory of what is created */
}

typedef struct watcher {
    mw_feed feed;
    int synced;
    int64_t created; /* of /between/x, as told last; 0 = gone */
} watcher;

static void watcher_begin(mw_feed *feed) {}
static void watcher_entry(mw_feed *feed, const mw_entry *entry) {
    if (mw_str_equal(entry->path, mw_str_of("/between/x")))
        mw_container(feed, watcher, feed)->created = entry->created;
}
static void watcher_gone(mw_feed *feed, mw_str path, int64_t revision) {
    if (mw_str_equal(path, mw_str_of("/between/x")))
        mw_container(feed, watcher, feed)->created = 0;
}
static void watcher_synced(mw_feed *feed, int64_t revision) {
    mw_container(feed, watcher, feed)->synced++;
}
static void watcher_failed(mw_feed *feed, int status, const mw_error *detail) {}

/* It was not there when it was read, and is again when its directory is listed. */
static void what_is_made_again_is_told_again(void) {
    static scene s;
    ask a;
    watcher w = {.feed = {mw_str_of("/between"), MW_DEPTH_CHILDREN, watcher_begin, watcher_entry, watcher_gone,
                          watcher_synced, watcher_failed}};
    scene_begin(&s);
    far_writes(&s, MW_CREATE, "/between/x", false);
    CHECK_INT(s.near.backend->watch(s.near.conn, &w.feed), MW_OK);
    RIG_UNTIL(&s.near, w.synced && w.created);
    proxy_tell(&s.proxy, "hold 1 %d", GET_CHILDREN2);
    far_writes(&s, MW_DELETE, "/between/x", false);
    until_held(&s);
    CHECK_INT(rig_write(&s.far, &a, MW_CREATE, "/between/x", "", 0, false), MW_OK);
    proxy_tell(&s.proxy, "thaw");
    RIG_UNTIL(&s.near, w.created == a.written[0].created);
    s.near.backend->unwatch(s.near.conn, &w.feed);
    scene_end(&s);
}

static const spec_case cases[] = {
    {"an ephemeral that goes before the check is no proof", an_ephemeral_that_goes_before_the_check},
    {"an ephemeral that goes before the look is no proof", an_ephemeral_that_goes_before_the_look},
    {"what is made again is told again", what_is_made_again_is_told_again},
};
SPEC_MAIN(cases)
