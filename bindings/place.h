/* Where an object stands: which path of which backend. For its errors, and for its field `path`. */
#ifndef MOONWATCH_BINDINGS_PLACE_H
#define MOONWATCH_BINDINGS_PLACE_H

#include "internal.h"

typedef struct mw_place {
    mw_str path; /* behind the object */
    char backend[32];
} mw_place;

/* A zeroed object of `size` bytes with room for `path` behind it; NULL = no memory. `place` is where in it the place
 * is. */
void *mw__lua_place_new(size_t size, size_t place, mw_str path, const char *backend);

/* nil, err; returns 2. (longjmp) */
int mw__lua_place_failure(lua_State *L, const mw_place *place, int status, const char *message);

/* What is left of an __index whose first upvalue has the methods: `path`, or the method of the name at 2. (longjmp) */
int mw__lua_place_index(lua_State *L, const mw_place *place, const char *name);

#endif
