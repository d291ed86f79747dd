/* The registry: one client's connection to a roll of who is alive, with its session, subscriptions and locks.
 *
 * Everything is asynchronous and belongs to the host's thread. Submitting never completes inline; each operation
 * completes exactly once; after mw_registry_close has reported, nothing of that registry calls back. Strings passed in
 * are copied; data passed to a callback is borrowed until it returns.
 */
#ifndef MOONWATCH_REGISTRY_H
#define MOONWATCH_REGISTRY_H

#include <moonwatch/backend.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

typedef struct mw_registry mw_registry;
typedef struct mw_op mw_op;

/* ---- Opening and closing */

typedef struct mw_registry_config {
    mw_host *host;
    const mw_backend *backend; /* from mw_backend_find, or a table of one's own; outlives the registry */
    const mw_option *options;  /* for the backend; ended by a NULL key */
    const char *name_space;    /* "/prod/app" or NULL; created segment by segment when absent, invisible to callers */
    const char *name;          /* who we are, for those who list sessions; NULL = "pid@host" */
    mw_time op_timeout;        /* default deadline of an operation; 0 = 10 s */
} mw_registry_config;

/* Errors: MW_EINVALID (namespace, options), MW_EUNSUPPORTED, MW_ENO_MEMORY. Connecting goes on in the background. */
int mw_registry_open(const mw_registry_config *config, mw_registry **ret_registry, mw_error *err);

/* Handles (locks, subscriptions ...) may be freed before or after closing, but before the host.
 *
 * Close: withdraw registrations, release locks, end the session, fail what is outstanding with MW_ECLOSED, then call
 * `closed` (may be NULL) from the loop: the registry's memory is gone when it returns and the last handle is freed.
 * `patience` bounds the wait for the server; where the connection is gone, also the wait for it to come back, since
 * only then the session can be ended. Calling it twice is misuse. */
void mw_registry_close(mw_registry *registry, mw_time patience, void (*closed)(void *arg), void *arg);

/* The same, but as a crash would: the session is left to its timeout. */
void mw_registry_abandon(mw_registry *registry, void (*closed)(void *arg), void *arg);

const char *mw_registry_backend_name(const mw_registry *registry);
unsigned mw_registry_backend_caps(const mw_registry *registry);
void mw_registry_stats(mw_registry *registry, mw_backend_stats *ret_stats);

/* Open operations, subscriptions, locks, registrations, listeners: a spec ends with zero. */
size_t mw_registry_handles(const mw_registry *registry);

/* ---- Session and connection */

typedef enum mw_state {
    MW_CONNECTING,
    MW_CONNECTED,   /* a new session */
    MW_SUSPENDED,   /* nobody knows */
    MW_RECONNECTED, /* the same session as before */
    MW_LOST,        /* final for that session: act as if its ephemerals and locks are gone */
    MW_CLOSED
} mw_state;

const char *mw_state_text(mw_state state);

typedef struct mw_connection_event {
    mw_state state;
    mw_session_id session; /* 0 when there is none */
    mw_time timeout;       /* of the session */
    const char *reason;    /* "" or why, one line */
    /* MW_OK, or what `reason` is: MW_EDISCONNECTED ... with `suspended`, MW_ESESSION_LOST with `lost`; with `closed`,
     * why the connection has failed for good (MW_EDENIED, MW_ECORRUPT, MW_EUNSUPPORTED ...): everything outstanding,
     * and whatever is asked afterwards, ends with the same. */
    int status;
} mw_connection_event;

mw_state mw_registry_state(const mw_registry *registry);
mw_session_id mw_registry_session(const mw_registry *registry);

/* Who serves the present session, for people: where, and what it calls itself where the backend knows that
 * ("127.0.0.1:3306/app, 10.11.6-MariaDB"). "" when there is none. Borrowed until the next turn of the loop. */
const char *mw_registry_server(const mw_registry *registry);

/* When, on the host's clock, the present session must be treated as lost unless another renewal is confirmed before: a
 * little before the server lets anyone else in. 0 when there is no session. */
mw_time mw_registry_deadline(const mw_registry *registry);

/* The secret of the present session, for the identity file. 0 or MW_EDISCONNECTED. */
int mw_registry_secret(const mw_registry *registry, unsigned char ret_secret[MW_SECRET_SIZE]);

/* A session of our predecessor, from the identity file: its leftovers count as ours. */
int mw_registry_adopt(mw_registry *registry, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE]);

/* Judge the session by the clock now and report `lost` first if its deadline has passed. The scheduler of Lua tasks
 * calls it before each resume, so a stalled process hears `lost` before it runs another line. */
void mw_registry_check_session(mw_registry *registry);

typedef struct mw_listener mw_listener;

/* Each state once and in order; a late listener gets the current state first. NULL = MW_ENO_MEMORY. */
mw_listener *mw_listen(mw_registry *registry, void (*changed)(void *arg, const mw_connection_event *event), void *arg);
void mw_unlisten(mw_listener *listener);

/* ---- Operations */

typedef struct mw_result {
    int status;
    const mw_error *error;   /* never NULL; code 0 on success */
    const mw_entry *entries; /* reads: get/stat one; children and list sorted by path */
    size_t entry_count;
    const mw_written *written; /* writes, one per step (create, put, set, delete: one) */
    size_t written_count;
    size_t failed_write; /* txn: which step was refused */
    int64_t revision;    /* of a committed write */
} mw_result;

typedef void mw_done_fn(void *arg, const mw_result *result);

typedef struct mw_call {
    mw_time timeout; /* 0 = the registry's default; MW_FOREVER = none */
    bool fail_fast;  /* do not wait while disconnected: MW_EDISCONNECTED */
    bool fresh;      /* reads */
    mw_done_fn *done;
    void *arg;
} mw_call;

/* All of these: 0 with `*ret_op` (may be NULL) set, and `done` follows; or MW_EINVALID, MW_ETOO_LARGE, MW_ECLOSED,
 * MW_ENO_MEMORY with `err` filled, and `done` never comes. The op lives until `done` returns. */
int mw_get(mw_registry *, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err);
int mw_stat(mw_registry *, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err);
int mw_children(mw_registry *, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err);
int mw_list(mw_registry *, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err);
int mw_create(mw_registry *, mw_str path, mw_str value, bool ephemeral, const mw_call *, mw_op **ret_op, mw_error *err);
int mw_put(mw_registry *, mw_str path, mw_str value, bool ephemeral, const mw_call *, mw_op **ret_op, mw_error *err);
int mw_set(mw_registry *, mw_str path, mw_str value, int64_t version, const mw_call *, mw_op **ret_op, mw_error *err);
int mw_delete(mw_registry *, mw_str path, int64_t version, const mw_call *call, mw_op **ret_op, mw_error *err);

/* The entry and everything below it, leaves first; not atomic: a failure may leave a part. */
int mw_delete_recursive(mw_registry *, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err);

typedef struct mw_lock mw_lock;

/* A step of a txn as callers write it: `lock` instead of a ticket. */
typedef struct mw_step {
    mw_write_kind kind;
    mw_str path;
    mw_str value;
    int64_t version;
    bool ephemeral;
    const mw_lock *lock; /* MW_CHECK_LOCK; MW_EFENCED at once when it is not held */
} mw_step;

int mw_txn(mw_registry *, const mw_step *steps, size_t count, const mw_call *call, mw_op **ret_op, mw_error *err);

/* Queue members, sessions, the server's version: see MW_READ_QUEUE, MW_READ_QUEUES, MW_READ_SESSIONS, MW_READ_VERSION
 * (MW_EUNSUPPORTED where the backend has no MW_CAP_VERSION; mw_registry_server says it there, if it is known). */
int mw_inspect(mw_registry *, mw_request_kind kind, mw_str path, const mw_call *, mw_op **ret_op, mw_error *err);

/* `done` follows from the loop: MW_ECANCELLED when it was not sent, else MW_EUNKNOWN for a write. */
void mw_op_cancel(mw_op *op);

/* ---- Subscriptions */

typedef enum mw_event_kind { MW_ADDED, MW_UPDATED, MW_REMOVED, MW_SYNCED } mw_event_kind;

const char *mw_event_text(mw_event_kind kind);

typedef struct mw_event {
    mw_event_kind kind;
    mw_entry entry;  /* REMOVED: value = the last one observed, revision = see DESIGN; SYNCED: only revision */
    mw_str previous; /* UPDATED: the value before */
} mw_event;

typedef struct mw_subscription mw_subscription;

/* The present state as ADDED, then SYNCED once, then changes. `failed` (may be NULL): the subscription cannot go on.
 * Any number of subscriptions on one path share one feed and one cached view. */
int mw_subscribe(mw_registry *, mw_str path, mw_depth depth, void (*event)(void *arg, const mw_event *event),
                 void (*failed)(void *arg, const mw_error *why), void *arg, mw_subscription **ret_sub, mw_error *err);

/* No event after this. */
void mw_unsubscribe(mw_subscription *subscription);

/* Entries in the cached view, sorted, `entry` borrowed for the callback: no round trip. */
void mw_subscription_each(const mw_subscription *sub, void (*visit)(void *arg, const mw_entry *entry), void *arg);

/* ---- Locks */

typedef struct mw_lock_events {
    /* The end of one mw_lock_acquire: MW_OK with the token; MW_EBUSY, MW_ETIMEOUT, MW_ECANCELLED, MW_ESESSION_LOST ...
     * A failed attempt leaves nothing behind. */
    void (*acquired)(void *arg, int status, int64_t token, const mw_error *error);
    /* The lock was held and is no more, by no doing of ours. Once per hold. */
    void (*lost)(void *arg, const mw_error *why);
} mw_lock_events;

/* A handle on the lock at `path`; takes nothing yet. `value` says who we are to those who look at the queue; empty: the
 * registry's name. */
int mw_lock_new(mw_registry *, mw_str path, mw_str value, const mw_lock_events *events, void *arg, mw_lock **ret_lock,
                mw_error *err);

/* Acquire; when held already by this handle, counts one more and completes (from the loop) with the same token. One
 * attempt at a time: MW_EINVALID otherwise. `timeout` 0 = wait for ever; `try_only` = MW_EBUSY instead of waiting. */
int mw_lock_acquire(mw_lock *lock, mw_time timeout, bool try_only, mw_error *err);

/* Give up an attempt that is under way: `acquired` follows with MW_ECANCELLED. */
void mw_lock_cancel(mw_lock *lock);

/* One level of re-entry; the last releases. Not awaited: ownership ends here and now. MW_EINVALID when not held. */
int mw_lock_release(mw_lock *lock, mw_error *err);

bool mw_lock_held(const mw_lock *lock);
int64_t mw_lock_token(const mw_lock *lock); /* 0 when not held */
mw_str mw_lock_path(const mw_lock *lock);

/* Releases all levels; no callback after this. NULL is allowed. */
void mw_lock_free(mw_lock *lock);

/* ---- Election */

/* The lock's queue at `path`, with the leader's record as the ephemeral entry `path`/leader: readable with get,
 * observed with subscribe. */
typedef struct mw_election mw_election;

typedef struct mw_election_events {
    void (*elected)(void *arg, int64_t token);       /* the record is written before this */
    void (*deposed)(void *arg, const mw_error *why); /* lost, resigned or closed; once per term */
    void (*failed)(void *arg, const mw_error *why);  /* cannot stand (denied ...); it stays out */
} mw_election_events;

/* Stand for election for as long as the handle lives, over session losses: after `lost` it joins the queue again. An
 * attempt that is refused, and may be won later, is repeated after 100 ms, then up to a second, and told in the log:
 * once for each reason, then at growing pauses. */
int mw_election_new(mw_registry *, mw_str path, mw_str record, const mw_election_events *events, void *arg,
                    mw_election **ret_election, mw_error *err);
const mw_lock *mw_election_lock(const mw_election *election); /* for mw_step.lock */
bool mw_election_leads(const mw_election *election);

/* Why the last attempt that ended came to nothing; code 0 when the last one was won, or none has ended. Never NULL. */
const mw_error *mw_election_refusal(const mw_election *election);

/* Step down and queue again behind the others, no sooner than 100 ms after the term began; `deposed` is called before
 * it returns. MW_EINVALID when not leading. */
int mw_election_resign(mw_election *election, mw_error *err);
void mw_election_free(mw_election *election);

/* ---- Registration */

/* An ephemeral as a desired state: written, written again with its current value in each new session, withdrawn by
 * free. */
typedef struct mw_registration mw_registration;

typedef struct mw_registration_events {
    /* It is visible: MW_OK, once per session. Or it cannot be, is not tried further, and nothing of it is left:
     * MW_EEXISTS names the other owner (its leftover did not go within `timeout`), MW_ETIMEOUT (not visible within
     * `timeout` of mw_register, whatever the connection did; in later sessions it goes on trying), MW_EDENIED ... */
    void (*registered)(void *arg, int status, const mw_error *error);
} mw_registration_events;

int mw_register(mw_registry *, mw_str path, mw_str value, mw_time timeout, const mw_registration_events *events,
                void *arg, mw_registration **ret_registration, mw_error *err);

/* The new desired value; written soon, the last one wins. */
int mw_registration_set(mw_registration *registration, mw_str value, mw_error *err);
bool mw_registration_visible(const mw_registration *registration);
void mw_registration_free(mw_registration *registration);

/* ---- Backends */

/* Load `mw_backend_<name>.so` from `directories` (colon-separated, may be NULL), else from $MOONWATCH_BACKENDS, else
 * from where it was installed. Errors: MW_EUNSUPPORTED (no such backend, its client library is missing, its table is
 * too old or incomplete: the message says which). The memory backend is linked in instead: `mw_backend_memory`. */
int mw_backend_find(const char *name, const char *directories, const mw_backend **ret_backend, mw_error *err);

/* 0 when the table is complete for this core; MW_EUNSUPPORTED naming the missing slot. */
int mw_backend_validate(const mw_backend *backend, mw_error *err);

/* A backend that logs each slot's calls and completions of `inner` (which outlives it). Free after its connections. */
int mw_trace_backend_new(const mw_backend *inner, mw_backend **ret_backend, mw_error *err);
void mw_trace_backend_free(mw_backend *backend);

/* ---- Paths */

#define MW_PATH_MAX 1024

/* The one rule for paths (DESIGN, section 2). 0 or MW_EINVALID, saying what is wrong and at which byte. "/" is valid.
 */
int mw_path_validate(mw_str path, mw_error *err);
mw_str mw_path_parent(mw_str path);               /* "/" of "/a"; "/" of "/" */
mw_str mw_path_name(mw_str path);                 /* "b" of "/a/b"; "" of "/" */
bool mw_path_below(mw_str path, mw_str ancestor); /* strictly; "/ab" is not below "/a" */
size_t mw_path_depth(mw_str path);                /* 0 for "/" */

/* Does a feed on `path` with `depth` cover `candidate`? */
bool mw_path_covers(mw_str path, mw_depth depth, mw_str candidate);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
