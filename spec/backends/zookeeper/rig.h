/* A connection to a real server over the bare SPI, driven step by step: what happened is written down, and a spec waits
 * for conditions, never for times. ZK_SERVERS names the servers (spec/support/zookeeper_server.sh run). */
#ifndef SPEC_ZOOKEEPER_RIG_H
#define SPEC_ZOOKEEPER_RIG_H

#include <moonwatch/host_uv.h>
#include <moonwatch/registry.h>

#include <stdarg.h>
#include <time.h>

#include "support/check.h"

#define RIG_DEADLINE 20 /* seconds; only a spec that fails waits that long */

/* Of sessions whose end is no part of the spec: a connection that is silent for a seventh of it is left, and what is
 * under way on it is not submitted again here, where the core is missing. */
#define RIG_TIMEOUT_MS "20000"

typedef struct rig {
    mw_host *host;
    const mw_backend *backend;
    mw_conn *conn;
    mw_session_info session;
    int connected, resumed, disconnected, expired, confirmed, failed, closed;
    mw_time confirmed_at;
    mw_error why;
    bool verbose;
} rig;

static inline void rig_log(void *arg, mw_log_level level, const char *component, const char *line) {
    if (getenv("RIG_LOG"))
        fprintf(stderr, "# %s: %s\n", component, line);
}

static inline void rig_on_connected(void *arg, const mw_session_info *session) {
    rig *r = arg;
    r->session = *session;
    r->connected++;
    r->resumed += session->resumed;
}
static inline void rig_on_disconnected(void *arg, const mw_error *why) {
    rig *r = arg;
    r->disconnected++;
    r->why = *why;
}
static inline void rig_on_expired(void *arg, const mw_error *why) {
    rig *r = arg;
    r->expired++;
    r->why = *why;
}
static inline void rig_on_confirmed(void *arg, mw_time at) {
    rig *r = arg;
    r->confirmed++;
    r->confirmed_at = at;
}
static inline void rig_on_failed(void *arg, int status, const mw_error *why) {
    rig *r = arg;
    r->failed = status;
    r->why = *why;
}
static inline void rig_on_closed(void *arg) {
    ((rig *)arg)->closed++;
}

static const mw_conn_events rig_events = {rig_on_connected, rig_on_disconnected, rig_on_expired,
                                          rig_on_confirmed, rig_on_failed,       rig_on_closed};

static inline double rig_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Run the loop until `condition` holds. */
#define RIG_UNTIL(r, condition)                                                                                        \
    do {                                                                                                               \
        double rig_end = rig_seconds() + RIG_DEADLINE;                                                                 \
        while (!(condition)) {                                                                                         \
            if (rig_seconds() > rig_end) {                                                                             \
                snprintf(spec.why, sizeof spec.why, "%s:%d: waited in vain for %s (last error: %.200s)", __FILE__,     \
                         __LINE__, #condition, (r)->why.message);                                                      \
                longjmp(spec.escape, 1);                                                                               \
            }                                                                                                          \
            mw_uv_host_step((r)->host, true);                                                                          \
        }                                                                                                              \
    } while (0)

static inline const char *rig_servers(void) {
    const char *servers = getenv("ZK_SERVERS");
    if (!servers) {
        printf("Bail out! ZK_SERVERS is not set; run me with spec/support/zookeeper_server.sh run 1\n");
        exit(EXIT_FAILURE);
    }
    return servers;
}

static inline void rig_tick(mw_timer *timer) {}

static inline int rig_try_open(rig *r, const mw_option *options, mw_host *host, mw_error *err) {
    *r = (rig){.host = host};
    int status = mw_backend_find("zookeeper", NULL, &r->backend, err);
    if (status != MW_OK)
        return status;
    mw_conn_config config = {host, options, mw_str_of("spec"), &rig_events, r};
    return r->backend->open(r->backend, &config, &r->conn, err);
}

static inline mw_host *rig_host(void) {
    mw_host *host = NULL;
    mw_error err;
    CHECK_INT(mw_uv_host_new(NULL, rig_log, NULL, &host, &err), MW_OK);
    return host;
}

static inline void rig_open_with(rig *r, mw_host *host, const char *servers, const char *timeout_ms) {
    mw_error err = {0};
    mw_option options[] = {{"servers", servers}, {"session_timeout_ms", timeout_ms}, {0}};
    if (rig_try_open(r, options, host, &err) != MW_OK)
        printf("# %s\n", err.message);
    CHECK(r->conn != NULL);
    RIG_UNTIL(r, r->connected == 1);
}

static inline void rig_open(rig *r) {
    rig_open_with(r, rig_host(), rig_servers(), RIG_TIMEOUT_MS);
}

static inline void rig_end(rig *r) {
    r->backend->close(r->conn, 5 * MW_SECOND);
    RIG_UNTIL(r, r->closed == 1);
}

static inline void rig_close(rig *r) {
    rig_end(r);
    mw_uv_host_free(r->host);
}

/* ---- Requests */

#define RIG_ENTRIES 64

typedef struct ask {
    mw_request request;
    mw_write writes[8];
    mw_written written[8];
    int status; /* 1 = not yet */
    mw_error err;
    size_t count;
    struct {
        char path[256], value[256];
        mw_entry entry;
    } entries[RIG_ENTRIES];
} ask;

static inline void ask_entry(mw_request *request, const mw_entry *entry) {
    ask *a = mw_container(request, ask, request);
    size_t i = a->count++;
    if (i >= RIG_ENTRIES)
        return;
    a->entries[i].entry = *entry;
    snprintf(a->entries[i].path, 256, "%.*s", MW_STR_FMT(entry->path));
    snprintf(a->entries[i].value, 256, "%.*s", MW_STR_FMT(entry->value));
}

static inline void ask_done(mw_request *request, int status, const mw_error *detail) {
    ask *a = mw_container(request, ask, request);
    a->status = status;
    if (detail)
        a->err = *detail;
}

static inline void ask_start(rig *r, ask *a) {
    a->status = 1;
    a->request.entry = ask_entry;
    a->request.done = ask_done;
    a->request.written = a->written;
    a->request.writes = a->writes;
    r->backend->submit(r->conn, &a->request);
}

static inline int ask_wait(rig *r, ask *a) {
    RIG_UNTIL(r, a->status != 1);
    return a->status;
}

static inline int rig_read(rig *r, ask *a, mw_request_kind kind, const char *path) {
    memset(a, 0, sizeof *a);
    a->request.kind = kind;
    a->request.fresh = true;
    a->request.path = mw_str_of(path);
    ask_start(r, a);
    return ask_wait(r, a);
}

static inline void ask_write(ask *a, mw_write_kind kind, const char *path, const char *value, int64_t version,
                             bool ephemeral) {
    a->request.kind = MW_WRITE;
    a->writes[a->request.write_count++] = (mw_write){kind, mw_str_of(path), mw_str_of(value), version, ephemeral, NULL};
}

static inline int rig_write(rig *r, ask *a, mw_write_kind kind, const char *path, const char *value, int64_t version,
                            bool ephemeral) {
    memset(a, 0, sizeof *a);
    ask_write(a, kind, path, value, version, ephemeral);
    ask_start(r, a);
    return ask_wait(r, a);
}

/* ---- Locks */

typedef struct waiter {
    mw_ticket ticket;
    int granted, ended, status;
    char why[160];
} waiter;

static inline void waiter_granted(mw_ticket *ticket, int64_t token) {
    waiter *w = mw_container(ticket, waiter, ticket);
    w->granted++;
    ticket->token = token;
}
static inline void waiter_ended(mw_ticket *ticket, int status, const mw_error *detail) {
    waiter *w = mw_container(ticket, waiter, ticket);
    w->ended++;
    w->status = status;
    if (detail)
        snprintf(w->why, sizeof w->why, "%.150s", detail->message);
}

static inline void rig_lock(rig *r, waiter *w, const char *path) {
    *w = (waiter){
        .ticket = {.path = mw_str_of(path), .value = mw_str_of("w"), .granted = waiter_granted, .ended = waiter_ended}};
    r->backend->lock(r->conn, &w->ticket);
}

/* ---- Clearing up */

static inline void rig_clear(rig *r, const char *path) {
    ask a;
    CHECK_INT(rig_read(r, &a, MW_READ_LIST, path), MW_OK);
    for (size_t i = a.count; i > 0; i--) {
        ask b;
        (void)rig_write(r, &b, MW_DELETE, a.entries[i - 1].path, "", MW_VERSION_ANY, false);
    }
    ask b;
    (void)rig_write(r, &b, MW_DELETE, path, "", MW_VERSION_ANY, false);
}

#endif
