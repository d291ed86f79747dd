#include "interrupt.h"

#include <moonwatch/host_uv.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>

bool mw__lua_sleep(mw_host *host, lua_State *main, lua_Hook before) {
    sigset_t interrupt, usual;
    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &interrupt, &usual); /* one that comes after the look ends the sleep */
    bool go_on = lua_gethook(main) == before;
    int ms = mw_uv_host_timeout(host);
    if (go_on && ms != 0) {
        struct timespec most = {ms / 1000, ms % 1000 * 1000000L};
        struct pollfd loop = {mw_uv_host_fd(host), POLLIN, 0};
        (void)ppoll(&loop, 1, ms < 0 ? NULL : &most, &usual);
        go_on = lua_gethook(main) == before;
    }
    (void)pthread_sigmask(SIG_SETMASK, &usual, NULL);
    return go_on;
}

int mw__lua_interrupt(lua_State *L, lua_State *main) {
    lua_Hook hook = lua_gethook(main);
    lua_Debug here = {.event = LUA_HOOKCOUNT, .currentline = -1};
    lua_sethook(main, NULL, 0, 0); /* or it would raise once more, in the next piece of Lua code that cleans up */
    if (hook && lua_getstack(L, 0, &here))
        hook(L, &here);
    return luaL_error(L, "interrupted");
}
