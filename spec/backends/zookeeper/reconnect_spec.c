/* When a connection is left, and when it is tried again. */
#define SPEC_SHARED
#include "rig.h"
#include "world.h"

#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A host whose chance is ours, and whose clock stands still but where the spec lets it go: what is armed is exact. */
static struct {
    mw_host_ops ops;
    const mw_host_ops *real;
    mw_time now, ahead, delays[8];
    int chance, count;
    bool drawn;
} reins;

static mw_time reined_now(mw_host *host) {
    return reins.now;
}

static void reined_random(mw_host *host, void *bytes, size_t len) {
    memset(bytes, reins.chance, len);
    reins.drawn = true;
}

static int reined_timer_start(mw_host *host, mw_timer *timer, mw_time delay) {
    if (reins.drawn && reins.count < 8)
        reins.delays[reins.count++] = delay;
    reins.drawn = false;
    return reins.real->timer_start(host, timer, delay);
}

static void let_clock_go(mw_host *host) {
    reins.now = reins.real->now(host) + reins.ahead;
}

static void rein(mw_host *host, int chance) {
    memset(&reins, 0, sizeof reins);
    reins.real = host->ops;
    reins.ops = *host->ops;
    reins.ops.now = reined_now;
    reins.ops.random = reined_random;
    reins.ops.timer_start = reined_timer_start;
    reins.chance = chance;
    host->ops = &reins.ops;
    let_clock_go(host);
}

static bool drawn(mw_host *host, int count) {
    let_clock_go(host);
    return reins.count >= count;
}

typedef struct scene {
    proxy proxy;
    rig rig;
} scene;

/* With a proxy that takes connections, and with one that does not yet. */
static void scene_begin(scene *s, const char *timeout_ms, const char *verb, int chance) {
    char servers[32];
    mw_error err = {0};
    mw_host *host = rig_host();
    proxy_start(&s->proxy, world_port(1));
    proxy_tell(&s->proxy, "%s", verb);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->proxy.port);
    mw_option options[] = {{"servers", servers}, {"session_timeout_ms", timeout_ms}, {0}};
    rein(host, chance);
    CHECK_INT(rig_try_open(&s->rig, options, host, &err), MW_OK);
}

static void scene_end(scene *s) {
    s->rig.host->ops = reins.real;
    rig_close(&s->rig);
    proxy_stop(&s->proxy);
}

/* Later and later, up to a sixth of the timeout, and by chance between half of that and all. */
static void check_delays(int chance, mw_time share) {
    static const int steps[8] = {20, 40, 80, 160, 320, 400, 400, 400};
    static scene s;
    scene_begin(&s, "2400", "refuse", chance);
    RIG_UNTIL(&s.rig, drawn(s.rig.host, 8));
    for (int i = 0; i < 8; i++)
        CHECK_INT(reins.delays[i], (mw_time)steps[i] * MW_MS * share / 2);
    scene_end(&s);
}

static void tries_again_later_and_later_by_chance(void) {
    check_delays(0, 1);
    check_delays(0xFF, 2);
}

/* Of the connection that stands, after it has stood for so long. */
static mw_time delay_when_broken(scene *s, mw_time age) {
    int before = s->rig.disconnected;
    reins.ahead += age;
    reins.count = 0;
    proxy_tell(&s->proxy, "refuse");
    proxy_tell(&s->proxy, "reset");
    RIG_UNTIL(&s->rig, drawn(s->rig.host, 1));
    CHECK_INT(s->rig.disconnected, before + 1);
    proxy_tell(&s->proxy, "accept");
    RIG_UNTIL(&s->rig, (let_clock_go(s->rig.host), s->rig.connected == before + 2));
    return reins.delays[0];
}

/* One that broke at once is no reason to begin anew. */
static void a_connection_that_stood_for_a_while_counts_as_a_success(void) {
    static scene s;
    scene_begin(&s, "30000", "refuse", 0);
    RIG_UNTIL(&s.rig, drawn(s.rig.host, 4));
    proxy_tell(&s.proxy, "accept");
    RIG_UNTIL(&s.rig, (let_clock_go(s.rig.host), s.rig.connected == 1));
    CHECK(delay_when_broken(&s, 0) >= 160 * MW_MS);
    CHECK_INT(delay_when_broken(&s, s.rig.session.timeout / 3 + MW_MS), 10 * MW_MS);
    scene_end(&s);
}

static void start_read(rig *r, ask *a) {
    memset(a, 0, sizeof *a);
    a->request.kind = MW_READ_STAT;
    a->request.path = mw_str_of("/zookeeper");
    ask_start(r, a);
}

/* Has our socket that leads to this port something to read? */
static bool has_come(int port) {
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        int waiting = 0;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && ntohs(peer.sin_port) == port &&
            ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0)
            return true;
    }
    return false;
}

/* The answer came in time; it is we who are late. */
static void an_answer_that_waits_is_no_silence(void) {
    static scene s;
    ask early, late;
    scene_begin(&s, "20000", "accept", 0);
    RIG_UNTIL(&s.rig, (let_clock_go(s.rig.host), s.rig.connected == 1));
    proxy_tell(&s.proxy, "freeze");
    unsigned long up = proxy_stat(&s.proxy, "bytes-up");
    start_read(&s.rig, &early);
    RIG_UNTIL(&s.rig, proxy_stat(&s.proxy, "bytes-up") > up);
    proxy_tell(&s.proxy, "thaw");
    for (double end = rig_seconds() + RIG_DEADLINE; !has_come(s.proxy.port);)
        CHECK(rig_seconds() < end);
    reins.ahead = s.rig.session.timeout / 6;
    let_clock_go(s.rig.host);
    start_read(&s.rig, &late); /* before the loop reads anything */
    CHECK_INT(ask_wait(&s.rig, &early), MW_OK);
    CHECK_INT(ask_wait(&s.rig, &late), MW_OK);
    CHECK_INT(s.rig.disconnected, 0);
    scene_end(&s);
}

/* The client notices while it sends, and connects again by itself: it is told all the same. */
static void what_breaks_while_we_send_is_told(void) {
    static scene s;
    ask one;
    scene_begin(&s, "20000", "accept", 0);
    RIG_UNTIL(&s.rig, (let_clock_go(s.rig.host), s.rig.connected == 1));
    proxy_tell(&s.proxy, "reset");
    for (double end = rig_seconds() + RIG_DEADLINE; proxy_stat(&s.proxy, "open") > 0;)
        CHECK(rig_seconds() < end);
    start_read(&s.rig, &one); /* before the loop hears of it */
    CHECK_INT(ask_wait(&s.rig, &one), MW_EDISCONNECTED);
    RIG_UNTIL(&s.rig, (let_clock_go(s.rig.host), s.rig.resumed == 1));
    CHECK_INT(s.rig.disconnected, 1);
    scene_end(&s);
}

static const spec_case cases[] = {
    {"tries again later and later, by chance", tries_again_later_and_later_by_chance},
    {"a connection that stood for a while counts as a success",
     a_connection_that_stood_for_a_while_counts_as_a_success},
    {"an answer that waits is no silence", an_answer_that_waits_is_no_silence},
    {"what breaks while we send is told", what_breaks_while_we_send_is_told},
};
SPEC_MAIN(cases)
