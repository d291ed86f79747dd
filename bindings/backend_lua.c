/* Backends as tables of Lua: what they can do, and what they take. */
#include "internal.h"

#include <backends/memory/memory.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The table that argument 1, a name or a memory server, means; NULL with `nil, err` pushed. */
static const mw_backend *find_backend(lua_State *L) {
    mw_error err;
    mw_lua_world *world = NULL;
    mw_str none = {0};
    const mw_backend *backend = mw__lua_to_server(L, 1, &world);
    if (!backend && strcmp(luaL_checkstring(L, 1), "memory") == 0)
        backend = &mw_backend_memory;
    if (backend)
        return backend;
    int status = mw_backend_find(lua_tostring(L, 1), mw__lua_context(L)->config.backends, &backend, &err);
    if (status == MW_OK)
        return backend;
    (void)mw__lua_failure(L, status, err.message, none, lua_tostring(L, 1));
    return NULL;
}

/* backend_info(backend): {name=, library=, durable=, distributed=, sessions=, server_version=, schema=}; `schema` is a
 * text or nil. */
static int core_backend_info(lua_State *L) {
    const mw_backend *backend = find_backend(L);
    if (!backend)
        return 2;
    lua_createtable(L, 0, 7);
    lua_pushstring(L, backend->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, backend->library);
    lua_setfield(L, -2, "library");
    lua_pushboolean(L, (backend->caps & MW_CAP_DURABLE) != 0);
    lua_setfield(L, -2, "durable");
    lua_pushboolean(L, (backend->caps & MW_CAP_DISTRIBUTED) != 0);
    lua_setfield(L, -2, "distributed");
    lua_pushboolean(L, (backend->caps & MW_CAP_SESSIONS) != 0);
    lua_setfield(L, -2, "sessions");
    lua_pushboolean(L, (backend->caps & MW_CAP_VERSION) != 0);
    lua_setfield(L, -2, "server_version");
    char *schema = backend->schema ? backend->schema() : NULL;
    lua_pushstring(L, schema);
    free(schema);
    lua_setfield(L, -2, "schema");
    return 1;
}

/* backend_upgrade(backend, from): what brings up tables of schema `from`, as a text; nil, err. */
static int core_backend_upgrade(lua_State *L) {
    const mw_backend *backend = find_backend(L);
    if (!backend)
        return 2;
    mw_str none = {0};
    mw_error err = {0};
    char *text = NULL;
    lua_Integer from = luaL_checkinteger(L, 2);
    luaL_argcheck(L, from >= 1 && from <= INT_MAX, 2, "a version of the schema");
    int status = backend->upgrade ? backend->upgrade((int)from, &text, &err)
                                  : mw_fail(&err, MW_EUNSUPPORTED, "it has no tables that could be brought up");
    if (status != MW_OK)
        return mw__lua_failure(L, status, err.message, none, lua_tostring(L, 1));
    lua_pushstring(L, text);
    free(text);
    return 1;
}

/* options_of(backend): what it takes, as a list of {key=, kind=, initial=, required=, help=}; nil, err. */
static int core_options_of(lua_State *L) {
    const mw_backend *backend = find_backend(L);
    if (!backend)
        return 2;
    lua_newtable(L);
    for (const mw_requirement *one = backend->options; one->key; one++) {
        lua_createtable(L, 0, 5);
        lua_pushstring(L, one->key);
        lua_setfield(L, -2, "key");
        lua_pushstring(L, one->kind);
        lua_setfield(L, -2, "kind");
        lua_pushstring(L, one->initial);
        lua_setfield(L, -2, "initial");
        lua_pushboolean(L, one->required);
        lua_setfield(L, -2, "required");
        lua_pushstring(L, one->help);
        lua_setfield(L, -2, "help");
        lua_rawseti(L, -2, one - backend->options + 1);
    }
    return 1;
}

void mw__lua_backend_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"options_of", core_options_of},
                                         {"backend_info", core_backend_info},
                                         {"backend_upgrade", core_backend_upgrade},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
