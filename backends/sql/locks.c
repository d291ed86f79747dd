/* Locks: the version-number optimistic lock, its queue, and the way out of both.
 *
 * A free lock with nobody waiting is one statement, won or lost in it; the version is the fencing token. The handle, a
 * random number per ticket, makes everything here safe to repeat after a lost reply. An attempt whose reply was lost
 * may also be on its way still: it is forbidden before anything else is asked, or it would take what nobody frees.
 */
#include "worker.h"

typedef struct lock_state {
    bool found;
    int64_t handle;
    int64_t token;
    int64_t dead; /* LOCK_ALIVE's answer */
} lock_state;

static void on_state(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    lock_state *to = arg;
    if (count == 1) {
        to->dead = cells[0].integer;
        return;
    }
    to->found = true;
    to->handle = cells[0].integer;
    to->token = cells[1].integer;
}

static void forget(void *arg) {
    *(lock_state *)arg = (lock_state){0};
}

static void name(const mw__sql_worker *worker, const mw__sql_job *job, mw_sql_value params[6]) {
    params[0] = mw__sql_int((int64_t)worker->session);
    params[1] = mw__sql_bytes(job->path);
    params[2] = mw__sql_int(job->handle);
    params[3] = mw__sql_bytes(job->value);
    params[4] = mw__sql_int(worker->highest);
    params[5] = mw__sql_int(worker->txn);
}

static int granted(mw__sql_worker *worker, mw__sql_job *job, int64_t token) {
    job->token = token;
    if (token > worker->best_token)
        worker->best_token = token;
    return MW_OK;
}

static int forbid_late_attempt(mw__sql_worker *worker, mw_error *err) {
    if (!worker->late_attempt)
        return MW_OK;
    const mw_sql_value params[] = {mw__sql_int((int64_t)worker->session), mw__sql_int(++worker->txn),
                                   mw__sql_int(worker->highest)};
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    batch.sql.writes = true;
    mw__sql_add(&batch, MW__SQL_TXN_FENCE, 0, params, 3);
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    worker->late_attempt = status != MW_OK;
    return status;
}

/* One guarded statement: it is free and nobody waits, or nobody ever used it. */
static void add_take(const mw__sql_worker *worker, mw__sql_batch *batch, const mw__sql_job *job) {
    mw_sql_value params[6];
    name(worker, job, params);
    mw__sql_add(batch, MW__SQL_LOCK_TAKE, MW_SQL_RETURNS, params, 6);
}

static int take(mw__sql_worker *worker, mw__sql_job *job) {
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    batch.sql.writes = true;
    add_take(worker, &batch, job);
    int status = mw__sql_run(worker, &batch, &job->error);
    if (status == MW_OK && batch.sql.steps[0].returned > 0)
        (void)granted(worker, job, batch.sql.steps[0].returned);
    mw__sql_batch_free(&batch);
    return status;
}

/* It is held, or its row is not there yet (made in the same txn), or we hold or await it already. */
static int join(mw__sql_worker *worker, mw__sql_job *job) {
    mw__sql_batch batch;
    mw_sql_value params[6];
    lock_state state = {0};
    name(worker, job, params);
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    mw__sql_collect(&batch, on_state, forget, &state);
    mw__sql_add(&batch, MW__SQL_LOCK_ALIVE, MW_SQL_VERDICT, params, 6);
    mw__sql_add(&batch, MW__SQL_LOCK_ROW, 0, params, 6);
    mw__sql_add(&batch, MW__SQL_LOCK_TAKE_NEW, 0, params, 6);
    if (!job->try_only) {
        mw__sql_add(&batch, MW__SQL_LOCK_JOIN_COUNT, 0, params, 6);
        mw__sql_add(&batch, MW__SQL_LOCK_JOIN, 0, params, 6);
    }
    mw__sql_add(&batch, MW__SQL_LOCK_STATE, 0, params, 2);
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    if (status != MW_OK)
        return status;
    if (state.dead || !state.found)
        return mw_fail(&job->error, MW_ESESSION_LOST, "the session is over");
    if (state.handle == job->handle)
        return granted(worker, job, state.token);
    if (job->try_only)
        return mw_fail(&job->error, MW_EBUSY, "%.*s: held by another", MW_STR_FMT(job->path));
    return MW_OK;
}

int mw__sql_lock_job(mw__sql_worker *worker, mw__sql_job *job) {
    job->token = 0;
    if (job->alone)
        worker->seen = worker->highest;
    int status = forbid_late_attempt(worker, &job->error);
    if (status == MW_OK)
        status = take(worker, job);
    return status == MW_OK && job->token == 0 ? join(worker, job) : status;
}

/* Held, and nobody waits: one guarded statement. */
static void add_free(const mw__sql_worker *worker, mw__sql_batch *batch, const mw__sql_job *job) {
    mw_sql_value params[6];
    name(worker, job, params);
    params[3] = mw__sql_int(job->token);
    mw__sql_add(batch, MW__SQL_LOCK_FREE, 0, params, 4);
}

static int set_free(mw__sql_worker *worker, mw__sql_job *job, bool *ret_freed) {
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    batch.sql.writes = true;
    add_free(worker, &batch, job);
    int status = mw__sql_run(worker, &batch, &job->error);
    if (status == MW_OK)
        *ret_freed = mw__sql_affected(&batch, 0) == 1;
    mw__sql_batch_free(&batch);
    return status;
}

/* Out of the queue, or the lock to the first in it; a row in the change log wakes that one. */
static int leave(mw__sql_worker *worker, mw__sql_job *job) {
    mw__sql_batch batch;
    mw_sql_value params[6];
    name(worker, job, params);
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    batch.sql.announce = true;
    mw__sql_add(&batch, MW__SQL_BUMP, 0, NULL, 0);
    mw__sql_add(&batch, MW__SQL_LEAVE_COUNT, 0, params, 3);
    mw__sql_add(&batch, MW__SQL_LEAVE_ROW, 0, params, 3);
    mw__sql_add(&batch, MW__SQL_LEAVE_CHANGE, 0, params, 3);
    mw__sql_add(&batch, MW__SQL_LEAVE_HANDOVER, 0, params, 3);
    mw__sql_add(&batch, MW__SQL_LEAVE_TAKEN, 0, params, 3);
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    return status;
}

int mw__sql_unlock_job(mw__sql_worker *worker, mw__sql_job *job) {
    bool freed = false;
    int status = forbid_late_attempt(worker, &job->error);
    if (status == MW_OK && job->token)
        status = set_free(worker, job, &freed);
    if (status != MW_OK || freed)
        return status;
    status = leave(worker, job);
    worker->poll_wanted = status == MW_OK; /* the lock may have come to another ticket of ours */
    return status;
}

/* A release that is not waited for is often followed by the next attempt. Each of the two statements has its own guard,
 * and the second comes after the first. */
int mw__sql_exchange(mw__sql_worker *worker, mw__sql_job *release, mw__sql_job *attempt, bool *ret_released) {
    mw__sql_batch batch;
    attempt->token = 0;
    if (attempt->alone)
        worker->seen = worker->highest;
    int status = forbid_late_attempt(worker, &release->error);
    if (status != MW_OK)
        return status;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    batch.sql.writes = true;
    add_free(worker, &batch, release);
    add_take(worker, &batch, attempt);
    status = mw__sql_run(worker, &batch, &release->error);
    if (status == MW_OK) {
        *ret_released = mw__sql_affected(&batch, 0) == 1;
        if (batch.sql.steps[1].returned > 0)
            (void)granted(worker, attempt, batch.sql.steps[1].returned);
    }
    mw__sql_batch_free(&batch);
    return status;
}
