/* Jobs: how each kind is served, and how it ends when its connection or its session does. */
#include "worker.h"

/* ---- Ends of jobs */

static void reply(mw__sql_worker *worker, mw__sql_job *job, int status) {
    job->status = status;
    mw__sql_reply(worker->channel, job);
}

static bool of_this_session(const mw__sql_worker *worker, const mw__sql_job *job) {
    return worker->session && job->generation == worker->generation;
}

/* A job whose session is over. A write that was sent and not decided stays unknown. */
static void end_with_session(mw__sql_worker *worker, mw__sql_job *job) {
    int status = MW_ESESSION_LOST;
    if (job->kind == MW__SQL_REQUEST)
        status = job->txn ? MW_EUNKNOWN : MW_EDISCONNECTED;
    else if (job->kind == MW__SQL_UNLOCK)
        status = MW_OK; /* nothing of it is left */
    reply(worker, job, mw_fail(&job->error, status, "the session ended before an answer came"));
}

static void put_back(mw__sql_worker *worker, mw__sql_job *job) {
    mw__sql_list_prepend(&worker->redo, job);
}

/* What to do with a job that a lost connection interrupted. Locks, snapshots and endings can be repeated. */
static void interrupted(mw__sql_worker *worker, mw__sql_job *job, int status) {
    if (job->kind == MW__SQL_REQUEST && (job->op != MW_WRITE || status == MW_EDISCONNECTED)) {
        job->txn = 0;
        reply(worker, job, MW_EDISCONNECTED);
    } else if (job->kind == MW__SQL_RENEW) {
        reply(worker, job, MW_EDISCONNECTED);
    } else {
        job->doubtful = job->doubtful || status == MW_EUNKNOWN;
        worker->late_attempt |= job->kind == MW__SQL_LOCK && status == MW_EUNKNOWN;
        put_back(worker, job);
    }
}

/* The end of a job's run. */
static void settle(mw__sql_worker *worker, mw__sql_job *job, int status) {
    mw_error why = job->error;
    why.code = status;
    if (status == MW_EDISCONNECTED || status == MW_EUNKNOWN) {
        interrupted(worker, job, status);
        mw__sql_disconnect(worker, &why);
    } else if (status == MW_ESESSION_LOST) {
        end_with_session(worker, job);
        mw__sql_give_way(worker, status, &why);
    } else {
        reply(worker, job, status);
    }
}

static void after_commit(mw__sql_worker *worker) {
    mw_error err = {0};
    int status = mw__sql_poll(worker, true, &err);
    if (status == MW_OK && worker->highest - worker->floor > worker->retention + worker->retention / 4)
        status = mw__sql_tidy(worker, &err);
    if (status != MW_OK && mw__sql_passing(status))
        mw__sql_give_way(worker, status, &err);
}

static void run_request(mw__sql_worker *worker, mw__sql_job *job) {
    if (job->op != MW_WRITE) {
        settle(worker, job, mw__sql_read(worker, job));
        return;
    }
    int status;
    if (job->txn) {
        status = mw__sql_decide(worker, job);
        if (job->txn) { /* still open */
            mw_error why = job->error;
            put_back(worker, job);
            mw__sql_disconnect(worker, &why);
            return;
        }
        if (status == MW_EDISCONNECTED || status == MW_EUNKNOWN || status == MW_ESESSION_LOST) {
            reply(worker, job, status == MW_ESESSION_LOST ? MW_EUNKNOWN : status);
            return;
        }
    } else {
        status = mw__sql_write(worker, job);
    }
    settle(worker, job, status);
    if (worker->connected && status == MW_OK)
        after_commit(worker);
}

static void run_renew(mw__sql_worker *worker, mw__sql_job *job) {
    mw_error err = {0};
    int status = mw__sql_renew(worker, &job->error);
    if (status != MW_OK && status != MW_ESESSION_LOST)
        status = MW_EDISCONNECTED; /* a lease that cannot be renewed is no connection (disk full, read-only ...) */
    settle(worker, job, status);
    if (status != MW_OK || !worker->connected)
        return;
    status = mw__sql_tidy(worker, &err);
    if (status == MW_EDISCONNECTED || status == MW_EUNKNOWN)
        mw__sql_disconnect(worker, &err);
}

/* Together, or, where that has not done it all, one after the other. */
static void run_exchange(mw__sql_worker *worker, mw__sql_job *release, mw__sql_job *attempt) {
    bool released = false;
    int status = mw__sql_exchange(worker, release, attempt, &released);
    bool gone = status == MW_EDISCONNECTED || status == MW_EUNKNOWN;
    if (gone)
        interrupted(worker, attempt, status); /* it stands behind the release again */
    settle(worker, release, gone || released ? status : mw__sql_unlock_job(worker, release));
    if (gone)
        return;
    if (attempt->token && of_this_session(worker, attempt))
        reply(worker, attempt, MW_OK);
    else if (worker->connected)
        mw__sql_serve(worker, attempt);
    else
        mw__sql_serve_offline(worker, attempt);
}

/* What an earlier connection left undone comes before anything new. */
static void run_unlock(mw__sql_worker *worker, mw__sql_job *job) {
    bool may = job->token && !worker->redo.first;
    mw__sql_job *attempt = may ? mw__sql_receive_attempt(worker->channel, worker->generation) : NULL;
    if (attempt)
        run_exchange(worker, job, attempt);
    else
        settle(worker, job, mw__sql_unlock_job(worker, job));
}

void mw__sql_serve(mw__sql_worker *worker, mw__sql_job *job) {
    bool bound = job->kind == MW__SQL_REQUEST || job->kind == MW__SQL_LOCK || job->kind == MW__SQL_UNLOCK ||
                 job->kind == MW__SQL_RENEW;
    if (bound && !of_this_session(worker, job)) {
        end_with_session(worker, job);
        return;
    }
    switch (job->kind) {
    case MW__SQL_REQUEST:
        run_request(worker, job);
        break;
    case MW__SQL_LOCK:
        settle(worker, job, mw__sql_lock_job(worker, job));
        break;
    case MW__SQL_UNLOCK:
        run_unlock(worker, job);
        break;
    case MW__SQL_SNAPSHOT:
        settle(worker, job, mw__sql_snapshot(worker, job));
        break;
    case MW__SQL_RENEW:
        run_renew(worker, job);
        break;
    default:
        settle(worker, job, mw__sql_end_by_secret(worker, job->session, job->secret, &job->error));
        worker->poll_wanted = true;
        break;
    }
}

void mw__sql_serve_offline(mw__sql_worker *worker, mw__sql_job *job) {
    if (job->kind == MW__SQL_REQUEST || job->kind == MW__SQL_RENEW) {
        reply(worker, job, mw_fail(&job->error, MW_EDISCONNECTED, "not connected"));
    } else if (worker->failed) {
        reply(worker, job, mw_fail(&job->error, MW_EDISCONNECTED, "the connection has failed for good"));
    } else {
        mw__sql_list_append(&worker->redo, job);
    }
}

void mw__sql_drain(mw__sql_worker *worker, const char *why) {
    for (mw__sql_job *job; (job = mw__sql_list_shift(&worker->redo)) || (job = mw__sql_receive(worker->channel));) {
        bool open = job->kind == MW__SQL_REQUEST && job->txn;
        bool request = job->kind == MW__SQL_REQUEST;
        reply(worker, job,
              mw_fail(&job->error,
                      open      ? MW_EUNKNOWN
                      : request ? MW_EDISCONNECTED
                                : MW_ECLOSED,
                      "%s", why));
    }
}
