/* Creates that travel together: counted, refused, cancelled, and broken by the proxy. What is promised to a create
 * alone holds for each of them. */
#define SPEC_SHARED
#include "world.h"

#define MULTI 14
#define MOST 500 /* of one batch: backends/zookeeper/batch.c */

typedef struct scene {
    world world;
    proxy proxy;
    node near, far; /* through the proxy; directly */
} scene;

/* One call, and what became of it. */
typedef struct one {
    mw_call call;
    mw_op *op;
    char path[64];
    int status, times;
    mw_written written;
} one;

typedef struct many {
    one *all;
    size_t count;
} many;

static void ended(void *arg, const mw_result *result) {
    one *o = arg;
    o->times++;
    o->status = result->status;
    if (result->status == MW_OK && result->written_count > 0)
        o->written = result->written[0];
}

static void begin(one *o, const char *path) {
    *o = (one){.call = {.done = ended, .arg = o}};
    snprintf(o->path, sizeof o->path, "%s", path);
}

static void create(node *n, one *o, mw_str value, bool ephemeral, const char *path) {
    mw_error err;
    begin(o, path);
    CHECK_INT(mw_create(n->registry, mw_str_of(o->path), value, ephemeral, &o->call, &o->op, &err), MW_OK);
}

/* /b/NAME-i for each i in [from, to) */
static void create_each(node *n, one *all, size_t from, size_t to, bool ephemeral) {
    static const char value[200];
    char path[64];
    for (size_t i = from; i < to; i++) {
        snprintf(path, sizeof path, "/b/%s-%zu", n->name, i);
        create(n, &all[i], (mw_str){value, sizeof value}, ephemeral, path);
    }
}

static void erase(node *n, one *o, const char *path) {
    mw_error err;
    begin(o, path);
    CHECK_INT(mw_delete(n->registry, mw_str_of(o->path), MW_VERSION_ANY, &o->call, &o->op, &err), MW_OK);
}

static void read_one(node *n, one *o, const char *path) {
    mw_error err;
    begin(o, path);
    CHECK_INT(mw_get(n->registry, mw_str_of(o->path), &o->call, &o->op, &err), MW_OK);
}

static bool all_ended(void *arg) {
    const many *m = arg;
    for (size_t i = 0; i < m->count; i++)
        if (m->all[i].times == 0)
            return false;
    return true;
}

static void await(node *n, one *all, size_t count) {
    many m = {all, count};
    CHECK(world_until(n->world, all_ended, &m));
}

static void expect(const one *all, size_t count, int status) {
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(all[i].status, status);
        CHECK_INT(all[i].times, 1);
    }
}

static int read_now(node *n, const char *path) {
    one look;
    read_one(n, &look, path);
    await(n, &look, 1);
    return look.status;
}

static int transactions(node *n) {
    mw_backend_stats stats;
    mw_registry_stats(n->registry, &stats);
    return (int)stats.write_transactions;
}

typedef struct departure {
    node *node;
    int before; /* transactions */
} departure;

static bool is_sent(void *arg) {
    const departure *d = arg;
    return transactions(d->node) > d->before;
}

static void let_it_leave(node *n, int before) {
    departure d = {n, before};
    CHECK(world_until(n->world, is_sent, &d));
}

/* /b and /w exist, and `near` knows them; /b/taken belongs to `far`. */
static void scene_begin(scene *s) {
    char servers[32];
    one first;
    work other;
    world_begin(&s->world);
    proxy_start(&s->proxy, world_port(1));
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->proxy.port);
    node_open(&s->world, &s->far, "far", world_servers(), 6000);
    node_open(&s->world, &s->near, "near", servers, 6000);
    create(&s->far, &first, mw_str_of(""), true, "/b/taken");
    await(&s->far, &first, 1);
    create(&s->near, &first, mw_str_of(""), true, "/b/first");
    await(&s->near, &first, 1);
    work_create(&s->near, &other, false);
    CHECK(world_until(&s->world, work_done, &other));
}

static void wipe(node *n, const char *path) {
    one last;
    mw_error err;
    begin(&last, path);
    CHECK_INT(mw_delete_recursive(n->registry, mw_str_of(last.path), &last.call, NULL, &err), MW_OK);
    await(n, &last, 1);
}

static void scene_finish(scene *s, bool near_is_open) {
    world_find_writes(&s->far);
    if (near_is_open)
        node_close(&s->near);
    wipe(&s->far, "/b");
    wipe(&s->far, "/w");
    node_close(&s->far);
    proxy_stop(&s->proxy);
    world_end(&s->world);
}

static void scene_end(scene *s) {
    scene_finish(s, true);
}

static void creates_of_one_turn_are_one_transaction(void) {
    static scene s;
    static one all[100];
    scene_begin(&s);
    int before = transactions(&s.near);
    create_each(&s.near, all, 0, 100, true);
    CHECK_INT(all[0].times, 0);
    await(&s.near, all, 100);
    expect(all, 100, MW_OK);
    CHECK_INT(transactions(&s.near) - before, 1);
    for (int i = 0; i < 100; i++) {
        CHECK(all[i].written.owner == mw_registry_session(s.near.registry));
        CHECK_INT(all[i].written.version, 0);
        CHECK(all[i].written.revision > 0 && all[i].written.created == all[i].written.revision);
    }
    CHECK_INT(read_now(&s.far, "/b/near-99"), MW_OK);
    scene_end(&s);
}

static void more_than_one_batch_holds_go_in_several(void) {
    static scene s;
    static one all[3 * MOST];
    scene_begin(&s);
    int before = transactions(&s.near);
    create_each(&s.near, all, 0, 3 * MOST, true);
    await(&s.near, all, 3 * MOST);
    expect(all, 3 * MOST, MW_OK);
    CHECK_INT(transactions(&s.near) - before, 3);
    scene_end(&s);
}

static void one_that_exists_harms_no_other(void) {
    static scene s;
    static one all[13];
    scene_begin(&s);
    create_each(&s.near, all, 0, 10, true);
    create(&s.near, &all[10], mw_str_of(""), true, "/b/taken");
    create(&s.near, &all[11], mw_str_of(""), true, "/b/near-3"); /* again */
    create(&s.near, &all[12], mw_str_of(""), false, "/b/near-5/below-an-ephemeral");
    await(&s.near, all, 13);
    expect(all, 10, MW_OK);
    expect(&all[10], 2, MW_EEXISTS);
    CHECK(all[12].status != MW_OK && all[12].status != MW_EUNKNOWN && all[12].times == 1);
    CHECK_INT(read_now(&s.far, "/b/near-9"), MW_OK);
    scene_end(&s);
}

/* The batch is refused, its creates go again; what came after them comes after them still. */
static void what_comes_later_overtakes_nothing(void) {
    static scene s;
    static one all[MOST + 60], taken, gone, look;
    scene_begin(&s);
    create(&s.near, &taken, mw_str_of(""), true, "/b/taken");
    create_each(&s.near, all, 0, MOST + 50, true);
    erase(&s.near, &gone, "/b/near-0");
    read_one(&s.near, &look, "/b/near-0");
    await(&s.near, all, MOST + 50);
    await(&s.near, &look, 1);
    expect(all, MOST + 50, MW_OK);
    CHECK_INT(taken.status, MW_EEXISTS);
    CHECK_INT(gone.status, MW_OK);
    CHECK_INT(look.status, MW_ENOT_FOUND);
    for (int i = 1; i < MOST + 50; i++)
        CHECK(all[i].written.revision >= all[i - 1].written.revision);
    scene_end(&s);
}

static void missing_parents_and_children_travel_too(void) {
    static scene s;
    static one all[3];
    scene_begin(&s);
    create(&s.near, &all[0], mw_str_of(""), false, "/b/a/b/c");
    create(&s.near, &all[1], mw_str_of(""), false, "/b/a/b/c/d");
    create(&s.near, &all[2], mw_str_of(""), true, "/b/a/b/e");
    await(&s.near, all, 3);
    expect(all, 3, MW_OK);
    CHECK_INT(read_now(&s.far, "/b/a/b/c/d"), MW_OK);
    scene_end(&s);
}

/* The limit of a packet is that of each value alone: together they are parted, before anything is sent. */
static void values_that_no_packet_holds_together(void) {
    static scene s;
    static one all[62];
    static char value[1048576];
    char path[32];
    scene_begin(&s);
    int before = transactions(&s.near);
    for (int i = 0; i < 62; i++) {
        snprintf(path, sizeof path, "/b/big-%d", i);
        create(&s.near, &all[i], (mw_str){value, i % 31 == 0 ? 1000000 : 30000}, false, path);
    }
    await(&s.near, all, 62);
    expect(all, 62, MW_OK);
    CHECK_INT(transactions(&s.near) - before, 2 + 2 * 8); /* four of thirty in each */
    CHECK_INT(node_saw(&s.near, MW_SUSPENDED), 0);        /* no server threw us out */
    scene_end(&s);
}

static void one_taken_back_harms_no_other(void) {
    static scene s;
    static one all[20];
    scene_begin(&s);
    create_each(&s.near, all, 0, 10, true);
    mw_op_cancel(all[4].op); /* before the end of the turn: it is not sent */
    await(&s.near, all, 10);
    CHECK_INT(all[4].status, MW_ECANCELLED);
    expect(all, 4, MW_OK);
    expect(all + 5, 5, MW_OK);
    CHECK_INT(read_now(&s.far, "/b/near-4"), MW_ENOT_FOUND);
    int before = transactions(&s.near);
    proxy_tell(&s.proxy, "freeze");
    create_each(&s.near, all, 10, 20, true);
    let_it_leave(&s.near, before);
    mw_op_cancel(all[14].op); /* it is on the way */
    proxy_tell(&s.proxy, "thaw");
    await(&s.near, all + 10, 10);
    CHECK_INT(all[14].status, MW_EUNKNOWN);
    expect(all + 10, 4, MW_OK);
    expect(all + 15, 5, MW_OK);
    scene_end(&s);
}

/* ---- Broken connections */

#define WORKS 80

static void start_works(scene *s, work works[WORKS]) {
    for (int i = 0; i < WORKS; i++)
        work_create(&s->near, &works[i], i % 2);
}

static void await_works(scene *s, work works[WORKS]) {
    work_set set = {works, WORKS};
    CHECK(world_until(&s->world, works_done, &set));
    for (int i = 0; i < WORKS; i++)
        CHECK_INT(works[i].status, MW_OK);
    CHECK_INT(node_saw(&s->near, MW_RECONNECTED), 1);
    CHECK_INT(s->near.lost, 0);
}

/* The server has done it: so says the mark, and all have the same revision. */
static void a_lost_reply_is_found_for_all(void) {
    static scene s;
    static work works[WORKS];
    scene_begin(&s);
    int before = transactions(&s.near);
    proxy_tell(&s.proxy, "drop-reply 1 %d", MULTI);
    start_works(&s, works);
    await_works(&s, works);
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    CHECK_INT(transactions(&s.near) - before, 1);
    for (int i = 1; i < WORKS; i++)
        CHECK_INT(works[i].revision, works[0].revision);
    scene_end(&s);
}

/* The server has refused it, and that is not heard: the mark says that it was not done, and all go again. */
static void a_lost_refusal_is_found_for_all(void) {
    static scene s;
    static work works[WORKS];
    one taken;
    scene_begin(&s);
    proxy_tell(&s.proxy, "drop-reply 1 %d", MULTI);
    create(&s.near, &taken, mw_str_of(""), true, "/b/taken");
    start_works(&s, works);
    await_works(&s, works);
    CHECK_INT(proxy_stat(&s.proxy, "dropped"), 1);
    CHECK_INT(taken.status, MW_EEXISTS);
    scene_end(&s);
}

/* It never came to the server: it goes again on the next connection. */
static void a_lost_request_goes_again(void) {
    static scene s;
    static work works[WORKS];
    scene_begin(&s);
    int before = transactions(&s.near);
    proxy_tell(&s.proxy, "freeze");
    start_works(&s, works);
    let_it_leave(&s.near, before);
    proxy_tell(&s.proxy, "reset");
    proxy_tell(&s.proxy, "thaw");
    await_works(&s, works);
    CHECK_INT(transactions(&s.near) - before, 2);
    scene_end(&s);
}

static void closed(void *arg) {
    ++*(int *)arg;
}

static bool is_closed(void *arg) {
    return *(int *)arg > 0;
}

/* Closed while it is under way and what follows waits behind it: each is told once, and what was not sent is not done.
 */
static void closing_ends_each_once(void) {
    static scene s;
    static one all[MOST + 50];
    int over = 0;
    scene_begin(&s);
    int before = transactions(&s.near);
    proxy_tell(&s.proxy, "freeze");
    create_each(&s.near, all, 0, MOST + 50, false);
    let_it_leave(&s.near, before);
    mw_unlisten(s.near.listener);
    mw_registry_close(s.near.registry, 100 * MW_MS, closed, &over);
    CHECK(world_until(&s.world, is_closed, &over));
    expect(all, MOST, MW_EUNKNOWN);
    expect(all + MOST, 50, MW_ECLOSED);
    proxy_tell(&s.proxy, "reset");
    CHECK_INT(read_now(&s.far, all[MOST].path), MW_ENOT_FOUND);
    scene_finish(&s, false);
}

static const spec_case cases[] = {
    {"creates of one turn are one transaction", creates_of_one_turn_are_one_transaction},
    {"more than one batch holds go in several", more_than_one_batch_holds_go_in_several},
    {"one that exists harms no other", one_that_exists_harms_no_other},
    {"what comes later overtakes nothing", what_comes_later_overtakes_nothing},
    {"missing parents and children travel, too", missing_parents_and_children_travel_too},
    {"values that no packet holds together", values_that_no_packet_holds_together},
    {"one taken back harms no other", one_taken_back_harms_no_other},
    {"a lost reply is found for all", a_lost_reply_is_found_for_all},
    {"a lost refusal is found for all", a_lost_refusal_is_found_for_all},
    {"a lost request goes again", a_lost_request_goes_again},
    {"closing ends each once", closing_ends_each_once},
};
SPEC_MAIN(cases)
