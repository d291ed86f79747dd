/* Elections: standing, waiting to lead, the leader's record. Who leads does so in Lua (registry.lua). */
#include "notice.h"
#include "op_await.h"
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lua_election {
    mw_member member;
    mw_election *election; /* NULL once closed */
    mw_lua *lua;
    mw_process *process;
    mw_await *waiters;
    mw_notice deposed;
    size_t refs;   /* its userdata, and who waits to lead */
    int64_t token; /* 0 when not leading */
    int status;    /* why it stays out */
    mw_error error;
    mw_place place;
} lua_election;

static void unref(lua_election *self) {
    if (--self->refs == 0)
        free(self);
}

static void wake(lua_election *self) {
    for (mw_await *await; (await = self->waiters);) {
        self->waiters = await->link;
        mw__lua_await_done(await);
    }
}

static void on_elected(void *arg, int64_t token) {
    lua_election *self = arg;
    self->token = token;
    wake(self);
}

static void on_deposed(void *arg, const mw_error *why) {
    lua_election *self = arg;
    self->token = 0;
    mw__lua_notice_tell(&self->deposed, why);
}

static void on_failed(void *arg, const mw_error *why) {
    lua_election *self = arg;
    self->status = why->code ? why->code : MW_EINTERNAL;
    self->error = *why;
    if (!self->waiters) /* who waits is told */
        mw_log(self->process->host, MW_LOG_ERROR, "lua", "the election at %.*s: %s", MW_STR_FMT(self->place.path),
               why->message);
    wake(self);
}

static const mw_election_events election_events = {.elected = on_elected, .deposed = on_deposed, .failed = on_failed};

static void close_election(lua_election *self) {
    if (!self->election)
        return;
    mw_election_free(self->election);
    self->election = NULL;
    mw_error why;
    (void)mw_fail(&why, MW_ECLOSED, "the election was closed");
    if (self->token)
        on_deposed(self, &why);
    self->status = MW_ECLOSED;
    self->error = why;
    mw__lua_member_remove(&self->member);
    mw__lua_notice_release(&self->deposed);
    wake(self);
}

static void close_member(mw_member *member) {
    close_election(mw_container(member, lua_election, member));
}

static lua_election *check_election(lua_State *L, const char *function) {
    return mw__lua_check_box(L, MW_CLASS_ELECTION, function);
}

/* stand(registry, path, record, on_deposed): what `elect` begins with. */
static int core_stand(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "elect");
    mw_str path = mw__lua_check_path(L, 2, "elect", "path");
    mw_str record = mw__lua_check_string(L, 3, "elect", "record");
    mw__lua_check_function(L, 4, "elect", "on_deposed");
    lua_settop(L, 4);
    if (!registry->registry)
        return mw__lua_closed(L, "elect");
    lua_election **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = NULL;
    luaL_setmetatable(L, MW_CLASS_ELECTION);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1);
    lua_election *self = mw__lua_place_new(sizeof *self, offsetof(lua_election, place), path, registry->backend);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->refs = 1;
    self->lua = registry->lua;
    self->process = registry->process;
    self->deposed.function_ref = LUA_NOREF;
    *box = self;
    mw__lua_notice_init(L, &self->deposed, registry->process, 4, self, "on_deposed");
    mw_error err;
    int status = mw_election_new(registry->registry, path, record, &election_events, self, &self->election, &err);
    if (status != MW_OK) {
        mw__lua_notice_release(&self->deposed);
        return mw__lua_failure(L, status, err.message, path, registry->backend);
    }
    mw__lua_member_add(registry, &self->member, close_member);
    return 1;
}

static int election_close(lua_State *L) {
    lua_election **box = mw__lua_check_self(L, MW_CLASS_ELECTION, "close");
    if (*box)
        close_election(*box);
    return 0;
}

static int election_gc(lua_State *L) {
    lua_election **box = lua_touserdata(L, 1);
    lua_election *self = *box;
    if (!self || mw__lua_forked(self->lua))
        return 0;
    close_election(self);
    unref(self);
    *box = NULL;
    return 0;
}

/* ---- Waiting to lead */

typedef struct lead_await {
    mw_await await;
    lua_election *owner; /* counted */
    mw_timer timer;
    bool timed_out;
} lead_await;

static void leave(lead_await *self) {
    mw_await **at = &self->owner->waiters;
    while (*at && *at != &self->await)
        at = &(*at)->link;
    if (*at)
        *at = self->await.link;
}

static void lead_release(mw_await *await) {
    lead_await *self = (lead_await *)(void *)await;
    mw_timer_stop(self->owner->process->host, &self->timer);
    unref(self->owner);
}

static void lead_drop(mw_await *await) {
    leave((lead_await *)(void *)await);
    mw__lua_await_free(await);
}

static void lead_late(mw_timer *timer) {
    lead_await *self = mw_container(timer, lead_await, timer);
    leave(self);
    self->timed_out = true;
    mw__lua_await_done(&self->await);
}

static int not_in_time(lua_State *L, const lua_election *owner) {
    const mw_error *refusal = owner->election ? mw_election_refusal(owner->election) : NULL;
    mw_error why;
    (void)mw_fail(&why, MW_ETIMEOUT, "not elected in time%s%s", refusal && refusal->code ? ": " : "",
                  refusal && refusal->code ? refusal->message : "");
    return mw__lua_place_failure(L, &owner->place, MW_ETIMEOUT, why.message);
}

static int lead_finish(lua_State *L, mw_await *await) {
    lead_await *self = (lead_await *)(void *)await;
    lua_election *owner = self->owner;
    if (!owner->token && !owner->status && !self->timed_out) { /* deposed before we came to run */
        await->done = false;
        await->link = owner->waiters;
        owner->waiters = await;
        return mw__lua_wait(L, owner->process, await);
    }
    int count = 1;
    if (owner->token)
        lua_pushinteger(L, owner->token);
    else if (self->timed_out)
        count = not_in_time(L, owner);
    else
        count = mw__lua_place_failure(L, &owner->place, owner->status, owner->error.message);
    mw__lua_await_free(await);
    return count;
}

static int election_wait(lua_State *L) {
    static const mw_option_spec specs[] = {{"timeout", MW_OPTION_DURATION, 0, NULL}, {NULL, 0, 0, NULL}};
    lua_election *owner = check_election(L, "wait");
    mw_time timeout = MW_FOREVER;
    mw__lua_check_options(L, 2, "wait", specs, &timeout);
    mw__lua_must_be_able_to_wait(L, "wait");
    lua_settop(L, 1);
    lead_await *self = mw__lua_await_new(owner->lua, sizeof *self, lead_finish, lead_drop);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->owner = owner;
    owner->refs++;
    self->await.release = lead_release;
    self->timer.fire = lead_late;
    if (owner->token || owner->status)
        return lead_finish(L, &self->await);
    self->await.link = owner->waiters;
    owner->waiters = &self->await;
    if (timeout != MW_FOREVER)
        (void)mw_timer_start(owner->process->host, &self->timer, timeout);
    return mw__lua_wait(L, owner->process, &self->await);
}

/* ---- The rest */

static int push_leader(lua_State *L, op_await *op) {
    if (op->entry_count == 0)
        return luaL_error(L, "a read succeeded without an entry");
    mw__lua_push_entry(L, op->entries, true);
    return 1;
}

static int election_leader(lua_State *L) {
    const lua_election *self = check_election(L, "leader");
    call_options options = mw__lua_call_options(L, 2, "leader", mw__lua_read_options);
    lua_settop(L, 1);
    (void)lua_getiuservalue(L, 1, 1);
    mw_lua_registry *registry = *(mw_lua_registry **)lua_touserdata(L, -1);
    if (!registry || !registry->registry)
        return mw__lua_closed(L, "leader");
    lua_settop(L, 1);
    (void)lua_pushfstring(L, "%s/leader", self->place.path.data); /* at 2, where errors look for the path */
    mw_str path = {0};
    path.data = lua_tolstring(L, 2, &path.len);
    mw_call call;
    mw_error err;
    op_await *op = mw__lua_op_begin(L, registry, &options, "leader", push_leader, &call);
    return mw__lua_op_wait(L, op, mw_get(registry->registry, path, &call, &op->op, &err), &err);
}

static int election_resign(lua_State *L) {
    lua_election *self = check_election(L, "resign");
    mw_error err;
    (void)mw_fail(&err, MW_ECLOSED, "the election was closed");
    int status = self->election ? mw_election_resign(self->election, &err) : MW_ECLOSED;
    if (status != MW_OK)
        return mw__lua_place_failure(L, &self->place, status, err.message);
    lua_pushboolean(L, 1);
    return 1;
}

static int election_index(lua_State *L) {
    const lua_election *self = check_election(L, "index");
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(name, "leading") == 0) {
        lua_pushboolean(L, self->election && mw_election_leads(self->election));
    } else if (strcmp(name, "token") == 0) {
        if (self->token)
            lua_pushinteger(L, self->token);
        else
            lua_pushnil(L);
    } else {
        return mw__lua_place_index(L, &self->place, name);
    }
    return 1;
}

const mw_lock *mw__lua_to_guard(lua_State *L, int index, bool *ret_is_guard) {
    const mw_lock *lock = mw__lua_to_lock(L, index, ret_is_guard);
    lua_election **box = *ret_is_guard ? NULL : luaL_testudata(L, index, MW_CLASS_ELECTION);
    if (!box)
        return lock;
    *ret_is_guard = true;
    return *box && (*box)->election ? mw_election_lock((*box)->election) : NULL;
}

void mw__lua_election_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"wait", election_wait},
                                       {"leader", election_leader},
                                       {"resign", election_resign},
                                       {"close", election_close},
                                       {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", election_gc}, {"__close", election_close}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_ELECTION, methods, meta, election_index);
    lua_pushcfunction(L, core_stand);
    lua_setfield(L, -2, "stand");
}
