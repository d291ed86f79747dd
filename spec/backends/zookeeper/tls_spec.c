/* TLS: sessions work over it, and no handshake holds the loop. */
#define SPEC_SHARED
#include "tls_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Work */

static void works_over_tls(void) {
    static char large[300000];
    rig r;
    ask a;
    open_tls(&r, (setting){0});
    RIG_UNTIL(&r, r.connected == 1);
    memset(large, 'x', sizeof large - 1);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/large", large, MW_VERSION_ANY, false), MW_OK);
    CHECK_INT(rig_read(&r, &a, MW_READ_GET, "/large"), MW_OK);
    CHECK_INT(a.entries[0].entry.value.len, sizeof large - 1);
    rig_clear(&r, "/large");
    CHECK_INT(warned.lines, 0);
    CHECK_INT(rig_read(&r, &a, MW_READ_VERSION, "/"), MW_EUNSUPPORTED);
    CHECK(strstr(a.err.message, "without TLS only") != NULL);
    rig_close(&r);
}

static void keeps_its_session_over_a_broken_connection(void) {
    rig r;
    ask a;
    proxy p;
    char servers[32];
    proxy_start(&p, secure_port());
    snprintf(servers, sizeof servers, "127.0.0.1:%d", p.port);
    open_tls(&r, (setting){.servers = servers});
    RIG_UNTIL(&r, r.connected == 1);
    proxy_tell(&p, "reset");
    RIG_UNTIL(&r, r.resumed == 1);
    CHECK_INT(rig_read(&r, &a, MW_READ_STAT, "/"), MW_OK);
    rig_close(&r);
    proxy_stop(&p);
}

typedef struct small_ask {
    mw_request request;
    int status;
} small_ask;

static int answered;

static void small_done(mw_request *request, int status, const mw_error *detail) {
    mw_container(request, small_ask, request)->status = status;
    answered++;
}

/* The backend's, the first that leads to this port. */
static int socket_to(int port) {
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && ntohs(peer.sin_port) == port)
            return fd;
    }
    return -1;
}

/* Requests wait half written for a server that stands still, the four bytes of their length among them. */
static void goes_on_where_the_socket_was_full(void) {
    enum { COUNT = 6000 };
    static small_ask asks[COUNT];
    rig r;
    open_tls(&r, (setting){0});
    RIG_UNTIL(&r, r.connected == 1);
    static const int room = 4096; /* little at a time */
    CHECK_INT(setsockopt(socket_to(secure_port()), SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 STOP"), 0);
    answered = 0;
    for (int i = 0; i < COUNT; i++) {
        asks[i] = (small_ask){.request = {.kind = MW_READ_STAT, .path = mw_str_of("/none"), .done = small_done}};
        r.backend->submit(r.conn, &asks[i].request);
    }
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 CONT"), 0);
    RIG_UNTIL(&r, answered == COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK_INT(asks[i].status, MW_ENOT_FOUND);
    CHECK_INT(r.disconnected, 0);
    rig_close(&r);
}

/* Nobody reads any more: that is an error for the client, and no signal for the process. */
static void survives_writing_to_a_server_that_has_gone(void) {
    static char large[200000];
    static ask asks[4];
    rig r;
    open_tls(&r, (setting){0});
    RIG_UNTIL(&r, r.connected == 1);
    memset(large, 'x', sizeof large - 1);
    CHECK_INT(servers_tell("kill 1"), 0);
    struct pollfd end = {.fd = socket_to(secure_port()), .events = POLLRDHUP};
    for (double late = rig_seconds() + RIG_DEADLINE; poll(&end, 1, 0) != 1;)
        CHECK(rig_seconds() < late);
    for (int i = 0; i < 4; i++) {
        memset(&asks[i], 0, sizeof asks[i]);
        ask_write(&asks[i], MW_CREATE, "/gone", large, MW_VERSION_ANY, false);
        ask_start(&r, &asks[i]);
    }
    RIG_UNTIL(&r, r.disconnected == 1);
    CHECK_INT(servers_tell("up 1") + servers_tell("wait"), 0);
    RIG_UNTIL(&r, r.resumed == 1);
    rig_close(&r);
}

static void note_end(void *arg, int status, const mw_error *detail) {
    *(int *)arg = status;
}

static void ends_a_session_of_its_own_over_tls(void) {
    rig r, left;
    int status = 1;
    open_tls(&left, (setting){0});
    RIG_UNTIL(&left, left.connected == 1);
    open_tls(&r, (setting){0});
    RIG_UNTIL(&r, r.connected == 1);
    left.backend->abandon(left.conn);
    RIG_UNTIL(&left, left.closed == 1);
    mw_uv_host_free(left.host);
    r.backend->end_session(r.conn, left.session.id, left.session.secret, note_end, &status);
    RIG_UNTIL(&r, status != 1);
    CHECK_INT(status, MW_OK);
    rig_close(&r);
}

/* ---- Silence. blocking_spec.sh looks at the system calls of this program: none on the loop's thread waits. */

typedef struct silent_server {
    int listener, taken[64], count;
    char address[32];
} silent_server;

static void silent_begin(silent_server *s) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    *s = (silent_server){.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    CHECK(bind(s->listener, (struct sockaddr *)&here, size) == 0 && listen(s->listener, 16) == 0);
    CHECK_INT(getsockname(s->listener, (struct sockaddr *)&here, &size), 0);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%d", ntohs(here.sin_port));
}

static int silent_attempts(silent_server *s) {
    while (s->count < 64 && (s->taken[s->count] = accept(s->listener, NULL, NULL)) >= 0)
        s->count++;
    return s->count;
}

/* Our greeting has come: the handshake is under way. */
static bool silent_was_greeted(silent_server *s) {
    char byte;
    return silent_attempts(s) > 0 && recv(s->taken[s->count - 1], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void silent_end(silent_server *s) {
    close(s->listener);
    while (s->count > 0)
        close(s->taken[--s->count]);
}

typedef struct metronome {
    mw_timer timer;
    mw_host *host;
    int ticks;
} metronome;

static void tick(mw_timer *timer) {
    metronome *m = mw_container(timer, metronome, timer);
    m->ticks++;
    CHECK_INT(mw_timer_start(m->host, timer, MW_MS), MW_OK);
}

static void turn(rig *r, int times) {
    metronome m = {.timer = {.fire = tick}, .host = r->host};
    tick(&m.timer);
    RIG_UNTIL(r, m.ticks > times);
    mw_timer_stop(r->host, &m.timer);
}

static void await_greeting(rig *r, silent_server *s) {
    for (double end = rig_seconds() + RIG_DEADLINE; !silent_was_greeted(s); turn(r, 1))
        CHECK(rig_seconds() < end);
}

/* Its deadline is far, and yet the loop turns. */
static void a_silent_server_holds_no_loop(void) {
    rig r;
    silent_server s;
    silent_begin(&s);
    open_tls(&r, (setting){.servers = s.address, .connect_timeout_ms = "600000"});
    await_greeting(&r, &s);
    turn(&r, 50);
    CHECK_INT(silent_attempts(&s), 1);
    CHECK_INT(r.connected + r.failed, 0);
    rig_close(&r);
    silent_end(&s);
}

static void gives_a_handshake_up_after_connect_timeout(void) {
    rig r;
    silent_server s;
    silent_begin(&s);
    open_tls(&r, (setting){.servers = s.address, .connect_timeout_ms = "100"});
    RIG_UNTIL(&r, silent_attempts(&s) >= 3);
    CHECK_INT(warned.lines, 1);
    CHECK(strstr(warned.last, "no answer in time") != NULL);
    CHECK_INT(r.connected + r.failed, 0);
    rig_close(&r);
    silent_end(&s);
}

/* The thread's client closes it, and before the loop hears of that something else is opened in its place. */
static void leaves_what_took_the_place_of_its_socket(void) {
    rig r;
    silent_server s;
    struct stat stat;
    silent_begin(&s);
    open_tls(&r, (setting){.servers = s.address});
    await_greeting(&r, &s);
    int place = socket_to(atoi(strchr(s.address, ':') + 1));
    close(s.taken[--s.count]);
    for (double end = rig_seconds() + RIG_DEADLINE; fcntl(place, F_GETFD) >= 0;)
        CHECK(rig_seconds() < end);
    int low[64], count = 0; /* what is free below */
    for (int fd = -1; fd != place; low[count++] = fd)
        CHECK(count < 64 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    RIG_UNTIL(&r, silent_attempts(&s) > 0);
    CHECK(fstat(place, &stat) == 0 && S_ISCHR(stat.st_mode));
    while (count > 0)
        close(low[--count]);
    rig_close(&r);
    silent_end(&s);
}

/* Only the close ends the handshake. */
static void closing_waits_for_no_handshake(void) {
    rig r;
    silent_server s;
    silent_begin(&s);
    open_tls(&r, (setting){.servers = s.address, .connect_timeout_ms = "600000"});
    await_greeting(&r, &s);
    r.backend->close(r.conn, 600 * MW_SECOND);
    RIG_UNTIL(&r, r.closed == 1);
    mw_uv_host_free(r.host);
    silent_end(&s);
}

/* It is tried for a while, on its thread, and then reported. */
static void ending_a_session_is_given_up_on_a_silent_server(void) {
    rig r;
    proxy p;
    int status = 1;
    char servers[32];
    proxy_start(&p, secure_port());
    snprintf(servers, sizeof servers, "127.0.0.1:%d", p.port);
    open_tls(&r, (setting){.servers = servers});
    RIG_UNTIL(&r, r.connected == 1);
    proxy_tell(&p, "freeze");
    r.backend->end_session(r.conn, r.session.id + 1, r.session.secret, note_end, &status);
    RIG_UNTIL(&r, status != 1);
    CHECK_INT(status, MW_EDISCONNECTED);
    proxy_tell(&p, "thaw");
    rig_close(&r);
    proxy_stop(&p);
}

/* ---- Limits */

/* The client's handshake would write beyond an fd_set. */
static void uses_no_descriptor_that_select_does_not_know(void) {
    static int taken[1100];
    rig r;
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2000) {
        limit.rlim_cur = 2000;
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    open_tls(&r, (setting){0});
    for (int i = 0; i < 1100; i++)
        CHECK((taken[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    RIG_UNTIL(&r, warned.lines == 1);
    CHECK(strstr(warned.last, "descriptor below 1024") != NULL);
    for (int i = 0; i < 1100; i++)
        close(taken[i]);
    RIG_UNTIL(&r, r.connected == 1);
    rig_close(&r);
}

static const spec_case cases[] = {
    {"works over TLS", works_over_tls},
    {"keeps its session over a broken connection", keeps_its_session_over_a_broken_connection},
    {"goes on where the socket was full", goes_on_where_the_socket_was_full},
    {"survives writing to a server that has gone", survives_writing_to_a_server_that_has_gone},
    {"ends a session of its own over TLS", ends_a_session_of_its_own_over_tls},
    {"a silent server holds no loop", a_silent_server_holds_no_loop},
    {"gives a handshake up after connect_timeout", gives_a_handshake_up_after_connect_timeout},
    {"leaves what took the place of its socket", leaves_what_took_the_place_of_its_socket},
    {"closing waits for no handshake", closing_waits_for_no_handshake},
    {"ending a session is given up on a silent server", ending_a_session_is_given_up_on_a_silent_server},
    {"uses no descriptor that select does not know", uses_no_descriptor_that_select_does_not_know},
};

int main(int argc, char **argv) {
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
