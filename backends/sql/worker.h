/* The connection thread: all SQL of one connection, one job after another.
 *
 * Functions that return a status: MW_EDISCONNECTED and MW_EUNKNOWN mean that the connection is to be given up,
 * MW_ESESSION_LOST that our session is over; their caller (serve.c) acts on it. `err` is always filled on failure.
 */
#ifndef MOONWATCH_SQL_WORKER_H
#define MOONWATCH_SQL_WORKER_H

#include "batch.h"
#include "job.h"

#define MW__SQL_IDENTITY_SIZE 16

/* The server's clock less our own, in milliseconds, as we heard it. */
typedef struct mw__sql_hearing {
    mw_time at;
    int64_t offset;
} mw__sql_hearing;

#define MW__SQL_HEARINGS 32

typedef struct mw__sql_worker {
    mw__sql_channel *channel;
    mw_host *host; /* for its log */
    const mw_sql_driver *driver;
    mw_sql_db *db;
    mw_sql_statement *statements;
    mw_sql_schema *schema;
    char *name;
    size_t name_len;
    mw_time timeout;
    mw_time poll_interval; /* 0 = the driver's */
    mw_time heartbeat;     /* between renewals; a third of the timeout at most */
    int64_t lock_idle_ms;
    int64_t retention;
    uint64_t random;

    bool connected;
    bool failed; /* for good */
    bool stop;
    unsigned attempts; /* to connect, since it last worked */
    mw_time retry_at;
    mw__sql_list redo; /* what a lost connection interrupted, in order */

    unsigned generation;
    mw_session_id session; /* 0 = none */
    unsigned char secret[MW_SECRET_SIZE];
    int64_t txn;
    bool late_attempt;    /* at a lock: its reply was lost, and it may not have come there yet */
    mw_session_id orphan; /* given up by the host's side; to be ended when we can */
    unsigned char orphan_secret[MW_SECRET_SIZE];

    bool known; /* the identity is */
    unsigned char identity[MW__SQL_IDENTITY_SIZE];
    int64_t highest; /* revision seen */
    int64_t floor;
    int64_t best_token; /* highest token seen */
    int64_t seen;       /* revision up to which changes were dispatched */
    bool resync_wanted; /* it is another registry than the one whose changes were dispatched */
    bool poll_wanted;
    bool poll_failed; /* what it was to see is not told of again: the next one looks closely */
    mw_time poll_at;
    unsigned glances; /* looks since a wake-up that has shown nothing yet, from 1; 0 = none is open */
    mw_time reap_at;
    mw_time steady_since; /* server time and our own have advanced alike since, and we were never left without answer */
    mw_time clock_heard;  /* when we last saw the server's clock */
    int64_t clock_offset;
    mw__sql_hearing hearings[MW__SQL_HEARINGS]; /* the latest, a ring */
    unsigned hearing_count;
    unsigned ticks;
} mw__sql_worker;

void *mw__sql_worker_run(void *worker);

/* The connection is to be given up: tell the host's side, and connect again soon. */
void mw__sql_disconnect(mw__sql_worker *worker, const mw_error *why);
/* The same for what failed with `status`; with MW_ESESSION_LOST only the session is over, and a new one is opened. */
void mw__sql_give_way(mw__sql_worker *worker, int status, const mw_error *why);
/* Connecting again mends these; anything else needs a person. */
bool mw__sql_passing(int status);

/* ---- serve.c */
void mw__sql_serve(mw__sql_worker *worker, mw__sql_job *job);
/* Without a connection everything waits, but for requests, which the core keeps. */
void mw__sql_serve_offline(mw__sql_worker *worker, mw__sql_job *job);
/* There will be no connection any more: whatever is left ends here. */
void mw__sql_drain(mw__sql_worker *worker, const char *why);

/* ---- run.c */
mw_time mw__sql_now(void);
uint64_t mw__sql_random(mw__sql_worker *worker);

/* Run a batch, repeating it on conflicts. Counts. */
int mw__sql_run(mw__sql_worker *worker, mw__sql_batch *batch, mw_error *err);

/* Between two attempts: longer and longer, up to 64 ms. */
void mw__sql_pause(mw__sql_worker *worker, unsigned attempt);

/* Note that a revision was seen. */
void mw__sql_saw(mw__sql_worker *worker, int64_t revision);

/* ---- session.c */
/* After connecting: look who the registry is, take up our session or open a new one, tell the host's side. */
int mw__sql_hello(mw__sql_worker *worker, mw_error *err);
/* To tables that we can use. The session is as it was. */
int mw__sql_connect(mw__sql_worker *worker, mw_error *err);
int mw__sql_renew(mw__sql_worker *worker, mw_error *err);
/* End our session, on another connection if this one turns out to be broken; until the host's patience ends. */
void mw__sql_say_goodbye(mw__sql_worker *worker);
int mw__sql_end_by_secret(mw__sql_worker *worker, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                          mw_error *err);
/* Our session is over: tell, and open a new one. */
int mw__sql_session_over(mw__sql_worker *worker, const char *why, mw_error *err);
void mw__sql_give_up_session(mw__sql_worker *worker, unsigned generation);

/* ---- reap.c */
int mw__sql_reap(mw__sql_worker *worker, mw_error *err);
/* A renewal told the server's clock and when the first session runs out (the dialect's `beat`). */
void mw__sql_heard(mw__sql_worker *worker, int64_t told);
int mw__sql_end_session_row(mw__sql_worker *worker, mw_session_id id, const mw_sql_value *proof, bool by_secret,
                            mw_error *err);
/* Housekeeping: bound the change log, drop idle lock rows. */
int mw__sql_tidy(mw__sql_worker *worker, mw_error *err);

/* ---- write.c */
int mw__sql_write(mw__sql_worker *worker, mw__sql_job *job);
/* What became of a write whose reply was lost. */
int mw__sql_decide(mw__sql_worker *worker, mw__sql_job *job);

/* ---- read.c */
int mw__sql_read(mw__sql_worker *worker, mw__sql_job *job);
int mw__sql_snapshot(mw__sql_worker *worker, mw__sql_job *job);
/* What of META: revision, floor, identity. `ret_absent`: there is no such row yet. */
typedef struct mw__sql_meta {
    int64_t revision;
    int64_t floor;
    unsigned char identity[MW__SQL_IDENTITY_SIZE];
    bool present;
} mw__sql_meta;
int mw__sql_read_meta(mw__sql_worker *worker, mw__sql_meta *ret_meta, mw_error *err);
void mw__sql_meta_row(mw__sql_meta *meta, const mw_sql_value *cells, size_t count);
void mw__sql_entry_cells(mw_entry *entry, const mw_sql_value *cells);

/* ---- changes.c */
int mw__sql_poll(mw__sql_worker *worker, bool certain, mw_error *err);
void mw__sql_resync(mw__sql_worker *worker, int64_t revision);

/* ---- locks.c */
int mw__sql_lock_job(mw__sql_worker *worker, mw__sql_job *job);
int mw__sql_unlock_job(mw__sql_worker *worker, mw__sql_job *job);
/* Both in one round trip, where all goes well: whether the release is done, and the attempt, if its token is set. What
 * is not goes on alone. */
int mw__sql_exchange(mw__sql_worker *worker, mw__sql_job *release, mw__sql_job *attempt, bool *ret_released);

#endif
