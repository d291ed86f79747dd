/* What travels between the host's thread and the connection thread, and the two queues it travels in.
 *
 * A job carries copies of all that the connection thread needs, so the host's side may forget a request at any time.
 * Pointers to requests, feeds and holds are looked at on the host's thread only. A job is made by one side and, done,
 * comes back to the host's thread, which frees it.
 */
#ifndef MOONWATCH_SQL_JOB_H
#define MOONWATCH_SQL_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "arena.h"
#include "driver.h"

typedef struct mw__sql_feed mw__sql_feed;
typedef struct mw__sql_hold mw__sql_hold;
typedef struct mw__sql_job mw__sql_job;

typedef enum mw__sql_job_kind {
    /* to the connection thread and back */
    MW__SQL_REQUEST,
    MW__SQL_LOCK,
    MW__SQL_UNLOCK,
    MW__SQL_SNAPSHOT,
    MW__SQL_RENEW,
    MW__SQL_END, /* end another session by its secret */
    /* from the connection thread */
    MW__SQL_CONNECTED,
    MW__SQL_DISCONNECTED,
    MW__SQL_EXPIRED,
    MW__SQL_CHANGED_ROWS,
    MW__SQL_RESYNC, /* something may have been missed: snapshots anew, locks looked at anew */
    MW__SQL_FAILED,
    MW__SQL_CLOSED
} mw__sql_job_kind;

/* One row of a result. */
typedef struct mw__sql_row mw__sql_row;
struct mw__sql_row {
    mw__sql_row *next;
    mw_entry entry;
    int64_t revision; /* of the change */
    int64_t handle;   /* who has the lock at `entry.path`, and its token */
    int64_t token;
    int change; /* MW__SQL_CHANGED ..., 0 = a plain entry */
    bool absent;
};

struct mw__sql_job {
    mw__sql_job *next;
    mw__sql_job_kind kind;
    unsigned generation; /* of the session it belongs to */
    bool queued;         /* not taken up yet */
    mw__sql_arena arena;

    int status;
    mw_error error;
    mw__sql_row *rows;
    mw__sql_row **tail;
    int64_t revision;

    /* REQUEST, SNAPSHOT, locks: what it is about */
    mw_str path;
    mw_str value;
    mw_request *request;
    mw_request_kind op;
    mw_write *writes; /* for a MW_CHECK_LOCK: path and token (as version) of the ticket */
    size_t write_count;
    mw_written *written;
    size_t failed_write;
    int64_t txn; /* number in the session, once sent; the outcome is to be decided by the marker */

    /* SNAPSHOT, LOCK: no other feed or ticket was there when it was made. Whoever came later asks behind it, so nobody
     * waits for the changes before it. */
    bool alone;

    mw__sql_feed *feed;
    mw_depth depth;

    mw__sql_hold *hold;
    int64_t handle;
    int64_t token; /* LOCK: 0 = waiting */
    bool try_only;
    bool doubtful; /* LOCK: the answer to an earlier run was lost; it may have left a place in the queue */

    mw_session_id session; /* END, CONNECTED */
    unsigned char secret[MW_SECRET_SIZE];
    char server[256]; /* CONNECTED: for people */
    void (*done)(void *arg, int status, const mw_error *detail);
    void *done_arg;

    mw_time sent_at; /* RENEW, CONNECTED */
    bool resumed;
};

/* NULL without memory. */
mw__sql_job *mw__sql_job_new(mw__sql_job_kind kind);
void mw__sql_job_free(mw__sql_job *job);

/* Append a row, copying path and value; false without memory. */
mw__sql_row *mw__sql_job_row(mw__sql_job *job, const mw_entry *entry);
void mw__sql_job_clear_rows(mw__sql_job *job);

typedef struct mw__sql_list {
    mw__sql_job *first;
    mw__sql_job *last;
} mw__sql_list;

void mw__sql_list_append(mw__sql_list *list, mw__sql_job *job);
void mw__sql_list_prepend(mw__sql_list *list, mw__sql_job *job);
mw__sql_job *mw__sql_list_shift(mw__sql_list *list);
bool mw__sql_list_remove(mw__sql_list *list, mw__sql_job *job);

#define MW__SQL_CLOSE_END 1     /* end the session */
#define MW__SQL_CLOSE_ABANDON 2 /* leave it to its timeout */

/* The two queues. `deliver` runs on the host's thread whenever `out` has something. */
typedef struct mw__sql_channel {
    mw_host *host;
    mw_defer deliver;
    pthread_mutex_t mutex;
    mw__sql_list in;
    mw__sql_list out;
    bool posted;
    bool changes_out; /* a CHANGED_ROWS is on its way: no further one until it has arrived */
    bool kick_after;  /* the connection thread waits for that */
    int kick_fd;      /* eventfd that wakes the connection thread */

    atomic_int interest;  /* feeds and tickets: whether changes matter to anyone */
    atomic_uint given_up; /* the host's side has given up every session of a generation below this one */
    atomic_int close;     /* MW__SQL_CLOSE_* */
    atomic_bool hurry;    /* do not repeat what conflicts */
    struct {
        atomic_ullong round_trips, statements, write_transactions, renewals, polls, reconnects, wakeups;
    } counted;
} mw__sql_channel;

int mw__sql_channel_init(mw__sql_channel *channel, mw_host *host, void (*deliver)(mw_defer *), mw_error *err);
void mw__sql_channel_release(mw__sql_channel *channel);

void mw__sql_send(mw__sql_channel *channel, mw__sql_job *job, bool urgent); /* host's thread */
mw__sql_job *mw__sql_receive(mw__sql_channel *channel);                     /* connection thread; NULL = nothing */
/* The next one, if it is an attempt at a lock in the session of `generation`; else NULL. */
mw__sql_job *mw__sql_receive_attempt(mw__sql_channel *channel, unsigned generation);
bool mw__sql_take_back(mw__sql_channel *channel, mw__sql_job *job); /* true: it was still queued */
void mw__sql_kick(mw__sql_channel *channel);

void mw__sql_reply(mw__sql_channel *channel, mw__sql_job *job); /* connection thread */
mw__sql_list mw__sql_replies(mw__sql_channel *channel);         /* host's thread: all there are */

#endif
