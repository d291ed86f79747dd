/* A decorator: a backend that logs what passes through each slot of another, and changes nothing. Requests, feeds and
 * tickets are shadowed, since their callbacks and scratch belong to whoever submits them. */
#include <moonwatch/registry.h>

#include <stdlib.h>

typedef struct trace_backend {
    mw_backend table;
    const mw_backend *inner;
} trace_backend;

typedef struct trace_conn {
    mw_conn *inner;
    const mw_backend *backend;
    mw_host *host;
    const mw_conn_events *events;
    void *events_arg;
    uint64_t requests;
    mw_defer refuse; /* ends those for which no shadow could be allocated; chained through backend[1] */
    mw_request *refused_requests;
    mw_ticket *refused_tickets;
} trace_conn;

typedef struct shadow_request {
    mw_request inner;
    mw_request *outer;
    trace_conn *conn;
    uint64_t number;
    mw_time submitted;
    mw_write writes[];
} shadow_request;

typedef struct shadow_feed {
    mw_feed inner;
    mw_feed *outer;
    trace_conn *conn;
} shadow_feed;

typedef struct shadow_ticket {
    mw_ticket inner;
    mw_ticket *outer;
    trace_conn *conn;
} shadow_ticket;

static trace_conn *traced(mw_conn *conn) {
    return (trace_conn *)conn;
}

#define TRACE(conn, ...) mw_log((conn)->host, MW_LOG_DEBUG, "trace", __VA_ARGS__)

/* At most this much of a path in a line. */
#define SHOWN(path) (int)((path).len < 200 ? (path).len : 200), (path).data

static void refuse(mw_defer *defer) {
    trace_conn *conn = mw_container(defer, trace_conn, refuse);
    while (conn->refused_requests) {
        mw_request *request = conn->refused_requests;
        conn->refused_requests = request->backend[1];
        request->done(request, MW_ENO_MEMORY, NULL);
    }
    while (conn->refused_tickets) {
        mw_ticket *ticket = conn->refused_tickets;
        conn->refused_tickets = ticket->backend[1];
        ticket->ended(ticket, MW_ENO_MEMORY, NULL);
    }
}

static void forget_refused(trace_conn *conn, const mw_request *request) {
    mw_request **at = &conn->refused_requests;
    while (*at && *at != request)
        at = (mw_request **)&(*at)->backend[1];
    if (*at)
        *at = request->backend[1];
}

/* ---- Requests */

static const char *request_text(const mw_request *request) {
    static const char *const reads[] = {"get",    "stat",     "children", "list",   "queue",
                                        "queues", "sessions", "write",    "version"};
    static const char *const writes[] = {"check", "check_lock", "create", "put", "set", "delete"};
    if (request->kind != MW_WRITE)
        return reads[request->kind];
    return request->write_count == 1 ? writes[request->writes[0].kind] : "txn";
}

static void request_entry(mw_request *request, const mw_entry *entry) {
    shadow_request *shadow = mw_container(request, shadow_request, inner);
    shadow->outer->entry(shadow->outer, entry);
}

static void request_done(mw_request *request, int status, const mw_error *detail) {
    shadow_request *shadow = mw_container(request, shadow_request, inner);
    mw_request *outer = shadow->outer;
    trace_conn *conn = shadow->conn;
    TRACE(conn, "#%llu %s: %s after %llu us%s%s", (unsigned long long)shadow->number, request_text(request),
          mw_status_text(status), (unsigned long long)((mw_host_now(conn->host) - shadow->submitted) / 1000),
          detail && status ? ": " : "", detail && status ? detail->message : "");
    outer->failed_write = request->failed_write;
    free(shadow);
    outer->backend[0] = NULL;
    outer->done(outer, status, detail);
}

static void copy_writes(shadow_request *shadow, const mw_request *request) {
    for (size_t i = 0; i < request->write_count; i++) {
        shadow->writes[i] = request->writes[i];
        if (request->writes[i].lock)
            shadow->writes[i].lock = &((shadow_ticket *)request->writes[i].lock->backend[0])->inner;
    }
    shadow->inner.writes = shadow->writes;
}

static void submit(mw_conn *outer_conn, mw_request *request) {
    trace_conn *conn = traced(outer_conn);
    shadow_request *shadow = calloc(1, sizeof *shadow + request->write_count * sizeof(mw_write));
    if (!shadow) {
        request->backend[1] = conn->refused_requests;
        conn->refused_requests = request;
        mw_defer_run(conn->host, &conn->refuse);
        return;
    }
    shadow->inner = *request;
    shadow->inner.entry = request_entry;
    shadow->inner.done = request_done;
    shadow->outer = request;
    shadow->conn = conn;
    shadow->number = ++conn->requests;
    shadow->submitted = mw_host_now(conn->host);
    copy_writes(shadow, request);
    request->backend[0] = shadow;
    mw_str path = request->write_count ? request->writes[0].path : request->path;
    TRACE(conn, "#%llu %s %.*s%s", (unsigned long long)shadow->number, request_text(request), SHOWN(path),
          request->write_count > 1 ? " ..." : "");
    conn->backend->submit(conn->inner, &shadow->inner);
}

static bool cancel(mw_conn *outer_conn, mw_request *request) {
    trace_conn *conn = traced(outer_conn);
    shadow_request *shadow = request->backend[0];
    if (!shadow) {
        forget_refused(conn, request);
        return true;
    }
    bool unsent = conn->backend->cancel(conn->inner, &shadow->inner);
    TRACE(conn, "#%llu cancelled %s", (unsigned long long)shadow->number, unsent ? "unsent" : "after it was sent");
    free(shadow);
    return unsent;
}

/* ---- Feeds */

static void feed_begin(mw_feed *feed) {
    shadow_feed *shadow = mw_container(feed, shadow_feed, inner);
    TRACE(shadow->conn, "feed %.*s: snapshot", SHOWN(feed->path));
    shadow->outer->begin(shadow->outer);
}

static void feed_entry(mw_feed *feed, const mw_entry *entry) {
    shadow_feed *shadow = mw_container(feed, shadow_feed, inner);
    TRACE(shadow->conn, "feed %.*s: %.*s at revision %lld", SHOWN(feed->path), SHOWN(entry->path),
          (long long)entry->revision);
    shadow->outer->entry(shadow->outer, entry);
}

static void feed_gone(mw_feed *feed, mw_str path, int64_t revision) {
    shadow_feed *shadow = mw_container(feed, shadow_feed, inner);
    TRACE(shadow->conn, "feed %.*s: %.*s gone by revision %lld", SHOWN(feed->path), SHOWN(path), (long long)revision);
    shadow->outer->gone(shadow->outer, path, revision);
}

static void feed_synced(mw_feed *feed, int64_t revision) {
    shadow_feed *shadow = mw_container(feed, shadow_feed, inner);
    TRACE(shadow->conn, "feed %.*s: synced at revision %lld", SHOWN(feed->path), (long long)revision);
    shadow->outer->synced(shadow->outer, revision);
}

static void feed_failed(mw_feed *feed, int status, const mw_error *detail) {
    shadow_feed *shadow = mw_container(feed, shadow_feed, inner);
    mw_feed *outer = shadow->outer;
    TRACE(shadow->conn, "feed %.*s: failed: %s", SHOWN(feed->path), mw_status_text(status));
    free(shadow);
    outer->backend[0] = NULL;
    outer->failed(outer, status, detail);
}

static int watch(mw_conn *outer_conn, mw_feed *feed) {
    trace_conn *conn = traced(outer_conn);
    shadow_feed *shadow = calloc(1, sizeof *shadow);
    if (!shadow)
        return MW_ENO_MEMORY;
    shadow->inner = (mw_feed){.path = feed->path,
                              .depth = feed->depth,
                              .begin = feed_begin,
                              .entry = feed_entry,
                              .gone = feed_gone,
                              .synced = feed_synced,
                              .failed = feed_failed};
    shadow->outer = feed;
    shadow->conn = conn;
    feed->backend[0] = shadow;
    TRACE(conn, "watch %.*s", SHOWN(feed->path));
    int status = conn->backend->watch(conn->inner, &shadow->inner);
    if (status != MW_OK) {
        feed->backend[0] = NULL;
        free(shadow);
    }
    return status;
}

static void unwatch(mw_conn *outer_conn, mw_feed *feed) {
    trace_conn *conn = traced(outer_conn);
    shadow_feed *shadow = feed->backend[0];
    TRACE(conn, "unwatch %.*s", SHOWN(feed->path));
    conn->backend->unwatch(conn->inner, &shadow->inner);
    free(shadow);
}

/* ---- Tickets */

static void ticket_granted(mw_ticket *ticket, int64_t token) {
    shadow_ticket *shadow = mw_container(ticket, shadow_ticket, inner);
    TRACE(shadow->conn, "lock %.*s: granted, token %lld", SHOWN(ticket->path), (long long)token);
    ticket->token = token;
    shadow->outer->granted(shadow->outer, token);
}

static void ticket_ended(mw_ticket *ticket, int status, const mw_error *detail) {
    shadow_ticket *shadow = mw_container(ticket, shadow_ticket, inner);
    mw_ticket *outer = shadow->outer;
    TRACE(shadow->conn, "lock %.*s: ended, %s", SHOWN(ticket->path), mw_status_text(status));
    free(shadow);
    outer->backend[0] = NULL;
    outer->ended(outer, status, detail);
}

static void lock(mw_conn *outer_conn, mw_ticket *ticket) {
    trace_conn *conn = traced(outer_conn);
    shadow_ticket *shadow = calloc(1, sizeof *shadow);
    if (!shadow) {
        ticket->backend[1] = conn->refused_tickets;
        conn->refused_tickets = ticket;
        mw_defer_run(conn->host, &conn->refuse);
        return;
    }
    shadow->inner = (mw_ticket){.path = ticket->path,
                                .value = ticket->value,
                                .try_only = ticket->try_only,
                                .granted = ticket_granted,
                                .ended = ticket_ended};
    shadow->outer = ticket;
    shadow->conn = conn;
    ticket->backend[0] = shadow;
    TRACE(conn, "lock %.*s%s", SHOWN(ticket->path), ticket->try_only ? " (try)" : "");
    conn->backend->lock(conn->inner, &shadow->inner);
}

static void unlock(mw_conn *outer_conn, mw_ticket *ticket) {
    trace_conn *conn = traced(outer_conn);
    TRACE(conn, "unlock %.*s", SHOWN(ticket->path));
    shadow_ticket *shadow = ticket->backend[0];
    if (!shadow)
        return; /* it ends with NO_MEMORY */
    conn->backend->unlock(conn->inner, &shadow->inner);
}

/* ---- The connection */

static void on_connected(void *arg, const mw_session_info *session) {
    trace_conn *conn = arg;
    TRACE(conn, "%s session %llx at %.*s, timeout %llu ms", session->resumed ? "resumed" : "opened",
          (unsigned long long)session->id, SHOWN(session->server), (unsigned long long)(session->timeout / MW_MS));
    conn->events->connected(conn->events_arg, session);
}

static void on_disconnected(void *arg, const mw_error *why) {
    trace_conn *conn = arg;
    TRACE(conn, "disconnected: %s", why ? why->message : "");
    conn->events->disconnected(conn->events_arg, why);
}

static void on_expired(void *arg, const mw_error *why) {
    trace_conn *conn = arg;
    TRACE(conn, "expired: %s", why ? why->message : "");
    conn->events->expired(conn->events_arg, why);
}

static void on_confirmed(void *arg, mw_time sent_at) {
    trace_conn *conn = arg;
    conn->events->confirmed(conn->events_arg, sent_at);
}

static void on_failed(void *arg, int status, const mw_error *why) {
    trace_conn *conn = arg;
    TRACE(conn, "failed: %s", why->message);
    conn->events->failed(conn->events_arg, status, why);
}

static void on_closed(void *arg) {
    trace_conn *conn = arg;
    const mw_conn_events *events = conn->events;
    void *events_arg = conn->events_arg;
    TRACE(conn, "closed");
    mw_defer_cancel(conn->host, &conn->refuse);
    refuse(&conn->refuse);
    free(conn);
    events->closed(events_arg);
}

static const mw_conn_events trace_events = {
    .connected = on_connected,
    .disconnected = on_disconnected,
    .expired = on_expired,
    .confirmed = on_confirmed,
    .failed = on_failed,
    .closed = on_closed,
};

static int open_traced(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    const trace_backend *trace = mw_container(backend, const trace_backend, table);
    trace_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory tracing a connection");
    conn->backend = trace->inner;
    conn->host = config->host;
    conn->events = config->events;
    conn->events_arg = config->events_arg;
    conn->refuse.run = refuse;
    mw_conn_config inner = *config;
    inner.events = &trace_events;
    inner.events_arg = conn;
    int status = trace->inner->open(trace->inner, &inner, &conn->inner, err);
    if (status != MW_OK) {
        free(conn);
        return status;
    }
    *ret_conn = (mw_conn *)conn;
    return MW_OK;
}

static void close_traced(mw_conn *conn, mw_time patience) {
    TRACE(traced(conn), "close");
    traced(conn)->backend->close(traced(conn)->inner, patience);
}

static void abandon(mw_conn *conn) {
    TRACE(traced(conn), "abandon");
    traced(conn)->backend->abandon(traced(conn)->inner);
}

static void expire(mw_conn *conn) {
    TRACE(traced(conn), "expire");
    traced(conn)->backend->expire(traced(conn)->inner);
}

static void end_session(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                        void (*done)(void *arg, int status, const mw_error *detail), void *arg) {
    TRACE(traced(conn), "end session %llx", (unsigned long long)id);
    traced(conn)->backend->end_session(traced(conn)->inner, id, secret, done, arg);
}

static void stats(mw_conn *conn, mw_backend_stats *ret_stats) {
    if (traced(conn)->backend->stats)
        traced(conn)->backend->stats(traced(conn)->inner, ret_stats);
}

int mw_trace_backend_new(const mw_backend *inner, mw_backend **ret_backend, mw_error *err) {
    trace_backend *trace = calloc(1, sizeof *trace);
    if (!trace)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory tracing a backend");
    trace->inner = inner;
    trace->table = (mw_backend){.size = sizeof trace->table,
                                .abi = MW_BACKEND_ABI,
                                .name = inner->name,
                                .library = inner->library,
                                .caps = inner->caps,
                                .options = inner->options,
                                .open = open_traced,
                                .close = close_traced,
                                .abandon = abandon,
                                .expire = expire,
                                .submit = submit,
                                .cancel = cancel,
                                .watch = watch,
                                .unwatch = unwatch,
                                .lock = lock,
                                .unlock = unlock,
                                .end_session = end_session,
                                .stats = stats,
                                .schema = inner->schema,
                                .upgrade = inner->upgrade};
    *ret_backend = &trace->table;
    return MW_OK;
}

void mw_trace_backend_free(mw_backend *backend) {
    if (backend)
        free(mw_container(backend, trace_backend, table));
}
