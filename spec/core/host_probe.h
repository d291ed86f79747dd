/* What the specs of the libuv host watch it with: timers, defers and polls that leave a letter on a tape. */
#ifndef SPEC_CORE_HOST_PROBE_H
#define SPEC_CORE_HOST_PROBE_H

#include <moonwatch/host_uv.h>

#include <unistd.h>

#include "support/check.h"

typedef struct tape {
    char text[64];
    size_t len;
} tape;

typedef struct probe {
    mw_timer timer;
    mw_defer defer;
    mw_poll poll;
    mw_host *host;
    tape *tape;
    char letter;
    struct probe *next;   /* queue its defer */
    struct probe *victim; /* stop all of it */
    bool again;           /* timer and defer: once more, with no delay, for ever */
    mw_time began, wait;
    unsigned events;
} probe;

static inline void stop(probe *self) {
    mw_timer_stop(self->host, &self->timer);
    mw_defer_cancel(self->host, &self->defer);
    mw_poll_stop(self->host, &self->poll);
}

static inline void mark(probe *self) {
    if (self->tape->len < sizeof self->tape->text - 1)
        self->tape->text[self->tape->len++] = self->letter;
    if (self->next)
        mw_defer_run(self->host, &self->next->defer);
    if (self->victim)
        stop(self->victim);
}

static inline void on_timer(mw_timer *timer) {
    probe *self = mw_container(timer, probe, timer);
    CHECK(!mw_timer_armed(timer));
    CHECK(mw_host_now(self->host) - self->began >= self->wait);
    mark(self);
    if (self->again)
        CHECK_INT(mw_timer_start(self->host, timer, 0), MW_OK);
}

static inline void on_defer(mw_defer *defer) {
    probe *self = mw_container(defer, probe, defer);
    mark(self);
    if (self->again)
        mw_defer_run(self->host, defer);
}

static inline void on_ready(mw_poll *poll, unsigned events) {
    probe *self = mw_container(poll, probe, poll);
    self->events = events;
    mark(self);
}

static inline probe make(mw_host *host, tape *t, char letter) {
    return (probe){.timer.fire = on_timer,
                   .defer.run = on_defer,
                   .poll.ready = on_ready,
                   .host = host,
                   .tape = t,
                   .letter = letter};
}

static inline void start(probe *self, mw_time delay) {
    self->began = mw_host_now(self->host);
    self->wait = delay;
    CHECK_INT(mw_timer_start(self->host, &self->timer, delay), MW_OK);
}

static inline mw_host *own_loop(void) {
    mw_host *host = NULL;
    CHECK_INT(mw_uv_host_new(NULL, NULL, NULL, &host, NULL), MW_OK);
    return host;
}

static inline void run_out(mw_host *host) {
    while (mw_uv_host_step(host, true))
        continue;
}

static inline void make_pipe(int ends[2]) {
    CHECK_INT(pipe(ends), 0);
}

static inline void close_pipe(const int ends[2]) {
    CHECK_INT(close(ends[0]) | close(ends[1]), 0);
}

#endif
