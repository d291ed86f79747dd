/* A FIFO of defers: an intrusive ring around a sentinel, so that one can leave in constant time without its list. */
#ifndef MOONWATCH_CORE_DEFERS_H
#define MOONWATCH_CORE_DEFERS_H

#include <moonwatch/host.h>

typedef struct mw__defers {
    mw_defer ring;
} mw__defers;

static inline void mw__defers_init(mw__defers *defers) {
    defers->ring.next = defers->ring.prev = &defers->ring;
}

static inline mw_defer *mw__defers_first(mw__defers *defers) {
    return defers->ring.next == &defers->ring ? NULL : defers->ring.next;
}

/* Harmless when queued already. */
static inline void mw__defers_push(mw__defers *defers, mw_defer *defer, uint64_t order) {
    if (defer->queued)
        return;
    defer->order = order;
    defer->next = &defers->ring;
    defer->prev = defers->ring.prev;
    defer->prev->next = defers->ring.prev = defer;
    defer->queued = true;
}

/* Out of whichever list it is in; harmless when in none. */
static inline void mw__defers_remove(mw_defer *defer) {
    if (!defer->queued)
        return;
    defer->prev->next = defer->next;
    defer->next->prev = defer->prev;
    defer->next = defer->prev = NULL;
    defer->queued = false;
}

#endif
