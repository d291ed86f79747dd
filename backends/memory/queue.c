/* Lock queues: first come, first served. The token of a grant is a revision of the registry, so tokens grow over all
 * locks, and through the end of a queue. */
#include "server.h"

#include <stdlib.h>

mwm_queue *mwm_queue_find(const mw_memory_server *server, mw_str path) {
    mwm_hook *hook = mwm_index_find(&server->queues, mwm_hash(path));
    for (; hook; hook = mwm_index_find_next(hook)) {
        mwm_queue *queue = mw_container(hook, mwm_queue, by_path);
        if (mw_str_equal(mwm_state_path(queue->label), path))
            return queue;
    }
    return NULL;
}

static mwm_queue *queue_new(mw_memory_server *server, mwm_state *label) {
    mwm_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    mwm_ring_init(&queue->members);
    queue->label = mwm_state_keep(label);
    mwm_index_insert(&server->queues, &queue->by_path, mwm_hash(mwm_state_path(label)));
    return queue;
}

static void queue_free_when_empty(mw_memory_server *server, mwm_queue *queue) {
    if (!mwm_ring_empty(&queue->members))
        return;
    mwm_index_remove(&server->queues, &queue->by_path);
    mwm_state_free(queue->label);
    free(queue);
}

static mwm_member *first(const mwm_queue *queue) {
    return mwm_ring_empty(&queue->members) ? NULL : mw_container(queue->members.next, mwm_member, in_queue);
}

static mwm_member *member_find(const mwm_session *session, uint64_t id) {
    for (mwm_ring *ring = session->members.prev; ring != &session->members; ring = ring->prev) {
        mwm_member *member = mw_container(ring, mwm_member, in_session);
        if (member->id == id)
            return member;
    }
    return NULL;
}

/* Tell the client, if it is there; else it hears when it comes back and asks. */
static void tell(const mwm_session *session, mwm_kind kind, uint64_t id, int64_t token, int status) {
    mwm_wire *wire = session->wire;
    mwm_msg *msg = wire ? mwm_msg_new(kind, id, sizeof *msg) : NULL;
    if (msg) {
        msg->number = token;
        msg->status = status;
        mwm_wire_answer_change(wire, msg);
    } else if (wire) {
        mwm_wire_cut(wire);
    }
}

/* The first in the queue becomes the holder. */
static void grant_first(mw_memory_server *server, mwm_queue *queue) {
    mwm_member *member = first(queue);
    if (!member || member->token)
        return;
    member->token = ++server->store.revision;
    if (member->session->wire)
        member->session->wire->wakeups++;
    tell(member->session, MWM_GRANTED, member->id, member->token, MW_OK);
}

static void member_remove(mw_memory_server *server, mwm_member *member) {
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer cannot follow a ring */
    mwm_queue *queue = member->queue;
    mwm_ring_remove(&member->in_queue);
    mwm_ring_remove(&member->in_session);
    mwm_state_free(member->label);
    free(member);
    server->tickets--;
    grant_first(server, queue);
    queue_free_when_empty(server, queue);
}

/* Join at the end. NULL = out of memory. */
static mwm_member *member_new(mwm_session *session, const mwm_ask *ask, mwm_queue *queue) {
    mwm_member *member = calloc(1, sizeof *member);
    mwm_state *label = mwm_state_new(ask->path, ask->value);
    if (label && !queue)
        queue = queue_new(session->server, label);
    if (!member || !label || !queue) {
        free(member);
        mwm_state_free(label);
        if (queue)
            queue_free_when_empty(session->server, queue);
        return NULL;
    }
    *member = (mwm_member){.queue = queue, .session = session, .id = ask->msg.id, .label = label};
    member->since = mw_host_wall(session->server->host);
    mwm_ring_add(&queue->members, &member->in_queue);
    mwm_ring_add(&session->members, &member->in_session);
    session->server->tickets++;
    return member;
}

/* A client that comes back asks again for each of its tickets: nobody joins twice, and a grant that was lost on the way
 * is told again. One that knows a token, but has no place here any more, was thrown out meanwhile. */
void mwm_queue_join(mwm_session *session, const mwm_ask *ask) {
    mwm_member *member = member_find(session, ask->msg.id);
    if (member) {
        if (member->token)
            tell(session, MWM_GRANTED, member->id, member->token, MW_OK);
        return;
    }
    mwm_queue *queue = mwm_queue_find(session->server, ask->path);
    if (ask->msg.number) {
        tell(session, MWM_ENDED, ask->msg.id, 0, MW_EFENCED);
    } else if (queue && ask->flag) {
        tell(session, MWM_ENDED, ask->msg.id, 0, MW_EBUSY);
    } else if (!(member = member_new(session, ask, queue))) {
        tell(session, MWM_ENDED, ask->msg.id, 0, MW_ENO_MEMORY);
    } else if (!queue) {
        member->token = ++session->server->store.revision;
        tell(session, MWM_GRANTED, member->id, member->token, MW_OK);
    }
}

void mwm_queue_leave(mwm_session *session, uint64_t id) {
    mwm_member *member = member_find(session, id);
    if (member)
        member_remove(session->server, member);
    tell(session, MWM_ENDED, id, 0, MW_OK);
}

/* Waiting places first: nothing is granted on the way to a session that ends. */
void mwm_queue_leave_all(mwm_session *session) {
    while (!mwm_ring_empty(&session->members))
        member_remove(session->server, mw_container(session->members.prev, mwm_member, in_session));
}

void mwm_queue_drop(mw_memory_server *server, mwm_queue *queue) {
    for (bool last = false; !last;) {
        mwm_member *member = mw_container(queue->members.prev, mwm_member, in_queue);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer cannot follow a ring */
        last = member->in_queue.prev == &queue->members; /* the queue goes with it */
        tell(member->session, MWM_ENDED, member->id, 0, MW_EFENCED);
        member_remove(server, member);
    }
}

bool mwm_queue_holds(void *session, mw_str path, int64_t token) {
    const mwm_session *self = session;
    const mwm_queue *queue = mwm_queue_find(self->server, path);
    const mwm_member *holder = queue ? first(queue) : NULL;
    return holder && holder->session == self && holder->token == token && token != 0;
}
