/* Memory servers, which any number of registries of one world (or of the real host) share. */
#include "internal.h"

#include <backends/memory/memory.h>

#include <stdlib.h>
#include <string.h>

/* Lives until its world or its context is closed: connections may outlive every handle. */
struct mw_lua_server {
    mw_memory_server *server;
    mw_memory_copy *copy; /* the last backup, or NULL */
    mw_lua_server *next;
};

typedef struct server_box {
    mw_lua_world *world; /* NULL: on the real host */
    mw_lua_server *server;
} server_box;

typedef struct server_options {
    lua_Integer seed, log_size;
    mw_time session_timeout;
    bool weak;
} server_options;

static const mw_option_spec specs[] = {
    {"seed", MW_OPTION_INTEGER, offsetof(server_options, seed), NULL},
    {"log_size", MW_OPTION_INTEGER, offsetof(server_options, log_size), NULL},
    {"session_timeout", MW_OPTION_DURATION, offsetof(server_options, session_timeout), NULL},
    {"weak", MW_OPTION_BOOLEAN, offsetof(server_options, weak), NULL},
    {NULL, 0, 0, NULL}};

int mw__lua_push_server(lua_State *L, int index, mw_host *host, mw_lua_world *world, mw_lua_server **list) {
    server_options options = {.seed = 1};
    mw__lua_check_options(L, index, "memory_server", specs, &options);
    if (options.log_size < 0)
        return mw__lua_bad_argument(L, "memory_server", "log_size", "0 or more expected");
    server_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    memset(box, 0, sizeof *box);
    luaL_setmetatable(L, MW_CLASS_SERVER);
    mw_lua_server *self = calloc(1, sizeof *self);
    mw_memory_options wanted = {.seed = (uint64_t)options.seed,
                                .session_timeout = options.session_timeout,
                                .log_size = (size_t)options.log_size,
                                .weak = options.weak};
    mw_error err;
    if (!self || mw_memory_server_new(host, &wanted, &self->server, &err) != MW_OK) {
        free(self);
        return luaL_error(L, "not enough memory for a server");
    }
    self->next = *list;
    *list = self;
    box->server = self;
    box->world = world;
    if (world) {
        lua_pushvalue(L, 1);
        (void)lua_setiuservalue(L, -2, 1); /* keeps the world */
    }
    return 1;
}

void mw__lua_servers_free(mw_lua_server **list) {
    while (*list) {
        mw_lua_server *self = *list;
        *list = self->next;
        mw_memory_copy_free(self->copy);
        mw_memory_server_free(self->server);
        free(self);
    }
}

mw_memory_server *mw__lua_check_server(lua_State *L, const char *function) {
    server_box *box = mw__lua_check_self(L, MW_CLASS_SERVER, function);
    if (box->world && !mw__lua_world_is_open(box->world))
        mw__lua_raise(L, "bad argument 'self' to '%s': its world is closed", function);
    return box->server->server;
}

const mw_backend *mw__lua_to_server(lua_State *L, int index, mw_lua_world **ret_world) {
    server_box *box = luaL_testudata(L, index, MW_CLASS_SERVER);
    if (!box)
        return NULL;
    if (box->world && !mw__lua_world_is_open(box->world))
        (void)mw__lua_bad_argument(L, "open", "server", "its world is closed");
    *ret_world = box->world;
    return mw_memory_backend(box->server->server);
}

/* memory_server{...}: on the real host, for programs that want several registries in one process. */
static int core_memory_server(lua_State *L) {
    mw_process *process = mw__lua_process_real(L);
    return mw__lua_push_server(L, 1, process->host, NULL, &process->lua->servers);
}

static int server_revision(lua_State *L) {
    lua_pushinteger(L, mw_memory_revision(mw__lua_check_server(L, "revision")));
    return 1;
}

static mw_lua_server *check_box(lua_State *L, const char *function) {
    (void)mw__lua_check_server(L, function);
    return ((server_box *)lua_touserdata(L, 1))->server;
}

/* server:backup(): a copy of the persistent entries, in place of the one before */
static int server_backup(lua_State *L) {
    mw_lua_server *self = check_box(L, "backup");
    mw_memory_copy *copy = NULL;
    if (mw_memory_copy_new(self->server, &copy, NULL) != MW_OK)
        return luaL_error(L, "not enough memory for a copy");
    mw_memory_copy_free(self->copy);
    self->copy = copy;
    return 0;
}

/* server:restore(): goes back to the last backup; false when there is none */
static int server_restore(lua_State *L) {
    mw_lua_server *self = check_box(L, "restore");
    if (self->copy && mw_memory_restore(self->server, self->copy, NULL) != MW_OK)
        return luaL_error(L, "not enough memory for going back to a copy");
    lua_pushboolean(L, self->copy != NULL);
    return 1;
}

static int server_count(lua_State *L) {
    mw_memory_counts counts;
    mw_memory_count(mw__lua_check_server(L, "count"), &counts);
    const struct {
        const char *name;
        size_t value;
    } fields[] = {{"entries", counts.entries},
                  {"sessions", counts.sessions},
                  {"feeds", counts.feeds},
                  {"tickets", counts.tickets},
                  {"connections", counts.connections}};
    lua_createtable(L, 0, 5);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lua_pushinteger(L, (lua_Integer)fields[i].value);
        lua_setfield(L, -2, fields[i].name);
    }
    return 1;
}

void mw__lua_server_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"revision", server_revision},
                                       {"count", server_count},
                                       {"backup", server_backup},
                                       {"restore", server_restore},
                                       {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_SERVER, methods, NULL, NULL);
    (void)lua_getfield(L, -1, "classes");
    (void)lua_getfield(L, -1, MW_CLASS_SERVER);
    luaL_setfuncs(L, mw__lua_server_faults, 0);
    lua_pop(L, 2);
    lua_pushcfunction(L, core_memory_server);
    lua_setfield(L, -2, "memory_server");
}
