/* A binary min-heap over (due, order). */
#include "timers.h"

#include <assert.h>
#include <stdlib.h>

int mw__timers_init(mw__timers *timers, size_t reserve) {
    size_t capacity = reserve ? reserve : 1;
    mw_timer **heap = malloc(capacity * sizeof *heap);
    if (!heap)
        return MW_ENO_MEMORY;
    *timers = (mw__timers){.heap = heap, .capacity = capacity};
    return MW_OK;
}

void mw__timers_release(mw__timers *timers) {
    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i]->slot = 0;
    free(timers->heap);
    *timers = (mw__timers){0};
}

static bool before(const mw_timer *a, const mw_timer *b) {
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void place(mw__timers *timers, mw_timer *timer, size_t index) {
    timers->heap[index] = timer;
    timer->slot = index + 1;
}

/* Put `timer` where it belongs, given that the hole at `index` is the only place out of order. */
static void settle(mw__timers *timers, mw_timer *timer, size_t index) {
    mw_timer **heap = timers->heap;
    for (size_t up = (index - 1) / 2; index > 0 && before(timer, heap[up]); up = (index - 1) / 2) {
        place(timers, heap[up], index);
        index = up;
    }
    for (size_t down = 2 * index + 1; down < timers->count; down = 2 * index + 1) {
        if (down + 1 < timers->count && before(heap[down + 1], heap[down]))
            down++;
        if (!before(heap[down], timer))
            break;
        place(timers, heap[down], index);
        index = down;
    }
    place(timers, timer, index);
}

static int make_room(mw__timers *timers) {
    if (timers->count < timers->capacity)
        return MW_OK;
    size_t capacity = 2 * timers->capacity;
    mw_timer **heap = realloc(timers->heap, capacity * sizeof *heap);
    if (!heap)
        return MW_ENO_MEMORY;
    timers->heap = heap;
    timers->capacity = capacity;
    return MW_OK;
}

int mw__timers_start(mw__timers *timers, mw_timer *timer, mw_time due, uint64_t order) {
    if (timer->slot == 0) {
        int status = make_room(timers);
        if (status != MW_OK)
            return status;
        timer->slot = ++timers->count;
    }
    assert(timer->slot <= timers->count);
    timer->due = due;
    timer->order = order;
    settle(timers, timer, timer->slot - 1);
    return MW_OK;
}

void mw__timers_stop(mw__timers *timers, mw_timer *timer) {
    if (timer->slot == 0)
        return;
    size_t index = timer->slot - 1;
    assert(index < timers->count && timers->heap[index] == timer);
    mw_timer *last = timers->heap[--timers->count];
    timer->slot = 0;
    if (last != timer)
        settle(timers, last, index);
}

mw_timer *mw__timers_first(const mw__timers *timers) {
    return timers->count ? timers->heap[0] : NULL;
}

mw_time mw__timers_due(mw_time now, mw_time delay) {
    return delay < MW_FOREVER - now ? now + delay : MW_FOREVER;
}
