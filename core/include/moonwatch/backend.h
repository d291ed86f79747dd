/* The SPI: what a backend provides to the core.
 *
 * A backend is a table of functions (`mw_backend`). Opening it gives a connection (`mw_conn`), which lives until it is
 * closed and runs any number of sessions, one after another. The core owns validation, namespaces, deadlines, the queue
 * of operations while disconnected, the session state machine, cached views and their diff, re-entry and timeouts of
 * locks. A backend owns the wire, the store, and the truth about what was committed.
 *
 * Rules for every backend
 *   - One thread: slots are called on the host's thread, and everything is reported on it. Threads of its own report
 *     through mw_host_post.
 *   - No slot calls back inline; results come from the loop.
 *   - Each request and each ticket ends exactly once. Nothing is reported after `closed`.
 *   - Data handed to a callback is borrowed: it dies when the callback returns. Data in a request lives until it ends.
 *   - No global state; no printing; no symbol of Moonwatch is needed: everything comes through these tables. mw_fail
 * and mw_log are the library's; a plug-in that wants them compiles core/status.c and core/host_log.c in.
 *   - Paths arrive absolute, valid and with the namespace already in front, and are reported in the same form.
 */
#ifndef MOONWATCH_BACKEND_H
#define MOONWATCH_BACKEND_H

#include <moonwatch/host.h>
#include <moonwatch/status.h>
#include <moonwatch/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MW_BACKEND_ABI 1u

typedef struct mw_backend mw_backend;
typedef struct mw_conn mw_conn;
typedef struct mw_request mw_request;
typedef struct mw_feed mw_feed;

/* ---- Requests */

typedef enum mw_request_kind {
    MW_READ_GET,      /* `entry` once, or done(NOT_FOUND) */
    MW_READ_STAT,     /* the same with an empty value */
    MW_READ_CHILDREN, /* `entry` per direct child, at least `path` filled; any order; NOT_FOUND when `path` is absent.
                         `/` always exists */
    MW_READ_LIST,     /* `entry` for each entry strictly below `path`, with values; any order, no snapshot; nothing and
                         MW_OK when `path` is absent */
    MW_READ_QUEUE,    /* `entry` per member of the lock queue at `path`, holder first: `path` = the lock, `owner` =
                         session,    `revision` = token (0 while waiting), `value` = the ticket's value, `ctime` = since */
    MW_READ_QUEUES,   /* the same for each lock at or below `path`: what `moonwatch locks` shows */
    MW_READ_SESSIONS, /* `entry` per live session: `owner` = id, `value` = its name, `ctime` = opened, `mtime` = expires
                       */
    MW_WRITE,         /* `writes`, all or nothing, in one round trip */
    MW_READ_VERSION   /* only with MW_CAP_VERSION: `entry` once, `value` = what the session's server calls itself */
} mw_request_kind;

/* Owned by the core; valid from `submit` until `done` is called or `cancel` returns. */
struct mw_request {
    mw_request_kind kind;
    bool fresh;  /* reads: see everything acknowledged to anyone before submission */
    mw_str path; /* reads */

    const mw_write *writes; /* MW_WRITE; the rules at mw_write hold */
    size_t write_count;
    mw_written *written; /* filled by the backend on success, one per write */
    size_t failed_write; /* set by the backend when a write is refused: the index of the first that was */

    /* A read's results, zero or more times before `done`. */
    void (*entry)(mw_request *request, const mw_entry *entry);

    /* The end. `status`:
     *   MW_OK             done
     *   MW_EDISCONNECTED  it was certainly not applied (reads: no answer came): the core may submit it again
     *   MW_EUNKNOWN       a write was sent, and what became of it cannot be decided. A backend decides wherever it can:
     *                     after reconnecting it looks for the request's mark in the session's marker before it ends it
     *   anything else     refused; nothing was changed
     * `detail` may be NULL. */
    void (*done)(mw_request *request, int status, const mw_error *detail);

    void *backend[4]; /* scratch of the backend, zero at submission */
};

/* ---- Feeds: the present state of a part of the tree, kept up to date */

/* A feed tells states, not events: the core diffs them against what it has shown. For `depth` SELF it covers `path`,
 * CHILDREN its direct children, SUBTREE everything strictly below it. A feed outlives disconnects and sessions: the
 * backend takes it up again by itself, with a new snapshot where it may have missed anything. Per path states come in
 * revision order; intermediate ones may be left out, the last never. Owned by the core, valid until `unwatch` returns.
 */
struct mw_feed {
    mw_str path;
    mw_depth depth;

    /* A snapshot starts: what is not shown by `entry` before `synced` is gone. */
    void (*begin)(mw_feed *feed);
    void (*entry)(mw_feed *feed, const mw_entry *entry);
    /* The path is absent. `revision`: no older than the deletion, no newer than its discovery. */
    void (*gone)(mw_feed *feed, mw_str path, int64_t revision);
    /* The snapshot that `begin` started is complete as of `revision`. */
    void (*synced)(mw_feed *feed, int64_t revision);
    /* The feed cannot go on (MW_EDENIED, MW_ETOO_LARGE ...) and reports no more. */
    void (*failed)(mw_feed *feed, int status, const mw_error *detail);

    void *backend[2];
};

/* ---- Tickets: a place in a lock's queue */

/* Owned by the core; valid from `lock` until `ended`. */
struct mw_ticket {
    mw_str path;
    mw_str value;  /* shown to those who look at the queue: who is it */
    bool try_only; /* end with MW_EBUSY instead of waiting */

    /* The lock is ours, with a token greater than any before it at this path. At most once. */
    void (*granted)(mw_ticket *ticket, int64_t token);

    /* The end, exactly once: MW_OK after `unlock` (released or withdrawn, nothing left behind); MW_EBUSY;
     * MW_ESESSION_LOST when its session ended; MW_EFENCED when the hold was taken away (an operator dropped it); or why
     * the attempt failed. Whatever a failed attempt left on the server is removed by the backend after reconnecting, or
     * ends with the session. */
    void (*ended)(mw_ticket *ticket, int status, const mw_error *detail);

    int64_t token; /* set by the core from `granted` */
    void *backend[4];
};

/* ---- Connections */

#define MW_SECRET_SIZE 16

typedef struct mw_session_info {
    mw_session_id id;
    unsigned char secret[MW_SECRET_SIZE]; /* proves to the server that the session is ours; never logged */
    mw_time timeout;                      /* as negotiated */
    bool resumed;                         /* the session that was there before the disconnect */
    mw_str server;                        /* where, for people; borrowed */
} mw_session_info;

/* What the core listens to. Order: connected (disconnected connected)* expired? and again. */
typedef struct mw_conn_events {
    void (*connected)(void *arg, const mw_session_info *session);
    void (*disconnected)(void *arg, const mw_error *why); /* nobody knows; the session may live on */
    /* The authority says that the session is over, or `expire` was called. Every ticket of it has been ended before
     * this; unsent requests stay with the core. The backend goes on to open a new session by itself. */
    void (*expired)(void *arg, const mw_error *why);
    /* A renewal sent at `sent_at` passed the authority itself (ZooKeeper: the leader; a follower's ping does not
     * count). Also just before `connected`, where what opened or resumed the session passed it. */
    void (*confirmed)(void *arg, mw_time sent_at);
    /* Connecting fails for a reason that retrying does not mend (MW_EDENIED, MW_ECORRUPT, MW_EUNSUPPORTED ...). The
     * connection stays idle until it is closed. */
    void (*failed)(void *arg, int status, const mw_error *why);
    void (*closed)(void *arg); /* after `close`: the connection's memory is gone */
} mw_conn_events;

/* One setting, as text: durations in milliseconds ("session_timeout_ms"), booleans "true"/"false". */
typedef struct mw_option {
    const char *key;
    const char *value;
} mw_option;

typedef struct mw_conn_config {
    mw_host *host;
    const mw_option *options; /* ended by a NULL key; borrowed for the call. An unknown key is MW_EINVALID */
    mw_str name;              /* who we are, for people who list sessions; borrowed for the call */
    const mw_conn_events *events;
    void *events_arg;
} mw_conn_config;

/* Counted since `open`; specs assert on these instead of on times. */
typedef struct mw_backend_stats {
    uint64_t round_trips; /* requests to the server that waited for an answer, pipelined ones counted once each */
    uint64_t statements;  /* SQL statements, or packets sent */
    uint64_t write_transactions;
    uint64_t renewals;
    uint64_t polls; /* idle look-ups for changes */
    uint64_t reconnects;
    uint64_t wakeups; /* lock waiters woken */
} mw_backend_stats;

/* What differs between backends; README shows them. A spec never asks for one. */
#define MW_CAP_DURABLE (1u << 0)     /* survives the end of all processes */
#define MW_CAP_DISTRIBUTED (1u << 1) /* serves more than one machine */
#define MW_CAP_SESSIONS (1u << 2)    /* MW_READ_SESSIONS */
#define MW_CAP_EXACT_PUT (1u << 3)   /* `put` checks owner and kind in the same step as it writes */
#define MW_CAP_VERSION (1u << 4)     /* MW_READ_VERSION: `server` cannot tell when it connects, but may be asked */

typedef struct mw_requirement {
    const char *key;
    const char *kind;    /* "string", "duration", "size", "integer", "boolean", "path", "secret" */
    const char *initial; /* default as text; NULL = none */
    bool required;
    const char *help; /* one line */
} mw_requirement;

/* Open: check the options, allocate, and start to connect in the background (reported through events). No I/O that can
 * block. Errors: MW_EINVALID (names the option), MW_EUNSUPPORTED, MW_ENO_MEMORY. */
typedef int mw_backend_open_fn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn,
                               mw_error *err);

/* Close: end the session (its ephemerals and locks go at once), end everything still outstanding (requests:
 * DISCONNECTED when unsent, UNKNOWN when a write's fate is open; tickets: CLOSED), then report `closed`. Bounded: a
 * server that does not answer is given up after `patience`. */
typedef void mw_backend_close_fn(mw_conn *conn, mw_time patience);

/* Forget the session without telling anyone, as a crash would: its fate is left to the server's timeout. For specs, for
 * forked children, and for the end of a process that must not wait. Reports `closed` all the same. */
typedef void mw_backend_abandon_fn(mw_conn *conn);

/* The core's own deadline for the session has passed: give it up for good, end its tickets with SESSION_LOST, report
 * `expired`, and start a new one. Harmless when there is no session. */
typedef void mw_backend_expire_fn(mw_conn *conn);

/* Only called between `connected` and `disconnected`/`expired`. Requests of one connection are applied in order of
 * submission (a later read sees an earlier write). */
typedef void mw_backend_submit_fn(mw_conn *conn, mw_request *request);

/* Take a request back. True: it had not been sent and never will be. False: it was sent (reads: no matter). Either way
 * the backend forgets the request: `done` is not called and its memory is not touched again. */
typedef bool mw_backend_cancel_fn(mw_conn *conn, mw_request *request);

/* Start and stop a feed, at any time between open and close, connected or not. No callback after `unwatch`. */
typedef int mw_backend_watch_fn(mw_conn *conn, mw_feed *feed);
typedef void mw_backend_unwatch_fn(mw_conn *conn, mw_feed *feed);

/* Join a lock's queue; only while connected. FIFO. One round trip when the lock is free and nobody waits. */
typedef void mw_backend_lock_fn(mw_conn *conn, mw_ticket *ticket);

/* Release or withdraw. `ended` follows, after reconnecting if need be; the core need not await it. A ticket that is
 * withdrawn while its grant is on the way is released by the backend: `granted` is not called after `unlock`. */
typedef void mw_backend_unlock_fn(mw_conn *conn, mw_ticket *ticket);

/* End a session that is proved to be ours by its secret (a leftover of this process or of its predecessor): its
 * ephemerals and locks go. `done` is called once: MW_OK also when there was no such session any more; MW_EDENIED when
 * the secret does not match. */
typedef void mw_backend_end_session_fn(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                                       void (*done)(void *arg, int status, const mw_error *detail), void *arg);

typedef void mw_backend_stats_fn(mw_conn *conn, mw_backend_stats *ret_stats);

/* What an administrator may run in place of the backend, where that has not the rights to make its tables: malloc'ed
 * text, or NULL without memory. */
typedef char *mw_backend_schema_fn(void);

/* The same for tables that version `from` (1 or more) of the backend's schema made: what brings them up to what this
 * program makes. MW_EINVALID: there is no such version. */
typedef int mw_backend_upgrade_fn(int from, char **ret_text, mw_error *err);

/* The table. `size` and `abi` first; append only. A table shorter than the core needs is refused when it is loaded. */
struct mw_backend {
    size_t size;
    unsigned abi;
    const char *name;    /* "sqlite" */
    const char *library; /* client library and version, for people */
    unsigned caps;
    const mw_requirement *options; /* ended by a NULL key: what `open` accepts */

    mw_backend_open_fn *open;               /* required */
    mw_backend_close_fn *close;             /* required */
    mw_backend_abandon_fn *abandon;         /* required */
    mw_backend_expire_fn *expire;           /* required */
    mw_backend_submit_fn *submit;           /* required */
    mw_backend_cancel_fn *cancel;           /* required */
    mw_backend_watch_fn *watch;             /* required */
    mw_backend_unwatch_fn *unwatch;         /* required */
    mw_backend_lock_fn *lock;               /* required */
    mw_backend_unlock_fn *unlock;           /* required */
    mw_backend_end_session_fn *end_session; /* required */
    mw_backend_stats_fn *stats;             /* optional, otherwise all zero */
    mw_backend_schema_fn *schema;           /* optional, otherwise there is nothing to prepare */
    mw_backend_upgrade_fn *upgrade;         /* optional, otherwise there is nothing to bring up */
};

/* The one symbol that a loadable backend exports: `const mw_backend *mw_backend_plugin(void)`. The table lives as long
 * as the module stays loaded; modules are never unloaded. */
#define MW_BACKEND_PLUGIN_SYMBOL "mw_backend_plugin"
typedef const mw_backend *mw_backend_plugin_fn(void);

#ifdef __cplusplus
}
#endif
#endif
