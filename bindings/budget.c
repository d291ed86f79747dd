/* Limits of running Lua: time between two waits, memory of the state. A count hook looks every INTERVAL instructions.
 *
 * Memory is judged here and not by failing an allocation: Lua before 5.4.8 may use freed memory after one that failed.
 */
#include "internal.h"

#define INTERVAL 1000

/* What one look may add. More than this between two looks is not Lua that runs: the machine slept, the process was
 * stopped, or C code blocked, and ending the task would mend nothing. */
#define LONGEST (50 * MW_MS)

/* Virtual time stands still while code runs: there, instructions are charged at a fixed price, so that a run that
 * overruns repeats exactly. */
#define VIRTUAL_PRICE (INTERVAL * UINT64_C(20))

static void hook(lua_State *L, lua_Debug *ar);

/* The first time leaves a tenth of the budget to clean up in; after that no instruction is run any more. */
static int overrun(lua_State *L, lua_Debug *ar, mw_lua *lua, const char *what) {
    if (lua->current->overruns++ == 0)
        lua->spent -= lua->spent / 10;
    else
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    (void)lua_getinfo(L, "Sl", ar);
    (void)lua_pushfstring(L, "%s:%d: %s", ar->short_src, ar->currentline, what);
    return lua_error(L);
}

static bool over_memory(lua_State *L, size_t limit) {
    if ((size_t)lua_gc(L, LUA_GCCOUNT, 0) < limit / 1024)
        return false;
    (void)lua_gc(L, LUA_GCCOLLECT, 0);
    return (size_t)lua_gc(L, LUA_GCCOUNT, 0) >= limit / 1024;
}

static void hook(lua_State *L, lua_Debug *ar) {
    mw_lua *lua = mw_lua_of(L);
    if (!lua || !lua->current)
        return;
    if (lua->current->process->world) {
        lua->spent += VIRTUAL_PRICE;
    } else {
        mw_time now = mw_host_now(lua->current->process->host);
        mw_time passed = now - lua->looked;
        lua->spent += passed < LONGEST ? passed : LONGEST;
        lua->looked = now;
    }
    if (lua->config.budget != MW_FOREVER && lua->spent > lua->config.budget) {
        char what[96];
        (void)snprintf(what, sizeof what, "killed: ran for %g s without waiting", (double)lua->config.budget / 1e9);
        (void)overrun(L, ar, lua, what);
    }
    if (lua->config.memory_limit && over_memory(L, lua->config.memory_limit)) {
        char what[96];
        (void)snprintf(what, sizeof what, "killed: the state's memory is over its limit of %zu bytes",
                       lua->config.memory_limit);
        (void)overrun(L, ar, lua, what);
    }
}

void mw__lua_budget_begin(mw_lua *lua) {
    lua->spent = 0;
    if (!lua->current->process->world)
        lua->looked = mw_host_now(lua->current->process->host);
}

void mw__lua_budget_install(lua_State *co, mw_lua *lua) {
    if (lua->config.budget == MW_FOREVER && !lua->config.memory_limit)
        lua_sethook(co, NULL, 0, 0);
    else
        lua_sethook(co, hook, LUA_MASKCOUNT, INTERVAL);
}
