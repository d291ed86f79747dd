/* The libuv host against libuv alone: what timers, defers and posts cost. Medians of 5. */
#include <moonwatch/host_uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "bench/figures.h"

#define RUNS 5
#define TIMERS 100000
#define LINKS 1000000

/* The median of RUNS calls of `work`, in millions per second for `count` of them. */
static double rate(void (*work)(mw_host *host), mw_host *host, double count) {
    double runs[RUNS];
    for (int i = 0; i < RUNS; i++) {
        uint64_t start = uv_hrtime();
        work(host);
        runs[i] = count * 1e3 / (double)(uv_hrtime() - start);
    }
    return bench_median(runs, RUNS);
}

static void run_out(mw_host *host) {
    while (mw_uv_host_step(host, true))
        continue;
}

static void no_fire(mw_timer *timer) {}

/* Deadlines as operations have them: armed in order, nearly all stopped before they are due. */
static void our_timers(mw_host *host) {
    static mw_timer timers[TIMERS];
    for (size_t i = 0; i < TIMERS; i++) {
        timers[i] = (mw_timer){.fire = no_fire};
        (void)mw_timer_start(host, &timers[i], 10 * MW_SECOND);
    }
    for (size_t i = 0; i < TIMERS; i++)
        mw_timer_stop(host, &timers[i]);
}

static void no_uv_fire(uv_timer_t *timer) {}

static void uv_timers(mw_host *host) {
    static uv_timer_t timers[TIMERS];
    for (size_t i = 0; i < TIMERS; i++) {
        (void)uv_timer_init(mw_uv_host_loop(host), &timers[i]);
        (void)uv_timer_start(&timers[i], no_uv_fire, 10000, 0);
    }
    for (size_t i = 0; i < TIMERS; i++)
        (void)uv_timer_stop(&timers[i]);
    for (size_t i = 0; i < TIMERS; i++)
        uv_close((uv_handle_t *)&timers[i], NULL);
    run_out(host);
}

typedef struct chain {
    mw_defer defer;
    mw_host *host;
    size_t left;
    bool post;
} chain;

static void next_link(mw_defer *defer) {
    chain *self = mw_container(defer, chain, defer);
    if (--self->left > 0)
        (self->post ? mw_host_post : mw_defer_run)(self->host, defer);
    else if (self->post)
        mw_host_release(self->host);
}

static void chained_defers(mw_host *host) {
    chain c = {.defer.run = next_link, .host = host, .left = LINKS};
    mw_defer_run(host, &c.defer);
    run_out(host);
}

static void chained_posts(mw_host *host) {
    chain c = {.defer.run = next_link, .host = host, .left = LINKS, .post = true};
    mw_host_hold(host);
    mw_host_post(host, &c.defer);
    run_out(host);
}

int main(void) {
    mw_host *host = NULL;
    mw_error err;
    if (mw_uv_host_new(NULL, NULL, NULL, &host, &err) != MW_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }
    double ours = rate(our_timers, host, TIMERS), bare = rate(uv_timers, host, TIMERS);
    bench_row("host: timers armed and stopped", ours, "M/s", "-");
    bench_row("host: the same, against libuv's own", ours / bare, "times", "-");
    bench_row("host: defers, each queued by the last", rate(chained_defers, host, LINKS), "M/s", "-");
    bench_row("host: posts, each posted by the last", rate(chained_posts, host, LINKS), "M/s", "-");
    mw_uv_host_free(host);
    return EXIT_SUCCESS;
}
