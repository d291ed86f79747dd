/* A view: the cached entries of one part of the tree, and what a newly told state changes in it. Private to core/. */
#ifndef MW_VIEW_H
#define MW_VIEW_H

#include <moonwatch/types.h>

typedef struct mw__node {
    mw_entry entry; /* path and value point behind the struct */
    uint32_t hash;
    uint32_t seen; /* the snapshot that showed it last */
} mw__node;

/* Open addressing by path; zero-initialised is empty. */
typedef struct mw__view {
    mw__node **slots;
    size_t room; /* a power of two, or 0 */
    size_t count;
    uint32_t snapshot;
} mw__view;

typedef enum mw__change { MW__UNCHANGED, MW__ADDED, MW__UPDATED, MW__REPLACED } mw__change;

uint32_t mw__path_hash(mw_str path);

/* The path is in this state now. REPLACED = another incarnation. A state older than the cached one changes nothing.
 * `*ret_before` is the node that was there (UPDATED, REPLACED) and is the caller's to free; `*ret_now` the present one.
 * Negative: MW_ENO_MEMORY, nothing changed. */
int mw__view_tell(mw__view *view, const mw_entry *entry, mw__node **ret_before, const mw__node **ret_now);

/* The path is absent. The node that was there, the caller's to free; NULL when there was none, or a newer one. */
mw__node *mw__view_remove(mw__view *view, mw_str path, int64_t revision);

/* A snapshot starts: what `tell` does not show until the end is stale. Then take the stale nodes out, one a call; start
 * with *cursor = 0; NULL = no more. */
void mw__view_begin(mw__view *view);
mw__node *mw__view_take_stale(mw__view *view, size_t *cursor);

/* The nodes, sorted by path; `*ret_nodes` is the caller's to free (NULL when empty). 0 or MW_ENO_MEMORY. */
int mw__view_sorted(const mw__view *view, const mw__node ***ret_nodes);

void mw__view_release(mw__view *view);

#endif
