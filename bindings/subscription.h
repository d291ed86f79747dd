/* A subscription of Lua, as the two files that serve it see it: subscription.c, which is its life and those who iterate
 * over it, and reactions.c, which turns its events into tasks. */
#ifndef MOONWATCH_BINDINGS_SUBSCRIPTION_H
#define MOONWATCH_BINDINGS_SUBSCRIPTION_H

#include "internal.h"
#include "lanes.h"

typedef enum overlap { OVERLAP_QUEUE, OVERLAP_LATEST, OVERLAP_CANCEL } overlap;

typedef struct mw_lua_subscription {
    mw_member member;
    mw_subscription *subscription; /* NULL once closed */
    mw_lua *lua;
    mw_process *process;
    mw_runnable run;
    mw_lanes lanes;
    overlap overlap;
    size_t limit;
    size_t running;
    bool synced, closed;
    int failure;
    char *failure_text;
    int reaction_ref, self_ref;
    mw_await *waiters; /* for the next event */
    mw_await *sync_waiters;
    uint64_t echo_hash;
    size_t echoes;
    bool echo;
    size_t refs;
} mw_lua_subscription;

/* It is freed with the last reference. */
void mw__lua_subscription_unref(mw_lua_subscription *sub);

/* All of the present state has been heard. */
void mw__lua_subscription_synced(mw_lua_subscription *sub);

/* The table of an event. (longjmp) */
void mw__lua_push_event(lua_State *L, const mw_event *event);

/* Begin the reactions to what waits in its lanes: the subscription's `run`. */
void mw__lua_reactions_run(mw_runnable *run);

#endif
