/* A follower that is cut off from its leader while its clients go on. The servers reach each other through proxies
 * (ZK_LINKS). */
#define SPEC_SHARED
#include "world.h"

typedef struct rivals {
    holder *old, *new;
} rivals;

static bool taken_over(void *arg) {
    return ((rivals *)arg)->new->held;
}

/* The follower goes on answering reads for a long time (syncLimit), while the leader ends the session. The holder must
 * know before anyone else can hold; the checker compares the order. */
static void a_follower_cut_off_deceives_nobody(void) {
    static world w;
    node on_follower, on_leader;
    holder old, new;
    work late;
    char servers[32];
    world_begin(&w);
    int leader = servers_leader(), follower = leader % 3 + 1;
    CHECK(leader > 0);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", world_port(follower));
    node_open(&w, &on_follower, "follower", servers, 3000);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", world_port(leader));
    node_open(&w, &on_leader, "leader", servers, 3000);
    holder_ask(&on_follower, &old, "/lock", false);
    CHECK(world_until(&w, holder_has, &old));
    holder_ask(&on_leader, &new, "/lock", false);
    mw_uv_host_step(w.host, false);
    CHECK_INT(servers_tell("link %d freeze", follower), 0);
    rivals r = {&old, &new};
    CHECK(world_until(&w, taken_over, &r));
    CHECK_INT(old.lost, 1);
    CHECK(!old.held);
    CHECK(new.token > old.token);
    work_txn(&on_leader, &late, new.lock);
    CHECK(world_until(&w, work_done, &late));
    CHECK_INT(late.status, MW_OK);
    CHECK_INT(servers_tell("link %d thaw", follower), 0);
    CHECK(world_until(&w, node_is_connected, &on_follower));
    holder_release(&new);
    mw_lock_free(old.lock);
    world_find_writes(&on_leader);
    node_close(&on_follower);
    node_close(&on_leader);
    world_end(&w);
}

static const spec_case cases[] = {
    {"a follower that is cut off deceives nobody", a_follower_cut_off_deceives_nobody},
};
SPEC_MAIN(cases)
