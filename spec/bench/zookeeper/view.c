/* 10,000 members into a view: time, memory and requests, beside the bare client and Curator's caches. */
#define SPEC_HELPER
#include "parts.h"

#include "bare.h"
#include "peers.h"

#include <unistd.h>

#define ROUNDS 15
#define PEERS 5 /* rounds with peers */

/* ---- The floor */
static void bare_watched(zhandle_t *zh, int type, int state, const char *path, void *ctx) {}

static void bare_value(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    ((bare *)data)->left--;
}

static void bare_names(int rc, const struct String_vector *names, const void *data) {
    bare *b = (bare *)data;
    char path[128];
    b->left = names ? names->count : 0;
    for (int i = 0; names && i < names->count; i++) {
        snprintf(path, sizeof path, "/bench/view/%s", names->data[i]);
        zoo_awget(b->zh, path, bare_watched, NULL, bare_value, b);
    }
}

static double bare_view(void) {
    bare b = {.left = -1};
    bare_open(&b, world_servers());
    double begin = bench_seconds();
    zoo_awget_children(b.zh, "/bench/view", bare_watched, NULL, bare_names, &b);
    bare_run(&b, bare_done);
    double took = bench_seconds() - begin;
    zookeeper_close(b.zh);
    return took;
}

/* ---- Ours */
static double our_view(world *w, const char *servers) {
    node n;
    observer o;
    node_open(w, &n, "view", servers, 10000);
    double begin = bench_seconds();
    observer_start(&n, &o, "view", "/bench/view", MW_DEPTH_CHILDREN);
    world_until(w, observer_synced, &o);
    double took = bench_seconds() - begin;
    mw_unsubscribe(o.subscription);
    node_close(&n);
    return took;
}

static double our_resident(void) {
    char line[128];
    double kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmRSS: %lf", &kb) == 1)
            break;
    if (status)
        fclose(status);
    return kb / 1024;
}

void view_alone(bool memory) {
    world w;
    node n;
    observer o;
    world_begin(&w);
    world_bare(&w);
    node_open(&w, &n, "view", world_servers(), 10000);
    double begin = bench_seconds();
    observer_start(&n, &o, "view", "/bench/view", MW_DEPTH_CHILDREN);
    world_until(&w, observer_synced, &o);
    printf("%f\n", memory ? our_resident() : bench_seconds() - begin);
    remove(w.history_path);
}

/* As a service meets it: once, in a process that has just connected. Ours and the peer's take turns. */
static void bench_first_view(const char *name, const char *its_work) {
    char what[128];
    double ratios[PEERS];
    for (int i = 0; i < PEERS; i++) {
        double ours = peer("/proc/%d/exe view", (int)getpid());
        ratios[i] = peer(PEER(CURATOR), its_work, world_servers()) / ours;
    }
    snprintf(what, sizeof what, "zookeeper: 10,000-member view, new process: speed to %s", name);
    bench_row(what, bench_median(ratios, PEERS), "x", "at least 3");
}

/* ---- What the server has to do for it: it takes the requests of a connection one by one, and all wait for it */

static double requests_received(void) {
    char command[160];
    snprintf(command, sizeof command,
             "bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d && printf srvr >&3 && sed -n \"s/^Received: //p\" <&3'",
             world_port(1));
    return peer("%s", command);
}

static void count_requests(const char *whose, const char *command) {
    char what[128];
    double before = requests_received();
    (void)peer("%s", command);
    snprintf(what, sizeof what, "zookeeper: 10,000-member view: requests of %s", whose);
    bench_row(what, requests_received() - before, "-", "-");
}

static void bench_requests(void) {
    char command[1024];
    snprintf(command, sizeof command, "/proc/%d/exe view", (int)getpid());
    count_requests("ours", command);
    snprintf(command, sizeof command, PEER(CURATOR), "cache", world_servers());
    count_requests("CuratorCache", command);
    snprintf(command, sizeof command, PEER(CURATOR), "tree", world_servers());
    count_requests("TreeCache", command);
}

/* The server's own time for the same varies, whoever asks: many rounds, and each is first in turn. */
void bench_view(world *w) {
    double floor_s[ROUNDS], ours[ROUNDS];
    for (int i = -1; i < ROUNDS; i++) { /* the first, on a server that is cold, is not counted */
        double first = i % 2 ? bare_view() : our_view(w, world_servers());
        double second = i % 2 ? our_view(w, world_servers()) : bare_view();
        if (i < 0)
            continue;
        ours[i] = i % 2 ? second : first;
        floor_s[i] = i % 2 ? first : second;
    }
    double f = bench_median(floor_s, ROUNDS), o = bench_median(ours, ROUNDS);
    bench_row("zookeeper: 10,000-member view ready", o * 1000, "ms", "-");
    bench_row("zookeeper: 10,000-member view: time to zoo_awget", o / f, "x", "at most 1.2");
    bench_row("zookeeper: 10,000-member view: resident memory", peer("/proc/%d/exe resident", (int)getpid()), "MB",
              "at most 20");
    bench_first_view("CuratorCache", "cache");
    bench_first_view("TreeCache", "tree");
    bench_row("zookeeper: 10,000-member view, warm: speed to CuratorCache",
              speed_to(CURATOR, "cache-warm", our_view, w, world_servers()), "x", "at least 3");
    bench_row("zookeeper: 10,000-member view, warm: speed to TreeCache",
              speed_to(CURATOR, "tree-warm", our_view, w, world_servers()), "x", "at least 3");
    bench_requests();
    bench_row("zookeeper: 10,000-member view: resident memory of Curator",
              peer(PEER(CURATOR), "resident", world_servers()), "MB", "-");
    bench_row("zookeeper: 10,000-member view: resident memory of kazoo", peer(PEER(KAZOO), "resident", world_servers()),
              "MB", "-");
}
