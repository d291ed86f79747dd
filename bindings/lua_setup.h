/* A Lua state of our own, for the executable and for embedding programs. */
#ifndef MOONWATCH_LUA_SETUP_H
#define MOONWATCH_LUA_SETUP_H

#include "lua_module.h"

#include <limits.h>

/* A state with Lua's libraries, our C modules preloaded and our Lua files first in package.path. `scripts` NULL = look
 * beside the program or library that this code is in, then where it was built. MW_EIO when they are nowhere. */
int mw_lua_state_new(const char *scripts, lua_State **ret_L, mw_error *err);

/* Where loadable backends are, beside the program or library that this code is in; "" when there are none, or when
 * $MOONWATCH_BACKENDS names the place. */
void mw_lua_find_backends(char ret_folder[PATH_MAX]);

/* Preload a module under `name`. (longjmp) */
void mw_lua_preload(lua_State *L, const char *name, lua_CFunction open);

#endif
