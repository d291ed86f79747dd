/* A heap of armed timers, earliest first. Intrusive: the timers belong to their owners, the heap holds pointers only.
 */
#ifndef MOONWATCH_CORE_TIMERS_H
#define MOONWATCH_CORE_TIMERS_H

#include <moonwatch/host.h>

typedef struct mw__timers {
    mw_timer **heap;
    size_t count, capacity;
} mw__timers;

/* Room for `reserve` timers (at least 1). The heap grows with the number armed at once and never shrinks, so arming a
 * timer again after it was stopped or fired never allocates. 0 or MW_ENO_MEMORY. */
int mw__timers_init(mw__timers *timers, size_t reserve);

/* Disarms what is left. */
void mw__timers_release(mw__timers *timers);

/* Arm or move. `order` breaks ties: the smaller fires first. 0 or MW_ENO_MEMORY (not armed, `timer` untouched). */
int mw__timers_start(mw__timers *timers, mw_timer *timer, mw_time due, uint64_t order);

/* Harmless when idle. */
void mw__timers_stop(mw__timers *timers, mw_timer *timer);

/* The earliest, still armed; NULL when there is none. */
mw_timer *mw__timers_first(const mw__timers *timers);

/* `now` + `delay`, MW_FOREVER when it would not fit. */
mw_time mw__timers_due(mw_time now, mw_time delay);

#endif
