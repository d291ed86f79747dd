/* The libuv host: its three ways to lend a thread, and what it promises about timers, defers, polls and threads. */
#include <moonwatch/host_uv.h>

#include "support/check.h"

typedef struct counter {
    mw_timer timer;
    mw_defer defer;
    int ran;
} counter;

static void on_timer(mw_timer *timer) {
    mw_container(timer, counter, timer)->ran++;
}

static void on_defer(mw_defer *defer) {
    mw_container(defer, counter, defer)->ran++;
}

static mw_host *own_loop(void) {
    mw_host *host = NULL;
    CHECK_INT(mw_uv_host_new(NULL, NULL, NULL, &host, NULL), MW_OK);
    return host;
}

static void ends_when_nothing_is_left(void) {
    mw_host *host = own_loop();
    CHECK(!mw_uv_host_step(host, true));
    CHECK_INT(mw_uv_host_timeout(host), -1);
    counter c = {.timer.fire = on_timer, .defer.run = on_defer};
    CHECK_INT(mw_timer_start(host, &c.timer, 0), MW_OK);
    mw_defer_run(host, &c.defer);
    CHECK_INT(mw_uv_host_timeout(host), 0);
    CHECK(!mw_uv_host_step(host, false));
    CHECK_INT(c.ran, 2);
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"ends when nothing is left", ends_when_nothing_is_left},
};
SPEC_MAIN(cases)
