/* The virtual world: order, time that jumps, processes that stop and die, and a run that repeats from its seed. */
#include <moonwatch/host_virtual.h>

#include "support/check.h"

/* What ran, in order: one letter each. */
typedef struct tape {
    char text[64];
    size_t len;
} tape;

typedef struct probe {
    mw_timer timer;
    mw_defer defer;
    mw_host *host;
    tape *tape;
    char letter;
    mw_time at;         /* when it ran last */
    mw_time again;      /* start the timer again with this delay, once */
    struct probe *next; /* queue its defer */
} probe;

static void mark(probe *self) {
    self->at = mw_host_now(self->host);
    self->tape->text[self->tape->len++] = self->letter;
    if (self->next)
        mw_defer_run(self->next->host, &self->next->defer);
}

static void on_timer(mw_timer *timer) {
    probe *self = mw_container(timer, probe, timer);
    CHECK(!mw_timer_armed(timer));
    mark(self);
    if (self->again)
        CHECK_INT(mw_timer_start(self->host, timer, self->again), MW_OK);
    self->again = 0;
}

static void on_defer(mw_defer *defer) {
    mark(mw_container(defer, probe, defer));
}

static probe make(mw_host *host, tape *t, char letter) {
    return (probe){.timer.fire = on_timer, .defer.run = on_defer, .host = host, .tape = t, .letter = letter};
}

static void start(probe *self, mw_time delay) {
    CHECK_INT(mw_timer_start(self->host, &self->timer, delay), MW_OK);
}

static void queue(probe *self) {
    mw_defer_run(self->host, &self->defer);
}

static mw_world *world_of(uint64_t seed, mw_host **hosts, size_t count) {
    mw_world *world = NULL;
    CHECK_INT(mw_world_new(seed, &world, NULL), MW_OK);
    for (size_t i = 0; i < count; i++)
        CHECK_INT(mw_world_host(world, NULL, NULL, &hosts[i], NULL), MW_OK);
    return world;
}

static void run_out(mw_world *world) {
    while (mw_world_step(world))
        continue;
}

static void jumps_to_the_next_timer(void) {
    mw_host *host;
    tape t = {0};
    mw_world *world = world_of(7, &host, 1);
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    mw_time began = mw_world_now(world);
    int64_t wall = mw_host_wall(host);
    start(&b, 3600 * MW_SECOND);
    start(&a, 1);
    run_out(world);
    CHECK_TEXT(t.text, "ab");
    CHECK_INT(a.at - began, 1);
    CHECK_INT(b.at - began, 3600 * MW_SECOND);
    CHECK_INT(mw_host_wall(host) - wall, 3600 * 1000);
    mw_world_free(world);
}

static void runs_defers_of_all_hosts_in_order(void) {
    mw_host *h[2];
    tape t = {0};
    mw_world *world = world_of(7, h, 2);
    probe a = make(h[1], &t, 'a'), b = make(h[0], &t, 'b'), c = make(h[1], &t, 'c'), d = make(h[0], &t, 'd');
    a.next = &d;
    start(&c, 0);
    queue(&a);
    queue(&b);
    queue(&a); /* queued already: keeps its place */
    run_out(world);
    CHECK_TEXT(t.text, "abdc");
    mw_world_free(world);
}

static void fires_ties_in_the_order_they_were_started(void) {
    mw_host *h[2];
    tape t = {0};
    mw_world *world = world_of(7, h, 2);
    probe a = make(h[0], &t, 'a'), b = make(h[1], &t, 'b'), c = make(h[0], &t, 'c');
    start(&c, 5);
    start(&b, 5);
    start(&a, 5);
    start(&c, 5); /* moved: last now */
    run_out(world);
    CHECK_TEXT(t.text, "bac");
    mw_world_free(world);
}

static void takes_back_what_is_cancelled(void) {
    mw_host *host;
    tape t = {0};
    mw_world *world = world_of(7, &host, 1);
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    start(&a, 5);
    queue(&a);
    queue(&b);
    mw_host_hold(host);
    CHECK_INT(mw_virtual_pending(host), 4);
    mw_timer_stop(host, &a.timer);
    mw_timer_stop(host, &a.timer);
    mw_defer_cancel(host, &a.defer);
    mw_defer_cancel(host, &a.defer);
    mw_host_release(host);
    CHECK_INT(mw_virtual_pending(host), 1);
    run_out(world);
    CHECK_TEXT(t.text, "b");
    CHECK_INT(mw_virtual_pending(host), 0);
    mw_world_free(world);
}

static void never_fires_a_timer_that_is_for_ever(void) {
    mw_host *host;
    tape t = {0};
    mw_world *world = world_of(7, &host, 1);
    probe a = make(host, &t, 'a');
    start(&a, MW_FOREVER);
    CHECK(!mw_world_step(world));
    CHECK(mw_timer_armed(&a.timer));
    mw_world_free(world);
}

static void advances_to_the_end_of_the_span(void) {
    mw_host *host;
    tape t = {0};
    mw_world *world = world_of(7, &host, 1);
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    mw_time began = mw_world_now(world);
    start(&a, 10);
    start(&b, 11);
    a.again = 1; /* due at the 11th as well, after b */
    mw_world_advance(world, 10);
    CHECK_TEXT(t.text, "a");
    CHECK_INT(mw_world_now(world) - began, 10);
    mw_world_advance(world, 90);
    CHECK_TEXT(t.text, "aba");
    CHECK_INT(mw_world_now(world) - began, 100);
    mw_world_free(world);
}

static void a_stopped_process_catches_up_in_order(void) {
    mw_host *h[2];
    tape t = {0};
    mw_world *world = world_of(7, h, 2);
    probe a = make(h[0], &t, 'a'), b = make(h[0], &t, 'b'), c = make(h[0], &t, 'c'), o = make(h[1], &t, 'o');
    start(&b, 20);
    start(&a, 10);
    start(&o, 50);
    queue(&c);
    mw_virtual_pause(h[0]);
    run_out(world);
    CHECK_TEXT(t.text, "o");
    mw_time now = mw_host_now(h[0]);
    CHECK_INT(now, mw_world_now(world)); /* its clock went on */
    mw_virtual_resume(h[0]);
    run_out(world);
    CHECK_TEXT(t.text, "ocab");
    CHECK_INT(a.at, now);
    CHECK_INT(mw_world_now(world), now);
    mw_world_free(world);
}

static void nothing_of_a_killed_process_runs(void) {
    mw_host *h[2];
    tape t = {0};
    mw_world *world = world_of(7, h, 2);
    probe a = make(h[0], &t, 'a'), b = make(h[0], &t, 'b'), o = make(h[1], &t, 'o');
    start(&a, 1);
    queue(&b);
    start(&o, 2);
    mw_host_hold(h[0]);
    mw_virtual_kill(h[0]);
    CHECK_INT(mw_virtual_pending(h[0]), 0);
    CHECK(!mw_timer_armed(&a.timer) && !b.defer.queued);
    start(&a, 1); /* somebody still has its objects */
    queue(&b);
    mw_host_release(h[0]);
    CHECK_INT(mw_virtual_pending(h[0]), 0);
    mw_virtual_resume(h[0]);
    run_out(world);
    CHECK_TEXT(t.text, "o");
    mw_timer_stop(h[0], &a.timer);
    mw_defer_cancel(h[0], &b.defer);
    mw_world_free(world);
}

static void kill_self(mw_defer *defer) {
    probe *self = mw_container(defer, probe, defer);
    mw_virtual_kill(self->host);
    mark(self);
}

static void a_process_may_end_itself(void) {
    mw_host *host;
    tape t = {0};
    mw_world *world = world_of(7, &host, 1);
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    a.defer.run = kill_self;
    queue(&a);
    queue(&b);
    run_out(world);
    CHECK_TEXT(t.text, "a");
    mw_world_free(world);
}

typedef struct nested {
    mw_defer defer;
    mw_world *world;
} nested;

static void run_the_rest(mw_defer *defer) {
    run_out(mw_container(defer, nested, defer)->world);
}

/* A script that waits outside any task runs the loop from inside a callback. */
static void a_callback_may_run_the_world(void) {
    mw_host *host;
    tape t = {0};
    mw_world *world = world_of(7, &host, 1);
    nested outer = {.defer.run = run_the_rest, .world = world};
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    mw_defer_run(host, &outer.defer);
    queue(&a);
    start(&b, 5);
    CHECK(mw_world_step(world));
    CHECK_TEXT(t.text, "ab");
    CHECK(!mw_world_step(world));
    mw_world_free(world);
}

static void repeats_from_its_seed(void) {
    unsigned char first[2][37], second[37], other[37];
    mw_host *h[2];
    for (int run = 0; run < 2; run++) {
        mw_world *world = world_of(42, h, 2);
        mw_host_random(h[0], first[run], sizeof first[run]);
        mw_host_random(h[1], second, sizeof second);
        mw_world_free(world);
    }
    mw_world *world = world_of(43, h, 1);
    mw_host_random(h[0], other, sizeof other);
    mw_world_free(world);
    CHECK(memcmp(first[0], first[1], sizeof second) == 0);
    CHECK(memcmp(first[0], second, sizeof second) != 0);
    CHECK(memcmp(first[0], other, sizeof other) != 0);
}

/* Neighbouring seeds and hosts must not share a stream, shifted or not. */
static void no_two_streams_overlap(void) {
    enum { WORLDS = 16, HOSTS = 4, WORDS = 8, ALL = WORLDS * HOSTS * WORDS };
    static uint64_t words[ALL];
    size_t count = 0;
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        mw_host *h[HOSTS];
        mw_world *world = world_of(seed, h, HOSTS);
        for (size_t i = 0; i < HOSTS; i++, count += WORDS)
            mw_host_random(h[i], &words[count], WORDS * sizeof *words);
        mw_world_free(world);
    }
    for (size_t i = 0; i < ALL; i++)
        for (size_t j = i + 1; j < ALL; j++)
            CHECK(words[i] != words[j]);
}

static void has_no_descriptors(void) {
    mw_host *host;
    mw_world *world = world_of(7, &host, 1);
    mw_poll poll = {0};
    CHECK_INT(mw_poll_start(host, &poll, 0, MW_READABLE), MW_EUNSUPPORTED);
    mw_poll_stop(host, &poll);
    mw_world_free(world);
}

static void keep_line(void *arg, mw_log_level level, const char *component, const char *line) {
    (void)snprintf(arg, 2048, "%d %s %s", (int)level, component, line);
}

static void logs_to_its_sink(void) {
    static char line[2048], longest[1200];
    mw_world *world = NULL;
    mw_host *host = NULL;
    CHECK_INT(mw_world_new(1, &world, NULL), MW_OK);
    CHECK_INT(mw_world_host(world, keep_line, line, &host, NULL), MW_OK);
    mw_log(host, MW_LOG_WARN, "spec", "%d of %s", 3, "four");
    CHECK_TEXT(line, "2 spec 3 of four");
    memset(longest, 'x', sizeof longest - 1);
    mw_log(host, MW_LOG_INFO, "spec", "%s", longest);
    CHECK_INT(strlen(line), strlen("1 spec ") + 1023);
    mw_world_free(world);
}

static const spec_case cases[] = {
    {"jumps to the next timer", jumps_to_the_next_timer},
    {"runs defers of all hosts in order, before time moves", runs_defers_of_all_hosts_in_order},
    {"fires ties in the order they were started", fires_ties_in_the_order_they_were_started},
    {"takes back what is cancelled", takes_back_what_is_cancelled},
    {"never fires a timer that is for ever", never_fires_a_timer_that_is_for_ever},
    {"advances to the end of the span", advances_to_the_end_of_the_span},
    {"a stopped process catches up in order", a_stopped_process_catches_up_in_order},
    {"nothing of a killed process runs", nothing_of_a_killed_process_runs},
    {"a process may end itself", a_process_may_end_itself},
    {"a callback may run the world", a_callback_may_run_the_world},
    {"repeats from its seed", repeats_from_its_seed},
    {"no two streams overlap", no_two_streams_overlap},
    {"has no descriptors", has_no_descriptors},
    {"logs to its sink", logs_to_its_sink},
};
SPEC_MAIN(cases)
