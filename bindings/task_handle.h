/* A task as scripts hold it: outlives the task, and keeps what it ended with. */
#ifndef MOONWATCH_BINDINGS_TASK_HANDLE_H
#define MOONWATCH_BINDINGS_TASK_HANDLE_H

#include "internal.h"

/* Userdata; user value 1: a table of the results, or of the one error. */
typedef struct mw_task_handle {
    mw_task *task; /* NULL once ended */
    mw_outcome outcome;
    int results;
    char from[LUA_IDSIZE + 16]; /* where it was started: "a.lua:3", "" = unknown */
} mw_task_handle;

/* The task ends: keep its results in the handle, and wake who joins it. */
void mw__lua_handle_settle(mw_task *task);

#endif
