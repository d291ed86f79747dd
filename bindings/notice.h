/* A function of the script's that is called, as a task and before any other task goes on, when something of ours is
 * taken away: `on_lost(lock, err)`, `on_deposed(election, err)`. */
#ifndef MOONWATCH_BINDINGS_NOTICE_H
#define MOONWATCH_BINDINGS_NOTICE_H

#include "internal.h"

typedef struct mw_notice {
    mw_process *process;
    int function_ref; /* LUA_NOREF: nobody wants to know */
    const void *key;  /* of the object that it is about */
    const char *what; /* for the log */

    /* What the next telling takes, however short memory is then; NULL while it is. */
    struct mw_telling *telling;
    mw_task *task;
} mw_notice;

/* The object is on top of the stack, and `function` the index of the function (0 = none). (longjmp) */
void mw__lua_notice_init(lua_State *L, mw_notice *notice, mw_process *process, int function, const void *key,
                         const char *what);
void mw__lua_notice_tell(mw_notice *notice, const mw_error *why);
void mw__lua_notice_release(mw_notice *notice);

#endif
