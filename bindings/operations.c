/* get, put and the like: submit, wait, results. */
#include "op_await.h"

#include <stdlib.h>
#include <string.h>

#define UNSET (MW_FOREVER - 1)

#define AT(field) offsetof(call_options, field)
#define COMMON                                                                                                         \
    {"timeout", MW_OPTION_DURATION, AT(timeout), NULL}, {                                                              \
        "fail_fast", MW_OPTION_BOOLEAN, AT(fail_fast), NULL                                                            \
    }
#define END                                                                                                            \
    { NULL, 0, 0, NULL }

const mw_option_spec mw__lua_read_options[] = {COMMON, {"fresh", MW_OPTION_BOOLEAN, AT(fresh), NULL}, END};
const mw_option_spec mw__lua_write_options[] = {COMMON, {"ephemeral", MW_OPTION_BOOLEAN, AT(ephemeral), NULL}, END};
const mw_option_spec mw__lua_set_options[] = {COMMON, {"version", MW_OPTION_VERSION, AT(version), NULL}, END};
const mw_option_spec mw__lua_delete_options[] = {COMMON,
                                                 {"version", MW_OPTION_VERSION, AT(version), NULL},
                                                 {"recursive", MW_OPTION_BOOLEAN, AT(recursive), NULL},
                                                 END};
const mw_option_spec mw__lua_queue_options[] = {
    COMMON, {"fresh", MW_OPTION_BOOLEAN, AT(fresh), NULL}, {"recursive", MW_OPTION_BOOLEAN, AT(recursive), NULL}, END};

call_options mw__lua_call_options(lua_State *L, int index, const char *function, const mw_option_spec *specs) {
    call_options options = {.timeout = UNSET, .version = MW_VERSION_ANY};
    mw__lua_check_options(L, index, function, specs, &options);
    return options;
}

/* ---- Copies of results */

static void copy_str(char **at, mw_str *text) {
    if (text->len)
        memcpy(*at, text->data, text->len);
    text->data = *at;
    *at += text->len;
}

/* Entries and their bytes in one piece. */
static bool copy_entries(op_await *self, const mw_result *result) {
    size_t bytes = result->entry_count * sizeof(mw_entry);
    for (size_t i = 0; i < result->entry_count; i++)
        bytes += result->entries[i].path.len + result->entries[i].value.len;
    self->entries = malloc(bytes);
    if (!self->entries)
        return false;
    char *at = (char *)(self->entries + result->entry_count);
    for (size_t i = 0; i < result->entry_count; i++) {
        self->entries[i] = result->entries[i];
        copy_str(&at, &self->entries[i].path);
        copy_str(&at, &self->entries[i].value);
    }
    self->entry_count = result->entry_count;
    return true;
}

static bool copy_written(op_await *self, const mw_result *result) {
    if (result->written_count > 1) {
        self->written = malloc(result->written_count * sizeof *self->written);
        if (!self->written)
            return false;
        memcpy(self->written, result->written, result->written_count * sizeof *self->written);
    } else {
        self->single = result->written[0];
    }
    self->written_count = result->written_count;
    return true;
}

static void op_done(void *arg, const mw_result *result) {
    op_await *self = arg;
    self->op = NULL;
    if (self->await.dropped) {
        mw__lua_await_free(&self->await);
        return;
    }
    self->status = result->status;
    self->revision = result->revision;
    self->failed_write = result->failed_write;
    bool whole = true;
    if (result->status != MW_OK)
        self->message = strdup(result->error->message);
    else if (result->entry_count)
        whole = copy_entries(self, result);
    else if (result->written_count)
        whole = copy_written(self, result);
    if (!whole)
        self->status = MW_ENO_MEMORY;
    mw__lua_await_done(&self->await);
}

static void op_release(mw_await *await) {
    op_await *self = (op_await *)(void *)await;
    free(self->message);
    free(self->entries);
    free(self->written);
    mw__lua_registry_unref(self->registry);
}

static void op_drop(mw_await *await) {
    op_await *self = (op_await *)(void *)await;
    if (!self->op) {
        mw__lua_await_free(await);
        return;
    }
    await->dropped = true;
    mw_op_cancel(self->op);
}

static int op_finish(lua_State *L, mw_await *await) {
    op_await *self = (op_await *)(void *)await;
    int count;
    if (self->status == MW_OK) {
        count = self->push(L, self);
    } else {
        mw_str path = {0};
        if (lua_type(L, 2) == LUA_TSTRING)
            path.data = lua_tolstring(L, 2, &path.len);
        count = mw__lua_failure(L, self->status, self->message, path, self->registry->backend);
        bool refused = self->status == MW_ENOT_FOUND || self->status == MW_EEXISTS || self->status == MW_ECONFLICT ||
                       self->status == MW_ENOT_EMPTY || self->status == MW_EFENCED || self->status == MW_EINVALID;
        if (self->step_failed && refused) {
            lua_pushinteger(L, (lua_Integer)self->failed_write + 1);
            lua_setfield(L, -2, "step");
            self->push_step_path(L, self->failed_write);
            lua_setfield(L, -2, "path");
        }
    }
    mw__lua_await_free(await);
    return count;
}

op_await *mw__lua_op_begin(lua_State *L, mw_lua_registry *registry, const call_options *options, const char *function,
                           int (*push)(lua_State *, op_await *), mw_call *ret_call) {
    mw__lua_must_be_able_to_wait(L, function);
    op_await *self = mw__lua_await_new(registry->lua, sizeof *self, op_finish, op_drop);
    if (!self) {
        mw__lua_raise(L, "not enough memory");
        return NULL;
    }
    self->await.release = op_release;
    self->registry = registry;
    self->push = push;
    mw__lua_registry_ref(registry);
    mw_time timeout = options->timeout == UNSET ? 0 : options->timeout ? options->timeout : 1;
    *ret_call = (mw_call){
        .timeout = timeout, .fail_fast = options->fail_fast, .fresh = options->fresh, .done = op_done, .arg = self};
    return self;
}

int mw__lua_op_wait(lua_State *L, op_await *self, int status, const mw_error *err) {
    if (status == MW_OK)
        return mw__lua_wait(L, self->registry->process, &self->await);
    self->op = NULL;
    self->status = status;
    self->message = strdup(err->message);
    return op_finish(L, &self->await);
}

/* ---- Results */

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

void mw__lua_push_entry(lua_State *L, const mw_entry *entry, bool value) {
    lua_createtable(L, 0, 8);
    (void)lua_pushlstring(L, entry->path.data, entry->path.len);
    lua_setfield(L, -2, "path");
    (void)lua_pushlstring(L, entry->value.data ? entry->value.data : "", value ? entry->value.len : 0);
    lua_setfield(L, -2, "value");
    set_integer(L, "version", entry->version);
    set_integer(L, "revision", entry->revision);
    set_integer(L, "created", entry->created);
    if (entry->owner)
        set_integer(L, "owner", (lua_Integer)entry->owner);
    lua_pushnumber(L, (lua_Number)entry->ctime / 1e3);
    lua_setfield(L, -2, "ctime");
    lua_pushnumber(L, (lua_Number)entry->mtime / 1e3);
    lua_setfield(L, -2, "mtime");
}

void mw__lua_push_written(lua_State *L, const mw_written *written, int path_index) {
    path_index = lua_absindex(L, path_index);
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, path_index);
    lua_setfield(L, -2, "path");
    set_integer(L, "version", written->version);
    set_integer(L, "revision", written->revision);
    set_integer(L, "created", written->created);
    if (written->owner)
        set_integer(L, "owner", (lua_Integer)written->owner);
}

static int push_one(lua_State *L, op_await *self) {
    if (self->entry_count == 0)
        return luaL_error(L, "a read succeeded without an entry");
    mw__lua_push_entry(L, self->entries, true);
    return 1;
}

static int push_names(lua_State *L, op_await *self) {
    lua_createtable(L, (int)self->entry_count, 0);
    for (size_t i = 0; i < self->entry_count; i++) {
        mw_str name = mw_path_name(self->entries[i].path);
        (void)lua_pushlstring(L, name.data, name.len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int push_list(lua_State *L, op_await *self) {
    lua_createtable(L, (int)self->entry_count, 0);
    for (size_t i = 0; i < self->entry_count; i++) {
        mw__lua_push_entry(L, &self->entries[i], true);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int push_write(lua_State *L, op_await *self) {
    mw__lua_push_written(L, &self->single, 2);
    return 1;
}

static int push_true(lua_State *L, op_await *self) {
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- Reads */

typedef int read_fn(mw_registry *, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err);

static int read_call(lua_State *L, const char *function, read_fn *submit, int (*push)(lua_State *, op_await *)) {
    mw_lua_registry *registry = mw__lua_check_registry(L, function);
    mw_str path = mw__lua_check_string(L, 2, function, "path");
    call_options options = mw__lua_call_options(L, 3, function, mw__lua_read_options);
    if (!registry->registry)
        return mw__lua_closed(L, function);
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, function, push, &call);
    return mw__lua_op_wait(L, self, submit(registry->registry, path, &call, &self->op, &err), &err);
}

static int registry_get(lua_State *L) {
    return read_call(L, "get", mw_get, push_one);
}

static int registry_stat(lua_State *L) {
    return read_call(L, "stat", mw_stat, push_one);
}

static int registry_children(lua_State *L) {
    return read_call(L, "children", mw_children, push_names);
}

static int registry_list(lua_State *L) {
    return read_call(L, "list", mw_list, push_list);
}

/* ---- Writes */

static int registry_create(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "create");
    mw_str path = mw__lua_check_string(L, 2, "create", "path"), value = {"", 0};
    if (!lua_isnoneornil(L, 3))
        value = mw__lua_check_string(L, 3, "create", "value");
    call_options options = mw__lua_call_options(L, 4, "create", mw__lua_write_options);
    if (!registry->registry)
        return mw__lua_closed(L, "create");
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "create", push_write, &call);
    mw__lua_note_echo(registry->lua->current, path);
    int status = mw_create(registry->registry, path, value, options.ephemeral, &call, &self->op, &err);
    return mw__lua_op_wait(L, self, status, &err);
}

static int registry_put(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "put");
    mw_str path = mw__lua_check_string(L, 2, "put", "path"), value = mw__lua_check_string(L, 3, "put", "value");
    call_options options = mw__lua_call_options(L, 4, "put", mw__lua_write_options);
    if (!registry->registry)
        return mw__lua_closed(L, "put");
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "put", push_write, &call);
    mw__lua_note_echo(registry->lua->current, path);
    int status = mw_put(registry->registry, path, value, options.ephemeral, &call, &self->op, &err);
    return mw__lua_op_wait(L, self, status, &err);
}

static int registry_set(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "set");
    mw_str path = mw__lua_check_string(L, 2, "set", "path"), value = mw__lua_check_string(L, 3, "set", "value");
    call_options options = mw__lua_call_options(L, 4, "set", mw__lua_set_options);
    if (!registry->registry)
        return mw__lua_closed(L, "set");
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "set", push_write, &call);
    mw__lua_note_echo(registry->lua->current, path);
    int status = mw_set(registry->registry, path, value, options.version, &call, &self->op, &err);
    return mw__lua_op_wait(L, self, status, &err);
}

static int registry_delete(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "delete");
    mw_str path = mw__lua_check_string(L, 2, "delete", "path");
    call_options options = mw__lua_call_options(L, 3, "delete", mw__lua_delete_options);
    if (options.recursive && options.version != MW_VERSION_ANY)
        return mw__lua_bad_argument(L, "delete", "options", "'version' and 'recursive' exclude each other");
    if (!registry->registry)
        return mw__lua_closed(L, "delete");
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "delete", push_true, &call);
    int status = options.recursive ? mw_delete_recursive(registry->registry, path, &call, &self->op, &err)
                                   : mw_delete(registry->registry, path, options.version, &call, &self->op, &err);
    return mw__lua_op_wait(L, self, status, &err);
}

/* ---- Looking at locks, sessions and the server */

static int push_queue(lua_State *L, op_await *self) {
    lua_createtable(L, (int)self->entry_count, 0);
    for (size_t i = 0; i < self->entry_count; i++) {
        const mw_entry *member = &self->entries[i];
        lua_createtable(L, 0, 5);
        (void)lua_pushlstring(L, member->path.data, member->path.len);
        lua_setfield(L, -2, "path");
        (void)lua_pushlstring(L, member->value.data, member->value.len);
        lua_setfield(L, -2, "value");
        set_integer(L, "owner", (lua_Integer)member->owner);
        if (member->revision)
            set_integer(L, "token", member->revision);
        lua_pushnumber(L, (lua_Number)member->ctime / 1e3);
        lua_setfield(L, -2, "ctime");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int push_sessions(lua_State *L, op_await *self) {
    lua_createtable(L, (int)self->entry_count, 0);
    for (size_t i = 0; i < self->entry_count; i++) {
        const mw_entry *session = &self->entries[i];
        lua_createtable(L, 0, 4);
        set_integer(L, "id", (lua_Integer)session->owner);
        (void)lua_pushlstring(L, session->value.data, session->value.len);
        lua_setfield(L, -2, "name");
        lua_pushnumber(L, (lua_Number)session->ctime / 1e3);
        lua_setfield(L, -2, "opened");
        lua_pushnumber(L, (lua_Number)session->mtime / 1e3);
        lua_setfield(L, -2, "expires");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int registry_queue(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "queue");
    mw_str path = mw__lua_check_string(L, 2, "queue", "path");
    call_options options = mw__lua_call_options(L, 3, "queue", mw__lua_queue_options);
    if (!registry->registry)
        return mw__lua_closed(L, "queue");
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "queue", push_queue, &call);
    mw_request_kind kind = options.recursive ? MW_READ_QUEUES : MW_READ_QUEUE;
    return mw__lua_op_wait(L, self, mw_inspect(registry->registry, kind, path, &call, &self->op, &err), &err);
}

static int registry_sessions(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "sessions");
    call_options options = mw__lua_call_options(L, 2, "sessions", mw__lua_read_options);
    if (!registry->registry)
        return mw__lua_closed(L, "sessions");
    lua_settop(L, 1);
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "sessions", push_sessions, &call);
    int status = mw_inspect(registry->registry, MW_READ_SESSIONS, mw_str_of("/"), &call, &self->op, &err);
    return mw__lua_op_wait(L, self, status, &err);
}

static int push_version(lua_State *L, op_await *self) {
    mw_str version = self->entry_count ? self->entries[0].value : (mw_str){0};
    (void)lua_pushlstring(L, version.data, version.len);
    return 1;
}

static int registry_server_version(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "server_version");
    call_options options = mw__lua_call_options(L, 2, "server_version", mw__lua_read_options);
    if (!registry->registry)
        return mw__lua_closed(L, "server_version");
    lua_settop(L, 1);
    mw_call call;
    mw_error err;
    op_await *self = mw__lua_op_begin(L, registry, &options, "server_version", push_version, &call);
    int status = mw_inspect(registry->registry, MW_READ_VERSION, mw_str_of("/"), &call, &self->op, &err);
    return mw__lua_op_wait(L, self, status, &err);
}

void mw__lua_operations_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"get", registry_get},
                                       {"stat", registry_stat},
                                       {"children", registry_children},
                                       {"list", registry_list},
                                       {"create", registry_create},
                                       {"put", registry_put},
                                       {"set", registry_set},
                                       {"delete", registry_delete},
                                       {"queue", registry_queue},
                                       {"sessions", registry_sessions},
                                       {"server_version", registry_server_version},
                                       {NULL, NULL}};
    mw__lua_registry_methods(L, methods);
}
