/* Until the registry itself lands: nothing to open yet. */
#include "internal.h"
void mw__registry_open(lua_State *L) {}
void mw__registry_close(mw_lua_registry *registry, mw_time patience, bool abandon) {}
void mw__world_servers_close(mw_lua_world *world) {}
__attribute__((weak)) void mw_registry_check_session(mw_registry *registry) {}
