/* Locks: handles over a backend's queue tickets, with counted re-entry, timeouts, and the news of a loss. */
#include <assert.h>
#include <stdlib.h>

#include "hold.h"
#include "op.h"

typedef enum lock_state {
    IDLE,
    WAITING, /* an attempt that waits for a connection */
    QUEUED,  /* the backend has our ticket */
    HELD
} lock_state;

struct mw_lock {
    mw__link link;
    mw_registry *registry;
    lock_state state;
    mw__hold *hold; /* QUEUED, HELD */
    unsigned depth;
    bool try_only;
    bool lost; /* no longer held, its owner is about to hear it */
    mw_timer timeout;
    mw_defer report; /* delivers `outcome` from the loop */
    int outcome;
    mw_error outcome_detail;
    const mw_lock_events *events;
    void *arg;
    mw_str path; /* as callers know it */
    mw_str full;
    mw_str value;
    char bytes[];
};

/* ---- Holds */

void mw__hold_unref(mw__hold *hold) {
    if (hold && --hold->refs == 0)
        free(hold);
}

mw__hold *mw__lock_hold(const mw_lock *lock) {
    return mw_lock_held(lock) ? lock->hold : NULL;
}

/* The lock lets go of its hold; the backend may have it for a while yet. */
static void detach(mw_lock *lock) {
    mw__hold *hold = lock->hold;
    lock->hold = NULL;
    lock->state = IDLE;
    lock->depth = 0;
    mw_timer_stop(lock->registry->host, &lock->timeout);
    if (!hold)
        return;
    hold->lock = NULL;
    hold->held = false;
    mw__hold_unref(hold);
}

/* Give it back to the backend, and let go. */
static void withdraw(mw_lock *lock) {
    mw__hold *hold = lock->hold;
    if (hold) {
        hold->refs++;
        detach(lock);
        if (mw__linked(&hold->link) && lock->registry->conn && !lock->registry->abandoning)
            lock->registry->backend->unlock(lock->registry->conn, &hold->ticket);
        mw__hold_unref(hold);
    } else {
        detach(lock);
    }
}

static void end_attempt(mw_lock *lock, int status, const mw_error *why) {
    detach(lock);
    lock->events->acquired(lock->arg, status, 0, why);
}

static void on_granted(mw_ticket *ticket, int64_t token) {
    mw__hold *hold = mw_container(ticket, mw__hold, ticket);
    mw_registry *registry = hold->registry;
    ticket->token = token;
    mw__registry_ref(registry);
    mw_registry_check_session(registry); /* the wait may have cost the session */
    mw_lock *lock = hold->lock;
    if (lock) {
        assert(lock->state == QUEUED);
        mw_timer_stop(registry->host, &lock->timeout);
        lock->state = HELD;
        lock->depth = 1;
        hold->held = true;
        lock->events->acquired(lock->arg, MW_OK, token, NULL);
    }
    mw__registry_unref(registry);
}

static void on_ended(mw_ticket *ticket, int status, const mw_error *detail) {
    mw__hold *hold = mw_container(ticket, mw__hold, ticket);
    mw_registry *registry = hold->registry;
    mw_lock *lock = hold->lock;
    mw_error why = {0};
    if (detail && detail->code)
        why = *detail;
    else
        (void)mw_fail(&why, status, "%s", mw_status_meaning(status));
    why.code = status;
    mw__hide_space(registry, &why);
    mw__registry_ref(registry);
    mw__list_remove(&hold->link);
    if (status == MW_EFENCED) { /* by the next holder: where our time has run out, that is the reason */
        mw_registry_check_session(registry);
        lock = hold->lock;
    }
    if (status == MW_ESESSION_LOST && !registry->closing) {
        mw__session_ended(registry, &why); /* listeners hear `lost` before any lock does */
        lock = hold->lock;
    }
    if (lock && lock->state == HELD) {
        detach(lock);
        lock->events->lost(lock->arg, &why);
    } else if (lock) {
        end_attempt(lock, status, &why);
    }
    mw__hold_unref(hold);
    mw__registry_unref(registry);
    mw__registry_unref(registry); /* the hold's own */
}

/* The ticket's strings live behind the hold: it may outlive the lock. */
static mw__hold *hold_new(mw_lock *lock) {
    mw__hold *hold = calloc(1, sizeof *hold + lock->full.len + lock->value.len);
    if (!hold)
        return NULL;
    char *bytes = (char *)(hold + 1);
    memcpy(bytes, lock->full.data, lock->full.len);
    if (lock->value.len)
        memcpy(bytes + lock->full.len, lock->value.data, lock->value.len);
    hold->ticket = (mw_ticket){.path = {bytes, lock->full.len},
                               .value = {bytes + lock->full.len, lock->value.len},
                               .try_only = lock->try_only,
                               .granted = on_granted,
                               .ended = on_ended};
    hold->refs = 2; /* the lock's and the backend's */
    hold->lock = lock;
    hold->registry = lock->registry;
    return hold;
}

/* ---- Attempts */

static void report_later(mw_lock *lock, int status, const char *why) {
    lock->outcome = status;
    if (status != MW_OK)
        (void)mw_fail(&lock->outcome_detail, status, "%s", why);
    mw_defer_run(lock->registry->host, &lock->report);
}

static void report_outcome(mw_defer *defer) {
    mw_lock *lock = mw_container(defer, mw_lock, report);
    int status = lock->outcome;
    mw_error why = lock->outcome_detail;
    if (status == MW_OK && lock->registry->closing)
        status = mw_fail(&why, MW_ECLOSED, "the registry was closed");
    else if (status == MW_OK && !mw_lock_held(lock))
        status = mw_fail(&why, MW_ESESSION_LOST, "the lock was lost");
    lock->events->acquired(lock->arg, status, mw_lock_token(lock), status == MW_OK ? NULL : &why);
}

static void enqueue(mw_lock *lock) {
    mw_registry *registry = lock->registry;
    mw__hold *hold = hold_new(lock);
    if (!hold) {
        detach(lock);
        report_later(lock, MW_ENO_MEMORY, "out of memory queueing for a lock");
        return;
    }
    lock->hold = hold;
    lock->state = QUEUED;
    mw__list_append(&registry->holds, &hold->link);
    mw__registry_ref(registry);
    registry->backend->lock(registry->conn, &hold->ticket);
}

static void timed_out(mw_timer *timer) {
    mw_lock *lock = mw_container(timer, mw_lock, timeout);
    mw_error why;
    (void)mw_fail(&why, MW_ETIMEOUT, "not acquired in time");
    withdraw(lock);
    lock->events->acquired(lock->arg, MW_ETIMEOUT, 0, &why);
}

int mw_lock_new(mw_registry *registry, mw_str path, mw_str value, const mw_lock_events *events, void *arg,
                mw_lock **ret_lock, mw_error *err) {
    int status = mw__registry_usable(registry, err);
    if (status == MW_OK)
        status = mw__entry_path_check(registry, path, err);
    if (status != MW_OK)
        return status;
    if (value.len == 0)
        value = mw_str_of(registry->name);
    mw_lock *lock = calloc(1, sizeof *lock + MW__PATH_ROOM(registry, path) + value.len);
    if (!lock)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory for a lock");
    char *bytes = lock->bytes;
    lock->full = mw__path_full(registry, path, &bytes);
    lock->path = mw__path_strip(registry, lock->full);
    lock->value = (mw_str){bytes, value.len};
    if (value.len)
        memcpy(bytes, value.data, value.len);
    lock->registry = registry;
    lock->events = events;
    lock->arg = arg;
    lock->timeout.fire = timed_out;
    lock->report.run = report_outcome;
    mw__list_append(&registry->locks, &lock->link);
    mw__registry_ref(registry);
    registry->handles++;
    *ret_lock = lock;
    return MW_OK;
}

int mw_lock_acquire(mw_lock *lock, mw_time timeout, bool try_only, mw_error *err) {
    mw_registry *registry = lock->registry;
    int status = mw__registry_usable(registry, err);
    if (status != MW_OK)
        return status;
    if (lock->state == WAITING || lock->state == QUEUED || lock->report.queued)
        return mw_fail(err, MW_EINVALID, "this handle is being acquired already; one attempt at a time");
    if (lock->state == HELD) {
        lock->depth++;
        report_later(lock, MW_OK, "");
        return MW_OK;
    }
    lock->try_only = try_only;
    if (try_only && !mw__registry_connected(registry)) {
        report_later(lock, MW_EDISCONNECTED, "not connected; it was not tried");
        return MW_OK;
    }
    if (timeout && timeout != MW_FOREVER)
        (void)mw_timer_start(registry->host, &lock->timeout, timeout);
    if (mw__registry_connected(registry))
        enqueue(lock);
    else
        lock->state = WAITING;
    return MW_OK;
}

void mw_lock_cancel(mw_lock *lock) {
    if (lock->state != WAITING && lock->state != QUEUED)
        return;
    withdraw(lock);
    report_later(lock, MW_ECANCELLED, "cancelled");
}

int mw_lock_release(mw_lock *lock, mw_error *err) {
    if (lock->state != HELD)
        return mw_fail(err, MW_EINVALID, "the lock is not held");
    if (--lock->depth == 0)
        withdraw(lock);
    return MW_OK;
}

bool mw_lock_held(const mw_lock *lock) {
    return lock->state == HELD && lock->hold->held;
}

int64_t mw_lock_token(const mw_lock *lock) {
    return mw_lock_held(lock) ? lock->hold->ticket.token : 0;
}

mw_str mw_lock_path(const mw_lock *lock) {
    return lock->path;
}

void mw_lock_free(mw_lock *lock) {
    if (!lock)
        return;
    mw_registry *registry = lock->registry;
    mw_defer_cancel(registry->host, &lock->report);
    withdraw(lock);
    mw__list_remove(&lock->link);
    free(lock);
    registry->handles--;
    mw__registry_unref(registry);
}

/* ---- What the session means to locks */

void mw__locks_connected(mw_registry *registry) {
    for (mw__link *at = registry->locks.next; at != &registry->locks; at = at->next) {
        mw_lock *lock = mw_container(at, mw_lock, link);
        if (lock->state == WAITING)
            enqueue(lock);
    }
}

void mw__locks_mark_lost(mw_registry *registry) {
    for (mw__link *at = registry->locks.next; at != &registry->locks; at = at->next) {
        mw_lock *lock = mw_container(at, mw_lock, link);
        if (lock->state == HELD || lock->state == QUEUED) {
            lock->hold->held = false;
            lock->lost = true;
        }
    }
}

/* A callback may free any lock, so each turn looks for the next one that is marked. */
static mw_lock *next_lost(mw_registry *registry) {
    for (mw__link *at = registry->locks.next; at != &registry->locks; at = at->next) {
        mw_lock *lock = mw_container(at, mw_lock, link);
        if (lock->lost)
            return lock;
    }
    return NULL;
}

void mw__locks_report_lost(mw_registry *registry, const mw_error *why) {
    for (mw_lock *lock; (lock = next_lost(registry));) {
        bool held = lock->state == HELD;
        bool queued = lock->state == QUEUED;
        lock->lost = false;
        if (held) {
            detach(lock);
            lock->events->lost(lock->arg, why);
        } else if (queued) {
            end_attempt(lock, why->code, why);
        }
    }
}

/* A callback may free any lock, so each turn looks for the next one. */
void mw__locks_report_all(mw_registry *registry) {
    for (mw__link *at = registry->locks.next; at != &registry->locks;) {
        mw_lock *lock = mw_container(at, mw_lock, link);
        at = at->next;
        if (!lock->report.queued)
            continue;
        mw_defer_cancel(registry->host, &lock->report);
        report_outcome(&lock->report);
        at = registry->locks.next;
    }
}

void mw__locks_let_go(mw_registry *registry) {
    for (mw__link *link; (link = mw__list_shift(&registry->holds));) {
        mw__hold_unref(mw_container(link, mw__hold, link));
        mw__registry_unref(registry);
    }
}

void mw__locks_closed(mw_registry *registry, const mw_error *why) {
    for (mw__link *at = registry->locks.next; at != &registry->locks; at = at->next) {
        mw_lock *lock = mw_container(at, mw_lock, link);
        if (lock->state == HELD) {
            withdraw(lock);
        } else if (lock->state != IDLE) {
            withdraw(lock);
            report_later(lock, why->code, why->message);
        }
    }
}
