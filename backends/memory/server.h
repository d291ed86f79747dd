/* The server: sessions, feeds and lock queues over one store. It sees clients only as wires. */
#ifndef MOONWATCH_MEMORY_SERVER_H
#define MOONWATCH_MEMORY_SERVER_H

#include "memory.h"
#include "wire.h"

#define MWM_SESSION_TIMEOUT (6 * MW_SECOND)
#define MWM_LOG_SIZE 1024

typedef struct mwm_session {
    mwm_hook by_id;
    mw_memory_server *server;
    mw_session_id id;
    unsigned char secret[MW_SECRET_SIZE];
    mw_time timeout, expires;
    int64_t opened; /* milliseconds since 1970 */
    mw_timer deadline;
    mwm_wire *wire;   /* NULL while its client is away */
    mwm_ring owned;   /* mwm_node: its ephemerals */
    mwm_ring members; /* mwm_member: its places in lock queues */

    /* The marker: answers to its latest writes, oldest first, until the client has said that it saw them. */
    mwm_msg *answers, **answers_tail;

    size_t name_len;
    char name[];
} mwm_session;

struct mw_memory_server {
    mw_backend table; /* first: `open` finds the server by it */
    mw_host *host;
    mwm_store store;   /* its `revision` also numbers grants of locks: tokens only grow, in all queues together */
    uint64_t registry; /* random: which registry this is */
    mw_time session_timeout;
    uint64_t random;
    mwm_index sessions; /* by id */
    mwm_index points;   /* watched paths, see feed.c */
    mwm_index queues;   /* lock queues by path */
    mwm_ring wires;
    size_t feeds, tickets;
    mw_memory_faults faults; /* of all wires that have none of their own */
    mw_time down_until;
    bool frozen;
};

/* ---- server.c: wires and requests */

/* Prepare both ends; `deliver` takes what arrives at the client. */
void mwm_server_plug(mw_memory_server *server, mwm_wire *wire, mw_host *client,
                     void (*deliver)(mwm_wire *wire, mwm_msg *msg));
void mwm_server_unplug(mwm_wire *wire);

/* The client's calls. `open` may be refused. `close` loses what is under way in both directions; the session stays. */
bool mwm_wire_open(mwm_wire *wire);
void mwm_wire_close(mwm_wire *wire);
void mwm_wire_ask(mwm_wire *wire, mwm_msg *msg); /* takes over `msg` */

/* The server's calls. `answer` with NULL (out of memory) cuts the wire: what cannot be said must not be missed. */
void mwm_wire_answer(mwm_wire *wire, void *msg);
void mwm_wire_answer_change(mwm_wire *wire, void *msg); /* something was done: it is what `lose_reply` loses */
void mwm_wire_cut(mwm_wire *wire);
mwm_msg *mwm_wire_say(mwm_wire *wire, mwm_kind kind, uint64_t id, int64_t number, mwm_state *state);

/* ---- faults.c */

bool mwm_faults_chance(mw_memory_server *server, double probability);
uint64_t mwm_faults_dice(mw_memory_server *server, uint64_t sides); /* 0 to sides - 1 */
mw_time mwm_faults_latency(mwm_wire *wire);
bool mwm_faults_lose_request(mwm_wire *wire);
bool mwm_faults_lose_reply(mwm_wire *wire);
bool mwm_faults_refuse(const mwm_wire *wire); /* a new connection */
bool mwm_faults_weak(const mwm_wire *wire);
bool mwm_faults_forget(mwm_wire *wire);

/* A client has seen a later revision than there is: the registry was set back to an older copy. */
void mwm_faults_went_back(mw_memory_server *server, int64_t seen);

/* ---- conn.c, the client */

mw_backend_open_fn mwm_open_shared;
void mwm_conn_discard(mwm_wire *wire); /* of a killed process: freed without a word */

/* ---- session.c */

mwm_session *mwm_session_find(const mw_memory_server *server, mw_session_id id);

/* MWM_HELLO: a new session, or back to the old one. */
void mwm_session_hello(mwm_wire *wire, const mwm_hello *hello);
void mwm_session_touch(mwm_session *session, mw_time grace); /* it lives: its timeout starts again, `grace` from now */

/* Its ephemerals and locks go; its client, if there, hears MWM_EXPIRED. */
void mwm_session_end(mwm_session *session);
void mwm_session_detach(mwm_wire *wire); /* the client is away; its session waits, its feeds are gone */

/* MWM_END, MWM_WRITE, MWM_DECIDE */
void mwm_session_end_other(mwm_wire *wire, const mwm_hello *other);
void mwm_session_write(mwm_session *session, const mwm_writes *writes);
void mwm_session_decide(mwm_session *session, uint64_t id);

/* ---- read.c */

void mwm_read(mwm_wire *wire, const mwm_ask *ask);

/* ---- feed.c */

void mwm_feed_watch(mwm_wire *wire, const mwm_ask *ask);
void mwm_feed_unwatch(mwm_wire *wire, uint64_t id);
void mwm_feed_drop_all(mwm_wire *wire);
void mwm_feed_publish(mw_memory_server *server, const mwm_change *change);

/* ---- queue.c */

/* A place in a lock's queue; the first member is the holder. */
typedef struct mwm_member {
    mwm_ring in_queue, in_session;
    struct mwm_queue *queue;
    mwm_session *session;
    uint64_t id;      /* the client's number of its ticket */
    int64_t token;    /* 0 while waiting */
    int64_t since;    /* milliseconds since 1970 */
    mwm_state *label; /* path and value of the ticket */
} mwm_member;

typedef struct mwm_queue {
    mwm_hook by_path;
    mwm_ring members;
    mwm_state *label; /* its path */
} mwm_queue;

void mwm_queue_join(mwm_session *session, const mwm_ask *ask);
void mwm_queue_leave(mwm_session *session, uint64_t id);
void mwm_queue_leave_all(mwm_session *session);
void mwm_queue_drop(mw_memory_server *server, mwm_queue *queue); /* all in it are fenced */
bool mwm_queue_holds(void *session, mw_str path, int64_t token);
mwm_queue *mwm_queue_find(const mw_memory_server *server, mw_str path);

#endif
