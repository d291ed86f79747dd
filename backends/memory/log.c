/* The latest changes, for feeds that were away for a while. */
#include "store.h"

static void forget(mwm_change *change) {
    mwm_state_free(change->before);
    mwm_state_free(change->after);
}

void mwm_log_push(mwm_store *store, const mwm_change *change) {
    mwm_change *slot = &store->log[store->log_next];
    if (store->log_count == store->log_size) {
        store->log_floor = slot->revision;
        forget(slot);
    } else {
        store->log_count++;
    }
    *slot = (mwm_change){change->revision, mwm_state_keep(change->before), mwm_state_keep(change->after)};
    store->log_next = (store->log_next + 1) % store->log_size;
    if (store->changed)
        store->changed(store, slot);
}

const mwm_change *mwm_log_at(const mwm_store *store, size_t i) {
    size_t oldest = store->log_next + store->log_size - store->log_count;
    return &store->log[(oldest + i) % store->log_size];
}

mwm_state *mwm_log_state_at(const mwm_store *store, mw_str path, mwm_state *present, int64_t revision) {
    mwm_state *state = present;
    for (size_t i = store->log_count; i-- > 0;) {
        const mwm_change *change = mwm_log_at(store, i);
        if (change->revision <= revision)
            break;
        if (mw_str_equal(mwm_state_path(change->after ? change->after : change->before), path))
            state = change->before;
    }
    return state;
}

void mwm_log_compact(mwm_store *store) {
    for (size_t i = 0; i < store->log_count; i++)
        forget((mwm_change *)mwm_log_at(store, i));
    store->log_count = store->log_next = 0;
    store->log_floor = store->revision;
}
