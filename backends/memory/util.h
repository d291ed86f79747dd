/* Three small tools of the memory backend: rings, an intrusive hash index, and error details. */
#ifndef MOONWATCH_MEMORY_UTIL_H
#define MOONWATCH_MEMORY_UTIL_H

#include <moonwatch/host.h>

/* ---- Ring: a circular list, embedded both in its head and in its members */

typedef struct mwm_ring {
    struct mwm_ring *prev, *next;
} mwm_ring;

static inline void mwm_ring_init(mwm_ring *ring) {
    ring->prev = ring->next = ring;
}

static inline bool mwm_ring_empty(const mwm_ring *ring) {
    return ring->next == ring;
}

/* Behind all the others. */
static inline void mwm_ring_add(mwm_ring *head, mwm_ring *member) {
    member->prev = head->prev;
    member->next = head;
    head->prev->next = member;
    head->prev = member;
}

/* Harmless for a member of no ring that was initialised. */
static inline void mwm_ring_remove(mwm_ring *member) {
    member->prev->next = member->next;
    member->next->prev = member->prev;
    mwm_ring_init(member);
}

/* ---- Index: a hash table whose links are embedded in its members */

typedef struct mwm_hook {
    struct mwm_hook *next;
    uint64_t hash;
} mwm_hook;

/* Inserting never fails: a table that cannot grow gets slower. */
typedef struct mwm_index {
    mwm_hook **buckets;
    mwm_hook *only; /* the one bucket of a table that has not grown yet */
    size_t size;    /* a power of two */
    size_t count;
} mwm_index;

void mwm_index_init(mwm_index *index);
void mwm_index_release(mwm_index *index); /* members are the caller's */
void mwm_index_move(mwm_index *to, const mwm_index *from);
void mwm_index_insert(mwm_index *index, mwm_hook *hook, uint64_t hash);
void mwm_index_remove(mwm_index *index, mwm_hook *hook);

/* Members with this hash, one after another; NULL ends them. The caller compares the keys. */
mwm_hook *mwm_index_find(const mwm_index *index, uint64_t hash);
mwm_hook *mwm_index_find_next(const mwm_hook *hook);

/* All members, in no order: start with NULL. To free them, take the next before freeing one. */
mwm_hook *mwm_index_next(const mwm_index *index, const mwm_hook *hook);

/* FNV-1a. `mwm_hash_more(mwm_hash_start, "ab")` equals hashing "a", then "b": ancestors of a path share the work. */
#define MWM_HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t mwm_hash_more(uint64_t hash, const char *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t mwm_hash(mw_str text) {
    return mwm_hash_more(MWM_HASH_START, text.data, text.len);
}

/* Spread the low bits of a number over the whole word. */
static inline uint64_t mwm_hash_number(uint64_t number) {
    return (number ^ number >> 29) * UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- Paths */

/* "/a" of "/a/b", "/" of "/a" and of "/". */
mw_str mwm_parent(mw_str path);

/* Does a look at `top` with `depth` show `path`? */
bool mwm_covers(mw_str top, mw_depth depth, mw_str path);

/* ---- Errors */

/* Fill `err` (when not NULL) and return `status`. A backend needs no symbol of the core, so it has its own. */
int mwm_fail(mw_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
