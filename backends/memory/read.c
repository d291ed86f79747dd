/* Reads: entries, lock queues, sessions. */
#include "server.h"

static void found(mwm_wire *wire, const mwm_ask *ask, mwm_state *state) {
    mwm_wire_say(wire, MWM_RESULT, ask->msg.id, 0, state);
}

/* ---- Which revision a read shows
 *
 * The present one; except in `weak` mode, where a read lags, and on a server that is cut off, where time stands still.
 */

#define WEAK_LAG 32

typedef struct mwm_view {
    mwm_wire *wire;
    const mwm_ask *ask;
    int64_t from, to; /* each entry at a revision of its own in between */
    int64_t shown;    /* the highest that was used */
} mwm_view;

static mwm_view view_of(mwm_wire *wire, const mwm_ask *ask) {
    const mwm_store *store = &wire->server->store;
    mwm_view view = {wire, ask, store->revision, store->revision, 0};
    int64_t lowest = wire->faults.floor > store->log_floor ? wire->faults.floor : store->log_floor;
    if (wire->faults.isolated) {
        view.from = view.to = wire->faults.replica > lowest ? wire->faults.replica : lowest;
    } else if (mwm_faults_weak(wire) && !ask->flag && lowest < store->revision) {
        int64_t most = store->revision - lowest;
        view.from -= (int64_t)mwm_faults_dice(wire->server, (uint64_t)(most < WEAK_LAG ? most : WEAK_LAG) + 1);
    }
    return view;
}

/* The state of one path as this view shows it; NULL = absent. */
static mwm_state *look(mwm_view *view, mw_str path, mwm_state *present) {
    const mwm_store *store = &view->wire->server->store;
    int64_t at = view->from;
    if (view->to > view->from)
        at += (int64_t)mwm_faults_dice(view->wire->server, (uint64_t)(view->to - view->from) + 1);
    if (at > view->shown)
        view->shown = at;
    return at == store->revision ? present : mwm_log_state_at(store, path, present, at);
}

static void show(mwm_view *view, const mwm_node *node) {
    mwm_state *state = look(view, mwm_state_path(node->state), node->state);
    if (state)
        found(view->wire, view->ask, state);
}

/* Entries that were there at `from` and are gone now. Each is judged once, at the first change after `from`. */
static void show_deleted(mwm_view *view, mw_depth depth) {
    const mwm_store *store = &view->wire->server->store;
    for (size_t i = 0; view->from < store->revision && i < store->log_count; i++) {
        const mwm_change *change = mwm_log_at(store, i);
        if (change->revision <= view->from || !change->before)
            continue;
        mw_str path = mwm_state_path(change->before);
        bool first = mwm_log_state_at(store, path, NULL, view->from) == change->before;
        if (!first || mwm_store_find(store, path) || !mwm_covers(view->ask->path, depth, path))
            continue;
        mwm_state *state = look(view, path, NULL);
        if (state)
            found(view->wire, view->ask, state);
    }
}

static int read_one(mwm_view *view) {
    const mwm_node *node = mwm_store_find(&view->wire->server->store, view->ask->path);
    mwm_state *state = look(view, view->ask->path, node ? node->state : NULL);
    if (!state)
        return MW_ENOT_FOUND;
    found(view->wire, view->ask, state);
    return MW_OK;
}

static int read_many(mwm_view *view) {
    const mwm_node *top = mwm_store_find(&view->wire->server->store, view->ask->path);
    if (view->ask->what == MW_READ_LIST) {
        for (const mwm_node *node = top; node && (node = mwm_store_walk(top, node));)
            show(view, node);
        show_deleted(view, MW_DEPTH_SUBTREE);
        return MW_OK;
    }
    if (!look(view, view->ask->path, top ? top->state : NULL))
        return MW_ENOT_FOUND;
    for (const mwm_ring *ring = top ? top->children.next : NULL; top && ring != &top->children; ring = ring->next)
        show(view, mw_container(ring, mwm_node, sibling));
    show_deleted(view, MW_DEPTH_CHILDREN);
    return MW_OK;
}

static int read_entries(mwm_wire *wire, const mwm_ask *ask) {
    mwm_view view = view_of(wire, ask);
    bool one = ask->what == MW_READ_GET || ask->what == MW_READ_STAT;
    int status = one ? read_one(&view) : read_many(&view);
    if (wire->faults.floor < view.shown)
        wire->faults.floor = view.shown;
    return status;
}

/* ---- Queues and sessions, shown as entries */

/* Takes over `state`; NULL = out of memory. */
static int show_made(mwm_wire *wire, const mwm_ask *ask, mwm_state *state) {
    if (!state)
        return MW_ENO_MEMORY;
    found(wire, ask, state);
    mwm_state_free(state);
    return MW_OK;
}

static int show_queue(mwm_wire *wire, const mwm_ask *ask, const mwm_queue *queue) {
    int status = MW_OK;
    for (const mwm_ring *ring = queue->members.next; status == MW_OK && ring != &queue->members; ring = ring->next) {
        const mwm_member *member = mw_container(ring, mwm_member, in_queue);
        mw_entry label = mwm_state_entry(member->label);
        mwm_state *state = mwm_state_new(label.path, label.value);
        if (state) {
            state->owner = member->session->id;
            state->revision = member->token;
            state->ctime = state->mtime = member->since;
        }
        status = show_made(wire, ask, state);
    }
    return status;
}

static int read_queue(mwm_wire *wire, const mwm_ask *ask) {
    const mwm_queue *queue = mwm_queue_find(wire->server, ask->path);
    return queue ? show_queue(wire, ask, queue) : MW_OK;
}

static bool at_or_below(mw_str path, mw_str top) {
    return top.len == 1 || (path.len >= top.len && memcmp(path.data, top.data, top.len) == 0 &&
                            (path.len == top.len || path.data[top.len] == '/'));
}

static int read_queues(mwm_wire *wire, const mwm_ask *ask) {
    const mwm_index *queues = &wire->server->queues;
    int status = MW_OK;
    for (const mwm_hook *hook = NULL; status == MW_OK && (hook = mwm_index_next(queues, hook));) {
        const mwm_queue *queue = mw_container(hook, mwm_queue, by_path);
        if (at_or_below(mwm_state_path(queue->label), ask->path))
            status = show_queue(wire, ask, queue);
    }
    return status;
}

static int read_sessions(mwm_wire *wire, const mwm_ask *ask) {
    const mw_memory_server *server = wire->server;
    mw_time now = mw_host_now(server->host);
    int64_t wall = mw_host_wall(server->host);
    int status = MW_OK;
    for (const mwm_hook *hook = NULL; status == MW_OK && (hook = mwm_index_next(&server->sessions, hook));) {
        const mwm_session *session = mw_container(hook, mwm_session, by_id);
        mwm_state *state = mwm_state_new((mw_str){0}, (mw_str){session->name, session->name_len});
        if (state) {
            state->owner = session->id;
            state->ctime = session->opened;
            state->mtime = wall + (int64_t)((session->expires - now) / MW_MS);
        }
        status = show_made(wire, ask, state);
    }
    return status;
}

void mwm_read(mwm_wire *wire, const mwm_ask *ask) {
    int status = MW_OK;
    if (ask->what == MW_READ_QUEUE)
        status = read_queue(wire, ask);
    else if (ask->what == MW_READ_QUEUES)
        status = read_queues(wire, ask);
    else if (ask->what == MW_READ_SESSIONS)
        status = read_sessions(wire, ask);
    else
        status = read_entries(wire, ask);
    mwm_reply *reply = mwm_reply_new(ask->msg.id, 0);
    if (reply)
        reply->msg.status = status;
    mwm_wire_answer(wire, reply);
}
