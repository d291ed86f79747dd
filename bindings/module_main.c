/* The entry of the Lua C module: the library itself is hidden, whoever loads it sees this one symbol. */
#include "lua_module.h"

__attribute__((visibility("default"))) int luaopen_moonwatch_core(lua_State *L);

int luaopen_moonwatch_core(lua_State *L) {
    return mw_lua_open_module(L);
}
