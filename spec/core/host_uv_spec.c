/* The libuv host: its three ways to lend a thread, and what it promises about timers, defers and polls. Other threads
 * are in host_thread_spec.c. */
#include <moonwatch/host_uv.h>

#include "support/check.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <uv.h>

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

static void stop(probe *self) {
    mw_timer_stop(self->host, &self->timer);
    mw_defer_cancel(self->host, &self->defer);
    mw_poll_stop(self->host, &self->poll);
}

static void mark(probe *self) {
    if (self->tape->len < sizeof self->tape->text - 1)
        self->tape->text[self->tape->len++] = self->letter;
    if (self->next)
        mw_defer_run(self->host, &self->next->defer);
    if (self->victim)
        stop(self->victim);
}

static void on_timer(mw_timer *timer) {
    probe *self = mw_container(timer, probe, timer);
    CHECK(!mw_timer_armed(timer));
    CHECK(mw_host_now(self->host) - self->began >= self->wait);
    mark(self);
    if (self->again)
        CHECK_INT(mw_timer_start(self->host, timer, 0), MW_OK);
}

static void on_defer(mw_defer *defer) {
    probe *self = mw_container(defer, probe, defer);
    mark(self);
    if (self->again)
        mw_defer_run(self->host, defer);
}

static void on_ready(mw_poll *poll, unsigned events) {
    probe *self = mw_container(poll, probe, poll);
    self->events = events;
    mark(self);
}

static probe make(mw_host *host, tape *t, char letter) {
    return (probe){.timer.fire = on_timer,
                   .defer.run = on_defer,
                   .poll.ready = on_ready,
                   .host = host,
                   .tape = t,
                   .letter = letter};
}

static void start(probe *self, mw_time delay) {
    self->began = mw_host_now(self->host);
    self->wait = delay;
    CHECK_INT(mw_timer_start(self->host, &self->timer, delay), MW_OK);
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

static void make_pipe(int ends[2]) {
    CHECK_INT(pipe(ends), 0);
}

static void close_pipe(const int ends[2]) {
    CHECK_INT(close(ends[0]) | close(ends[1]), 0);
}

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
    {"runs defers in order and their defers soon", runs_defers_in_order_and_their_defers_soon},
    {"does not sleep after it ran something", does_not_sleep_after_it_ran_something},
    {"nothing starves the rest", nothing_starves_the_rest},
    {"sees readiness as a level", sees_readiness_as_a_level},
    {"changes what it waits for", changes_what_it_waits_for},
    {"a number may be used again at once", a_number_may_be_used_again_at_once},
    {"reports a broken descriptor until it is stopped", reports_a_broken_descriptor_until_it_is_stopped},
    {"refuses what cannot be polled", refuses_what_cannot_be_polled},
    {"a defer of an event runs before the loop sleeps", a_defer_of_an_event_runs_before_the_loop_sleeps},
    {"serves another kind of loop", serves_another_kind_of_loop},
    {"leaves the application's loop alone", leaves_the_applications_loop_alone},
    {"may be freed in a callback on the application's loop", may_be_freed_in_a_callback_on_the_applications_loop},
    {"random bytes differ", random_bytes_differ},
};
SPEC_MAIN(cases)
