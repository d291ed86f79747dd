/* moonwatch: the program. It lends the Lua side a loop, a log and signals, and runs scripts/moonwatch/cli.lua as a
 * task.
 */
#include "log_line.h"
#include "lua_modules.h"
#include "lua_setup.h"
#include "stuck.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define SIGNALS 3
#define SIGNAL_PATIENCE 10.0          /* seconds for the loop to notice a signal */
#define LAST_PATIENCE (1 * MW_SECOND) /* commands have withdrawn by then; what will not end is dropped */

typedef struct program {
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    mw_host *host;
    lua_State *L;
    mw_lua *lua;
    mw_task *main;
    mw_log_level level;
    mw_log_style style;
    pthread_mutex_t unsaid_guard;
    char unsaid[256]; /* the last warning that the level has kept back */
    char backends[PATH_MAX];
    int handler; /* Lua reference of what process.on_signal was given */
    bool ended, closed;
    int status;
} program;

/* ---- Log */

/* Any thread; one write per line, so that lines of several processes do not mix. */
static void log_line(void *arg, mw_log_level level, const char *component, const char *line) {
    program *self = arg;
    char out[MW_LOG_LINE_MAX];
    if (level >= self->level) {
        (void)!write(STDERR_FILENO, out, mw_log_line(out, self->style, level, component, line));
    } else if (level >= MW_LOG_WARN) {
        (void)pthread_mutex_lock(&self->unsaid_guard);
        (void)snprintf(self->unsaid, sizeof self->unsaid, "%s", line);
        (void)pthread_mutex_unlock(&self->unsaid_guard);
    }
}

/* ---- moonwatch.process: what a script of the program itself may ask of it */

static program *self_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* process.on_signal(handler, often): called as a task with "INT", "TERM" or "HUP"; nil = end the main task, as at
 * first. Unless `often`, a second INT or TERM ends the process at once: whoever sends it is out of patience. */
static int process_on_signal(lua_State *L) {
    program *self = self_of(L);
    luaL_unref(L, LUA_REGISTRYINDEX, self->handler);
    mw_stuck_patience(lua_toboolean(L, 2) ? 0 : SIGNAL_PATIENCE, false);
    lua_settop(L, 1);
    self->handler = lua_isfunction(L, 1) ? luaL_ref(L, LUA_REGISTRYINDEX) : LUA_NOREF;
    return 0;
}

/* process.log_level(name) */
static int process_log_level(lua_State *L) {
    self_of(L)->level = (mw_log_level)luaL_checkoption(L, 1, NULL, mw_log_level_names);
    return 0;
}

/* process.unsaid() -> the last warning that the level has kept back, or nil; once */
static int process_unsaid(lua_State *L) {
    program *self = self_of(L);
    char line[sizeof self->unsaid];
    (void)pthread_mutex_lock(&self->unsaid_guard);
    memcpy(line, self->unsaid, sizeof line);
    self->unsaid[0] = '\0';
    (void)pthread_mutex_unlock(&self->unsaid_guard);
    lua_pushstring(L, *line ? line : NULL);
    return 1;
}

/* process.log_format("text" | "json") */
static int process_log_format(lua_State *L) {
    static const char *const formats[] = {"text", "json", NULL};
    if (luaL_checkoption(L, 1, NULL, formats) == 1)
        self_of(L)->style = MW_LOG_JSON;
    return 0;
}

/* process.end_within(seconds): of a signal, whatever scripts do; after on_signal. */
static int process_end_within(lua_State *L) {
    mw_stuck_patience(luaL_checknumber(L, 1), true);
    return 0;
}

/* process.ignore_stops(on): of the terminal (Ctrl-Z). What only we can end must not run on while we are stopped. */
static int process_ignore_stops(lua_State *L) {
    void (*action)(int) = lua_toboolean(L, 1) ? SIG_IGN : SIG_DFL;
    (void)signal(SIGTSTP, action);
    (void)signal(SIGTTIN, action);
    (void)signal(SIGTTOU, action);
    return 0;
}

static int open_process(lua_State *L) {
    static const luaL_Reg functions[] = {{"on_signal", process_on_signal},
                                         {"log_level", process_log_level},
                                         {"unsaid", process_unsaid},
                                         {"log_format", process_log_format},
                                         {"end_within", process_end_within},
                                         {"ignore_stops", process_ignore_stops},
                                         {NULL, NULL}};
    luaL_newlibtable(L, functions);
    (void)lua_getfield(L, LUA_REGISTRYINDEX, "moonwatch.program");
    luaL_setfuncs(L, functions, 1);
    return 1;
}

/* ---- Signals */

static const struct {
    int number;
    const char *name;
} caught[SIGNALS] = {{SIGINT, "INT"}, {SIGTERM, "TERM"}, {SIGHUP, "HUP"}};

static void on_signal(uv_signal_t *handle, int number) {
    program *self = handle->data;
    mw_stuck_noticed();
    if (number == SIGINT && mw_stuck_was_taken())
        return;
    if (self->handler == LUA_NOREF) {
        if (self->main)
            mw_lua_cancel(self->main);
        self->status = 128 + number;
        return;
    }
    for (int i = 0; i < SIGNALS; i++) {
        if (caught[i].number == number) {
            (void)lua_rawgeti(self->L, LUA_REGISTRYINDEX, self->handler);
            lua_pushstring(self->L, caught[i].name);
            if (mw_lua_spawn(self->L, 1, "signal", NULL, NULL, NULL, NULL) != MW_OK && number != SIGHUP)
                _exit(128 + number);
        }
    }
}

static void catch_signals(program *self) {
    for (int i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&self->loop, &self->signals[i]);
        self->signals[i].data = self;
        (void)uv_signal_start(&self->signals[i], on_signal, caught[i].number);
        uv_unref((uv_handle_t *)&self->signals[i]);
        if (caught[i].number != SIGHUP)
            mw_stuck_listen(caught[i].number);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

/* ---- Running */

static bool step(void *arg, bool wait) {
    program *self = arg;
    return uv_run(&self->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT) != 0;
}

static void main_ended(void *arg, int status, const mw_error *error, lua_State *results, int count) {
    program *self = arg;
    self->ended = true;
    self->main = NULL;
    if (status == MW_OK)
        self->status = count > 0 && lua_isinteger(results, -count) ? (int)lua_tointeger(results, -count) : 0;
    else if (status != MW_ECANCELLED || self->status == 0)
        (void)fprintf(stderr, "moonwatch: %s\n", error->message);
    if (status != MW_OK && self->status == 0)
        self->status = 1;
}

static void set_closed(void *arg) {
    ((program *)arg)->closed = true;
}

/* Push cli.main and its arguments. */
static int push_main(lua_State *L) {
    program *self = lua_touserdata(L, 1);
    char **argv = lua_touserdata(L, 2);
    lua_settop(L, 0);
    lua_pushlightuserdata(L, self);
    lua_setfield(L, LUA_REGISTRYINDEX, "moonwatch.program");
    mw_lua_preload(L, "moonwatch.process", open_process);
    mw_lua_preload(L, "moonwatch.edit", luaopen_moonwatch_edit);
    mw_lua_preload(L, "moonwatch.child", luaopen_moonwatch_child);
    mw_lua_preload(L, "moonwatch.socket", luaopen_moonwatch_socket);
    (void)lua_getglobal(L, "require");
    lua_pushliteral(L, "moonwatch.cli");
    lua_call(L, 1, 1);
    (void)lua_getfield(L, -1, "main");
    lua_newtable(L);
    for (lua_Integer i = 0; argv[i]; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    return 2;
}

static int run(program *self, char **argv, mw_error *err) {
    const mw_lua_config config = {
        .host = self->host, .step = step, .step_arg = self, .interrupted = mw_stuck_take, .backends = self->backends};
    int status = mw_lua_open(self->L, &config, &self->lua, err);
    if (status != MW_OK)
        return status;
    lua_pushcfunction(self->L, push_main);
    lua_pushlightuserdata(self->L, self);
    lua_pushlightuserdata(self->L, argv);
    if ((status = mw_lua_call(self->L, 2, 2, err)) != MW_OK)
        return status;
    if ((status = mw_lua_spawn(self->L, 1, "main", main_ended, self, &self->main, err)) != MW_OK)
        return status;
    while (!self->ended && step(self, true)) {
    }
    if (!self->ended)
        return mw_fail(err, MW_EINTERNAL, "the program waits for something that cannot come");
    mw_lua_close(self->lua, LAST_PATIENCE, set_closed, self);
    while (!self->closed && step(self, true)) {
    }
    return MW_OK;
}

static void release(program *self) {
    if (self->L)
        lua_close(self->L);
    mw_uv_host_free(self->host);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&self->signals[i], NULL);
    (void)uv_run(&self->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&self->loop);
}

/* A standard descriptor that we were started without would be the next one that is opened. What fails on a closed one
 * fails on these as well: input cannot be read, output cannot be written. */
static void fill_standard_descriptors(void) {
    int fd;
    do
        fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

/* By whatever command: a full disk must not look like success. A reader that has gone has had what it wanted. */
static int finish_output(int status) {
    struct pollfd reader = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR))
        return status;
    if (status == 0)
        (void)fputs("moonwatch: standard output: not all of it could be written\n", stderr);
    return status != 0 ? status : 1;
}

int main(int argc, char **argv) {
    fill_standard_descriptors();
    program self = {.level = MW_LOG_INFO, .handler = LUA_NOREF, .unsaid_guard = PTHREAD_MUTEX_INITIALIZER};
    mw_error err = {0};
    self.style = isatty(STDERR_FILENO) ? MW_LOG_SHORT : MW_LOG_DATED;
    (void)setlocale(LC_CTYPE, "");
    mw_lua_find_backends(self.backends);
    if (uv_loop_init(&self.loop) < 0) {
        (void)fprintf(stderr, "moonwatch: no event loop\n");
        return 1;
    }
    catch_signals(&self);
    int status = mw_uv_host_new(&self.loop, log_line, &self, &self.host, &err);
    if (status == MW_OK)
        status = mw_lua_state_new(NULL, &self.L, &err);
    if (status == MW_OK)
        status = run(&self, argv, &err);
    if (status != MW_OK)
        (void)fprintf(stderr, "moonwatch: %s\n", err.message);
    release(&self);
    return finish_output(status != MW_OK && self.status == 0 ? 1 : self.status);
}
