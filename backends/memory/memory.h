/* The memory backend: a registry server that lives in this process. The reference for every other backend, and the
 * simulated cluster that specs run on.
 *
 * Two ways to use it:
 *   - `mw_backend_memory` is an ordinary backend named "memory": each connection gets a private server, gone with it.
 *   - `mw_memory_server_new` makes a server that any number of connections share, through the table that
 *     `mw_memory_backend` gives. Server and connections may sit on different hosts of one virtual world, so each
 *     simulated process can be paused or killed by itself. All of them run on one thread.
 *
 * Everything between a connection and its server travels as a message over a wire and takes at least one turn of the
 * loop. Messages of one connection never overtake each other; those of different connections may.
 */
#ifndef MOONWATCH_BACKENDS_MEMORY_H
#define MOONWATCH_BACKENDS_MEMORY_H

#include <moonwatch/backend.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

typedef struct mw_memory_server mw_memory_server;

typedef struct mw_memory_options {
    uint64_t seed;           /* of the faults; the same seed, the same run */
    mw_time session_timeout; /* for connections that ask for none; 0 = 6 s */
    size_t log_size;         /* changes remembered for feeds that were away, and for `weak`; 0 = 1,024 */
    bool weak;               /* begin with the fault of that name */
} mw_memory_options;

/* `options` may be NULL. Errors: MW_ENO_MEMORY. The host outlives the server. */
int mw_memory_server_new(mw_host *host, const mw_memory_options *options, mw_memory_server **ret_server, mw_error *err);

/* Close every connection first; those of killed processes, which nobody can close, are freed with the server. Not from
 * a callback of one of its connections. NULL is allowed. */
void mw_memory_server_free(mw_memory_server *server);

/* The table whose `open` connects to `server`; lives as long as the server. Options: session_timeout_ms. */
const mw_backend *mw_memory_backend(mw_memory_server *server);

/* A private server for each connection, gone with it. The same options. */
extern const mw_backend mw_backend_memory;

/* ---- Looking at it */

typedef struct mw_memory_counts {
    size_t entries; /* without the root */
    size_t sessions;
    size_t feeds;
    size_t tickets;     /* in all lock queues */
    size_t connections; /* open ones, connected or not */
} mw_memory_counts;

void mw_memory_count(const mw_memory_server *server, mw_memory_counts *ret_counts);
int64_t mw_memory_revision(const mw_memory_server *server);

/* ---- Faults
 *
 * All of them follow the seed. `session` names a connection by the session that it carries or carried last; 0 means
 * every connection. With a number that no connection knows, the int functions return MW_ENOT_FOUND. */

typedef struct mw_memory_faults {
    mw_time latency_min, latency_max; /* of each message, each way; they order messages of different connections anew */

    /* Probabilities, 0 to 1. A lost message takes the connection with it, as a broken TCP connection does. */
    double lose_request; /* a message never reaches the server */
    double lose_reply;   /* a write or a lock is done, and the answer is lost */
    double forget;       /* asked later what became of a write, the server cannot tell: MW_EUNKNOWN */

    /* Every freedom that the contract gives to a backend: reads lag (but never go back, and see the connection's own
     * writes), lists are no snapshot, feeds leave states out and deliver late. */
    bool weak;
} mw_memory_faults;

/* NULL = none; for one connection: what holds for all. */
int mw_memory_set_faults(mw_memory_server *server, mw_session_id session, const mw_memory_faults *faults);

/* Once, for the next message of that kind. */
int mw_memory_lose_next_request(mw_memory_server *server, mw_session_id session);
int mw_memory_lose_next_reply(mw_memory_server *server, mw_session_id session);

/* Cut the connection, and refuse it for `span`. The session waits for its timeout. */
int mw_memory_disconnect(mw_memory_server *server, mw_session_id session, mw_time span);

/* End a session now: an operator's word, or a clock that judged too early. 0 = all. */
int mw_memory_expire(mw_memory_server *server, mw_session_id session);

/* Frozen: nothing is answered, nothing is lost. With session 0 the server itself stands still, and expires nobody
 * until a full timeout after it goes on. */
int mw_memory_freeze(mw_memory_server *server, mw_session_id session, bool frozen);

/* The connection's server is cut off from the authority, as a ZooKeeper follower from its leader: it goes on answering
 * reads from what it knows and renewals without confirmation, while the session expires elsewhere. Ends with a cut. */
int mw_memory_isolate(mw_memory_server *server, mw_session_id session, bool isolated);

/* All connections are cut, and refused for `down`. What was acknowledged is kept; sessions get a full timeout anew. */
void mw_memory_restart(mw_memory_server *server, mw_time down);

/* Forget the log of changes: feeds that were away need a snapshot. */
void mw_memory_compact(mw_memory_server *server);

/* An operator deletes a lock's queue: all in it are fenced. MW_ENOT_FOUND when there is none. */
int mw_memory_drop_lock(mw_memory_server *server, mw_str path);

/* A backup of the persistent entries, and going back to it: what came after is gone, acknowledged or not, and so are
 * all sessions. The first client that has seen a later revision makes the registry notice, end all sessions once more
 * and raise its counter beyond all tokens that were given. */
typedef struct mw_memory_copy mw_memory_copy;
int mw_memory_copy_new(const mw_memory_server *server, mw_memory_copy **ret_copy, mw_error *err);
int mw_memory_restore(mw_memory_server *server, const mw_memory_copy *copy, mw_error *err);
void mw_memory_copy_free(mw_memory_copy *copy); /* NULL is allowed */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
