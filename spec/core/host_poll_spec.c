/* Readiness of descriptors on the libuv host. */
#include "host_probe.h"

#include <fcntl.h>
#include <uv.h>

static void sees_readiness_as_a_level(void) {
    mw_host *host = own_loop();
    tape t = {0};
    int ends[2];
    make_pipe(ends);
    probe r = make(host, &t, 'r'), w = make(host, &t, 'w');
    CHECK_INT(mw_poll_start(host, &r.poll, ends[0], MW_READABLE), MW_OK);
    CHECK_INT(mw_poll_start(host, &w.poll, ends[1], MW_WRITABLE), MW_OK);
    CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "w");
    CHECK_INT(w.events, MW_WRITABLE);
    stop(&w);
    CHECK_INT(write(ends[1], "x", 1), 1);
    CHECK(mw_uv_host_step(host, true));
    CHECK(mw_uv_host_step(host, true)); /* not read: still ready */
    CHECK_TEXT(t.text, "wrr");
    CHECK_INT(r.events, MW_READABLE);
    stop(&r);
    stop(&r);
    CHECK(!mw_uv_host_step(host, true));
    close_pipe(ends);
    mw_uv_host_free(host);
}

static void changes_what_it_waits_for(void) {
    mw_host *host = own_loop();
    tape t = {0};
    int ends[2];
    CHECK_INT(uv_socketpair(SOCK_STREAM, 0, ends, 0, 0), 0);
    probe a = make(host, &t, 'a');
    CHECK_INT(mw_poll_start(host, &a.poll, ends[0], MW_READABLE), MW_OK);
    CHECK(mw_uv_host_step(host, false));
    CHECK_TEXT(t.text, "");
    CHECK_INT(mw_poll_start(host, &a.poll, ends[0], MW_READABLE | MW_WRITABLE), MW_OK);
    CHECK(mw_uv_host_step(host, true));
    CHECK_INT(a.events, MW_WRITABLE);
    CHECK_INT(mw_poll_start(host, &a.poll, ends[1], MW_WRITABLE), MW_OK); /* another descriptor */
    CHECK_INT(mw_poll_start(host, &a.poll, ends[1], MW_READABLE), MW_OK);
    CHECK_INT(write(ends[0], "x", 1), 1);
    CHECK(mw_uv_host_step(host, true));
    CHECK_INT(a.events, MW_READABLE);
    stop(&a);
    close_pipe(ends);
    mw_uv_host_free(host);
}

/* ZooKeeper's client closes and reopens its descriptor, mostly under the same number, between two turns. */
static void a_number_may_be_used_again_at_once(void) {
    mw_host *host = own_loop();
    tape t = {0};
    int ends[2], again[2];
    make_pipe(ends);
    CHECK_INT(write(ends[1], "x", 1), 1);
    probe *a = malloc(sizeof *a);
    *a = make(host, &t, 'a');
    CHECK_INT(mw_poll_start(host, &a->poll, ends[0], MW_READABLE), MW_OK);
    CHECK(mw_uv_host_step(host, true));
    stop(a);
    free(a); /* stopped: its memory is its owner's again */
    close_pipe(ends);
    make_pipe(again);
    CHECK_INT(again[0], ends[0]);
    probe b = make(host, &t, 'b');
    CHECK_INT(mw_poll_start(host, &b.poll, again[0], MW_READABLE), MW_OK);
    CHECK(mw_uv_host_step(host, false));
    CHECK_TEXT(t.text, "a");
    CHECK_INT(write(again[1], "y", 1), 1);
    CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "ab");
    stop(&b);
    close_pipe(again);
    mw_uv_host_free(host);
}

static void reports_a_broken_descriptor_until_it_is_stopped(void) {
    mw_host *host = own_loop();
    tape t = {0};
    int ends[2];
    make_pipe(ends);
    probe w = make(host, &t, 'w');
    CHECK_INT(mw_poll_start(host, &w.poll, ends[1], MW_WRITABLE), MW_OK);
    CHECK_INT(close(ends[0]), 0); /* nobody will read: an error on the descriptor */
    for (int i = 0; i < 3; i++)
        CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "www");
    CHECK_INT(w.events, MW_WRITABLE);
    w.victim = &w;
    CHECK(!mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "wwww");
    CHECK_INT(close(ends[1]), 0);
    mw_uv_host_free(host);
}

static void refuses_what_cannot_be_polled(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe a = make(host, &t, 'a');
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK_INT(mw_poll_start(host, &a.poll, file, MW_READABLE), MW_EIO);
    CHECK_INT(close(file), 0);
    CHECK_INT(mw_poll_start(host, &a.poll, file, MW_READABLE), MW_EIO);
    CHECK_INT(a.poll.events, 0);
    mw_poll_stop(host, &a.poll);
    mw_uv_host_free(host);
}

static void a_defer_of_an_event_runs_before_the_loop_sleeps(void) {
    mw_host *host = own_loop();
    tape t = {0};
    int ends[2];
    make_pipe(ends);
    probe r = make(host, &t, 'r'), a = make(host, &t, 'a');
    CHECK_INT(write(ends[1], "x", 1), 1);
    CHECK_INT(mw_poll_start(host, &r.poll, ends[0], MW_READABLE), MW_OK);
    r.next = &a;
    r.victim = &r;
    CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "r");
    CHECK_INT(mw_uv_host_timeout(host), 0);
    CHECK(!mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "ra");
    close_pipe(ends);
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"sees readiness as a level", sees_readiness_as_a_level},
    {"changes what it waits for", changes_what_it_waits_for},
    {"a number may be used again at once", a_number_may_be_used_again_at_once},
    {"reports a broken descriptor until it is stopped", reports_a_broken_descriptor_until_it_is_stopped},
    {"refuses what cannot be polled", refuses_what_cannot_be_polled},
    {"a defer of an event runs before the loop sleeps", a_defer_of_an_event_runs_before_the_loop_sleeps},
};
SPEC_MAIN(cases)
