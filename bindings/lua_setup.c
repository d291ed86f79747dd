#include "lua_setup.h"

#include "lua_modules.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_scripts(const char *folder) {
    char file[PATH_MAX];
    int n = snprintf(file, sizeof file, "%s/moonwatch/init.lua", folder);
    return n > 0 && (size_t)n < sizeof file && access(file, R_OK) == 0;
}

/* The folder of the program or library that this code is in, with a slash; false when that cannot be told. */
static bool own_folder(char *ret_folder) {
    static const char here = 0;
    Dl_info info;
    if (!dladdr(&here, &info) || !realpath(info.dli_fname, ret_folder))
        return false;
    *(strrchr(ret_folder, '/') + 1) = '\0';
    return true;
}

static bool join(char *ret_path, const char *folder, const char *name) {
    int n = snprintf(ret_path, PATH_MAX, "%s%s", folder, name);
    return n > 0 && n < PATH_MAX;
}

/* An installed tree may be moved as a whole: <prefix>/bin or <prefix>/lib[/<triplet>], and <prefix>/share/lua/5.4. */
static bool find_scripts(const char *given, char *ret_folder) {
    static const char *const relative[] = {"../share/lua/5.4", "../../share/lua/5.4"};
    if (given)
        return snprintf(ret_folder, PATH_MAX, "%s", given) < PATH_MAX && has_scripts(given);
    char self[PATH_MAX];
    for (size_t i = 0; own_folder(self) && i < sizeof relative / sizeof *relative; i++) {
        if (join(ret_folder, self, relative[i]) && has_scripts(ret_folder))
            return true;
    }
    return snprintf(ret_folder, PATH_MAX, "%s", MOONWATCH_SCRIPTS) < PATH_MAX && has_scripts(ret_folder);
}

void mw_lua_find_backends(char ret_folder[PATH_MAX]) {
    static const char *const relative[] = {"moonwatch", "../lib/moonwatch"};
    char self[PATH_MAX];
    for (size_t i = 0; !getenv("MOONWATCH_BACKENDS") && own_folder(self) && i < 2; i++) {
        struct stat info;
        if (join(ret_folder, self, relative[i]) && stat(ret_folder, &info) == 0 && S_ISDIR(info.st_mode))
            return;
    }
    *ret_folder = '\0';
}

void mw_lua_preload(lua_State *L, const char *name, lua_CFunction open) {
    (void)luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* string.rep makes all of its text in one call of C, during which nothing looks at the memory limit. */
static int bounded_rep(lua_State *L) {
    size_t len, between = 0, limit = mw_lua_memory_limit(mw_lua_of(L));
    (void)luaL_checklstring(L, 1, &len);
    lua_Integer times = luaL_checkinteger(L, 2);
    (void)luaL_optlstring(L, 3, "", &between);
    if (limit && times > 0 && len + between > limit / (size_t)times)
        return luaL_error(L, "string.rep: the text would be larger than the memory limit of %I bytes",
                          (lua_Integer)limit);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static void bound_strings(lua_State *L) {
    (void)lua_getglobal(L, LUA_STRLIBNAME);
    (void)lua_getfield(L, -1, "rep");
    lua_pushcclosure(L, bounded_rep, 1);
    lua_setfield(L, -2, "rep");
    lua_pop(L, 1);
}

static int set_up(lua_State *L) {
    const char *folder = lua_touserdata(L, 1);
    luaL_openlibs(L);
    bound_strings(L);
    mw_lua_preload(L, "moonwatch.yaml", luaopen_moonwatch_yaml);
    mw_lua_preload(L, "moonwatch.system", luaopen_moonwatch_system);
    (void)lua_getglobal(L, "package");
    (void)lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", folder, folder, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    return 0;
}

int mw_lua_state_new(const char *scripts, lua_State **ret_L, mw_error *err) {
    char folder[PATH_MAX];
    if (!find_scripts(scripts, folder))
        return mw_fail(err, MW_EIO, "%s: the Lua files of Moonwatch are not there", folder);
    lua_State *L = luaL_newstate();
    if (!L)
        return mw_fail(err, MW_ENO_MEMORY, "no memory for a Lua state");
    lua_pushcfunction(L, set_up);
    lua_pushlightuserdata(L, folder);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_close(L);
        return mw_fail(err, MW_ENO_MEMORY, "no memory for a Lua state");
    }
    *ret_L = L;
    return MW_OK;
}
