/* The heap of timers, against a list that is searched from end to end. */
#include "core/timers.h"

#include "support/alloc_fail.h"
#include "support/check.h"

#define MANY 200

static void no_fire(mw_timer *timer) {}

/* The naive model: the armed timer with the smallest (due, order). */
static mw_timer *smallest(mw_timer *timers, size_t count) {
    mw_timer *best = NULL;
    for (size_t i = 0; i < count; i++) {
        mw_timer *one = &timers[i];
        if (one->slot && (!best || one->due < best->due || (one->due == best->due && one->order < best->order)))
            best = one;
    }
    return best;
}

static unsigned next_random(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void agrees_with_a_plain_search(void) {
    static mw_timer timers[MANY];
    mw__timers heap;
    CHECK_INT(mw__timers_init(&heap, 1), MW_OK);
    unsigned seed = 1;
    for (uint64_t order = 0; order < 20000; order++) {
        mw_timer *one = &timers[next_random(&seed) % MANY];
        switch (next_random(&seed) % 4) {
        case 0:
            mw__timers_stop(&heap, one);
            CHECK_INT(one->slot, 0);
            break;
        case 1:
            if ((one = mw__timers_first(&heap)))
                mw__timers_stop(&heap, one);
            break;
        default: /* armed or not: both start and move */
            CHECK_INT(mw__timers_start(&heap, one, next_random(&seed) % 64, order), MW_OK);
        }
        CHECK(mw__timers_first(&heap) == smallest(timers, MANY));
    }
    mw__timers_release(&heap);
    for (size_t i = 0; i < MANY; i++)
        CHECK_INT(timers[i].slot, 0);
}

static void breaks_ties_by_order(void) {
    mw_timer a = {.fire = no_fire}, b = a, c = a;
    mw__timers heap;
    CHECK_INT(mw__timers_init(&heap, 4), MW_OK);
    CHECK_INT(mw__timers_start(&heap, &c, 5, 3), MW_OK);
    CHECK_INT(mw__timers_start(&heap, &a, 5, 1), MW_OK);
    CHECK_INT(mw__timers_start(&heap, &b, 5, 2), MW_OK);
    CHECK(mw__timers_first(&heap) == &a);
    CHECK_INT(mw__timers_start(&heap, &a, 5, 4), MW_OK); /* moved: started last */
    CHECK(mw__timers_first(&heap) == &b);
    mw__timers_release(&heap);
}

static void never_overflows_a_due_time(void) {
    CHECK(mw__timers_due(10, 5) == 15);
    CHECK(mw__timers_due(10, MW_FOREVER) == MW_FOREVER);
    CHECK(mw__timers_due(10, MW_FOREVER - 10) == MW_FOREVER);
    CHECK(mw__timers_due(10, MW_FOREVER - 11) == MW_FOREVER - 1);
}

static void starts_again_without_memory(void) {
    static mw_timer timers[MANY];
    mw__timers heap;
    CHECK_INT(mw__timers_init(&heap, 1), MW_OK);
    for (size_t i = 0; i < MANY; i++)
        CHECK_INT(mw__timers_start(&heap, &timers[i], i, i), MW_OK);
    alloc_fail_at(1, true);
    for (size_t i = 0; i < MANY; i++)
        mw__timers_stop(&heap, &timers[i]);
    int status = MW_OK;
    for (size_t i = 0; i < MANY && status == MW_OK; i++)
        status = mw__timers_start(&heap, &timers[i], MANY - i, i);
    CHECK_INT(alloc_fail_stop(), 0);
    CHECK_INT(status, MW_OK);
    CHECK(mw__timers_first(&heap) == &timers[MANY - 1]);
    mw__timers_release(&heap);
}

static void stays_whole_when_it_cannot_grow(void) {
    mw_timer a = {.fire = no_fire}, b = a;
    mw__timers heap;
    CHECK_INT(mw__timers_init(&heap, 1), MW_OK);
    CHECK_INT(mw__timers_start(&heap, &a, 5, 1), MW_OK);
    alloc_fail_at(1, false);
    int status = mw__timers_start(&heap, &b, 1, 2);
    CHECK_INT(alloc_fail_stop(), 1);
    CHECK_INT(status, MW_ENO_MEMORY);
    CHECK(!mw_timer_armed(&b) && mw__timers_first(&heap) == &a);
    CHECK_INT(mw__timers_start(&heap, &b, 1, 2), MW_OK);
    CHECK(mw__timers_first(&heap) == &b);
    mw__timers_release(&heap);
}

static const spec_case cases[] = {
    {"agrees with a plain search", agrees_with_a_plain_search},
    {"breaks ties by order", breaks_ties_by_order},
    {"never overflows a due time", never_overflows_a_due_time},
    {"starts again without memory", starts_again_without_memory},
    {"stays whole when it cannot grow", stays_whole_when_it_cannot_grow},
};
SPEC_MAIN(cases)
