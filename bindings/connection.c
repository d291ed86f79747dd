/* Connection listeners: each state once and in order, before any task goes on. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define CLASS "moonwatch.Listener"

/* States that the core has told and no reaction has begun for: a turn of the loop brings one or two. */
#define STATES_MAX 8u

/* How long to wait for memory for a reaction. */
#define RETRY_DELAY (10 * MW_MS)

typedef struct state_note {
    mw_state state;
    mw_session_id session;
    int status;
    char reason[sizeof((mw_error *)NULL)->message];
} state_note;

/* Whatever a state needs to reach its reaction is there beforehand: room for it, and a task. */
typedef struct listener {
    mw_member member;
    mw_listener *core;
    mw_lua *lua;
    mw_process *process;
    mw_runnable run;
    mw_timer again;                /* armed: there was no memory for a reaction */
    state_note states[STATES_MAX]; /* a ring */
    unsigned first, count;
    state_note telling; /* for the reaction that begins */
    mw_task *reserve;   /* for the next reaction; NULL while memory is short */
    int reaction_ref, self_ref;
    char backend[32];
    bool closed;
    size_t refs; /* its userdata, and each reaction that runs */
} listener;

static void unref(listener *self) {
    if (--self->refs)
        return;
    mw__lua_task_unreserve(self->lua, self->reserve);
    luaL_unref(self->lua->work, LUA_REGISTRYINDEX, self->reaction_ref);
    free(self);
}

/* ---- A reaction */

static int prepare(lua_State *L, mw_task *task) {
    const listener *self = task->arg;
    const state_note *note = &self->telling;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->reaction_ref);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, mw_state_text(note->state));
    lua_setfield(L, -2, "state");
    if (note->session) {
        lua_pushinteger(L, (lua_Integer)note->session);
        lua_setfield(L, -2, "session");
    }
    if (note->reason[0]) {
        lua_pushstring(L, note->reason);
        lua_setfield(L, -2, "reason");
    }
    if (note->status != MW_OK) {
        mw__lua_push_error(L, note->status, note->reason, (mw_str){0}, self->backend);
        lua_setfield(L, -2, "error");
    }
    return 1;
}

static void ended(mw_task *task) {
    unref(task->arg);
}

static void start_reaction(listener *self, mw_task *task) {
    self->telling = self->states[self->first];
    self->first = (self->first + 1) % STATES_MAX;
    self->count--;
    self->refs++;
    mw__lua_task_use(task, self->process);
    (void)snprintf(task->name, sizeof task->name, "reaction to %s", mw_state_text(self->telling.state));
    task->arg = self;
    task->prepare = prepare;
    task->ended = ended;
    mw__lua_task_start(task);
}

/* ---- States that wait for their reactions */

static mw_task *take_reserve(listener *self) {
    mw_task *task = self->reserve ? self->reserve : mw__lua_task_reserve(self->lua);
    self->reserve = NULL;
    return task;
}

static void run_states(mw_runnable *run) {
    listener *self = mw_container(run, listener, run);
    self->refs++; /* a reaction may close it */
    if (!mw__lua_tasks_start(self->process))
        self->count = 0;
    while (self->count) {
        mw_task *task = take_reserve(self);
        if (!task) {
            (void)mw_timer_start(self->process->host, &self->again, RETRY_DELAY);
            break;
        }
        start_reaction(self, task);
        self->reserve = mw__lua_task_reserve(self->lua); /* that of the reaction, when it has ended already */
    }
    unref(self);
}

static void run_states_again(mw_timer *timer) {
    run_states(&mw_container(timer, listener, again)->run);
}

static void keep(listener *self, const mw_connection_event *event) {
    state_note *note = &self->states[(self->first + self->count++) % STATES_MAX];
    note->state = event->state;
    note->session = event->session;
    note->status = event->status;
    (void)snprintf(note->reason, sizeof note->reason, "%s", event->reason);
    mw__lua_process_urgent(self->process, &self->run);
}

/* More than a turn of the loop brings: reactions to the earlier ones begin here and now, where no Lua code is running.
 */
static void on_changed(void *arg, const mw_connection_event *event) {
    listener *self = arg;
    self->refs++; /* a reaction may close it */
    if (self->count == STATES_MAX && !self->lua->current)
        run_states(&self->run);
    if (!self->closed && self->count < STATES_MAX)
        keep(self, event);
    else if (!self->closed)
        mw_log(self->process->host, MW_LOG_ERROR, "lua", "out of memory: no reaction to %s",
               mw_state_text(event->state));
    unref(self);
}

/* What was heard before is still told when the registry closes, but not when the listener does. */
static void close_listener(listener *self, bool forget) {
    if (self->closed)
        return;
    self->closed = true;
    mw_unlisten(self->core);
    mw__lua_member_remove(&self->member);
    if (forget) {
        mw__lua_queue_remove(&self->run);
        self->count = 0;
    } else {
        run_states(&self->run);
        mw__lua_queue_remove(&self->run);
    }
    mw_timer_stop(self->process->host, &self->again);
    luaL_unref(self->lua->work, LUA_REGISTRYINDEX, self->self_ref);
    self->self_ref = LUA_NOREF;
}

static void close_member(mw_member *member) {
    close_listener(mw_container(member, listener, member), false);
}

static int registry_on_connection(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "on_connection");
    mw__lua_check_function(L, 2, "on_connection", "reaction");
    if (!registry->registry)
        return mw__lua_closed(L, "on_connection");
    lua_settop(L, 2);
    listener **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = NULL;
    luaL_setmetatable(L, CLASS);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1);
    listener *self = calloc(1, sizeof *self);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->lua = registry->lua;
    self->process = registry->process;
    (void)snprintf(self->backend, sizeof self->backend, "%s", registry->backend);
    self->run.run = run_states;
    self->again.fire = run_states_again;
    self->closed = true;
    self->refs = 1;
    self->reaction_ref = self->self_ref = LUA_NOREF;
    *box = self;
    self->reserve = mw__lua_task_reserve(self->lua);
    if (!self->reserve)
        return luaL_error(L, "not enough memory");
    lua_pushvalue(L, 2);
    self->reaction_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 3);
    self->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    self->core = mw_listen(registry->registry, on_changed, self);
    if (!self->core) {
        luaL_unref(L, LUA_REGISTRYINDEX, self->self_ref);
        return luaL_error(L, "not enough memory");
    }
    self->closed = false;
    mw__lua_member_add(registry, &self->member, close_member);
    self->member.late = true;
    return 1;
}

static int listener_close(lua_State *L) {
    listener **box = mw__lua_check_self(L, CLASS, "close");
    if (*box)
        close_listener(*box, true);
    return 0;
}

static int listener_gc(lua_State *L) {
    listener **box = lua_touserdata(L, 1);
    listener *self = *box;
    if (!self || mw__lua_forked(self->lua))
        return 0;
    close_listener(self, true);
    unref(self);
    *box = NULL;
    return 0;
}

void mw__lua_connection_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"close", listener_close}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", listener_gc}, {"__close", listener_close}, {NULL, NULL}};
    static const luaL_Reg on_registry[] = {{"on_connection", registry_on_connection}, {NULL, NULL}};
    mw__lua_class(L, CLASS, methods, meta, NULL);
    mw__lua_registry_methods(L, on_registry);
}
