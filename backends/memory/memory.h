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

typedef struct mw_memory_server mw_memory_server;

typedef struct mw_memory_options {
    uint64_t seed;           /* of the faults; the same seed, the same run */
    mw_time session_timeout; /* for connections that ask for none; 0 = 6 s */
    size_t log_size;         /* changes remembered for feeds that were away; 0 = 1,024 */
} mw_memory_options;

/* `options` may be NULL. Errors: MW_ENO_MEMORY. The host outlives the server. */
int mw_memory_server_new(mw_host *host, const mw_memory_options *options, mw_memory_server **ret_server, mw_error *err);

/* Close every connection first; those of killed processes, which nobody can close, are freed with the server. Not from
 * a callback of one of its connections. NULL is allowed. */
void mw_memory_server_free(mw_memory_server *server);

/* The table whose `open` connects to `server`; lives as long as the server. Options: session_timeout_ms. */
const mw_backend *mw_memory_backend(mw_memory_server *server);

/* A private server for each connection. Options: session_timeout_ms. */
extern const mw_backend mw_backend_memory;

/* ---- Looking at it -------------------------------------------------------------------------------------------------
 */

typedef struct mw_memory_counts {
    size_t entries; /* without the root */
    size_t sessions;
    size_t feeds;
    size_t tickets;     /* in all lock queues */
    size_t connections; /* open ones, connected or not */
} mw_memory_counts;

void mw_memory_count(const mw_memory_server *server, mw_memory_counts *ret_counts);
int64_t mw_memory_revision(const mw_memory_server *server);

#ifdef __cplusplus
}
#endif
#endif
