/* The libuv host. One timerfd stands for the whole heap of timers, one idle handle for the queue of defers, one async
 * handle for other threads; each is referenced (the idle handle: active) only while there is something for it to do, so
 * an idle host does not keep the application's loop alive.
 *
 * libuv's own timers run on CLOCK_MONOTONIC: after a suspend they would be late by its length, and a session's deadline
 * with them. */
#include <moonwatch/host_uv.h>

#include "defers.h"
#include "timers.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* Defers that are queued by defers run in the same turn up to this many: a turn costs a system call, I/O must get its
 * own. */
#define CHAIN 128

typedef struct uv_host {
    mw_host host;
    uv_loop_t own_loop;
    uv_loop_t *loop;
    pthread_t thread;
    mw_log_sink sink;
    void *sink_arg;
    uint64_t order; /* next one of timers and defers */

    uv_poll_t alarm;
    int alarm_fd;
    mw_time alarm_due; /* what it is set for; MW_FOREVER = it is not */
    pid_t pid;
    mw__timers timers;
    bool firing;   /* timers are being run */
    bool stepping; /* in mw_uv_host_step that may sleep */

    uv_idle_t idle;
    mw__defers defers;

    uv_async_t async;
    pthread_mutex_t lock; /* guards the two below */
    mw__defers posted;
    size_t holds;

    size_t polls;   /* started */
    size_t closing; /* handles whose close callback is still to come */
    bool freed;
} uv_host;

typedef struct poll_handle {
    uv_poll_t uv;
    uv_host *host;
    mw_poll *poll; /* NULL once stopped */
} poll_handle;

static uv_host *of(mw_host *host) {
    return (uv_host *)(void *)host;
}

static bool owns_loop(const uv_host *self) {
    return self->loop == &self->own_loop;
}

static void destroy(uv_host *self) {
    (void)pthread_mutex_destroy(&self->lock);
    mw__timers_release(&self->timers);
    free(self);
}

/* A handle's close callback has come. On an own loop mw_uv_host_free waits for the last; on the application's loop
 * nobody does, and the last one frees the host. */
static void one_closed(uv_host *self) {
    if (--self->closing == 0 && self->freed && !owns_loop(self))
        destroy(self);
}

/* ---- Clocks, randomness, log */

static mw_time read_clock(clockid_t clock) {
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (mw_time)t.tv_sec * MW_SECOND + (mw_time)t.tv_nsec;
}

static mw_time uv_host_now(mw_host *host) {
    return read_clock(CLOCK_BOOTTIME);
}

static int64_t uv_host_wall(mw_host *host) {
    return (int64_t)(read_clock(CLOCK_REALTIME) / MW_MS);
}

static void uv_host_random(mw_host *host, void *bytes, size_t len) {
    unsigned char *out = bytes;
    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* no kernel that runs us lacks it, and weak secrets are worse than none */
        if (n > 0) {
            out += n;
            len -= (size_t)n;
        }
    }
}

static void uv_host_log(mw_host *host, mw_log_level level, const char *component, const char *line) {
    if (of(host)->sink)
        of(host)->sink(of(host)->sink_arg, level, component, line);
}

/* ---- Timers */

static void run_idle(uv_idle_t *idle);

/* A forked child shares the descriptor: what it sets there would be its parent's alarm. */
static void set_alarm(uv_host *self, mw_time due) {
    struct itimerspec when = {0};
    if (self->pid != getpid())
        return;
    if (due != MW_FOREVER) {
        when.it_value.tv_sec = (time_t)(due / MW_SECOND);
        when.it_value.tv_nsec = (long)(due % MW_SECOND);
    }
    (void)timerfd_settime(self->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
    self->alarm_due = due;
}

/* Let the alarm ring no later than the earliest timer is due; one that is due already has its turn in the idle phase,
 * without a system call. Too early is harmless and saves more of them: timers are mostly stopped before they are due.
 */
static void arm(uv_host *self, mw_time now) {
    const mw_timer *first = mw__timers_first(&self->timers);
    mw_time due = first ? first->due : MW_FOREVER;
    if (self->firing || self->freed)
        return;
    if (due <= now) {
        (void)uv_idle_start(&self->idle, run_idle);
    } else if (due == MW_FOREVER) {
        uv_unref((uv_handle_t *)&self->alarm);
    } else {
        uv_ref((uv_handle_t *)&self->alarm);
        if (due < self->alarm_due)
            set_alarm(self, due);
    }
}

/* Fires what is due when it is called. What a callback arms with no delay waits for the next turn. */
static void fire_due(uv_host *self) {
    mw_time now = uv_host_now(&self->host);
    uint64_t limit = self->order;
    self->firing = true;
    for (mw_timer *first; (first = mw__timers_first(&self->timers)) && first->due <= now && first->order < limit;) {
        mw__timers_stop(&self->timers, first);
        first->fire(first);
    }
    self->firing = false;
}

static void alarm_rang(uv_poll_t *alarm, int status, int events) {
    uv_host *self = alarm->data;
    fire_due(self);
    if (self->freed)
        return;
    mw_time now = uv_host_now(&self->host);
    const mw_timer *first = mw__timers_first(&self->timers);
    set_alarm(self, first && first->due > now ? first->due : MW_FOREVER); /* this also ends the ringing */
    arm(self, now);
}

static int uv_host_timer_start(mw_host *host, mw_timer *timer, mw_time delay) {
    uv_host *self = of(host);
    mw_time now = uv_host_now(host);
    int status = mw__timers_start(&self->timers, timer, mw__timers_due(now, delay), self->order++);
    if (status == MW_OK)
        arm(self, now);
    return status;
}

static void uv_host_timer_stop(mw_host *host, mw_timer *timer) {
    uv_host *self = of(host);
    mw__timers_stop(&self->timers, timer);
    if (!mw__timers_first(&self->timers))
        arm(self, 0);
}

/* ---- Polls */

static void poll_closed(uv_handle_t *handle) {
    poll_handle *self = handle->data;
    one_closed(self->host);
    free(self);
}

static void poll_ready(uv_poll_t *uv, int status, int events);

static int poll_listen(poll_handle *handle, unsigned events) {
    int uv_events = (events & MW_READABLE ? UV_READABLE : 0) | (events & MW_WRITABLE ? UV_WRITABLE : 0);
    return uv_poll_start(&handle->uv, uv_events, poll_ready);
}

static void poll_ready(uv_poll_t *uv, int status, int events) {
    poll_handle *handle = uv->data;
    mw_poll *poll = handle->poll;
    if (status >= 0) {
        unsigned ready = (events & UV_READABLE ? MW_READABLE : 0) | (events & UV_WRITABLE ? MW_WRITABLE : 0);
        poll->ready(poll, ready);
        return;
    }
    /* The descriptor has an error to report (a refused connection, a closed pipe), and libuv has stopped watching it.
     * Its owner finds out by reading or writing; readiness stays level-triggered until it stops. */
    (void)poll_listen(handle, poll->events);
    poll->ready(poll, poll->events);
}

static void uv_host_poll_stop(mw_host *host, mw_poll *poll) {
    poll_handle *handle = poll->impl;
    if (!handle)
        return;
    poll->impl = NULL;
    poll->events = 0;
    handle->poll = NULL;
    handle->host->polls--;
    handle->host->closing++;
    uv_close((uv_handle_t *)&handle->uv, poll_closed);
}

static int poll_status(int uv_status) {
    return uv_status == UV_ENOMEM ? MW_ENO_MEMORY : MW_EIO;
}

static int uv_host_poll_start(mw_host *host, mw_poll *poll, int fd, unsigned events) {
    uv_host *self = of(host);
    assert(events != 0 && (events & ~(MW_READABLE | MW_WRITABLE)) == 0);
    if (poll->impl && poll->fd != fd)
        uv_host_poll_stop(host, poll);
    if (!poll->impl) {
        poll_handle *handle = malloc(sizeof *handle);
        if (!handle)
            return MW_ENO_MEMORY;
        int rc = uv_poll_init(self->loop, &handle->uv, fd);
        if (rc < 0) {
            free(handle);
            return poll_status(rc);
        }
        handle->uv.data = handle;
        handle->host = self;
        handle->poll = poll;
        poll->impl = handle;
        poll->fd = fd;
        self->polls++;
    }
    poll->events = events;
    int rc = poll_listen(poll->impl, events);
    if (rc < 0) {
        uv_host_poll_stop(host, poll);
        return poll_status(rc);
    }
    return MW_OK;
}

/* ---- Defers */

/* Timers that the alarm covers need no look at the clock. */
static void stop_idle(uv_host *self) {
    if (self->freed)
        return;
    const mw_timer *first = mw__timers_first(&self->timers);
    if (!mw__defers_first(&self->defers))
        (void)uv_idle_stop(&self->idle);
    if (first && first->due < self->alarm_due)
        arm(self, uv_host_now(&self->host));
    else if (first && first->due != MW_FOREVER)
        uv_ref((uv_handle_t *)&self->alarm);
    else
        uv_unref((uv_handle_t *)&self->alarm);
}

/* The idle phase comes before the loop sleeps, and an active idle handle keeps it from sleeping. */
static void run_idle(uv_idle_t *idle) {
    uv_host *self = idle->data;
    uint64_t limit = self->order;
    size_t chained = 0;
    fire_due(self);
    for (mw_defer *defer; (defer = mw__defers_first(&self->defers));) {
        if (defer->order >= limit && ++chained > CHAIN)
            break;
        mw__defers_remove(defer);
        defer->run(defer);
    }
    if (!self->stepping)
        stop_idle(self);
}

static void uv_host_defer(mw_host *host, mw_defer *defer) {
    uv_host *self = of(host);
    mw__defers_push(&self->defers, defer, self->order++);
    (void)uv_idle_start(&self->idle, run_idle);
}

/* Also for what was posted, which other threads may be queueing at this moment. */
static void uv_host_defer_cancel(mw_host *host, mw_defer *defer) {
    uv_host *self = of(host);
    (void)pthread_mutex_lock(&self->lock);
    mw__defers_remove(defer);
    (void)pthread_mutex_unlock(&self->lock);
}

/* ---- Other threads */

/* On the host's thread: hold the loop while somebody else works for us, or something posted waits. */
static void reference(uv_host *self) {
    (void)pthread_mutex_lock(&self->lock);
    bool wanted = self->holds > 0 || mw__defers_first(&self->posted);
    (void)pthread_mutex_unlock(&self->lock);
    if (wanted)
        uv_ref((uv_handle_t *)&self->async);
    else
        uv_unref((uv_handle_t *)&self->async);
}

static void run_posted(uv_async_t *async) {
    uv_host *self = async->data;
    for (size_t ran = 0; ran < CHAIN; ran++) {
        (void)pthread_mutex_lock(&self->lock);
        mw_defer *defer = mw__defers_first(&self->posted);
        if (defer)
            mw__defers_remove(defer);
        (void)pthread_mutex_unlock(&self->lock);
        if (!defer) {
            if (!self->freed)
                reference(self);
            return;
        }
        defer->run(defer);
    }
    if (!self->freed)
        (void)uv_async_send(&self->async);
}

static void uv_host_post(mw_host *host, mw_defer *defer) {
    uv_host *self = of(host);
    (void)pthread_mutex_lock(&self->lock);
    mw__defers_push(&self->posted, defer, 0);
    /* Sent under the lock: once the posted one runs, its owner may let go of the host. */
    (void)uv_async_send(&self->async);
    (void)pthread_mutex_unlock(&self->lock);
}

/* libuv's reference may only be touched on the loop's thread; another one asks for it. */
static void count_hold(uv_host *self, bool hold) {
    bool elsewhere = !pthread_equal(self->thread, pthread_self());
    (void)pthread_mutex_lock(&self->lock);
    assert(hold || self->holds > 0);
    self->holds += hold ? 1 : (size_t)-1;
    bool turned = self->holds == (hold ? 1 : 0);
    if (turned && elsewhere)
        (void)uv_async_send(&self->async);
    (void)pthread_mutex_unlock(&self->lock);
    if (turned && !elsewhere)
        reference(self);
}

static void uv_host_hold(mw_host *host) {
    count_hold(of(host), true);
}

static void uv_host_release(mw_host *host) {
    count_hold(of(host), false);
}

/* ---- Life */

static const mw_host_ops uv_ops = {
    .size = sizeof(mw_host_ops),
    .now = uv_host_now,
    .wall = uv_host_wall,
    .random = uv_host_random,
    .timer_start = uv_host_timer_start,
    .timer_stop = uv_host_timer_stop,
    .poll_start = uv_host_poll_start,
    .poll_stop = uv_host_poll_stop,
    .defer = uv_host_defer,
    .defer_cancel = uv_host_defer_cancel,
    .post = uv_host_post,
    .hold = uv_host_hold,
    .release = uv_host_release,
    .log = uv_host_log,
};

static void handle_closed(uv_handle_t *handle) {
    one_closed(handle->data);
}

/* All handles are closing: wait for them where the loop is ours; else the last one frees the host. */
static void finish_free(uv_host *self) {
    if (!owns_loop(self))
        return;
    while (self->closing > 0)
        (void)uv_run(self->loop, UV_RUN_NOWAIT);
    int rc = uv_loop_close(self->loop);
    assert(rc == 0 && "the application left handles of its own on the host's loop");
    (void)rc;
    destroy(self);
}

static void close_handle(uv_host *self, void *handle) {
    self->closing++;
    uv_close(handle, handle_closed);
}

/* On an own loop the alarm is known to the kernel at once: who watches the loop's descriptor need not run it first. */
static int start_alarm(uv_host *self) {
    int rc = uv_poll_init(self->loop, &self->alarm, self->alarm_fd);
    if (rc < 0)
        return rc;
    self->alarm.data = self;
    self->alarm_due = MW_FOREVER;
    (void)uv_poll_start(&self->alarm, UV_READABLE, alarm_rang);
    if (owns_loop(self))
        (void)uv_run(self->loop, UV_RUN_NOWAIT);
    uv_unref((uv_handle_t *)&self->alarm);
    return 0;
}

/* Where it fails, the host is gone or about to go. */
static int make_handles(uv_host *self) {
    self->alarm_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    int rc = self->alarm_fd < 0 ? uv_translate_sys_error(errno) : owns_loop(self) ? uv_loop_init(self->loop) : 0;
    bool loop = rc == 0;
    if (loop)
        rc = uv_async_init(self->loop, &self->async, run_posted);
    if (rc < 0) {
        if (loop && owns_loop(self))
            (void)uv_loop_close(self->loop);
        if (self->alarm_fd >= 0)
            (void)close(self->alarm_fd);
        destroy(self);
        return rc;
    }
    uv_unref((uv_handle_t *)&self->async);
    rc = start_alarm(self);
    if (rc < 0) {
        self->freed = true;
        (void)close(self->alarm_fd);
        close_handle(self, &self->async);
        finish_free(self);
        return rc;
    }
    (void)uv_idle_init(self->loop, &self->idle); /* cannot fail */
    return 0;
}

int mw_uv_host_new(struct uv_loop_s *loop, mw_log_sink sink, void *sink_arg, mw_host **ret_host, mw_error *err) {
    uv_host *self = calloc(1, sizeof *self);
    if (!self || mw__timers_init(&self->timers, 64) != MW_OK) {
        free(self);
        return mw_fail(err, MW_ENO_MEMORY, "uv host: out of memory");
    }
    self->host.ops = &uv_ops;
    self->loop = loop ? loop : &self->own_loop;
    self->thread = pthread_self();
    self->sink = sink;
    self->sink_arg = sink_arg;
    self->pid = getpid();
    self->idle.data = self->async.data = self;
    mw__defers_init(&self->defers);
    mw__defers_init(&self->posted);
    (void)pthread_mutex_init(&self->lock, NULL);

    int rc = make_handles(self);
    if (rc < 0)
        return mw_fail(err, poll_status(rc), "uv host: %s", uv_strerror(rc));
    *ret_host = &self->host;
    return MW_OK;
}

void mw_uv_host_free(mw_host *host) {
    if (!host)
        return;
    uv_host *self = of(host);
    assert(!mw__timers_first(&self->timers) && "a timer is still armed");
    assert(!mw__defers_first(&self->defers) && !mw__defers_first(&self->posted) && "a defer is still queued");
    assert(self->polls == 0 && "a poll is still started");
    assert(self->holds == 0 && "the host is still held");
    self->freed = true;
    close_handle(self, &self->alarm);
    close_handle(self, &self->idle);
    close_handle(self, &self->async);
    (void)close(self->alarm_fd);
    finish_free(self);
}

struct uv_loop_s *mw_uv_host_loop(mw_host *host) {
    return of(host)->loop;
}

bool mw_uv_host_step(mw_host *host, bool wait) {
    uv_host *self = of(host);
    assert(owns_loop(self) && !self->stepping);
    /* UV_RUN_ONCE runs timers and idle handles and sleeps after them all the same (before libuv 1.45). The caller waits
     * for what they did: the idle handle stays active when anything ran, and keeps the loop from sleeping. */
    self->stepping = wait;
    (void)uv_run(self->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    self->stepping = false;
    stop_idle(self);
    return uv_loop_alive(self->loop) != 0;
}

int mw_uv_host_fd(mw_host *host) {
    return uv_backend_fd(of(host)->loop);
}

int mw_uv_host_timeout(mw_host *host) {
    uv_loop_t *loop = of(host)->loop;
    if (!uv_loop_alive(loop))
        return -1;
    uv_update_time(loop); /* it was read when the loop last ran, and the answer counts from it */
    return uv_backend_timeout(loop);
}
