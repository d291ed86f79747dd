/* The module `moonwatch.core`: what scripts/moonwatch/ builds the library of. */
#include "internal.h"
#include "log_line.h"

#include <math.h>

/* log(level, text, component) */
static int core_log(lua_State *L) {
    mw_log_level level = (mw_log_level)luaL_checkoption(L, 1, NULL, mw_log_level_names);
    const char *text = luaL_checkstring(L, 2), *component = luaL_optstring(L, 3, "script");
    mw_log(mw__lua_process_here(L)->host, level, component, "%s", text);
    return 0;
}

/* durations(parse): what turns text into seconds, or returns nil and what is wrong. */
static int core_durations(lua_State *L) {
    mw_lua *lua = mw__lua_context(L);
    mw__lua_check_function(L, 1, "durations", "parse");
    luaL_unref(L, LUA_REGISTRYINDEX, lua->duration_ref);
    lua_settop(L, 1);
    lua->duration_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* seconds(duration, function, name): the number of a duration; raises as our functions do. */
static int core_seconds(lua_State *L) {
    mw_time span = mw__lua_check_duration(L, 1, luaL_checkstring(L, 2), luaL_checkstring(L, 3));
    lua_pushnumber(L, span == MW_FOREVER ? (lua_Number)HUGE_VAL : (lua_Number)span / 1e9);
    return 1;
}

/* limits{budget=, memory=} */
static int core_limits(lua_State *L) {
    struct {
        mw_time budget;
        lua_Integer memory;
    } limits;
    static const mw_option_spec specs[] = {{"budget", MW_OPTION_DURATION, offsetof(__typeof__(limits), budget), NULL},
                                           {"memory", MW_OPTION_INTEGER, offsetof(__typeof__(limits), memory), NULL},
                                           {NULL, 0, 0, NULL}};
    mw_lua *lua = mw__lua_context(L);
    limits.budget = lua->config.budget;
    limits.memory = (lua_Integer)lua->config.memory_limit;
    mw__lua_check_options(L, 1, "limits", specs, &limits);
    if (limits.memory < 0)
        return mw__lua_bad_argument(L, "limits", "memory", "a size in bytes expected");
    mw_lua_set_limits(lua, limits.budget, (size_t)limits.memory);
    return 0;
}

/* class_of(value): the name of our class that it is of, or nil. */
static int core_class_of(lua_State *L) {
    static const char *const names[] = {MW_CLASS_SERVER, MW_CLASS_HOST, MW_CLASS_WORLD,   MW_CLASS_REGISTRY,
                                        MW_CLASS_LOCK,   MW_CLASS_TASK, MW_CLASS_ELECTION};
    if (mw__lua_is_error(L, 1)) {
        lua_pushliteral(L, MW_CLASS_ERROR);
        return 1;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (luaL_testudata(L, 1, names[i])) {
            lua_pushstring(L, names[i]);
            return 1;
        }
    }
    return 0;
}

/* stoppable(): an interruption (Ctrl-C, in the program) may fail the current task also while it runs. */
static int core_stoppable(lua_State *L) {
    mw_task *task = mw__lua_context(L)->current;
    if (task)
        task->stoppable = true;
    return 0;
}

/* path_error(text): why it is no path of an entry; nil when it is one. */
static int core_path_error(lua_State *L) {
    mw_str path = mw__lua_check_string(L, 1, "path_error", "path");
    mw_error err = {0};
    if (mw_path_validate(path, &err) == MW_OK && path.len > 1)
        return 0;
    lua_pushstring(L, err.code ? err.message : "path: '/' has no entry of its own");
    return 1;
}

int mw_lua_open_module(lua_State *L) {
    mw_error err;
    if (!mw_lua_of(L) && mw_lua_open(L, NULL, NULL, &err) != MW_OK)
        return luaL_error(L, "%s", err.message);
    static const luaL_Reg functions[] = {{"log", core_log},
                                         {"durations", core_durations},
                                         {"seconds", core_seconds},
                                         {"limits", core_limits},
                                         {"class_of", core_class_of},
                                         {"path_error", core_path_error},
                                         {"stoppable", core_stoppable},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_newtable(L);
    lua_setfield(L, -2, "classes");
    mw__lua_error_open(L);
    mw__lua_task_open(L);
    mw__lua_gate_open(L);
    mw__lua_registry_open(L);
    mw__lua_world_open(L);
    return 1;
}
