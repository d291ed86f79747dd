/* The Lua side of Moonwatch, for programs that have a lua_State of their own: `moonwatch`, libmoonwatch, the C module.
 *
 * Everything belongs to the thread of the state's host. A state has one context, made by mw_lua_open and anchored in
 * the state's registry; there is no global. Functions marked (longjmp) may raise a Lua error.
 */
#ifndef MOONWATCH_LUA_MODULE_H
#define MOONWATCH_LUA_MODULE_H

#include <moonwatch/host_uv.h>
#include <moonwatch/registry.h>

#include <lua.h>

typedef struct mw_lua mw_lua;
typedef struct mw_task mw_task;

typedef struct mw_lua_config {
    mw_host *host; /* outlives the state; NULL: a libuv host of its own, made when first needed */

    /* One turn of the host's loop, for calls that wait outside any task; returns whether work remains. NULL with a
     * `host`: such calls raise (the application runs the loop). */
    bool (*step)(void *arg, bool wait);
    void *step_arg;

    mw_log_sink sink; /* of an own host; NULL: standard error, from the level in $MOONWATCH_LOG (info) */
    void *sink_arg;

    mw_time budget;      /* running time of a task between two waits; 0 = 5 s, MW_FOREVER = unbounded */
    size_t memory_limit; /* of the state, in bytes; 0 = unbounded */

    bool (*interrupted)(void); /* looked at while a stoppable task runs: true = it fails where it is; NULL = never */

    const char
        *backends; /* directories of loadable backends, colon-separated, looked at first; NULL = none. Borrowed */
} mw_lua_config;

/* Make the context, and `require "moonwatch.core"` find this module in it. `config` NULL = all defaults. 0; or
 * MW_EINVALID when the state has a context already; MW_ENO_MEMORY. Leaves the stack as it was. */
int mw_lua_open(lua_State *L, const mw_lua_config *config, mw_lua **ret_lua, mw_error *err);

/* The context of a state; NULL when there is none. */
mw_lua *mw_lua_of(lua_State *L);

void mw_lua_set_limits(mw_lua *lua, mw_time budget, size_t memory_limit);

/* In bytes; 0 = unbounded, or no context. */
size_t mw_lua_memory_limit(const mw_lua *lua);

/* lua_pcall with traceback: on failure the error is popped, and `err` (may be NULL) has its text on one line.
 * MW_OK or MW_EINTERNAL; a Lua error object with a code of ours gives that code. */
int mw_lua_call(lua_State *L, int nargs, int nresults, mw_error *err);

/* The same, but the function may not be called outside a task: function and arguments are taken from the top of L and
 * run as a task, from the loop. `ended` (may be NULL) is called once with its outcome: MW_OK with `count` results on
 * top of `results` (borrowed for the call), or a status with `err`. */
typedef void mw_lua_ended_fn(void *arg, int status, const mw_error *err, lua_State *results, int count);

/* MW_EINVALID when what is to run is no function; MW_ECLOSED; MW_ENO_MEMORY. The task is valid until `ended`. */
int mw_lua_spawn(lua_State *L, int nargs, const char *name, mw_lua_ended_fn *ended, void *arg, mw_task **ret_task,
                 mw_error *err);

/* Raise `cancelled` where the task waits. */
void mw_lua_cancel(mw_task *task);

/* Tasks that have not ended. */
size_t mw_lua_tasks(const mw_lua *lua);

/* Cancel all tasks, give them `patience` to end and drop those that have not, close all registries, then call `done`
 * from the loop. Waits that begin meanwhile are served; no task starts any more. */
void mw_lua_close(mw_lua *lua, mw_time patience, void (*done)(void *arg), void *arg);

/* Opens `moonwatch.core`, as a lua_CFunction. Makes a default context when the state has none. (longjmp) */
int mw_lua_open_module(lua_State *L);

#endif
