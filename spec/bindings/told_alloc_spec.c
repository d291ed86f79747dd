/* What a script must be told reaches it, however short memory is when that comes: its connection listener hears the
 * same states in the same order as a listener in C, and the holder of a lock that it was lost. Lua has an allocator of
 * its own here, as it must: Debian's does not survive a failed allocation. */
#define SPEC_SHARED
#include "bindings/internal.h"
#include "core/registry_impl.h"
#include "support/alloc_fail.h"
#include "support/check.h"

#include <lualib.h>

static lua_State *L;
static char heard[1024]; /* by the listener in C */

static void note(void *arg, const mw_connection_event *event) {
    size_t len = strlen(heard);
    (void)snprintf(heard + len, sizeof heard - len, "%s ", mw_state_text(event->state));
}

/* run(text): a chunk; returns the text that it returns, which lives until the next one */
static const char *run(const char *chunk) {
    lua_settop(L, 0);
    int status = luaL_loadstring(L, chunk);
    if (status == LUA_OK)
        status = lua_pcall(L, 0, 1, 0);
    if (status != LUA_OK) {
        (void)snprintf(spec.why, sizeof spec.why, "%s", lua_tostring(L, -1));
        longjmp(spec.escape, 1);
    }
    return lua_tostring(L, -1);
}

static mw_registry *open_registry(void) {
    L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_INT(mw_lua_open(L, NULL, NULL, NULL), MW_OK);
    (void)run("core = require 'moonwatch.core'\n"
              "world = core.world(1)\n"
              "server = world:memory_server { session_timeout = 6 }\n"
              "host = world:host()\n"
              "reg = assert(core.open(server, host, {}))\n"
              "states, losses = {}, 0\n"
              "function listen()\n"
              "  reg:on_connection(function(event)\n"
              "    states[#states + 1] = event.state\n"
              "    if wait then core.sleep(wait) end\n"
              "  end)\n"
              "  lock = reg:lock('/l', { on_lost = function() losses = losses + 1 end })\n"
              "  assert(lock:acquire())\n"
              "end");
    lua_settop(L, 0);
    lua_getglobal(L, "reg");
    mw_registry *registry = mw__lua_check_registry(L, "spec")->registry;
    lua_settop(L, 0);
    heard[0] = '\0';
    return registry;
}

static bool same_heard(void) {
    const char *told = run("return table.concat(states, ' ') .. ' '");
    if (strcmp(told, heard) != 0)
        printf("# %s\n# heard in C: %s\n", told, heard);
    return strcmp(told, heard) == 0;
}

static void close_state(void) {
    lua_close(L);
    L = NULL;
}

/* While `happens` runs, the Nth allocation fails, or all from it on. How many there were. */
static size_t short_of_memory(size_t nth, bool from_then_on, const char *happens) {
    mw_registry *registry = open_registry();
    mw_listener *listener = mw_listen(registry, note, NULL);
    (void)run("listen() world:advance(1)");
    (void)luaL_loadstring(L, happens);
    alloc_fail_at(nth, from_then_on);
    int status = lua_pcall(L, 0, 0, 0);
    size_t asked = alloc_fail_stop();
    CHECK_INT(status, LUA_OK);
    (void)run("world:advance(60)");
    mw_unlisten(listener);
    CHECK(same_heard());
    CHECK(strstr(heard, "lost "));
    CHECK_TEXT(run("return tostring(losses)"), "1");
    (void)run("reg:close() world:close()");
    close_state();
    return asked;
}

static void each_allocation_fails(const char *happens) {
    size_t tried = 0;
    for (int lasting = 0; lasting < 2; lasting++)
        for (size_t nth = 1; short_of_memory(nth, lasting, happens) >= nth; nth++)
            tried++;
    printf("# %zu allocations failed in turn\n", tried);
}

static void a_state_is_heard_when_memory_is_short(void) {
    each_allocation_fails("host:pause() world:advance(60) host:resume() world:step()");
}

/* Each reaction keeps its task: there is none to use again for the next state. */
static void so_are_those_whose_reactions_wait(void) {
    each_allocation_fails("wait = 5 host:pause() world:advance(60) host:resume() world:advance(1)");
}

/* A connection that comes and goes while the process is busy elsewhere. */
static void so_are_more_states_than_there_is_room_for(void) {
    mw_registry *registry = open_registry();
    mw_listener *listener = mw_listen(registry, note, NULL);
    (void)run("listen() world:advance(1)");
    mw_session_info info = registry->session.info;
    info.resumed = true;
    for (int i = 0; i < 20; i++) {
        mw__session_suspended(registry, NULL);
        mw__session_opened(registry, &info);
    }
    (void)run("world:advance(1)");
    mw_unlisten(listener);
    CHECK(same_heard());
    (void)run("reg:close() world:close()");
    close_state();
}

static const spec_case cases[] = {
    {"a state is heard when memory is short", a_state_is_heard_when_memory_is_short},
    {"so are those whose reactions wait", so_are_those_whose_reactions_wait},
    {"so are more states than there is room for", so_are_more_states_than_there_is_room_for},
};
SPEC_MAIN(cases)
