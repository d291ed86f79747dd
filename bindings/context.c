/* One context per lua_State: made, found again, closed. */
#include "internal.h"
#include "log_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BUDGET (5 * MW_SECOND)
#define LOG_OFF ((mw_log_level)(MW_LOG_ERROR + 1))

/* At the end of a plain script, for its tasks and then for the server. */
#define LAST_PATIENCE (2 * MW_SECOND)

/* Its address names the context in a state's registry. */
static const char context_key = 0;

/* ---- Log of a plain script */

static mw_log_level level_from_environment(void) {
    const char *wanted = getenv("MOONWATCH_LOG");
    if (wanted && strcmp(wanted, "off") == 0)
        return LOG_OFF;
    for (int i = 0; wanted && mw_log_level_names[i]; i++) {
        if (strcmp(wanted, mw_log_level_names[i]) == 0)
            return (mw_log_level)i;
    }
    return MW_LOG_INFO;
}

/* The program that a plain script is has no other place for its log. Any thread: one call writes the line. */
static void log_to_stderr(void *arg, mw_log_level level, const char *component, const char *line) {
    const mw_lua *lua = arg;
    if (level < lua->log_level)
        return;
    char out[MW_LOG_LINE_MAX];
    (void)!write(STDERR_FILENO, out, mw_log_line(out, MW_LOG_SHORT, level, component, line));
}

/* ---- Opening */

mw_lua *mw_lua_of(lua_State *L) {
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
    mw_lua *lua = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return lua;
}

mw_lua *mw__lua_context(lua_State *L) {
    mw_lua *lua = mw_lua_of(L);
    if (!lua || lua->closed)
        mw__lua_raise(L, "moonwatch is closed in this Lua state");
    return lua;
}

bool mw__lua_forked(const mw_lua *lua) {
    return lua->pid != (int)getpid();
}

static int context_gc(lua_State *L);

static int make_context(lua_State *L) {
    const mw_lua_config *config = lua_touserdata(L, 1);
    mw_lua *lua = lua_newuserdatauv(L, sizeof *lua, 1);
    memset(lua, 0, sizeof *lua);
    lua->closed = true; /* until it is whole */
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, context_gc);
    lua_setfield(L, -2, "__gc");
    (void)lua_setmetatable(L, -2);
    lua->work = lua_newthread(L);
    (void)lua_setiuservalue(L, -2, 1);
    lua_sethook(lua->work, NULL, 0, 0);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    (void)luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, mw_lua_open_module);
    lua_setfield(L, -2, "moonwatch.core");
    lua_pop(L, 1);
    if (config)
        lua->config = *config;
    if (!lua->config.budget)
        lua->config.budget = DEFAULT_BUDGET;
    lua->pid = (int)getpid();
    lua->duration_ref = lua->size_ref = LUA_NOREF;
    lua->log_level = level_from_environment();
    lua->closed = false;
    if (lua->config.host)
        mw__lua_process_init(&lua->real, lua, lua->config.host, NULL);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
    mw__lua_memory_watch(L, lua);
    return 0;
}

int mw_lua_open(lua_State *L, const mw_lua_config *config, mw_lua **ret_lua, mw_error *err) {
    if (mw_lua_of(L))
        return mw_fail(err, MW_EINVALID, "the Lua state has a Moonwatch context already");
    lua_pushcfunction(L, make_context);
    lua_pushlightuserdata(L, (void *)config);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        return mw_fail(err, MW_ENO_MEMORY, "not enough memory for a Moonwatch context");
    }
    if (ret_lua)
        *ret_lua = mw_lua_of(L);
    return MW_OK;
}

size_t mw_lua_memory_limit(const mw_lua *lua) {
    return lua ? lua->config.memory_limit : 0;
}

void mw_lua_set_limits(mw_lua *lua, mw_time budget, size_t memory_limit) {
    lua->config.budget = budget ? budget : DEFAULT_BUDGET;
    lua->config.memory_limit = memory_limit;
    mw__lua_memory_watch(lua->main, lua);
    for (mw_task *task = lua->tasks; task; task = task->next)
        mw__lua_budget_install(task->co, lua);
    for (mw_task *task = lua->spare; task; task = task->next)
        mw__lua_budget_install(task->co, lua);
}

mw_process *mw__lua_process_real(lua_State *L) {
    mw_lua *lua = mw__lua_context(L);
    if (lua->real.host)
        return &lua->real;
    mw_error err;
    mw_host *host = NULL;
    mw_log_sink sink = lua->config.sink ? lua->config.sink : log_to_stderr;
    void *arg = lua->config.sink ? lua->config.sink_arg : lua;
    if (mw_uv_host_new(NULL, sink, arg, &host, &err) != MW_OK)
        mw__lua_raise(L, "%s", err.message);
    lua->owns_host = true;
    mw__lua_process_init(&lua->real, lua, host, NULL);
    return &lua->real;
}

mw_process *mw__lua_process_here(lua_State *L) {
    mw_lua *lua = mw__lua_context(L);
    if (lua->current)
        return lua->current->process;
    return lua->world ? mw__lua_world_main(L, lua->world) : mw__lua_process_real(L);
}

/* ---- Protected calls */

int mw_lua_call(lua_State *L, int nargs, int nresults, mw_error *err) {
    int base = lua_gettop(L) - nargs;
    lua_pushcfunction(L, mw__lua_traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, nargs, nresults, base);
    lua_remove(L, base);
    if (status == LUA_OK)
        return MW_OK;
    int code = mw__lua_error_status(L, -1);
    char text[sizeof err->message];
    mw__lua_error_text(L, -1, text, sizeof text);
    lua_pop(L, 1);
    return mw_fail(err, code, "%s", text);
}

/* ---- Closing */

typedef struct mw_closer {
    mw_lua *lua;
    mw_runnable run;
    mw_timer patience;
    mw_time span;
    bool registries; /* have been told to close */
    void (*done)(void *arg);
    void *arg;
} mw_closer;

static void close_on(mw_runnable *run) {
    mw_closer *closer = mw_container(run, mw_closer, run);
    mw_lua *lua = closer->lua;
    if (lua->tasks)
        return;
    if (!closer->registries) {
        closer->registries = true;
        mw_timer_stop(lua->real.host, &closer->patience);
        for (mw_lua_registry *one = lua->real.registries, *next; one; one = next) {
            next = one->next;
            mw__lua_registry_close(one, closer->span, false);
        }
    }
    if (lua->real.registries || !lua->closer)
        return;
    lua->closer = NULL;
    lua->closed = true;
    void (*done)(void *) = closer->done;
    void *arg = closer->arg;
    free(closer);
    if (done)
        done(arg);
}

static void drop_tasks(mw_lua *lua) {
    while (lua->tasks)
        mw__lua_task_drop(lua->tasks);
}

/* Where a task that waits stands, innermost first: " at a.lua:3 < b.lua:7"; "" when it has not begun. */
static void describe_place(lua_State *co, char *text, size_t size) {
    lua_Debug ar;
    size_t used = 0, shown = 0;
    *text = '\0';
    for (int level = 0; shown < 3 && used < size && lua_getstack(co, level, &ar); level++) {
        if (lua_getinfo(co, "Sl", &ar) && ar.currentline > 0)
            used += (size_t)snprintf(text + used, size - used, "%s%s:%d", shown++ ? " < " : " at ", ar.short_src,
                                     ar.currentline);
    }
}

static void impatient(mw_timer *timer) {
    mw_closer *closer = mw_container(timer, mw_closer, patience);
    for (mw_task *task = closer->lua->tasks; task; task = task->next) {
        char place[3 * (LUA_IDSIZE + 16)];
        describe_place(task->co, place, sizeof place);
        mw_log(task->process->host, MW_LOG_WARN, "lua", "%s%s did not end when it was cancelled: dropped",
               task->name[0] ? task->name : "a task", place);
    }
    drop_tasks(closer->lua);
}

void mw__lua_closer_poke(mw_lua *lua) {
    if (lua->closer)
        mw__lua_process_ready(&lua->real, &lua->closer->run);
}

void mw_lua_close(mw_lua *lua, mw_time patience, void (*done)(void *arg), void *arg) {
    mw__lua_worlds_close(lua);
    mw_closer *closer = calloc(1, sizeof *closer);
    if (!closer || !lua->real.host) { /* nothing real was ever used; or no memory, and then everything is dropped */
        free(closer);
        lua->closing = lua->closed = true;
        drop_tasks(lua);
        if (done)
            done(arg);
        return;
    }
    lua->closing = true;
    lua->closer = closer;
    closer->lua = lua;
    closer->run.run = close_on;
    closer->patience.fire = impatient;
    closer->span = patience;
    closer->done = done;
    closer->arg = arg;
    (void)mw_timer_start(lua->real.host, &closer->patience, patience);
    for (mw_task *task = lua->tasks; task;) {
        if (!task->cancelled) {
            mw__lua_task_cancel(task);
            task = lua->tasks; /* more than one may have ended */
        } else {
            task = task->next;
        }
    }
    mw__lua_closer_poke(lua);
}

static void set_flag(void *arg) {
    *(bool *)arg = true;
}

static void free_spare_tasks(mw_lua *lua) {
    for (mw_task *task = lua->spare, *next; task; task = next) {
        next = task->next;
        free(task);
    }
    lua->spare = NULL;
}

static void release(mw_lua *lua) {
    while (lua->awaits)
        mw__lua_await_free(lua->awaits);
    free_spare_tasks(lua);
    mw__lua_servers_free(&lua->servers);
    if (!lua->real.host)
        return;
    mw__lua_process_release(&lua->real);
    if (lua->owns_host)
        mw_uv_host_free(lua->real.host);
    lua->real.host = NULL;
}

/* The state ends. A forked child leaves everything alone: the connections are its parent's. So does a program that ends
 * itself in the middle of the loop, by os.exit(code, true) in a task: what it holds goes with its session. */
static int context_gc(lua_State *L) {
    mw_lua *lua = lua_touserdata(L, 1);
    mw__lua_memory_unwatch(L, lua);
    if (mw__lua_forked(lua) || lua->looping) {
        free_spare_tasks(lua); /* what finalizers have given back goes with the state */
        return 0;
    }
    if (!lua->closed && !lua->closing) {
        bool done = false, alive = true;
        mw_lua_close(lua, LAST_PATIENCE, set_flag, &done);
        lua->looping++; /* finalizers may not wait */
        while (!done && alive && (lua->owns_host || lua->config.step))
            alive =
                lua->config.step ? lua->config.step(lua->config.step_arg, true) : mw_uv_host_step(lua->real.host, true);
    }
    lua->closed = true;
    release(lua);
    return 0;
}
