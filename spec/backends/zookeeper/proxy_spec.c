/* Faults between a client and one server, made by the proxy. Each case ends with the history checker. */
#define SPEC_SHARED
#include "world.h"

#define CREATE2 15
#define MULTI 14
#define WORKS 60
#define LONG 30000 /* ms: a server that is starved, not broken, is not left for its silence */

typedef struct scene {
    world world;
    proxy proxy;
    node near, far; /* through the proxy; directly */
} scene;

static void scene_begin(scene *s, int timeout_ms) {
    char servers[32];
    world_begin(&s->world);
    proxy_start(&s->proxy, world_port(1));
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->proxy.port);
    node_open(&s->world, &s->far, "far", world_servers(), timeout_ms);
    node_open(&s->world, &s->near, "near", servers, timeout_ms);
}

static void removed(void *arg, const mw_result *result) {
    *(bool *)arg = true;
}

static bool is_set(void *arg) {
    return *(bool *)arg;
}

static void wipe(node *n, const char *path) {
    bool done = false;
    mw_error err;
    mw_call call = {.done = removed, .arg = &done};
    CHECK_INT(mw_delete_recursive(n->registry, mw_str_of(path), &call, NULL, &err), MW_OK);
    CHECK(world_until(n->world, is_set, &done));
}

static void scene_end(scene *s) {
    world_find_writes(&s->far);
    node_close(&s->near);
    wipe(&s->far, "/w");
    wipe(&s->far, "/other");
    node_close(&s->far);
    proxy_stop(&s->proxy);
    world_end(&s->world);
}

/* The server does it, the reply is dropped, and the caller is told the truth all the same. */
static void lose_reply(bool txn, bool ephemeral, int op) {
    static scene s;
    work before, lost;
    scene_begin(&s, LONG);
    work_create(&s.near, &before, false); /* the parent exists, and is known */
    CHECK(world_until(&s.world, work_done, &before));
    proxy_tell(&s.proxy, "drop-reply 1 %d", op);
    if (txn)
        work_txn(&s.near, &lost, NULL);
    else
        work_create(&s.near, &lost, ephemeral);
    CHECK(world_until(&s.world, work_done, &lost));
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    CHECK_INT(lost.status, MW_OK);
    CHECK(lost.revision > 0);
    CHECK_INT(node_saw(&s.near, MW_RECONNECTED), 1);
    CHECK_INT(s.near.lost, 0);
    scene_end(&s);
}

static void a_lost_create_is_found(void) {
    lose_reply(false, false, MULTI);
}

static void a_lost_ephemeral_is_found(void) {
    lose_reply(false, true, MULTI);
}

static void a_lost_txn_is_found(void) {
    lose_reply(true, false, MULTI);
}

typedef struct version_seen {
    int status; /* 1 = under way */
    int64_t version, created;
} version_seen;

static void versioned(void *arg, const mw_result *result) {
    version_seen *v = arg;
    v->status = result->status;
    if (result->status == MW_OK && result->written_count) {
        v->version = result->written[0].version;
        v->created = result->written[0].created;
    }
}

static bool is_versioned(void *arg) {
    return ((version_seen *)arg)->status != 1;
}

static void start_put(node *n, version_seen *v, const char *value) {
    mw_error err;
    *v = (version_seen){.status = 1};
    mw_call call = {.done = versioned, .arg = v};
    CHECK_INT(mw_put(n->registry, mw_str_of("/other/contested"), mw_str_of(value), false, &call, NULL, &err), MW_OK);
}

static version_seen put(node *n, const char *value) {
    version_seen v;
    start_put(n, &v, value);
    CHECK(world_until(n->world, is_versioned, &v));
    CHECK_INT(v.status, MW_OK);
    return v;
}

/* Another wrote before we could ask: its version is not ours, or our next guard would let us overwrite it. */
static void a_lost_put_has_its_own_version(void) {
    static scene s;
    version_seen lost;
    scene_begin(&s, 10000);
    version_seen first = put(&s.near, "1");
    proxy_tell(&s.proxy, "refuse"); /* connecting again */
    proxy_tell(&s.proxy, "drop-reply 1 %d", MULTI);
    start_put(&s.near, &lost, "2");
    CHECK(world_until(&s.world, node_is_away, &s.near));
    (void)put(&s.far, "3");
    (void)put(&s.far, "4");
    proxy_tell(&s.proxy, "accept");
    CHECK(world_until(&s.world, is_versioned, &lost));
    CHECK_INT(lost.status, MW_OK);
    CHECK_INT(lost.version, first.version + 1);
    CHECK_INT(lost.created, first.created);
    scene_end(&s);
}

/* It was sent without a guard, and nobody wrote since: what stands there is what it left. */
static void a_lost_set_has_its_own_version(void) {
    static scene s;
    mw_error err;
    scene_begin(&s, LONG);
    version_seen first = put(&s.near, "1"), lost = {.status = 1};
    mw_call call = {.done = versioned, .arg = &lost};
    proxy_tell(&s.proxy, "drop-reply 1 %d", MULTI);
    CHECK_INT(mw_set(s.near.registry, mw_str_of("/other/contested"), mw_str_of("2"), MW_VERSION_ANY, &call, NULL, &err),
              MW_OK);
    CHECK(world_until(&s.world, is_versioned, &lost));
    CHECK_INT(lost.status, MW_OK);
    CHECK_INT(lost.version, first.version + 1);
    CHECK_INT(lost.created, first.created);
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    scene_end(&s);
}

/* A new session's first mark: it is there when it is made again. */
static void a_lost_greeting_is_repeated(void) {
    static scene s;
    node late;
    char servers[32];
    scene_begin(&s, LONG);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s.proxy.port);
    proxy_tell(&s.proxy, "drop-reply 1 %d", CREATE2);
    node_open(&s.world, &late, "late", servers, LONG);
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    CHECK_INT(node_saw(&late, MW_CONNECTED), 1);
    node_close(&late);
    scene_end(&s);
}

static void counted(void *arg, const mw_result *result) {
    *(int *)arg = result->status == MW_OK ? (int)result->entry_count : -1;
}

static bool is_counted(void *arg) {
    return *(int *)arg != -2;
}

static int queue_length(node *n, const char *path) {
    int count = -2;
    mw_error err;
    mw_call call = {.fresh = true, .done = counted, .arg = &count};
    CHECK_INT(mw_inspect(n->registry, MW_READ_QUEUE, mw_str_of(path), &call, NULL, &err), MW_OK);
    CHECK(world_until(n->world, is_counted, &count));
    return count;
}

static void a_lost_lock_is_one_place_in_the_queue(void) {
    static scene s;
    holder first, lost;
    work guarded;
    scene_begin(&s, LONG);
    holder_ask(&s.near, &first, "/lock", false);
    CHECK(world_until(&s.world, holder_has, &first));
    holder_release(&first); /* the lock's node exists, and is known */
    proxy_tell(&s.proxy, "drop-reply 1 %d", CREATE2);
    holder_ask(&s.near, &lost, "/lock", false);
    CHECK(world_until(&s.world, holder_has, &lost));
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    CHECK_INT(queue_length(&s.far, "/lock"), 1);
    CHECK(lost.token > first.token);
    work_txn(&s.near, &guarded, lost.lock);
    CHECK(world_until(&s.world, work_done, &guarded));
    CHECK_INT(guarded.status, MW_OK);
    holder_release(&lost);
    scene_end(&s);
}

static void start_works(node *n, work works[WORKS]) {
    for (int i = 0; i < WORKS; i++)
        if (i % 3 == 2)
            work_txn(n, &works[i], NULL);
        else
            work_create(n, &works[i], i % 3);
}

/* It is refused here: nothing of it reaches the wire, and the connection, which the server would close, stays. */
static void what_no_packet_holds_is_not_sent(void) {
    static scene s;
    static char big[1048576];
    work before, large, largest;
    scene_begin(&s, LONG);
    work_create(&s.near, &before, false);
    CHECK(world_until(&s.world, work_done, &before));
    unsigned long sent = proxy_stat(&s.proxy, "bytes-up");
    work_create_large(&s.near, &large, (mw_str){big, sizeof big});
    CHECK(world_until(&s.world, work_done, &large));
    CHECK_INT(large.status, MW_ETOO_LARGE);
    CHECK(proxy_stat(&s.proxy, "bytes-up") - sent < sizeof big / 2);
    work_create_large(&s.near, &largest, (mw_str){big, sizeof big - 16 * 1024});
    CHECK(world_until(&s.world, work_done, &largest));
    CHECK_INT(largest.status, MW_OK);
    CHECK_INT(node_saw(&s.near, MW_SUSPENDED), 0);
    scene_end(&s);
}

/* Which of many writes in flight got through is found out for each. */
static void a_break_among_many_writes(void) {
    static scene s;
    static work works[WORKS];
    work_set set = {works, WORKS};
    work before;
    scene_begin(&s, LONG);
    work_create(&s.near, &before, false);
    CHECK(world_until(&s.world, work_done, &before));
    proxy_tell(&s.proxy, "drop-reply %d", WORKS / 2);
    start_works(&s.near, works);
    CHECK(world_until(&s.world, works_done, &set));
    for (int i = 0; i < WORKS; i++)
        CHECK_INT(works[i].status, MW_OK);
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    scene_end(&s);
}

static void delays_change_nothing(void) {
    static scene s;
    static work works[WORKS];
    work_set set = {works, WORKS};
    observer near;
    scene_begin(&s, LONG);
    proxy_tell(&s.proxy, "delay 5 40");
    observer_start(&s.near, &near, "near", "/w", MW_DEPTH_CHILDREN);
    start_works(&s.far, works);
    CHECK(world_until(&s.world, works_done, &set));
    for (int i = 0; i < WORKS; i++)
        CHECK_INT(works[i].status, MW_OK);
    near.expected = world_final(&s.far, "/w");
    CHECK(world_until(&s.world, observer_caught_up, &near));
    mw_unsubscribe(near.subscription);
    scene_end(&s);
}

typedef struct resets {
    scene *scene;
    int wanted;
} resets;

static bool enough_resets(void *arg) {
    const resets *r = arg;
    return node_saw(&r->scene->near, MW_RECONNECTED) >= r->wanted;
}

/* Reconnecting is bounded: each reset costs few attempts (and they come later and later: session_spec). */
static void resets_every_100_ms(void) {
    static scene s;
    static work works[WORKS];
    work_set set = {works, WORKS};
    observer near;
    scene_begin(&s, LONG);
    observer_start(&s.near, &near, "near", "/w", MW_DEPTH_CHILDREN);
    proxy_tell(&s.proxy, "reset-every 100");
    start_works(&s.near, works);
    resets r = {&s, 5};
    CHECK(world_until(&s.world, enough_resets, &r));
    CHECK(world_until(&s.world, works_done, &set));
    CHECK(proxy_stat(&s.proxy, "accepted") <= 4 + 2 * proxy_stat(&s.proxy, "resets"));
    CHECK_INT(s.near.lost, 0);
    proxy_tell(&s.proxy, "reset-every 0");
    CHECK(world_until(&s.world, node_is_connected, &s.near));
    work last;
    work_create(&s.far, &last, false);
    CHECK(world_until(&s.world, work_done, &last));
    near.expected = world_final(&s.far, "/w");
    CHECK(world_until(&s.world, observer_caught_up, &near));
    mw_unsubscribe(near.subscription);
    scene_end(&s);
}

typedef struct renewal {
    node *node;
    mw_time deadline; /* before it */
} renewal;

static bool is_renewed(void *arg) {
    const renewal *r = arg;
    return mw_registry_deadline(r->node->registry) > r->deadline;
}

/* It is left within a third of the session's timeout, even when it goes silent just after an answer, which is the
 * worst: the next probe is a period away. The client library alone would stay for two thirds. The proxy judges: from
 * the last byte that it brought until the connection was closed. */
static void leaves_a_silent_server(const char *fault) {
    enum { TIMEOUT = 15000 };
    static scene s;
    work one;
    scene_begin(&s, TIMEOUT);
    work_create(&s.near, &one, true);
    CHECK(world_until(&s.world, work_done, &one));
    renewal next = {&s.near, mw_registry_deadline(s.near.registry)};
    CHECK(world_until(&s.world, is_renewed, &next));
    proxy_tell(&s.proxy, "%s", fault);
    CHECK(world_until(&s.world, node_is_away, &s.near));
    proxy_tell(&s.proxy, "thaw");
    CHECK(world_until(&s.world, node_is_connected, &s.near));
    unsigned long silence = proxy_number(&s.proxy, "silence");
    CHECK(silence > 0);
    CHECK_INT(silence <= TIMEOUT / 3 ? 0 : silence, 0);
    CHECK_INT(s.near.lost, 0);
    scene_end(&s);
}

static void leaves_a_half_open_connection(void) {
    leaves_a_silent_server("half-open");
}

static void leaves_a_frozen_server(void) {
    leaves_a_silent_server("freeze");
}

typedef struct version_told {
    int status; /* 1 = under way */
    char text[32];
} version_told;

static void version_heard(void *arg, const mw_result *result) {
    version_told *v = arg;
    v->status = result->status;
    if (result->entry_count == 1)
        (void)snprintf(v->text, sizeof v->text, "%.*s", MW_STR_FMT(result->entries[0].value));
}

static bool is_told(void *arg) {
    return ((version_told *)arg)->status != 1;
}

static version_told ask_version(node *n, mw_time timeout) {
    version_told v = {.status = 1};
    mw_error err;
    mw_call call = {.timeout = timeout, .done = version_heard, .arg = &v};
    CHECK_INT(mw_inspect(n->registry, MW_READ_VERSION, mw_str_of("/"), &call, NULL, &err), MW_OK);
    CHECK(world_until(n->world, is_told, &v));
    return v;
}

static void who_does_not_tell_its_version_costs_a_deadline(void) {
    static scene s;
    scene_begin(&s, LONG);
    version_told v = ask_version(&s.near, 0);
    CHECK_INT(v.status, MW_OK);
    CHECK(strncmp(v.text, "3.", 2) == 0 && strspn(v.text, "0123456789.") == strlen(v.text));
    proxy_tell(&s.proxy, "refuse");
    CHECK_INT(ask_version(&s.near, 0).status, MW_EIO);
    proxy_tell(&s.proxy, "accept");
    proxy_tell(&s.proxy, "freeze");
    CHECK_INT(ask_version(&s.near, 100 * MW_MS).status, MW_ETIMEOUT);
    proxy_tell(&s.proxy, "thaw");
    CHECK_INT(ask_version(&s.near, 0).status, MW_OK);
    CHECK_INT(node_saw(&s.near, MW_SUSPENDED), 0);
    scene_end(&s);
}

static const spec_case cases[] = {
    {"a create whose reply is lost is found", a_lost_create_is_found},
    {"an ephemeral whose reply is lost is found", a_lost_ephemeral_is_found},
    {"a txn whose reply is lost is found", a_lost_txn_is_found},
    {"a put whose reply is lost has its own version", a_lost_put_has_its_own_version},
    {"a lock whose reply is lost is one place in the queue", a_lost_lock_is_one_place_in_the_queue},
    {"a set whose reply is lost has its own version", a_lost_set_has_its_own_version},
    {"a greeting whose reply is lost is repeated", a_lost_greeting_is_repeated},
    {"what no packet holds is not sent", what_no_packet_holds_is_not_sent},
    {"a break among many writes", a_break_among_many_writes},
    {"delays change nothing", delays_change_nothing},
    {"resets every 100 ms", resets_every_100_ms},
    {"who does not tell its version costs a deadline", who_does_not_tell_its_version_costs_a_deadline},
    {"leaves a half-open connection", leaves_a_half_open_connection},
    {"leaves a frozen server", leaves_a_frozen_server},
};
SPEC_MAIN(cases)
