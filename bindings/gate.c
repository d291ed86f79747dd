/* Gates: closed until somebody opens them, for any number of tasks to wait at. For the Lua files of the library. */
#include "internal.h"

#include <stdlib.h>

typedef struct gate {
    bool opened;
    size_t refs; /* its userdata, and who waits */
    mw_await *waiters;
} gate;

typedef struct gate_await {
    mw_await await;
    gate *gate; /* counted */
} gate_await;

static void unref(gate *self) {
    if (--self->refs == 0)
        free(self);
}

/* core.gate() */
static int core_gate(lua_State *L) {
    gate **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, MW_CLASS_GATE);
    *box = calloc(1, sizeof **box);
    if (!*box)
        return luaL_error(L, "not enough memory");
    (*box)->refs = 1;
    return 1;
}

/* gate:open(): for good, and harmless when it is open. */
static int gate_open(lua_State *L) {
    gate *self = mw__lua_check_box(L, MW_CLASS_GATE, "open");
    self->opened = true;
    for (mw_await *waiter; (waiter = self->waiters);) {
        self->waiters = waiter->link;
        mw__lua_await_done(waiter);
    }
    return 0;
}

static void gate_release(mw_await *await) {
    unref(((gate_await *)(void *)await)->gate);
}

static void gate_drop(mw_await *await) {
    mw_await **at = &((gate_await *)(void *)await)->gate->waiters;
    while (*at && *at != await)
        at = &(*at)->link;
    if (*at)
        *at = await->link;
    mw__lua_await_free(await);
}

static int gate_finish(lua_State *L, mw_await *await) {
    mw__lua_await_free(await);
    return 0;
}

/* gate:wait(): until it is open; those who wait go on in the order in which they came. */
static int gate_wait(lua_State *L) {
    gate *self = mw__lua_check_box(L, MW_CLASS_GATE, "wait");
    mw__lua_must_be_able_to_wait(L, "wait");
    if (self->opened)
        return 0;
    mw_process *process = mw__lua_process_here(L);
    gate_await *waiter = mw__lua_await_new(process->lua, sizeof *waiter, gate_finish, gate_drop);
    if (!waiter)
        return luaL_error(L, "not enough memory");
    waiter->gate = self;
    waiter->await.release = gate_release;
    self->refs++;
    mw_await **at = &self->waiters;
    while (*at)
        at = &(*at)->link;
    *at = &waiter->await;
    return mw__lua_wait(L, process, &waiter->await);
}

static int gate_gc(lua_State *L) {
    gate **box = lua_touserdata(L, 1);
    if (*box)
        unref(*box);
    *box = NULL;
    return 0;
}

void mw__lua_gate_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"open", gate_open}, {"wait", gate_wait}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", gate_gc}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_GATE, methods, meta, NULL);
    lua_pushcfunction(L, core_gate);
    lua_setfield(L, -2, "gate");
}
