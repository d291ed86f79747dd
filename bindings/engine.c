/* The engine of moonwatch/engine.h: a loop, a Lua state, and scripts/moonwatch/embed.lua in it. */
#include <moonwatch/engine.h>

#include "internal.h"
#include "lua_setup.h"
#include "value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What Lua takes for a duration: 100 years. */
#define LONGEST_PATIENCE (MW_SECOND * UINT64_C(3153600000))

struct mw_engine {
    mw_host *host;
    lua_State *L;
    mw_lua *lua;
    mw_engine_listener *listeners;
    void (*closed)(void *arg);
    void *closed_arg;
    mw_time patience;
    bool own_loop, closing, over;
    char backends[PATH_MAX];
    int embed; /* Lua reference of embed.new() */
};

/* A userdata of Lua's, which lives as long as its reaction: an event may be on its way to it when nobody listens any
 * more. */
struct mw_engine_listener {
    mw_engine *engine; /* NULL = nobody listens */
    mw_engine_listener *next, *prev;
    void (*event)(void *arg, const mw_engine_event *event);
    void *arg;
    int self, subscription; /* Lua references */
};

/* ---- Beginning and ending */

static int push_embed(lua_State *L) {
    (void)lua_getglobal(L, "require");
    lua_pushliteral(L, "moonwatch.embed");
    lua_call(L, 1, 1);
    (void)lua_getfield(L, -1, "new");
    lua_call(L, 0, 1);
    lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
    return 1;
}

static bool step(void *arg, bool wait) {
    return mw_uv_host_step(((mw_engine *)arg)->host, wait);
}

static int set_up(mw_engine *engine, const mw_engine_config *config, mw_error *err) {
    int status = mw_uv_host_new(config->loop, config->log, config->log_arg, &engine->host, err);
    if (status == MW_OK)
        status = mw_lua_state_new(config->scripts, &engine->L, err);
    if (status != MW_OK)
        return status;
    const mw_lua_config lua = {
        .host = engine->host, .step = engine->own_loop ? step : NULL, .step_arg = engine, .backends = engine->backends};
    status = mw_lua_open(engine->L, &lua, &engine->lua, err);
    if (status != MW_OK)
        return status;
    lua_pushcfunction(engine->L, push_embed);
    status = mw_lua_call(engine->L, 0, 1, err);
    if (status == MW_OK) {
        engine->embed = (int)lua_tointeger(engine->L, -1);
        lua_pop(engine->L, 1);
    }
    return status;
}

int mw_engine_new(const mw_engine_config *config, mw_engine **ret_engine, mw_error *err) {
    static const mw_engine_config defaults;
    config = config ? config : &defaults;
    mw_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return mw_fail(err, MW_ENO_MEMORY, "no memory for an engine");
    mw_lua_find_backends(engine->backends);
    engine->own_loop = !config->loop;
    engine->embed = LUA_NOREF;
    int status = set_up(engine, config, err);
    if (status != MW_OK) {
        engine->over = true;
        mw_engine_free(engine);
        return status;
    }
    *ret_engine = engine;
    return MW_OK;
}

void mw_engine_free(mw_engine *engine) {
    if (!engine)
        return;
    if (engine->L)
        lua_close(engine->L);
    mw_uv_host_free(engine->host);
    free(engine);
}

/* ---- Calls into Lua */

/* One call of a function of embed.lua: as a task, or at once where it cannot wait. Owns copies of its arguments. */
typedef struct call {
    mw_engine *engine;
    const char *method; /* static */
    mw__values values;
    char *kinds; /* of `values` where scripts are called, else NULL */
    mw_engine_done_fn *done;
    mw_engine_answer_fn *answer;
    void *arg;
} call;

static void call_free(call *self) {
    if (!self)
        return;
    mw__values_release(&self->values);
    free(self->kinds);
    free(self);
}

static call *call_new(mw_engine *engine, const char *method, const mw_value *values, size_t count, mw_error *err) {
    if (engine->closing) {
        (void)mw_fail(err, MW_ECLOSED, "the engine is closing");
        return NULL;
    }
    call *self = calloc(1, sizeof *self);
    if (!self || mw__values_copy(&self->values, values, count, err) != MW_OK) {
        (void)mw_fail(err, MW_ENO_MEMORY, "no memory for a call");
        free(self);
        return NULL;
    }
    self->engine = engine;
    self->method = method;
    return self;
}

/* Push the method and its arguments; returns their number. (longjmp) */
static int push_call(lua_State *L, const call *self) {
    luaL_checkstack(L, (int)self->values.count + 8, "arguments");
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->engine->embed);
    (void)lua_getfield(L, -1, self->method);
    lua_remove(L, -2);
    for (size_t i = 0; i < self->values.count; i++) {
        mw__value_push(L, &self->values.list[i]);
        if (i == 0 && self->kinds)
            lua_pushstring(L, self->kinds);
    }
    return (int)self->values.count + (self->kinds ? 1 : 0);
}

static int task_returned(lua_State *L, int status, lua_KContext context) {
    return lua_gettop(L) - 1;
}

static int task_body(lua_State *L) {
    const call *self = lua_touserdata(L, 1);
    lua_callk(L, push_call(L, self), LUA_MULTRET, 0, task_returned);
    return task_returned(L, LUA_OK, 0);
}

static void call_ended(void *arg, int status, const mw_error *error, lua_State *results, int count) {
    call *self = arg;
    if (self->done)
        self->done(self->arg, status, error);
    if (self->answer && status != MW_OK) {
        self->answer(self->arg, status, error, NULL, 0);
    } else if (self->answer) {
        mw_error none = {0};
        mw__values values = {0};
        status = mw__values_read(&values, results, count, &none);
        self->answer(self->arg, status, &none, values.list, values.count);
        free(values.list); /* their texts are Lua's */
    }
    call_free(self);
}

static int begin(call *self, mw_error *err) {
    lua_State *L = self->engine->L;
    if (!lua_checkstack(L, 4)) {
        call_free(self);
        return mw_fail(err, MW_ENO_MEMORY, "no memory for a call");
    }
    lua_pushcfunction(L, task_body);
    lua_pushlightuserdata(L, self);
    int status = mw_lua_spawn(L, 1, self->method, call_ended, self, NULL, err);
    if (status != MW_OK) {
        lua_settop(L, 0);
        call_free(self);
    }
    return status;
}

static int at_once_body(lua_State *L) {
    lua_call(L, push_call(L, lua_touserdata(L, 1)), 1);
    return 1;
}

/* The result stays on the stack. */
static int at_once(call *self, mw_error *err) {
    lua_State *L = self->engine->L;
    lua_pushcfunction(L, at_once_body);
    lua_pushlightuserdata(L, self);
    int status = mw_lua_call(L, 1, 1, err);
    call_free(self);
    return status;
}

static mw_value text_value(mw_str text) {
    mw_value value = {.kind = MW_VALUE_STRING, .text = text};
    return value;
}

int mw_engine_configure(mw_engine *engine, const char *file, mw_error *err) {
    const mw_value value = text_value(mw_str_of(file));
    call *self = call_new(engine, "configure", &value, 1, err);
    if (!self)
        return engine->closing ? MW_ECLOSED : MW_ENO_MEMORY;
    int status = at_once(self, err);
    lua_settop(engine->L, 0);
    return status;
}

static int begin_done(mw_engine *engine, const char *method, const mw_value *values, size_t count,
                      mw_engine_done_fn *done, void *arg, mw_error *err) {
    call *self = call_new(engine, method, values, count, err);
    if (!self)
        return engine->closing ? MW_ECLOSED : MW_ENO_MEMORY;
    self->done = done;
    self->arg = arg;
    return begin(self, err);
}

int mw_engine_load(mw_engine *engine, const char *file, mw_engine_done_fn *done, void *arg, mw_error *err) {
    const mw_value value = text_value(mw_str_of(file));
    return begin_done(engine, "load", &value, 1, done, arg, err);
}

int mw_engine_load_text(mw_engine *engine, const char *name, mw_str text, mw_engine_done_fn *done, void *arg,
                        mw_error *err) {
    const mw_value values[] = {text_value(mw_str_of(name)), text_value(text)};
    return begin_done(engine, "load_text", values, 2, done, arg, err);
}

int mw_engine_start(mw_engine *engine, mw_engine_done_fn *done, void *arg, mw_error *err) {
    return begin_done(engine, "start", NULL, 0, done, arg, err);
}

int mw_engine_call(mw_engine *engine, const char *function, const mw_value *values, size_t count,
                   mw_engine_answer_fn *answer, void *arg, mw_error *err) {
    if (!function || !answer || (count > 0 && !values))
        return mw_fail(err, MW_EINVALID, "call: %s is NULL", !function ? "function" : !answer ? "answer" : "values");
    const mw_value name = text_value(mw_str_of(function));
    call *self = call_new(engine, "call", &name, 1, err);
    if (!self)
        return engine->closing ? MW_ECLOSED : MW_ENO_MEMORY;
    self->kinds = mw__values_kinds(values, count);
    if (!self->kinds || mw__values_copy(&self->values, values, count, err) != MW_OK) {
        call_free(self);
        return mw_fail(err, MW_ENO_MEMORY, "no memory for a call");
    }
    self->answer = answer;
    self->arg = arg;
    return begin(self, err);
}

/* ---- Listeners */

static mw_str field_text(lua_State *L, const char *name) {
    mw_str text = {0};
    if (lua_getfield(L, 1, name) == LUA_TSTRING)
        text.data = lua_tolstring(L, -1, &text.len); /* anchored by the event */
    lua_pop(L, 1);
    return text;
}

static int64_t field_integer(lua_State *L, const char *name) {
    (void)lua_getfield(L, 1, name);
    int64_t value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static int hear(lua_State *L) {
    const mw_engine_listener *listener = lua_touserdata(L, lua_upvalueindex(1));
    luaL_checktype(L, 1, LUA_TTABLE);
    mw_engine_event event = {.type = field_text(L, "type").data,
                             .path = field_text(L, "path"),
                             .value = field_text(L, "value"),
                             .previous = field_text(L, "previous"),
                             .version = field_integer(L, "version"),
                             .revision = field_integer(L, "revision"),
                             .created = field_integer(L, "created"),
                             .owner = (mw_session_id)field_integer(L, "owner")};
    if (listener->engine)
        listener->event(listener->arg, &event);
    return 0;
}

typedef struct listen_args {
    mw_engine_listener listener, *made;
    const char *kind, *pattern;
} listen_args;

static int listen_body(lua_State *L) {
    listen_args *args = lua_touserdata(L, 1);
    mw_engine_listener *listener = lua_newuserdatauv(L, sizeof *listener, 0);
    *listener = args->listener;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, listener->engine->embed);
    (void)lua_getfield(L, -1, "on");
    lua_pushstring(L, args->kind);
    lua_pushstring(L, args->pattern);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, hear, 1);
    lua_call(L, 3, 1);
    listener->subscription = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_settop(L, 2);
    listener->self = luaL_ref(L, LUA_REGISTRYINDEX);
    args->made = listener;
    return 0;
}

int mw_engine_on(mw_engine *engine, const char *kind, const char *pattern,
                 void (*event)(void *arg, const mw_engine_event *event), void *arg, mw_engine_listener **ret_listener,
                 mw_error *err) {
    if (engine->closing)
        return mw_fail(err, MW_ECLOSED, "the engine is closing");
    if (!event)
        return mw_fail(err, MW_EINVALID, "bad argument 'event': a function expected, got NULL");
    listen_args args = {.listener = {.engine = engine, .event = event, .arg = arg}, .kind = kind, .pattern = pattern};
    lua_pushcfunction(engine->L, listen_body);
    lua_pushlightuserdata(engine->L, &args);
    int status = mw_lua_call(engine->L, 1, 0, err);
    if (status != MW_OK)
        return status == MW_EINTERNAL ? (err ? err->code = MW_EINVALID : MW_EINVALID) : status;
    args.made->next = engine->listeners;
    if (args.made->next)
        args.made->next->prev = args.made;
    engine->listeners = args.made;
    if (ret_listener)
        *ret_listener = args.made;
    return MW_OK;
}

static int stop_listening(lua_State *L) {
    const mw_engine_listener *listener = lua_touserdata(L, 1);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, listener->subscription);
    (void)lua_getfield(L, -1, "close");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    luaL_unref(L, LUA_REGISTRYINDEX, listener->subscription);
    luaL_unref(L, LUA_REGISTRYINDEX, listener->self);
    return 0;
}

void mw_engine_off(mw_engine_listener *listener) {
    if (!listener || !listener->engine)
        return;
    mw_engine *engine = listener->engine;
    listener->engine = NULL;
    if (listener->next)
        listener->next->prev = listener->prev;
    if (listener->prev)
        listener->prev->next = listener->next;
    else
        engine->listeners = listener->next;
    lua_pushcfunction(engine->L, stop_listening);
    lua_pushlightuserdata(engine->L, listener);
    (void)mw_lua_call(engine->L, 1, 0, NULL);
}

/* Push the registry's userdata or nil, then what it holds as a light userdata. */
static int push_native(lua_State *L) {
    (void)lua_getfield(L, 1, "registry");
    lua_call(L, 0, 1);
    if (lua_isnil(L, -1))
        return 1;
    lua_replace(L, 1);
    const mw_lua_registry *registry = mw__lua_check_registry(L, "registry");
    lua_pushlightuserdata(L, registry->registry);
    return 1;
}

mw_registry *mw_engine_registry(mw_engine *engine) {
    lua_State *L = engine->L;
    if (engine->closing || !lua_checkstack(L, 4))
        return NULL;
    lua_pushcfunction(L, push_native);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, engine->embed);
    if (mw_lua_call(L, 1, 1, NULL) != MW_OK)
        return NULL;
    mw_registry *registry = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return registry;
}

/* ---- Turning and closing */

mw_host *mw_engine_host(mw_engine *engine) {
    return engine->host;
}

bool mw_engine_step(mw_engine *engine, bool wait) {
    return mw_uv_host_step(engine->host, wait);
}

int mw_engine_fd(mw_engine *engine) {
    return mw_uv_host_fd(engine->host);
}

int mw_engine_timeout(mw_engine *engine) {
    return mw_uv_host_timeout(engine->host);
}

static void lua_closed(void *arg) {
    mw_engine *engine = arg;
    engine->over = true;
    if (engine->closed)
        engine->closed(engine->closed_arg);
}

/* Scripts have ended in order, or time is up. */
static void scripts_closed(void *arg, int status, const mw_error *error) {
    mw_engine *engine = arg;
    mw_lua_close(engine->lua, engine->patience, lua_closed, engine);
}

void mw_engine_close(mw_engine *engine, mw_time patience, void (*closed)(void *arg), void *arg) {
    if (engine->closing)
        return;
    engine->closed = closed;
    engine->closed_arg = arg;
    engine->patience = patience;
    const mw_value seconds = {.kind = MW_VALUE_NUMBER,
                              .number = patience < LONGEST_PATIENCE ? (double)patience / 1e9 : (double)HUGE_VAL};
    int status = begin_done(engine, "close", &seconds, 1, scripts_closed, engine, NULL);
    engine->closing = true;
    for (mw_engine_listener *one = engine->listeners; one; one = one->next)
        one->engine = NULL;
    if (status != MW_OK)
        scripts_closed(engine, status, NULL);
}
