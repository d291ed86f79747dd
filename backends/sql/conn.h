/* The host's side of a connection: what the core calls, and what it is told. */
#ifndef MOONWATCH_SQL_CONN_H
#define MOONWATCH_SQL_CONN_H

#include "worker.h"

/* A feed, alive until it is unwatched and no job refers to it. */
struct mw__sql_feed {
    mw__sql_feed *next;
    mw_feed *feed;  /* NULL: unwatched */
    bool begun;     /* its first snapshot was shown: changes may follow */
    bool unread;    /* a snapshot could not be read: to be tried again with the next heartbeat */
    unsigned users; /* the list, and jobs under way */
};

/* A ticket, alive until it has ended and no job refers to it. */
struct mw__sql_hold {
    mw__sql_hold *next;
    mw_ticket *ticket; /* NULL: ended */
    unsigned generation;
    int64_t handle;
    int64_t token;      /* 0: waiting */
    bool left;          /* unlock was called, or the attempt has failed: its place is being removed */
    bool queued;        /* has a place in the queue */
    int failure;        /* to be reported once that place is removed; 0 = it was unlocked */
    bool unlock_failed; /* to be tried again with the next heartbeat */
    unsigned users;
};

struct mw_conn {
    mw__sql_channel channel;
    mw__sql_worker worker;
    pthread_t thread;
    mw_host *host;
    const mw_conn_events *events;
    void *events_arg;

    unsigned generation;
    mw_session_id session; /* 0 = none */
    bool connected;
    bool closing;
    bool renewing; /* a renewal is under way */
    mw_timer renew;
    mw_timer patience;
    mw_defer report_expired;
    bool expired_unreported;

    mw__sql_feed *feeds;
    mw__sql_hold *holds;

    /* What could not be started for want of memory: reported from the loop. */
    mw_defer report_starved;
    mw_request *starved_requests; /* linked through backend[1] */
    mw_ticket *starved_tickets;   /* linked through backend[1] */
    void (*starved_end)(void *arg, int status, const mw_error *detail);
    void *starved_end_arg;
};

/* conn.c */
bool mw__sql_send_snapshot(mw_conn *conn, mw__sql_feed *feed);
bool mw__sql_send_lock(mw_conn *conn, mw__sql_hold *hold, mw__sql_job_kind kind);
void mw__sql_conn_free(mw_conn *conn);

/* deliver.c */
void mw__sql_deliver(mw_defer *defer);
void mw__sql_report_expired(mw_defer *defer);
void mw__sql_end_ticket(mw_conn *conn, mw__sql_hold *hold, int status, const mw_error *detail);
void mw__sql_feed_unref(mw__sql_feed *feed);
void mw__sql_hold_unref(mw__sql_hold *hold);

#endif
