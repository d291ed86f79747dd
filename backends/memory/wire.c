#include "wire.h"

#include <stdlib.h>

/* ---- Messages */

void *mwm_msg_new(mwm_kind kind, uint64_t id, size_t size) {
    mwm_msg *msg = calloc(1, size);
    if (msg) {
        msg->kind = kind;
        msg->id = id;
    }
    return msg;
}

void mwm_msg_free(mwm_msg *msg) {
    if (!msg || msg->kind == MWM_RESET)
        return;
    mwm_state_free(msg->state);
    free(msg);
}

/* Copy `text` to `*at`, which moves on. */
static mw_str pack(char **at, mw_str text) {
    mw_str copy = {*at, text.len};
    if (text.len)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return copy;
}

mwm_hello *mwm_hello_new(mwm_kind kind, uint64_t id, mw_str name) {
    mwm_hello *hello = mwm_msg_new(kind, id, sizeof *hello + name.len);
    if (hello) {
        char *at = hello->name;
        hello->name_len = pack(&at, name).len;
    }
    return hello;
}

mwm_ask *mwm_ask_new(mwm_kind kind, uint64_t id, mw_str path, mw_str value) {
    mwm_ask *ask = mwm_msg_new(kind, id, sizeof *ask + path.len + value.len);
    if (ask) {
        char *at = ask->bytes;
        ask->path = pack(&at, path);
        ask->value = pack(&at, value);
    }
    return ask;
}

/* What the server checks a lock by: its path, and the token in place of the version. */
static void pack_lock(mw_write *copy, char **at, const mw_ticket *ticket) {
    copy->path = pack(at, ticket->path);
    copy->version = ticket->token;
    copy->lock = NULL;
}

mwm_writes *mwm_writes_new(uint64_t id, const mw_write *writes, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes +=
            writes[i].value.len + (writes[i].kind == MW_CHECK_LOCK ? writes[i].lock->path.len : writes[i].path.len);
    mwm_writes *msg = mwm_msg_new(MWM_WRITE, id, sizeof *msg + count * sizeof *writes + bytes);
    if (!msg)
        return NULL;
    char *at = (char *)(msg->writes + count);
    msg->count = count;
    for (size_t i = 0; i < count; i++) {
        msg->writes[i] = writes[i];
        msg->writes[i].value = pack(&at, writes[i].value);
        if (writes[i].kind == MW_CHECK_LOCK)
            pack_lock(&msg->writes[i], &at, writes[i].lock);
        else
            msg->writes[i].path = pack(&at, writes[i].path);
    }
    return msg;
}

mwm_reply *mwm_reply_new(uint64_t id, size_t count) {
    mwm_reply *reply = mwm_msg_new(MWM_REPLY, id, sizeof *reply + count * sizeof *reply->written);
    if (reply)
        reply->count = count;
    return reply;
}

void mwm_reply_assign(mwm_reply *copy, const mwm_reply *reply) {
    copy->msg.status = reply->msg.status;
    copy->msg.number = reply->msg.number;
    copy->failed = reply->failed;
    memcpy(copy->detail, reply->detail, sizeof copy->detail);
    if (reply->count)
        memcpy(copy->written, reply->written, reply->count * sizeof *reply->written);
}

/* ---- Pipes */

static void arm(mwm_pipe *pipe) {
    if (!pipe->head || pipe->held)
        return;
    if (pipe->head->due == 0) {
        mw_defer_run(pipe->host, &pipe->soon);
        return;
    }
    mw_time now = mw_host_now(pipe->host);
    mw_time delay = pipe->head->due > now ? pipe->head->due - now : 0;
    if (mw_timer_start(pipe->host, &pipe->later, delay) != MW_OK)
        mw_defer_run(pipe->host, &pipe->soon); /* no timer to be had: look again each turn */
}

static mwm_msg *take(mwm_pipe *pipe) {
    mwm_msg *msg = pipe->head;
    pipe->head = msg->next;
    if (!pipe->head)
        pipe->tail = &pipe->head;
    pipe->count--;
    return msg;
}

static bool head_is_due(const mwm_pipe *pipe) {
    return pipe->head && !pipe->held && (pipe->head->due == 0 || pipe->head->due <= mw_host_now(pipe->host));
}

/* Deliver what is due. What arrives meanwhile waits for the next turn, so that no wire starves the loop. A delivery may
 * clear or hold the pipe; its memory stays. */
static void pump(mwm_pipe *pipe) {
    for (size_t left = pipe->count; left > 0 && head_is_due(pipe); left--) {
        mwm_msg *msg = take(pipe);
        pipe->deliver(pipe->wire, msg);
        mwm_msg_free(msg);
    }
    arm(pipe);
}

static void pump_soon(mw_defer *defer) {
    pump(mw_container(defer, mwm_pipe, soon));
}

static void pump_later(mw_timer *timer) {
    pump(mw_container(timer, mwm_pipe, later));
}

void mwm_pipe_init(mwm_pipe *pipe, mwm_wire *wire, mw_host *host, void (*deliver)(mwm_wire *wire, mwm_msg *msg)) {
    *pipe = (mwm_pipe){.host = host, .wire = wire, .deliver = deliver};
    pipe->soon.run = pump_soon;
    pipe->later.fire = pump_later;
    pipe->tail = &pipe->head;
}

void mwm_pipe_send(mwm_pipe *pipe, mwm_msg *msg, mw_time latency) {
    msg->next = NULL;
    msg->due = latency ? mw_host_now(pipe->host) + latency : 0;
    bool first = !pipe->head;
    *pipe->tail = msg;
    pipe->tail = &msg->next;
    pipe->count++;
    if (first)
        arm(pipe);
}

void mwm_pipe_clear(mwm_pipe *pipe) {
    while (pipe->head)
        mwm_msg_free(take(pipe));
    mw_defer_cancel(pipe->host, &pipe->soon);
    mw_timer_stop(pipe->host, &pipe->later);
}

void mwm_pipe_hold(mwm_pipe *pipe, bool held) {
    pipe->held = held;
    if (held) {
        mw_defer_cancel(pipe->host, &pipe->soon);
        mw_timer_stop(pipe->host, &pipe->later);
    } else {
        arm(pipe);
    }
}
