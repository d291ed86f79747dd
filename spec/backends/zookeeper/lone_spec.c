/* Creates that travel alone: what is told of them when the reply is lost. Their mark alone decides: whatever became of
 * the node and its directory meanwhile, the truth is told. */
#define SPEC_SHARED
#include "rig.h"
#include "world.h"

#define CREATES "14 15" /* opcodes of multi and create2 */

typedef struct scene {
    proxy proxy;
    rig near, far; /* through the proxy; directly */
} scene;

static void scene_begin(scene *s) {
    char servers[32];
    ask a;
    proxy_start(&s->proxy, world_port(1));
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->proxy.port);
    rig_open(&s->far);
    rig_open_with(&s->near, s->far.host, servers, RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&s->near, &a, MW_CREATE, "/lone/first", "", 0, true), MW_OK); /* the directory is known */
}

static void scene_end(scene *s) {
    rig_end(&s->near);
    rig_clear(&s->far, "/lone");
    rig_close(&s->far);
    proxy_stop(&s->proxy);
}

/* On its way when this returns. */
static void start(scene *s, ask *a, mw_write_kind kind, const char *path) {
    mw_backend_stats before, now;
    s->near.backend->stats(s->near.conn, &before);
    memset(a, 0, sizeof *a);
    ask_write(a, kind, path, "", kind == MW_DELETE ? MW_VERSION_ANY : 0, kind == MW_CREATE);
    ask_start(&s->near, a);
    do {
        mw_uv_host_step(s->near.host, true);
        s->near.backend->stats(s->near.conn, &now);
    } while (now.write_transactions == before.write_transactions);
}

static void create(scene *s, ask *a, const char *path) {
    start(s, a, MW_CREATE, path);
}

/* Until it stands there, and is near's. */
static void await_ours(scene *s, const char *path) {
    ask a;
    do
        (void)rig_read(&s->far, &a, MW_READ_STAT, path);
    while (a.status != MW_OK || a.entries[0].entry.owner != s->near.session.id);
}

static int stat_of(scene *s, const char *path) {
    ask a;
    return rig_read(&s->far, &a, MW_READ_STAT, path);
}

/* Made, its reply lost, and removed by another before we could ask. It must not be made again. */
static void one_that_was_removed_was_made(void) {
    static scene s;
    static ask one;
    ask a;
    scene_begin(&s);
    proxy_tell(&s.proxy, "refuse"); /* connecting again */
    proxy_tell(&s.proxy, "drop-reply 1 " CREATES);
    create(&s, &one, "/lone/removed");
    RIG_UNTIL(&s.near, s.near.disconnected == 1);
    CHECK_INT(rig_write(&s.far, &a, MW_DELETE, "/lone/removed", "", MW_VERSION_ANY, false), MW_OK);
    proxy_tell(&s.proxy, "accept");
    CHECK_INT(ask_wait(&s.near, &one), MW_OK);
    CHECK(one.written[0].created > 0);
    CHECK_INT(stat_of(&s, "/lone/removed"), MW_ENOT_FOUND);
    scene_end(&s);
}

/* It came nowhere, and its directory has changed: it was certainly not made, and the core would submit it again. */
static void one_that_did_not_arrive_was_not_made(void) {
    static scene s;
    static ask one;
    ask a;
    scene_begin(&s);
    proxy_tell(&s.proxy, "freeze");
    create(&s, &one, "/lone/late");
    CHECK_INT(rig_write(&s.far, &a, MW_CREATE, "/lone/another", "", 0, false), MW_OK);
    proxy_tell(&s.proxy, "reset");
    proxy_tell(&s.proxy, "thaw");
    CHECK_INT(ask_wait(&s.near, &one), MW_EDISCONNECTED);
    CHECK_INT(stat_of(&s, "/lone/late"), MW_ENOT_FOUND);
    scene_end(&s);
}

/* What another session made is no proof that ours was made. */
static void one_that_another_made_is_not_ours(void) {
    static scene s;
    static ask one;
    ask a;
    scene_begin(&s);
    proxy_tell(&s.proxy, "drop-reply 1 " CREATES);
    CHECK_INT(rig_write(&s.far, &a, MW_CREATE, "/lone/theirs", "", 0, true), MW_OK);
    create(&s, &one, "/lone/theirs");
    CHECK_INT(ask_wait(&s.near, &one), MW_EDISCONNECTED);
    CHECK_INT(s.near.resumed, 1);
    scene_end(&s);
}

/* The node that the first made is no proof of the second. */
static void two_of_one_path_are_not_both_made(void) {
    static scene s;
    static ask first, second;
    scene_begin(&s);
    proxy_tell(&s.proxy, "swallow");
    create(&s, &first, "/lone/twice");
    create(&s, &second, "/lone/twice");
    await_ours(&s, "/lone/twice");
    proxy_tell(&s.proxy, "reset");
    CHECK_INT(ask_wait(&s.near, &first), MW_OK);
    CHECK_INT(ask_wait(&s.near, &second), MW_EDISCONNECTED);
    scene_end(&s);
}

/* Nor is the node that the last made a proof of the first, which was refused: another's stood there until we removed
 * it.
 */
static void one_that_was_refused_is_not_the_last(void) {
    static scene s;
    static ask first, removal, last;
    ask a;
    scene_begin(&s);
    CHECK_INT(rig_write(&s.far, &a, MW_CREATE, "/lone/again", "", 0, true), MW_OK);
    proxy_tell(&s.proxy, "swallow");
    create(&s, &first, "/lone/again");
    start(&s, &removal, MW_DELETE, "/lone/again");
    create(&s, &last, "/lone/again");
    await_ours(&s, "/lone/again");
    proxy_tell(&s.proxy, "reset");
    CHECK_INT(ask_wait(&s.near, &first), MW_EDISCONNECTED);
    CHECK_INT(ask_wait(&s.near, &removal), MW_OK);
    CHECK_INT(ask_wait(&s.near, &last), MW_OK);
    scene_end(&s);
}

static const spec_case cases[] = {
    {"one that was removed was made", one_that_was_removed_was_made},
    {"one that did not arrive was not made", one_that_did_not_arrive_was_not_made},
    {"one that another made is not ours", one_that_another_made_is_not_ours},
    {"two of one path are not both made", two_of_one_path_are_not_both_made},
    {"one that was refused is not the last", one_that_was_refused_is_not_the_last},
};
SPEC_MAIN(cases)
