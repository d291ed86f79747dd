/* Waiting until a registry is connected. */
#include "internal.h"

#include <stdio.h>

typedef struct connect_await {
    mw_await await;
    mw_lua_registry *registry; /* counted */
    mw_listener *listener;
    mw_timer timer;
    int status;
    char place[160]; /* may be empty */
    char reason[256];
} connect_await;

static void connect_release(mw_await *await) {
    connect_await *self = (connect_await *)(void *)await;
    mw_unlisten(self->listener);
    mw_timer_stop(self->registry->process->host, &self->timer);
    mw__lua_registry_unref(self->registry);
}

static void connect_heard(void *arg, const mw_connection_event *event) {
    connect_await *self = arg;
    if (*event->reason)
        (void)snprintf(self->reason, sizeof self->reason, "%s", event->reason);
    bool connected = event->state == MW_CONNECTED || event->state == MW_RECONNECTED;
    if (self->await.done || (!connected && event->state != MW_CLOSED))
        return;
    self->status = connected ? MW_OK : event->status ? event->status : MW_ECLOSED;
    mw__lua_await_done(&self->await);
}

static void connect_late(mw_timer *timer) {
    connect_await *self = mw_container(timer, connect_await, timer);
    if (self->await.done)
        return;
    self->status = MW_ETIMEOUT;
    mw__lua_await_done(&self->await);
}

static int connect_finish(lua_State *L, mw_await *await) {
    connect_await *self = (connect_await *)(void *)await;
    mw_str none = {0};
    char late[192], text[480];
    if (self->status == MW_OK) {
        lua_pushboolean(L, 1);
        mw__lua_await_free(await);
        return 1;
    }
    (void)snprintf(late, sizeof late, "not connected in time%s%s", *self->place ? " to " : "", self->place);
    const char *what = self->status == MW_ETIMEOUT ? late : "";
    if (!self->reason[0] && !*what)
        what = "the registry was closed";
    (void)snprintf(text, sizeof text, "%s%s%s", what, *what && self->reason[0] ? ": " : "", self->reason);
    int count = mw__lua_failure(L, self->status, text, none, self->registry->backend);
    mw__lua_await_free(await);
    return count;
}

/* connected(registry, timeout, place): true, or nil, err, which names the place when nobody answers there */
static int core_connected(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "open");
    mw_time timeout = mw__lua_check_duration(L, 2, "open", "wait");
    if (!registry->registry)
        return mw__lua_closed(L, "open");
    const char *place = lua_tostring(L, 3);
    mw__lua_must_be_able_to_wait(L, "open");
    connect_await *self = mw__lua_await_new(registry->lua, sizeof *self, connect_finish, mw__lua_await_free);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->await.release = connect_release;
    self->registry = registry;
    self->timer.fire = connect_late;
    (void)snprintf(self->place, sizeof self->place, "%s", place ? place : "");
    registry->refs++;
    self->listener = mw_listen(registry->registry, connect_heard, self);
    if (!self->listener) {
        mw__lua_await_free(&self->await);
        return luaL_error(L, "not enough memory");
    }
    if (timeout != MW_FOREVER)
        (void)mw_timer_start(registry->process->host, &self->timer, timeout);
    return mw__lua_wait(L, registry->process, &self->await);
}

void mw__lua_connected_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"connected", core_connected}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
