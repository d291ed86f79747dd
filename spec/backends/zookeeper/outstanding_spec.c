/* A write that the leader has proposed and nobody has confirmed, when the client comes to the leader and asks what
 * became of it: it is not there yet, and will be. The servers reach each other through proxies (ZK_LINKS). */
#define SPEC_SHARED
#include "rig.h"
#include "world.h"

#define TIMEOUT_MS "60000" /* renewals are proposals, too: none comes between */
#define READS 50

typedef struct scene {
    proxy to_follower, to_leader;
    int leader, follower, other;
    rig near, far; /* first on the follower, then on the leader; on the leader */
} scene;

static void open_near(scene *s) {
    char servers[64];
    proxy_start(&s->to_follower, world_port(s->follower));
    proxy_start(&s->to_leader, world_port(s->leader));
    proxy_tell(&s->to_leader, "refuse");
    snprintf(servers, sizeof servers, "127.0.0.1:%d,127.0.0.1:%d", s->to_follower.port, s->to_leader.port);
    rig_open_with(&s->near, s->far.host, servers, TIMEOUT_MS);
}

static void scene_begin(scene *s) {
    char servers[32];
    s->leader = servers_leader();
    CHECK(s->leader > 0);
    s->follower = s->leader % 3 + 1;
    s->other = s->follower % 3 + 1;
    snprintf(servers, sizeof servers, "127.0.0.1:%d", world_port(s->leader));
    rig_open_with(&s->far, rig_host(), servers, TIMEOUT_MS);
    open_near(s);
}

static void scene_end(scene *s) {
    CHECK_INT(servers_tell("link %d reset", s->follower), 0); /* it has missed what was swallowed */
    CHECK_INT(servers_tell("wait"), 0);
    rig_end(&s->near);
    rig_clear(&s->far, "/outstanding");
    rig_close(&s->far);
    proxy_stop(&s->to_follower);
    proxy_stop(&s->to_leader);
}

/* What the leader proposes reaches nobody from now on. */
static int isolate_leader(scene *s) {
    CHECK_INT(servers_tell("link %d freeze", s->other), 0);
    CHECK_INT(servers_tell("link %d swallow", s->follower), 0);
    return servers_proposals(s->leader);
}

static void await_proposal(scene *s, int before) {
    mw_uv_host_step(s->near.host, false); /* it is sent */
    for (double end = rig_seconds() + RIG_DEADLINE; servers_proposals(s->leader) == before;) {
        CHECK(rig_seconds() < end);
        mw_uv_host_step(s->near.host, false);
    }
}

/* The client comes to the leader, asks, and the leader answers whatever it can. */
static void move_to_leader(scene *s) {
    mw_backend_stats before, now;
    ask a;
    s->near.backend->stats(s->near.conn, &before);
    proxy_tell(&s->to_follower, "refuse");
    proxy_tell(&s->to_leader, "accept");
    proxy_tell(&s->to_follower, "reset");
    RIG_UNTIL(&s->near, s->near.disconnected == 1);
    do {
        mw_uv_host_step(s->near.host, true);
        s->near.backend->stats(s->near.conn, &now);
    } while (now.statements == before.statements);
    for (int i = 0; i < READS; i++)
        CHECK_INT(rig_read(&s->far, &a, MW_READ_STAT, "/outstanding"), MW_OK);
}

static void let_others_confirm(scene *s) {
    CHECK_INT(servers_tell("link %d thaw", s->other), 0);
}

static void a_write_is_not_given_up(bool ephemeral) {
    static scene s;
    static ask one;
    ask a;
    memset(&one, 0, sizeof one);
    scene_begin(&s);
    CHECK_INT(rig_write(&s.near, &a, MW_CREATE, "/outstanding/first", "", 0, false), MW_OK);
    int before = isolate_leader(&s);
    ask_write(&one, MW_CREATE, "/outstanding/one", "", 0, ephemeral);
    ask_start(&s.near, &one);
    await_proposal(&s, before);
    move_to_leader(&s);
    CHECK_INT(one.status, 1);
    let_others_confirm(&s);
    CHECK_INT(ask_wait(&s.near, &one), MW_OK);
    CHECK_INT(rig_read(&s.far, &a, MW_READ_STAT, "/outstanding/one"), MW_OK);
    CHECK_INT(a.entries[0].entry.created, one.written[0].created);
    scene_end(&s);
}

static void a_create_is_not_given_up(void) {
    a_write_is_not_given_up(false);
}

static void an_ephemeral_is_not_given_up(void) {
    a_write_is_not_given_up(true);
}

/* Nor does it stand in the queue a second time, where it would wait for itself. */
static void a_place_in_a_queue_is_not_given_up(void) {
    static scene s;
    static waiter first, lost;
    ask a;
    scene_begin(&s);
    CHECK_INT(rig_write(&s.near, &a, MW_CREATE, "/outstanding/first", "", 0, false), MW_OK);
    rig_lock(&s.near, &first, "/outstanding/lock");
    RIG_UNTIL(&s.near, first.granted == 1);
    s.near.backend->unlock(s.near.conn, &first.ticket);
    RIG_UNTIL(&s.near, first.ended == 1);
    int before = isolate_leader(&s);
    rig_lock(&s.near, &lost, "/outstanding/lock");
    await_proposal(&s, before);
    move_to_leader(&s);
    let_others_confirm(&s);
    RIG_UNTIL(&s.near, lost.granted == 1);
    CHECK_INT(rig_read(&s.far, &a, MW_READ_QUEUE, "/outstanding/lock"), MW_OK);
    CHECK_INT(a.count, 1);
    s.near.backend->unlock(s.near.conn, &lost.ticket);
    RIG_UNTIL(&s.near, lost.ended == 1);
    scene_end(&s);
}

static const spec_case cases[] = {
    {"a create that is on its way is not given up", a_create_is_not_given_up},
    {"an ephemeral that is on its way is not given up", an_ephemeral_is_not_given_up},
    {"a place in a queue that is on its way is not given up", a_place_in_a_queue_is_not_given_up},
};
SPEC_MAIN(cases)
