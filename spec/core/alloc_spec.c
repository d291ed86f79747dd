/* Each allocation of the hosts fails once: nothing crashes, nothing is left behind, and the failure is reported. */
#include <moonwatch/host_uv.h>
#include <moonwatch/host_virtual.h>

#include "support/alloc_fail.h"
#include "support/check.h"

#include <unistd.h>

#define TIMERS 200 /* more than a host reserves */

static void no_fire(mw_timer *timer) {}

static void no_run(mw_defer *defer) {}

static void no_ready(mw_poll *poll, unsigned events) {}

/* Arms what there is room for; the refused ones must not be armed. */
static bool arm_many(mw_host *host, mw_timer *timers) {
    bool all = true;
    for (size_t i = 0; i < TIMERS; i++) {
        timers[i] = (mw_timer){.fire = no_fire};
        int status = mw_timer_start(host, &timers[i], i);
        CHECK(status == MW_OK || status == MW_ENO_MEMORY);
        CHECK(mw_timer_armed(&timers[i]) == (status == MW_OK));
        all = all && status == MW_OK;
    }
    return all;
}

static bool uv_scenario(void *arg) {
    mw_host *host = NULL;
    mw_error err;
    int status = mw_uv_host_new(NULL, NULL, NULL, &host, &err);
    if (status != MW_OK) {
        CHECK_INT(err.code, MW_ENO_MEMORY);
        return false;
    }
    static mw_timer timers[TIMERS];
    bool all = arm_many(host, timers);
    for (size_t i = 0; i < TIMERS; i++)
        mw_timer_stop(host, &timers[i]);

    int *pipe_ends = arg;
    mw_poll poll = {.ready = no_ready};
    mw_defer defer = {.run = no_run};
    status = mw_poll_start(host, &poll, pipe_ends[0], MW_READABLE);
    CHECK(status == MW_OK || status == MW_ENO_MEMORY);
    mw_defer_run(host, &defer);
    (void)mw_uv_host_step(host, false);
    mw_poll_stop(host, &poll);
    mw_uv_host_free(host);
    return all && status == MW_OK;
}

static void the_uv_host_survives(void) {
    int pipe_ends[2];
    CHECK_INT(pipe(pipe_ends), 0);
    size_t failures = alloc_fail_each(uv_scenario, pipe_ends, spec.why, sizeof spec.why);
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
    if (failures == 0)
        longjmp(spec.escape, 1);
    CHECK(failures >= 8); /* host, heap, two times it grows, poll: each alone, and with all after it */
}

static bool virtual_scenario(void *arg) {
    mw_world *world = NULL;
    if (mw_world_new(1, &world, NULL) != MW_OK)
        return false;
    static mw_timer timers[TIMERS];
    size_t hosts = 0;
    bool all = true;
    for (; hosts < 20; hosts++) {
        mw_host *host = NULL;
        mw_error err;
        int status = mw_world_host(world, NULL, NULL, &host, &err);
        if (status != MW_OK) {
            CHECK_INT(err.code, MW_ENO_MEMORY);
            all = false;
        } else if (hosts == 0) {
            all = arm_many(host, timers);
        }
    }
    while (mw_world_step(world))
        continue;
    mw_world_free(world);
    return all;
}

static void the_virtual_host_survives(void) {
    if (alloc_fail_each(virtual_scenario, NULL, spec.why, sizeof spec.why) == 0)
        longjmp(spec.escape, 1);
}

/* The harness itself: a spec that cannot fail is worth nothing. */
static bool leaky_scenario(void *arg) {
    void **kept = arg;
    char *first = strdup("first"), *second = first ? malloc(8) : NULL;
    if (!second) {
        *kept = first; /* forgotten when the second fails */
        return false;
    }
    free(first);
    free(second);
    return true;
}

static void a_leak_is_seen(void) {
    void *kept = NULL;
    char why[256] = "";
    CHECK_INT(alloc_fail_each(leaky_scenario, &kept, why, sizeof why), 0);
    free(kept);
    CHECK(strstr(why, "allocation 2 failed: 1 blocks leaked, the first is allocation 1 ("));
}

static const spec_case cases[] = {
    {"the uv host survives", the_uv_host_survives},
    {"the virtual host survives", the_virtual_host_survives},
    {"a leak is seen", a_leak_is_seen},
};
SPEC_MAIN(cases)
