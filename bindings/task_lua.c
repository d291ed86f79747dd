/* Tasks as scripts see them: spawn, sleep, join, cancel. */
#include "task_handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Handles */

static int settle(lua_State *L) {
    mw_task *task = lua_touserdata(L, 1);
    int count = task->results;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, task->handle_ref);
    lua_createtable(L, count, 0);
    luaL_checkstack(L, 2, NULL);
    for (int i = count; i >= 1; i--) {
        lua_xmove(task->co, L, 1);
        lua_rawseti(L, -2, i);
    }
    (void)lua_setiuservalue(L, -2, 1);
    return 0;
}

void mw__lua_handle_settle(mw_task *task) {
    mw_task_handle *handle = task->handle;
    if (handle) {
        handle->task = NULL;
        handle->outcome = task->outcome;
        handle->results = task->results;
        if (task->results && !mw__lua_protected(task->process->lua, settle, task, "results of a task")) {
            handle->outcome = MW_OUTCOME_FAILED;
            handle->results = 0;
        }
        luaL_unref(task->process->lua->work, LUA_REGISTRYINDEX, task->handle_ref);
    }
    for (mw_await *joiner; (joiner = task->joiners);) {
        task->joiners = joiner->link;
        mw__lua_await_done(joiner);
    }
}

static mw_task_handle *check_handle(lua_State *L, const char *function) {
    return mw__lua_check_self(L, MW_CLASS_TASK, function);
}

static const char *status_of(const mw_task_handle *handle) {
    static const char *const outcomes[] = {"done", "failed", "cancelled"};
    if (!handle->task)
        return outcomes[handle->outcome];
    return handle->task->state == MW_TASK_RUNNING ? "running" : "waiting";
}

static int task_index(lua_State *L) {
    const mw_task_handle *handle = check_handle(L, "index");
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "status") == 0) {
        lua_pushstring(L, status_of(handle));
    } else {
        lua_pushvalue(L, 2);
        (void)lua_rawget(L, lua_upvalueindex(1));
    }
    return 1;
}

/* "moonwatch.Task: failed, started at a.lua:3: a.lua:4: no such thing" */
static int task_tostring(lua_State *L) {
    const mw_task_handle *handle = check_handle(L, "tostring");
    char text[512] = "";
    if (!handle->task && handle->outcome == MW_OUTCOME_FAILED) {
        (void)lua_getiuservalue(L, 1, 1);
        (void)lua_rawgeti(L, -1, 1);
        mw__lua_error_text(L, -1, text, sizeof text);
    }
    (void)lua_pushfstring(L, "%s: %s%s%s%s%s", MW_CLASS_TASK, status_of(handle), *handle->from ? ", started at " : "",
                          handle->from, *text ? ": " : "", text);
    return 1;
}

/* ---- Spawning */

/* The line that called us, or that called `every` and the like (tasks.lua). */
static void note_caller(lua_State *L, mw_task_handle *handle) {
    lua_Debug ar;
    for (int level = 1; level <= 2 && lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar); level++) {
        if (ar.currentline <= 0 || strstr(ar.source, "/moonwatch/tasks.lua"))
            continue;
        (void)snprintf(handle->from, sizeof handle->from, "%s:%d", ar.short_src, ar.currentline);
        return;
    }
}

/* Function and arguments are on top of L: into a new task. Pushes the handle. */
static mw_task *spawn(lua_State *L, mw_process *process, mw_task *parent, int nargs) {
    mw_task_handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);
    memset(handle, 0, sizeof *handle);
    note_caller(L, handle);
    luaL_setmetatable(L, MW_CLASS_TASK);
    lua_insert(L, -nargs - 2);
    mw_task *task = mw__lua_task_new(process, parent);
    if (!task)
        mw__lua_raise(L, process->lua->closing || process->dropping ? "no task can start: the engine is closing"
                                                                    : "not enough memory");
    if (!lua_checkstack(task->co, nargs + 8)) {
        mw__lua_task_cancel(task);
        mw__lua_raise(L, "too many arguments for a task");
    }
    mw__lua_task_push_main(task);
    lua_xmove(L, task->co, nargs + 1);
    task->nargs = nargs;
    task->handle = handle;
    handle->task = task;
    lua_pushvalue(L, -1);
    task->handle_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    mw__lua_process_ready(process, &task->run);
    return task;
}

/* spawn(body, ...) */
static int core_spawn(lua_State *L) {
    mw__lua_check_function(L, 1, "spawn", "body");
    mw_process *process = mw__lua_process_here(L);
    (void)spawn(L, process, process->lua->current, lua_gettop(L) - 1);
    return 1;
}

/* spawn_apart(body, ...): not a child of the running task; for what lives until its handle is closed. */
static int core_spawn_apart(lua_State *L) {
    mw__lua_check_function(L, 1, "spawn_apart", "body");
    (void)spawn(L, mw__lua_process_here(L), NULL, lua_gettop(L) - 1);
    return 1;
}

static const mw_task *eldest(const mw_task *task) {
    while (task && task->parent)
        task = task->parent;
    return task;
}

/* cancel_others() -> how many have not ended: all tasks here but the relatives of the running one are told to end. */
static int core_cancel_others(lua_State *L) {
    mw_process *process = mw__lua_process_here(L);
    mw_lua *lua = process->lua;
    const mw_task *mine = eldest(lua->current);
    lua_Integer left = 0;
    for (mw_task *task = lua->tasks; task;) {
        bool other = task->process == process && eldest(task) != mine;
        if (other && !task->parent && !task->cancelled) {
            mw__lua_task_cancel(task);
            task = lua->tasks; /* more than one may have ended */
            left = 0;
            continue;
        }
        left += other;
        task = task->next;
    }
    lua_pushinteger(L, left);
    return 1;
}

/* host:spawn(body, ...): a task of a simulated process. */

int mw__lua_host_spawn(lua_State *L) {
    mw_process *process = mw__lua_to_process(L, 1);
    if (!process)
        return mw__lua_wrong_type(L, "spawn", "self", "a host", 1);
    mw__lua_check_function(L, 2, "spawn", "body");
    if (process->killed)
        return luaL_error(L, "bad argument 'self' to 'spawn': the host was killed");
    (void)spawn(L, process, NULL, lua_gettop(L) - 2);
    return 1;
}

static int task_cancel(lua_State *L) {
    mw_task_handle *handle = check_handle(L, "cancel");
    if (handle->task)
        mw__lua_task_cancel(handle->task);
    return 0;
}

/* ---- Joining */

typedef struct join_await {
    mw_await await;
    mw_process *process;
    mw_timer timer;
    mw_task_handle *handle;
} join_await;

static void leave_joiners(join_await *self) {
    if (!self->handle->task)
        return;
    mw_await **at = &self->handle->task->joiners;
    while (*at && *at != &self->await)
        at = &(*at)->link;
    if (*at)
        *at = self->await.link;
}

static void join_release(mw_await *await) {
    join_await *self = (join_await *)(void *)await;
    mw_timer_stop(self->process->host, &self->timer);
}

static void join_drop(mw_await *await) {
    leave_joiners((join_await *)(void *)await);
    mw__lua_await_free(await);
}

static void join_late(mw_timer *timer) {
    join_await *self = mw_container(timer, join_await, timer);
    leave_joiners(self);
    mw__lua_await_done(&self->await);
}

/* The handle is at 1. */
static int push_results(lua_State *L, const mw_task_handle *handle) {
    lua_settop(L, 1);
    if (handle->outcome == MW_OUTCOME_DONE)
        lua_pushboolean(L, 1);
    else
        lua_pushnil(L);
    if (handle->results == 0 && handle->outcome == MW_OUTCOME_CANCELLED) {
        mw_str none = {0};
        mw__lua_push_error(L, MW_ECANCELLED, "the task was cancelled", none, NULL);
        return 2;
    }
    luaL_checkstack(L, handle->results + 1, "too many results");
    (void)lua_getiuservalue(L, 1, 1);
    for (int i = 1; i <= handle->results; i++)
        (void)lua_rawgeti(L, 3, i);
    lua_remove(L, 3);
    return handle->results + 1;
}

static int join_finish(lua_State *L, mw_await *await) {
    join_await *self = (join_await *)(void *)await;
    bool ended = !self->handle->task; /* maybe since the time was up */
    mw__lua_await_free(await);
    if (ended)
        return push_results(L, check_handle(L, "join"));
    mw_str none = {0};
    return mw__lua_failure(L, MW_ETIMEOUT, "the task has not ended in time", none, NULL);
}

/* task:join{timeout=} */
static int task_join(lua_State *L) {
    static const mw_option_spec specs[] = {{"timeout", MW_OPTION_DURATION, 0, NULL}, {NULL, 0, 0, NULL}};
    mw_task_handle *handle = check_handle(L, "join");
    mw_time timeout = MW_FOREVER;
    mw__lua_check_options(L, 2, "join", specs, &timeout);
    mw__lua_must_be_able_to_wait(L, "join");
    mw_lua *lua = mw__lua_context(L);
    lua_settop(L, 1);
    if (handle->task && handle->task == lua->current)
        return luaL_error(L, "bad argument 'self' to 'join': a task cannot join itself");
    mw_process *process = handle->task ? handle->task->process : mw__lua_process_here(L);
    join_await *self = mw__lua_await_new(lua, sizeof *self, join_finish, join_drop);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->await.release = join_release;
    self->process = lua->current ? lua->current->process : process;
    self->timer.fire = join_late;
    self->handle = handle;
    if (!handle->task) {
        self->await.done = true;
        return join_finish(L, &self->await);
    }
    self->await.link = handle->task->joiners;
    handle->task->joiners = &self->await;
    if (timeout != MW_FOREVER)
        (void)mw_timer_start(self->process->host, &self->timer, timeout);
    return mw__lua_wait(L, process, &self->await);
}

static int closed_k(lua_State *L, int status, lua_KContext context) {
    return 0;
}

/* A to-be-closed task: cancelled, and awaited where that is possible. */
static int task_close(lua_State *L) {
    mw_task_handle *handle = check_handle(L, "close");
    if (!handle->task)
        return 0;
    mw__lua_task_cancel(handle->task);
    mw_lua *lua = mw__lua_context(L);
    bool can_wait = lua->current ? lua->current->co == L && lua_isyieldable(L) : !lua->looping;
    if (!handle->task || !can_wait || handle->task == lua->current)
        return 0;
    lua_pushcfunction(L, task_join);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 0, 0, closed_k);
    return 0;
}

/* ---- Sleeping */

typedef struct sleep_await {
    mw_await await;
    mw_process *process;
    mw_timer timer;
} sleep_await;

static void sleep_release(mw_await *await) {
    sleep_await *self = (sleep_await *)(void *)await;
    mw_timer_stop(self->process->host, &self->timer);
}

static void awake(mw_timer *timer) {
    mw__lua_await_done(&mw_container(timer, sleep_await, timer)->await);
}

static int sleep_finish(lua_State *L, mw_await *await) {
    mw__lua_await_free(await);
    return 0;
}

static int core_sleep(lua_State *L) {
    mw_time span = mw__lua_check_duration(L, 1, "sleep", "duration");
    mw__lua_must_be_able_to_wait(L, "sleep");
    mw_process *process = mw__lua_process_here(L);
    sleep_await *self = mw__lua_await_new(process->lua, sizeof *self, sleep_finish, mw__lua_await_free);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->process = process;
    self->await.release = sleep_release;
    self->timer.fire = awake;
    if (span != MW_FOREVER && mw_timer_start(process->host, &self->timer, span) != MW_OK) {
        mw__lua_await_free(&self->await);
        return luaL_error(L, "not enough memory");
    }
    return mw__lua_wait(L, process, &self->await);
}

static int core_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)mw_host_now(mw__lua_process_here(L)->host) / 1e9);
    return 1;
}

/* Whether a task runs this. */
static int core_in_task(lua_State *L) {
    lua_pushboolean(L, mw__lua_context(L)->current != NULL);
    return 1;
}

static int core_tasks(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)mw__lua_context(L)->task_count);
    return 1;
}

void mw__lua_task_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"join", task_join}, {"cancel", task_cancel}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__close", task_close}, {"__tostring", task_tostring}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"spawn", core_spawn},
                                         {"spawn_apart", core_spawn_apart},
                                         {"cancel_others", core_cancel_others},
                                         {"sleep", core_sleep},
                                         {"now", core_now},
                                         {"in_task", core_in_task},
                                         {"tasks", core_tasks},
                                         {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_TASK, methods, meta, task_index);
    luaL_setfuncs(L, functions, 0);
}

/* ---- For embedding programs */

typedef struct embedded {
    mw_lua_ended_fn *ended;
    void *arg;
} embedded;

static void embedded_ended(mw_task *task) {
    embedded *self = task->arg;
    mw_error err = {0};
    if (task->outcome != MW_OUTCOME_DONE) {
        err.code = task->outcome == MW_OUTCOME_CANCELLED ? MW_ECANCELLED : mw__lua_error_status(task->co, -1);
        if (task->results)
            mw__lua_error_text(task->co, -1, err.message, sizeof err.message);
        else
            (void)snprintf(err.message, sizeof err.message, "the task was cancelled");
    }
    if (self->ended)
        self->ended(self->arg, err.code, &err, task->co, err.code ? 0 : task->results);
    free(self);
}

int mw_lua_spawn(lua_State *L, int nargs, const char *name, mw_lua_ended_fn *ended, void *arg, mw_task **ret_task,
                 mw_error *err) {
    mw_lua *lua = mw_lua_of(L);
    if (!lua || !lua_isfunction(L, -nargs - 1))
        return mw_fail(err, MW_EINVALID, lua ? "only a function can run as a task" : "the state has no context");
    if (lua->closing)
        return mw_fail(err, MW_ECLOSED, "the Lua state is closing");
    embedded *self = calloc(1, sizeof *self);
    mw_task *task = self ? mw__lua_task_new(&lua->real, NULL) : NULL;
    if (!task || !lua_checkstack(task->co, nargs + 8)) {
        free(self);
        if (task)
            mw__lua_task_cancel(task);
        return mw_fail(err, MW_ENO_MEMORY, "not enough memory for a task");
    }
    self->ended = ended;
    self->arg = arg;
    mw__lua_task_push_main(task);
    lua_xmove(L, task->co, nargs + 1);
    task->nargs = nargs;
    task->ended = embedded_ended;
    task->arg = self;
    (void)snprintf(task->name, sizeof task->name, "%s", name ? name : "");
    mw__lua_process_ready(task->process, &task->run);
    if (ret_task)
        *ret_task = task;
    return MW_OK;
}

void mw_lua_cancel(mw_task *task) {
    mw__lua_task_cancel(task);
}

size_t mw_lua_tasks(const mw_lua *lua) {
    return lua->task_count;
}
