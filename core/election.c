/* Election: a lock whose holder writes its record, under the guard of the lock, as the ephemeral `path`/leader. */
#include <stdlib.h>

#include "hold.h"
#include "op.h"
#include "txn_rules.h"

#define LEADER "/leader"

/* What an attempt fails in. */
#define QUEUEING "no place in the queue could be had"
#define WRITING "the leader's record could not be written"

/* Between two attempts, and between two terms: who resigns whenever it is elected must not keep the registry busy. */
#define RETRY_DELAY (100 * MW_MS)

/* ... and at most, where one attempt after the other is refused: nobody tells when what is in the way has gone. */
#define RETRY_MAX MW_SECOND

/* Before the same refusal is told again; doubled each time. */
#define WARN_PAUSE (10 * MW_SECOND)

typedef enum term { STANDING, WRITING_RECORD, LEADING, OUT } term;

struct mw_election {
    mw__link link;
    mw_registry *registry;
    mw_lock *lock;
    mw_op *writing; /* the record, under way */
    term term;
    mw_timer again;   /* stand again, after a failed attempt or a resignation */
    mw_time elected;  /* when its last term began */
    mw_error refusal; /* of the last attempt that ended; code 0: it was won */
    mw_time retry;    /* before the next attempt, should this one be refused */
    mw_time warn_at, warn_pause;
    const mw_election_events *events;
    void *arg;
    mw_str record;
    mw_str leader; /* path of the record */
    char bytes[];
};

static void stand(mw_election *election);
static void write_record(mw_election *election);

static void stand_later(mw_election *election, mw_time pause) {
    election->term = STANDING;
    (void)mw_timer_start(election->registry->host, &election->again, pause);
}

/* Who stays out holds nobody up. */
static void stay_out(mw_election *election, const mw_error *why) {
    election->term = OUT;
    if (mw_lock_held(election->lock))
        (void)mw_lock_release(election->lock, NULL);
    election->events->failed(election->arg, why);
}

/* The connection tells of these. */
static bool of_connection(int status) {
    return status == MW_ESESSION_LOST || status == MW_EDISCONNECTED || status == MW_ECANCELLED;
}

/* Each reason once, and the same one at growing pauses: attempts follow one another fast. */
static void warn(mw_election *election, bool same) {
    mw_time now = mw_host_now(election->registry->host);
    if (same && now < election->warn_at)
        return;
    election->warn_pause = same ? 2 * election->warn_pause : WARN_PAUSE;
    election->warn_at = now + election->warn_pause;
    mw_log(election->registry->host, MW_LOG_WARN, "elect", "%s", election->refusal.message);
}

static void note_refusal(mw_election *election, int status, const char *what, const mw_error *why) {
    mw_error before = election->refusal;
    (void)mw_fail(&election->refusal, status, "%s: %s", what, why->message);
    bool same = before.code == status && strcmp(before.message, election->refusal.message) == 0;
    if (!of_connection(status))
        warn(election, same);
}

/* An attempt has failed, in doing `what`: again later, unless that would not help. */
static void fall_back(mw_election *election, int status, const char *what, const mw_error *why) {
    if (status == MW_ECLOSED || status == MW_EDENIED || status == MW_EUNSUPPORTED || status == MW_EINVALID ||
        status == MW_ETOO_LARGE) {
        stay_out(election, why);
        return;
    }
    note_refusal(election, status, what, why);
    if (mw_lock_held(election->lock))
        (void)mw_lock_release(election->lock, NULL);
    stand_later(election, election->retry);
    election->retry = 2 * election->retry < RETRY_MAX ? 2 * election->retry : RETRY_MAX;
}

/* Its outcome is of no interest: the guard decides. */
static void forget_writing(mw_election *election) {
    mw_op *op = election->writing;
    election->writing = NULL;
    if (!op)
        return;
    op->done = NULL;
    mw_op_cancel(op);
}

static void depose(mw_election *election, const mw_error *why) {
    bool led = election->term == LEADING;
    forget_writing(election);
    stand_later(election, RETRY_DELAY);
    if (led)
        election->events->deposed(election->arg, why);
}

/* ---- The record */

static void on_record(void *arg, const mw_result *result) {
    mw_election *election = arg;
    election->writing = NULL;
    if (result->status == MW_OK) {
        election->term = LEADING;
        election->elected = mw_host_now(election->registry->host);
        election->refusal = (mw_error){0};
        election->retry = RETRY_DELAY;
        election->events->elected(election->arg, mw_lock_token(election->lock));
    } else if (result->status == MW_EEXISTS || result->status == MW_EUNKNOWN) {
        write_record(election); /* a predecessor's, or our own whose reply was lost: replaced */
    } else {
        fall_back(election, result->status, WRITING, result->error);
    }
}

static void on_cleared(void *arg, const mw_result *result) {
    mw_election *election = arg;
    mw_call call = {.timeout = MW_FOREVER, .done = on_record, .arg = election};
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = election->lock},
                       {.kind = MW_CREATE, .path = election->leader, .value = election->record, .ephemeral = true}};
    mw_error why;
    election->writing = NULL;
    int status = result->status == MW_OK || result->status == MW_ENOT_FOUND ? MW_OK : result->status;
    if (status == MW_OK)
        status = mw_txn(election->registry, steps, 2, &call, &election->writing, &why);
    else
        why = *result->error;
    if (status != MW_OK) {
        mw_result failed = {.status = status, .error = &why};
        on_record(election, &failed);
    }
}

/* Take out what stands there, then write ours: both under the guard, so neither happens after a loss. */
static void write_record(mw_election *election) {
    mw_call call = {.timeout = MW_FOREVER, .done = on_cleared, .arg = election};
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = election->lock},
                       {.kind = MW_DELETE, .path = election->leader, .version = MW_VERSION_ANY}};
    mw_error why;
    election->term = WRITING_RECORD;
    int status = mw_txn(election->registry, steps, 2, &call, &election->writing, &why);
    if (status != MW_OK)
        fall_back(election, status, WRITING, &why);
}

/* Applied before the release that follows it, and only while the lock is held. */
static void withdraw_record(mw_election *election) {
    mw_call call = {0};
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = election->lock},
                       {.kind = MW_DELETE, .path = election->leader, .version = MW_VERSION_ANY}};
    (void)mw_txn(election->registry, steps, 2, &call, NULL, NULL);
}

/* ---- The lock */

static void on_acquired(void *arg, int status, int64_t token, const mw_error *error) {
    mw_election *election = arg;
    if (election->term == OUT)
        return;
    if (status == MW_OK) {
        mw_call call = {.timeout = MW_FOREVER, .done = on_record, .arg = election};
        mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = election->lock},
                           {.kind = MW_CREATE, .path = election->leader, .value = election->record, .ephemeral = true}};
        mw_error why;
        election->term = WRITING_RECORD;
        int sent = mw_txn(election->registry, steps, 2, &call, &election->writing, &why);
        if (sent != MW_OK)
            fall_back(election, sent, WRITING, &why);
    } else {
        fall_back(election, status, QUEUEING, error);
    }
}

static void on_lost(void *arg, const mw_error *why) {
    depose(arg, why);
}

static const mw_lock_events lock_events = {.acquired = on_acquired, .lost = on_lost};

static void stand(mw_election *election) {
    mw_error why;
    if (mw_lock_acquire(election->lock, MW_FOREVER, false, &why) != MW_OK)
        stay_out(election, &why);
}

static void stand_again(mw_timer *timer) {
    stand(mw_container(timer, mw_election, again));
}

/* ---- For callers */

static int check_record(const mw_election *election, mw_error *err) {
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = election->lock},
                       {.kind = MW_CREATE, .path = election->leader, .value = election->record, .ephemeral = true}};
    mw_error why;
    int status = mw__txn_check(election->registry, steps, 2, &why);
    return status == MW_OK ? MW_OK : mw_fail(err, status, "the leader's record: %s", why.message);
}

int mw_election_new(mw_registry *registry, mw_str path, mw_str record, const mw_election_events *events, void *arg,
                    mw_election **ret_election, mw_error *err) {
    mw_election *election = calloc(1, sizeof *election + path.len + sizeof LEADER + record.len);
    if (!election)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory for an election");
    election->registry = registry;
    election->events = events;
    election->arg = arg;
    election->again.fire = stand_again;
    election->retry = RETRY_DELAY;
    memcpy(election->bytes, path.data, path.len);
    memcpy(election->bytes + path.len, LEADER, sizeof LEADER - 1);
    election->leader = (mw_str){election->bytes, path.len + sizeof LEADER - 1};
    election->record = (mw_str){election->bytes + election->leader.len, record.len};
    if (record.len)
        memcpy(election->bytes + election->leader.len, record.data, record.len);
    int status = mw_lock_new(registry, path, record, &lock_events, election, &election->lock, err);
    if (status == MW_OK) /* what would be refused when it is written is refused now */
        status = check_record(election, err);
    if (status == MW_OK)
        status = mw_lock_acquire(election->lock, MW_FOREVER, false, err);
    if (status != MW_OK) {
        mw_lock_free(election->lock);
        free(election);
        return status;
    }
    mw__list_append(&registry->elections, &election->link);
    mw__registry_ref(registry);
    *ret_election = election;
    return MW_OK;
}

const mw_lock *mw_election_lock(const mw_election *election) {
    return election->lock;
}

bool mw_election_leads(const mw_election *election) {
    return election->term == LEADING && mw_lock_held(election->lock);
}

const mw_error *mw_election_refusal(const mw_election *election) {
    return &election->refusal;
}

int mw_election_resign(mw_election *election, mw_error *err) {
    if (!mw_election_leads(election))
        return mw_fail(err, MW_EINVALID, "not leading");
    mw_error why;
    (void)mw_fail(&why, MW_OK, "resigned");
    withdraw_record(election);
    (void)mw_lock_release(election->lock, NULL);
    election->term = STANDING;
    mw_time due = election->elected + RETRY_DELAY, now = mw_host_now(election->registry->host);
    (void)mw_timer_start(election->registry->host, &election->again, due > now ? due - now : 0);
    election->events->deposed(election->arg, &why); /* last: whoever hears it may free the election */
    return MW_OK;
}

void mw_election_free(mw_election *election) {
    if (!election)
        return;
    mw_registry *registry = election->registry;
    mw_timer_stop(registry->host, &election->again);
    forget_writing(election);
    if (mw_lock_held(election->lock))
        withdraw_record(election);
    mw__list_remove(&election->link);
    mw_lock_free(election->lock);
    free(election);
    mw__registry_unref(registry);
}

/* A callback may free any election, so each is taken out of the list before it is told. */
void mw__elections_closed(mw_registry *registry, const mw_error *why) {
    for (mw__link *link; (link = mw__list_shift(&registry->elections));) {
        mw_election *election = mw_container(link, mw_election, link);
        bool led = election->term == LEADING;
        mw_timer_stop(registry->host, &election->again);
        forget_writing(election);
        election->term = OUT;
        if (led)
            election->events->deposed(election->arg, why);
    }
}
