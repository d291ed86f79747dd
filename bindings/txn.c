/* The builder of transactions. Its strings and guards stay anchored in a table until the commit has copied them. */
#include "op_await.h"

#include <stdio.h>
#include <string.h>

/* Userdata; user value 1: the registry, 2: a table of the steps' paths (2i-1) or guards, and values (2i). */
typedef struct txn_step {
    mw_write_kind kind;
    bool ephemeral;
    int64_t version;
} txn_step;

typedef struct txn {
    size_t count, capacity;
    bool committed;
} txn;

enum { REGISTRY = 1, ANCHORS = 2, STEPS = 3 };

static int registry_txn(lua_State *L) {
    (void)mw__lua_check_registry(L, "txn");
    txn *self = lua_newuserdatauv(L, sizeof *self, 3);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, MW_CLASS_TXN);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, REGISTRY);
    lua_newtable(L);
    (void)lua_setiuservalue(L, -2, ANCHORS);
    return 1;
}

static txn *check_txn(lua_State *L, const char *function) {
    txn *self = mw__lua_check_self(L, MW_CLASS_TXN, function);
    if (self->committed)
        mw__lua_raise(L, "bad argument 'self' to '%s': this txn was committed; begin another", function);
    return self;
}

/* Room for one more step; the block is user value STEPS. */
static txn_step *grow(lua_State *L, txn *self) {
    (void)lua_getiuservalue(L, 1, STEPS);
    txn_step *steps = lua_touserdata(L, -1);
    if (self->count == self->capacity) {
        size_t capacity = self->capacity ? 2 * self->capacity : 8;
        txn_step *larger = lua_newuserdatauv(L, capacity * sizeof *larger, 0);
        if (self->count)
            memcpy(larger, steps, self->count * sizeof *larger);
        (void)lua_setiuservalue(L, 1, STEPS);
        self->capacity = capacity;
        steps = larger;
    }
    lua_pop(L, 1);
    return steps;
}

/* The path or guard is at 2; the value, if any, at `value`. Returns the txn, for chaining. */
static int add(lua_State *L, txn *self, txn_step step, int value) {
    txn_step *steps = grow(L, self);
    (void)lua_getiuservalue(L, 1, ANCHORS);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2 * (lua_Integer)self->count + 1);
    if (value && !lua_isnoneornil(L, value))
        lua_pushvalue(L, value);
    else
        lua_pushliteral(L, "");
    lua_rawseti(L, -2, 2 * (lua_Integer)self->count + 2);
    steps[self->count++] = step;
    lua_settop(L, 1);
    return 1;
}

static const mw_option_spec check_options[] = {{"version", MW_OPTION_VERSION, offsetof(call_options, version), NULL},
                                               {"absent", MW_OPTION_BOOLEAN, offsetof(call_options, absent), NULL},
                                               {NULL, 0, 0, NULL}};
static const mw_option_spec write_options[] = {
    {"ephemeral", MW_OPTION_BOOLEAN, offsetof(call_options, ephemeral), NULL}, {NULL, 0, 0, NULL}};
static const mw_option_spec version_options[] = {{"version", MW_OPTION_VERSION, offsetof(call_options, version), NULL},
                                                 {NULL, 0, 0, NULL}};

static int txn_check(lua_State *L) {
    txn *self = check_txn(L, "check");
    bool guard = false;
    (void)mw__lua_to_guard(L, 2, &guard);
    if (!guard && lua_type(L, 2) != LUA_TSTRING)
        return mw__lua_wrong_type(L, "check", "what", "path, lock or election", 2);
    call_options options = mw__lua_call_options(L, 3, "check", check_options);
    if (guard && !lua_isnoneornil(L, 3))
        return mw__lua_bad_argument(L, "check", "options", "a lock or an election takes none");
    if (options.absent && options.version != MW_VERSION_ANY)
        return mw__lua_bad_argument(L, "check", "options", "'version' and 'absent' exclude each other");
    txn_step step = {.kind = guard ? MW_CHECK_LOCK : MW_CHECK,
                     .version = options.absent ? MW_VERSION_ABSENT : options.version};
    return add(L, self, step, 0);
}

static int add_write(lua_State *L, const char *function, mw_write_kind kind, bool value_needed) {
    txn *self = check_txn(L, function);
    (void)mw__lua_check_string(L, 2, function, "path");
    if (value_needed || !lua_isnoneornil(L, 3))
        (void)mw__lua_check_string(L, 3, function, "value");
    call_options options = mw__lua_call_options(L, 4, function, kind == MW_SET ? version_options : write_options);
    txn_step step = {.kind = kind, .ephemeral = options.ephemeral, .version = options.version};
    return add(L, self, step, 3);
}

static int txn_create(lua_State *L) {
    return add_write(L, "create", MW_CREATE, false);
}

static int txn_put(lua_State *L) {
    return add_write(L, "put", MW_PUT, true);
}

static int txn_set(lua_State *L) {
    return add_write(L, "set", MW_SET, true);
}

static int txn_delete(lua_State *L) {
    txn *self = check_txn(L, "delete");
    (void)mw__lua_check_string(L, 2, "delete", "path");
    call_options options = mw__lua_call_options(L, 3, "delete", version_options);
    txn_step step = {.kind = MW_DELETE, .version = options.version};
    return add(L, self, step, 0);
}

/* ---- Commit */

/* The path of a step, or that of its guard, where the anchors are at `anchors`. */
static void push_path(lua_State *L, int anchors, size_t step) {
    (void)lua_rawgeti(L, anchors, 2 * (lua_Integer)step + 1);
    if (lua_isuserdata(L, -1)) {
        (void)lua_getfield(L, -1, "path");
        lua_remove(L, -2);
    }
}

static void push_step_path(lua_State *L, size_t step) {
    (void)lua_getiuservalue(L, 1, ANCHORS);
    push_path(L, lua_gettop(L), step);
    lua_remove(L, -2);
}

static int push_committed(lua_State *L, op_await *op) {
    (void)lua_getiuservalue(L, 1, ANCHORS);
    int anchors = lua_gettop(L);
    lua_createtable(L, (int)op->written_count, 1);
    lua_pushinteger(L, op->revision);
    lua_setfield(L, -2, "revision");
    const mw_written *written = op->written ? op->written : &op->single;
    for (size_t i = 0; i < op->written_count; i++) {
        push_path(L, anchors, i);
        mw__lua_push_written(L, &written[i], -1);
        lua_remove(L, -2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* The steps as the core takes them, in a userdata on top. Their strings are borrowed from the anchors. */
static mw_step *push_steps(lua_State *L, const txn *self) {
    (void)lua_getiuservalue(L, 1, STEPS);
    const txn_step *steps = lua_touserdata(L, -1);
    (void)lua_getiuservalue(L, 1, ANCHORS);
    int anchors = lua_gettop(L);
    mw_step *out = lua_newuserdatauv(L, (self->count ? self->count : 1) * sizeof *out, 0);
    for (size_t i = 0; i < self->count; i++) {
        out[i] = (mw_step){.kind = steps[i].kind, .version = steps[i].version, .ephemeral = steps[i].ephemeral};
        (void)lua_rawgeti(L, anchors, 2 * (lua_Integer)i + 1);
        if (steps[i].kind == MW_CHECK_LOCK) {
            bool guard = false;
            out[i].lock = mw__lua_to_guard(L, -1, &guard);
        } else {
            out[i].path.data = lua_tolstring(L, -1, &out[i].path.len);
        }
        (void)lua_rawgeti(L, anchors, 2 * (lua_Integer)i + 2);
        out[i].value.data = lua_tolstring(L, -1, &out[i].value.len);
        lua_pop(L, 2);
    }
    return out;
}

static int fenced(lua_State *L, size_t step) {
    mw_str none = {0};
    (void)mw__lua_failure(L, MW_EFENCED, "the lock that guards this txn was closed; nothing was sent", none, NULL);
    lua_pushinteger(L, (lua_Integer)step + 1);
    lua_setfield(L, -2, "step");
    push_step_path(L, step);
    lua_setfield(L, -2, "path");
    return 2;
}

static int txn_commit(lua_State *L) {
    txn *self = check_txn(L, "commit");
    call_options options = mw__lua_call_options(L, 2, "commit", mw__lua_read_options);
    lua_settop(L, 1);
    (void)lua_getiuservalue(L, 1, REGISTRY);
    mw_lua_registry *registry = *(mw_lua_registry **)lua_touserdata(L, -1);
    lua_settop(L, 1);
    if (!registry || !registry->registry)
        return mw__lua_closed(L, "commit");
    mw_step *steps = push_steps(L, self);
    for (size_t i = 0; i < self->count; i++) {
        if (steps[i].kind == MW_CHECK_LOCK && !steps[i].lock)
            return fenced(L, i);
    }
    mw_call call;
    mw_error err = {0};
    op_await *op = mw__lua_op_begin(L, registry, &options, "commit", push_committed, &call);
    op->step_failed = true;
    op->push_step_path = push_step_path;
    self->committed = true;
    int status = mw_txn(registry->registry, steps, self->count, &call, &op->op, &err);
    if (status != MW_OK) /* refused before it was sent: the message names the step */
        op->step_failed = sscanf(err.message, "step %zu", &op->failed_write) == 1 && op->failed_write-- > 0;
    return mw__lua_op_wait(L, op, status, &err);
}

void mw__lua_txn_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"check", txn_check}, {"create", txn_create}, {"put", txn_put},
                                       {"set", txn_set},     {"delete", txn_delete}, {"commit", txn_commit},
                                       {NULL, NULL}};
    static const luaL_Reg on_registry[] = {{"txn", registry_txn}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_TXN, methods, NULL, NULL);
    mw__lua_registry_methods(L, on_registry);
}
