/* Sessions: who is alive, what they own, and what became of their writes. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

mwm_session *mwm_session_find(const mw_memory_server *server, mw_session_id id) {
    mwm_hook *hook = mwm_index_find(&server->sessions, mwm_hash_number(id));
    for (; hook; hook = mwm_index_find_next(hook)) {
        mwm_session *session = mw_container(hook, mwm_session, by_id);
        if (session->id == id)
            return session;
    }
    return NULL;
}

/* ---- Time */

void mwm_session_touch(mwm_session *session, mw_time grace) {
    session->expires = mw_host_now(session->server->host) + grace + session->timeout;
}

/* The timer is not moved by each sign of life; it looks again when it fires. */
static void look(mwm_session *session) {
    mw_host *host = session->server->host;
    mw_time now = mw_host_now(host);
    if (session->server->frozen)
        mwm_session_touch(session, 0); /* whoever stands still judges nobody */
    if (now >= session->expires || mw_timer_start(host, &session->deadline, session->expires - now) != MW_OK)
        mwm_session_end(session);
}

static void deadline_passed(mw_timer *timer) {
    look(mw_container(timer, mwm_session, deadline));
}

/* ---- Beginning */

/* Random, so that a registry that was set back to an older copy does not reuse one; 52 bits, so that a JSON number
 * holds it. */
static mw_session_id new_id(mw_memory_server *server) {
    mw_session_id id = 0;
    do {
        mw_host_random(server->host, &id, sizeof id);
        id >>= 12;
    } while (id == 0 || mwm_session_find(server, id));
    return id;
}

static mwm_session *session_new(mw_memory_server *server, const mwm_hello *hello) {
    mwm_session *session = calloc(1, sizeof *session + hello->name_len);
    if (!session)
        return NULL;
    session->server = server;
    session->id = new_id(server);
    mw_host_random(server->host, session->secret, sizeof session->secret);
    session->timeout = hello->timeout ? hello->timeout : server->session_timeout;
    session->opened = mw_host_wall(server->host);
    session->deadline.fire = deadline_passed;
    if (mw_timer_start(server->host, &session->deadline, session->timeout) != MW_OK) {
        free(session);
        return NULL;
    }
    mwm_ring_init(&session->owned);
    mwm_ring_init(&session->members);
    session->answers_tail = &session->answers;
    session->name_len = hello->name_len;
    memcpy(session->name, hello->name, hello->name_len);
    mwm_index_insert(&server->sessions, &session->by_id, mwm_hash_number(session->id));
    mwm_session_touch(session, 0);
    return session;
}

static void welcome(mwm_wire *wire, mwm_session *session, bool resumed) {
    mwm_hello *hello = mwm_hello_new(MWM_WELCOME, 0, (mw_str){0});
    if (hello) {
        hello->session = session->id;
        memcpy(hello->secret, session->secret, sizeof hello->secret);
        hello->timeout = session->timeout;
        hello->registry = session->server->registry;
        hello->resumed = resumed;
        hello->msg.number = session->server->store.revision;
    }
    mwm_wire_answer(wire, hello);
}

void mwm_session_hello(mwm_wire *wire, const mwm_hello *hello) {
    mw_memory_server *server = wire->server;
    if (hello->registry == server->registry && hello->msg.number > server->store.revision)
        mwm_faults_went_back(server, hello->msg.number);
    mwm_session *session = hello->session ? mwm_session_find(server, hello->session) : session_new(server, hello);
    if (!session && hello->session) {
        mwm_wire_say(wire, MWM_EXPIRED, 0, 0, NULL);
        return;
    }
    if (!session) {
        mwm_wire_cut(wire);
        return;
    }
    if (session->wire && session->wire != wire) {
        mwm_wire *older = session->wire;
        mwm_session_detach(older);
        mwm_wire_cut(older);
    }
    session->wire = wire;
    wire->session = session;
    wire->last_session = session->id;
    mwm_session_touch(session, 0);
    welcome(wire, session, hello->session != 0);
}

/* ---- End */

void mwm_session_detach(mwm_wire *wire) {
    mwm_feed_drop_all(wire);
    if (wire->session)
        wire->session->wire = NULL;
    wire->session = NULL;
}

static void forget_answers(mwm_session *session, uint64_t before) {
    while (session->answers && session->answers->id < before) {
        mwm_msg *answer = session->answers;
        session->answers = answer->next;
        mwm_msg_free(answer);
    }
    if (!session->answers)
        session->answers_tail = &session->answers;
}

void mwm_session_end(mwm_session *session) {
    mw_memory_server *server = session->server;
    mwm_wire *wire = session->wire;
    mw_timer_stop(server->host, &session->deadline);
    mwm_index_remove(&server->sessions, &session->by_id);
    if (wire) {
        mwm_session_detach(wire);
        mwm_wire_say(wire, MWM_EXPIRED, 0, 0, NULL);
    }
    mwm_queue_leave_all(session);
    mwm_txn_remove_owned(&server->store, &session->owned);
    forget_answers(session, UINT64_MAX);
    free(session);
}

void mwm_session_end_other(mwm_wire *wire, const mwm_hello *other) {
    mwm_session *session = mwm_session_find(wire->server, other->session);
    mwm_reply *reply = mwm_reply_new(other->msg.id, 0);
    if (reply && session && memcmp(session->secret, other->secret, MW_SECRET_SIZE) != 0) {
        reply->msg.status = MW_EDENIED;
        (void)snprintf(reply->detail, sizeof reply->detail, "session %llx: the secret does not match",
                       (unsigned long long)other->session);
    } else if (session && reply) {
        mwm_session_end(session);
    }
    mwm_wire_answer(wire, reply);
}

/* ---- Writes */

/* The answer, and its copy in the marker, are there before anything is changed: a write is never committed without a
 * trace. */
void mwm_session_write(mwm_session *session, const mwm_writes *writes) {
    mw_memory_server *server = session->server;
    forget_answers(session, writes->oldest);
    mwm_reply *reply = mwm_reply_new(writes->msg.id, writes->count);
    mwm_reply *mark = mwm_reply_new(writes->msg.id, writes->count);
    if (!reply || !mark) {
        mwm_msg_free(reply ? &reply->msg : NULL);
        mwm_msg_free(mark ? &mark->msg : NULL);
        mwm_wire_cut(session->wire);
        return;
    }
    mwm_txn txn = {
        .store = &server->store,
        .session = session->id,
        .owned = &session->owned,
        .now = mw_host_wall(server->host),
        .writes = writes->writes,
        .count = writes->count,
        .written = reply->written,
        .holds = mwm_queue_holds,
        .holds_arg = session,
    };
    reply->msg.status = mwm_txn_run(&txn);
    reply->msg.number = server->store.revision;
    reply->failed = txn.failed;
    memcpy(reply->detail, txn.detail, sizeof reply->detail);
    mwm_reply_assign(mark, reply);
    *session->answers_tail = &mark->msg;
    session->answers_tail = &mark->msg.next;
    mwm_wire_answer_change(session->wire, reply);
}

/* What became of a write whose answer was lost: the answer again, or that it never arrived. */
void mwm_session_decide(mwm_session *session, uint64_t id) {
    const mwm_msg *answer = session->answers;
    bool forgotten = mwm_faults_forget(session->wire);
    while (answer && answer->id != id)
        answer = answer->next;
    const mwm_reply *known = forgotten ? NULL : (const mwm_reply *)(const void *)answer;
    mwm_reply *reply = mwm_reply_new(id, known ? known->count : 0);
    if (reply && known)
        mwm_reply_assign(reply, known);
    else if (reply)
        reply->msg.status = forgotten ? MW_EUNKNOWN : MW_EDISCONNECTED;
    mwm_wire_answer(session->wire, reply);
}
