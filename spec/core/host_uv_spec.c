/* The libuv host: its three ways to lend a thread, and what it promises about timers and defers. Polls are in
 * host_poll_spec.c, other threads in host_thread_spec.c. */
#include "host_probe.h"

#include <poll.h>
#include <uv.h>

static void ends_when_nothing_is_left(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    CHECK(!mw_uv_host_step(host, true));
    CHECK_INT(mw_uv_host_timeout(host), -1);
    start(&b, 0);
    mw_defer_run(host, &a.defer);
    CHECK_INT(mw_uv_host_timeout(host), 0);
    CHECK(!mw_uv_host_step(host, false)); /* both ran in this turn */
    CHECK_TEXT(t.text, "ba");
    mw_uv_host_free(host);
    mw_uv_host_free(NULL);
}

static void fires_in_order_and_never_early(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe p[5];
    static const mw_time delays[] = {2 * MW_MS, 300, 2 * MW_MS + 1, 0, MW_MS};
    for (size_t i = 0; i < 5; i++) {
        p[i] = make(host, &t, (char)('a' + i));
        start(&p[i], delays[i]);
    }
    run_out(host);
    CHECK_INT(t.len, 5);
    for (size_t i = 1; i < t.len; i++)
        CHECK(p[t.text[i - 1] - 'a'].timer.due <= p[t.text[i] - 'a'].timer.due);
    mw_uv_host_free(host);
}

static void stops_and_moves_timers(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b'), c = make(host, &t, 'c');
    start(&a, MW_FOREVER);
    start(&a, 0);
    start(&b, 0);
    start(&c, 0);
    a.victim = &b;
    run_out(host);
    CHECK_TEXT(t.text, "ac");
    start(&a, 0);
    start(&a, 3600 * MW_SECOND);
    CHECK(mw_uv_host_step(host, false));
    CHECK_TEXT(t.text, "ac");
    start(&b, 0); /* due before the one that the loop waits for */
    CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "acb");
    stop(&a);
    CHECK(!mw_uv_host_step(host, true));
    mw_uv_host_free(host);
}

/* Deadlines count a suspend: so must what wakes the loop for them. */
static void its_alarm_rings_on_the_clock_of_deadlines(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe hour = make(host, &t, 'h');
    start(&hour, 3600 * MW_SECOND);
    unsigned alarms = 0;
    for (int fd = 0; fd < 256; fd++) {
        char name[64], line[256] = "";
        snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
        FILE *info = fopen(name, "r");
        int clock = -1;
        long long seconds = -1;
        while (info && fgets(line, sizeof line, info)) {
            (void)sscanf(line, "clockid: %d", &clock);
            (void)sscanf(line, "it_value: (%lld", &seconds);
        }
        if (info)
            (void)fclose(info);
        if (clock < 0)
            continue;
        alarms++;
        CHECK_INT(clock, CLOCK_BOOTTIME);
        CHECK(seconds > 0 && seconds <= 3600);
    }
    CHECK_INT(alarms, 1);
    stop(&hour);
    mw_uv_host_free(host);
}

static void runs_defers_in_order_and_their_defers_soon(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b'), c = make(host, &t, 'c'), d = make(host, &t, 'd');
    a.next = &d;
    a.victim = &b;
    mw_defer_run(host, &a.defer);
    mw_defer_run(host, &b.defer);
    mw_defer_run(host, &c.defer);
    mw_defer_run(host, &a.defer); /* queued already: keeps its place */
    run_out(host);
    CHECK_TEXT(t.text, "acd");
    mw_uv_host_free(host);
}

/* The caller waits for what the turn did; it would sleep until the next renewal. */
static void does_not_sleep_after_it_ran_something(void) {
    mw_host *host = own_loop();
    tape t = {0};
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b'), c = make(host, &t, 'c'), hour = make(host, &t, 'h');
    start(&hour, 3600 * MW_SECOND);
    mw_defer_run(host, &a.defer);
    a.next = &b;
    CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "ab");
    start(&c, 0);
    CHECK(mw_uv_host_step(host, true));
    CHECK_TEXT(t.text, "abc");
    start(&c, MW_MS); /* and it does sleep for what is to come */
    while (t.len < 4)
        CHECK(mw_uv_host_step(host, true));
    stop(&hour);
    CHECK(!mw_uv_host_step(host, true));
    mw_uv_host_free(host);
}

/* What starts itself again and again leaves the others their turn. */
static void nothing_starves_the_rest(void) {
    mw_host *host = own_loop();
    tape greedy = {0}, t = {0};
    int ends[2];
    make_pipe(ends);
    probe a = make(host, &greedy, 'a'), b = make(host, &greedy, 'b'), c = make(host, &t, 'c');
    a.again = b.again = true;
    start(&a, 0);
    mw_defer_run(host, &b.defer);
    CHECK_INT(mw_poll_start(host, &c.poll, ends[1], MW_WRITABLE), MW_OK);
    CHECK(mw_uv_host_step(host, false));
    CHECK(mw_uv_host_step(host, false));
    CHECK(strchr(greedy.text, 'a') && strchr(greedy.text, 'b'));
    CHECK(t.text[0] == 'c');
    stop(&a);
    stop(&b);
    stop(&c);
    close_pipe(ends);
    mw_uv_host_free(host);
}

static void serves_another_kind_of_loop(void) {
    mw_host *host = own_loop();
    tape t = {0};
    int ends[2];
    make_pipe(ends);
    probe r = make(host, &t, 'r'), a = make(host, &t, 'a');
    r.victim = &r;
    CHECK_INT(mw_poll_start(host, &r.poll, ends[0], MW_READABLE), MW_OK);
    CHECK_INT(mw_uv_host_timeout(host), 0); /* it has to tell the kernel first */
    CHECK(mw_uv_host_step(host, false));
    CHECK_INT(mw_uv_host_timeout(host), -1);
    CHECK_INT(write(ends[1], "x", 1), 1);
    struct pollfd outer = {.fd = mw_uv_host_fd(host), .events = POLLIN};
    CHECK_INT(poll(&outer, 1, 10000), 1);
    CHECK(!mw_uv_host_step(host, false));
    CHECK_TEXT(t.text, "r");
    start(&a, 20 * MW_MS);
    CHECK(mw_uv_host_timeout(host) <= 20);
    while (mw_uv_host_step(host, false))
        (void)poll(&outer, 1, mw_uv_host_timeout(host));
    CHECK_TEXT(t.text, "ra");
    close_pipe(ends);
    mw_uv_host_free(host);
}

static void leaves_the_applications_loop_alone(void) {
    uv_loop_t loop;
    tape t = {0};
    mw_host *host = NULL;
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_INT(mw_uv_host_new(&loop, NULL, NULL, &host, NULL), MW_OK);
    CHECK(mw_uv_host_loop(host) == &loop);
    CHECK_INT(uv_run(&loop, UV_RUN_DEFAULT), 0); /* idle: it does not hold the loop */
    probe a = make(host, &t, 'a'), b = make(host, &t, 'b');
    start(&a, MW_MS);
    a.next = &b;
    CHECK_INT(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK_TEXT(t.text, "ab");
    mw_uv_host_free(host);
    CHECK_INT(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static void free_host(mw_defer *defer) {
    mw_uv_host_free(mw_container(defer, probe, defer)->host);
}

static void may_be_freed_in_a_callback_on_the_applications_loop(void) {
    uv_loop_t loop;
    tape t = {0};
    mw_host *host = NULL;
    int ends[2];
    make_pipe(ends);
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_INT(mw_uv_host_new(&loop, NULL, NULL, &host, NULL), MW_OK);
    probe a = make(host, &t, 'a');
    CHECK_INT(mw_poll_start(host, &a.poll, ends[0], MW_READABLE), MW_OK);
    mw_poll_stop(host, &a.poll); /* its handle closes together with the host's */
    a.defer.run = free_host;
    mw_defer_run(host, &a.defer);
    CHECK_INT(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK_INT(uv_loop_close(&loop), 0);
    close_pipe(ends);
}

static void random_bytes_differ(void) {
    mw_host *host = own_loop();
    unsigned char a[1000] = {0}, b[1000] = {0};
    mw_host_random(host, a, sizeof a);
    mw_host_random(host, b, sizeof b);
    CHECK(memcmp(a, b, 500) != 0 && memcmp(a + 500, b + 500, 500) != 0);
    mw_host_random(host, a, 0);
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"ends when nothing is left", ends_when_nothing_is_left},
    {"fires in order and never early", fires_in_order_and_never_early},
    {"stops and moves timers", stops_and_moves_timers},
    {"its alarm rings on the clock of deadlines", its_alarm_rings_on_the_clock_of_deadlines},
    {"runs defers in order and their defers soon", runs_defers_in_order_and_their_defers_soon},
    {"does not sleep after it ran something", does_not_sleep_after_it_ran_something},
    {"nothing starves the rest", nothing_starves_the_rest},
    {"serves another kind of loop", serves_another_kind_of_loop},
    {"leaves the application's loop alone", leaves_the_applications_loop_alone},
    {"may be freed in a callback on the application's loop", may_be_freed_in_a_callback_on_the_applications_loop},
    {"random bytes differ", random_bytes_differ},
};
SPEC_MAIN(cases)
