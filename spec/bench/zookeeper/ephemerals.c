#define SPEC_HELPER
#include "parts.h"

#include "bare.h"
#include "peers.h"

#define EPHEMERALS 5000
#define ROUNDS 5

/* ---- The floor */

static void bare_created(int rc, const char *path, const void *data) {
    ((bare *)data)->left--;
}

static void bare_deleted(int rc, const void *data) {
    ((bare *)data)->left--;
}

static double bare_ephemerals(bare *b) {
    char path[64], value[200] = {0};
    double begin = bench_seconds();
    b->left = EPHEMERALS;
    for (int i = 0; i < EPHEMERALS; i++) {
        snprintf(path, sizeof path, "/bench/b%d", i);
        zoo_acreate(b->zh, path, value, sizeof value, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, bare_created, b);
    }
    bare_run(b, bare_done);
    double took = bench_seconds() - begin;
    b->left = EPHEMERALS;
    for (int i = 0; i < EPHEMERALS; i++) {
        snprintf(path, sizeof path, "/bench/b%d", i);
        zoo_adelete(b->zh, path, -1, bare_deleted, b);
    }
    bare_run(b, bare_done);
    return took;
}

/* The best that the bare client can do by hand, where one conflict fails all: transactions of as many as ours. */
#define PER_MULTI 500

static double bare_multi(bare *b) {
    static zoo_op_t ops[EPHEMERALS];
    static zoo_op_result_t results[EPHEMERALS];
    static char paths[EPHEMERALS][64], value[200];
    double begin = bench_seconds();
    b->left = EPHEMERALS / PER_MULTI;
    for (int i = 0; i < EPHEMERALS; i++) {
        snprintf(paths[i], sizeof paths[i], "/bench/x%d", i);
        zoo_create_op_init(&ops[i], paths[i], value, sizeof value, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0);
        if (i % PER_MULTI == PER_MULTI - 1)
            zoo_amulti(b->zh, PER_MULTI, &ops[i + 1 - PER_MULTI], &results[i + 1 - PER_MULTI], bare_deleted, b);
    }
    bare_run(b, bare_done);
    double took = bench_seconds() - begin;
    b->left = EPHEMERALS;
    for (int i = 0; i < EPHEMERALS; i++)
        zoo_adelete(b->zh, paths[i], -1, bare_deleted, b);
    bare_run(b, bare_done);
    return took;
}

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

static double our_ephemerals(node *n) {
    static bulk all[EPHEMERALS];
    static char value[200];
    mw_error err;
    int left = EPHEMERALS;
    double begin = bench_seconds();
    for (int i = 0; i < EPHEMERALS; i++) {
        snprintf(all[i].path, sizeof all[i].path, "/bench/m%d", i);
        all[i].call = (mw_call){.timeout = MW_FOREVER, .done = bulk_done, .arg = &left};
        mw_create(n->registry, mw_str_of(all[i].path), (mw_str){value, sizeof value}, true, &all[i].call, NULL, &err);
    }
    world_until(n->world, is_zero, &left);
    double took = bench_seconds() - begin;
    left = EPHEMERALS;
    for (int i = 0; i < EPHEMERALS; i++)
        mw_delete(n->registry, mw_str_of(all[i].path), MW_VERSION_ANY, &all[i].call, NULL, &err);
    world_until(n->world, is_zero, &left);
    return took;
}

static double our_session_of_ephemerals(world *w, const char *servers) {
    node n;
    node_open(w, &n, "ours", servers, 10000);
    double took = our_ephemerals(&n);
    node_close(&n);
    return took;
}

static void registered(void *arg, int status, const mw_error *error) {
    --*(int *)arg;
}

/* As a desired state: each is watched, too, and comes back when somebody deletes it. */
static double our_registrations(world *w) {
    static const mw_registration_events events = {registered};
    static mw_registration *all[EPHEMERALS];
    static char value[200];
    node n;
    mw_error err;
    char path[48];
    int left = EPHEMERALS;
    node_open(w, &n, "ours", world_servers(), 10000);
    double begin = bench_seconds();
    for (int i = 0; i < EPHEMERALS; i++) {
        snprintf(path, sizeof path, "/bench/r%d", i);
        (void)mw_register(n.registry, mw_str_of(path), (mw_str){value, sizeof value}, MW_FOREVER, &events, &left,
                          &all[i], &err);
    }
    world_until(w, is_zero, &left);
    double took = bench_seconds() - begin;
    for (int i = 0; i < EPHEMERALS; i++)
        mw_registration_free(all[i]);
    node_close(&n);
    return took;
}

/* ---- The rows */

static void compare(const char *whose, const char *program, const char *its_work, const char *target, world *w) {
    char what[96];
    snprintf(what, sizeof what, "zookeeper: 5,000 ephemerals: speed to %s", whose);
    bench_row(what, speed_to(program, its_work, our_session_of_ephemerals, w, world_servers()), "x", target);
}

void bench_ephemerals(world *w) {
    bare b;
    node n;
    double floor_s[ROUNDS], ours[ROUNDS], desired[ROUNDS], multi_s[ROUNDS];
    bare_open(&b, world_servers());
    node_open(w, &n, "ours", world_servers(), 10000);
    (void)our_ephemerals(&n);
    (void)bare_ephemerals(&b);
    for (int i = 0; i < ROUNDS; i++) {
        floor_s[i] = bare_ephemerals(&b);
        multi_s[i] = bare_multi(&b);
        ours[i] = our_ephemerals(&n);
        desired[i] = our_registrations(w);
    }
    double f = bench_median(floor_s, ROUNDS), o = bench_median(ours, ROUNDS);
    zookeeper_close(b.zh);
    node_close(&n);
    bench_row("zookeeper: 5,000 ephemerals of 200 bytes", o * 1000, "ms", "-");
    bench_row("zookeeper: 5,000 ephemerals as registrations, watched", bench_median(desired, ROUNDS) * 1000, "ms", "-");
    bench_row("zookeeper: 5,000 ephemerals: speed to zoo_acreate", f / o, "x", "at least 0.9");
    bench_row("zookeeper: 5,000 ephemerals: speed to zoo_amulti of 500 by hand", bench_median(multi_s, ROUNDS) / o, "x",
              "-");
    compare("Curator inBackground", CURATOR, "background", "at least 1.0", w);
    compare("Curator blocking", CURATOR, "blocking", "at least 3", w);
    compare("kazoo create_async", KAZOO, "ephemerals", "at least 2", w);
}

/* Where the servers are farther away: a batch waits for the answer to the one before. */
void bench_far_ephemerals(world *w) {
    bare b;
    node n;
    proxy p;
    char servers[32];
    double ratios[ROUNDS];
    proxy_start(&p, world_port(1));
    proxy_tell(&p, "delay 2 1"); /* 2.5 ms each way, on average */
    snprintf(servers, sizeof servers, "127.0.0.1:%d", p.port);
    bare_open(&b, servers);
    node_open(w, &n, "far", servers, 10000);
    for (int i = 0; i < ROUNDS; i++) {
        ratios[i] = bare_ephemerals(&b);
        ratios[i] /= our_ephemerals(&n);
    }
    zookeeper_close(b.zh);
    node_close(&n);
    proxy_stop(&p);
    bench_row("zookeeper: 5,000 ephemerals, 5 ms round trip: speed to zoo_acreate", bench_median(ratios, ROUNDS), "x",
              "-");
}
