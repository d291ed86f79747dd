/* The cached subtree and its diff: linear probing, removal by shifting back, so that no tombstones pile up. */
#include "view.h"

#include <moonwatch/status.h>

#include <stdlib.h>

#define FIRST_ROOM 16u

uint32_t mw__path_hash(mw_str path) { /* FNV-1a */
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < path.len; i++)
        hash = (hash ^ (unsigned char)path.data[i]) * 16777619u;
    return hash;
}

/* Where the path is, or the empty slot where it belongs. */
static size_t probe(const mw__view *view, mw_str path, uint32_t hash) {
    size_t at = hash & (view->room - 1);
    while (view->slots[at] && !(view->slots[at]->hash == hash && mw_str_equal(view->slots[at]->entry.path, path)))
        at = (at + 1) & (view->room - 1);
    return at;
}

static bool grow(mw__view *view) {
    if (view->count * 4 < view->room * 3)
        return true;
    mw__view larger = {.room = view->room ? view->room * 2 : FIRST_ROOM};
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < view->room; i++)
        if (view->slots[i])
            larger.slots[probe(&larger, view->slots[i]->entry.path, view->slots[i]->hash)] = view->slots[i];
    free(view->slots);
    view->slots = larger.slots;
    view->room = larger.room;
    return true;
}

static mw__node *node_new(const mw_entry *entry, uint32_t hash) {
    mw__node *node = malloc(sizeof *node + entry->path.len + entry->value.len);
    if (!node)
        return NULL;
    char *bytes = (char *)(node + 1);
    node->entry = *entry;
    node->hash = hash;
    node->entry.path.data = bytes;
    memcpy(bytes, entry->path.data, entry->path.len);
    node->entry.value.data = bytes + entry->path.len;
    if (entry->value.len)
        memcpy(bytes + entry->path.len, entry->value.data, entry->value.len);
    return node;
}

static bool newer(const mw_entry *entry, const mw_entry *than) {
    return entry->revision > than->revision || (entry->revision == than->revision && entry->version > than->version);
}

int mw__view_tell(mw__view *view, const mw_entry *entry, mw__node **ret_before, const mw__node **ret_now) {
    if (!grow(view))
        return MW_ENO_MEMORY;
    uint32_t hash = mw__path_hash(entry->path);
    size_t at = probe(view, entry->path, hash);
    mw__node *before = view->slots[at];
    if (before && !newer(entry, &before->entry)) {
        before->seen = view->snapshot;
        return MW__UNCHANGED;
    }
    mw__node *now = node_new(entry, hash);
    if (!now)
        return MW_ENO_MEMORY;
    now->seen = view->snapshot;
    view->slots[at] = now;
    view->count += !before;
    *ret_before = before;
    *ret_now = now;
    if (!before)
        return MW__ADDED;
    return before->entry.created == now->entry.created ? MW__UPDATED : MW__REPLACED;
}

/* Empty the slot, and move back those behind it that would no longer be found. */
static void vacate(mw__view *view, size_t hole) {
    size_t mask = view->room - 1;
    view->slots[hole] = NULL;
    view->count--;
    for (size_t at = (hole + 1) & mask; view->slots[at]; at = (at + 1) & mask) {
        size_t home = view->slots[at]->hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        view->slots[hole] = view->slots[at];
        view->slots[at] = NULL;
        hole = at;
    }
}

mw__node *mw__view_remove(mw__view *view, mw_str path, int64_t revision) {
    if (view->room == 0)
        return NULL;
    size_t at = probe(view, path, mw__path_hash(path));
    mw__node *node = view->slots[at];
    if (!node || node->entry.revision > revision)
        return NULL;
    vacate(view, at);
    return node;
}

void mw__view_begin(mw__view *view) {
    view->snapshot++;
}

mw__node *mw__view_take_stale(mw__view *view, size_t *cursor) {
    while (*cursor < view->room) {
        mw__node *node = view->slots[*cursor];
        if (node && node->seen != view->snapshot) {
            vacate(view, *cursor); /* another may have moved here: look again */
            return node;
        }
        ++*cursor;
    }
    return NULL;
}

static int by_path(const void *a, const void *b) {
    return mw_str_compare((*(const mw__node *const *)a)->entry.path, (*(const mw__node *const *)b)->entry.path);
}

int mw__view_sorted(const mw__view *view, const mw__node ***ret_nodes) {
    *ret_nodes = NULL;
    if (view->count == 0)
        return MW_OK;
    const mw__node **nodes = malloc(view->count * sizeof *nodes);
    if (!nodes)
        return MW_ENO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < view->room; i++)
        if (view->slots[i])
            nodes[count++] = view->slots[i];
    qsort(nodes, count, sizeof *nodes, by_path);
    *ret_nodes = nodes;
    return MW_OK;
}

void mw__view_release(mw__view *view) {
    for (size_t i = 0; i < view->room; i++)
        free(view->slots[i]);
    free(view->slots);
    *view = (mw__view){0};
}
