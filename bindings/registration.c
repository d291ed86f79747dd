/* Registrations: an ephemeral that is written again in each new session. They live until they are closed, whether
 * somebody holds their handle or not. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT (30 * MW_SECOND)

typedef struct lua_registration {
    mw_member member;
    mw_registration *registration; /* NULL once closed */
    mw_lua *lua;
    mw_process *process;
    mw_await *waiter;
    int self_ref;
    size_t refs;   /* its userdata, and who waits for it to be visible */
    bool answered; /* the first time */
    int status;
    mw_error error;
    mw_place place;
} lua_registration;

typedef struct visible_await {
    mw_await await;
    lua_registration *owner; /* counted */
} visible_await;

static void unref(lua_registration *self) {
    if (--self->refs == 0)
        free(self);
}

static void answer(lua_registration *self) {
    self->answered = true;
    mw_await *waiter = self->waiter;
    self->waiter = NULL;
    if (waiter)
        mw__lua_await_done(waiter);
}

static void on_registered(void *arg, int status, const mw_error *error) {
    lua_registration *self = arg;
    self->status = status;
    if (status != MW_OK && error)
        self->error = *error;
    if (status != MW_OK && self->answered)
        mw_log(self->process->host, MW_LOG_ERROR, "lua", "%.*s is not registered any more: %s",
               MW_STR_FMT(self->place.path), self->error.message);
    else if (status == MW_OK && self->answered) /* whoever read that the session was lost looks for this */
        mw_log(self->process->host, MW_LOG_INFO, "lua", "%.*s is registered again", MW_STR_FMT(self->place.path));
    answer(self);
}

static const mw_registration_events registration_events = {.registered = on_registered};

static void close_registration(lua_registration *self) {
    if (!self->registration)
        return;
    mw_registration_free(self->registration);
    self->registration = NULL;
    mw__lua_member_remove(&self->member);
    if (!self->answered) {
        self->status = MW_ECLOSED;
        (void)mw_fail(&self->error, MW_ECLOSED, "the registration was closed");
    }
    answer(self);
    luaL_unref(self->lua->work, LUA_REGISTRYINDEX, self->self_ref);
    self->self_ref = LUA_NOREF;
}

static void close_member(mw_member *member) {
    close_registration(mw_container(member, lua_registration, member));
}

static lua_registration *check_registration(lua_State *L, const char *function) {
    return mw__lua_check_box(L, MW_CLASS_REGISTRATION, function);
}

static void visible_release(mw_await *await) {
    unref(((visible_await *)(void *)await)->owner);
}

static void visible_drop(mw_await *await) {
    lua_registration *self = ((visible_await *)(void *)await)->owner;
    if (self->waiter == await)
        self->waiter = NULL;
    close_registration(self); /* nobody has its handle */
    mw__lua_await_free(await);
}

/* The handle is at 4. */
static int visible_finish(lua_State *L, mw_await *await) {
    lua_registration *self = ((visible_await *)(void *)await)->owner;
    int count = 1;
    if (self->status == MW_OK) {
        lua_settop(L, 4);
    } else {
        close_registration(self);
        count = mw__lua_place_failure(L, &self->place, self->status, self->error.message);
    }
    mw__lua_await_free(await);
    return count;
}

static lua_registration *new_registration(lua_State *L, const mw_lua_registry *registry, mw_str path) {
    lua_registration **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = NULL;
    luaL_setmetatable(L, MW_CLASS_REGISTRATION);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1);
    lua_registration *self =
        mw__lua_place_new(sizeof *self, offsetof(lua_registration, place), path, registry->backend);
    if (!self) {
        mw__lua_raise(L, "not enough memory");
        return NULL;
    }
    self->refs = 1;
    self->lua = registry->lua;
    self->process = registry->process;
    self->self_ref = LUA_NOREF;
    *box = self;
    return self;
}

static int registry_register(lua_State *L) {
    static const mw_option_spec specs[] = {{"timeout", MW_OPTION_DURATION, 0, NULL}, {NULL, 0, 0, NULL}};
    mw_lua_registry *registry = mw__lua_check_registry(L, "register");
    mw_str path = mw__lua_check_string(L, 2, "register", "path");
    mw_str value = mw__lua_check_string(L, 3, "register", "value");
    mw_time timeout = DEFAULT_TIMEOUT;
    mw__lua_check_options(L, 4, "register", specs, &timeout);
    if (!registry->registry)
        return mw__lua_closed(L, "register");
    mw__lua_must_be_able_to_wait(L, "register");
    lua_settop(L, 3);
    lua_registration *self = new_registration(L, registry, path);
    lua_pushvalue(L, 4);
    self->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    visible_await *wait = mw__lua_await_new(self->lua, sizeof *wait, visible_finish, visible_drop);
    if (!wait)
        return luaL_error(L, "not enough memory");
    wait->owner = self;
    wait->await.release = visible_release;
    self->refs++;
    mw_error err;
    int status = mw_register(registry->registry, path, value, timeout ? timeout : 1, &registration_events, self,
                             &self->registration, &err);
    if (status != MW_OK) {
        mw__lua_await_free(&wait->await);
        luaL_unref(L, LUA_REGISTRYINDEX, self->self_ref);
        self->self_ref = LUA_NOREF;
        return mw__lua_failure(L, status, err.message, path, registry->backend);
    }
    mw__lua_member_add(registry, &self->member, close_member);
    self->waiter = &wait->await;
    return mw__lua_wait(L, registry->process, &wait->await);
}

static int registration_set(lua_State *L) {
    lua_registration *self = check_registration(L, "set");
    mw_str value = mw__lua_check_string(L, 2, "set", "value");
    mw_error err;
    (void)mw_fail(&err, MW_ECLOSED, "the registration was closed");
    int status = self->registration ? mw_registration_set(self->registration, value, &err) : MW_ECLOSED;
    if (status != MW_OK)
        return mw__lua_place_failure(L, &self->place, status, err.message);
    lua_pushboolean(L, 1);
    return 1;
}

static int registration_close(lua_State *L) {
    lua_registration **box = mw__lua_check_self(L, MW_CLASS_REGISTRATION, "close");
    if (*box)
        close_registration(*box);
    return 0;
}

static int registration_gc(lua_State *L) {
    lua_registration **box = lua_touserdata(L, 1);
    lua_registration *self = *box;
    if (!self || mw__lua_forked(self->lua))
        return 0;
    close_registration(self);
    unref(self);
    *box = NULL;
    return 0;
}

static int registration_index(lua_State *L) {
    const lua_registration *self = check_registration(L, "index");
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(name, "visible") == 0) {
        lua_pushboolean(L, self->registration && mw_registration_visible(self->registration));
    } else {
        return mw__lua_place_index(L, &self->place, name);
    }
    return 1;
}

void mw__lua_registration_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"set", registration_set}, {"close", registration_close}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", registration_gc}, {"__close", registration_close}, {NULL, NULL}};
    static const luaL_Reg on_registry[] = {{"register", registry_register}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_REGISTRATION, methods, meta, registration_index);
    mw__lua_registry_methods(L, on_registry);
}
