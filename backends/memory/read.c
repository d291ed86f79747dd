/* Reads: entries, lock queues, sessions. */
#include "server.h"

static void found(mwm_wire *wire, const mwm_ask *ask, mwm_state *state) {
    mwm_wire_say(wire, MWM_RESULT, ask->msg.id, 0, state);
}

static int read_entries(mwm_wire *wire, const mwm_ask *ask) {
    const mwm_store *store = &wire->server->store;
    const mwm_node *top = mwm_store_find(store, ask->path);
    if (ask->what == MW_READ_LIST) {
        for (const mwm_node *node = top; node && (node = mwm_store_walk(top, node));)
            found(wire, ask, node->state);
        return MW_OK;
    }
    if (!top)
        return MW_ENOT_FOUND;
    if (ask->what != MW_READ_CHILDREN) {
        found(wire, ask, top->state);
        return MW_OK;
    }
    for (const mwm_ring *ring = top->children.next; ring != &top->children; ring = ring->next)
        found(wire, ask, mw_container(ring, mwm_node, sibling)->state);
    return MW_OK;
}

/* ---- Queues and sessions, shown as entries --------------------------------------------------------------------------
 */

/* Takes over `state`; NULL = out of memory. */
static int show(mwm_wire *wire, const mwm_ask *ask, mwm_state *state) {
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
        status = show(wire, ask, state);
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
        status = show(wire, ask, state);
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
