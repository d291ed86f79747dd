/* The virtual world. All order comes from one counter and all randomness from the seed, so a run repeats exactly. */
#include <moonwatch/host_virtual.h>

#include "defers.h"
#include "timers.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* The clock starts here: late enough that 0 can mean "never", early enough to show code that subtracts from now. */
#define DAWN MW_SECOND
#define EPOCH_MS INT64_C(1767225600000) /* 2026-01-01 00:00 UTC */

typedef struct virtual_host virtual_host;

struct mw_world {
    uint64_t seed;
    mw_time now;
    uint64_t order;
    pthread_t thread;
    virtual_host **hosts;
    size_t count, capacity;
};

struct virtual_host {
    mw_host host;
    mw_world *world;
    uint64_t rng;
    mw__timers timers;
    mw__defers defers;
    size_t deferred, holds;
    bool paused, killed;
    mw_log_sink sink;
    void *sink_arg;
};

static virtual_host *of(mw_host *host) {
    return (virtual_host *)(void *)host;
}

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static mw_time virtual_now(mw_host *host) {
    return of(host)->world->now;
}

static int64_t virtual_wall(mw_host *host) {
    return EPOCH_MS + (int64_t)(of(host)->world->now / MW_MS);
}

static void virtual_random(mw_host *host, void *bytes, size_t len) {
    unsigned char *out = bytes;
    while (len > 0) {
        uint64_t word = next_random(&of(host)->rng);
        for (int i = 0; i < 8 && len > 0; i++, len--, word >>= 8)
            *out++ = (unsigned char)word;
    }
}

/* A killed host takes nothing on: what was its process is gone, though a spec may still hold its objects. */
static int virtual_timer_start(mw_host *host, mw_timer *timer, mw_time delay) {
    virtual_host *self = of(host);
    if (self->killed)
        return MW_OK;
    return mw__timers_start(&self->timers, timer, mw__timers_due(self->world->now, delay), self->world->order++);
}

static void virtual_timer_stop(mw_host *host, mw_timer *timer) {
    mw__timers_stop(&of(host)->timers, timer);
}

static int virtual_poll_start(mw_host *host, mw_poll *poll, int fd, unsigned events) {
    return MW_EUNSUPPORTED;
}

static void virtual_poll_stop(mw_host *host, mw_poll *poll) {}

static void virtual_defer(mw_host *host, mw_defer *defer) {
    virtual_host *self = of(host);
    if (self->killed || defer->queued)
        return;
    mw__defers_push(&self->defers, defer, self->world->order++);
    self->deferred++;
}

static void virtual_defer_cancel(mw_host *host, mw_defer *defer) {
    if (!defer->queued)
        return;
    mw__defers_remove(defer);
    of(host)->deferred--;
}

static void virtual_post(mw_host *host, mw_defer *defer) {
    assert(pthread_equal(of(host)->world->thread, pthread_self()) && "a virtual host has one thread");
    virtual_defer(host, defer);
}

static void virtual_hold(mw_host *host) {
    if (!of(host)->killed)
        of(host)->holds++;
}

static void virtual_release(mw_host *host) {
    if (of(host)->killed)
        return;
    assert(of(host)->holds > 0);
    of(host)->holds--;
}

static void virtual_log(mw_host *host, mw_log_level level, const char *component, const char *line) {
    if (of(host)->sink)
        of(host)->sink(of(host)->sink_arg, level, component, line);
}

static const mw_host_ops virtual_ops = {
    .size = sizeof(mw_host_ops),
    .now = virtual_now,
    .wall = virtual_wall,
    .random = virtual_random,
    .timer_start = virtual_timer_start,
    .timer_stop = virtual_timer_stop,
    .poll_start = virtual_poll_start,
    .poll_stop = virtual_poll_stop,
    .defer = virtual_defer,
    .defer_cancel = virtual_defer_cancel,
    .post = virtual_post,
    .hold = virtual_hold,
    .release = virtual_release,
    .log = virtual_log,
};

int mw_world_new(uint64_t seed, mw_world **ret_world, mw_error *err) {
    mw_world *world = calloc(1, sizeof *world);
    if (!world)
        return mw_fail(err, MW_ENO_MEMORY, "world: out of memory");
    world->seed = seed;
    world->now = DAWN;
    world->thread = pthread_self();
    *ret_world = world;
    return MW_OK;
}

/* Forget all that is armed, while its owners are still there to be told. */
static void disarm(virtual_host *self) {
    for (mw_timer *timer; (timer = mw__timers_first(&self->timers));)
        mw__timers_stop(&self->timers, timer);
    for (mw_defer *defer; (defer = mw__defers_first(&self->defers));)
        mw__defers_remove(defer);
    self->deferred = self->holds = 0;
}

void mw_world_free(mw_world *world) {
    if (!world)
        return;
    /* What is still armed may be gone already; it is not touched. */
    for (size_t i = 0; i < world->count; i++) {
        free(world->hosts[i]->timers.heap);
        free(world->hosts[i]);
    }
    free(world->hosts);
    free(world);
}

static int make_room(mw_world *world) {
    if (world->count < world->capacity)
        return MW_OK;
    size_t capacity = world->capacity ? 2 * world->capacity : 8;
    virtual_host **hosts = realloc(world->hosts, capacity * sizeof *hosts);
    if (!hosts)
        return MW_ENO_MEMORY;
    world->hosts = hosts;
    world->capacity = capacity;
    return MW_OK;
}

int mw_world_host(mw_world *world, mw_log_sink sink, void *sink_arg, mw_host **ret_host, mw_error *err) {
    virtual_host *self = calloc(1, sizeof *self);
    if (!self || make_room(world) != MW_OK || mw__timers_init(&self->timers, 64) != MW_OK) {
        free(self);
        return mw_fail(err, MW_ENO_MEMORY, "virtual host: out of memory");
    }
    uint64_t number = world->count + 1;
    self->host.ops = &virtual_ops;
    self->world = world;
    self->rng = world->seed ^ next_random(&number);
    mw__defers_init(&self->defers);
    self->sink = sink;
    self->sink_arg = sink_arg;
    world->hosts[world->count++] = self;
    *ret_host = &self->host;
    return MW_OK;
}

mw_time mw_world_now(const mw_world *world) {
    return world->now;
}

static bool runnable(const virtual_host *self) {
    return !self->paused && !self->killed;
}

/* The oldest defer of all runnable hosts; NULL when there is none. */
static mw_defer *oldest_defer(mw_world *world, virtual_host **ret_host) {
    mw_defer *oldest = NULL;
    for (size_t i = 0; i < world->count; i++) {
        virtual_host *self = world->hosts[i];
        mw_defer *defer = runnable(self) ? mw__defers_first(&self->defers) : NULL;
        if (defer && (!oldest || defer->order < oldest->order)) {
            oldest = defer;
            *ret_host = self;
        }
    }
    return oldest;
}

/* The earliest timer of all runnable hosts that is due by `end`; one due at MW_FOREVER never is. */
static mw_timer *earliest_timer(mw_world *world, mw_time end, virtual_host **ret_host) {
    mw_timer *earliest = NULL;
    for (size_t i = 0; i < world->count; i++) {
        virtual_host *self = world->hosts[i];
        mw_timer *timer = runnable(self) ? mw__timers_first(&self->timers) : NULL;
        if (!timer || timer->due > end || timer->due == MW_FOREVER)
            continue;
        if (!earliest || timer->due < earliest->due ||
            (timer->due == earliest->due && timer->order < earliest->order)) {
            earliest = timer;
            *ret_host = self;
        }
    }
    return earliest;
}

/* One event, if there is one by `end`. */
static bool step_until(mw_world *world, mw_time end) {
    virtual_host *self = NULL;
    mw_defer *defer = oldest_defer(world, &self);
    if (defer) {
        virtual_defer_cancel(&self->host, defer);
        defer->run(defer);
        return true;
    }
    mw_timer *timer = earliest_timer(world, end, &self);
    if (!timer)
        return false;
    mw__timers_stop(&self->timers, timer);
    if (timer->due > world->now) /* else it waited for its host to be resumed */
        world->now = timer->due;
    timer->fire(timer);
    return true;
}

bool mw_world_step(mw_world *world) {
    return step_until(world, MW_FOREVER);
}

void mw_world_advance(mw_world *world, mw_time span) {
    mw_time end = mw__timers_due(world->now, span);
    while (step_until(world, end))
        continue;
    if (world->now < end) /* a callback may have advanced the world further */
        world->now = end;
}

void mw_virtual_pause(mw_host *host) {
    of(host)->paused = true;
}

void mw_virtual_resume(mw_host *host) {
    of(host)->paused = false;
}

void mw_virtual_kill(mw_host *host) {
    disarm(of(host));
    of(host)->killed = true;
}

size_t mw_virtual_pending(const mw_host *host) {
    const virtual_host *self = (const virtual_host *)(const void *)host;
    return self->timers.count + self->deferred + self->holds;
}
