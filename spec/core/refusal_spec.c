/* A backend that is refused while it connects: whoever waits hears why, and so does whoever comes later. */
#include <moonwatch/host_virtual.h>
#include <moonwatch/registry.h>

#include "support/check.h"

#define S(text) mw_str_of(text)
#define WHY "127.0.0.1: the server refuses the account 'bob'"

/* ---- A backend whose server says no after a second */

typedef struct refused_conn {
    mw_host *host;
    const mw_conn_events *events;
    void *arg;
    mw_timer answer;
    mw_defer end;
} refused_conn;

static refused_conn server; /* the one connection of a case */

static void refuse(mw_timer *timer) {
    mw_error why;
    (void)mw_fail(&why, MW_EDENIED, WHY);
    server.events->failed(server.arg, MW_EDENIED, &why);
}

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    server = (refused_conn){.host = config->host, .events = config->events, .arg = config->events_arg};
    server.answer.fire = refuse;
    *ret_conn = (mw_conn *)(void *)&server;
    return mw_timer_start(server.host, &server.answer, MW_SECOND);
}

static void ended(mw_defer *defer) {
    server.events->closed(server.arg);
}

static void abandon_conn(mw_conn *conn) {
    mw_timer_stop(server.host, &server.answer);
    server.end.run = ended;
    mw_defer_run(server.host, &server.end);
}

static void close_conn(mw_conn *conn, mw_time patience) {
    abandon_conn(conn);
}

static void expire_conn(mw_conn *conn) {}

static void submit(mw_conn *conn, mw_request *request) {
    CHECK(!"nothing is submitted without a session");
}

static bool cancel(mw_conn *conn, mw_request *request) {
    return true;
}

static int watch(mw_conn *conn, mw_feed *feed) {
    return MW_OK;
}

static void unwatch(mw_conn *conn, mw_feed *feed) {}

static void no_lock(mw_conn *conn, mw_ticket *ticket) {
    CHECK(!"no lock without a session");
}

static void no_end(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                   void (*done)(void *arg, int status, const mw_error *detail), void *arg) {
    CHECK(!"no session is ended without one");
}

static const mw_requirement no_options[] = {{0}};
static const mw_backend backend = {.size = sizeof backend,
                                   .abi = MW_BACKEND_ABI,
                                   .name = "refusing",
                                   .library = "none",
                                   .options = no_options,
                                   .open = open_conn,
                                   .close = close_conn,
                                   .abandon = abandon_conn,
                                   .expire = expire_conn,
                                   .submit = submit,
                                   .cancel = cancel,
                                   .watch = watch,
                                   .unwatch = unwatch,
                                   .lock = no_lock,
                                   .unlock = no_lock,
                                   .end_session = no_end};

/* ---- A client of it */

static struct {
    mw_world *world;
    mw_host *host;
    mw_registry *registry;
    bool closed;
} on;

/* What one party heard at the end. */
typedef struct verdict {
    unsigned times;
    int status;
    char message[384];
} verdict;

static void hear(verdict *to, int status, const char *message) {
    to->times++;
    to->status = status;
    snprintf(to->message, sizeof to->message, "%s", message);
}

static void op_done(void *arg, const mw_result *result) {
    hear(arg, result->status, result->error->message);
}

static void on_state(void *arg, const mw_connection_event *event) {
    if (event->state == MW_CLOSED)
        hear(arg, event->status, event->reason);
    else
        CHECK_INT(event->status, MW_OK);
}

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {
    hear(arg, status, error->message);
}

static void told(void *arg, const mw_error *why) {
    hear(arg, why->code, why->message);
}

static void no_event(void *arg, const mw_event *event) {}

static void registered(void *arg, int status, const mw_error *error) {
    hear(arg, status, error->message);
}

static const mw_lock_events lock_events = {.acquired = acquired, .lost = told};
static const mw_election_events election_events = {.deposed = told, .failed = told};
static const mw_registration_events registration_events = {.registered = registered};

static void open_registry(void) {
    on.closed = false;
    CHECK_INT(mw_world_new(1, &on.world, NULL), MW_OK);
    CHECK_INT(mw_world_host(on.world, NULL, NULL, &on.host, NULL), MW_OK);
    mw_registry_config config = {.host = on.host, .backend = &backend};
    CHECK_INT(mw_registry_open(&config, &on.registry, NULL), MW_OK);
}

static void on_closed(void *arg) {
    on.closed = true;
}

static void close_registry(void) {
    CHECK_INT(mw_registry_handles(on.registry), 0);
    mw_registry_close(on.registry, MW_SECOND, on_closed, NULL);
    mw_world_advance(on.world, MW_SECOND);
    CHECK(on.closed);
    CHECK_INT(mw_virtual_pending(on.host), 0);
    mw_world_free(on.world);
}

#define CHECK_REFUSED(verdict)                                                                                         \
    do {                                                                                                               \
        CHECK_INT((verdict).times, 1);                                                                                 \
        CHECK_INT((verdict).status, MW_EDENIED);                                                                       \
        CHECK_TEXT((verdict).message, WHY);                                                                            \
    } while (0)

static void everyone_who_waits_hears_why(void) {
    verdict state = {0}, op = {0}, held = {0}, elected = {0}, watched = {0}, visible = {0};
    mw_lock *lock = NULL;
    mw_election *election = NULL;
    mw_subscription *sub = NULL;
    mw_registration *registration = NULL;
    open_registry();
    mw_listener *listener = mw_listen(on.registry, on_state, &state);
    mw_call call = {.timeout = MW_FOREVER, .done = op_done, .arg = &op};
    CHECK_INT(mw_get(on.registry, S("/a"), &call, NULL, NULL), MW_OK);
    CHECK_INT(mw_lock_new(on.registry, S("/l"), S(""), &lock_events, &held, &lock, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(lock, MW_FOREVER, false, NULL), MW_OK);
    CHECK_INT(mw_election_new(on.registry, S("/e"), S(""), &election_events, &elected, &election, NULL), MW_OK);
    CHECK_INT(mw_subscribe(on.registry, S("/s"), MW_DEPTH_CHILDREN, no_event, told, &watched, &sub, NULL), MW_OK);
    CHECK_INT(
        mw_register(on.registry, S("/r"), S("v"), MW_FOREVER, &registration_events, &visible, &registration, NULL),
        MW_OK);
    mw_world_advance(on.world, 2 * MW_SECOND);
    CHECK_REFUSED(state);
    CHECK_REFUSED(op);
    CHECK_REFUSED(held);
    CHECK_REFUSED(elected);
    CHECK_REFUSED(watched);
    CHECK_REFUSED(visible);
    mw_registration_free(registration);
    mw_unsubscribe(sub);
    mw_election_free(election);
    mw_lock_free(lock);
    mw_unlisten(listener);
    close_registry();
}

static void whoever_comes_later_hears_why(void) {
    verdict late = {0};
    mw_error err;
    mw_lock *lock = NULL;
    mw_call call = {0};
    open_registry();
    mw_world_advance(on.world, 2 * MW_SECOND);
    mw_listener *listener = mw_listen(on.registry, on_state, &late);
    CHECK_INT(mw_get(on.registry, S("/a"), &call, NULL, &err), MW_EDENIED);
    CHECK_TEXT(err.message, WHY);
    CHECK_INT(mw_lock_new(on.registry, S("/l"), S(""), &lock_events, NULL, &lock, &err), MW_EDENIED);
    mw_world_advance(on.world, MW_SECOND);
    CHECK_REFUSED(late);
    mw_unlisten(listener);
    close_registry();
}

static void closing_by_oneself_is_no_failure(void) {
    verdict state = {0};
    open_registry();
    mw_listener *listener = mw_listen(on.registry, on_state, &state);
    mw_registry_close(on.registry, MW_SECOND, on_closed, NULL);
    mw_world_advance(on.world, MW_SECOND);
    CHECK(on.closed);
    CHECK_INT(state.times, 1);
    CHECK_INT(state.status, MW_OK);
    mw_unlisten(listener);
    mw_world_free(on.world);
}

static const spec_case cases[] = {
    {"everyone who waits hears why", everyone_who_waits_hears_why},
    {"whoever comes later hears why", whoever_comes_later_hears_why},
    {"closing by oneself is no failure", closing_by_oneself_is_no_failure},
};
SPEC_MAIN(cases)
