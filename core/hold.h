/* A hold: one ticket in a lock's queue, which outlives the lock handle until the backend has ended it and no txn that
 * it guards is under way. Private to core/. */
#ifndef MW_HOLD_H
#define MW_HOLD_H

#include "registry_impl.h"

typedef struct mw__hold {
    mw_ticket ticket;
    mw__link link; /* in registry->holds while the backend has the ticket */
    unsigned refs; /* the backend's, the lock's, and one per guarded op */
    mw_lock *lock; /* NULL once the lock has let go of it */
    mw_registry *registry;
    bool held;
} mw__hold;

void mw__hold_unref(mw__hold *hold); /* NULL is allowed */

/* The hold that guards a txn; NULL when the lock is not held. */
mw__hold *mw__lock_hold(const mw_lock *lock);

#endif
