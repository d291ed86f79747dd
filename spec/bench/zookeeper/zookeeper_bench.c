/* ZooKeeper: the registry beside the bare C client (the floor), Apache Curator and kazoo, on one real server in one
 * run. ZK_BENCH=view,reaction,ephemerals,lock,lag for a part. usage (beside a server, see zookeeper.cmake):
 * zookeeper_bench; the peers are programs in SPEC_FOLDER/bench/zookeeper. */
#define SPEC_SHARED
#include "backends/zookeeper/world.h"

#include "bare.h"
#include "parts.h"
#include "peers.h"

#include <unistd.h>

#define MEMBERS 10000
#define ROUNDS 5
#define PAIRS 9
#define PEERS 5 /* of these, with peers */

/* ---- Ours */
typedef struct bulk {
    mw_call call;
    char path[48];
} bulk;

static void bulk_done(void *arg, const mw_result *result) {
    --*(int *)arg;
}

static bool is_zero(void *arg) {
    return *(int *)arg <= 0;
}

typedef struct turn {
    mw_lock *lock;
    int left, *all_left;
} turn;

static void next_turn(void *arg, int status, int64_t token, const mw_error *error) {
    turn *t = arg;
    mw_error err;
    (void)mw_lock_release(t->lock, &err);
    --*t->all_left;
    if (--t->left > 0)
        (void)mw_lock_acquire(t->lock, 0, false, &err);
}

static const mw_lock_events turn_events = {next_turn, NULL};

/* Seconds per acquire and release of a free lock; `sessions` contend when more than one. */
static double our_locks(world *w, const char *servers, int sessions, int each) {
    node nodes[8];
    turn turns[8];
    mw_error err;
    int left = sessions * each;
    for (int i = 0; i < sessions; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        node_open(w, &nodes[i], name, servers, 10000);
        turns[i] = (turn){.left = each, .all_left = &left};
        mw_lock_new(nodes[i].registry, mw_str_of(sessions > 1 ? "/bench/contended" : "/bench/lock"), mw_str_of("b"),
                    &turn_events, &turns[i], &turns[i].lock, &err);
    }
    double begin = bench_seconds();
    for (int i = 0; i < sessions; i++)
        (void)mw_lock_acquire(turns[i].lock, 0, false, &err);
    world_until(w, is_zero, &left);
    double took = bench_seconds() - begin;
    for (int i = 0; i < sessions; i++) {
        mw_lock_free(turns[i].lock);
        node_close(&nodes[i]);
    }
    return took / (sessions * each);
}

/* ---- The table */

static double our_free_lock(world *w, const char *servers) {
    return our_locks(w, servers, 1, 200);
}

static double our_hand_over(world *w, const char *servers) {
    return our_locks(w, servers, 8, 50);
}

static double median_of(our_work *ours, world *w, const char *servers) {
    double seconds[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        seconds[i] = ours(w, servers);
    return bench_median(seconds, ROUNDS);
}

static void bench_lock(world *w, const char *servers, const char *where, const char *target) {
    char what[128];
    snprintf(what, sizeof what, "zookeeper: free lock acquire+release, %s", where);
    bench_row(what, median_of(our_free_lock, w, servers) * 1000, "ms", "-");
    snprintf(what, sizeof what, "zookeeper: free lock, %s: speed to InterProcessMutex", where);
    bench_row(what, speed_to(CURATOR, "lock", our_free_lock, w, servers), "x", target);
    snprintf(what, sizeof what, "zookeeper: free lock, %s: speed to kazoo Lock", where);
    bench_row(what, speed_to(KAZOO, "lock", our_free_lock, w, servers), "x", target);
}

static void bench_contention(world *w) {
    const char *servers = world_servers();
    double to_curator = speed_to(CURATOR, "contend", our_hand_over, w, servers);
    double to_kazoo = speed_to(KAZOO, "contend", our_hand_over, w, servers);
    bench_row("zookeeper: 8 sessions contending, hand-overs", 1 / median_of(our_hand_over, w, servers), "1/s", "-");
    bench_row("zookeeper: 8 sessions contending: to the better peer", to_curator < to_kazoo ? to_curator : to_kazoo,
              "x", "at least 1.5");
}

static double react_with(const char *format, ...) {
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return react_peer(world_servers(), command);
}

/* In turns: what else the machine does meanwhile meets all of them. */
static void bench_reaction(void) {
    double ours[PAIRS], to_floor[PAIRS], to_curator[PEERS], to_kazoo[PEERS], floor_to_kazoo[PEERS];
    for (int i = 0; i < PAIRS; i++) {
        double least = react_with("/proc/%d/exe react", (int)getpid());
        ours[i] = react_with("lua5.4 " SPEC_FOLDER "/bench/zookeeper/react.lua %s /bench", world_servers());
        to_floor[i] = ours[i] / least;
        if (i >= PEERS)
            continue;
        double kazoo = react_with(PEER(KAZOO), "react", world_servers());
        to_curator[i] = ours[i] / react_with(PEER(CURATOR), "react", world_servers());
        to_kazoo[i] = ours[i] / kazoo;
        floor_to_kazoo[i] = least / kazoo;
    }
    bench_row("zookeeper: change to Lua reaction, p50", bench_median(ours, PAIRS) * 1e6, "us", "-");
    bench_row("zookeeper: change to Lua reaction: time to zoo_awget", bench_median(to_floor, PAIRS), "x",
              "at most 1.15");
    bench_row("zookeeper: change to Lua reaction: time to CuratorCache", bench_median(to_curator, PEERS), "x",
              "at most 1.0");
    bench_row("zookeeper: change to Lua reaction: time to kazoo DataWatch", bench_median(to_kazoo, PEERS), "x",
              "at most 0.5");
    bench_row("zookeeper: change to zoo_awget alone: time to kazoo DataWatch", bench_median(floor_to_kazoo, PEERS), "x",
              "-");
}

static void make_members(world *w) {
    static bulk all[MEMBERS];
    node n;
    mw_error err;
    int left = MEMBERS;
    node_open(w, &n, "maker", world_servers(), 10000);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(all[i].path, sizeof all[i].path, "/bench/view/member-%05d", i);
        all[i].call = (mw_call){.timeout = MW_FOREVER, .done = bulk_done, .arg = &left};
        mw_create(n.registry, mw_str_of(all[i].path), mw_str_of("0123456789"), false, &all[i].call, NULL, &err);
    }
    world_until(w, is_zero, &left);
    node_close(&n);
}

static void all(void) {
    static world w;
    proxy p;
    char servers[32];
    const char *only = getenv("ZK_BENCH");
    world_begin(&w);
    world_bare(&w);
    make_members(&w);
    if (!only || strstr(only, "view"))
        bench_view(&w);
    if (!only || strstr(only, "reaction"))
        bench_reaction();
    if (!only || strstr(only, "ephemerals")) {
        bench_ephemerals(&w);
        bench_far_ephemerals(&w);
    }
    if (!only || strstr(only, "lock")) {
        bench_lock(&w, world_servers(), "loopback", "-");
        proxy_start(&p, world_port(1));
        proxy_tell(&p, "delay 2 1"); /* 2.5 ms each way, on average */
        snprintf(servers, sizeof servers, "127.0.0.1:%d", p.port);
        bench_lock(&w, servers, "5 ms round trip", "at least 2");
        proxy_stop(&p);
        bench_contention(&w);
    }
    if (!only || strstr(only, "lag"))
        bench_lag(&w);
    mw_uv_host_free(w.host);
    fclose(w.history);
    remove(w.history_path);
}

static const spec_case cases[] = {{"bench", all}};

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "react") == 0)
        return react_bare(world_servers());
    if (argc > 1) {
        view_alone(strcmp(argv[1], "resident") == 0);
        return EXIT_SUCCESS;
    }
    /* The runner's lines of TAP are no figures: report.lua passes over them. */
    return spec_run(cases, 1, 1, argv);
}
