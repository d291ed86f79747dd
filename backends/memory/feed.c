/* Feeds: a snapshot, then each change that concerns it.
 *
 * A weak feed holds changes back for a while and tells only the last of each path.
 *
 * Who watches what is found by path: a change looks for watchers at its own path and at each of its ancestors, however
 * many feeds there are elsewhere. A watched path need not exist. */
#include "server.h"

#include <stdlib.h>

/* A path that somebody watches. */
typedef struct mwm_point {
    mwm_hook by_path;
    mwm_ring subs;
    size_t len;
    char path[];
} mwm_point;

#define WEAK_DELAY (20 * MW_MS)

/* A change that a weak feed holds back. */
typedef struct mwm_late {
    mwm_ring in_sub;
    mwm_kind kind;
    int64_t revision;
    mwm_state *state;
} mwm_late;

/* One feed of one connection. */
typedef struct mwm_sub {
    mwm_hook by_id; /* in its wire */
    mwm_ring at_point;
    mwm_point *point;
    mwm_wire *wire;
    uint64_t id;
    mw_depth depth;
    mwm_ring late;
    mw_timer flush;
} mwm_sub;

static mw_str point_path(const mwm_point *point) {
    return (mw_str){point->path, point->len};
}

static mwm_point *point_find(const mw_memory_server *server, mw_str path, uint64_t hash) {
    mwm_hook *hook = mwm_index_find(&server->points, hash);
    for (; hook; hook = mwm_index_find_next(hook)) {
        mwm_point *found = mw_container(hook, mwm_point, by_path);
        if (mw_str_equal(point_path(found), path))
            return found;
    }
    return NULL;
}

static mwm_point *point_new(mw_memory_server *server, mw_str path) {
    mwm_point *made = calloc(1, sizeof *made + path.len);
    if (!made)
        return NULL;
    mwm_ring_init(&made->subs);
    made->len = path.len;
    memcpy(made->path, path.data, path.len);
    mwm_index_insert(&server->points, &made->by_path, mwm_hash(path));
    return made;
}

static void point_free_when_empty(mw_memory_server *server, mwm_point *point) {
    if (!mwm_ring_empty(&point->subs))
        return;
    mwm_index_remove(&server->points, &point->by_path);
    free(point);
}

/* ---- Telling */

/* What the client was shown, its reads must not fall behind. `complete`: the feed has told all up to this revision. */
static void tell(const mwm_sub *sub, mwm_kind kind, mwm_state *state, int64_t revision, int64_t complete) {
    mwm_msg *msg = mwm_wire_say(sub->wire, kind, sub->id, complete, state);
    if (msg)
        msg->revision = revision;
    if (sub->wire->faults.floor < revision)
        sub->wire->faults.floor = revision;
}

static void late_free(mwm_late *late) {
    mwm_ring_remove(&late->in_sub);
    mwm_state_free(late->state);
    free(late);
}

static void flush(mwm_sub *sub, bool aloud) {
    while (!mwm_ring_empty(&sub->late)) {
        mwm_late *late = mw_container(sub->late.next, mwm_late, in_sub);
        if (aloud) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer cannot follow a ring */
            tell(sub, late->kind, late->state, late->revision, 0);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer cannot follow a ring */
        late_free(late);
    }
}

static void flush_due(mw_timer *timer) {
    flush(mw_container(timer, mwm_sub, flush), true);
}

static void forget_earlier(mwm_sub *sub, mw_str path) {
    mwm_ring *next = sub->late.next;
    while (next != &sub->late) {
        mwm_late *late = mw_container(next, mwm_late, in_sub);
        next = next->next;
        if (mw_str_equal(mwm_state_path(late->state), path))
            late_free(late);
    }
}

static void hold_back(mwm_sub *sub, mwm_kind kind, mwm_state *state, int64_t revision) {
    mw_memory_server *server = sub->wire->server;
    forget_earlier(sub, mwm_state_path(state));
    mwm_late *late = malloc(sizeof *late);
    if (!late) {
        mwm_wire_cut(sub->wire);
        return;
    }
    *late = (mwm_late){.kind = kind, .revision = revision, .state = mwm_state_keep(state)};
    mwm_ring_add(&sub->late, &late->in_sub);
    if (mw_timer_armed(&sub->flush))
        return;
    if (mw_timer_start(server->host, &sub->flush, mwm_faults_dice(server, WEAK_DELAY)) != MW_OK)
        flush(sub, true);
}

/* A change that a feed covers. After it the feed is complete up to the revision before, since a txn of several changes
 * may be cut in two by a disconnect. */
static void tell_change(mwm_sub *sub, const mwm_change *change) {
    mwm_kind kind = change->after ? MWM_STATE : MWM_GONE;
    mwm_state *state = change->after ? change->after : change->before;
    if (mwm_faults_weak(sub->wire)) {
        hold_back(sub, kind, state, change->revision);
        return;
    }
    flush(sub, true);
    tell(sub, kind, state, change->revision, change->revision - 1);
}

static void tell_state(const mwm_sub *sub, mwm_state *state) {
    mwm_wire_say(sub->wire, MWM_STATE, sub->id, 0, state);
}

static void snapshot(const mwm_sub *sub, const mwm_store *store) {
    const mwm_node *top = mwm_store_find(store, point_path(sub->point));
    mwm_wire_say(sub->wire, MWM_BEGIN, sub->id, 0, NULL);
    if (top && sub->depth == MW_DEPTH_SELF)
        tell_state(sub, top->state);
    if (top && sub->depth == MW_DEPTH_CHILDREN)
        for (const mwm_ring *ring = top->children.next; ring != &top->children; ring = ring->next)
            tell_state(sub, mw_container(ring, mwm_node, sibling)->state);
    if (top && sub->depth == MW_DEPTH_SUBTREE)
        for (const mwm_node *node = top; (node = mwm_store_walk(top, node));)
            tell_state(sub, node->state);
    mwm_wire_say(sub->wire, MWM_SYNCED, sub->id, store->revision, NULL);
}

/* What was missed, from the log. */
static void catch_up(mwm_sub *sub, const mwm_store *store, int64_t seen) {
    for (size_t i = 0; i < store->log_count; i++) {
        const mwm_change *change = mwm_log_at(store, i);
        mwm_state *state = change->after ? change->after : change->before;
        if (change->revision > seen && mwm_covers(point_path(sub->point), sub->depth, mwm_state_path(state)))
            tell_change(sub, change);
    }
}

/* ---- Watching */

static mwm_sub *sub_find(const mwm_wire *wire, uint64_t id) {
    mwm_hook *hook = mwm_index_find(&wire->subs, mwm_hash_number(id));
    for (; hook; hook = mwm_index_find_next(hook)) {
        mwm_sub *found = mw_container(hook, mwm_sub, by_id);
        if (found->id == id)
            return found;
    }
    return NULL;
}

static void sub_free(mwm_sub *sub) {
    mw_memory_server *server = sub->wire->server;
    flush(sub, false);
    mw_timer_stop(server->host, &sub->flush);
    mwm_index_remove(&sub->wire->subs, &sub->by_id);
    mwm_ring_remove(&sub->at_point);
    point_free_when_empty(server, sub->point);
    server->feeds--;
    free(sub);
}

void mwm_feed_watch(mwm_wire *wire, const mwm_ask *ask) {
    mw_memory_server *server = wire->server;
    mwm_point *at = point_find(server, ask->path, mwm_hash(ask->path));
    if (!at)
        at = point_new(server, ask->path);
    mwm_sub *made = at ? calloc(1, sizeof *made) : NULL;
    if (!made) {
        if (at)
            point_free_when_empty(server, at);
        mwm_wire_cut(wire);
        return;
    }
    *made = (mwm_sub){.point = at, .wire = wire, .id = ask->msg.id, .depth = (mw_depth)ask->what};
    made->flush.fire = flush_due;
    mwm_ring_init(&made->late);
    mwm_ring_add(&at->subs, &made->at_point);
    mwm_index_insert(&wire->subs, &made->by_id, mwm_hash_number(made->id));
    server->feeds++;
    int64_t seen = ask->msg.number;
    if (seen && seen >= server->store.log_floor && seen <= server->store.revision)
        catch_up(made, &server->store, seen);
    else
        snapshot(made, &server->store);
}

void mwm_feed_unwatch(mwm_wire *wire, uint64_t id) {
    mwm_sub *found = sub_find(wire, id);
    if (found)
        sub_free(found);
}

void mwm_feed_drop_all(mwm_wire *wire) {
    mwm_hook *next = mwm_index_next(&wire->subs, NULL);
    while (next) {
        mwm_sub *one = mw_container(next, mwm_sub, by_id);
        next = mwm_index_next(&wire->subs, next);
        sub_free(one);
    }
}

/* ---- Publishing */

static void publish_at(mw_memory_server *server, mw_str top, uint64_t hash, const mwm_change *change,
                       mw_depth nearest) {
    mwm_point *at = point_find(server, top, hash);
    if (!at)
        return;
    for (mwm_ring *ring = at->subs.next; ring != &at->subs; ring = ring->next) {
        mwm_sub *one = mw_container(ring, mwm_sub, at_point);
        if (nearest == MW_DEPTH_SELF ? one->depth == MW_DEPTH_SELF : one->depth >= nearest)
            tell_change(one, change);
    }
}

/* From the root down to the path itself, hashing each byte once: the hash of an ancestor is the hash so far. */
void mwm_feed_publish(mw_memory_server *server, const mwm_change *change) {
    if (server->points.count == 0)
        return;
    mw_str path = mwm_state_path(change->after ? change->after : change->before);
    size_t parent_len = mwm_parent(path).len;
    uint64_t hash = mwm_hash_more(MWM_HASH_START, "/", 1);
    if (path.len > 1)
        publish_at(server, (mw_str){"/", 1}, hash, change, parent_len == 1 ? MW_DEPTH_CHILDREN : MW_DEPTH_SUBTREE);
    for (size_t i = 1; i < path.len; i++) {
        if (path.data[i] == '/')
            publish_at(server, (mw_str){path.data, i}, hash, change,
                       i == parent_len ? MW_DEPTH_CHILDREN : MW_DEPTH_SUBTREE);
        hash = mwm_hash_more(hash, path.data + i, 1);
    }
    publish_at(server, path, hash, change, MW_DEPTH_SELF);
}
