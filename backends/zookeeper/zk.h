/* What the files of this backend share. One connection (`mw_conn`) drives one handle of the C client at a time through
 * the host's loop; a handle serves one session over any number of reconnects.
 *
 *   options  what may be configured            names    host names to addresses, on a thread
 *   conn     opening, handles, retries         pump     the client's descriptor and deadlines in the host's loop
 *   close    ending a session, on a thread     session  states, renewal, the marker
 *   thread   calls that may block            shake    the handshake of TLS, on a thread
 *   send     each request that goes out        slots    marks by which a lost reply is decided
 *   read     get, stat, children               walk     list, queues, sessions: many reads, one request
 *   write    single writes and transactions    resolve  what became of writes whose reply was lost
 *   batch    creates that travel together
 *   feed     subscriptions: state              feed_read subscriptions: the reads that keep it
 *   queue    locks                             convert  codes, stats and paths between the two worlds
 *   version  what the server calls itself    secure   the options of TLS and SASL
 *   tls      the client library's TLS
 */
#ifndef MW_ZOOKEEPER_ZK_H
#define MW_ZOOKEEPER_ZK_H

#include <moonwatch/backend.h>

#include <zookeeper/zookeeper.h>

#include "list.h"
#include "table.h"
#include "thread.h"
#include "tls.h"

#define ZK_PATH_MAX 2304        /* chroot, path and the name of a queue's member */
#define ZK_HIDDEN "/.moonwatch" /* below the chroot: marks of sessions; not shown to anyone */
#define ZK_SLOT_COUNT 65        /* 0 names the session; the others mark one write in flight each */
#define ZK_SENDS 16             /* remembered send times, see session.c */
#define ZK_READ_WINDOW 1024     /* reads of feeds and walks in flight; 4096 sent in one turn held the loop for 40 ms */

typedef struct zk_options {
    char *servers; /* "host:port,..." without chroot */
    char *root;    /* chroot: "" or "/a/b" */
    mw_time session_timeout, connect_timeout;
    char *digest; /* "user:password" or NULL */
    zk_tls *tls;  /* NULL: none */
    const struct ACL_vector *acl;
    size_t packet_limit;
    size_t watch_limit; /* bytes of watched paths that may be set again in one packet */
} zk_options;

typedef enum zk_phase {
    ZK_WAITING,    /* no handle: names are being looked up, or it is not yet time to try again */
    ZK_CONNECTING, /* a handle, no session or none that answers */
    ZK_GREETING,   /* the server answers; marks are written, lost replies decided */
    ZK_UP,         /* the core has been told */
    ZK_FAILED,     /* trying again would not mend it */
    ZK_CLOSING,    /* waiting for the last answers */
    ZK_ENDING      /* the handle is being closed on a thread, or nothing is left to do */
} zk_phase;

typedef struct zk_slot {
    bool made, busy;
} zk_slot;

typedef struct zk_names_job zk_names_job;
typedef struct zk_close_job zk_close_job;
typedef struct zk_shake_job zk_shake_job;

struct mw_conn {
    mw_host *host;
    const mw_conn_events *events;
    void *events_arg;
    zk_options options;
    char *name;

    zk_phase phase;
    zhandle_t *zh;
    unsigned inside; /* calls into the client under way: it must not be closed now */
    mw_poll poll;
    mw_timer timer;
    mw_defer kick;
    zk_names_job *names;
    zk_close_job *closing;
    zk_shake_job *shaking; /* a thread has the handle; we have its socket's duplicate */
    char *addresses;       /* what the handle was made with: numbers only */
    char *unresolved;      /* a line for each name that the last look-up did not find; they have been logged */
    bool moved;            /* they are newer than the handle's */

    int fd;  /* the client's, valid while wired */
    int ear; /* our duplicate, which the loop watches for `listens`; 0 = none */
    unsigned listens;
    bool wired; /* the client has an open socket */
    bool corked;
    bool unread;      /* the client may hold what the socket does not show: TLS */
    mw_time leave_by; /* the server throttles: another one, or this one later; 0 = it does not */
    bool stale;       /* it even throttled a sync: reads behind that are not fresh */
    bool up_told, expired, refused, abandoned;
    mw_time connect_began, connect_sent, up_since, retry_at, close_by;
    unsigned failures;
    unsigned rejections; /* handshakes of TLS that were refused since a server last spoke to us */
    char complaint[160]; /* what was last logged of them */

    unsigned outstanding; /* requests without an answer */
    mw_time last_heard, busy_since;

    mw_session_info session;
    bool announced; /* `connected` was reported for this session */
    bool unmarked;  /* no right to write marks: renewals use sync, lost writes stay unknown */
    unsigned greetings;
    mw_time probed;
    bool probe_writes;
    mw_time sends[ZK_SENDS]; /* ring, newest at send_last */
    size_t send_last;
    int64_t zxid;   /* the newest that any answer showed in this session */
    int64_t newest; /* and in those before */

    zk_slot slots[ZK_SLOT_COUNT];
    uint64_t last_id;

    zk_list pending, sent, lost, refusals; /* requests */
    zk_list open;                          /* writes that were sent once and have not ended */
    struct zk_op *batch;                   /* under way: what else is pending waits for its end */
    size_t resolving;
    zk_list holds;
    zk_list feeds;
    zk_table nodes; /* what they watch */
    zk_list todo;   /* reads of feeds that wait for the window */
    size_t reading, watched_bytes;
    zk_list walks;
    zk_table parents; /* directories that exist, as far as we know */
    zk_table entries; /* that we wrote */
    zk_table writing; /* paths of writes that have not ended */
    uint64_t last_number;
    zk_list enders;
    mw_backend_stats stats;
};

/* ---- convert.c */
int zk_fail(mw_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void zk_log(mw_conn *conn, mw_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
int zk_status(int rc);       /* MW_E* of an answer of the server */
const char *zk_text(int rc); /* for people; as long-lived as zerror's */
bool zk_is_lost(int rc);     /* no answer came: connection or session went away first */
/* The same, or the server did not look at the question: it throttles, or has heard that the session moved. It is left
 * (see zk_heard), and the next connection asks again. */
bool zk_is_unanswered(int rc);
/* Does this answer to a write come from the leader? Others are a server's own: it throttles, is read-only, knows of
 * another connection of the session. One that is cut off from its leader may go on giving them. */
bool zk_is_judged(int rc);
mw_session_id zk_owner(const struct Stat *stat);
void zk_entry(mw_entry *ret_entry, mw_str path, const char *value, int len, const struct Stat *stat);
/* The path on the server, NUL-terminated. */
void zk_path(const mw_conn *conn, mw_str path, char ret_path[ZK_PATH_MAX]);
mw_str zk_unroot(const mw_conn *conn, const char *path);
/* Is a child of this name (of `parent`, as on the server) kept from children, lists and feeds? */
bool zk_hides(const mw_conn *conn, const char *parent, const char *name);
/* The node of a lock, by its value: no entry, unless it has children that are entries; then its value is shown as
 * empty. (The server does not tell a container from a persistent node.) */
#define ZK_LOCK_MARK "moonwatch:queue-of-a-lock"
bool zk_is_lock(const char *value, int len);
bool zk_maybe_lock(const struct Stat *stat); /* as long as only the length is known */
bool zk_any_shown(const mw_conn *conn, const char *parent, const struct String_vector *names);
void zk_join(const char *parent, const char *name, char ret_path[ZK_PATH_MAX]);
bool zk_parent(const char *path, char ret_path[ZK_PATH_MAX]); /* false for "/" */
void zk_saw(mw_conn *conn, const struct Stat *stat);

/* ---- options.c, acl.c */
extern const mw_requirement zk_requirements[];
int zk_options_read(zk_options *options, const mw_option *list, mw_error *err);
void zk_options_release(zk_options *options);
/* The first line of a file that holds a secret, to be freed; `key` is the option that names it. */
int zk_first_line(const char *key, const char *path, char **ret_line, mw_error *err);

/* ---- secure.c: `tls`, what belongs to it, and `sasl`. Values are borrowed from the list of options. */
typedef struct zk_secure {
    bool said, tls;
    const char *ca, *cert, *key, *password, *name;
    char *password_read;
    const char *stray; /* an option that means nothing without `tls` */
} zk_secure;

bool zk_secure_knows(const char *key);
int zk_secure_read(zk_secure *secure, const mw_option *option, mw_error *err);
int zk_secure_finish(zk_secure *secure, const char *servers, zk_tls **ret_tls, mw_error *err);
void zk_secure_release(zk_secure *secure);
int zk_acl_read(const char *text, bool with_digest, const struct ACL_vector **ret_acl, mw_error *err);

/* ---- names.c: `servers` with names to addresses. `done` from the loop; `addresses` NULL = none resolved. */
struct zk_names_job {
    zk_thread thread;
    mw_conn *conn;
    char *servers, *addresses, *failures;
};
bool zk_names_numeric(const char *servers); /* nothing to look up */
/* The addresses, comma-separated, or NULL. `ret_failures`: a line for each name that has none, NULL when all have; or
 * not wanted. Both are the caller's. */
char *zk_names_lookup(const char *servers, char **ret_failures);
int zk_names_start(mw_conn *conn);
void zk_names_apply(mw_conn *conn); /* tell the handle, when it is ours */
bool zk_names_leave(mw_conn *conn); /* false: they are on the way; kicks when they are here */

/* ---- conn.c */
mw_backend_open_fn zk_open;
mw_backend_expire_fn zk_expire;
/* A handle of the client, with TLS or without, that tells nobody but the watcher. */
zhandle_t *zk_client_new(const zk_tls *tls, const char *addresses, watcher_fn watcher, mw_time timeout,
                         const clientid_t *client, void *context);
int zk_handle_new(mw_conn *conn);
int zk_process(mw_conn *conn, int what);
void zk_handle_drop(mw_conn *conn); /* without ending the session; never blocks */
void zk_cut(mw_conn *conn);         /* leave the server that we are connected to, or to which we try to */
void zk_retry(mw_conn *conn);       /* one more failure: when to try again */
void zk_expire_now(mw_conn *conn, const mw_error *why);
void zk_refuse(mw_conn *conn, int status, const char *why);
void zk_conn_end(mw_conn *conn); /* end everything, report `closed`, free; not from within the client */

/* ---- pump.c */
void zk_pump(mw_conn *conn);
void zk_kick(mw_conn *conn); /* pump soon, from the loop */
void zk_pump_init(mw_conn *conn);
void zk_pump_stop(mw_conn *conn);
void zk_unwire(mw_conn *conn); /* the client's socket is gone, or is given up */
void zk_deafen(mw_conn *conn); /* it stays, and is not watched */

/* ---- shake.c */
bool zk_unshaken(zhandle_t *zh);    /* a handle with TLS: does its handshake come next? */
void zk_shake_begin(mw_conn *conn); /* the socket is connected */
void zk_shake_stop(mw_conn *conn);  /* let it fail soon */
bool zk_shake_leave(mw_conn *conn); /* as zk_names_leave; the handle goes with the thread */
void zk_shake_failed(mw_conn *conn, const char *server, const zk_shaken *shaken); /* log it, or refuse for good */

/* ---- close.c */
mw_backend_close_fn zk_close;
mw_backend_abandon_fn zk_abandon;
mw_backend_end_session_fn zk_end_session;
void zk_closing_step(mw_conn *conn);
bool zk_threads_leave(mw_conn *conn); /* all that are at work; false: one has posted, and kicks when it is here */
void zk_enders_forget(mw_conn *conn);
mw_time zk_closing_due(const mw_conn *conn);

/* ---- session.c */
void zk_watcher(zhandle_t *zh, int type, int state, const char *path, void *ctx);
void zk_session_suspend(mw_conn *conn);
void zk_session_forget(mw_conn *conn);
void zk_session_up(mw_conn *conn);
void zk_session_probe(mw_conn *conn, mw_time now);
mw_time zk_session_due(const mw_conn *conn); /* when the next probe is due */
/* What follows in this flight shows all that earlier connections of the session have brought to the leader. A `sync`
 * would not do: a leader that does not queue what its followers forward answers it ahead of what it has proposed. */
int zk_session_barrier(mw_conn *conn);
/* A write was answered: does that prove that the session lives, and since when? */
void zk_session_confirm(mw_conn *conn, int rc, mw_time write_sent_at);
mw_time zk_probe_period(const mw_conn *conn);

/* ---- slots.c */
void zk_mark_path(const mw_conn *conn, mw_session_id id, unsigned slot, char ret_path[ZK_PATH_MAX]);
void zk_slot_path(const mw_conn *conn, unsigned slot, char ret_path[ZK_PATH_MAX]);
int zk_slot_take(mw_conn *conn); /* 0 = none free */
void zk_slot_give(mw_conn *conn, int slot);

/* ---- known.c: what we remember of the tree */
bool zk_parent_known(const mw_conn *conn, const char *path);
void zk_parent_remember(mw_conn *conn, const char *path);
void zk_parent_forget(mw_conn *conn, const char *path);
void zk_parents_release(mw_conn *conn);

typedef struct zk_known {
    int32_t version;
    int64_t created;
    mw_session_id owner;
} zk_known;

const zk_known *zk_entry_known(const mw_conn *conn, const char *path);
void zk_entry_remember(mw_conn *conn, const char *path, zk_known known);
void zk_entry_forget(mw_conn *conn, const char *path);
void zk_entries_release(mw_conn *conn);

/* ---- sweep.c: remove the nodes of unused locks below `path`; `removed` tells whether there were any */
int zk_sweep(mw_conn *conn, const char *path, void (*done)(void *data, int rc, bool removed), void *data);

/* ---- send.c: the client's asynchronous calls, counted and stamped. 0, or a code of the client when it was not sent.
 * Each completion begins with zk_heard(). */
void zk_heard(mw_conn *conn, int rc);
void zk_flush(mw_conn *conn); /* at the end of a turn */
int zk_send_get(mw_conn *, const char *path, bool watch, data_completion_t, void *data);
int zk_send_exists(mw_conn *, const char *path, bool watch, stat_completion_t, void *data);
int zk_send_children(mw_conn *, const char *path, bool watch, strings_stat_completion_t, void *data);
int zk_send_create(mw_conn *, const char *path, mw_str value, int mode, string_stat_completion_t, void *data);
int zk_send_set(mw_conn *, const char *path, mw_str value, int version, stat_completion_t, void *data);
int zk_send_delete(mw_conn *, const char *path, void_completion_t, void *data);
int zk_send_multi(mw_conn *, int count, const zoo_op_t *, zoo_op_result_t *, void_completion_t, void *data);
int zk_send_sync(mw_conn *conn); /* what follows in this flight is fresh */
/* Create what is missing above `path`, pipelined; `done` when the last answer is in. */
int zk_send_parents(mw_conn *, const char *path, void (*done)(void *data, int rc), void *data);
/* And the node of a lock: a container, as Curator makes it, which the server removes some time after its last member
 * left. */
int zk_send_lock_node(mw_conn *, const char *path, void (*done)(void *data, int rc), void *data);

/* ---- requests: read.c, walk.c, write.c, resolve.c */
typedef struct zk_txn zk_txn;
typedef struct zk_walk zk_walk;
typedef struct zk_batch zk_batch;
typedef struct zk_inquiry zk_inquiry;

typedef struct zk_op {
    zk_link link;
    mw_conn *conn;
    mw_request *request; /* NULL: taken back or ended */
    zk_list *in;         /* the list that holds it */
    unsigned waiting;    /* answers still to come */
    uint64_t number;     /* order of submission */
    mw_time sent_at;
    int status; /* of a refusal */
    mw_error err;
    zk_txn *txn;
    zk_walk *walk;
    zk_inquiry *inquiry;
    struct Stat seen; /* get, stat: of what may be a lock */
} zk_op;

mw_backend_submit_fn zk_submit;
mw_backend_cancel_fn zk_cancel;
zk_op *zk_op_new(mw_conn *conn, mw_request *request); /* NULL: no memory */
void zk_op_move(zk_op *op, zk_list *to);
void zk_pending_first(zk_op *op);                           /* ahead of what has not been sent yet */
void zk_op_refuse(zk_op *op, int status);                   /* from the loop: nothing ends inside `submit` */
void zk_op_end(zk_op *op, int status, const mw_error *err); /* reports; frees when no answer is awaited */
void zk_op_release(zk_op *op);                              /* frees when ended and no answer is awaited */
void zk_drain(mw_conn *conn);                               /* send what is ready, in order */
void zk_requests_suspend(mw_conn *conn);                    /* unsent requests go back to the core */
void zk_requests_end(mw_conn *conn, int write_status);      /* all of them: the session is over, or we close */
void zk_refusals_run(mw_conn *conn);

int zk_read_send(zk_op *op);
int zk_walk_start(zk_op *op);
void zk_walk_more(zk_walk *walk);
void zk_walk_free(zk_walk *walk);
int zk_inquiry_start(zk_op *op); /* MW_READ_VERSION */
void zk_inquiry_free(zk_inquiry *inquiry);

/* Is a write of ours to this path, sent or not, before `op`? A put can only look after it. It may go again, so a read
 * of this path waits for its answer. */
bool zk_written_before(const zk_op *op, const char *path);
/* And a read of what is below a path: is a write to it, or to anything below, under way? */
bool zk_open_below(const mw_conn *conn, const char *path);
int zk_txn_prepare(zk_op *op, mw_error *err); /* 0 or MW_E* */
bool zk_txn_ready(zk_op *op);
int zk_txn_send(zk_op *op); /* 0 or an rc of the client */
void zk_txn_free(zk_op *op);
void zk_resolve_start(mw_conn *conn); /* calls zk_session_up when all is decided */

/* ---- batch.c */
bool zk_batch_takes(const zk_op *op); /* a create that may travel with others: it waits for the end of the turn */
void zk_batch_gather(mw_conn *conn);  /* what is first among the pending becomes a batch where that can be */

/* ---- feed.c */
mw_backend_watch_fn zk_watch;
mw_backend_unwatch_fn zk_unwatch;
void zk_feeds_event(mw_conn *conn, int type, const char *path);
void zk_feeds_suspend(mw_conn *conn); /* before the client sets watches again */
void zk_feeds_resume(mw_conn *conn);
void zk_feeds_forget(mw_conn *conn); /* a new session: no watch is left */
void zk_feeds_free(mw_conn *conn);
void zk_reads_more(mw_conn *conn); /* fill the window */

/* ---- queue.c */
mw_backend_lock_fn zk_lock;
mw_backend_unlock_fn zk_unlock;
void zk_holds_event(mw_conn *conn, int type, const char *path);
void zk_holds_suspend(mw_conn *conn); /* before the client sets watches again */
void zk_holds_resume(mw_conn *conn);
void zk_holds_end(mw_conn *conn, int status, const mw_error *why);
void zk_holds_probe(mw_conn *conn);
/* The queue node that proves the ticket's hold; NULL when it holds nothing. */
const char *zk_hold_node(const mw_ticket *ticket);

#endif
