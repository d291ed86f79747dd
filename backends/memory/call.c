/* What the core asked for and awaits: each call has a number, travels under it, and ends once. */
#include "conn.h"

#include <stdlib.h>

/* ---- Calls */

void mwm_calls_init(mw_conn *conn) {
    mwm_index_init(&conn->calls);
    for (int kind = 0; kind < MWM_CALL_KINDS; kind++)
        mwm_ring_init(&conn->by_kind[kind]);
}

static mwm_call *call_new(mw_conn *conn, mwm_call_kind kind) {
    mwm_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->id = ++conn->last_id;
    call->kind = kind;
    mwm_index_insert(&conn->calls, &call->by_id, mwm_hash_number(call->id));
    mwm_ring_add(&conn->by_kind[kind], &call->in_conn);
    return call;
}

static void call_free(mw_conn *conn, mwm_call *call) {
    mwm_index_remove(&conn->calls, &call->by_id);
    mwm_ring_remove(&call->in_conn);
    free(call);
}

static mwm_call *call_find(const mw_conn *conn, uint64_t id) {
    mwm_hook *hook = mwm_index_find(&conn->calls, mwm_hash_number(id));
    for (; hook; hook = mwm_index_find_next(hook)) {
        mwm_call *call = mw_container(hook, mwm_call, by_id);
        if (call->id == id)
            return call;
    }
    return NULL;
}

static mwm_call *first(const mw_conn *conn, mwm_call_kind kind) {
    const mwm_ring *ring = &conn->by_kind[kind];
    return mwm_ring_empty(ring) ? NULL : mw_container(ring->next, mwm_call, in_conn);
}

void mwm_calls_release(mw_conn *conn) {
    for (int kind = 0; kind < MWM_CALL_KINDS; kind++)
        for (mwm_call *call; (call = first(conn, (mwm_call_kind)kind));)
            call_free(conn, call);
    mwm_index_release(&conn->calls);
}

static bool connected(const mw_conn *conn) {
    return conn->state == MWM_CONN_CONNECTED;
}

/* Each call is gone before its end is reported, since that may start, cancel and close others. */
static void end_request(mw_conn *conn, mwm_call *call, int status, const mw_error *detail) {
    mw_request *request = call->request;
    call_free(conn, call);
    request->backend[0] = NULL;
    request->done(request, status, detail);
}

static void end_ticket(mw_conn *conn, mwm_call *call, int status, const mw_error *detail) {
    mw_ticket *ticket = call->ticket;
    call_free(conn, call);
    ticket->backend[0] = NULL;
    ticket->ended(ticket, status, detail);
}

static void end_other(mw_conn *conn, mwm_call *call, int status, const mw_error *detail) {
    void (*ended)(void *arg, int status, const mw_error *detail) = call->ended;
    void *arg = call->arg;
    call_free(conn, call);
    ended(arg, status, detail);
}

/* ---- Refusing without calling back inline, and without an allocation */

/* What `backend[2]` of the refused points to. */
static const int not_connected = MW_EDISCONNECTED, no_memory = MW_ENO_MEMORY;

static void refuse_request(mw_conn *conn, mw_request *request, const int *status) {
    request->backend[0] = request->backend[1] = NULL;
    request->backend[2] = (void *)status;
    if (conn->refused_last)
        conn->refused_last->backend[1] = request;
    else
        conn->refused_requests = request;
    conn->refused_last = request;
    mw_defer_run(conn->host, &conn->work);
}

/* True: it was one of those. */
static bool forget_refused(mw_conn *conn, mw_request *request) {
    mw_request *before = NULL, *one = conn->refused_requests;
    for (; one && one != request; one = one->backend[1])
        before = one;
    if (!one)
        return false;
    if (before)
        before->backend[1] = one->backend[1];
    else
        conn->refused_requests = one->backend[1];
    if (conn->refused_last == one)
        conn->refused_last = before;
    return true;
}

static void refuse_ticket(mw_conn *conn, mw_ticket *ticket, const int *status) {
    ticket->backend[0] = NULL;
    ticket->backend[1] = conn->refused_tickets;
    ticket->backend[2] = (void *)status;
    conn->refused_tickets = ticket;
    mw_defer_run(conn->host, &conn->work);
}

void mwm_calls_refuse(mw_conn *conn) {
    mw_error detail;
    while (conn->refused_requests) {
        mw_request *request = conn->refused_requests;
        (void)forget_refused(conn, request);
        int status = *(const int *)request->backend[2];
        (void)mwm_fail(&detail, status, "memory: %s", status == MW_ENO_MEMORY ? "out of memory" : "not connected");
        request->done(request, status, &detail);
    }
    while (conn->refused_tickets) {
        mw_ticket *ticket = conn->refused_tickets;
        conn->refused_tickets = ticket->backend[1];
        int status = *(const int *)ticket->backend[2];
        (void)mwm_fail(&detail, status, "memory: %s", status == MW_ENO_MEMORY ? "out of memory" : "not connected");
        ticket->ended(ticket, status, &detail);
    }
    (void)mwm_fail(&detail, MW_EDISCONNECTED, "memory: not connected");
    for (mwm_call *call; !connected(conn) && (call = first(conn, MWM_CALL_END));)
        end_other(conn, call, MW_EDISCONNECTED, &detail);
}

/* ---- Requests */

static mwm_msg *pack_read(const mwm_call *call, const mw_request *request) {
    mwm_ask *ask = mwm_ask_new(MWM_READ, call->id, request->path, (mw_str){0});
    if (!ask)
        return NULL;
    ask->what = request->kind;
    ask->flag = request->fresh;
    return &ask->msg;
}

static mwm_msg *pack_writes(const mw_conn *conn, const mwm_call *call, const mw_request *request) {
    mwm_writes *writes = mwm_writes_new(call->id, request->writes, request->write_count);
    if (!writes)
        return NULL;
    writes->oldest = first(conn, MWM_CALL_WRITE)->id;
    return &writes->msg;
}

void mwm_submit(mw_conn *conn, mw_request *request) {
    if (!connected(conn)) {
        refuse_request(conn, request, &not_connected);
        return;
    }
    bool writes = request->kind == MW_WRITE;
    mwm_call *call = call_new(conn, writes ? MWM_CALL_WRITE : MWM_CALL_READ);
    mwm_msg *msg = !call ? NULL : writes ? pack_writes(conn, call, request) : pack_read(call, request);
    if (!msg) {
        if (call)
            call_free(conn, call);
        refuse_request(conn, request, &no_memory);
        return;
    }
    call->request = request;
    request->backend[0] = call;
    conn->stats.round_trips++;
    conn->stats.write_transactions += writes;
    mwm_conn_send(conn, msg);
}

bool mwm_cancel(mw_conn *conn, mw_request *request) {
    if (!request->backend[0])
        return forget_refused(conn, request);
    call_free(conn, request->backend[0]);
    return false;
}

static void answer_request(mw_conn *conn, mwm_call *call, const mwm_reply *reply) {
    mw_request *request = call->request;
    int status = reply->msg.status;
    mw_error detail;
    (void)mwm_fail(&detail, status, "%s", reply->detail);
    if (request->kind == MW_WRITE && status == MW_OK)
        memcpy(request->written, reply->written, reply->count * sizeof *reply->written);
    request->failed_write = reply->failed;
    end_request(conn, call, status, status != MW_OK && reply->detail[0] ? &detail : NULL);
}

static void show_result(const mwm_call *call, const mwm_msg *msg) {
    mw_entry entry = mwm_state_entry(msg->state);
    if (call->request->kind == MW_READ_CHILDREN)
        entry = (mw_entry){.path = entry.path}; /* no more is promised */
    if (call->request->kind == MW_READ_STAT)
        entry.value.len = 0;
    call->request->entry(call->request, &entry);
}

/* ---- Feeds */

static mwm_msg *pack_feed(const mwm_call *call) {
    mwm_ask *ask = mwm_ask_new(MWM_WATCH, call->id, call->feed->path, (mw_str){0});
    if (!ask)
        return NULL;
    ask->what = call->feed->depth;
    ask->msg.number = call->known;
    return &ask->msg;
}

int mwm_watch(mw_conn *conn, mw_feed *feed) {
    mwm_call *call = call_new(conn, MWM_CALL_FEED);
    if (!call)
        return MW_ENO_MEMORY;
    call->feed = feed;
    mwm_msg *msg = pack_feed(call);
    if (!msg) {
        call_free(conn, call);
        return MW_ENO_MEMORY;
    }
    feed->backend[0] = call;
    if (connected(conn))
        mwm_conn_send(conn, msg);
    else
        mwm_msg_free(msg);
    return MW_OK;
}

void mwm_unwatch(mw_conn *conn, mw_feed *feed) {
    mwm_call *call = feed->backend[0];
    if (connected(conn))
        mwm_conn_send(conn, mwm_msg_new(MWM_UNWATCH, call->id, sizeof(mwm_msg)));
    call_free(conn, call);
    feed->backend[0] = NULL;
}

static void feed_told(mwm_call *call, const mwm_msg *msg) {
    mw_feed *feed = call->feed;
    if (msg->number > call->known) /* not within a snapshot: cut off, it says nothing about what is gone */
        call->known = msg->number;
    if (msg->kind == MWM_BEGIN) {
        feed->begin(feed);
    } else if (msg->kind == MWM_STATE) {
        mw_entry entry = mwm_state_entry(msg->state);
        feed->entry(feed, &entry);
    } else if (msg->kind == MWM_GONE) {
        feed->gone(feed, mwm_state_path(msg->state), msg->revision);
    } else if (msg->kind == MWM_SYNCED) {
        feed->synced(feed, msg->number);
    }
}

/* ---- Tickets */

static mwm_msg *pack_ticket(const mwm_call *call) {
    if (call->unlocked)
        return mwm_msg_new(MWM_UNLOCK, call->id, sizeof(mwm_msg));
    mwm_ask *ask = mwm_ask_new(MWM_LOCK, call->id, call->ticket->path, call->ticket->value);
    if (!ask)
        return NULL;
    ask->flag = call->ticket->try_only;
    ask->msg.number = call->known;
    return &ask->msg;
}

void mwm_lock(mw_conn *conn, mw_ticket *ticket) {
    if (!connected(conn)) {
        refuse_ticket(conn, ticket, &not_connected);
        return;
    }
    mwm_call *call = call_new(conn, MWM_CALL_TICKET);
    if (call)
        call->ticket = ticket;
    mwm_msg *msg = call ? pack_ticket(call) : NULL;
    if (!msg) {
        if (call)
            call_free(conn, call);
        refuse_ticket(conn, ticket, &no_memory);
        return;
    }
    ticket->backend[0] = call;
    conn->stats.round_trips++;
    conn->stats.write_transactions++;
    mwm_conn_send(conn, msg);
}

/* A ticket that was refused ends by itself. One that is away is withdrawn on reconnection. */
void mwm_unlock(mw_conn *conn, mw_ticket *ticket) {
    mwm_call *call = ticket->backend[0];
    if (!call || call->unlocked)
        return;
    call->unlocked = true;
    conn->stats.round_trips++;
    conn->stats.write_transactions++;
    if (connected(conn))
        mwm_conn_send(conn, pack_ticket(call));
}

static void ticket_granted(mwm_call *call, int64_t token) {
    if (call->unlocked || call->known)
        return;
    call->known = token;
    call->ticket->granted(call->ticket, token);
}

/* ---- Ending other sessions */

void mwm_end_session(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                     void (*done)(void *arg, int status, const mw_error *detail), void *arg) {
    mwm_call *call = call_new(conn, MWM_CALL_END);
    mwm_hello *hello = call ? mwm_hello_new(MWM_END, call->id, (mw_str){0}) : NULL;
    if (!hello) {
        if (call)
            call_free(conn, call);
        done(arg, MW_ENO_MEMORY, NULL); /* there is not even memory for saying so later */
        return;
    }
    call->ended = done;
    call->arg = arg;
    hello->session = id;
    memcpy(hello->secret, secret, MW_SECRET_SIZE);
    conn->stats.round_trips++;
    mwm_conn_send(conn, hello);
    if (!connected(conn))
        mw_defer_run(conn->host, &conn->work);
}

/* ---- Answers, disconnects */

void mwm_calls_answer(mw_conn *conn, mwm_msg *msg) {
    mwm_call *call = call_find(conn, msg->id);
    if (!call)
        return; /* cancelled, unwatched, or ended meanwhile */
    mw_error detail;
    switch (msg->kind) {
    case MWM_RESULT:
        show_result(call, msg);
        return;
    case MWM_REPLY: {
        const mwm_reply *reply = (const mwm_reply *)(const void *)msg;
        if (call->kind != MWM_CALL_END) {
            answer_request(conn, call, reply);
            return;
        }
        (void)mwm_fail(&detail, msg->status, "%s", reply->detail);
        end_other(conn, call, msg->status, msg->status ? &detail : NULL);
        return;
    }
    case MWM_GRANTED:
        ticket_granted(call, msg->number);
        return;
    case MWM_ENDED:
        end_ticket(conn, call, msg->status, NULL);
        return;
    default:
        feed_told(call, msg);
        return;
    }
}

static void send_all(mw_conn *conn, mwm_call_kind kind, mwm_msg *(*pack)(const mwm_call *call)) {
    const mwm_ring *head = &conn->by_kind[kind];
    for (const mwm_ring *ring = head->next; ring != head; ring = ring->next)
        mwm_conn_send(conn, pack(mw_container(ring, mwm_call, in_conn)));
}

static mwm_msg *pack_question(const mwm_call *call) {
    return mwm_msg_new(MWM_DECIDE, call->id, sizeof(mwm_msg));
}

void mwm_calls_resume(mw_conn *conn) {
    send_all(conn, MWM_CALL_WRITE, pack_question);
    send_all(conn, MWM_CALL_TICKET, pack_ticket);
    send_all(conn, MWM_CALL_FEED, pack_feed);
}

void mwm_calls_suspend(mw_conn *conn) {
    mw_error detail;
    (void)mwm_fail(&detail, MW_EDISCONNECTED, "memory: disconnected");
    for (mwm_call *call; (call = first(conn, MWM_CALL_READ));)
        end_request(conn, call, MW_EDISCONNECTED, &detail);
    for (mwm_call *call; (call = first(conn, MWM_CALL_END));)
        end_other(conn, call, MW_EDISCONNECTED, &detail);
}

void mwm_calls_end(mw_conn *conn, int tickets, const mw_error *why) {
    for (mwm_call *call; (call = first(conn, MWM_CALL_TICKET));)
        end_ticket(conn, call, tickets, why);
    mw_error unknown;
    (void)mwm_fail(&unknown, MW_EUNKNOWN, "memory: it was sent, and the session ended before its answer came");
    for (mwm_call *call; (call = first(conn, MWM_CALL_WRITE));)
        end_request(conn, call, MW_EUNKNOWN, &unknown);
    mwm_calls_suspend(conn);
}
