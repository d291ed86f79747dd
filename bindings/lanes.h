/* Events on their way to a subscriber: one queue, and beside it a lane per path whose reaction is running or which has
 * to wait. Plain C: the core calls in here from its callbacks. */
#ifndef MOONWATCH_BINDINGS_LANES_H
#define MOONWATCH_BINDINGS_LANES_H

#include <moonwatch/registry.h>

typedef struct mw_lane mw_lane;

/* An event with its bytes. */
typedef struct mw_note {
    struct mw_note *next;
    struct mw_note *prev; /* in a lane */
    mw_event event;
    void *owner;   /* the subscription, for its reaction's task */
    mw_lane *lane; /* while its reaction runs and has one */
    bool *ended;   /* set when the reaction ends, while it is being started */
    char bytes[];
} mw_note;

struct mw_lane {
    mw_lane *next_hashed, *next_waiting;
    mw_note *first, *last;
    void *running; /* the reaction's task; NULL = none */
    uint64_t hash;
    bool waiting;
    size_t path_len;
    char path[];
};

typedef struct mw_lanes {
    mw_note *first, *last; /* as they came */
    size_t queued;         /* of those */
    size_t pending, bytes; /* all, lanes included */
    mw_note *synced;       /* held back until the lanes that wait have had their turn */
    mw_lane *wait_first, *wait_last;
    mw_lane **table;
    size_t lane_count, table_size;
} mw_lanes;

mw_note *mw__lua_note_new(const mw_event *event);

void mw__lua_lanes_push(mw_lanes *lanes, mw_note *note); /* at the end of the queue */
mw_note *mw__lua_lanes_shift(mw_lanes *lanes);           /* from its front; NULL = empty */

uint64_t mw__lua_path_hash(mw_str path);
mw_lane *mw__lua_lane_find(mw_lanes *lanes, mw_str path);
mw_lane *mw__lua_lane_new(mw_lanes *lanes, mw_str path); /* NULL = no memory */
void mw__lua_lane_free(mw_lanes *lanes, mw_lane *lane);  /* with its notes */

/* Behind the lane's notes. `merge`: only the last state counts; what the subscriber will be told stays true of what it
 * was told before. */
void mw__lua_lane_push(mw_lanes *lanes, mw_lane *lane, mw_note *note, bool merge);
mw_note *mw__lua_lane_shift(mw_lanes *lanes, mw_lane *lane);

void mw__lua_lane_wait(mw_lanes *lanes, mw_lane *lane); /* behind the others that wait; harmless when it does */
mw_lane *mw__lua_lanes_next_waiting(mw_lanes *lanes);   /* taken out; NULL = none */

/* Whether as much waits as may: `limit` notes, or MW_LANES_BYTES of paths and values. */
#define MW_LANES_BYTES (16u << 20)
bool mw__lua_lanes_full(const mw_lanes *lanes, size_t limit);

/* All of the queue into lanes that wait, merging: what bounds the memory of a subscriber that does not keep up. */
void mw__lua_lanes_spill(mw_lanes *lanes);

/* Everything but lanes whose reaction runs. */
void mw__lua_lanes_clear(mw_lanes *lanes);

#endif
