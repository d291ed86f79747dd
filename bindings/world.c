/* The virtual world for specs: seeded time, simulated processes, memory servers. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Steps of a closing world before it is taken to be stuck. */
#define LAST_STEPS 1000000

typedef struct host_node {
    mw_process process;
    struct host_node *next;
} host_node;

struct mw_lua_world {
    mw_lua *lua;
    mw_world *world; /* NULL once closed */
    host_node *hosts;
    mw_process *main;
    struct mw_lua_server *servers;
    mw_lua_world *outer; /* the one that was current before */
    int refs;            /* its userdata, and those of its hosts */
    bool closing;
    bool orphan; /* its userdata went while it could not be closed */
};

typedef struct host_box {
    mw_lua_world *world;
    mw_process *process; /* dead with the world */
} host_box;

static mw_lua_world **check_world(lua_State *L, const char *function) {
    mw_lua_world **box = mw__lua_check_self(L, MW_CLASS_WORLD, function);
    if (!*box || !(*box)->world)
        mw__lua_raise(L, "bad argument 'self' to '%s': the world is closed", function);
    return box;
}

static void unref_world(mw_lua_world *world) {
    if (--world->refs == 0)
        free(world);
}

/* ---- Log */

/* Lines of simulated processes go where those of the real one would. */
static void log_on(void *arg, mw_log_level level, const char *component, const char *line) {
    mw_lua_world *world = arg;
    mw_lua *lua = world->lua;
    if (lua->real.host)
        mw_log(lua->real.host, level, component, "%s", line);
}

/* ---- Hosts */

static mw_process *add_host(lua_State *L, mw_lua_world *world) {
    mw_error err;
    mw_host *host = NULL;
    (void)mw__lua_process_real(L); /* for the log */
    host_node *node = calloc(1, sizeof *node);
    if (!node || mw_world_host(world->world, log_on, world, &host, &err) != MW_OK) {
        free(node);
        mw__lua_raise(L, "not enough memory for a host");
        return NULL;
    }
    mw__lua_process_init(&node->process, world->lua, host, world);
    node->process.closing = world->closing;
    node->next = world->hosts;
    world->hosts = node;
    return &node->process;
}

mw_process *mw__lua_world_main(lua_State *L, mw_lua_world *world) {
    if (!world->main)
        world->main = add_host(L, world);
    return world->main;
}

static int push_host(lua_State *L, mw_lua_world *world, mw_process *process) {
    host_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    box->world = NULL;
    luaL_setmetatable(L, MW_CLASS_HOST);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1); /* keeps the world */
    box->world = world;
    box->process = process;
    world->refs++;
    return 1;
}

static int world_host(lua_State *L) {
    mw_lua_world *world = *check_world(L, "host");
    return push_host(L, world, add_host(L, world));
}

static int host_gc(lua_State *L) {
    host_box *box = lua_touserdata(L, 1);
    if (box->world)
        unref_world(box->world);
    box->world = NULL;
    return 0;
}

mw_process *mw__lua_to_process(lua_State *L, int index) {
    host_box *box = luaL_testudata(L, index, MW_CLASS_HOST);
    return box && box->world && box->world->world ? box->process : NULL;
}

static mw_process *check_host(lua_State *L, const char *function) {
    (void)mw__lua_check_self(L, MW_CLASS_HOST, function);
    mw_process *process = mw__lua_to_process(L, 1);
    if (!process)
        mw__lua_raise(L, "bad argument 'self' to '%s': its world is closed", function);
    return process;
}

static int host_pause(lua_State *L) {
    mw_process *process = check_host(L, "pause");
    process->paused = true;
    mw_virtual_pause(process->host);
    return 0;
}

static int host_resume(lua_State *L) {
    mw_process *process = check_host(L, "resume");
    if (process->killed)
        return luaL_error(L, "bad argument 'self' to 'resume': the host was killed");
    process->paused = false;
    mw_virtual_resume(process->host);
    return 0;
}

/* Stopped for ever: nothing of it runs again while the world lives. (What it holds is released with the world, which a
 * host killed through mw_virtual_kill could not do any more.) */
static int host_kill(lua_State *L) {
    mw_process *process = check_host(L, "kill");
    if (process->lua->current && process->lua->current->process == process)
        return luaL_error(L, "bad argument 'self' to 'kill': a task cannot kill its own host");
    process->killed = true;
    mw_virtual_pause(process->host);
    return 0;
}

static int host_pending(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)mw_virtual_pending(check_host(L, "pending")->host));
    return 1;
}

static int host_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)mw_host_now(check_host(L, "now")->host) / 1e9);
    return 1;
}

/* ---- Worlds */

/* core.world(seed): current until it is closed; plain code waits in its time. */
static int core_world(lua_State *L) {
    lua_Integer seed = luaL_optinteger(L, 1, 1);
    mw_lua *lua = mw__lua_context(L);
    mw_error err;
    mw_lua_world **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, MW_CLASS_WORLD);
    mw_lua_world *world = calloc(1, sizeof *world);
    if (!world || mw_world_new((uint64_t)seed, &world->world, &err) != MW_OK) {
        free(world);
        return luaL_error(L, "not enough memory for a world");
    }
    world->lua = lua;
    world->refs = 1;
    world->outer = lua->world;
    lua->world = world;
    *box = world;
    return 1;
}

bool mw__lua_world_is_open(const mw_lua_world *world) {
    return world->world != NULL;
}

bool mw__lua_world_step(mw_lua_world *world) {
    return mw_world_step(world->world);
}

static void must_be_outside(lua_State *L, mw_lua *lua, const char *function) {
    if (lua->current || lua->looping)
        mw__lua_raise(L, "'%s' cannot be used in a task: it runs the world that the task is part of", function);
}

static int world_step(lua_State *L) {
    mw_lua_world *world = *check_world(L, "step");
    must_be_outside(L, world->lua, "step");
    world->lua->looping++;
    lua_pushboolean(L, mw_world_step(world->world));
    world->lua->looping--;
    return 1;
}

static int world_advance(lua_State *L) {
    mw_lua_world *world = *check_world(L, "advance");
    mw_time span = mw__lua_check_duration(L, 2, "advance", "duration");
    must_be_outside(L, world->lua, "advance");
    if (span == MW_FOREVER)
        return mw__lua_bad_argument(L, "advance", "duration", "a finite duration expected");
    world->lua->looping++;
    mw_world_advance(world->world, span);
    world->lua->looping--;
    return 0;
}

static int world_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)mw_world_now((*check_world(L, "now"))->world) / 1e9);
    return 1;
}

/* Timers, defers and holds of all hosts. */
static int world_pending(lua_State *L) {
    mw_lua_world *world = *check_world(L, "pending");
    size_t pending = 0;
    for (host_node *node = world->hosts; node; node = node->next)
        pending += mw_virtual_pending(node->process.host);
    lua_pushinteger(L, (lua_Integer)pending);
    return 1;
}

/* What their `<close>` variables do begins nothing that would outlive the world. */
static void drop_tasks(mw_process *process) {
    process->dropping = true;
    for (mw_task *task = process->lua->tasks; task;) {
        bool here = task->process == process;
        if (here)
            mw__lua_task_drop(task);
        task = here ? process->lua->tasks : task->next;
    }
    process->dropping = false;
}

static bool registries_left(const mw_lua_world *world) {
    for (host_node *node = world->hosts; node; node = node->next) {
        if (node->process.registries)
            return true;
    }
    return false;
}

static void close_world(mw_lua_world *world) {
    mw_lua *lua = world->lua;
    world->closing = true;
    for (host_node *node = world->hosts; node; node = node->next)
        node->process.closing = true;
    for (host_node *node = world->hosts; node; node = node->next) {
        drop_tasks(&node->process);
        for (mw_lua_registry *one = node->process.registries, *next; one; one = next) {
            next = one->next;
            mw__lua_registry_close(one, 0, true);
        }
        mw_virtual_resume(node->process.host);
    }
    lua->looping++;
    for (int i = 0; i < LAST_STEPS && registries_left(world); i++) {
        if (!mw_world_step(world->world))
            break;
    }
    lua->looping--;
    for (host_node *node = world->hosts; node; node = node->next)
        drop_tasks(&node->process); /* what heard `closed` */
    mw__lua_servers_free(&world->servers);
    for (host_node *node = world->hosts, *next; node; node = next) {
        next = node->next;
        mw__lua_process_release(&node->process);
        free(node);
    }
    world->hosts = NULL;
    world->main = NULL;
    mw_world_free(world->world);
    world->world = NULL;
    for (mw_lua_world **at = &lua->world; *at; at = &(*at)->outer) {
        if (*at == world) {
            *at = world->outer;
            break;
        }
    }
    if (world->orphan)
        unref_world(world);
}

void mw__lua_worlds_close(mw_lua *lua) {
    while (lua->world)
        close_world(lua->world);
}

static int world_close(lua_State *L) {
    mw_lua_world **box = mw__lua_check_self(L, MW_CLASS_WORLD, "close");
    if (!*box || !(*box)->world)
        return 0;
    must_be_outside(L, (*box)->lua, "close");
    close_world(*box);
    return 0;
}

/* A world that nobody holds any more is closed where that is possible, else with the state. */
static int world_gc(lua_State *L) {
    mw_lua_world **box = lua_touserdata(L, 1);
    mw_lua_world *world = *box;
    if (!world)
        return 0;
    if (world->world && !world->lua->current && !world->lua->looping)
        close_world(world);
    world->orphan = world->world != NULL;
    if (!world->orphan)
        unref_world(world);
    *box = NULL;
    return 0;
}

/* A server of its own process, which nobody can pause or kill. */
static int world_memory_server(lua_State *L) {
    mw_lua_world *world = *check_world(L, "memory_server");
    mw_error err;
    mw_host *host = NULL;
    (void)mw__lua_process_real(L); /* for the log */
    if (mw_world_host(world->world, log_on, world, &host, &err) != MW_OK)
        return luaL_error(L, "%s", err.message);
    return mw__lua_push_server(L, 2, host, world, &world->servers);
}

void mw__lua_world_open(lua_State *L) {
    static const luaL_Reg world_methods[] = {{"memory_server", world_memory_server},
                                             {"host", world_host},
                                             {"step", world_step},
                                             {"advance", world_advance},
                                             {"now", world_now},
                                             {"close", world_close},
                                             {"pending", world_pending},
                                             {NULL, NULL}};
    static const luaL_Reg world_meta[] = {{"__gc", world_gc}, {"__close", world_close}, {NULL, NULL}};
    static const luaL_Reg host_methods[] = {
        {"pause", host_pause},     {"resume", host_resume},       {"kill", host_kill}, {"now", host_now},
        {"pending", host_pending}, {"spawn", mw__lua_host_spawn}, {NULL, NULL}};
    static const luaL_Reg host_meta[] = {{"__gc", host_gc}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_WORLD, world_methods, world_meta, NULL);
    mw__lua_class(L, MW_CLASS_HOST, host_methods, host_meta, NULL);
    lua_pushcfunction(L, core_world);
    lua_setfield(L, -2, "world");
    mw__lua_server_open(L);
}
