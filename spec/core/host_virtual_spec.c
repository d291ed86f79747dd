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
    mw_time again = self->again;
    mark(self);
    self->again = 0;
    if (again)
        CHECK_INT(mw_timer_start(self->host, timer, again), MW_OK);
}

static void on_defer(mw_defer *defer) {
    mark(mw_container(defer, probe, defer));
}

static probe make(mw_host *host, tape *t, char letter) {
    return (probe){.timer.fire = on_timer, .defer.run = on_defer, .host = host, .tape = t, .letter = letter};
}

static mw_world *world_of(mw_host **hosts, size_t count) {
    mw_world *world = NULL;
    CHECK_INT(mw_world_new(7, &world, NULL), MW_OK);
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
    mw_world *world = world_of(&host, 1);
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    mw_time start = mw_world_now(world);
    int64_t wall = mw_host_wall(host);
    CHECK_INT(mw_timer_start(host, &b.timer, 3600 * MW_SECOND), MW_OK);
    CHECK_INT(mw_timer_start(host, &a.timer, 1), MW_OK);
    run_out(world);
    CHECK_TEXT(t.text, "ab");
    CHECK_INT(a.at - start, 1);
    CHECK_INT(b.at - start, 3600 * MW_SECOND);
    CHECK_INT(mw_host_wall(host) - wall, 3600 * 1000);
    mw_world_free(world);
}

static void runs_defers_before_time_moves(void) {
    mw_host *hosts[2];
    tape t = {0};
    mw_world *world = world_of(hosts, 2);
    probe a = make(hosts[1], &t, 'a'), b = make(hosts[0], &t, 'b'), c = make(hosts[1], &t, 'c'),
          d = make(hosts[0], &t, 'd');
    a.next = &d;
    CHECK_INT(mw_timer_start(hosts[0], &c.timer, 0), MW_OK);
    mw_defer_run(hosts[1], &a.defer);
    mw_defer_run(hosts[0], &b.defer);
    run_out(world);
    CHECK_TEXT(t.text, "abdc");
    mw_world_free(world);
}

static const spec_case cases[] = {
    {"jumps to the next timer", jumps_to_the_next_timer},
    {"runs defers of all hosts in order, before time moves", runs_defers_before_time_moves},
};
SPEC_MAIN(cases)
