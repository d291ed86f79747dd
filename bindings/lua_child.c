/* `require "moonwatch.child"` in the executable: programs that the command line starts, in a process group of their own
 * so that all of it can be ended. */
#include "internal.h"
#include "lua_modules.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define CLASS "moonwatch.Child"

typedef struct waiting waiting;

/* Lives until its userdata is collected and libuv has closed its handle. */
typedef struct child {
    uv_process_t process;
    mw_host *host;
    waiting *waiting;
    bool ended, gone, collected, closed;
    int64_t status;
    int signal;
} child;

struct waiting {
    mw_await await;
    child *child;
};

static child *check_child(lua_State *L, const char *function) {
    return *(child **)mw__lua_check_self(L, CLASS, function);
}

static void free_when_unused(child *self) {
    if (self->collected && self->closed)
        free(self);
}

static void on_closed(uv_handle_t *handle) {
    child *self = handle->data;
    self->closed = true;
    free_when_unused(self);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal) {
    child *self = process->data;
    self->ended = true;
    self->status = status;
    self->signal = signal;
    mw_host_release(self->host);
    if (self->waiting)
        mw__lua_await_done(&self->waiting->await);
    self->waiting = NULL;
    uv_close((uv_handle_t *)process, on_closed);
}

static int push_end(lua_State *L, const child *self) {
    lua_pushinteger(L, self->signal ? 128 + self->signal : (lua_Integer)self->status);
    if (self->signal)
        lua_pushinteger(L, self->signal);
    else
        luaL_pushfail(L);
    return 2;
}

static int finish_waiting(lua_State *L, mw_await *await) {
    child *self = ((waiting *)await)->child;
    mw__lua_await_free(await);
    return push_end(L, self);
}

static void drop_waiting(mw_await *await) {
    waiting *self = (waiting *)await;
    if (self->child->waiting == self)
        self->child->waiting = NULL;
    mw__lua_await_free(await);
}

/* child:wait() -> exit status (128 + signal when a signal ended it), signal|nil. Waits. */
static int child_wait(lua_State *L) {
    child *self = check_child(L, "wait");
    if (self->ended)
        return push_end(L, self);
    if (self->waiting)
        return luaL_error(L, "'wait': somebody waits for it already");
    mw__lua_must_be_able_to_wait(L, "wait");
    waiting *started = mw__lua_await_new(mw__lua_context(L), sizeof *started, finish_waiting, drop_waiting);
    if (!started)
        return luaL_error(L, "out of memory");
    started->child = self;
    self->waiting = started;
    return mw__lua_wait(L, mw__lua_process_real(L), &started->await);
}

/* child:kill(signal): the whole group, also what the leader has left behind. */
static int child_kill(lua_State *L) {
    child *self = check_child(L, "kill");
    int signal = (int)luaL_optinteger(L, 2, SIGTERM);
    lua_pushboolean(L, !self->gone && kill(-self->process.pid, signal) == 0);
    return 1;
}

/* child:gone() -> whether nobody of its group is left, the leader's children included. Its number may be another's from
 * then on, so it gets no signal of ours any more. */
static int child_gone(lua_State *L) {
    child *self = check_child(L, "gone");
    if (self->ended && kill(-self->process.pid, 0) != 0 && errno == ESRCH)
        self->gone = true;
    lua_pushboolean(L, self->gone);
    return 1;
}

static int child_gc(lua_State *L) {
    child *self = *(child **)luaL_checkudata(L, 1, CLASS);
    self->collected = true;
    free_when_unused(self);
    return 0;
}

static char **string_list(lua_State *L, int index) {
    lua_Integer count = luaL_len(L, index);
    char **list = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *list, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        (void)lua_rawgeti(L, index, i);
        list[i - 1] = (char *)luaL_checkstring(L, -1); /* anchored by the table */
        lua_pop(L, 1);
    }
    list[count] = NULL;
    return list;
}

/* child.spawn(argv, environment) -> child | nil, why. `environment`: "NAME=value" strings in place of ours. */
static int child_spawn(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, luaL_len(L, 1) > 0, 1, "a command expected");
    char **argv = string_list(L, 1), **environment = string_list(L, 2);
    child **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    child *self = *slot = calloc(1, sizeof *self);
    if (!self)
        return luaL_error(L, "out of memory");
    self->host = mw__lua_process_real(L)->host;
    self->process.data = self;
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++)
        stdio[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = i};
    /* UV_PROCESS_DETACHED is setsid: a session of its own is a group of its own, whose leader is the child. */
    uv_process_options_t options = {.exit_cb = on_exit_of,
                                    .file = argv[0],
                                    .args = argv,
                                    .env = environment,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int status = uv_spawn(mw_uv_host_loop(self->host), &self->process, &options);
    luaL_setmetatable(L, CLASS);
    if (status < 0) {
        self->ended = self->gone = true;
        uv_close((uv_handle_t *)&self->process, on_closed);
        luaL_pushfail(L);
        lua_pushfstring(L, "%s: %s", argv[0], uv_strerror(status));
        return 2;
    }
    mw_host_hold(self->host);
    return 1;
}

/* child.environment() -> "NAME=value" strings of this process */
static int child_environment(lua_State *L) {
    extern char **environ;
    lua_newtable(L);
    for (lua_Integer i = 0; environ[i]; i++) {
        lua_pushstring(L, environ[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

int luaopen_moonwatch_child(lua_State *L) {
    static const luaL_Reg methods[] = {{"wait", child_wait}, {"kill", child_kill}, {"gone", child_gone}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"spawn", child_spawn}, {"environment", child_environment}, {NULL, NULL}};
    if (luaL_newmetatable(L, CLASS)) {
        lua_pushcfunction(L, child_gc);
        lua_setfield(L, -2, "__gc");
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
