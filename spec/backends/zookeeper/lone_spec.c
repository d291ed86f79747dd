/* Ephemeral creates that travel alone, without a mark: what their node and its directory tell when the reply is lost.
 */
#define SPEC_SHARED
#include "rig.h"
#include "world.h"

#define CREATE2 15

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

static void create(scene *s, ask *a, const char *path) {
    mw_backend_stats before, now;
    s->near.backend->stats(s->near.conn, &before);
    memset(a, 0, sizeof *a);
    ask_write(a, MW_CREATE, path, "", 0, true);
    ask_start(&s->near, a);
    do {
        mw_uv_host_step(s->near.host, true);
        s->near.backend->stats(s->near.conn, &now);
    } while (now.write_transactions == before.write_transactions);
}

static int stat_of(scene *s, const char *path) {
    ask a;
    return rig_read(&s->far, &a, MW_READ_STAT, path);
}

/* Made, its reply lost, and removed by another before we could ask: nothing tells. It must not be made again. */
static void one_that_was_removed_stays_unknown(void) {
    static scene s;
    static ask one;
    ask a;
    scene_begin(&s);
    proxy_tell(&s.proxy, "refuse"); /* connecting again */
    proxy_tell(&s.proxy, "drop-reply 1 %d", CREATE2);
    create(&s, &one, "/lone/removed");
    RIG_UNTIL(&s.near, s.near.disconnected == 1);
    CHECK_INT(rig_write(&s.far, &a, MW_DELETE, "/lone/removed", "", MW_VERSION_ANY, false), MW_OK);
    proxy_tell(&s.proxy, "accept");
    CHECK_INT(ask_wait(&s.near, &one), MW_EUNKNOWN);
    CHECK_INT(stat_of(&s, "/lone/removed"), MW_ENOT_FOUND);
    scene_end(&s);
}

/* What another session made meanwhile is no proof that ours was made. */
static void one_that_another_made_is_not_ours(void) {
    static scene s;
    static ask one;
    ask a;
    scene_begin(&s);
    proxy_tell(&s.proxy, "swallow");
    CHECK_INT(rig_write(&s.far, &a, MW_CREATE, "/lone/theirs", "", 0, true), MW_OK);
    create(&s, &one, "/lone/theirs");
    proxy_tell(&s.proxy, "reset");
    CHECK_INT(ask_wait(&s.near, &one), MW_EUNKNOWN);
    scene_end(&s);
}

/* What was there before was not made by a create: that was refused. */
static void one_that_was_there_is_refused(void) {
    static scene s;
    static ask one;
    scene_begin(&s);
    proxy_tell(&s.proxy, "drop-reply 1 %d", CREATE2);
    create(&s, &one, "/lone/first");
    CHECK_INT(ask_wait(&s.near, &one), MW_EEXISTS);
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
    for (int tries = 0; stat_of(&s, "/lone/twice") != MW_OK; tries++)
        CHECK(tries < 10000);
    proxy_tell(&s.proxy, "reset");
    CHECK_INT(ask_wait(&s.near, &first), MW_OK);
    CHECK_INT(ask_wait(&s.near, &second), MW_EDISCONNECTED); /* certainly not: the core would submit it again */
    scene_end(&s);
}

static const spec_case cases[] = {
    {"one that was removed stays unknown", one_that_was_removed_stays_unknown},
    {"one that another made is not ours", one_that_another_made_is_not_ours},
    {"one that was there is refused", one_that_was_there_is_refused},
    {"two of one path are not both made", two_of_one_path_are_not_both_made},
};
SPEC_MAIN(cases)
