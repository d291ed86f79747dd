/* The tree of entries, the log of its latest changes, and transactions on it. Knows no connection and no wire. */
#ifndef MOONWATCH_MEMORY_STORE_H
#define MOONWATCH_MEMORY_STORE_H

#include "util.h"

/* ---- State: what an entry is at one revision */

/* Immutable and counted, so the tree, the log, an older copy and messages under way share one. */
typedef struct mwm_state {
    uint32_t refs;
    uint32_t path_len;
    size_t value_len;
    int64_t version, revision, created;
    mw_session_id owner;
    int64_t ctime, mtime;
    char bytes[]; /* path, value */
} mwm_state;

/* One reference, the caller's; NULL = out of memory. All numbers are zero. */
mwm_state *mwm_state_new(mw_str path, mw_str value);
void mwm_state_free(mwm_state *state); /* drops one reference; NULL is allowed */

static inline mwm_state *mwm_state_keep(mwm_state *state) {
    if (state)
        state->refs++;
    return state;
}

static inline mw_str mwm_state_path(const mwm_state *state) {
    return (mw_str){state->bytes, state->path_len};
}

/* Borrowed from `state`. */
mw_entry mwm_state_entry(const mwm_state *state);

/* ---- Tree */

typedef struct mwm_node {
    mwm_hook by_path;
    struct mwm_node *parent; /* NULL: the root */
    mwm_ring children, sibling;
    mwm_ring owned; /* among the ephemerals of its session */
    mwm_state *state;
} mwm_node;

/* One change of one entry. */
typedef struct mwm_change {
    int64_t revision;
    mwm_state *before; /* NULL: created */
    mwm_state *after;  /* NULL: deleted */
} mwm_change;

typedef struct mwm_store {
    mwm_index nodes;
    mwm_node *root; /* always there */
    int64_t revision;

    mwm_change *log; /* a circle of the last `log_size` changes, `log_count` of them in use, the next at `log_next` */
    size_t log_size, log_count, log_next;
    int64_t log_floor; /* every change after this revision is in the log */

    /* Called for each committed change, in order of revision. */
    void (*changed)(struct mwm_store *store, const mwm_change *change);
} mwm_store;

int mwm_store_init(mwm_store *store, size_t log_size);
void mwm_store_release(mwm_store *store);

/* NULL = absent. */
mwm_node *mwm_store_find(const mwm_store *store, mw_str path);

static inline mwm_node *mwm_store_first_child(const mwm_node *node) {
    return mwm_ring_empty(&node->children) ? NULL : mw_container(node->children.next, mwm_node, sibling);
}

/* The next below `top`, a parent before its children; start with `top` itself. NULL ends. */
mwm_node *mwm_store_walk(const mwm_node *top, const mwm_node *node);

/* A new node below its parent, which exists; takes over `state`. NULL = out of memory. */
mwm_node *mwm_store_attach(mwm_store *store, mwm_node *parent, mwm_state *state);
/* Take a leaf out of the tree and put it back; its parent is remembered. */
void mwm_store_unlink(mwm_store *store, mwm_node *node);
void mwm_store_relink(mwm_store *store, mwm_node *node);
void mwm_node_free(mwm_node *node); /* unlinked; drops its state */

/* ---- Log (log.c) */

/* Remember a change and report it. Takes over no reference. */
void mwm_log_push(mwm_store *store, const mwm_change *change);

/* Forget every change: whoever was away needs a snapshot. */
void mwm_log_compact(mwm_store *store);

/* The state that `path` had at `revision`, NULL = absent, given its present one. `revision` is no less than the floor.
 */
mwm_state *mwm_log_state_at(const mwm_store *store, mw_str path, mwm_state *present, int64_t revision);

/* The i-th oldest change that is still known. */
const mwm_change *mwm_log_at(const mwm_store *store, size_t i);

/* ---- Transactions (txn.c) */

typedef struct mwm_txn {
    mwm_store *store;
    mw_session_id session; /* owner of what is created ephemeral */
    mwm_ring *owned;       /* the ring of its ephemerals */
    int64_t now;           /* milliseconds since 1970 */
    const mw_write *writes;
    size_t count;
    mw_written *written;

    /* Does the session hold the lock at `path` with this token? */
    bool (*holds)(void *arg, mw_str path, int64_t token);
    void *holds_arg;

    size_t failed;
    char detail[160]; /* why it was refused */
} mwm_txn;

/* All or nothing: MW_OK with `written` filled and the changes reported, or the status of write number `failed`. A
 * MW_CHECK_LOCK carries the lock's path and, as `version`, the token. Parents that were missing stay either way. */
int mwm_txn_run(mwm_txn *txn);

/* Remove entries that are leaves, in one revision; the end of a session. Cannot fail. */
void mwm_txn_remove_owned(mwm_store *store, mwm_ring *owned);

#endif
