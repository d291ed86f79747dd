/* Sessions: names, timeouts, renewals, ends. Over the bare SPI, on a real server. */
#include "rig.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_listed(rig *r) {
    ask a;
    CHECK_INT(rig_read(r, &a, MW_READ_SESSIONS, "/"), MW_OK);
    for (size_t i = 0; i < a.count && i < RIG_ENTRIES; i++)
        if (a.entries[i].entry.owner == r->session.id)
            return true;
    return false;
}

static void remove_mark(rig *tidy, const rig *r, int slot) {
    char path[64];
    ask a;
    snprintf(path, sizeof path, "/%016llx-%d", (unsigned long long)r->session.id, slot);
    CHECK_INT(rig_write(tidy, &a, MW_DELETE, path, "", MW_VERSION_ANY, false), MW_OK);
}

/* Somebody tidied up: the session is listed again with its next renewal, and writes go on. */
static void marks_that_are_removed_are_made_again(void) {
    rig r, tidy;
    ask a;
    char servers[256];
    snprintf(servers, sizeof servers, "%s/.moonwatch", rig_servers());
    rig_open_with(&r, rig_host(), rig_servers(), "3000");
    rig_open_with(&tidy, r.host, servers, RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/tidied", "1", 0, false), MW_OK); /* makes the first mark */
    remove_mark(&tidy, &r, 0);
    remove_mark(&tidy, &r, 1);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/tidied", "2", 0, false), MW_OK);
    CHECK_INT(a.written[0].version, 1);
    RIG_UNTIL(&r, is_listed(&r));
    CHECK_INT(rig_write(&r, &a, MW_DELETE, "/tidied", "", MW_VERSION_ANY, false), MW_OK);
    CHECK_INT(r.disconnected, 0);
    rig_end(&tidy);
    rig_close(&r);
}

/* The newest that a write proves: what went out half a tick of the server before it (session.c), at most a quarter of
 * the timeout. */
static void a_renewal_counts_from_before_it(void) {
    rig r;
    rig_open_with(&r, rig_host(), rig_servers(), "6000");
    int handshake = r.confirmed;
    RIG_UNTIL(&r, r.confirmed > handshake);
    CHECK(r.confirmed_at <= mw_host_now(r.host) - r.session.timeout / 4);
    rig_close(&r);
}

static void note_name(void *arg, mw_log_level level, const char *component, const char *line) {
    if (level == MW_LOG_WARN)
        *(unsigned *)arg |= (strncmp(line, "no-such-host.invalid: ", 22) == 0 ? 1 : 0) |
                            (strncmp(line, "nor-this.invalid: ", 18) == 0 ? 2 : 0);
}

/* Each that is wrong is named, though the others do. */
static void looks_names_up_off_the_loop(void) {
    rig r;
    char servers[96];
    mw_host *host = NULL;
    mw_error err;
    unsigned noted = 0;
    CHECK_INT(mw_uv_host_new(NULL, note_name, &noted, &host, &err), MW_OK);
    snprintf(servers, sizeof servers, "no-such-host.invalid:1,localhost:%d,nor-this.invalid:1",
             atoi(strchr(rig_servers(), ':') + 1));
    rig_open_with(&r, host, servers, RIG_TIMEOUT_MS);
    CHECK(r.session.id != 0);
    CHECK_INT(noted, 3);
    rig_close(&r);
}

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static atomic_int slow_lookups;
static sem_t slow_answer;
static atomic_int moved_lookups, once_lookups, failed_lookups;

/* In the place of the system's, for the backend, too: a name server that takes its time, and one that changes its mind.
 */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret_found) {
    lookup_fn *real = NULL;
    if (strcmp(node, "slow.invalid") == 0) {
        atomic_fetch_add(&slow_lookups, 1);
        sem_wait(&slow_answer);
        return EAI_AGAIN;
    }
    if (strcmp(node, "moved.invalid") == 0)
        node = atomic_fetch_add(&moved_lookups, 1) == 0 ? "127.0.0.2" : "127.0.0.1";
    if (strcmp(node, "once.invalid") == 0) {
        if (atomic_fetch_add(&once_lookups, 1) > 0)
            return EAI_AGAIN;
        node = "127.0.0.1";
    }
    if (strcmp(node, "failing.invalid") == 0)
        return atomic_fetch_add(&failed_lookups, 1) < 3 ? EAI_NONAME : EAI_AGAIN;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, ret_found);
}

/* The host is not held by a name server that may answer in a minute, or never. */
static void closing_waits_for_no_name(void) {
    rig r;
    mw_error err = {0};
    mw_option options[] = {{"servers", "slow.invalid:1"}, {0}};
    sem_init(&slow_answer, 0, 0);
    CHECK_INT(rig_try_open(&r, options, rig_host(), &err), MW_OK);
    for (double end = rig_seconds() + RIG_DEADLINE; atomic_load(&slow_lookups) == 0;) {
        CHECK(rig_seconds() < end);
        mw_uv_host_step(r.host, false); /* nothing would wake it */
    }
    rig_close(&r);
    sem_post(&slow_answer);
}

/* Nobody listens where it stood first. */
static void looks_again_where_a_name_has_moved(void) {
    rig r;
    char servers[64];
    snprintf(servers, sizeof servers, "moved.invalid:%d", atoi(strchr(rig_servers(), ':') + 1));
    rig_open_with(&r, rig_host(), servers, RIG_TIMEOUT_MS);
    CHECK_INT(atomic_load(&moved_lookups), 2);
    rig_close(&r);
}

static void count_name(void *arg, mw_log_level level, const char *component, const char *line) {
    *(int *)arg += strncmp(line, "failing.invalid: ", 17) == 0;
}

/* It is looked up for as long as it fails; the log has one line of each reason. The first five are over once a sixth
 * has begun. */
static void says_once_why_a_name_fails(void) {
    rig r;
    mw_host *host = NULL;
    mw_error err;
    int said = 0;
    mw_option options[] = {{"servers", "failing.invalid:1"}, {0}};
    CHECK_INT(mw_uv_host_new(NULL, count_name, &said, &host, &err), MW_OK);
    CHECK_INT(rig_try_open(&r, options, host, &err), MW_OK);
    RIG_UNTIL(&r, atomic_load(&failed_lookups) >= 6);
    CHECK_INT(said, 2);
    rig_close(&r);
}

/* Servers and name server are gone for a while, the servers come back first. */
static void keeps_the_addresses_that_it_knew(void) {
    rig r;
    char servers[64];
    snprintf(servers, sizeof servers, "once.invalid:%d", atoi(strchr(rig_servers(), ':') + 1));
    rig_open_with(&r, rig_host(), servers, RIG_TIMEOUT_MS);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1"), 0);
    RIG_UNTIL(&r, atomic_load(&once_lookups) > 1);
    r.backend->expire(r.conn); /* the core's deadline */
    RIG_UNTIL(&r, r.expired == 1);
    CHECK_INT(system("$ZK_CTL up $ZK_DIR 1 && $ZK_CTL wait $ZK_DIR"), 0);
    RIG_UNTIL(&r, r.connected == 2);
    rig_close(&r);
}

static void note_closed(void *arg) {
    *(bool *)arg = true;
}

static void note_timeouts(void *arg, mw_log_level level, const char *component, const char *line) {
    *(bool *)arg |= level == MW_LOG_INFO && strstr(line, "timeout 60000 ms (asked for 3000000)") != NULL;
}

/* The server has the last word on the timeout (zookeeper_server.sh: at most 60 s); it is logged, and it counts. */
static void counts_on_the_timeout_that_the_server_grants(void) {
    rig r;
    mw_host *host = NULL;
    mw_error err;
    bool noted = false;
    CHECK_INT(mw_uv_host_new(NULL, note_timeouts, &noted, &host, &err), MW_OK);
    rig_open_with(&r, host, rig_servers(), "3000000");
    CHECK_INT(r.session.timeout, 60 * MW_SECOND);
    CHECK(noted);
    rig_close(&r);
    mw_registry *registry = NULL;
    bool closed = false;
    mw_option options[] = {{"servers", rig_servers()}, {"session_timeout_ms", "3000000"}, {0}};
    host = rig_host();
    mw_registry_config config = {.host = host, .backend = r.backend, .options = options, .name = "spec"};
    CHECK_INT(mw_registry_open(&config, &registry, &err), MW_OK);
    RIG_UNTIL(&(rig){.host = host}, mw_registry_state(registry) == MW_CONNECTED);
    CHECK(mw_registry_deadline(registry) > mw_host_now(host));
    CHECK(mw_registry_deadline(registry) <= mw_host_now(host) + 60 * MW_SECOND);
    mw_registry_close(registry, MW_SECOND, note_closed, &closed);
    RIG_UNTIL(&(rig){.host = host}, closed);
    mw_uv_host_free(host);
}

/* Takes connections and says nothing. */
typedef struct deaf_server {
    int listener, taken[64], count;
    char address[32];
} deaf_server;

static void deaf_begin(deaf_server *d) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&here, size) == 0 && listen(fd, 16) == 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&here, &size), 0);
    *d = (deaf_server){.listener = fd};
    snprintf(d->address, sizeof d->address, "127.0.0.1:%d", ntohs(here.sin_port));
}

static int deaf_attempts(deaf_server *d) {
    while (d->count < 64 && (d->taken[d->count] = accept(d->listener, NULL, NULL)) >= 0)
        d->count++;
    return d->count;
}

static void deaf_end(deaf_server *d) {
    close(d->listener);
    while (d->count > 0)
        close(d->taken[--d->count]);
}

/* Without it, an attempt would last a third of the session's timeout: longer than this spec has patience. */
static void gives_an_attempt_up_after_connect_timeout(void) {
    rig r;
    deaf_server deaf;
    mw_error err = {0};
    deaf_begin(&deaf);
    mw_option options[] = {
        {"servers", deaf.address}, {"session_timeout_ms", "120000"}, {"connect_timeout_ms", "100"}, {0}};
    CHECK_INT(rig_try_open(&r, options, rig_host(), &err), MW_OK);
    RIG_UNTIL(&r, deaf_attempts(&deaf) >= 4);
    CHECK_INT(r.connected, 0);
    rig_close(&r);
    deaf_end(&deaf);
}

/* ---- Closing */

/* A server that stands still is given up after `patience`; nobody waits for zookeeper_close (blocking_spec.sh looks at
 * the system calls of this case). */
static void closing_is_bounded_on_a_frozen_server(void) {
    rig r;
    rig_open(&r);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 STOP"), 0);
    r.backend->close(r.conn, 200 * MW_MS);
    RIG_UNTIL(&r, r.closed == 1);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 CONT"), 0);
    mw_uv_host_free(r.host);
}

/* The core's deadline passes, and whoever hears of it closes, all in one turn. */
static void closing_ends_a_session_that_was_just_given_up(void) {
    rig r;
    rig_open(&r);
    r.backend->expire(r.conn);
    rig_close(&r);
    CHECK_INT(r.connected, 1);
}

static void end_noted(void *arg, int status, const mw_error *detail) {
    *(int *)arg = status;
}

static void closing_waits_for_no_end_of_a_session(void) {
    rig r;
    int status = 1;
    rig_open(&r);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 STOP"), 0);
    r.backend->end_session(r.conn, r.session.id + 1, r.session.secret, end_noted, &status);
    r.backend->close(r.conn, 0);
    RIG_UNTIL(&r, r.closed == 1);
    CHECK_INT(status, MW_ECLOSED);
    CHECK_INT(system("$ZK_CTL kill $ZK_DIR 1 CONT"), 0);
    mw_uv_host_free(r.host);
}

static const spec_case cases[] = {
    {"marks that are removed are made again", marks_that_are_removed_are_made_again},
    {"a renewal counts from before it", a_renewal_counts_from_before_it},
    {"looks names up off the loop", looks_names_up_off_the_loop},
    {"looks again where a name has moved", looks_again_where_a_name_has_moved},
    {"keeps the addresses that it knew", keeps_the_addresses_that_it_knew},
    {"says once why a name fails", says_once_why_a_name_fails},
    {"closing waits for no name", closing_waits_for_no_name},
    {"counts on the timeout that the server grants", counts_on_the_timeout_that_the_server_grants},
    {"gives an attempt up after connect_timeout", gives_an_attempt_up_after_connect_timeout},
    {"closing is bounded on a frozen server", closing_is_bounded_on_a_frozen_server},
    {"closing ends a session that was just given up", closing_ends_a_session_that_was_just_given_up},
    {"closing waits for no end of a session", closing_waits_for_no_end_of_a_session},
};
SPEC_MAIN(cases)
