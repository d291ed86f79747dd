/* Faults of memory servers, for specs and simulations. A session names a connection by what it carries or carried last;
 * 0 or nil: all of them. Each method returns whether there was such a connection. */
#include "internal.h"

#include <backends/memory/memory.h>

#include <string.h>

static mw_session_id session_at(lua_State *L, int index, const char *function) {
    if (lua_isnoneornil(L, index))
        return 0;
    if (!lua_isinteger(L, index))
        (void)mw__lua_wrong_type(L, function, "session", "integer", index);
    return (mw_session_id)lua_tointeger(L, index);
}

static mw_time span_at(lua_State *L, int index, const char *function) {
    return lua_isnoneornil(L, index) ? MW_FOREVER / 4 : mw__lua_check_duration(L, index, function, "span");
}

static bool switch_at(lua_State *L, int index, const char *function) {
    if (lua_type(L, index) != LUA_TBOOLEAN)
        (void)mw__lua_wrong_type(L, function, "on", "boolean", index);
    return lua_toboolean(L, index);
}

static int found(lua_State *L, int status) {
    lua_pushboolean(L, status == MW_OK);
    return 1;
}

/* server:faults(session, {latency_min, latency_max, lose_request, lose_reply, forget, weak}); nil = none */
static int server_faults(lua_State *L) {
    static const mw_option_spec specs[] = {
        {"latency_min", MW_OPTION_DURATION, offsetof(mw_memory_faults, latency_min), NULL},
        {"latency_max", MW_OPTION_DURATION, offsetof(mw_memory_faults, latency_max), NULL},
        {"lose_request", MW_OPTION_SHARE, offsetof(mw_memory_faults, lose_request), NULL},
        {"lose_reply", MW_OPTION_SHARE, offsetof(mw_memory_faults, lose_reply), NULL},
        {"forget", MW_OPTION_SHARE, offsetof(mw_memory_faults, forget), NULL},
        {"weak", MW_OPTION_BOOLEAN, offsetof(mw_memory_faults, weak), NULL},
        {NULL, 0, 0, NULL}};
    mw_memory_server *server = mw__lua_check_server(L, "faults");
    mw_session_id session = session_at(L, 2, "faults");
    mw_memory_faults faults = {0};
    mw__lua_check_options(L, 3, "faults", specs, &faults);
    if (faults.latency_max < faults.latency_min)
        return mw__lua_bad_argument(L, "faults", "latency_max", "no less than latency_min expected");
    return found(L, mw_memory_set_faults(server, session, lua_isnoneornil(L, 3) ? NULL : &faults));
}

static int server_lose_next_request(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "lose_next_request");
    return found(L, mw_memory_lose_next_request(server, session_at(L, 2, "lose_next_request")));
}

static int server_lose_next_reply(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "lose_next_reply");
    return found(L, mw_memory_lose_next_reply(server, session_at(L, 2, "lose_next_reply")));
}

/* server:disconnect(session, span): nil = for ever; 0 = it may come back at once */
static int server_disconnect(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "disconnect");
    mw_session_id session = session_at(L, 2, "disconnect");
    return found(L, mw_memory_disconnect(server, session, span_at(L, 3, "disconnect")));
}

static int server_expire(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "expire");
    return found(L, mw_memory_expire(server, session_at(L, 2, "expire")));
}

static int server_freeze(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "freeze");
    mw_session_id session = session_at(L, 2, "freeze");
    return found(L, mw_memory_freeze(server, session, switch_at(L, 3, "freeze")));
}

static int server_isolate(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "isolate");
    mw_session_id session = session_at(L, 2, "isolate");
    return found(L, mw_memory_isolate(server, session, switch_at(L, 3, "isolate")));
}

static int server_restart(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "restart");
    mw_memory_restart(server, lua_isnoneornil(L, 2) ? 0 : mw__lua_check_duration(L, 2, "restart", "down"));
    return 0;
}

static int server_compact(lua_State *L) {
    mw_memory_compact(mw__lua_check_server(L, "compact"));
    return 0;
}

static int server_drop_lock(lua_State *L) {
    mw_memory_server *server = mw__lua_check_server(L, "drop_lock");
    return found(L, mw_memory_drop_lock(server, mw__lua_check_string(L, 2, "drop_lock", "path")));
}

const luaL_Reg mw__lua_server_faults[] = {{"faults", server_faults},
                                          {"lose_next_request", server_lose_next_request},
                                          {"lose_next_reply", server_lose_next_reply},
                                          {"disconnect", server_disconnect},
                                          {"expire", server_expire},
                                          {"freeze", server_freeze},
                                          {"isolate", server_isolate},
                                          {"restart", server_restart},
                                          {"compact", server_compact},
                                          {"drop_lock", server_drop_lock},
                                          {NULL, NULL}};
