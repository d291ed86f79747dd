/* Queues of what is ready to run, turns of the loop, and waiting: in a task by yielding, outside by running the loop.
 */
#include "interrupt.h"

#include <stdlib.h>

/* Things run in one turn; I/O gets its own between turns. */
#define BATCH 128

/* ---- Queues */

void mw__lua_queue_push(mw_run_queue *queue, mw_runnable *item) {
    if (item->queue)
        return;
    item->queue = queue;
    item->next = NULL;
    item->prev = queue->last;
    if (queue->last)
        queue->last->next = item;
    else
        queue->first = item;
    queue->last = item;
}

void mw__lua_queue_remove(mw_runnable *item) {
    mw_run_queue *queue = item->queue;
    if (!queue)
        return;
    item->queue = NULL;
    if (item->prev)
        item->prev->next = item->next;
    else
        queue->first = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else
        queue->last = item->prev;
}

/* ---- Processes */

static void run_urgent(mw_process *process) {
    for (mw_runnable *item; (item = process->urgent.first);) {
        mw__lua_queue_remove(item);
        item->run(item);
    }
}

void mw__lua_process_check(mw_process *process) {
    for (mw_lua_registry *one = process->registries; one; one = one->next) {
        if (one->registry && !one->closing)
            mw_registry_check_session(one->registry);
    }
    run_urgent(process);
}

static void turn(mw_defer *defer) {
    mw_process *process = mw_container(defer, mw_process, turn);
    run_urgent(process);
    for (int i = 0; i < BATCH && process->ready.first; i++) {
        mw_runnable *item = process->ready.first;
        mw__lua_process_check(process);
        if (process->ready.first != item) /* `lost` has ended it */
            continue;
        mw__lua_queue_remove(item);
        item->run(item);
    }
    if (process->ready.first || process->urgent.first)
        mw_defer_run(process->host, &process->turn);
}

void mw__lua_process_ready(mw_process *process, mw_runnable *item) {
    mw__lua_queue_push(&process->ready, item);
    mw_defer_run(process->host, &process->turn);
}

void mw__lua_process_urgent(mw_process *process, mw_runnable *item) {
    mw__lua_queue_push(&process->urgent, item);
    mw_defer_run(process->host, &process->turn);
}

void mw__lua_process_init(mw_process *process, mw_lua *lua, mw_host *host, mw_lua_world *world) {
    process->lua = lua;
    process->host = host;
    process->world = world;
    process->turn.run = turn;
    process->next = lua->processes;
    lua->processes = process;
}

void mw__lua_process_release(mw_process *process) {
    mw_process **at = &process->lua->processes;
    while (*at && *at != process)
        at = &(*at)->next;
    if (*at)
        *at = process->next;
    mw_defer_cancel(process->host, &process->turn);
}

/* ---- Waiting */

void *mw__lua_await_new(mw_lua *lua, size_t size, int (*finish)(lua_State *, mw_await *), void (*drop)(mw_await *)) {
    mw_await *await = calloc(1, size);
    if (!await)
        return NULL;
    await->lua = lua;
    await->finish = finish;
    await->drop = drop;
    await->next = lua->awaits;
    if (lua->awaits)
        lua->awaits->prev = await;
    lua->awaits = await;
    return await;
}

void mw__lua_await_free(mw_await *await) {
    if (await->next)
        await->next->prev = await->prev;
    if (await->prev)
        await->prev->next = await->next;
    else
        await->lua->awaits = await->next;
    if (await->release)
        await->release(await);
    free(await);
}

void mw__lua_await_done(mw_await *await) {
    await->done = true;
    if (await->task)
        mw__lua_process_ready(await->task->process, &await->task->run);
}

static void raise_if_cancelled(lua_State *L, mw_task *task) {
    if (!task->raise)
        return;
    task->raise = false;
    mw_str none = {0};
    mw__lua_push_error(L, MW_ECANCELLED, "the task was cancelled", none, NULL);
    (void)lua_error(L);
}

void mw__lua_must_be_able_to_wait(lua_State *L, const char *what) {
    mw_lua *lua = mw__lua_context(L);
    if (!lua->current) {
        if (mw__lua_forked(lua))
            mw__lua_raise(L, "'%s' cannot be used in a forked child: its connections belong to the parent", what);
        if (lua->looping)
            mw__lua_raise(L, "'%s' cannot wait here (in a finalizer, or in a callback of the loop)", what);
        return;
    }
    if (lua->current->co != L)
        mw__lua_raise(L, "'%s' cannot wait inside a coroutine of your own; use mw.spawn", what);
    if (!lua_isyieldable(L))
        mw__lua_raise(L, "'%s' cannot wait here (called through C, from sort, gsub, a finalizer or the like)", what);
    raise_if_cancelled(L, lua->current);
}

static int resumed(lua_State *L, int status, lua_KContext context) {
    raise_if_cancelled(L, mw__lua_context(L)->current);
    mw_await *await = (mw_await *)context;
    return await->finish(L, await);
}

typedef enum outcome {
    OVER,
    NOTHING_LEFT,
    INTERRUPTED,
} outcome;

/* Run the loop that `process` lives on until `await` is done. */
static outcome run_until_done(mw_lua *lua, mw_process *process, mw_await *await) {
    lua_Hook hook = lua_gethook(lua->main);
    bool sleeps = !process->world && !lua->config.step;
    while (!await->done) {
        bool alive = process->world     ? mw__lua_world_step(process->world)
                     : lua->config.step ? lua->config.step(lua->config.step_arg, true)
                                        : mw_uv_host_step(process->host, false);
        if (await->done)
            break;
        if (!alive)
            return NOTHING_LEFT;
        if (sleeps && !mw__lua_sleep(process->host, lua->main, hook))
            return INTERRUPTED;
    }
    return OVER;
}

static int wait_outside(lua_State *L, mw_process *process, mw_await *await) {
    mw_lua *lua = await->lua;
    if (!process->world && !lua->owns_host && !lua->config.step) {
        await->drop(await);
        return luaL_error(L, "a call that waits can only be used in a task: the application runs the loop");
    }
    if (process->paused || process->killed) {
        await->drop(await);
        return luaL_error(L, "this wait cannot end: its host is %s", process->killed ? "killed" : "paused");
    }
    lua->looping++;
    outcome end = run_until_done(lua, process, await);
    if (await->done)
        mw__lua_process_check(process);
    if (!process->ready.first && !process->urgent.first)
        mw_defer_cancel(process->host, &process->turn); /* the check has done its work */
    lua->looping--;
    if (end == OVER)
        return await->finish(L, await);
    await->drop(await);
    return end == INTERRUPTED ? mw__lua_interrupt(L, lua->main)
                              : luaL_error(L, "nothing is left that could end this wait");
}

int mw__lua_wait(lua_State *L, mw_process *process, mw_await *await) {
    mw_task *task = await->lua->current;
    if (!task)
        return wait_outside(L, process, await);
    if (await->done)
        return await->finish(L, await);
    await->task = task;
    task->await = await;
    return lua_yieldk(L, 0, (lua_KContext)await, resumed);
}
