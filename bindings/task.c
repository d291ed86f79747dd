/* The life of tasks: coroutines from a pool, structured (children end before their parent), cancelled by an error
 * raised where they wait. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task_handle.h"

/* Ended tasks that are kept with their coroutine. */
#define SPARE_MAX 1024

static void task_run(mw_runnable *run);
static void finish(mw_task *task);

/* ---- The pool */

bool mw__lua_protected(mw_lua *lua, lua_CFunction work, void *arg, const char *what) {
    lua_State *L = lua->work;
    lua_pushcfunction(L, work);
    lua_pushlightuserdata(L, arg);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return true;
    char text[512];
    mw__lua_error_text(L, -1, text, sizeof text);
    lua_pop(L, 1);
    if (lua->processes)
        mw_log(lua->processes->host, MW_LOG_ERROR, "lua", "%s: %s", what, text);
    return false;
}

static int make_coroutine(lua_State *L) {
    mw_task *task = lua_touserdata(L, 1);
    task->co = lua_newthread(L);
    task->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static mw_task *from_pool(mw_lua *lua) {
    mw_task *task = lua->spare;
    if (task) {
        lua->spare = task->next;
        lua->spare_count--;
        return task;
    }
    task = calloc(1, sizeof *task);
    if (!task)
        return NULL;
    task->co_ref = LUA_NOREF;
    if (!mw__lua_protected(lua, make_coroutine, task, "new task")) {
        free(task);
        return NULL;
    }
    mw__lua_budget_install(task->co, lua);
    return task;
}

static void to_pool(mw_lua *lua, mw_task *task) {
    if (task->outcome != MW_OUTCOME_DONE)
        (void)lua_resetthread(task->co);
    lua_settop(task->co, 0);
    if (task->overruns)
        mw__lua_budget_install(task->co, lua);
    if (lua->spare_count >= SPARE_MAX || lua->closed) {
        luaL_unref(lua->work, LUA_REGISTRYINDEX, task->co_ref);
        free(task);
        return;
    }
    lua_State *co = task->co;
    int co_ref = task->co_ref;
    memset(task, 0, sizeof *task);
    task->co = co;
    task->co_ref = co_ref;
    task->next = lua->spare;
    lua->spare = task;
    lua->spare_count++;
}

static void enlist(mw_task *task, mw_process *process, mw_task *parent) {
    mw_lua *lua = process->lua;
    task->run.run = task_run;
    task->process = process;
    task->handle_ref = LUA_NOREF;
    task->parent = parent;
    if (task->parent) {
        task->next_sibling = task->parent->children;
        if (task->next_sibling)
            task->next_sibling->prev_sibling = task;
        task->parent->children = task;
    }
    task->next = lua->tasks;
    task->prev = NULL;
    if (lua->tasks)
        lua->tasks->prev = task;
    lua->tasks = task;
    lua->task_count++;
}

mw_task *mw__lua_task_reserve(mw_lua *lua) {
    return from_pool(lua);
}

void mw__lua_task_unreserve(mw_lua *lua, mw_task *task) {
    if (task)
        to_pool(lua, task);
}

bool mw__lua_tasks_start(const mw_process *process) {
    return !process->lua->closing && !process->dropping;
}

mw_task *mw__lua_task_new(mw_process *process, mw_task *parent) {
    mw_task *task = mw__lua_tasks_start(process) ? from_pool(process->lua) : NULL;
    if (task)
        enlist(task, process, parent);
    return task;
}

/* The limits may be others than when it was set aside. */
void mw__lua_task_use(mw_task *task, mw_process *process) {
    mw__lua_budget_install(task->co, process->lua);
    enlist(task, process, NULL);
}

/* ---- The end */

static void leave_lists(mw_task *task) {
    mw_lua *lua = task->process->lua;
    if (task->next)
        task->next->prev = task->prev;
    if (task->prev)
        task->prev->next = task->next;
    else
        lua->tasks = task->next;
    lua->task_count--;
    if (!task->parent)
        return;
    if (task->next_sibling)
        task->next_sibling->prev_sibling = task->prev_sibling;
    if (task->prev_sibling)
        task->prev_sibling->next_sibling = task->next_sibling;
    else
        task->parent->children = task->next_sibling;
}

static void log_failure(mw_task *task) {
    char text[700], name[256];
    mw__lua_error_text(task->co, -1, text, sizeof text);
    if (task->describe)
        task->describe(task, name, sizeof name);
    else
        (void)snprintf(name, sizeof name, "%s", task->name[0] ? task->name : "task");
    mw_log(task->process->host, MW_LOG_ERROR, "lua", "%s failed: %s", name, text);
}

static void finish(mw_task *task) {
    mw_lua *lua = task->process->lua;
    mw_task *parent = task->parent;
    task->state = MW_TASK_ENDED;
    mw__lua_queue_remove(&task->run);
    if (task->outcome == MW_OUTCOME_FAILED && (!task->joiners || task->overruns))
        log_failure(task);
    leave_lists(task);
    mw__lua_handle_settle(task);
    if (task->ended)
        task->ended(task);
    if (parent && parent->state == MW_TASK_ENDING && !parent->children)
        mw__lua_process_ready(parent->process, &parent->run);
    to_pool(lua, task);
    mw__lua_closer_poke(lua);
}

static void cancel_children(mw_task *task) {
    for (mw_task *child = task->children, *next; child; child = next) {
        next = child->next_sibling; /* one that never began ends here and now */
        mw__lua_task_cancel(child);
    }
}

static void body_over(mw_task *task, int status, int results) {
    task->results = results;
    if (status != LUA_OK)
        task->outcome = MW_OUTCOME_FAILED;
    if (task->outcome == MW_OUTCOME_FAILED && task->cancelled && mw__lua_error_status(task->co, -1) == MW_ECANCELLED)
        task->outcome = MW_OUTCOME_CANCELLED;
    task->state = MW_TASK_ENDING;
    cancel_children(task);
    if (!task->children)
        finish(task);
}

/* ---- Running */

static int body_returned(lua_State *L, int status, lua_KContext context) {
    mw_task *task = (mw_task *)context;
    task->outcome = status == LUA_OK || status == LUA_YIELD ? MW_OUTCOME_DONE : MW_OUTCOME_FAILED;
    return lua_gettop(L) - 1;
}

/* The first function of every coroutine: the protected call is inside it, so that `<close>` variables of a body that
 * fails may wait. */
static int task_main(lua_State *L) {
    mw_task *task = lua_touserdata(L, 1);
    lua_pushcfunction(L, mw__lua_traceback);
    lua_replace(L, 1);
    int nargs = task->prepare ? task->prepare(L, task) : task->nargs;
    lua_KContext context = (lua_KContext)task;
    return body_returned(L, lua_pcallk(L, nargs, LUA_MULTRET, 1, context, body_returned), context);
}

static void enter(mw_task *task, int nargs) {
    mw_lua *lua = task->process->lua;
    int results = 0;
    lua->current = task;
    task->state = MW_TASK_RUNNING;
    mw__lua_budget_begin(lua);
    int status = lua_resume(task->co, lua->work, nargs, &results);
    lua->current = NULL;
    if (status != LUA_YIELD) {
        body_over(task, status, status == LUA_OK ? results : 1);
        return;
    }
    task->state = MW_TASK_WAITING;
    if (!task->await) { /* a bare coroutine.yield: let the others run */
        lua_pop(task->co, results);
        mw__lua_process_ready(task->process, &task->run);
    }
}

void mw__lua_task_push_main(mw_task *task) {
    lua_pushcfunction(task->co, task_main);
    lua_pushlightuserdata(task->co, task);
}

void mw__lua_task_start(mw_task *task) {
    if (lua_gettop(task->co) == 0)
        mw__lua_task_push_main(task);
    enter(task, lua_gettop(task->co) - 1);
}

static void task_run(mw_runnable *run) {
    mw_task *task = mw_container(run, mw_task, run);
    task->await = NULL;
    if (task->state == MW_TASK_NEW)
        mw__lua_task_start(task);
    else if (task->state == MW_TASK_ENDING)
        finish(task);
    else
        enter(task, 0);
}

static void drop_await(mw_task *task) {
    mw_await *await = task->await;
    task->await = NULL;
    if (!await)
        return;
    await->task = NULL;
    await->drop(await);
}

void mw__lua_task_cancel(mw_task *task) {
    if (task->cancelled || task->state == MW_TASK_ENDED)
        return;
    task->cancelled = true;
    switch (task->state) {
    case MW_TASK_NEW:
        task->outcome = MW_OUTCOME_CANCELLED;
        lua_settop(task->co, 0);
        finish(task);
        return;
    case MW_TASK_ENDING:
        cancel_children(task);
        return;
    case MW_TASK_WAITING:
        task->raise = true;
        drop_await(task);
        mw__lua_process_ready(task->process, &task->run);
        return;
    default:
        task->raise = true; /* it runs: told when it next waits */
        return;
    }
}

void mw__lua_task_drop(mw_task *task) {
    mw_lua *lua = task->process->lua;
    while (task->children)
        mw__lua_task_drop(task->children);
    drop_await(task);
    lua->current = task; /* so that what its `<close>` variables call knows that it may not wait */
    mw__lua_budget_begin(lua);
    (void)lua_resetthread(task->co);
    lua->current = NULL;
    lua_settop(task->co, 0);
    task->outcome = MW_OUTCOME_CANCELLED;
    task->cancelled = true;
    finish(task);
}
