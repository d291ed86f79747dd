/* Backups of the registry, and going back to one. */
#include "server.h"

#include <stdlib.h>

/* Parents come before their children. */
struct mw_memory_copy {
    int64_t revision;
    size_t count;
    mwm_state *states[];
};

int mw_memory_copy_new(const mw_memory_server *server, mw_memory_copy **ret_copy, mw_error *err) {
    const mwm_node *root = server->store.root;
    mw_memory_copy *copy = malloc(sizeof *copy + server->store.nodes.count * sizeof *copy->states);
    if (!copy)
        return mwm_fail(err, MW_ENO_MEMORY, "memory: no memory for a copy");
    copy->revision = server->store.revision;
    copy->count = 0;
    for (const mwm_node *node = root; (node = mwm_store_walk(root, node));)
        if (!node->state->owner)
            copy->states[copy->count++] = mwm_state_keep(node->state);
    *ret_copy = copy;
    return MW_OK;
}

void mw_memory_copy_free(mw_memory_copy *copy) {
    for (size_t i = 0; copy && i < copy->count; i++)
        mwm_state_free(copy->states[i]);
    free(copy);
}

static int fill(mwm_store *store, const mw_memory_copy *copy) {
    for (size_t i = 0; i < copy->count; i++) {
        mwm_node *parent = mwm_store_find(store, mwm_parent(mwm_state_path(copy->states[i])));
        if (!mwm_store_attach(store, parent, copy->states[i]))
            return MW_ENO_MEMORY;
        (void)mwm_state_keep(copy->states[i]);
    }
    store->revision = copy->revision;
    mwm_log_compact(store);
    return MW_OK;
}

/* The new store is whole before the present one is touched. */
int mw_memory_restore(mw_memory_server *server, const mw_memory_copy *copy, mw_error *err) {
    mwm_store store;
    int status = mwm_store_init(&store, server->store.log_size);
    if (status == MW_OK && (status = fill(&store, copy)) != MW_OK)
        mwm_store_release(&store);
    if (status != MW_OK)
        return mwm_fail(err, status, "memory: no memory for going back to a copy");
    mw_memory_restart(server, 0);
    (void)mw_memory_expire(server, 0);
    store.changed = server->store.changed;
    mwm_store_release(&server->store);
    server->store = store;
    mwm_index_move(&server->store.nodes, &store.nodes);
    return MW_OK;
}
