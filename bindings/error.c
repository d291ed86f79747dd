/* Error objects, and the text of whatever else a Lua function may throw. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    int status;
} statuses[] = {
#define STATUS(name, value, text, retryable, meaning) {text, MW_E##name},
    MW_STATUS_MAP(STATUS)
#undef STATUS
};

/* Its address names, in the state's registry, the folder of the library's own Lua files. */
static const char folder_key = 0;

/* library(folder): frames of files in it are of no use to who reads the error of a script. */
static int core_library(lua_State *L) {
    (void)luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &folder_key);
    return 0;
}

/* Borrowed from the registry; "" = not known. */
static const char *library_folder(lua_State *L) {
    const char *folder = lua_rawgetp(L, LUA_REGISTRYINDEX, &folder_key) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    lua_pop(L, 1);
    return folder;
}

/* Whether the frame is of one of the library's own Lua files. */
static bool is_ours(const lua_Debug *ar, const char *library) {
    return *library && strncmp(ar->source, library, strlen(library)) == 0;
}

/* "a.lua:3: ", of the innermost line that is not the library's own: there the mistake is. Where all are, that of the
 * caller, as luaL_where has it. */
static void push_where(lua_State *L) {
    const char *library = library_folder(L);
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        if (lua_getinfo(L, "Sl", &ar) && ar.currentline > 0 && !is_ours(&ar, library)) {
            (void)lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    luaL_where(L, 1);
}

_Noreturn void mw__lua_raise(lua_State *L, const char *format, ...) {
    va_list args;
    va_start(args, format);
    push_where(L);
    (void)lua_pushvfstring(L, format, args);
    va_end(args);
    lua_concat(L, 2);
    (void)lua_error(L);
    abort(); /* lua_error does not come back */
}

/* misuse(text): raises it, with the line of the script that called the library. */
static int core_misuse(lua_State *L) {
    mw__lua_raise(L, "%s", luaL_checkstring(L, 1));
}

void mw__lua_push_error(lua_State *L, int status, const char *message, mw_str path, const char *backend) {
    lua_createtable(L, 0, 6);
    lua_pushstring(L, mw_status_text(status));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message && *message ? message : mw_status_meaning(status));
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, mw_status_retryable(status));
    lua_setfield(L, -2, "retryable");
    if (path.len) {
        (void)lua_pushlstring(L, path.data, path.len);
        lua_setfield(L, -2, "path");
    }
    if (backend && *backend) {
        lua_pushstring(L, backend);
        lua_setfield(L, -2, "backend");
    }
    luaL_setmetatable(L, MW_CLASS_ERROR);
}

int mw__lua_failure(lua_State *L, int status, const char *message, mw_str path, const char *backend) {
    lua_pushnil(L);
    mw__lua_push_error(L, status, message, path, backend);
    return 2;
}

/* Raw accesses only. */
bool mw__lua_is_error(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return false;
    (void)luaL_getmetatable(L, MW_CLASS_ERROR);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* Field `name` of the table at `index`, when it is a string: borrowed from the table. "" otherwise. */
static const char *text_field(lua_State *L, int index, const char *name) {
    index = lua_absindex(L, index);
    lua_pushstring(L, name);
    const char *text = lua_rawget(L, index) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    lua_pop(L, 1);
    return text;
}

int mw__lua_error_status(lua_State *L, int index) {
    if (!mw__lua_is_error(L, index))
        return MW_EINTERNAL;
    const char *code = text_field(L, index, "code");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (strcmp(statuses[i].text, code) == 0)
            return statuses[i].status;
    }
    return MW_EINTERNAL;
}

/* Lines become one, so that a log stays a line per event. */
static void one_line(char *text) {
    for (char *at = text; *at; at++) {
        if ((unsigned char)*at < ' ')
            *at = ' ';
    }
}

void mw__lua_error_text(lua_State *L, int index, char *text, size_t size) {
    if (mw__lua_is_error(L, index)) {
        const char *path = text_field(L, index, "path"), *message = text_field(L, index, "message");
        bool named = !*path || strstr(message, path);
        (void)snprintf(text, size, "%s: %s%s%s%s", text_field(L, index, "code"), named ? "" : path, named ? "" : ": ",
                       message, text_field(L, index, "traceback"));
    } else if (lua_type(L, index) == LUA_TSTRING) {
        (void)snprintf(text, size, "%s", lua_tostring(L, index));
    } else {
        (void)snprintf(text, size, "(error object is a %s value)", luaL_typename(L, index));
    }
    one_line(text);
}

static int error_tostring(lua_State *L) {
    char text[1024];
    mw__lua_error_text(L, 1, text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

/* The Lua frames from level 1 on, innermost first, without the library's: " < a.lua:3 < b.lua:7". */
static void push_frames(lua_State *L, const char *already) {
    const char *library = library_folder(L);
    luaL_Buffer frames;
    lua_Debug ar;
    int shown = 0;
    luaL_buffinit(L, &frames);
    for (int level = 1; shown < 6 && lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0)
            continue;
        if (is_ours(&ar, library))
            continue;
        char where[LUA_IDSIZE + 24];
        (void)snprintf(where, sizeof where, "%s:%d", ar.short_src, ar.currentline);
        if (shown++ == 0 && strncmp(already, where, strlen(where)) == 0)
            continue; /* the message begins with it */
        luaL_addstring(&frames, " < ");
        luaL_addstring(&frames, where);
    }
    luaL_pushresult(&frames);
}

int mw__lua_traceback(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) {
        push_frames(L, lua_tostring(L, 1));
        lua_concat(L, 2);
        return 1;
    }
    if (!mw__lua_is_error(L, 1) && luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        (void)luaL_tolstring(L, 1, NULL);
        return 1;
    }
    return 1; /* errors of ours, and whatever else somebody means to catch by its identity */
}

/* error(code, message, path): an error object, for the Lua files of the library. */
static int core_error(lua_State *L) {
    const char *code = luaL_checkstring(L, 1), *message = luaL_optstring(L, 2, "");
    mw_str path = {0};
    path.data = luaL_optlstring(L, 3, "", &path.len);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (strcmp(statuses[i].text, code) == 0) {
            mw__lua_push_error(L, statuses[i].status, message, path, NULL);
            return 1;
        }
    }
    return mw__lua_bad_argument(L, "error", "code", "no such status: '%.40s'", code);
}

void mw__lua_error_open(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg meta[] = {{"__tostring", error_tostring}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_ERROR, none, meta, NULL);
    lua_pushcfunction(L, core_error);
    lua_setfield(L, -2, "error");
    lua_pushcfunction(L, core_library);
    lua_setfield(L, -2, "library");
    lua_pushcfunction(L, core_misuse);
    lua_setfield(L, -2, "misuse");
}
