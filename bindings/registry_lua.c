/* Registries: opening, closing, state. */
#include "internal.h"

#include <assert.h>
#include <backends/memory/memory.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATIENCE (5 * MW_SECOND)
#define OPTIONS_MAX 64

/* ---- Members */

void mw__lua_member_add(mw_lua_registry *registry, mw_member *member, void (*close)(mw_member *)) {
    member->registry = registry;
    member->close = close;
    member->prev = NULL;
    member->next = registry->members;
    if (member->next)
        member->next->prev = member;
    registry->members = member;
}

void mw__lua_member_remove(mw_member *member) {
    if (!member->registry)
        return;
    if (member->next)
        member->next->prev = member->prev;
    if (member->prev)
        member->prev->next = member->next;
    else
        member->registry->members = member->next;
    member->registry = NULL;
}

static void close_members(mw_lua_registry *registry, bool late) {
    for (mw_member *member = registry->members; member;) {
        if (member->late && !late) {
            member = member->next;
            continue;
        }
        member->close(member);
        member = registry->members; /* closing one may have closed others */
    }
}

/* ---- Life */

void mw__lua_registry_ref(mw_lua_registry *registry) {
    registry->refs++;
}

void mw__lua_registry_unref(mw_lua_registry *registry) {
    if (--registry->refs == 0)
        free(registry);
}

static void add_to_process(mw_lua_registry *registry) {
    mw_process *process = registry->process;
    registry->next = process->registries;
    if (registry->next)
        registry->next->prev = registry;
    process->registries = registry;
    registry->refs++;
}

static void closed(void *arg) {
    mw_lua_registry *registry = arg;
    mw_process *process = registry->process;
    registry->registry = NULL; /* those who hear `closed` now find nothing to call */
    close_members(registry, true);
    mw_trace_backend_free(registry->trace);
    registry->trace = NULL;
    if (registry->next)
        registry->next->prev = registry->prev;
    if (registry->prev)
        registry->prev->next = registry->next;
    else
        process->registries = registry->next;
    for (mw_await *waiter; (waiter = registry->close_waiters);) {
        registry->close_waiters = waiter->link;
        mw__lua_await_done(waiter);
    }
    mw__lua_closer_poke(registry->lua);
    mw__lua_registry_unref(registry);
}

void mw__lua_registry_close(mw_lua_registry *registry, mw_time patience, bool abandon) {
    if (registry->closing || !registry->registry)
        return;
    registry->closing = true;
    registry->abandoned = abandon;
    if (!abandon) /* a crash releases nothing */
        close_members(registry, false);
    if (abandon)
        mw_registry_abandon(registry->registry, closed, registry);
    else
        mw_registry_close(registry->registry, patience, closed, registry);
}

int mw__lua_closed(lua_State *L, const char *what) {
    mw_str none = {0};
    char text[96];
    (void)snprintf(text, sizeof text, "%s: the registry is closed", what);
    return mw__lua_failure(L, MW_ECLOSED, text, none, NULL);
}

mw_lua_registry *mw__lua_check_registry(lua_State *L, const char *function) {
    return mw__lua_check_box(L, MW_CLASS_REGISTRY, function);
}

static mw_lua_registry *push_registry(lua_State *L, mw_process *process, const char *backend) {
    mw_lua_registry **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    mw_lua_registry *registry = calloc(1, sizeof *registry);
    if (!registry) {
        mw__lua_raise(L, "not enough memory");
        return NULL;
    }
    registry->lua = process->lua;
    registry->process = process;
    registry->refs = 1;
    (void)snprintf(registry->backend, sizeof registry->backend, "%s", backend);
    *box = registry;
    luaL_setmetatable(L, MW_CLASS_REGISTRY);
    return registry;
}

/* ---- Opening */

/* The options at `index`, all of them texts; they live as long as the table. */
static void take_options(lua_State *L, int index, mw_option *out) {
    size_t count = 0;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            (void)mw__lua_bad_argument(L, "open", "options", "texts expected");
        if (count == OPTIONS_MAX)
            (void)mw__lua_bad_argument(L, "open", "options", "at most %d expected", OPTIONS_MAX);
        out[count].key = lua_tostring(L, -2);
        out[count++].value = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    out[count] = (mw_option){0};
}

/* Which table, and where it runs: a host that was given, else the world of the server, else here. */
static int choose(lua_State *L, const mw_backend **ret_backend, mw_process **ret_process, mw_error *err) {
    mw_lua_world *world = NULL;
    const mw_backend *backend = mw__lua_to_server(L, 1, &world);
    mw_process *process = lua_isnoneornil(L, 2) ? NULL : mw__lua_to_process(L, 2);
    if (!process && !lua_isnoneornil(L, 2))
        return mw__lua_wrong_type(L, "open", "host", "a host of an open world", 2);
    bool memory = backend || strcmp(luaL_checkstring(L, 1), "memory") == 0;
    if (!process) {
        process = memory ? mw__lua_process_here(L) : mw__lua_process_real(L);
        if (backend && process->world != world)
            process = world ? mw__lua_world_main(L, world) : mw__lua_process_real(L);
    }
    if (process->killed)
        return mw__lua_bad_argument(L, "open", "host", "it was killed");
    int status = MW_OK;
    if (!backend && memory)
        backend = &mw_backend_memory;
    else if (!backend)
        status = mw_backend_find(luaL_checkstring(L, 1), mw__lua_context(L)->config.backends, &backend, err);
    *ret_backend = backend;
    *ret_process = process;
    return status;
}

/* A text without NUL, or NULL for nil. */
static const char *plain_text(lua_State *L, int index, const char *name) {
    size_t len;
    const char *text = luaL_optlstring(L, index, NULL, &len);
    if (text && strlen(text) != len)
        (void)mw__lua_bad_argument(L, "open", name, "it holds a NUL byte");
    return text;
}

/* open(backend or server, host, options, namespace, name, op_timeout, trace): connecting goes on in the background. */
static int core_open(lua_State *L) {
    mw_error err = {0};
    const mw_backend *backend = NULL;
    mw_process *process = NULL;
    mw_option options[OPTIONS_MAX + 1];
    mw_str none = {0};
    lua_settop(L, 7);
    if (mw__lua_context(L)->closing)
        return mw__lua_closed(L, "open");
    int status = choose(L, &backend, &process, &err);
    if (status != MW_OK)
        return mw__lua_failure(L, status, err.message, none, luaL_optstring(L, 1, NULL));
    assert(process);
    if (process->closing)
        return mw__lua_closed(L, "open");
    take_options(L, 3, options);
    mw_registry_config config = {.host = process->host,
                                 .backend = backend,
                                 .options = options,
                                 .name_space = plain_text(L, 4, "namespace"),
                                 .name = plain_text(L, 5, "name")};
    if (!lua_isnil(L, 6))
        config.op_timeout = mw__lua_check_duration(L, 6, "open", "op_timeout");
    mw_lua_registry *registry = push_registry(L, process, backend->name);
    if (lua_toboolean(L, 7)) {
        status = mw_trace_backend_new(backend, &registry->trace, &err);
        config.backend = registry->trace;
    }
    if (status == MW_OK)
        status = mw_registry_open(&config, &registry->registry, &err);
    if (status != MW_OK) {
        mw_trace_backend_free(registry->trace);
        registry->trace = NULL;
        return mw__lua_failure(L, status, err.message, none, backend->name);
    }
    add_to_process(registry);
    return 1;
}

/* ---- Closing */

typedef struct close_await {
    mw_await await;
    mw_lua_registry *registry; /* counted */
} close_await;

static void close_release(mw_await *await) {
    mw__lua_registry_unref(((close_await *)(void *)await)->registry);
}

static void close_drop(mw_await *await) {
    mw_await **at = &((close_await *)(void *)await)->registry->close_waiters;
    while (*at && *at != await)
        at = &(*at)->link;
    if (*at)
        *at = await->link;
    mw__lua_await_free(await);
}

static int close_finish(lua_State *L, mw_await *await) {
    mw__lua_await_free(await);
    return 0;
}

static int wait_closed(lua_State *L, mw_lua_registry *registry) {
    close_await *self = mw__lua_await_new(registry->lua, sizeof *self, close_finish, close_drop);
    if (!self)
        return luaL_error(L, "not enough memory");
    self->await.release = close_release;
    self->registry = registry;
    registry->refs++;
    self->await.link = registry->close_waiters;
    registry->close_waiters = &self->await;
    return mw__lua_wait(L, registry->process, &self->await);
}

/* Whether the running code may wait for the end of one that closes. */
static bool can_wait(lua_State *L, const mw_lua_registry *registry) {
    const mw_lua *lua = registry->lua;
    if (lua->current)
        return lua->current->co == L && lua_isyieldable(L);
    return !lua->looping && !registry->process->paused && !registry->process->killed;
}

static int registry_close(lua_State *L) {
    static const mw_option_spec specs[] = {{"patience", MW_OPTION_DURATION, 0, NULL}, {NULL, 0, 0, NULL}};
    mw_lua_registry *registry = mw__lua_check_registry(L, "close");
    mw_time patience = DEFAULT_PATIENCE;
    mw__lua_check_options(L, 2, "close", specs, &patience);
    if (!registry->registry)
        return 0;
    if (!registry->closing)
        mw__lua_must_be_able_to_wait(L, "close");
    mw__lua_registry_close(registry, patience, false);
    return registry->registry && can_wait(L, registry) ? wait_closed(L, registry) : 0;
}

/* A to-be-closed registry: awaited where that is possible. */
static int registry_scope_end(lua_State *L) {
    mw_lua_registry *registry = *(mw_lua_registry **)mw__lua_check_self(L, MW_CLASS_REGISTRY, "close");
    if (!registry || !registry->registry)
        return 0;
    mw__lua_registry_close(registry, DEFAULT_PATIENCE, false);
    return registry->registry && can_wait(L, registry) ? wait_closed(L, registry) : 0;
}

static int registry_abandon(lua_State *L) {
    mw__lua_registry_close(mw__lua_check_registry(L, "abandon"), 0, true);
    return 0;
}

static int registry_gc(lua_State *L) {
    mw_lua_registry **box = lua_touserdata(L, 1);
    mw_lua_registry *registry = *box;
    if (!registry || mw__lua_forked(registry->lua))
        return 0;
    if (registry->registry)
        mw__lua_registry_close(registry, DEFAULT_PATIENCE, false);
    mw__lua_registry_unref(registry);
    *box = NULL;
    return 0;
}

/* ---- State */

static mw_state state_of(const mw_lua_registry *registry) {
    return registry->registry && !registry->abandoned ? mw_registry_state(registry->registry) : MW_CLOSED;
}

static int registry_state(lua_State *L) {
    lua_pushstring(L, mw_state_text(state_of(mw__lua_check_registry(L, "state"))));
    return 1;
}

static int registry_session(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "session");
    mw_session_id id = registry->registry ? mw_registry_session(registry->registry) : 0;
    if (id)
        lua_pushinteger(L, (lua_Integer)id);
    else
        lua_pushnil(L);
    return 1;
}

static int registry_server(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "server");
    const char *server = registry->registry ? mw_registry_server(registry->registry) : "";
    lua_pushstring(L, *server ? server : NULL);
    return 1;
}

static int registry_deadline(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "deadline");
    mw_time end = registry->registry && !registry->abandoned ? mw_registry_deadline(registry->registry) : 0;
    if (end)
        lua_pushnumber(L, (lua_Number)end / 1e9);
    else
        lua_pushnil(L);
    return 1;
}

static int registry_stats(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "stats");
    mw_backend_stats stats = {0};
    if (registry->registry)
        mw_registry_stats(registry->registry, &stats);
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {{"round_trips", stats.round_trips},
                    {"statements", stats.statements},
                    {"write_transactions", stats.write_transactions},
                    {"renewals", stats.renewals},
                    {"polls", stats.polls},
                    {"reconnects", stats.reconnects},
                    {"wakeups", stats.wakeups}};
    lua_createtable(L, 0, 7);
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        lua_pushinteger(L, (lua_Integer)counters[i].value);
        lua_setfield(L, -2, counters[i].name);
    }
    return 1;
}

static int registry_handles(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "handles");
    lua_pushinteger(L, registry->registry ? (lua_Integer)mw_registry_handles(registry->registry) : 0);
    return 1;
}

static int registry_tostring(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "tostring");
    (void)lua_pushfstring(L, "registry (%s, %s)", registry->backend, mw_state_text(state_of(registry)));
    return 1;
}

void mw__lua_registry_methods(lua_State *L, const luaL_Reg *methods) {
    (void)lua_getfield(L, -1, "classes");
    (void)lua_getfield(L, -1, MW_CLASS_REGISTRY);
    luaL_setfuncs(L, methods, 0);
    lua_pop(L, 2);
}

void mw__lua_registry_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"close", registry_close},     {"abandon", registry_abandon}, {"state", registry_state},
        {"session", registry_session}, {"server", registry_server},   {"deadline", registry_deadline},
        {"stats", registry_stats},     {"handles", registry_handles}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__gc", registry_gc}, {"__close", registry_scope_end}, {"__tostring", registry_tostring}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", core_open}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_REGISTRY, methods, meta, NULL);
    luaL_setfuncs(L, functions, 0);
    mw__lua_backend_open(L);
    mw__lua_connected_open(L);
    mw__lua_operations_open(L);
    mw__lua_txn_open(L);
    mw__lua_subscription_open(L);
    mw__lua_connection_open(L);
    mw__lua_lock_open(L);
    mw__lua_election_open(L);
    mw__lua_registration_open(L);
    mw__lua_identity_open(L);
}
