/* The Lua C modules: found by `require` as shared objects, and preloaded in the executable and in libmoonwatch. */
#ifndef MOONWATCH_LUA_MODULES_H
#define MOONWATCH_LUA_MODULES_H

#include <lua.h>
#include <stdbool.h>

#define MW_LUA_MODULE __attribute__((visibility("default")))

MW_LUA_MODULE int luaopen_moonwatch_yaml(lua_State *L);
MW_LUA_MODULE int luaopen_moonwatch_system(lua_State *L);

/* In the executable only. */
int luaopen_moonwatch_edit(lua_State *L);
int luaopen_moonwatch_child(lua_State *L);
int luaopen_moonwatch_socket(lua_State *L);

#endif
