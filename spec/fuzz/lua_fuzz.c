/* Fuzzes what is written in Lua: FUZZ_DRIVER returns a function of the input that raises when a promise is broken.
 *
 * libFuzzer sees C only, so a line hook tells it which lines of Lua were reached, through its extra counters. */
#include "bindings/lua_modules.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNTERS (1u << 14)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((section("__libfuzzer_extra_counters"), used)) static uint8_t counters[COUNTERS];

/* One per program, as libFuzzer gives its callbacks no argument. */
static lua_State *state;
static int last_line;

/* Steps from line to line, whatever the file: asking for its name costs more than all the rest. */
static void count_line(lua_State *L, lua_Debug *ar) {
    if (!lua_getinfo(L, "l", ar))
        return;
    uint32_t step = ((uint32_t)last_line * 31 + (uint32_t)ar->currentline) * 2654435761u >> 18;
    counters[step] = (uint8_t)(counters[step] + (counters[step] < 255));
    last_line = ar->currentline;
}

static int with_trace(lua_State *L) {
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void call(int arguments, int results) {
    int handler = lua_gettop(state) - arguments;
    lua_pushcfunction(state, with_trace);
    lua_insert(state, handler);
    if (lua_pcall(state, arguments, results, handler) == LUA_OK) {
        lua_remove(state, handler);
        return;
    }
    (void)fprintf(stderr, "%s\n", lua_tostring(state, -1));
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    state = luaL_newstate();
    luaL_openlibs(state);
    luaL_requiref(state, "moonwatch.yaml", luaopen_moonwatch_yaml, 0);
    if (luaL_loadstring(state, "package.path = '" FUZZ_SOURCE "/scripts/?.lua;" FUZZ_SOURCE
                               "/spec/fuzz/?.lua;' .. package.path\n"
                               "local driver = require '" FUZZ_DRIVER "'\n"
                               "io.open = function(name) return nil, 'no files while fuzzing' end\n"
                               "return driver") != LUA_OK)
        abort();
    call(0, 1);
    lua_replace(state, 1);
    lua_settop(state, 1);
    lua_sethook(state, count_line, LUA_MASKLINE, 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    last_line = 0;
    lua_pushvalue(state, 1);
    lua_pushlstring(state, (const char *)data, size);
    call(1, 0);
    return 0;
}
