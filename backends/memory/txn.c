/* Transactions: checks first, then writes applied one after another, each undone when a later one is refused. */
#include "store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A write that was applied and can be undone. */
typedef struct applied {
    mwm_node *node;
    mwm_state *before; /* NULL: created, or deleted */
    bool deleted;
} applied;

#define FEW 4 /* most transactions need no allocation for this */

typedef struct progress {
    mwm_txn *txn;
    applied *done;
    size_t count;
    applied few[FEW];
} progress;

static int refuse(mwm_txn *txn, int status, mw_str path, const char *why) {
    (void)snprintf(txn->detail, sizeof txn->detail, "%.*s: %s", path.len > 96 ? 96 : MW_STR_FMT(path), why);
    return status;
}

/* ---- Checks */

static int match_version(mwm_txn *txn, const mwm_node *node, const mw_write *write) {
    if (!node)
        return refuse(txn, MW_ENOT_FOUND, write->path, "no such entry");
    if (write->version == MW_VERSION_ANY || write->version == node->state->version)
        return MW_OK;
    (void)snprintf(txn->detail, sizeof txn->detail, "%.*s: version is %lld, not %lld",
                   write->path.len > 96 ? 96 : MW_STR_FMT(write->path), (long long)node->state->version,
                   (long long)write->version);
    return MW_ECONFLICT;
}

static int check(mwm_txn *txn, const mw_write *write) {
    if (write->kind == MW_CHECK_LOCK) {
        if (txn->holds && txn->holds(txn->holds_arg, write->path, write->version))
            return MW_OK;
        return refuse(txn, MW_EFENCED, write->path, "the lock is no longer held with this token");
    }
    const mwm_node *node = mwm_store_find(txn->store, write->path);
    if (write->version == MW_VERSION_ABSENT)
        return node ? refuse(txn, MW_EEXISTS, write->path, "the entry exists") : MW_OK;
    return match_version(txn, node, write);
}

/* ---- Missing parents */

/* Was it deleted earlier in this very transaction? Then it must not come back as a missing parent. */
static bool deleted_here(const progress *run, mw_str path) {
    for (size_t i = 0; i < run->count; i++)
        if (run->done[i].deleted && mw_str_equal(mwm_state_path(run->done[i].node->state), path))
            return true;
    return false;
}

/* A missing parent is committed by itself, outside the transaction. */
static mwm_node *make_parent(mwm_txn *txn, mwm_node *above, mw_str path) {
    mwm_state *state = mwm_state_new(path, (mw_str){0});
    mwm_node *node = state ? mwm_store_attach(txn->store, above, state) : NULL;
    if (!node) {
        mwm_state_free(state);
        return NULL;
    }
    state->ctime = state->mtime = txn->now;
    state->revision = state->created = ++txn->store->revision;
    mwm_log_push(txn->store, &(mwm_change){state->revision, NULL, state});
    return node;
}

/* The nearest ancestor that exists, and the rest of the way made. */
static int find_parent(progress *run, mw_str path, mwm_node **ret_parent) {
    mwm_txn *txn = run->txn;
    mw_str parent = mwm_parent(path);
    mwm_node *node = mwm_store_find(txn->store, parent);
    mw_str above = parent;
    while (!node) {
        if (deleted_here(run, above))
            return refuse(txn, MW_ENOT_FOUND, above, "deleted earlier in this transaction");
        above = mwm_parent(above);
        node = mwm_store_find(txn->store, above);
    }
    if (node->state->owner)
        return refuse(txn, MW_ECONFLICT, above, "an ephemeral entry has no children");
    while (above.len < parent.len) {
        size_t end = above.len == 1 ? 1 : above.len + 1;
        while (end < parent.len && parent.data[end] != '/')
            end++;
        above.len = end;
        node = make_parent(txn, node, above);
        if (!node)
            return refuse(txn, MW_ENO_MEMORY, path, "out of memory");
    }
    *ret_parent = node;
    return MW_OK;
}

/* ---- Writes */

static void note(progress *run, mwm_node *node, mwm_state *before, bool deleted) {
    run->done[run->count++] = (applied){node, before, deleted};
}

static int create(progress *run, const mw_write *write) {
    mwm_txn *txn = run->txn;
    mwm_node *parent = NULL;
    int status = find_parent(run, write->path, &parent);
    if (status != MW_OK)
        return status;
    mwm_state *state = mwm_state_new(write->path, write->value);
    mwm_node *node = state ? mwm_store_attach(txn->store, parent, state) : NULL;
    if (!node) {
        mwm_state_free(state);
        return refuse(txn, MW_ENO_MEMORY, write->path, "out of memory");
    }
    state->ctime = state->mtime = txn->now;
    if (write->ephemeral) {
        state->owner = txn->session;
        mwm_ring_add(txn->owned, &node->owned);
    }
    note(run, node, NULL, false);
    return MW_OK;
}

static int replace(progress *run, mwm_node *node, const mw_write *write) {
    mwm_state *before = node->state, *state = mwm_state_new(write->path, write->value);
    if (!state)
        return refuse(run->txn, MW_ENO_MEMORY, write->path, "out of memory");
    state->version = before->version + 1;
    state->created = before->created;
    state->owner = before->owner;
    state->ctime = before->ctime;
    state->mtime = run->txn->now;
    node->state = state;
    note(run, node, before, false);
    return MW_OK;
}

static int put(progress *run, mwm_node *node, const mw_write *write) {
    if (!node)
        return create(run, write);
    mw_session_id owner = write->ephemeral ? run->txn->session : 0;
    if (node->state->owner != owner)
        return refuse(run->txn, MW_ECONFLICT, write->path,
                      node->state->owner ? (owner ? "owned by another session" : "the entry is ephemeral")
                                         : "the entry is persistent");
    return replace(run, node, write);
}

static int remove_entry(progress *run, mwm_node *node, const mw_write *write) {
    int status = match_version(run->txn, node, write);
    if (status != MW_OK)
        return status;
    if (!node->parent)
        return refuse(run->txn, MW_EINVALID, write->path, "the root cannot be deleted");
    if (mwm_store_first_child(node))
        return refuse(run->txn, MW_ENOT_EMPTY, write->path, "the entry has children");
    mwm_store_unlink(run->txn->store, node);
    note(run, node, NULL, true);
    return MW_OK;
}

static int apply(progress *run, const mw_write *write) {
    mwm_txn *txn = run->txn;
    mwm_node *node = mwm_store_find(txn->store, write->path);
    switch (write->kind) {
    case MW_CREATE:
        return node ? refuse(txn, MW_EEXISTS, write->path, "the entry exists") : create(run, write);
    case MW_PUT:
        return put(run, node, write);
    case MW_SET: {
        int status = match_version(txn, node, write);
        return status == MW_OK ? replace(run, node, write) : status;
    }
    case MW_DELETE:
        return remove_entry(run, node, write);
    case MW_CHECK:
    case MW_CHECK_LOCK:
        return MW_OK; /* done before the first write */
    }
    return refuse(txn, MW_EINVALID, write->path, "unknown kind of write");
}

/* ---- Commit and undo */

static void undo(progress *run) {
    while (run->count) {
        applied *last = &run->done[--run->count];
        if (last->deleted) {
            mwm_store_relink(run->txn->store, last->node);
        } else if (last->before) {
            mwm_state_free(last->node->state);
            last->node->state = last->before;
        } else {
            mwm_ring_remove(&last->node->owned);
            mwm_store_unlink(run->txn->store, last->node);
            mwm_node_free(last->node);
        }
    }
}

static void tell(const progress *run, int64_t revision) {
    size_t next = 0;
    for (size_t i = 0; i < run->txn->count; i++) {
        mw_written *written = &run->txn->written[i];
        *written = (mw_written){.revision = revision};
        mw_write_kind kind = run->txn->writes[i].kind;
        if (kind == MW_CHECK || kind == MW_CHECK_LOCK)
            continue;
        const applied *one = &run->done[next++];
        assert(one->node);
        if (one->deleted)
            continue;
        written->version = one->node->state->version;
        written->created = one->node->state->created;
        written->owner = one->node->state->owner;
    }
}

static void publish(mwm_store *store, const applied *one, int64_t revision) {
    if (one->deleted) {
        mwm_log_push(store, &(mwm_change){revision, one->node->state, NULL});
        mwm_ring_remove(&one->node->owned);
        mwm_node_free(one->node);
    } else {
        mwm_log_push(store, &(mwm_change){revision, one->before, one->node->state});
        mwm_state_free(one->before);
    }
}

/* A txn of checks alone changes nothing, and takes a revision of its own as any other. */
static void commit(progress *run) {
    mwm_store *store = run->txn->store;
    store->revision++;
    for (size_t i = 0; i < run->count; i++) {
        mwm_state *state = run->done[i].node->state;
        if (run->done[i].deleted)
            continue;
        state->revision = store->revision;
        if (!run->done[i].before)
            state->created = store->revision;
    }
    tell(run, store->revision);
    for (size_t i = 0; i < run->count; i++)
        publish(store, &run->done[i], store->revision);
}

static int check_all(mwm_txn *txn) {
    for (size_t i = 0; i < txn->count; i++) {
        mw_write_kind kind = txn->writes[i].kind;
        int status = kind == MW_CHECK || kind == MW_CHECK_LOCK ? check(txn, &txn->writes[i]) : MW_OK;
        if (status != MW_OK) {
            txn->failed = i;
            return status;
        }
    }
    return MW_OK;
}

static int apply_all(progress *run) {
    for (size_t i = 0; i < run->txn->count; i++) {
        int status = apply(run, &run->txn->writes[i]);
        if (status != MW_OK) {
            run->txn->failed = i;
            return status;
        }
    }
    return MW_OK;
}

int mwm_txn_run(mwm_txn *txn) {
    progress run = {.txn = txn};
    int status = check_all(txn);
    if (status != MW_OK)
        return status;
    run.done = txn->count <= FEW ? run.few : malloc(txn->count * sizeof *run.done);
    if (!run.done)
        return refuse(txn, MW_ENO_MEMORY, txn->writes[0].path, "out of memory");
    status = apply_all(&run);
    if (status == MW_OK)
        commit(&run);
    else
        undo(&run);
    if (run.done != run.few)
        free(run.done);
    return status;
}

void mwm_txn_remove_owned(mwm_store *store, mwm_ring *owned) {
    if (mwm_ring_empty(owned))
        return;
    int64_t revision = ++store->revision;
    while (!mwm_ring_empty(owned)) {
        mwm_node *node = mw_container(owned->next, mwm_node, owned);
        mwm_store_unlink(store, node);
        publish(store, &(applied){node, NULL, true}, revision);
    }
}
