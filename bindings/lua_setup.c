#include "lua_setup.h"

#include "lua_modules.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_scripts(const char *folder) {
    char file[PATH_MAX];
    int n = snprintf(file, sizeof file, "%s/moonwatch/init.lua", folder);
    return n > 0 && (size_t)n < sizeof file && access(file, R_OK) == 0;
}

/* An installed tree may be moved as a whole: <prefix>/bin or <prefix>/lib[/<triplet>], and <prefix>/share/lua/5.4. */
static bool find_scripts(const char *given, char *ret_folder) {
    static const char *const relative[] = {"../share/lua/5.4", "../../share/lua/5.4"};
    if (given)
        return snprintf(ret_folder, PATH_MAX, "%s", given) < PATH_MAX && has_scripts(given);
    Dl_info info;
    char self[PATH_MAX];
    if (dladdr(&relative, &info) && realpath(info.dli_fname, self)) {
        *(strrchr(self, '/') + 1) = '\0';
        for (size_t i = 0; i < sizeof relative / sizeof *relative; i++) {
            int n = snprintf(ret_folder, PATH_MAX, "%s%s", self, relative[i]);
            if (n < PATH_MAX && has_scripts(ret_folder))
                return true;
        }
    }
    return snprintf(ret_folder, PATH_MAX, "%s", MOONWATCH_SCRIPTS) < PATH_MAX && has_scripts(ret_folder);
}

void mw_lua_preload(lua_State *L, const char *name, lua_CFunction open) {
    (void)luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static int set_up(lua_State *L) {
    const char *folder = lua_touserdata(L, 1);
    luaL_openlibs(L);
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
