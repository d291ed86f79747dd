/* Faults of the servers themselves, on an ensemble of three. Each case ends with the history checker. */
#define SPEC_SHARED
#include "world.h"

#define WORKS 100

static void removed(void *arg, const mw_result *result) {
    *(bool *)arg = true;
}

static bool is_set(void *arg) {
    return *(bool *)arg;
}

static void finish(world *w, node *n) {
    mw_error err;
    static const char *const paths[] = {"/w", "/other"};
    world_find_writes(n);
    for (size_t i = 0; i < 2; i++) {
        bool done = false;
        mw_call call = {.done = removed, .arg = &done};
        CHECK_INT(mw_delete_recursive(n->registry, mw_str_of(paths[i]), &call, NULL, &err), MW_OK);
        CHECK(world_until(w, is_set, &done));
    }
    node_close(n);
    world_end(w);
}

static void begin_works(node *n, work works[WORKS]) {
    for (int i = 0; i < WORKS; i++)
        if (i % 2)
            work_txn(n, &works[i], NULL);
        else
            work_create(n, &works[i], false);
}

static void leader_dies_with_writes_in_flight(void) {
    static world w;
    static work works[WORKS], before;
    work_set set = {works, WORKS};
    node n;
    observer o;
    world_begin(&w);
    node_open(&w, &n, "n", world_servers(), 30000);
    observer_start(&n, &o, "o", "/w", MW_DEPTH_CHILDREN);
    work_create(&n, &before, false);
    CHECK(world_until(&w, work_done, &before));
    int leader = servers_leader();
    CHECK(leader > 0);
    begin_works(&n, works);
    mw_uv_host_step(w.host, false);
    CHECK_INT(servers_tell("kill %d", leader), 0);
    CHECK(world_until(&w, works_done, &set));
    for (int i = 0; i < WORKS; i++)
        CHECK_INT(works[i].status, MW_OK);
    CHECK_INT(n.lost, 0);
    CHECK_INT(servers_tell("up %d", leader), 0);
    CHECK(servers_wait(&w));
    o.expected = world_final(&n, "/w");
    CHECK(world_until(&w, observer_caught_up, &o));
    mw_unsubscribe(o.subscription);
    finish(&w, &n);
}

/* Each server goes in turn, that of our connection and the leader among them: the session, a lock and what a subscriber
 * knows move with us. */
static void servers_restarted_in_turn_lose_nothing(void) {
    static world w;
    static work works[3 * WORKS / 10];
    work_set set = {works, 0};
    node n;
    observer o;
    holder h;
    work guarded;
    world_begin(&w);
    node_open(&w, &n, "n", world_servers(), 30000);
    observer_start(&n, &o, "o", "/w", MW_DEPTH_CHILDREN);
    holder_ask(&n, &h, "/lock", false);
    CHECK(world_until(&w, holder_has, &h));
    for (int server = 1; server <= 3; server++) {
        CHECK_INT(servers_tell("kill %d", server), 0);
        for (int i = 0; i < WORKS / 10; i++)
            work_create(&n, &works[set.count++], i % 2);
        CHECK_INT(servers_tell("up %d", server), 0);
        CHECK(servers_wait(&w));
        CHECK(world_until(&w, works_done, &set));
    }
    for (size_t i = 0; i < set.count; i++)
        CHECK_INT(works[i].status, MW_OK);
    CHECK(node_saw(&n, MW_RECONNECTED) >= 1);
    CHECK_INT(n.lost, 0);
    work_txn(&n, &guarded, h.lock);
    CHECK(world_until(&w, work_done, &guarded));
    CHECK_INT(guarded.status, MW_OK);
    holder_release(&h);
    o.expected = world_final(&n, "/w");
    CHECK(world_until(&w, observer_caught_up, &o));
    mw_unsubscribe(o.subscription);
    finish(&w, &n);
}

/* One server of three: it must not serve, and nothing written meanwhile is acknowledged. */
static void a_minority_serves_nobody(void) {
    static world w;
    static work works[4];
    work_set set = {works, 4};
    node n;
    world_begin(&w);
    node_open(&w, &n, "n", world_servers(), 3000);
    CHECK_INT(servers_tell("kill 1"), 0);
    CHECK_INT(servers_tell("kill 2"), 0);
    CHECK(world_until(&w, node_is_away, &n));
    for (int i = 0; i < 4; i++)
        work_create(&n, &works[i], false);
    CHECK(world_until(&w, node_is_lost, &n));
    CHECK(!works_done(&set));
    CHECK_INT(servers_tell("up 1"), 0);
    CHECK_INT(servers_tell("up 2"), 0);
    CHECK(servers_wait(&w));
    CHECK(world_until(&w, works_done, &set));
    for (int i = 0; i < 4; i++)
        CHECK_INT(works[i].status, MW_OK);
    finish(&w, &n);
}

static void all_down_and_back(void) {
    static world w;
    static work works[20];
    work_set set = {works, 20};
    node n;
    observer o;
    holder h;
    world_begin(&w);
    node_open(&w, &n, "n", world_servers(), 10000);
    observer_start(&n, &o, "o", "/w", MW_DEPTH_CHILDREN);
    holder_ask(&n, &h, "/lock", false);
    CHECK(world_until(&w, holder_has, &h));
    for (int i = 0; i < 10; i++)
        work_create(&n, &works[i], i % 2);
    for (int i = 1; i <= 3; i++)
        CHECK_INT(servers_tell("kill %d", i), 0);
    CHECK(world_until(&w, holder_lost, &h)); /* after its own deadline, not before and not never */
    for (int i = 10; i < 20; i++)
        work_create(&n, &works[i], false);
    for (int i = 1; i <= 3; i++)
        CHECK_INT(servers_tell("up %d", i), 0);
    CHECK(servers_wait(&w));
    CHECK(world_until(&w, works_done, &set));
    for (int i = 10; i < 20; i++)
        CHECK_INT(works[i].status, MW_OK);
    CHECK(world_until(&w, node_is_connected, &n));
    holder again;
    holder_ask(&n, &again, "/lock", false);
    CHECK(world_until(&w, holder_has, &again));
    CHECK(again.token > h.token);
    holder_release(&again);
    mw_lock_free(h.lock);
    o.expected = world_final(&n, "/w");
    CHECK(world_until(&w, observer_caught_up, &o));
    mw_unsubscribe(o.subscription);
    finish(&w, &n);
}

static const spec_case cases[] = {
    {"the leader dies with 100 writes in flight", leader_dies_with_writes_in_flight},
    {"servers restarted in turn lose nothing", servers_restarted_in_turn_lose_nothing},
    {"a minority serves nobody", a_minority_serves_nobody},
    {"all down and back", all_down_and_back},
};
SPEC_MAIN(cases)
