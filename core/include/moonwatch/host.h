/* Host services: all that the core and the backends know of event loop, clock, randomness, threads and log.
 *
 * Two hosts exist: `uv` (moonwatch/host_uv.h) and `virtual` (moonwatch/host_virtual.h). An adapter for another loop
 * fills an `mw_host_ops`. Except for `post`, `hold` and `release`, every function is called on the host's own thread
 * only.
 *
 * Timers, polls and defers are embedded in the caller's structures and zero-initialised; the host keeps no copy and
 * frees nothing. A structure may be freed once it is stopped. Callbacks may start and stop anything, themselves
 * included. Nothing here calls back inline: a callback always runs from the loop.
 */
#ifndef MOONWATCH_HOST_H
#define MOONWATCH_HOST_H

#include <moonwatch/status.h>
#include <moonwatch/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

typedef struct mw_host mw_host;
typedef struct mw_timer mw_timer;
typedef struct mw_poll mw_poll;
typedef struct mw_defer mw_defer;

/* One shot. The host owns every field but `fire`. */
struct mw_timer {
    void (*fire)(mw_timer *timer);
    mw_time due;
    uint64_t order; /* among timers due at the same time: first started, first fired */
    size_t slot;    /* 1 + index in the host's heap; 0 = not armed */
};

#define MW_READABLE 1u
#define MW_WRITABLE 2u

/* Level-triggered readiness of one descriptor. The host owns every field but `ready`. */
struct mw_poll {
    void (*ready)(mw_poll *poll, unsigned events);
    int fd;
    unsigned events; /* 0 = stopped */
    void *impl;
};

/* Runs once, soon, from the loop. The host owns every field but `run`. */
struct mw_defer {
    void (*run)(mw_defer *defer);
    mw_defer *next, *prev;
    uint64_t order; /* first queued, first run, over all hosts of a virtual world */
    bool queued;
};

typedef enum mw_log_level { MW_LOG_DEBUG, MW_LOG_INFO, MW_LOG_WARN, MW_LOG_ERROR } mw_log_level;

/* Append only; `size` tells a plug-in what is there. All slots required. */
typedef struct mw_host_ops {
    size_t size;

    /* Now, monotonic. Read anew on each call: a deadline is never judged by a cached clock. */
    mw_time (*now)(mw_host *host);

    /* Milliseconds since 1970; for people, never for deadlines. */
    int64_t (*wall)(mw_host *host);

    /* Fill with unpredictable bytes (virtual: seeded, reproducible). */
    void (*random)(mw_host *host, void *bytes, size_t len);

    /* Arm `timer` to fire `delay` from now; when armed already, move it. Never fails: memory is reserved with the host
     * (returns MW_ENO_MEMORY where even that is impossible; the timer is then not armed). */
    int (*timer_start)(mw_host *host, mw_timer *timer, mw_time delay);
    void (*timer_stop)(mw_host *host, mw_timer *timer); /* harmless when idle */

    /* Watch `fd` for `events`; called again it changes them. Stop before the descriptor is closed. 0 or MW_EIO /
     * MW_ENO_MEMORY. The virtual host has no descriptors: MW_EUNSUPPORTED. */
    int (*poll_start)(mw_host *host, mw_poll *poll, int fd, unsigned events);
    void (*poll_stop)(mw_host *host, mw_poll *poll); /* harmless when idle */

    /* Run `defer` from the loop before it sleeps; harmless when queued already. FIFO. */
    void (*defer)(mw_host *host, mw_defer *defer);
    void (*defer_cancel)(mw_host *host, mw_defer *defer);

    /* The same, from any thread; may be posted again while it is queued or runs. `defer` must not be queued by any
     * other means; its owner holds the host meanwhile. Order against plain defers is open. (virtual: the world's thread
     * only, asserted.) */
    void (*post)(mw_host *host, mw_defer *defer);

    /* Work is under way elsewhere (a thread that will post): keep the loop alive until release. Any thread. */
    void (*hold)(mw_host *host);
    void (*release)(mw_host *host);

    /* One line, without newline; `component` is a short word ("sqlite"). Any thread. */
    void (*log)(mw_host *host, mw_log_level level, const char *component, const char *line);
} mw_host_ops;

/* The first member of every host. */
struct mw_host {
    const mw_host_ops *ops;
};

static inline mw_time mw_host_now(mw_host *host) {
    return host->ops->now(host);
}
static inline int64_t mw_host_wall(mw_host *host) {
    return host->ops->wall(host);
}
static inline void mw_host_random(mw_host *host, void *bytes, size_t len) {
    host->ops->random(host, bytes, len);
}
static inline int mw_timer_start(mw_host *host, mw_timer *timer, mw_time delay) {
    return host->ops->timer_start(host, timer, delay);
}
static inline void mw_timer_stop(mw_host *host, mw_timer *timer) {
    host->ops->timer_stop(host, timer);
}
static inline bool mw_timer_armed(const mw_timer *timer) {
    return timer->slot != 0;
}
static inline int mw_poll_start(mw_host *host, mw_poll *poll, int fd, unsigned events) {
    return host->ops->poll_start(host, poll, fd, events);
}
static inline void mw_poll_stop(mw_host *host, mw_poll *poll) {
    host->ops->poll_stop(host, poll);
}
static inline void mw_defer_run(mw_host *host, mw_defer *defer) {
    host->ops->defer(host, defer);
}
static inline void mw_defer_cancel(mw_host *host, mw_defer *defer) {
    host->ops->defer_cancel(host, defer);
}
static inline void mw_host_post(mw_host *host, mw_defer *defer) {
    host->ops->post(host, defer);
}
static inline void mw_host_hold(mw_host *host) {
    host->ops->hold(host);
}
static inline void mw_host_release(mw_host *host) {
    host->ops->release(host);
}

/* Format and log one line (cut at 1,023 bytes). */
void mw_log(mw_host *host, mw_log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The structure that embeds a member: mw_container(timer, struct session, deadline). */
#define mw_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
