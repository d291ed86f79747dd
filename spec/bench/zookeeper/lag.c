#define SPEC_HELPER
#include "parts.h"

#include "bare.h"

#include <math.h>

#define PERIOD 1e-3 /* seconds */
#define TICKS 65536
#define EPHEMERALS 5000
#define ROUNDS 5
#define IDLE_MS 200
#define FROZEN_MS 300
#define PATIENCE (MW_SECOND / 2) /* of closing beside a frozen server */

/* The timer, in whichever loop: how late it was each time. */
typedef struct lag {
    double due, late[TICKS];
    int count;
} lag;

static void tick(lag *l) {
    double late = bench_seconds() - l->due;
    if (l->count < TICKS)
        l->late[l->count++] = late;
    l->due = bench_seconds() + PERIOD;
}

static void start(lag *l) {
    l->due = bench_seconds() + PERIOD;
}

static void report(const char *what, const char *whose, lag *l) {
    char text[128];
    (void)bench_median(l->late, (size_t)l->count); /* sorts */
    snprintf(text, sizeof text, "zookeeper: loop lag, %s: p99%s", what, whose);
    bench_row(text, l->late[l->count * 99 / 100] * 1000, "ms", "-");
    snprintf(text, sizeof text, "zookeeper: loop lag, %s: largest%s", what, whose);
    bench_row(text, l->late[l->count - 1] * 1000, "ms", "-");
}

/* ---- In the registry's loop */

typedef struct ticker {
    mw_timer timer;
    mw_host *host;
    lag *lag;
} ticker;

static void ticked(mw_timer *timer) {
    ticker *t = mw_container(timer, ticker, timer);
    tick(t->lag);
    (void)mw_timer_start(t->host, timer, (mw_time)(PERIOD * MW_SECOND));
}

static ticker start_ticker(world *w, lag *l) {
    return (ticker){.timer = {.fire = ticked}, .host = w->host, .lag = l};
}

/* From here on `t` stays where it is. */
static void begin(ticker *t) {
    start(t->lag);
    (void)mw_timer_start(t->host, &t->timer, (mw_time)(PERIOD * MW_SECOND));
}

static void end(ticker *t) {
    mw_timer_stop(t->host, &t->timer);
}

typedef struct pause {
    mw_timer timer;
    bool over;
} pause;

static void pause_over(mw_timer *timer) {
    mw_container(timer, pause, timer)->over = true;
}

static bool is_over(void *arg) {
    return ((pause *)arg)->over;
}

static void let_pass(world *w, int ms) {
    pause p = {.timer = {.fire = pause_over}};
    (void)mw_timer_start(w->host, &p.timer, (mw_time)ms * MW_MS);
    (void)world_until(w, is_over, &p);
}

static void our_idle(world *w, lag *l) {
    node n;
    ticker t = start_ticker(w, l);
    node_open(w, &n, "idle", world_servers(), 10000);
    begin(&t);
    let_pass(w, IDLE_MS);
    end(&t);
    node_close(&n);
}

static void one_done(void *arg, const mw_result *result) {
    --*(int *)arg;
}

static bool none_left(void *arg) {
    return *(int *)arg <= 0;
}

static void our_ephemerals(world *w, lag *l) {
    static const char value[200];
    node n;
    mw_error err;
    char path[48];
    int left = EPHEMERALS;
    ticker t = start_ticker(w, l);
    node_open(w, &n, "lag", world_servers(), 10000);
    begin(&t);
    for (int i = 0; i < EPHEMERALS; i++) {
        mw_call call = {.timeout = MW_FOREVER, .done = one_done, .arg = &left};
        snprintf(path, sizeof path, "/bench/lag-%d", i);
        (void)mw_create(n.registry, mw_str_of(path), (mw_str){value, sizeof value}, true, &call, NULL, &err);
    }
    (void)world_until(w, none_left, &left);
    end(&t);
    node_close(&n);
}

static void our_view(world *w, lag *l) {
    node n;
    observer o;
    ticker t = start_ticker(w, l);
    node_open(w, &n, "lag", world_servers(), 10000);
    begin(&t);
    observer_start(&n, &o, "lag", "/bench/view", MW_DEPTH_CHILDREN);
    (void)world_until(w, observer_synced, &o);
    end(&t);
    mw_unsubscribe(o.subscription);
    node_close(&n);
}

static void now_closed(void *arg) {
    --*(int *)arg;
}

static void our_frozen(world *w, lag *l) {
    node n;
    int left = 1;
    ticker t = start_ticker(w, l);
    node_open(w, &n, "lag", world_servers(), 10000);
    (void)servers_tell("kill 1 STOP");
    begin(&t);
    let_pass(w, FROZEN_MS);
    mw_unlisten(n.listener);
    mw_registry_close(n.registry, PATIENCE, now_closed, &left);
    (void)world_until(w, none_left, &left);
    end(&t);
    (void)servers_tell("kill 1 CONT");
}

/* ---- In the bare client's poll loop */

static void bare_tick(bare *b, lag *l) {
    double wait = l->due - bench_seconds();
    bare_step(b, wait > 0 ? (int)ceil(wait * 1000) : 0);
    if (bench_seconds() >= l->due)
        tick(l);
}

static void bare_until_done(bare *b, lag *l) {
    while (!bare_done(b))
        bare_tick(b, l);
}

static void bare_pass(bare *b, lag *l, int ms) {
    for (double until = bench_seconds() + ms / 1000.0; bench_seconds() < until;)
        bare_tick(b, l);
}

static void bare_idle(world *w, lag *l) {
    bare b;
    bare_open(&b, world_servers());
    start(l);
    bare_pass(&b, l, IDLE_MS);
    zookeeper_close(b.zh);
}

static void bare_created(int rc, const char *path, const void *data) {
    ((bare *)data)->left--;
}

static void bare_ephemerals(world *w, lag *l) {
    static const char value[200];
    bare b;
    char path[48];
    bare_open(&b, world_servers());
    start(l);
    b.left = EPHEMERALS;
    for (int i = 0; i < EPHEMERALS; i++) {
        snprintf(path, sizeof path, "/bench/lag-%d", i);
        (void)zoo_acreate(b.zh, path, value, sizeof value, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, bare_created, &b);
    }
    bare_until_done(&b, l);
    zookeeper_close(b.zh);
}

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
        (void)zoo_awget(b->zh, path, bare_watched, NULL, bare_value, b);
    }
}

static void bare_view(world *w, lag *l) {
    bare b;
    bare_open(&b, world_servers());
    start(l);
    b.left = 1;
    (void)zoo_awget_children(b.zh, "/bench/view", bare_watched, NULL, bare_names, &b);
    bare_until_done(&b, l);
    zookeeper_close(b.zh);
}

/* zookeeper_close waits for the server's word, up to 3 s: on the loop, where the bare client is used as it comes. */
static void bare_frozen(world *w, lag *l) {
    bare b;
    bare_open(&b, world_servers());
    (void)servers_tell("kill 1 STOP");
    start(l);
    bare_pass(&b, l, FROZEN_MS);
    zookeeper_close(b.zh);
    tick(l);
    (void)servers_tell("kill 1 CONT");
}

/* ---- The rows */

static void compare(world *w, const char *what, void (*our)(world *, lag *), void (*floor)(world *, lag *)) {
    static lag mine, theirs;
    mine = theirs = (lag){0};
    for (int i = 0; i < ROUNDS; i++) {
        our(w, &mine);
        floor(w, &theirs);
    }
    report(what, "", &mine);
    report(what, ", bare", &theirs);
}

void bench_lag(world *w) {
    compare(w, "idle", our_idle, bare_idle);
    compare(w, "5,000 ephemerals", our_ephemerals, bare_ephemerals);
    compare(w, "10,000-member view", our_view, bare_view);
    compare(w, "frozen server, close", our_frozen, bare_frozen);
}
