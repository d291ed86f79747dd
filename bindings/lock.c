/* Locks. A handle that is collected releases what it holds. */
#include "notice.h"
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct acquire_await acquire_await;

typedef struct lua_lock {
    mw_member member;
    mw_lock *lock; /* NULL once closed */
    mw_lua *lua;
    mw_process *process;
    acquire_await *attempt; /* who waits for the present one; NULL: nobody does any more */
    bool unheard;           /* the end of an attempt that was given up is still to come: `attempt` begins after it */
    mw_notice lost;
    size_t refs; /* its userdata, and each attempt */
    mw_place place;
} lua_lock;

struct acquire_await {
    mw_await await;
    lua_lock *owner; /* counted */
    mw_time timeout;
    bool try;
    int status;
    int64_t token;
    mw_error error;
};

static void unref(lua_lock *self) {
    if (--self->refs == 0)
        free(self);
}

/* ---- What the core tells */

static void end_attempt(lua_lock *self, int status, int64_t token, const mw_error *error) {
    acquire_await *attempt = self->attempt;
    self->attempt = NULL;
    attempt->status = status;
    attempt->token = token;
    if (error)
        attempt->error = *error;
    mw__lua_await_done(&attempt->await);
}

static void on_acquired(void *arg, int status, int64_t token, const mw_error *error) {
    lua_lock *self = arg;
    if (!self->unheard) {
        end_attempt(self, status, token, error);
        return;
    }
    self->unheard = false;
    if (status == MW_OK) /* it was given up while the grant was on its way */
        (void)mw_lock_release(self->lock, NULL);
    mw_error err;
    acquire_await *next = self->attempt;
    status = next ? mw_lock_acquire(self->lock, next->timeout, next->try, &err) : MW_OK;
    if (status != MW_OK)
        end_attempt(self, status, 0, &err);
}

static void on_lost(void *arg, const mw_error *why) {
    lua_lock *self = arg;
    mw__lua_notice_tell(&self->lost, why);
}

static const mw_lock_events lock_events = {.acquired = on_acquired, .lost = on_lost};

/* ---- Life */

static void close_lock(lua_lock *self) {
    if (!self->lock)
        return;
    mw_lock_free(self->lock);
    self->lock = NULL;
    mw__lua_member_remove(&self->member);
    mw__lua_notice_release(&self->lost);
    acquire_await *attempt = self->attempt;
    self->attempt = NULL;
    if (!attempt)
        return;
    attempt->status = MW_ECLOSED;
    (void)mw_fail(&attempt->error, MW_ECLOSED, "the lock was closed");
    mw__lua_await_done(&attempt->await);
}

static void close_member(mw_member *member) {
    close_lock(mw_container(member, lua_lock, member));
}

static lua_lock *check_lock(lua_State *L, const char *function) {
    return mw__lua_check_box(L, MW_CLASS_LOCK, function);
}

typedef struct lock_options {
    mw_str value;
    int on_lost;
} lock_options;

static const mw_option_spec lock_specs[] = {{"value", MW_OPTION_STRING, offsetof(lock_options, value), NULL},
                                            {"on_lost", MW_OPTION_FUNCTION, offsetof(lock_options, on_lost), NULL},
                                            {NULL, 0, 0, NULL}};

static int registry_lock(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "lock");
    mw_str path = mw__lua_check_path(L, 2, "lock", "path");
    lock_options options = {.value = {"", 0}};
    lua_settop(L, 3);
    mw__lua_check_options(L, 3, "lock", lock_specs, &options);
    if (!registry->registry)
        return mw__lua_closed(L, "lock");
    lua_lock **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = NULL;
    luaL_setmetatable(L, MW_CLASS_LOCK);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1);
    lua_lock *self = mw__lua_place_new(sizeof *self, offsetof(lua_lock, place), path, registry->backend);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->refs = 1;
    self->lua = registry->lua;
    self->process = registry->process;
    self->lost.function_ref = LUA_NOREF;
    *box = self;
    mw__lua_notice_init(L, &self->lost, registry->process, options.on_lost, self, "on_lost");
    mw_error err;
    int status = mw_lock_new(registry->registry, path, options.value, &lock_events, self, &self->lock, &err);
    if (status != MW_OK) {
        mw__lua_notice_release(&self->lost);
        return mw__lua_failure(L, status, err.message, path, registry->backend);
    }
    mw__lua_member_add(registry, &self->member, close_member);
    return 1;
}

static int lock_close(lua_State *L) {
    lua_lock **box = mw__lua_check_self(L, MW_CLASS_LOCK, "close");
    if (*box)
        close_lock(*box);
    return 0;
}

static int lock_gc(lua_State *L) {
    lua_lock **box = lua_touserdata(L, 1);
    lua_lock *self = *box;
    if (!self || mw__lua_forked(self->lua))
        return 0;
    close_lock(self);
    unref(self);
    *box = NULL;
    return 0;
}

/* ---- Acquiring */

static void acquire_release(mw_await *await) {
    unref(((acquire_await *)(void *)await)->owner);
}

/* Nobody waits any more: what has been or is being acquired for it goes back. */
static void acquire_drop(mw_await *await) {
    acquire_await *attempt = (acquire_await *)(void *)await;
    lua_lock *self = attempt->owner;
    if (self->attempt == attempt) {
        self->attempt = NULL;
        self->unheard = true;
        mw_lock_cancel(self->lock);
    } else if (attempt->status == MW_OK && self->lock && mw_lock_held(self->lock)) {
        (void)mw_lock_release(self->lock, NULL);
    }
    mw__lua_await_free(await);
}

static int acquire_finish(lua_State *L, mw_await *await) {
    acquire_await *attempt = (acquire_await *)(void *)await;
    const lua_lock *self = attempt->owner;
    int count = 1;
    if (attempt->status == MW_OK && !(self->lock && mw_lock_held(self->lock))) /* between the grant and now */
        attempt->status = mw_fail(&attempt->error, MW_ESESSION_LOST, "the lock was lost as soon as it was held");
    if (attempt->status == MW_OK)
        lua_pushinteger(L, attempt->token);
    else
        count = mw__lua_place_failure(L, &self->place, attempt->status, attempt->error.message);
    mw__lua_await_free(await);
    return count;
}

typedef struct acquire_options {
    mw_time timeout;
    bool try;
} acquire_options;

static const mw_option_spec acquire_specs[] = {
    {"timeout", MW_OPTION_DURATION, offsetof(acquire_options, timeout), NULL},
    {"try", MW_OPTION_BOOLEAN, offsetof(acquire_options, try), NULL},
    {NULL, 0, 0, NULL}};

static int lock_acquire(lua_State *L) {
    lua_lock *self = check_lock(L, "acquire");
    acquire_options options = {.timeout = MW_FOREVER};
    mw__lua_check_options(L, 2, "acquire", acquire_specs, &options);
    if (!self->lock)
        return mw__lua_place_failure(L, &self->place, MW_ECLOSED, "the lock was closed");
    mw__lua_must_be_able_to_wait(L, "acquire");
    lua_settop(L, 1);
    acquire_await *attempt = mw__lua_await_new(self->lua, sizeof *attempt, acquire_finish, acquire_drop);
    if (!attempt)
        return luaL_error(L, "not enough memory");
    attempt->owner = self;
    attempt->await.release = acquire_release;
    self->refs++;
    attempt->timeout = options.timeout ? options.timeout : 1; /* 0 means for ever to the core */
    attempt->try = options.try;
    mw_error err;
    int status = MW_OK;
    if (self->unheard && self->attempt)
        status = mw_fail(&err, MW_EINVALID, "this handle is being acquired already; one attempt at a time");
    else if (!self->unheard)
        status = mw_lock_acquire(self->lock, attempt->timeout, options.try, &err);
    if (status != MW_OK) {
        mw__lua_await_free(&attempt->await);
        return mw__lua_place_failure(L, &self->place, status, err.message);
    }
    self->attempt = attempt;
    return mw__lua_wait(L, self->process, &attempt->await);
}

static int lock_release(lua_State *L) {
    lua_lock *self = check_lock(L, "release");
    mw_error err;
    (void)mw_fail(&err, MW_ECLOSED, "the lock was closed");
    int status = self->lock ? mw_lock_release(self->lock, &err) : MW_ECLOSED;
    if (status != MW_OK)
        return mw__lua_place_failure(L, &self->place, status, err.message);
    lua_pushboolean(L, 1);
    return 1;
}

static int lock_index(lua_State *L) {
    const lua_lock *self = check_lock(L, "index");
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    bool held = self->lock && mw_lock_held(self->lock);
    if (strcmp(name, "held") == 0) {
        lua_pushboolean(L, held);
    } else if (strcmp(name, "token") == 0) {
        if (held)
            lua_pushinteger(L, mw_lock_token(self->lock));
        else
            lua_pushnil(L);
    } else {
        return mw__lua_place_index(L, &self->place, name);
    }
    return 1;
}

const mw_lock *mw__lua_to_lock(lua_State *L, int index, bool *ret_is_lock) {
    lua_lock **box = luaL_testudata(L, index, MW_CLASS_LOCK);
    *ret_is_lock = box != NULL;
    return box && *box ? (*box)->lock : NULL;
}

void mw__lua_lock_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"acquire", lock_acquire}, {"release", lock_release}, {"close", lock_close}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", lock_gc}, {"__close", lock_close}, {NULL, NULL}};
    static const luaL_Reg on_registry[] = {{"lock", registry_lock}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_LOCK, methods, meta, lock_index);
    mw__lua_registry_methods(L, on_registry);
}
