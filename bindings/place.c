/* What locks, elections and registrations share. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *mw__lua_place_new(size_t size, size_t place, mw_str path, const char *backend) {
    char *object = calloc(1, size + path.len + 1);
    if (!object)
        return NULL;
    if (path.len)
        memcpy(object + size, path.data, path.len);
    mw_place *own = (mw_place *)(void *)(object + place);
    own->path = (mw_str){object + size, path.len};
    (void)snprintf(own->backend, sizeof own->backend, "%s", backend);
    return object;
}

int mw__lua_place_failure(lua_State *L, const mw_place *place, int status, const char *message) {
    return mw__lua_failure(L, status, message, place->path, place->backend);
}

int mw__lua_place_index(lua_State *L, const mw_place *place, const char *name) {
    if (strcmp(name, "path") == 0) {
        (void)lua_pushlstring(L, place->path.data, place->path.len);
        return 1;
    }
    lua_pushvalue(L, 2);
    (void)lua_rawget(L, lua_upvalueindex(1));
    return 1;
}
