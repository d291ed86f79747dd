/* The connection thread's loop: connect, take up jobs, look for changes, sleep. */
#include "worker.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#define FIRST_RETRY (20 * MW_MS)
#define LONGEST_RETRY MW_SECOND

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

void mw__sql_disconnect(mw__sql_worker *worker, const mw_error *why) {
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
    mw__sql_drain(worker, err.message);
    note(worker, MW__SQL_FAILED, status, &err);
}

/* ---- What ends a connection or a session */

static void expired(mw__sql_worker *worker, const mw_error *why) {
    mw_error err = {0};
    if (mw__sql_session_over(worker, why->message, &err) != MW_OK)
        mw__sql_disconnect(worker, &err);
}

void mw__sql_give_way(mw__sql_worker *worker, int status, const mw_error *why) {
    if (status == MW_ESESSION_LOST)
        expired(worker, why);
    else
        mw__sql_disconnect(worker, why);
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
        mw__sql_disconnect(worker, &err);
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
        mw__sql_give_way(worker, status, &err);
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
            mw__sql_serve_offline(worker, job);
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
        mw__sql_serve(worker, job);
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
    mw__sql_drain(worker, "the registry was closed");
    for (mw__sql_job *last = NULL; !last;) {
        last = mw__sql_job_new(MW__SQL_CLOSED);
        if (last)
            mw__sql_reply(worker->channel, last);
        else
            mw__sql_pause(worker, 6);
    }
    return NULL;
}
