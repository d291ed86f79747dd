/* Telling scripts that something was taken away. */
#include "notice.h"

#include <stdio.h>
#include <stdlib.h>

/* Its address names, in the state's registry, the table of objects by their keys. Weak: it keeps nothing alive. */
static const char objects_key = 0;

/* What the task needs. It holds its own references: the object may be closed before the task is over. */
typedef struct mw_telling {
    const mw_notice *notice;
    lua_State *work;
    int function_ref, object_ref;
    mw_error why;
    const char *what;
} mw_telling;

static void push_objects(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    (void)lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &objects_key);
}

/* Set aside what a telling takes. */
static bool provide(mw_notice *notice) {
    if (!notice->telling)
        notice->telling = calloc(1, sizeof *notice->telling);
    if (!notice->task)
        notice->task = mw__lua_task_reserve(notice->process->lua);
    return notice->telling && notice->task;
}

void mw__lua_notice_init(lua_State *L, mw_notice *notice, mw_process *process, int function, const void *key,
                         const char *what) {
    notice->process = process;
    notice->what = what;
    notice->key = key;
    notice->function_ref = LUA_NOREF;
    if (!function)
        return;
    push_objects(L);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, key);
    lua_pop(L, 1);
    lua_pushvalue(L, function);
    notice->function_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!provide(notice))
        (void)luaL_error(L, "not enough memory");
}

static int take_references(lua_State *L) {
    mw_telling *self = lua_touserdata(L, 1);
    push_objects(L);
    (void)lua_rawgetp(L, -1, self->notice->key);
    self->object_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->notice->function_ref);
    self->function_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int prepare(lua_State *L, mw_task *task) {
    const mw_telling *self = task->arg;
    mw_str none = {0};
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->function_ref);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->object_ref);
    if (self->why.code == MW_OK) /* by the script's own doing */
        lua_pushnil(L);
    else
        mw__lua_push_error(L, self->why.code, self->why.message, none, NULL);
    return 2;
}

static void describe(const mw_task *task, char *text, size_t size) {
    (void)snprintf(text, size, "%s", ((const mw_telling *)task->arg)->what);
}

static void ended(mw_task *task) {
    mw_telling *self = task->arg;
    luaL_unref(self->work, LUA_REGISTRYINDEX, self->function_ref);
    luaL_unref(self->work, LUA_REGISTRYINDEX, self->object_ref);
    free(self);
}

void mw__lua_notice_tell(mw_notice *notice, const mw_error *why) {
    mw_lua *lua = notice->process->lua;
    if (notice->function_ref == LUA_NOREF || !mw__lua_tasks_start(notice->process))
        return;
    if (!provide(notice)) {
        mw_log(notice->process->host, MW_LOG_ERROR, "lua", "out of memory: no %s", notice->what);
        return;
    }
    mw_telling *self = notice->telling;
    mw_task *task = notice->task;
    notice->telling = NULL;
    notice->task = NULL;
    *self = (mw_telling){.notice = notice,
                         .work = lua->work,
                         .function_ref = LUA_NOREF,
                         .object_ref = LUA_NOREF,
                         .why = *why,
                         .what = notice->what};
    mw__lua_task_use(task, notice->process);
    task->arg = self;
    task->prepare = prepare;
    task->describe = describe;
    task->ended = ended;
    if (mw__lua_protected(lua, take_references, self, notice->what))
        mw__lua_process_urgent(notice->process, &task->run);
    else
        mw__lua_task_cancel(task);
    (void)provide(notice);
}

void mw__lua_notice_release(mw_notice *notice) {
    mw_lua *lua = notice->process->lua;
    free(notice->telling);
    notice->telling = NULL;
    mw__lua_task_unreserve(lua, notice->task);
    notice->task = NULL;
    luaL_unref(lua->work, LUA_REGISTRYINDEX, notice->function_ref);
    notice->function_ref = LUA_NOREF;
}
