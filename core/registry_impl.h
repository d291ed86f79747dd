/* What the parts of a registry know of one another. Private to core/. */
#ifndef MW_REGISTRY_IMPL_H
#define MW_REGISTRY_IMPL_H

#include <moonwatch/registry.h>

#include <sys/types.h>

#include "list.h"
#include "session.h"

#define MW__VIEW_BUCKETS 512u

struct mw_registry {
    mw_host *host;
    const mw_backend *backend;
    mw_conn *conn; /* NULL once closed */
    pid_t pid;     /* who opened it: a forked child must not touch the connection */
    unsigned refs; /* the owner's until `closed`, and one per handle */

    char *name;  /* who we are, for people */
    char *space; /* the namespace, "" when there is none */
    size_t space_len;
    bool space_asked, space_made;

    mw__session session;
    mw_time op_timeout;
    uint64_t next_op;

    mw__link waiting;  /* ops not sent, oldest first */
    mw__link sent;     /* ops with the backend */
    mw__link finished; /* ops whose end is to be reported from the loop */
    mw_defer report_finished;

    mw__link views;
    mw__link views_by_path[MW__VIEW_BUCKETS]; /* the same: thousands of registrations each watch their place */
    mw_defer reap_views;
    mw__link locks;
    mw__link holds; /* tickets with the backend */
    mw__link elections;
    mw__link registrations;
    mw__link registration_queue; /* those that wait for their turn to write */
    unsigned registrations_writing;
    mw_timer registration_jitter;

    size_t handles;

    bool closing;
    bool abandoning;
    mw_time close_by; /* when the patience of `close` ends */
    mw_defer start_close;
    mw_timer last_chance; /* armed: it closes, and can end its session once it is connected again */
    void (*closed)(void *arg);
    void *closed_arg;

    int failure; /* the connection has failed for good: status and why */
    mw_error failure_detail;
};

/* Why nothing can be submitted: MW_ECLOSED (closed, or a forked child), the connection's failure; else MW_OK. */
int mw__registry_usable(const mw_registry *registry, mw_error *err);

static inline bool mw__registry_connected(const mw_registry *registry) {
    return !registry->closing && mw__session_connected(&registry->session);
}

/* A handle keeps the registry's memory until it is freed, even after the registry was closed. */
void mw__registry_ref(mw_registry *registry);
void mw__registry_unref(mw_registry *registry);

/* What a new session, the end of one, and closing mean to each part. Called by registry.c and session.c. */
void mw__ops_init(mw_registry *registry);
void mw__elections_closed(mw_registry *registry, const mw_error *why);
void mw__registrations_init(mw_registry *registry);
void mw__ops_flush(mw_registry *registry);
void mw__ops_fail(mw_registry *registry, int status, const mw_error *why); /* the waiting ones */
void mw__ops_report_all(mw_registry *registry);   /* what has ended and was to be reported from the loop: now */
void mw__locks_report_all(mw_registry *registry); /* the same */
void mw__locks_connected(mw_registry *registry);
void mw__locks_mark_lost(mw_registry *registry); /* at once: nothing is held any more */
void mw__locks_report_lost(mw_registry *registry, const mw_error *why);
void mw__locks_closed(mw_registry *registry, const mw_error *why);
void mw__registrations_session(mw_registry *registry); /* a new one, before anybody is told of it */
void mw__registrations_connected(mw_registry *registry);
void mw__registrations_lost(mw_registry *registry);
void mw__registrations_failed(mw_registry *registry, int status, const mw_error *why);
void mw__registrations_closed(mw_registry *registry);

/* In a forked child: forget what the backend has, which is its parent's. */
void mw__ops_let_go(mw_registry *registry, const mw_error *why);
void mw__locks_let_go(mw_registry *registry);
void mw__views_failed(mw_registry *registry, int status, const mw_error *why);
void mw__views_closed(mw_registry *registry);
void mw__views_reap(mw_defer *defer);

#endif
