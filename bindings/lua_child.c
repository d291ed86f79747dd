/* `require "moonwatch.child"` in the executable: programs that the command line starts, as jobs that can be ended with
 * all that they have started. */
#include "descendants.h"
#include "internal.h"
#include "job.h"
#include "lua_modules.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define CLASS "moonwatch.Child"
#define WATCHED 2

/* Between two looks whether the terminal is ours by now: a shell tells its jobs only if they are stopped. */
#define LOOK_PAUSE (100 * MW_MS)

typedef struct waiting waiting;

/* Lives until its userdata is collected and libuv has closed its handles. */
typedef struct child {
    uv_signal_t signals[WATCHED]; /* SIGCHLD, SIGCONT */
    int handles;                  /* not closed yet */
    mw_host *host;
    mw_job job;
    mw_timer look; /* armed: it is stopped until it may have the terminal */
    waiting *waiting;
    bool family; /* what it has started is ours, too, wherever that has gone */
    bool ended, gone, collected;
    bool interrupted; /* from the terminal, which it had */
    int status;       /* as waitpid tells it */
} child;

struct waiting {
    mw_await await;
    child *child;
};

static child *check_child(lua_State *L, const char *function) {
    return *(child **)mw__lua_check_self(L, CLASS, function);
}

static void free_when_unused(child *self) {
    if (self->collected && self->handles == 0)
        free(self);
}

static void on_closed(uv_handle_t *handle) {
    child *self = handle->data;
    self->handles--;
    free_when_unused(self);
}

static void close_handles(child *self) {
    for (int i = 0; i < WATCHED; i++)
        uv_close((uv_handle_t *)&self->signals[i], on_closed);
}

/* ---- What becomes of it */

/* Ctrl-C went to the job alone. Who runs us in a script has to hear of it as if he had had the terminal. */
static void pass_interrupt_on(child *self) {
    self->interrupted = true;
    (void)kill(0, SIGINT);
}

static void end(child *self, int status) {
    bool by_signal = WIFSIGNALED(status);
    mw_timer_stop(self->host, &self->look);
    self->ended = true;
    self->status = status;
    if (mw__job_to_background(&self->job, by_signal) && by_signal && WTERMSIG(status) == SIGINT)
        pass_interrupt_on(self);
    mw_host_release(self->host);
    if (self->waiting)
        mw__lua_await_done(&self->waiting->await);
    self->waiting = NULL;
}

static void go_on(const child *self) {
    (void)kill(-self->job.pid, SIGCONT);
}

/* It has touched the terminal from the background: it gets that as soon as it is ours to give. */
static void let_it_have_the_terminal(child *self) {
    if (mw__job_to_foreground(&self->job))
        go_on(self);
    else
        (void)mw_timer_start(self->host, &self->look, LOOK_PAUSE);
}

static void look_again(mw_timer *timer) {
    let_it_have_the_terminal(mw_container(timer, child, look));
}

/* Ctrl-Z stops us with it; but who keeps what the command runs under cannot stop, and takes none. */
static void stopped(child *self, int signal) {
    if (signal == SIGTTIN || signal == SIGTTOU) {
        let_it_have_the_terminal(self);
    } else if (signal == SIGTSTP && self->family) {
        go_on(self);
    } else if (signal == SIGTSTP && mw__job_to_background(&self->job, false)) {
        (void)kill(0, SIGTSTP);
    }
}

/* While one with a family runs, all children of this process stem from it: those it has left behind are reaped, too. */
static void reap(child *self) {
    int status;
    for (pid_t pid; (pid = waitpid(self->family ? -1 : self->job.pid, &status, WNOHANG | WUNTRACED)) > 0;) {
        if (pid != self->job.pid)
            continue;
        if (WIFSTOPPED(status))
            stopped(self, WSTOPSIG(status));
        else
            end(self, status);
    }
}

/* SIGCONT: `fg` or `bg` of the shell. */
static void on_signal(uv_signal_t *handle, int number) {
    child *self = handle->data;
    if (self->job.pid == 0)
        return;
    if (number == SIGCHLD) {
        reap(self);
    } else if (!self->ended) {
        (void)mw__job_to_foreground(&self->job);
        go_on(self);
    }
}

static void watch(child *self) {
    static const int numbers[WATCHED] = {SIGCHLD, SIGCONT};
    for (int i = 0; i < WATCHED; i++) {
        (void)uv_signal_init(mw_uv_host_loop(self->host), &self->signals[i]);
        self->signals[i].data = self;
        self->handles++;
        (void)uv_signal_start(&self->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&self->signals[i]);
    }
}

/* ---- Methods */

static int push_end(lua_State *L, const child *self) {
    int signal = WIFSIGNALED(self->status) ? WTERMSIG(self->status) : 0;
    lua_pushinteger(L, signal ? 128 + signal : WEXITSTATUS(self->status));
    if (signal)
        lua_pushinteger(L, signal);
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

static void signal_one(void *arg, pid_t pid) {
    (void)kill(pid, *(const int *)arg);
}

/* child:kill(signal, session_only): the whole group, also what the leader has left behind, and its family; with
 * `session_only` not those who have begun a session of their own. */
static int child_kill(lua_State *L) {
    const child *self = check_child(L, "kill");
    int signal = (int)luaL_checkinteger(L, 2);
    if (!self->gone)
        (void)kill(-self->job.pid, signal);
    if (self->family)
        (void)mw__descendants_each(lua_toboolean(L, 3), signal_one, &signal);
    return 0;
}

/* child:gone(session_only) -> whether none of those is left whom `kill` would reach. The number of a group that has
 * gone may be another's from then on, so it gets no signal of ours any more. */
static int child_gone(lua_State *L) {
    child *self = check_child(L, "gone");
    if (self->ended && kill(-self->job.pid, 0) != 0 && errno == ESRCH)
        self->gone = true;
    bool left = self->family && mw__descendants_each(lua_toboolean(L, 2), NULL, NULL) > 0;
    if (self->gone && !left) {
        reap(self);                                    /* a group is there for as long as its dead are */
        (void)mw__job_to_background(&self->job, true); /* a shell that was killed had handed the terminal on */
    }
    lua_pushboolean(L, self->gone && !left);
    return 1;
}

/* child:interrupted() -> whether Ctrl-C on its terminal has ended it */
static int child_interrupted(lua_State *L) {
    lua_pushboolean(L, check_child(L, "interrupted")->interrupted);
    return 1;
}

static int child_gc(lua_State *L) {
    child *self = *(child **)luaL_checkudata(L, 1, CLASS);
    self->collected = true;
    mw__job_release(&self->job);
    if (self->handles > 0)
        close_handles(self);
    else
        free(self);
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

/* child.spawn(argv, environment, family) -> child | nil, why. `environment`: "NAME=value" strings in place of ours.
 * `family`: whatever it starts is signalled and waited for with it, also in a group of its own; one such child at a
 * time, and no other. */
static int child_spawn(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, luaL_len(L, 1) > 0, 1, "a command expected");
    bool family = lua_toboolean(L, 3);
    char **argv = string_list(L, 1), **environment = string_list(L, 2);
    child **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    child *self = *slot = calloc(1, sizeof *self);
    if (!self)
        return luaL_error(L, "out of memory");
    luaL_setmetatable(L, CLASS);
    self->host = mw__lua_process_real(L)->host;
    self->family = family;
    self->job.terminal = -1;
    self->look.fire = look_again;
    if (family)
        mw__descendants_keep();
    watch(self); /* before there is something to miss */
    int error = mw__job_start(&self->job, argv, environment);
    if (error != 0) {
        self->ended = self->gone = true;
        luaL_pushfail(L);
        lua_pushfstring(L, "%s: %s", argv[0], strerror(error));
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
    static const luaL_Reg methods[] = {{"wait", child_wait},
                                       {"kill", child_kill},
                                       {"gone", child_gone},
                                       {"interrupted", child_interrupted},
                                       {NULL, NULL}};
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
