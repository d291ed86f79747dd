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

/* The first time leaves a tenth of the budget to clean up in; after that no instruction is run any more. Who catches it
 * is killed wherever he is by then: what is told is how it began. */
static int overrun(lua_State *L, lua_Debug *ar, mw_lua *lua, const char *what) {
    mw_task *task = lua->current;
    if (task->overruns++ == 0) {
        lua->spent -= lua->spent / 10;
        (void)lua_getinfo(L, "Sl", ar);
        (void)snprintf(task->killed, sizeof task->killed, "%s:%d: %s", ar->short_src, ar->currentline, what);
    } else {
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    }
    (void)lua_pushstring(L, task->killed);
    return lua_error(L);
}

/* Called for an allocation that goes beyond the limit: the hook looks before the next instruction, not after INTERVAL
 * of them, in which a text that is doubled each time would have filled the machine. */
static void look_soon(mw_lua *lua) {
    if (lua->too_much || !lua->current)
        return;
    lua->too_much = true;
    lua_sethook(lua->current->co, hook, LUA_MASKCOUNT, 1);
}

static void *watched_alloc(void *arg, void *block, size_t old_size, size_t size) {
    mw_lua *lua = arg;
    void *moved = lua->alloc(lua->alloc_arg, block, old_size, size);
    if (moved || size == 0)
        lua->used += size - (block ? old_size : 0);
    if (lua->config.memory_limit && lua->used > lua->config.memory_limit)
        look_soon(lua);
    return moved;
}

void mw__lua_memory_watch(lua_State *L, mw_lua *lua) {
    if (lua->alloc || !lua->config.memory_limit)
        return;
    lua->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    lua->alloc = lua_getallocf(L, &lua->alloc_arg);
    lua_setallocf(L, watched_alloc, lua);
}

void mw__lua_memory_unwatch(lua_State *L, mw_lua *lua) {
    if (lua->alloc)
        lua_setallocf(L, lua->alloc, lua->alloc_arg);
    lua->alloc = NULL;
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
    lua->too_much = false;
    if (lua_gethookcount(L) < INTERVAL && lua->current->overruns < 2)
        lua_sethook(L, hook, LUA_MASKCOUNT, INTERVAL);
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
    if (lua->current->stoppable && lua->config.interrupted && lua->config.interrupted()) {
        if (lua->current->overruns > 0) /* it caught the first: from now on as if its time were over */
            lua->spent = MW_FOREVER / 2;
        (void)overrun(L, ar, lua, "interrupted");
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
