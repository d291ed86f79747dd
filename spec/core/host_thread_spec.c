/* What the libuv host promises to other threads: posts wake a sleeping loop, holds keep it, nothing is lost. */
#include <moonwatch/host_uv.h>

#include "support/check.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define POSTS 2000

typedef struct job {
    mw_defer defer;
    int *ran;
} job;

typedef struct worker {
    pthread_t thread;
    mw_host *host;
    job *jobs;
    mw_defer *bell; /* one defer that all workers post, again and again */
} worker;

typedef struct bell {
    mw_defer defer;
    atomic_int rung;  /* by the workers */
    int heard, turns; /* by the loop */
} bell;

static void on_job(mw_defer *defer) {
    ++*mw_container(defer, job, defer)->ran;
}

static void on_bell(mw_defer *defer) {
    bell *self = mw_container(defer, bell, defer);
    self->heard = atomic_load(&self->rung);
    self->turns++;
}

static mw_host *own_loop(void) {
    mw_host *host = NULL;
    CHECK_INT(mw_uv_host_new(NULL, NULL, NULL, &host, NULL), MW_OK);
    return host;
}

static void run_out(mw_host *host) {
    while (mw_uv_host_step(host, true))
        continue;
}

static void *post_jobs(void *arg) {
    worker *self = arg;
    for (size_t i = 0; i < POSTS; i++)
        mw_host_post(self->host, &self->jobs[i].defer);
    mw_host_release(self->host);
    return NULL;
}

static void each_post_runs_once(void) {
    mw_host *host = own_loop();
    int ran = 0;
    static job jobs[THREADS][POSTS];
    worker workers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        for (size_t j = 0; j < POSTS; j++)
            jobs[i][j] = (job){.defer.run = on_job, .ran = &ran};
        workers[i] = (worker){.host = host, .jobs = jobs[i]};
        mw_host_hold(host);
        CHECK_INT(pthread_create(&workers[i].thread, NULL, post_jobs, &workers[i]), 0);
    }
    run_out(host); /* ends when the last worker has released, not before */
    CHECK_INT(ran, THREADS * POSTS);
    for (size_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(workers[i].thread, NULL), 0);
    mw_uv_host_free(host);
}

static void *ring(void *arg) {
    worker *self = arg;
    for (size_t i = 0; i < POSTS; i++) {
        atomic_fetch_add(&mw_container(self->bell, bell, defer)->rung, 1);
        mw_host_post(self->host, self->bell);
    }
    mw_host_release(self->host);
    return NULL;
}

/* The usual way to say "look at your queue": posted while queued, and while it runs. The last ring is always heard. */
static void the_last_of_many_posts_is_not_lost(void) {
    mw_host *host = own_loop();
    bell b = {.defer.run = on_bell};
    worker workers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){.host = host, .bell = &b.defer};
        mw_host_hold(host);
        CHECK_INT(pthread_create(&workers[i].thread, NULL, ring, &workers[i]), 0);
    }
    run_out(host);
    for (size_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(workers[i].thread, NULL), 0);
    CHECK_INT(b.heard, THREADS * POSTS);
    CHECK(b.turns >= 1 && b.turns <= THREADS * POSTS);
    mw_uv_host_free(host);
}

static void a_hold_keeps_the_loop(void) {
    mw_host *host = own_loop();
    mw_host_hold(host);
    mw_host_hold(host);
    CHECK(mw_uv_host_step(host, false));
    mw_host_release(host);
    CHECK(mw_uv_host_step(host, false));
    mw_host_release(host);
    CHECK(!mw_uv_host_step(host, true));
    mw_uv_host_free(host);
}

static void *only_release(void *arg) {
    mw_host_release(arg);
    return NULL;
}

static void another_thread_may_let_go(void) {
    mw_host *host = own_loop();
    pthread_t thread;
    mw_host_hold(host);
    CHECK_INT(pthread_create(&thread, NULL, only_release, host), 0);
    run_out(host);
    CHECK_INT(pthread_join(thread, NULL), 0);
    mw_uv_host_free(host);
}

static void what_is_posted_can_be_cancelled(void) {
    mw_host *host = own_loop();
    int ran = 0;
    job a = {.defer.run = on_job, .ran = &ran}, b = a;
    mw_host_hold(host);
    mw_host_post(host, &a.defer);
    mw_host_post(host, &b.defer);
    mw_defer_cancel(host, &a.defer);
    CHECK(mw_uv_host_step(host, true));
    CHECK_INT(ran, 1);
    mw_host_release(host);
    CHECK(!mw_uv_host_step(host, true));
    mw_uv_host_free(host);
}

/* The owner lets go before its post ran, as a worker does whose last act is to post. */
static void a_post_outlives_its_hold(void) {
    mw_host *host = own_loop();
    int ran = 0;
    job a = {.defer.run = on_job, .ran = &ran};
    mw_host_hold(host);
    mw_host_post(host, &a.defer);
    mw_host_release(host);
    run_out(host);
    CHECK_INT(ran, 1);
    mw_uv_host_free(host);
}

typedef struct echo {
    mw_defer defer;
    mw_host *host;
    int left;
} echo;

static void post_again(mw_defer *defer) {
    echo *self = mw_container(defer, echo, defer);
    if (--self->left > 0)
        mw_host_post(self->host, defer);
    else
        mw_host_release(self->host);
}

static void a_post_may_post_itself(void) {
    mw_host *host = own_loop();
    echo e = {.defer.run = post_again, .host = host, .left = 1000};
    mw_host_hold(host);
    mw_host_post(host, &e.defer);
    run_out(host);
    CHECK_INT(e.left, 0);
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"each post runs once", each_post_runs_once},
    {"the last of many posts is not lost", the_last_of_many_posts_is_not_lost},
    {"a hold keeps the loop", a_hold_keeps_the_loop},
    {"another thread may let go", another_thread_may_let_go},
    {"what is posted can be cancelled", what_is_posted_can_be_cancelled},
    {"a post outlives its hold", a_post_outlives_its_hold},
    {"a post may post itself", a_post_may_post_itself},
};
SPEC_MAIN(cases)
