/* The tree: a hash index for finding, and rings of siblings for walking. */
#include "store.h"

#include <assert.h>
#include <stdlib.h>

mwm_state *mwm_state_new(mw_str path, mw_str value) {
    mwm_state *state = malloc(sizeof *state + path.len + value.len);
    if (!state)
        return NULL;
    *state = (mwm_state){.refs = 1, .path_len = (uint32_t)path.len, .value_len = value.len};
    if (path.len)
        memcpy(state->bytes, path.data, path.len);
    if (value.len)
        memcpy(state->bytes + path.len, value.data, value.len);
    return state;
}

void mwm_state_free(mwm_state *state) {
    if (state && --state->refs == 0)
        free(state);
}

mw_entry mwm_state_entry(const mwm_state *state) {
    return (mw_entry){
        .path = mwm_state_path(state),
        .value = {state->bytes + state->path_len, state->value_len},
        .version = state->version,
        .revision = state->revision,
        .created = state->created,
        .owner = state->owner,
        .ctime = state->ctime,
        .mtime = state->mtime,
    };
}

static mwm_node *node_new(mwm_node *parent, mwm_state *state) {
    mwm_node *node = malloc(sizeof *node);
    if (!node)
        return NULL;
    *node = (mwm_node){.parent = parent, .state = state};
    mwm_ring_init(&node->children);
    mwm_ring_init(&node->sibling);
    mwm_ring_init(&node->owned);
    return node;
}

void mwm_node_free(mwm_node *node) {
    mwm_state_free(node->state);
    free(node);
}

int mwm_store_init(mwm_store *store, size_t log_size) {
    *store = (mwm_store){.log_size = log_size};
    mwm_index_init(&store->nodes);
    store->log = calloc(log_size, sizeof *store->log);
    mwm_state *state = mwm_state_new(mw_str_of("/"), (mw_str){0});
    store->root = state ? node_new(NULL, state) : NULL;
    if (!store->root || !store->log) {
        if (!store->root)
            mwm_state_free(state);
        mwm_store_release(store);
        return MW_ENO_MEMORY;
    }
    mwm_store_relink(store, store->root);
    return MW_OK;
}

void mwm_store_release(mwm_store *store) {
    if (store->log)
        mwm_log_compact(store);
    free(store->log);
    mwm_hook *next = mwm_index_next(&store->nodes, NULL);
    while (next) {
        mwm_hook *hook = next;
        next = mwm_index_next(&store->nodes, hook);
        mwm_node *node = mw_container(hook, mwm_node, by_path);
        if (node == store->root)
            store->root = NULL;
        mwm_node_free(node);
    }
    if (store->root)
        mwm_node_free(store->root);
    mwm_index_release(&store->nodes);
    *store = (mwm_store){0};
}

mwm_node *mwm_store_find(const mwm_store *store, mw_str path) {
    mwm_hook *hook = mwm_index_find(&store->nodes, mwm_hash(path));
    for (; hook; hook = mwm_index_find_next(hook)) {
        mwm_node *node = mw_container(hook, mwm_node, by_path);
        if (mw_str_equal(mwm_state_path(node->state), path))
            return node;
    }
    return NULL;
}

mwm_node *mwm_store_walk(const mwm_node *top, const mwm_node *node) {
    mwm_node *child = mwm_store_first_child(node);
    if (child)
        return child;
    for (; node != top; node = node->parent)
        if (node->sibling.next != &node->parent->children)
            return mw_container(node->sibling.next, mwm_node, sibling);
    return NULL;
}

void mwm_store_relink(mwm_store *store, mwm_node *node) {
    mwm_index_insert(&store->nodes, &node->by_path, mwm_hash(mwm_state_path(node->state)));
    if (node->parent)
        mwm_ring_add(&node->parent->children, &node->sibling);
}

void mwm_store_unlink(mwm_store *store, mwm_node *node) {
    assert(mwm_ring_empty(&node->children));
    mwm_index_remove(&store->nodes, &node->by_path);
    mwm_ring_remove(&node->sibling);
}

mwm_node *mwm_store_attach(mwm_store *store, mwm_node *parent, mwm_state *state) {
    mwm_node *node = node_new(parent, state);
    if (node)
        mwm_store_relink(store, node);
    return node;
}
