/* The server itself: its life, its wires, and who answers what. */
#include "server.h"

#include <stdlib.h>

/* ---- Wires */

static void handle(mwm_wire *wire, mwm_msg *msg);

void mwm_server_plug(mw_memory_server *server, mwm_wire *wire, mw_host *client,
                     void (*deliver)(mwm_wire *wire, mwm_msg *msg)) {
    *wire = (mwm_wire){.server = server};
    mwm_pipe_init(&wire->up, wire, server->host, handle);
    mwm_pipe_init(&wire->down, wire, client, deliver);
    wire->reset.kind = MWM_RESET;
    mwm_index_init(&wire->subs);
    mwm_ring_add(&server->wires, &wire->in_server);
}

void mwm_server_unplug(mwm_wire *wire) {
    mwm_wire_close(wire);
    mwm_ring_remove(&wire->in_server);
    mwm_index_release(&wire->subs);
}

bool mwm_wire_open(mwm_wire *wire) {
    if (mwm_faults_refuse(wire))
        return false;
    wire->open = true;
    mwm_pipe_hold(&wire->up, wire->faults.frozen || wire->server->frozen || wire->faults.isolated);
    return true;
}

void mwm_wire_close(mwm_wire *wire) {
    wire->open = false;
    mwm_pipe_clear(&wire->up);
    mwm_pipe_clear(&wire->down);
    mwm_session_detach(wire);
}

/* A server that is cut off answers by itself what it can: renewals, and reads that may be old. The first message that
 * needs the authority waits, and with it all behind it. */
static bool replica_takes(mwm_wire *wire, mwm_msg *msg) {
    if (msg->kind != MWM_RENEW) {
        bool stale = msg->kind == MWM_READ && !((mwm_ask *)(void *)msg)->flag;
        if (!stale)
            mwm_pipe_hold(&wire->up, true);
        return false;
    }
    wire->faults.replica_speaks = true;
    mwm_msg *renewed = mwm_wire_say(wire, MWM_RENEWED, 0, msg->number, NULL);
    if (renewed)
        renewed->status = MW_EDISCONNECTED;
    wire->faults.replica_speaks = false;
    return true;
}

void mwm_wire_ask(mwm_wire *wire, mwm_msg *msg) {
    bool lost = wire->open && mwm_faults_lose_request(wire);
    if (lost)
        mwm_wire_cut(wire);
    if (!wire->open || (wire->faults.isolated && replica_takes(wire, msg)))
        mwm_msg_free(msg);
    else
        mwm_pipe_send(&wire->up, msg, mwm_faults_latency(wire));
}

/* Feeds and session stay until the client has noticed, or its session has expired. */
void mwm_wire_cut(mwm_wire *wire) {
    if (!wire->open)
        return;
    wire->open = false;
    mwm_pipe_clear(&wire->up);
    mwm_pipe_clear(&wire->down);
    mwm_pipe_send(&wire->down, &wire->reset, 0);
}

void mwm_wire_answer(mwm_wire *wire, void *msg) {
    if (!msg)
        mwm_wire_cut(wire);
    else if (wire->open && (!wire->faults.isolated || wire->faults.replica_speaks))
        mwm_pipe_send(&wire->down, msg, mwm_faults_latency(wire));
    else
        mwm_msg_free(msg);
}

/* What a client was told about a change it will also read. */
void mwm_wire_answer_change(mwm_wire *wire, void *msg) {
    wire->faults.floor = wire->server->store.revision;
    if (!mwm_faults_lose_reply(wire)) {
        mwm_wire_answer(wire, msg);
        return;
    }
    mwm_msg_free(msg);
    mwm_wire_cut(wire);
}

/* The short messages. Keeps its own reference on `state`. Returns what was sent, to add to it at once, or NULL. */
mwm_msg *mwm_wire_say(mwm_wire *wire, mwm_kind kind, uint64_t id, int64_t number, mwm_state *state) {
    if (!wire->open || (wire->faults.isolated && !wire->faults.replica_speaks))
        return NULL;
    mwm_msg *msg = mwm_msg_new(kind, id, sizeof *msg);
    if (msg) {
        msg->number = number;
        msg->state = mwm_state_keep(state);
    }
    mwm_wire_answer(wire, msg);
    return msg;
}

/* ---- Requests */

static void say_goodbye(mwm_wire *wire) {
    mwm_session *session = wire->session;
    mwm_session_detach(wire);
    mwm_session_end(session);
    mwm_wire_say(wire, MWM_GOODBYE, 0, 0, NULL);
}

/* What came from a connection with a session. Whatever it is, it shows that the client lives. */
static void serve(mwm_session *session, mwm_wire *wire, const mwm_msg *msg) {
    mwm_session_touch(session, 0);
    switch (msg->kind) {
    case MWM_RENEW:
        mwm_wire_say(wire, MWM_RENEWED, 0, msg->number, NULL);
        return;
    case MWM_BYE:
        say_goodbye(wire);
        return;
    case MWM_READ:
        mwm_read(wire, (const mwm_ask *)(const void *)msg);
        return;
    case MWM_WRITE:
        mwm_session_write(session, (const mwm_writes *)(const void *)msg);
        return;
    case MWM_DECIDE:
        mwm_session_decide(session, msg->id);
        return;
    case MWM_WATCH:
        mwm_feed_watch(wire, (const mwm_ask *)(const void *)msg);
        return;
    case MWM_UNWATCH:
        mwm_feed_unwatch(wire, msg->id);
        return;
    case MWM_LOCK:
        mwm_queue_join(session, (const mwm_ask *)(const void *)msg);
        return;
    case MWM_UNLOCK:
        mwm_queue_leave(session, msg->id);
        return;
    case MWM_END:
        mwm_session_end_other(wire, (const mwm_hello *)(const void *)msg);
        return;
    default:
        return;
    }
}

static void handle(mwm_wire *wire, mwm_msg *msg) {
    if (wire->faults.isolated) { /* only reads get here */
        wire->faults.replica_speaks = true;
        mwm_read(wire, (const mwm_ask *)(const void *)msg);
        wire->faults.replica_speaks = false;
    } else if (msg->kind == MWM_HELLO)
        mwm_session_hello(wire, (const mwm_hello *)(const void *)msg);
    else if (wire->session)
        serve(wire->session, wire, msg);
}

/* ---- Life */

static void changed(mwm_store *store, const mwm_change *change) {
    mwm_feed_publish(mw_container(store, mw_memory_server, store), change);
}

int mw_memory_server_new(mw_host *host, const mw_memory_options *options, mw_memory_server **ret_server,
                         mw_error *err) {
    static const mw_memory_options none;
    if (!options)
        options = &none;
    mw_memory_server *server = calloc(1, sizeof *server);
    size_t log_size = options->log_size ? options->log_size : MWM_LOG_SIZE;
    if (!server || mwm_store_init(&server->store, log_size) != MW_OK) {
        free(server);
        return mwm_fail(err, MW_ENO_MEMORY, "memory: no memory for a server");
    }
    server->table = mw_backend_memory;
    server->table.open = mwm_open_shared;
    server->host = host;
    server->store.changed = changed;
    server->session_timeout = options->session_timeout ? options->session_timeout : MWM_SESSION_TIMEOUT;
    server->random = options->seed;
    server->faults.weak = options->weak;
    mw_host_random(host, &server->registry, sizeof server->registry);
    mwm_index_init(&server->sessions);
    mwm_index_init(&server->points);
    mwm_index_init(&server->queues);
    mwm_ring_init(&server->wires);
    *ret_server = server;
    return MW_OK;
}

void mw_memory_server_free(mw_memory_server *server) {
    if (!server)
        return;
    while (!mwm_ring_empty(&server->wires))
        mwm_conn_discard(mw_container(server->wires.next, mwm_wire, in_server));
    for (mwm_hook *hook; (hook = mwm_index_next(&server->sessions, NULL));)
        mwm_session_end(mw_container(hook, mwm_session, by_id));
    mwm_index_release(&server->sessions);
    mwm_index_release(&server->points);
    mwm_index_release(&server->queues);
    mwm_store_release(&server->store);
    free(server);
}

const mw_backend *mw_memory_backend(mw_memory_server *server) {
    return &server->table;
}

void mw_memory_count(const mw_memory_server *server, mw_memory_counts *ret_counts) {
    *ret_counts = (mw_memory_counts){
        .entries = server->store.nodes.count - 1,
        .sessions = server->sessions.count,
        .feeds = server->feeds,
        .tickets = server->tickets,
    };
    for (const mwm_ring *ring = server->wires.next; ring != &server->wires; ring = ring->next)
        ret_counts->connections++;
}

int64_t mw_memory_revision(const mw_memory_server *server) {
    return server->store.revision;
}
