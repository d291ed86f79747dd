/* The connection thread's loop: connect, take up jobs, look for changes, sleep. */
#include "worker.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#define FIRST_RETRY (20 * MW_MS)
#define LONGEST_RETRY MW_SECOND

mw_time mw__sql_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (mw_time)now.tv_sec * MW_SECOND + (mw_time)now.tv_nsec;
}

/* splitmix64, seeded by the host: the host's own generator belongs to its thread. */
uint64_t mw__sql_random(mw__sql_worker *worker) {
    uint64_t z = worker->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void mw__sql_saw(mw__sql_worker *worker, int64_t revision) {
    if (revision > worker->highest)
        worker->highest = revision;
}

/* ---- Running batches */

void mw__sql_pause(mw__sql_worker *worker, unsigned attempt) {
    uint64_t cap = attempt < 6 ? UINT64_C(1) << attempt : 64;
    struct timespec pause = {0, (long)(1 + mw__sql_random(worker) % (cap * 1000)) * 1000};
    (void)nanosleep(&pause, NULL);
}

static void count(mw__sql_worker *worker, const mw__sql_batch *batch) {
    atomic_fetch_add(&worker->channel->counted.round_trips, 1);
    atomic_fetch_add(&worker->channel->counted.statements, batch->sql.step_count);
    if (batch->sql.changed)
        atomic_fetch_add(&worker->channel->counted.write_transactions, 1);
}

int mw__sql_run(mw__sql_worker *worker, mw__sql_batch *batch, mw_error *err) {
    if (!mw__sql_batch_ready(batch))
        return mw_fail(err, MW_ENO_MEMORY, "out of memory building a transaction");
    mw_time give_up = mw__sql_now() + worker->timeout / 3;
    for (unsigned attempt = 0;; attempt++) {
        batch->sql.stopped = batch->sql.changed = false;
        if (attempt && batch->again)
            batch->again(batch->sql.arg);
        int status = worker->driver->run(worker->db, &batch->sql, err);
        count(worker, batch);
        if (status != MW_EBUSY)
            return status;
        if (mw__sql_now() > give_up || atomic_load(&worker->channel->hurry)) {
            if (err)
                err->code = MW_EDISCONNECTED;
            return MW_EDISCONNECTED;
        }
        mw__sql_pause(worker, attempt);
    }
}

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

/* ---- Connecting */

static void note(mw__sql_worker *worker, mw__sql_job_kind kind, int status, const mw_error *why) {
    mw__sql_job *job = mw__sql_job_new(kind);
    if (!job)
        return;
    job->generation = worker->generation;
    job->status = status;
    job->error = *why;
    job->error.code = status;
    mw__sql_reply(worker->channel, job);
}

static void plan_retry(mw__sql_worker *worker) {
    mw_time pause = FIRST_RETRY << (worker->attempts < 6 ? worker->attempts : 6);
    if (pause > LONGEST_RETRY)
        pause = LONGEST_RETRY;
    worker->attempts++;
    worker->retry_at = mw__sql_now() + pause / 2 + mw__sql_random(worker) % (pause / 2 + 1);
}

static void disconnect(mw__sql_worker *worker, const mw_error *why) {
    worker->driver->disconnect(worker->db);
    if (worker->connected && worker->session)
        note(worker, MW__SQL_DISCONNECTED, MW_EDISCONNECTED, why);
    worker->connected = false;
    worker->steady_since = 0;
    worker->retry_at = mw__sql_now() + mw__sql_random(worker) % FIRST_RETRY;
}

bool mw__sql_passing(int status) {
    return status == MW_EDISCONNECTED || status == MW_EUNKNOWN || status == MW_EIO || status == MW_EBUSY ||
           status == MW_ETIMEOUT || status == MW_ENO_MEMORY || status == MW_ESESSION_LOST;
}

/* There will be no connection any more: whatever is left ends here. */
static void drain(mw__sql_worker *worker, const char *why) {
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

static void try_connect(mw__sql_worker *worker) {
    mw_error err = {0};
    bool again = worker->known;
    int status = mw__sql_connect(worker, &err);
    if (status == MW_OK)
        status = mw__sql_hello(worker, &err);
    if (status == MW_OK) {
        worker->connected = true;
        worker->attempts = 0;
        if (again)
            atomic_fetch_add(&worker->channel->counted.reconnects, 1);
        return;
    }
    worker->driver->disconnect(worker->db);
    if (mw__sql_passing(status)) {
        if (worker->attempts == 2)
            mw_log(worker->host, MW_LOG_WARN, worker->driver->name, "not connected: %s", err.message);
        plan_retry(worker);
        return;
    }
    worker->failed = true;
    drain(worker, err.message);
    note(worker, MW__SQL_FAILED, status, &err);
}

/* ---- Jobs */

static void expired(mw__sql_worker *worker, const mw_error *why) {
    mw_error err = {0};
    if (mw__sql_session_over(worker, why->message, &err) != MW_OK)
        disconnect(worker, &err);
}

/* What a look of our own, not a job, failed with. */
static void give_way(mw__sql_worker *worker, int status, const mw_error *why) {
    if (status == MW_ESESSION_LOST)
        expired(worker, why);
    else
        disconnect(worker, why);
}

/* The end of a job's run. */
static void settle(mw__sql_worker *worker, mw__sql_job *job, int status) {
    mw_error why = job->error;
    why.code = status;
    if (status == MW_EDISCONNECTED || status == MW_EUNKNOWN) {
        interrupted(worker, job, status);
        disconnect(worker, &why);
    } else if (status == MW_ESESSION_LOST) {
        end_with_session(worker, job);
        expired(worker, &why);
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
        give_way(worker, status, &err);
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
            disconnect(worker, &why);
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
        disconnect(worker, &err);
}

static void run_job(mw__sql_worker *worker, mw__sql_job *job);
static void run_offline(mw__sql_worker *worker, mw__sql_job *job);

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
        run_job(worker, attempt);
    else
        run_offline(worker, attempt);
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

static void end_all(mw__sql_worker *worker, int how) {
    if (how == MW__SQL_CLOSE_END && worker->connected)
        mw__sql_say_goodbye(worker);
    worker->stop = true;
}

/* The host's side gave our session up: end it, and open a new one on the same connection. */
static void give_up_session(mw__sql_worker *worker, unsigned generation) {
    mw_error err = {0};
    mw__sql_give_up_session(worker, generation);
    if (worker->session || !worker->connected)
        return;
    worker->connected = false;
    if (mw__sql_hello(worker, &err) == MW_OK)
        worker->connected = true;
    else
        disconnect(worker, &err);
}

static void run_job(mw__sql_worker *worker, mw__sql_job *job) {
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

/* Without a connection everything waits, but for requests, which the core keeps. */
static void run_offline(mw__sql_worker *worker, mw__sql_job *job) {
    if (job->kind == MW__SQL_REQUEST || job->kind == MW__SQL_RENEW) {
        reply(worker, job, mw_fail(&job->error, MW_EDISCONNECTED, "not connected"));
    } else if (worker->failed) {
        reply(worker, job, mw_fail(&job->error, MW_EDISCONNECTED, "the connection has failed for good"));
    } else {
        mw__sql_list_append(&worker->redo, job);
    }
}

/* ---- The loop */

static int milliseconds_until(mw_time when, mw_time now) {
    if (when <= now)
        return 0;
    mw_time left = (when - now + MW_MS - 1) / MW_MS;
    return left > 60000 ? 60000 : (int)left;
}

static mw_time poll_interval(const mw__sql_worker *worker, int wake_fd) {
    if (worker->poll_interval)
        return worker->poll_interval;
    return wake_fd >= 0 ? worker->driver->poll_interval : worker->driver->blind_interval;
}

/* Changes are on their way to the host's thread, which wakes us when it has told them. */
static bool waits_for_delivery(mw__sql_worker *worker) {
    (void)pthread_mutex_lock(&worker->channel->mutex);
    bool waits = worker->channel->changes_out;
    worker->channel->kick_after = waits;
    (void)pthread_mutex_unlock(&worker->channel->mutex);
    return waits;
}

static int sleep_for(mw__sql_worker *worker, int wake_fd, mw_time now) {
    if (worker->failed)
        return -1;
    if (!worker->connected)
        return milliseconds_until(worker->retry_at, now);
    mw_time until = worker->reap_at;
    if (atomic_load(&worker->channel->interest) > 0 && !waits_for_delivery(worker)) {
        mw_time latest = now + poll_interval(worker, wake_fd);
        if (worker->poll_at > latest)
            worker->poll_at = latest;
        if (worker->poll_at < until)
            until = worker->poll_at;
    }
    return milliseconds_until(until, now);
}

static void woken(mw__sql_worker *worker) {
    worker->driver->woken(worker->db);
    worker->poll_at = 0;
    worker->glances = worker->driver->wakes_early ? 1 : 0;
}

/* A wake-up that came before its commit could be seen is not left to the next poll: look again, less and less soon. */
static void look_again_soon(mw__sql_worker *worker, int64_t seen_before) {
    static const mw_time after[] = {1 * MW_MS, 5 * MW_MS, 25 * MW_MS};
    if (worker->glances == 0)
        return;
    if (worker->seen != seen_before || worker->glances > sizeof after / sizeof *after) {
        worker->glances = 0;
        return;
    }
    mw_time soon = mw__sql_now() + after[worker->glances++ - 1];
    if (soon < worker->poll_at)
        worker->poll_at = soon;
}

static void wait_for_work(mw__sql_worker *worker) {
    int wake_fd = worker->connected && worker->driver->wake_fd ? worker->driver->wake_fd(worker->db) : -1;
    struct pollfd fds[2] = {{worker->channel->kick_fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    int ready = poll(fds, wake_fd >= 0 ? 2 : 1, sleep_for(worker, wake_fd, mw__sql_now()));
    if (ready > 0 && fds[0].revents) {
        uint64_t kicks;
        ssize_t got = read(worker->channel->kick_fd, &kicks, sizeof kicks);
        (void)got;
    }
    if (ready > 0 && wake_fd >= 0 && fds[1].revents)
        woken(worker);
}

static void idle_work(mw__sql_worker *worker) {
    mw_error err = {0};
    int status = MW_OK;
    mw_time now = mw__sql_now();
    int wake_fd = worker->driver->wake_fd ? worker->driver->wake_fd(worker->db) : -1;
    if (now >= worker->reap_at)
        status = mw__sql_reap(worker, &err);
    if (status == MW_OK && (worker->poll_wanted || now >= worker->poll_at)) {
        int64_t seen = worker->seen;
        worker->poll_at = now + poll_interval(worker, wake_fd);
        status = mw__sql_poll(worker, worker->poll_wanted || worker->poll_failed, &err);
        worker->poll_failed = status != MW_OK;
        if (status == MW_OK)
            look_again_soon(worker, seen);
    }
    if (status != MW_OK && status != MW_ENO_MEMORY)
        give_way(worker, status, &err);
}

static bool has_idle_work(mw__sql_worker *worker) {
    mw_time now = mw__sql_now();
    if (now >= worker->reap_at)
        return true;
    bool cares = atomic_load(&worker->channel->interest) > 0;
    if (!cares || waits_for_delivery(worker))
        return false;
    return worker->poll_wanted || now >= worker->poll_at;
}

static bool signalled(mw__sql_worker *worker) {
    unsigned given_up = atomic_load(&worker->channel->given_up);
    int how = atomic_load(&worker->channel->close);
    if (how)
        end_all(worker, how);
    else if (given_up > worker->generation)
        give_up_session(worker, given_up);
    else
        return false;
    return true;
}

/* A stream of jobs must not keep us from noticing what others did. */
static void look_around(mw__sql_worker *worker) {
    int wake_fd = worker->driver->wake_fd ? worker->driver->wake_fd(worker->db) : -1;
    struct pollfd fd = {wake_fd, POLLIN, 0};
    if (wake_fd >= 0 && poll(&fd, 1, 0) > 0)
        woken(worker);
    if (has_idle_work(worker))
        idle_work(worker);
}

static void step(mw__sql_worker *worker) {
    if (signalled(worker))
        return;
    if (!worker->connected) {
        mw__sql_job *job = mw__sql_receive(worker->channel);
        if (job)
            run_offline(worker, job);
        else if (!worker->failed && mw__sql_now() >= worker->retry_at)
            try_connect(worker);
        else
            wait_for_work(worker);
        return;
    }
    mw__sql_job *job = mw__sql_list_shift(&worker->redo);
    if (!job)
        job = mw__sql_receive(worker->channel);
    if (job) {
        run_job(worker, job);
        if (worker->connected)
            look_around(worker);
    } else if (has_idle_work(worker)) {
        idle_work(worker);
    } else {
        wait_for_work(worker);
    }
}

void *mw__sql_worker_run(void *arg) {
    mw__sql_worker *worker = arg;
    while (!worker->stop)
        step(worker);
    worker->driver->disconnect(worker->db);
    drain(worker, "the registry was closed");
    for (mw__sql_job *last = NULL; !last;) {
        last = mw__sql_job_new(MW__SQL_CLOSED);
        if (last)
            reply(worker, last, MW_OK);
        else
            mw__sql_pause(worker, 6);
    }
    return NULL;
}
