/* The client: a connection, its session, and what it asked for and awaits. */
#ifndef MOONWATCH_MEMORY_CONN_H
#define MOONWATCH_MEMORY_CONN_H

#include "server.h"

/* A call: something that the core asked for and that has not ended. */
typedef enum mwm_call_kind {
    MWM_CALL_READ,
    MWM_CALL_WRITE,
    MWM_CALL_FEED,
    MWM_CALL_TICKET,
    MWM_CALL_END
} mwm_call_kind;
#define MWM_CALL_KINDS 5

typedef struct mwm_call {
    mwm_hook by_id;
    mwm_ring in_conn; /* among those of its kind, in order of submission */
    uint64_t id;
    mwm_call_kind kind;
    union {
        mw_request *request;
        mw_feed *feed;
        mw_ticket *ticket;
    };
    bool unlocked; /* ticket: `unlock` was called */
    int64_t known; /* ticket: its token; feed: the revision up to which it is complete, 0 = take a snapshot */
    void (*ended)(void *arg, int status, const mw_error *detail); /* end_session */
    void *arg;
} mwm_call;

typedef enum mwm_conn_state {
    MWM_CONN_IDLE,      /* the next attempt starts with the next turn, or when `tick` fires */
    MWM_CONN_HELLO,     /* waiting to be welcomed; `tick` gives up */
    MWM_CONN_CONNECTED, /* `tick` renews */
    MWM_CONN_LEAVING,   /* said goodbye; `patience` gives up */
    MWM_CONN_CLOSED
} mwm_conn_state;

struct mw_conn {
    mw_host *host;
    mw_memory_server *server;
    bool private_server;
    mwm_wire wire;

    const mw_conn_events *events;
    void *events_arg;
    mw_time timeout; /* asked for; 0 = the server's */
    mw_session_info session;
    uint64_t registry;
    int64_t revision; /* the highest seen */

    mwm_conn_state state;
    mw_timer tick;
    mw_timer patience;                /* of `close` */
    mw_time hello_sent, renewal_sent; /* 0 = no renewal is on the way */
    unsigned attempts;                /* in vain, since the last connection */

    mw_defer work;  /* what must not happen inline */
    bool giving_up; /* `expire` was called: to be reported */
    bool closing;   /* `close` was called */
    bool gone;      /* `closed` is to be reported */

    uint64_t last_id;
    mwm_index calls; /* by id */
    mwm_ring by_kind[MWM_CALL_KINDS];
    mw_request *refused_requests, *refused_last; /* chained through backend[1]; why in backend[2] */
    mw_ticket *refused_tickets;

    mw_backend_stats stats;
    size_t name_len;
    char name[];
};

/* ---- conn.c: connecting, staying alive, closing */

/* Send, or break the wire when there is no memory (`msg` is NULL). */
void mwm_conn_send(mw_conn *conn, void *msg);

/* ---- call.c: requests, feeds, tickets */

mw_backend_submit_fn mwm_submit;
mw_backend_cancel_fn mwm_cancel;
mw_backend_watch_fn mwm_watch;
mw_backend_unwatch_fn mwm_unwatch;
mw_backend_lock_fn mwm_lock;
mw_backend_unlock_fn mwm_unlock;
mw_backend_end_session_fn mwm_end_session;

void mwm_calls_init(mw_conn *conn);
void mwm_calls_answer(mw_conn *conn, mwm_msg *msg); /* everything that carries the id of a call */
void mwm_calls_resume(mw_conn *conn);               /* connected: ask again for what is still wanted */
void mwm_calls_suspend(mw_conn *conn);              /* disconnected: end what was not sent, or only read */
void mwm_calls_refuse(mw_conn *conn);               /* report what was refused */

/* The session is over: end all but the feeds; tickets with `tickets`. */
void mwm_calls_end(mw_conn *conn, int tickets, const mw_error *why);
void mwm_calls_release(mw_conn *conn); /* forget all, without a word */

#endif
