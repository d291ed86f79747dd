/* Opening and closing a registry, and what its connection reports. */
#include "op.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_OP_TIMEOUT (10 * MW_SECOND)

int mw__registry_usable(const mw_registry *registry, mw_error *err) {
    if (registry->pid != getpid())
        return mw_fail(err, MW_ECLOSED, "this registry belongs to process %ld; open another one after a fork",
                       (long)registry->pid);
    if (registry->closing)
        return mw_fail(err, MW_ECLOSED, "the registry is closed");
    if (registry->failure) {
        if (err)
            *err = registry->failure_detail;
        return registry->failure;
    }
    return MW_OK;
}

void mw__registry_ref(mw_registry *registry) {
    registry->refs++;
}

void mw__registry_unref(mw_registry *registry) {
    if (--registry->refs)
        return;
    free(registry->space);
    free(registry->name);
    free(registry);
}

/* ---- Events of the connection */

static void space_made(void *arg, const mw_result *result) {
    mw_registry *registry = arg;
    registry->space_asked = false;
    registry->space_made = result->status == MW_OK || result->status == MW_EEXISTS;
    if (!registry->space_made && result->status != MW_ECLOSED && !registry->failure)
        mw_log(registry->host, MW_LOG_WARN, registry->backend->name, "namespace %s could not be created: %s",
               registry->space, result->error->message);
}

/* Ops are applied in order of submission: asked for before anything else, it is there for all of them. */
static void make_space(mw_registry *registry) {
    if (registry->space_made || registry->space_asked || registry->space_len == 0)
        return;
    mw_call call = {.timeout = MW_FOREVER, .done = space_made, .arg = registry};
    registry->space_asked = mw__create_space(registry, &call) == MW_OK;
}

/* The connection has news while the registry waits for it to close: now the session can be ended, or there is none. */
static void close_goes_on(mw_registry *registry) {
    if (mw_timer_armed(&registry->last_chance))
        (void)mw_timer_start(registry->host, &registry->last_chance, 0);
}

static void on_connected(void *arg, const mw_session_info *info) {
    mw_registry *registry = arg;
    if (registry->closing) {
        close_goes_on(registry);
        return;
    }
    mw__registry_ref(registry);
    mw__session_opened(registry, info);
    if (mw__registry_connected(registry)) {
        make_space(registry);
        mw__ops_flush(registry);
        mw__locks_connected(registry);
        mw__registrations_connected(registry);
    }
    mw__registry_unref(registry);
}

static void on_disconnected(void *arg, const mw_error *why) {
    mw_registry *registry = arg;
    if (!registry->closing)
        mw__session_suspended(registry, why);
}

static void on_expired(void *arg, const mw_error *why) {
    mw_registry *registry = arg;
    if (registry->closing)
        close_goes_on(registry);
    else
        mw__session_ended(registry, why);
}

static void on_confirmed(void *arg, mw_time sent_at) {
    mw__session_confirmed(arg, sent_at);
}

static void on_failed(void *arg, int status, const mw_error *why) {
    mw_registry *registry = arg;
    if (registry->closing) {
        close_goes_on(registry);
        return;
    }
    mw__registry_ref(registry);
    registry->failure = status;
    registry->failure_detail = *why;
    registry->failure_detail.code = status;
    why = &registry->failure_detail;
    mw_log(registry->host, MW_LOG_WARN, registry->backend->name, "%s", why->message);
    mw__session_ended(registry, why);
    mw__session_closed(registry, why);
    mw__ops_fail(registry, status, why);
    mw__views_failed(registry, status, why);
    mw__locks_closed(registry, why);
    mw__registrations_failed(registry, status, why);
    mw__registry_unref(registry);
}

static void on_closed(void *arg) {
    mw_registry *registry = arg;
    registry->conn = NULL;
    assert(mw__list_empty(&registry->sent) && mw__list_empty(&registry->holds));
    mw__session_closed(registry, NULL);
    mw__locks_report_all(registry);
    mw__ops_report_all(registry);
    mw__session_release(registry);
    if (registry->closed)
        registry->closed(registry->closed_arg);
    mw__registry_unref(registry); /* the owner's */
}

static const mw_conn_events conn_events = {
    .connected = on_connected,
    .disconnected = on_disconnected,
    .expired = on_expired,
    .confirmed = on_confirmed,
    .failed = on_failed,
    .closed = on_closed,
};

/* ---- Open */

static int take_namespace(mw_registry *registry, const char *name_space, mw_error *err) {
    mw_str space = mw_str_of(name_space ? name_space : "");
    if (space.len == 1 && space.data[0] == '/')
        space.len = 0;
    mw_error why;
    if (space.len && mw_path_validate(space, &why) != MW_OK)
        return mw_fail(err, MW_EINVALID, "namespace: %s", why.message);
    registry->space = strndup(space.data ? space.data : "", space.len);
    registry->space_len = space.len;
    return registry->space ? MW_OK : mw_fail(err, MW_ENO_MEMORY, "out of memory opening a registry");
}

static int take_name(mw_registry *registry, const char *name, mw_error *err) {
    char host[64] = "localhost", fallback[96];
    if (!name) {
        (void)gethostname(host, sizeof host - 1);
        (void)snprintf(fallback, sizeof fallback, "%ld@%s", (long)registry->pid, host);
    }
    registry->name = strdup(name ? name : fallback);
    return registry->name ? MW_OK : mw_fail(err, MW_ENO_MEMORY, "out of memory opening a registry");
}

static int connect_backend(mw_registry *registry, const mw_registry_config *config, mw_error *err) {
    static const mw_option none = {0};
    mw_conn_config conn = {.host = config->host,
                           .options = config->options ? config->options : &none,
                           .name = mw_str_of(registry->name),
                           .events = &conn_events,
                           .events_arg = registry};
    return config->backend->open(config->backend, &conn, &registry->conn, err);
}

static void init_lists(mw_registry *registry) {
    mw__link *const lists[] = {&registry->waiting,   &registry->sent,          &registry->finished,
                               &registry->views,     &registry->locks,         &registry->holds,
                               &registry->elections, &registry->registrations, &registry->registration_queue};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        mw__list_init(lists[i]);
    for (size_t i = 0; i < MW__VIEW_BUCKETS; i++)
        mw__list_init(&registry->views_by_path[i]);
}

int mw_registry_open(const mw_registry_config *config, mw_registry **ret_registry, mw_error *err) {
    int status = mw_backend_validate(config->backend, err);
    if (status != MW_OK)
        return status;
    mw_registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory opening a registry");
    registry->host = config->host;
    registry->backend = config->backend;
    registry->pid = getpid();
    registry->refs = 1;
    registry->op_timeout = config->op_timeout ? config->op_timeout : DEFAULT_OP_TIMEOUT;
    init_lists(registry);
    mw__session_init(registry);
    mw__ops_init(registry);
    mw__registrations_init(registry);
    registry->reap_views.run = mw__views_reap;
    status = take_namespace(registry, config->name_space, err);
    if (status == MW_OK)
        status = take_name(registry, config->name, err);
    if (status == MW_OK)
        status = connect_backend(registry, config, err);
    if (status != MW_OK) {
        mw__registry_unref(registry);
        return status;
    }
    make_space(registry);
    *ret_registry = registry;
    return MW_OK;
}

/* ---- Close */

/* In a forked child the connection is the parent's: nothing may be sent, and nothing of it is touched. */
static void leave_to_parent(mw_registry *registry, const mw_error *why) {
    mw__ops_let_go(registry, why);
    mw__locks_let_go(registry);
    on_closed(registry);
}

/* What is left of the patience is the backend's. */
static void close_backend(mw_registry *registry) {
    mw_time now = mw_host_now(registry->host), end = registry->close_by;
    registry->backend->close(registry->conn, end == MW_FOREVER ? end : end > now ? end - now : 0);
}

static void last_chance_passed(mw_timer *timer) {
    close_backend(mw_container(timer, mw_registry, last_chance));
}

/* A session that is left without a goodbye keeps its ephemerals and locks until its timeout. The backend connects again
 * by itself: wait for that, as long as the session may live. False: there is nothing to wait for. */
static bool await_connection(mw_registry *registry) {
    mw_time now = mw_host_now(registry->host), end = mw_registry_deadline(registry);
    end = end < registry->close_by ? end : registry->close_by;
    registry->last_chance.fire = last_chance_passed;
    return registry->session.state == MW_SUSPENDED && end > now &&
           mw_timer_start(registry->host, &registry->last_chance, end - now) == MW_OK;
}

static void start_close(mw_defer *defer) {
    mw_registry *registry = mw_container(defer, mw_registry, start_close);
    mw_error why;
    (void)mw_fail(&why, MW_ECLOSED, "the registry was closed");
    bool forked = registry->pid != getpid();
    if (forked)
        registry->conn = NULL;
    mw_timer_stop(registry->host, &registry->session.deadline);
    mw__registry_ref(registry);
    mw__registrations_closed(registry);
    mw__elections_closed(registry, &why);
    mw__views_closed(registry);
    mw__locks_closed(registry, &why);
    mw__ops_fail(registry, MW_ECLOSED, &why);
    if (forked)
        leave_to_parent(registry, &why);
    else if (registry->abandoning)
        registry->backend->abandon(registry->conn);
    else if (!await_connection(registry))
        close_backend(registry);
    mw__registry_unref(registry);
}

static void begin_close(mw_registry *registry, void (*closed)(void *arg), void *arg) {
    assert(!registry->closing);
    registry->closing = true;
    registry->closed = closed;
    registry->closed_arg = arg;
    registry->start_close.run = start_close;
    mw_defer_run(registry->host, &registry->start_close);
}

void mw_registry_close(mw_registry *registry, mw_time patience, void (*closed)(void *arg), void *arg) {
    mw_time now = mw_host_now(registry->host);
    registry->close_by = patience < MW_FOREVER - now ? now + patience : MW_FOREVER;
    begin_close(registry, closed, arg);
}

void mw_registry_abandon(mw_registry *registry, void (*closed)(void *arg), void *arg) {
    registry->abandoning = true;
    begin_close(registry, closed, arg);
}

const char *mw_registry_backend_name(const mw_registry *registry) {
    return registry->backend->name;
}

unsigned mw_registry_backend_caps(const mw_registry *registry) {
    return registry->backend->caps;
}

void mw_registry_stats(mw_registry *registry, mw_backend_stats *ret_stats) {
    *ret_stats = (mw_backend_stats){0};
    if (registry->conn && registry->backend->stats)
        registry->backend->stats(registry->conn, ret_stats);
}

size_t mw_registry_handles(const mw_registry *registry) {
    return registry->handles;
}
