/* Subscriptions: their life, and those who iterate over their events. */
#include "subscription.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 10000

typedef mw_lua_subscription subscription;

void mw__lua_subscription_unref(subscription *sub) {
    if (--sub->refs)
        return;
    mw__lua_lanes_clear(&sub->lanes);
    free(sub->failure_text);
    free(sub);
}

static bool reacts(const subscription *sub) {
    return sub->reaction_ref != LUA_NOREF;
}

static void wake(mw_await **list) {
    for (mw_await *await; (await = *list);) {
        *list = await->link;
        mw__lua_await_done(await);
    }
}

/* Of those who iterate: the one who has waited longest. */
static void wake_one(subscription *sub) {
    mw_await *waiter = sub->waiters;
    if (!waiter)
        return;
    sub->waiters = waiter->link;
    mw__lua_await_done(waiter);
}

/* The handle may be collected from now on. */
static void let_go(subscription *sub) {
    luaL_unref(sub->lua->work, LUA_REGISTRYINDEX, sub->self_ref);
    sub->self_ref = LUA_NOREF;
}

static void close_subscription(subscription *sub) {
    if (sub->closed)
        return;
    sub->closed = true;
    mw_unsubscribe(sub->subscription);
    sub->subscription = NULL;
    mw__lua_member_remove(&sub->member);
    mw__lua_queue_remove(&sub->run);
    mw__lua_lanes_clear(&sub->lanes);
    wake(&sub->waiters);
    wake(&sub->sync_waiters);
    let_go(sub);
}

static void close_member(mw_member *member) {
    close_subscription(mw_container(member, subscription, member));
}

/* ---- Events as tables */

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_str(lua_State *L, const char *name, mw_str text) {
    (void)lua_pushlstring(L, text.data, text.len);
    lua_setfield(L, -2, name);
}

void mw__lua_push_event(lua_State *L, const mw_event *event) {
    lua_createtable(L, 0, 8);
    lua_pushstring(L, mw_event_text(event->kind));
    lua_setfield(L, -2, "type");
    set_str(L, "path", event->entry.path);
    set_integer(L, "revision", event->entry.revision);
    if (event->kind == MW_SYNCED)
        return;
    set_str(L, "value", event->entry.value);
    set_integer(L, "version", event->entry.version);
    set_integer(L, "created", event->entry.created);
    if (event->kind == MW_UPDATED)
        set_str(L, "previous", event->previous);
    if (event->entry.owner)
        set_integer(L, "owner", (lua_Integer)event->entry.owner);
}

/* ---- What the core tells */

void mw__lua_subscription_synced(subscription *sub) {
    sub->synced = true;
    wake(&sub->sync_waiters);
}

static void on_event(void *arg, const mw_event *event) {
    subscription *sub = arg;
    mw_note *note = mw__lua_note_new(event);
    if (!note) {
        mw_log(sub->process->host, MW_LOG_ERROR, "lua", "out of memory: an event of %.*s is not delivered",
               (int)(event->entry.path.len < 200 ? event->entry.path.len : 200), event->entry.path.data);
        return;
    }
    mw__lua_lanes_push(&sub->lanes, note);
    if (sub->lanes.queued > sub->limit || sub->lanes.bytes > MW_LANES_BYTES)
        mw__lua_lanes_spill(&sub->lanes);
    if (reacts(sub)) {
        mw__lua_process_ready(sub->process, &sub->run);
        return;
    }
    if (event->kind == MW_SYNCED)
        mw__lua_subscription_synced(sub);
    wake_one(sub);
}

static void on_failed(void *arg, const mw_error *why) {
    subscription *sub = arg;
    sub->failure = why->code ? why->code : MW_EINTERNAL;
    sub->failure_text = strdup(why->message);
    if (reacts(sub)) /* who iterates is told */
        mw_log(sub->process->host, MW_LOG_ERROR, "lua", "a subscription has ended: %s", why->message);
    close_subscription(sub);
}

/* ---- Methods */

static subscription *check_subscription(lua_State *L, const char *function) {
    return mw__lua_check_box(L, MW_CLASS_SUBSCRIPTION, function);
}

typedef struct options {
    int depth, overlap;
    lua_Integer limit;
} options;

static const char *const depths[] = {"self", "children", "subtree", NULL};
static const char *const overlaps[] = {"queue", "latest", "cancel", NULL};
static const mw_option_spec specs[] = {{"depth", MW_OPTION_CHOICE, offsetof(options, depth), depths},
                                       {"overlap", MW_OPTION_CHOICE, offsetof(options, overlap), overlaps},
                                       {"limit", MW_OPTION_INTEGER, offsetof(options, limit), NULL},
                                       {NULL, 0, 0, NULL}};

/* The options at `index`, checked. (longjmp) */
static options check_options(lua_State *L, int index, const char *function) {
    options chosen = {.depth = MW_DEPTH_CHILDREN, .limit = DEFAULT_LIMIT};
    mw__lua_check_options(L, index, function, specs, &chosen);
    if (chosen.limit < 1)
        (void)mw__lua_bad_argument(L, function, "limit", "1 or more expected");
    return chosen;
}

/* subscribe_options(options, function): raises, in the function's name, what `subscribe` would raise. */
static int core_subscribe_options(lua_State *L) {
    lua_settop(L, 2);
    (void)check_options(L, 1, luaL_checkstring(L, 2));
    return 0;
}

static subscription *new_subscription(lua_State *L, mw_lua_registry *registry, const options *chosen) {
    subscription **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = NULL;
    luaL_setmetatable(L, MW_CLASS_SUBSCRIPTION);
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1); /* keeps the registry */
    subscription *sub = calloc(1, sizeof *sub);
    if (!sub) {
        mw__lua_raise(L, "not enough memory");
        return NULL;
    }
    sub->lua = registry->lua;
    sub->process = registry->process;
    sub->run.run = mw__lua_reactions_run;
    sub->overlap = (overlap)chosen->overlap;
    sub->limit = (size_t)chosen->limit;
    sub->reaction_ref = sub->self_ref = LUA_NOREF;
    sub->closed = true; /* until it is whole */
    sub->refs = 1;
    *box = sub;
    return sub;
}

/* subscribe(path, options?, reaction?); the options may be left out. */
static int registry_subscribe(lua_State *L) {
    mw_lua_registry *registry = mw__lua_check_registry(L, "subscribe");
    mw_str path = mw__lua_check_path(L, 2, "subscribe", "path");
    if (lua_isfunction(L, 3) && lua_isnoneornil(L, 4)) {
        lua_settop(L, 3);
        lua_pushnil(L);
        lua_insert(L, 3);
    }
    options chosen = check_options(L, 3, "subscribe");
    lua_settop(L, 4);
    if (!lua_isnil(L, 4))
        mw__lua_check_function(L, 4, "subscribe", "reaction");
    if (!registry->registry)
        return mw__lua_closed(L, "subscribe");
    subscription *sub = new_subscription(L, registry, &chosen);
    if (!lua_isnil(L, 4)) {
        lua_pushvalue(L, 4);
        sub->reaction_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_pushvalue(L, 5);
        sub->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    mw_error err;
    int status = mw_subscribe(registry->registry, path, (mw_depth)chosen.depth, on_event, on_failed, sub,
                              &sub->subscription, &err);
    if (status != MW_OK) {
        let_go(sub);
        return mw__lua_failure(L, status, err.message, path, registry->backend);
    }
    sub->closed = false;
    mw__lua_member_add(registry, &sub->member, close_member);
    return 1;
}

static int subscription_close(lua_State *L) {
    subscription **box = mw__lua_check_self(L, MW_CLASS_SUBSCRIPTION, "close");
    if (*box)
        close_subscription(*box);
    return 0;
}

static int subscription_gc(lua_State *L) {
    subscription **box = lua_touserdata(L, 1);
    subscription *sub = *box;
    if (!sub || mw__lua_forked(sub->lua))
        return 0;
    close_subscription(sub);
    luaL_unref(L, LUA_REGISTRYINDEX, sub->reaction_ref);
    mw__lua_subscription_unref(sub);
    *box = NULL;
    return 0;
}

/* ---- Waiting for events */

typedef struct sub_await {
    mw_await await;
    subscription *sub; /* counted */
    mw_await **list;
} sub_await;

static void sub_release(mw_await *await) {
    mw__lua_subscription_unref(((sub_await *)(void *)await)->sub);
}

static void sub_drop(mw_await *await) {
    sub_await *self = (sub_await *)(void *)await;
    subscription *sub = self->sub;
    const mw_lanes *lanes = &sub->lanes;
    mw_await **at = self->list;
    while (*at && *at != await)
        at = &(*at)->link;
    if (*at)
        *at = await->link;
    if (await->done && self->list == &sub->waiters && (lanes->first || lanes->wait_first || lanes->synced))
        wake_one(sub); /* what it was woken for is another's */
    mw__lua_await_free(await);
}

static void join_list(mw_await *await) {
    mw_await **at = ((sub_await *)(void *)await)->list;
    while (*at)
        at = &(*at)->link;
    await->link = NULL;
    *at = await;
}

static sub_await *begin_await(lua_State *L, subscription *sub, mw_await **list,
                              int (*finish)(lua_State *, mw_await *)) {
    sub_await *self = mw__lua_await_new(sub->lua, sizeof *self, finish, sub_drop);
    if (!self) {
        mw__lua_raise(L, "not enough memory");
        return NULL;
    }
    self->await.release = sub_release;
    self->sub = sub;
    self->list = list;
    sub->refs++;
    return self;
}

/* The next note for one who iterates; a lane's next in turn once the queue has spilled. */
static mw_note *take(subscription *sub) {
    mw_lanes *lanes = &sub->lanes;
    mw_lane *lane = mw__lua_lanes_next_waiting(lanes);
    if (!lane) {
        mw_note *synced = lanes->synced;
        lanes->synced = NULL;
        return synced ? synced : mw__lua_lanes_shift(lanes);
    }
    mw_note *note = mw__lua_lane_shift(lanes, lane);
    if (lane->first)
        mw__lua_lane_wait(lanes, lane);
    else
        mw__lua_lane_free(lanes, lane);
    return note ? note : take(sub);
}

/* The note is anchored while it becomes a table. */
static void push_note(lua_State *L, mw_note *note) {
    mw__lua_push_event(L, &note->event);
    free(note);
}

/* The end: nothing more by our own doing, else nil, err. */
static int push_failure(lua_State *L, const subscription *sub) {
    mw_str none = {0};
    return sub->failure ? mw__lua_failure(L, sub->failure, sub->failure_text, none, NULL) : 0;
}

static int next_finish(lua_State *L, mw_await *await) {
    sub_await *self = (sub_await *)(void *)await;
    subscription *sub = self->sub;
    mw_note *note = take(sub);
    if (!note && !sub->closed) { /* another one has taken it */
        await->done = false;
        join_list(await);
        return mw__lua_wait(L, sub->process, await);
    }
    if (!note) {
        int count = push_failure(L, sub);
        mw__lua_await_free(await);
        return count;
    }
    mw__lua_await_free(await);
    push_note(L, note);
    return 1;
}

/* The iterator: called with the subscription. */
static int next_event(lua_State *L) {
    subscription *sub = check_subscription(L, "events");
    mw__lua_must_be_able_to_wait(L, "events");
    mw_note *note = take(sub);
    if (note) {
        push_note(L, note);
        return 1;
    }
    if (sub->closed)
        return push_failure(L, sub);
    sub_await *self = begin_await(L, sub, &sub->waiters, next_finish);
    join_list(&self->await);
    return mw__lua_wait(L, sub->process, &self->await);
}

static int subscription_events(lua_State *L) {
    if (reacts(check_subscription(L, "events")))
        return luaL_error(L, "bad argument 'self' to 'events': this subscription has a reaction");
    lua_pushcfunction(L, next_event);
    lua_pushvalue(L, 1);
    return 2;
}

static int synced_finish(lua_State *L, mw_await *await) {
    sub_await *self = (sub_await *)(void *)await;
    subscription *sub = self->sub;
    mw_str none = {0};
    int count = 1;
    if (sub->synced)
        lua_pushboolean(L, 1);
    else
        count = mw__lua_failure(L, sub->failure ? sub->failure : MW_ECLOSED,
                                sub->failure_text ? sub->failure_text : "the subscription was closed", none, NULL);
    mw__lua_await_free(await);
    return count;
}

static int subscription_synced(lua_State *L) {
    subscription *sub = check_subscription(L, "synced");
    mw__lua_must_be_able_to_wait(L, "synced");
    sub_await *self = begin_await(L, sub, &sub->sync_waiters, synced_finish);
    if (sub->synced || sub->closed) {
        self->await.done = true;
        return synced_finish(L, &self->await);
    }
    join_list(&self->await);
    return mw__lua_wait(L, sub->process, &self->await);
}

/* ---- The cached entries */

typedef struct collector {
    mw_entry *entries;
    char *bytes;
    size_t count, size;
} collector;

static void measure(void *arg, const mw_entry *entry) {
    collector *all = arg;
    all->count++;
    all->size += entry->path.len + entry->value.len;
}

static void collect(void *arg, const mw_entry *entry) {
    collector *all = arg;
    mw_entry *copy = &all->entries[all->count++];
    *copy = *entry;
    memcpy(all->bytes, entry->path.data, entry->path.len);
    copy->path.data = all->bytes;
    all->bytes += entry->path.len;
    if (entry->value.len)
        memcpy(all->bytes, entry->value.data, entry->value.len);
    copy->value.data = all->bytes;
    all->bytes += entry->value.len;
}

/* Copied first: the visits must not raise. */
static int subscription_entries(lua_State *L) {
    const subscription *sub = check_subscription(L, "entries");
    collector all = {0};
    if (sub->subscription)
        mw_subscription_each(sub->subscription, measure, &all);
    size_t count = all.count;
    mw_entry *copies = lua_newuserdatauv(L, count * sizeof *copies + all.size + 1, 0);
    all = (collector){.entries = copies, .bytes = (char *)(copies + count)};
    if (sub->subscription)
        mw_subscription_each(sub->subscription, collect, &all);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < all.count; i++) {
        mw__lua_push_entry(L, &copies[i], true);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void mw__lua_subscription_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"events", subscription_events},
                                       {"synced", subscription_synced},
                                       {"entries", subscription_entries},
                                       {"close", subscription_close},
                                       {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", subscription_gc}, {"__close", subscription_close}, {NULL, NULL}};
    static const luaL_Reg on_registry[] = {{"subscribe", registry_subscribe}, {NULL, NULL}};
    mw__lua_class(L, MW_CLASS_SUBSCRIPTION, methods, meta, NULL);
    lua_pushcfunction(L, core_subscribe_options);
    lua_setfield(L, -2, "subscribe_options");
    mw__lua_registry_methods(L, on_registry);
}
