/* Values that cross between C programs and scripts. */
#ifndef MOONWATCH_VALUE_H
#define MOONWATCH_VALUE_H

#include <moonwatch/engine.h>

#include <lua.h>

typedef struct mw__values {
    mw_value *list;
    size_t count;
} mw__values;

/* Append copies, texts included. MW_ENO_MEMORY. */
int mw__values_copy(mw__values *values, const mw_value *list, size_t count, mw_error *err);
void mw__values_release(mw__values *values); /* what mw__values_copy made */

/* "vj": which are JSON. NULL = no memory; caller frees. */
char *mw__values_kinds(const mw_value *list, size_t count);

/* (longjmp) */
void mw__value_push(lua_State *L, const mw_value *value);

/* The `count` values on top, the first a string of kinds for the others. Their texts are borrowed from Lua; the list is
 * the caller's to free. MW_EINVALID: a function, say, came back. */
int mw__values_read(mw__values *values, lua_State *L, int count, mw_error *err);

#endif
