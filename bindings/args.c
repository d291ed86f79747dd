/* Arguments of Lua calls: each complaint names the argument, the function, and what was expected. */
#include "internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* 100 years: deadlines are 64-bit nanoseconds. */
#define LONGEST_SECONDS 3153600000.0

int mw__lua_bad_argument(lua_State *L, const char *function, const char *name, const char *format, ...) {
    char text[384];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mw__lua_raise(L, "bad argument '%s' to '%s': %s", name, function, text);
}

int mw__lua_wrong_type(lua_State *L, const char *function, const char *name, const char *expected, int index) {
    const char *got = luaL_typename(L, index);
    if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
        got = lua_tostring(L, -1);
    return mw__lua_bad_argument(L, function, name, "%s expected, got %s", expected, got);
}

mw_str mw__lua_check_string(lua_State *L, int index, const char *function, const char *name) {
    mw_str text = {0};
    if (lua_type(L, index) != LUA_TSTRING)
        (void)mw__lua_wrong_type(L, function, name, "string", index);
    text.data = lua_tolstring(L, index, &text.len);
    return text;
}

mw_str mw__lua_check_path(lua_State *L, int index, const char *function, const char *name) {
    mw_str path = mw__lua_check_string(L, index, function, name);
    mw_error err;
    if (mw_path_validate(path, &err) != MW_OK)
        (void)mw__lua_bad_argument(L, function, name, "%s", err.message);
    return path;
}

void mw__lua_check_function(lua_State *L, int index, const char *function, const char *name) {
    if (lua_type(L, index) != LUA_TFUNCTION)
        (void)mw__lua_wrong_type(L, function, name, "function", index);
}

/* The number of seconds at the top, from the parser of texts: it returns nil and what is wrong otherwise. */
static lua_Number parse_duration(lua_State *L, int index, const char *function, const char *name) {
    mw_lua *lua = mw__lua_context(L);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, lua->duration_ref);
    lua_pushvalue(L, index);
    lua_call(L, 1, 2);
    if (!lua_isnumber(L, -2))
        (void)mw__lua_bad_argument(L, function, name, "%s", luaL_tolstring(L, -1, NULL));
    lua_Number seconds = lua_tonumber(L, -2);
    lua_pop(L, 2);
    return seconds;
}

mw_time mw__lua_check_duration(lua_State *L, int index, const char *function, const char *name) {
    lua_Number seconds = 0;
    index = lua_absindex(L, index);
    if (lua_type(L, index) == LUA_TSTRING && mw__lua_context(L)->duration_ref != LUA_NOREF)
        seconds = parse_duration(L, index, function, name);
    else if (lua_type(L, index) == LUA_TNUMBER)
        seconds = lua_tonumber(L, index);
    else
        (void)mw__lua_wrong_type(L, function, name, "a duration (seconds, or text such as \"5s\")", index);
    if (seconds == (lua_Number)HUGE_VAL)
        return MW_FOREVER;
    if (!(seconds >= 0 && seconds <= LONGEST_SECONDS)) /* also NaN */
        (void)mw__lua_bad_argument(L, function, name, "a duration from 0 to 100 years expected, got %g s", seconds);
    return (mw_time)(seconds * 1e9);
}

void *mw__lua_check_self(lua_State *L, const char *tname, const char *function) {
    void *self = luaL_testudata(L, 1, tname);
    if (!self)
        (void)mw__lua_wrong_type(L, function, "self", tname, 1);
    return self;
}

void *mw__lua_check_box(lua_State *L, const char *tname, const char *function) {
    void **box = mw__lua_check_self(L, tname, function);
    if (!*box)
        (void)mw__lua_bad_argument(L, function, "self", "it has been collected: the Lua state is being closed");
    return *box;
}

/* ---- Options */

static bool swapped(const char *a, const char *b, size_t i, size_t j) {
    return i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
}

/* Edits from one word to the other, two neighbours swapped counting as one; 99 where a word is too long to be one of
 * ours. */
static size_t distance(const char *a, const char *b) {
    enum { LONGEST = 24 };
    size_t rows[LONGEST + 1][LONGEST + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return 99;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            size_t best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = rows[i - 1][j] + 1 < best ? rows[i - 1][j] + 1 : best;
            best = rows[i][j - 1] + 1 < best ? rows[i][j - 1] + 1 : best;
            if (swapped(a, b, i, j) && rows[i - 2][j - 2] + 1 < best)
                best = rows[i - 2][j - 2] + 1;
            rows[i][j] = best;
        }
    }
    return rows[n][m];
}

static void unknown_option(lua_State *L, const char *function, const mw_option_spec *specs, int key) {
    if (lua_type(L, key) != LUA_TSTRING)
        (void)mw__lua_bad_argument(L, function, "options", "names expected as keys, got a %s", luaL_typename(L, key));
    const char *word = lua_tostring(L, key), *nearest = NULL;
    size_t least = strlen(word) / 3 + 2;
    for (const mw_option_spec *spec = specs; spec->name; spec++) {
        size_t edits = distance(word, spec->name);
        if (edits < least) {
            least = edits;
            nearest = spec->name;
        }
    }
    if (nearest)
        (void)mw__lua_bad_argument(L, function, "options", "unknown option '%.60s'; did you mean '%s'?", word, nearest);
    (void)mw__lua_bad_argument(L, function, "options", "unknown option '%.60s'", word);
}

static void choose(lua_State *L, const char *function, const mw_option_spec *spec, int *out) {
    mw_str word = mw__lua_check_string(L, -1, function, spec->name);
    char known[128] = "";
    for (int i = 0; spec->choices[i]; i++) {
        if (mw_str_equal(word, mw_str_of(spec->choices[i]))) {
            *out = i;
            return;
        }
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s'%s'", i ? ", " : "", spec->choices[i]);
    }
    (void)mw__lua_bad_argument(L, function, spec->name, "one of %s expected, got '%.40s'", known, word.data);
}

/* The value is on top; a function stays there. */
static bool take_option(lua_State *L, const char *function, const mw_option_spec *spec, void *out) {
    char *slot = (char *)out + spec->offset;
    switch (spec->kind) {
    case MW_OPTION_DURATION:
        *(mw_time *)(void *)slot = mw__lua_check_duration(L, -1, function, spec->name);
        return false;
    case MW_OPTION_BOOLEAN:
        if (lua_type(L, -1) != LUA_TBOOLEAN)
            (void)mw__lua_wrong_type(L, function, spec->name, "boolean", -1);
        *(bool *)(void *)slot = lua_toboolean(L, -1);
        return false;
    case MW_OPTION_INTEGER:
        if (!lua_isinteger(L, -1))
            (void)mw__lua_wrong_type(L, function, spec->name, "integer", -1);
        *(lua_Integer *)(void *)slot = lua_tointeger(L, -1);
        return false;
    case MW_OPTION_VERSION:
        if (!lua_isinteger(L, -1))
            (void)mw__lua_wrong_type(L, function, spec->name, "integer", -1);
        *(lua_Integer *)(void *)slot = lua_tointeger(L, -1);
        if (lua_tointeger(L, -1) < 0)
            (void)mw__lua_bad_argument(L, function, spec->name, "0 or more expected, got %lld",
                                       (long long)lua_tointeger(L, -1));
        return false;
    case MW_OPTION_SHARE:
        if (lua_type(L, -1) != LUA_TNUMBER || !(lua_tonumber(L, -1) >= 0 && lua_tonumber(L, -1) <= 1))
            (void)mw__lua_bad_argument(L, function, spec->name, "a number from 0 to 1 expected");
        *(double *)(void *)slot = lua_tonumber(L, -1);
        return false;
    case MW_OPTION_STRING:
        *(mw_str *)(void *)slot = mw__lua_check_string(L, -1, function, spec->name);
        return false;
    case MW_OPTION_CHOICE:
        choose(L, function, spec, (int *)(void *)slot);
        return false;
    default:
        mw__lua_check_function(L, -1, function, spec->name);
        *(int *)(void *)slot = lua_gettop(L);
        return true;
    }
}

void mw__lua_check_options(lua_State *L, int index, const char *function, const mw_option_spec *specs, void *out) {
    if (lua_isnoneornil(L, index))
        return;
    if (lua_type(L, index) != LUA_TTABLE)
        (void)mw__lua_wrong_type(L, function, "options", "table", index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const mw_option_spec *spec = specs;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        while (spec->name && strcmp(spec->name, key) != 0)
            spec++;
        if (!spec->name)
            unknown_option(L, function, specs, lua_absindex(L, -2));
        if (take_option(L, function, spec, out)) {
            lua_pushvalue(L, -2); /* the function stays below the key */
        } else {
            lua_pop(L, 1);
        }
    }
}

/* ---- Classes */

void mw__lua_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta, lua_CFunction index) {
    (void)luaL_newmetatable(L, name);
    if (meta)
        luaL_setfuncs(L, meta, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    (void)lua_getfield(L, -3, "classes");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    if (index)
        lua_pushcclosure(L, index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "protected");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
