/* Connection listeners: each state once and in order, before any task goes on. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASS "moonwatch.Listener"

typedef struct state_note {
    struct state_note *next;
    struct listener *owner;
    mw_state state;
    mw_session_id session;
    int status;
    char reason[];
} state_note;

typedef struct listener {
    mw_member member;
    mw_listener *core;
    mw_lua *lua;
    mw_process *process;
    mw_runnable run;
    state_note *first, *last;
    int reaction_ref, self_ref;
    char backend[32];
    bool closed;
    size_t refs; /* its userdata, and each reaction that runs */
} listener;

static void unref(listener *self) {
    if (--self->refs)
        return;
    luaL_unref(self->lua->work, LUA_REGISTRYINDEX, self->reaction_ref);
    free(self);
}

static int prepare(lua_State *L, mw_task *task) {
    const state_note *note = task->arg;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, note->owner->reaction_ref);
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
        mw__lua_push_error(L, note->status, note->reason, (mw_str){0}, note->owner->backend);
        lua_setfield(L, -2, "error");
    }
    return 1;
}

static void describe(const mw_task *task, char *text, size_t size) {
    const state_note *note = task->arg;
    (void)snprintf(text, size, "reaction to %s", mw_state_text(note->state));
}

static void ended(mw_task *task) {
    state_note *note = task->arg;
    unref(note->owner);
    free(note);
}

static void run_states(mw_runnable *run) {
    listener *self = mw_container(run, listener, run);
    self->refs++; /* a reaction may close it */
    for (state_note *note; (note = self->first);) {
        self->first = note->next;
        if (!self->first)
            self->last = NULL;
        mw_task *task = mw__lua_task_new(self->process, NULL);
        if (!task) {
            free(note);
            continue;
        }
        task->arg = note;
        task->prepare = prepare;
        task->describe = describe;
        task->ended = ended;
        self->refs++;
        mw__lua_task_start(task);
    }
    unref(self);
}

static void on_changed(void *arg, const mw_connection_event *event) {
    listener *self = arg;
    size_t length = strlen(event->reason);
    state_note *note = calloc(1, sizeof *note + length + 1);
    if (!note)
        return;
    note->owner = self;
    note->state = event->state;
    note->session = event->session;
    note->status = event->status;
    memcpy(note->reason, event->reason, length);
    if (self->last)
        self->last->next = note;
    else
        self->first = note;
    self->last = note;
    mw__lua_process_urgent(self->process, &self->run);
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
        for (state_note *note; (note = self->first);) {
            self->first = note->next;
            free(note);
        }
        self->last = NULL;
    } else {
        run_states(&self->run);
        mw__lua_queue_remove(&self->run);
    }
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
    self->closed = true;
    self->refs = 1;
    self->reaction_ref = self->self_ref = LUA_NOREF;
    *box = self;
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
