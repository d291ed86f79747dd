/* The slots that the core calls: each makes a job and returns. */
#include "conn.h"
#include "options.h"
#include "schema.h"

#include <signal.h>
#include <stdlib.h>

/* ---- Opening */

/* What a backend's own table of options says. */
static int64_t initial(const mw_backend *backend, const char *key, int64_t otherwise) {
    for (const mw_requirement *row = backend->options; row && row->key; row++)
        if (strcmp(row->key, key) == 0 && row->initial)
            return strtoll(row->initial, NULL, 10);
    return otherwise;
}

/* Asked for, it must fit three times into the timeout; otherwise it is made to. */
static int take_heartbeat(mw__sql_worker *worker, const mw_backend *backend, const mw_option *options, mw_error *err) {
    int64_t third = (int64_t)(worker->timeout / MW_MS) / 3, most = initial(backend, "heartbeat_ms", third), asked;
    int status = mw_sql_option_int(options, "heartbeat_ms", most < third ? most : third, 1, 86400000, &asked, err);
    if (status == MW_OK && asked > third)
        return mw_fail(err, MW_EINVALID, "session_timeout_ms: %lld is less than three heartbeats of %lld ms",
                       (long long)(worker->timeout / MW_MS), (long long)asked);
    worker->heartbeat = status == MW_OK ? (mw_time)asked * MW_MS : 0;
    return status;
}

static int take_options(mw_conn *conn, const mw_backend *backend, const mw_option *options, mw_error *err) {
    mw__sql_worker *worker = &conn->worker;
    int64_t timeout, poll, idle;
    int status = mw_sql_option_int(options, "session_timeout_ms", initial(backend, "session_timeout_ms", 6000), 100,
                                   86400000, &timeout, err);
    if (status == MW_OK)
        status = mw_sql_option_int(options, "poll_interval_ms", 0, 1, 3600000, &poll, err);
    if (status == MW_OK)
        status = mw_sql_option_int(options, "lock_idle_ms", 600000, 0, INT64_C(31536000000), &idle, err);
    if (status == MW_OK)
        status = mw_sql_option_int(options, "retention", 10000, 1, 100000000, &worker->retention, err);
    if (status != MW_OK)
        return status;
    worker->timeout = (mw_time)timeout * MW_MS;
    worker->poll_interval = (mw_time)poll * MW_MS;
    worker->lock_idle_ms = idle;
    return take_heartbeat(worker, backend, options, err);
}

static int prepare(mw_conn *conn, const mw_backend *backend, const mw_sql_driver *driver, const mw_conn_config *config,
                   mw_error *err) {
    mw__sql_worker *worker = &conn->worker;
    worker->driver = driver;
    worker->host = config->host;
    worker->channel = &conn->channel;
    mw_host_random(config->host, &worker->random, sizeof worker->random);
    worker->name_len = config->name.len;
    worker->name = malloc(config->name.len + 1);
    if (!worker->name)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory opening a connection");
    if (config->name.len)
        memcpy(worker->name, config->name.data, config->name.len);
    int status = take_options(conn, backend, config->options, err);
    if (status == MW_OK)
        status = mw__sql_catalog_new(driver, &worker->statements, err);
    if (status == MW_OK)
        status = mw__sql_schema_new(&driver->dialect, &worker->schema, err);
    if (status != MW_OK)
        return status;
    mw_sql_driver_config own = {config->host, config->options, worker->timeout, worker->statements,
                                MW__SQL_STATEMENT_COUNT};
    return driver->open(&own, &worker->db, err);
}

static void beat(mw_timer *timer);
static void lose_patience(mw_timer *timer);
static void report_starved(mw_defer *defer);

static mw_conn *new_conn(const mw_conn_config *config) {
    mw_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->host = config->host;
    conn->events = config->events;
    conn->events_arg = config->events_arg;
    conn->renew.fire = beat;
    conn->patience.fire = lose_patience;
    conn->report_expired.run = mw__sql_report_expired;
    conn->report_starved.run = report_starved;
    return conn;
}

static void free_worker(mw__sql_worker *worker) {
    if (worker->db)
        worker->driver->free(worker->db);
    mw__sql_catalog_free(worker->statements);
    mw__sql_schema_free(worker->schema);
    free(worker->name);
}

void mw__sql_conn_free(mw_conn *conn) {
    free_worker(&conn->worker);
    mw__sql_channel_release(&conn->channel);
    memset(conn->worker.secret, 0, sizeof conn->worker.secret);
    free(conn);
}

/* The application's signals are its own: they are not handled on our thread, nor on one that it starts, and a broken
 * connection is an error there, not a signal. */
static int start_thread(mw_conn *conn) {
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&conn->thread, NULL, mw__sql_worker_run, &conn->worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

int mw_sql_open(const mw_backend *backend, const mw_sql_driver *driver, const mw_conn_config *config,
                mw_conn **ret_conn, mw_error *err) {
    int status = mw__sql_options_check(backend, config->options, err);
    if (status != MW_OK)
        return status;
    mw_conn *conn = new_conn(config);
    if (!conn)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory opening a connection");
    status = mw__sql_channel_init(&conn->channel, config->host, mw__sql_deliver, err);
    if (status != MW_OK) {
        free(conn);
        return status;
    }
    status = prepare(conn, backend, driver, config, err);
    if (status == MW_OK && start_thread(conn) != 0)
        status = mw_fail(err, MW_EIO, "no thread for the connection");
    if (status != MW_OK) {
        mw__sql_conn_free(conn);
        return status;
    }
    mw_host_hold(config->host);
    *ret_conn = conn;
    return MW_OK;
}

/* ---- Closing */

static void hurry(mw_conn *conn) {
    atomic_store(&conn->channel.hurry, true);
    conn->worker.driver->interrupt(conn->worker.db);
}

static void lose_patience(mw_timer *timer) {
    hurry(mw_container(timer, mw_conn, patience));
}

static void begin_close(mw_conn *conn, int how) {
    conn->closing = true;
    mw_timer_stop(conn->host, &conn->renew);
    mw_defer_cancel(conn->host, &conn->report_expired);
    conn->expired_unreported = false;
    atomic_store(&conn->channel.close, how);
    mw__sql_kick(&conn->channel);
}

void mw_sql_close(mw_conn *conn, mw_time patience) {
    begin_close(conn, MW__SQL_CLOSE_END);
    if (patience != MW_FOREVER)
        (void)mw_timer_start(conn->host, &conn->patience, patience);
}

void mw_sql_abandon(mw_conn *conn) {
    begin_close(conn, MW__SQL_CLOSE_ABANDON);
    hurry(conn);
}

/* ---- The session */

/* Driven by the loop, not by the thread: a process whose loop stalls must not look alive. */
static void beat(mw_timer *timer) {
    mw_conn *conn = mw_container(timer, mw_conn, renew);
    (void)mw_timer_start(conn->host, timer, conn->worker.heartbeat);
    for (mw__sql_hold *hold = conn->holds; hold; hold = hold->next)
        if (hold->unlock_failed)
            hold->unlock_failed = !mw__sql_send_lock(conn, hold, MW__SQL_UNLOCK);
    for (mw__sql_feed *feed = conn->feeds; feed; feed = feed->next)
        if (feed->feed && feed->unread)
            feed->unread = !mw__sql_send_snapshot(conn, feed);
    if (!conn->connected || conn->renewing)
        return;
    mw__sql_job *job = mw__sql_job_new(MW__SQL_RENEW);
    if (!job)
        return; /* the next beat */
    job->generation = conn->generation;
    job->sent_at = mw_host_now(conn->host);
    conn->renewing = true;
    mw__sql_send(&conn->channel, job, true);
}

void mw_sql_expire(mw_conn *conn) {
    if (conn->closing || conn->session == 0)
        return;
    conn->session = 0;
    conn->connected = false;
    conn->generation++;
    conn->expired_unreported = true;
    atomic_store(&conn->channel.given_up, conn->generation);
    mw__sql_kick(&conn->channel);
    mw_defer_run(conn->host, &conn->report_expired);
}

void mw_sql_end_session(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                        void (*done)(void *arg, int status, const mw_error *detail), void *arg) {
    mw__sql_job *job = mw__sql_job_new(MW__SQL_END);
    if (!job) {
        conn->starved_end = done;
        conn->starved_end_arg = arg;
        mw_defer_run(conn->host, &conn->report_starved);
        return;
    }
    job->session = id;
    memcpy(job->secret, secret, MW_SECRET_SIZE);
    job->done = done;
    job->done_arg = arg;
    mw__sql_send(&conn->channel, job, false);
}

/* ---- Want of memory */

static void report_starved(mw_defer *defer) {
    mw_conn *conn = mw_container(defer, mw_conn, report_starved);
    mw_error why;
    (void)mw_fail(&why, MW_ENO_MEMORY, "out of memory submitting to %s", conn->worker.driver->name);
    for (mw_request *request; (request = conn->starved_requests);) {
        conn->starved_requests = request->backend[1];
        request->done(request, MW_ENO_MEMORY, &why);
    }
    for (mw_ticket *ticket; (ticket = conn->starved_tickets);) {
        conn->starved_tickets = ticket->backend[1];
        ticket->ended(ticket, MW_ENO_MEMORY, &why);
    }
    if (conn->starved_end) {
        void (*done)(void *, int, const mw_error *) = conn->starved_end;
        conn->starved_end = NULL;
        done(conn->starved_end_arg, MW_ENO_MEMORY, &why);
    }
}

static void starve_request(mw_conn *conn, mw_request *request) {
    request->backend[0] = NULL;
    request->backend[1] = conn->starved_requests;
    conn->starved_requests = request;
    mw_defer_run(conn->host, &conn->report_starved);
}

static void feed_request(mw_conn *conn, mw_request *request) {
    for (mw_request **at = &conn->starved_requests; *at; at = (mw_request **)(void *)&(*at)->backend[1])
        if (*at == request) {
            *at = request->backend[1];
            return;
        }
}

static void starve_ticket(mw_conn *conn, mw_ticket *ticket) {
    ticket->backend[0] = NULL;
    ticket->backend[1] = conn->starved_tickets;
    conn->starved_tickets = ticket;
    mw_defer_run(conn->host, &conn->report_starved);
}

/* ---- Requests */

static void copy_writes(mw__sql_job *job, const mw_request *request) {
    size_t count = request->write_count;
    job->writes = mw__sql_take(&job->arena, (count + 1) * sizeof *job->writes);
    job->written = mw__sql_take(&job->arena, (count + 1) * sizeof *job->written);
    if (job->arena.failed)
        return;
    memset(job->written, 0, (count + 1) * sizeof *job->written);
    for (size_t i = 0; i < count; i++) {
        mw_write *write = &job->writes[i];
        *write = request->writes[i];
        mw_ticket *lock = write->kind == MW_CHECK_LOCK ? write->lock : NULL;
        write->path = mw__sql_copy(&job->arena, lock ? lock->path : write->path);
        write->value = mw__sql_copy(&job->arena, write->value);
        write->version = lock ? lock->token : write->version;
        write->lock = NULL;
    }
    job->write_count = count;
}

void mw_sql_submit(mw_conn *conn, mw_request *request) {
    mw__sql_job *job = mw__sql_job_new(MW__SQL_REQUEST);
    if (job) {
        job->request = request;
        job->op = request->kind;
        job->generation = conn->generation;
        job->path = mw__sql_copy(&job->arena, request->path);
        if (request->kind == MW_WRITE)
            copy_writes(job, request);
    }
    if (!job || job->arena.failed) {
        mw__sql_job_free(job);
        starve_request(conn, request);
        return;
    }
    request->backend[0] = job;
    mw__sql_send(&conn->channel, job, false);
}

bool mw_sql_cancel(mw_conn *conn, mw_request *request) {
    mw__sql_job *job = request->backend[0];
    if (!job) {
        feed_request(conn, request);
        return true;
    }
    if (!mw__sql_take_back(&conn->channel, job)) {
        job->request = NULL;
        return false;
    }
    mw__sql_job_free(job);
    return true;
}

/* ---- Feeds */

bool mw__sql_send_snapshot(mw_conn *conn, mw__sql_feed *feed) {
    mw__sql_job *job = mw__sql_job_new(MW__SQL_SNAPSHOT);
    if (!job)
        return false;
    job->feed = feed;
    job->depth = feed->feed->depth;
    job->alone = atomic_load(&conn->channel.interest) <= 1;
    job->path = mw__sql_copy(&job->arena, feed->feed->path);
    if (job->arena.failed) {
        mw__sql_job_free(job);
        return false;
    }
    feed->users++;
    mw__sql_send(&conn->channel, job, false);
    return true;
}

int mw_sql_watch(mw_conn *conn, mw_feed *watched) {
    mw__sql_feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return MW_ENO_MEMORY;
    feed->feed = watched;
    feed->users = 1;
    atomic_fetch_add(&conn->channel.interest, 1);
    if (!mw__sql_send_snapshot(conn, feed)) {
        atomic_fetch_sub(&conn->channel.interest, 1);
        free(feed);
        return MW_ENO_MEMORY;
    }
    watched->backend[0] = feed;
    feed->next = conn->feeds;
    conn->feeds = feed;
    return MW_OK;
}

/* It stays in the list until the next delivery, which may be walking it. */
void mw_sql_unwatch(mw_conn *conn, mw_feed *watched) {
    mw__sql_feed *feed = watched->backend[0];
    feed->feed = NULL;
    atomic_fetch_sub(&conn->channel.interest, 1);
}

/* ---- Locks */

bool mw__sql_send_lock(mw_conn *conn, mw__sql_hold *hold, mw__sql_job_kind kind) {
    mw__sql_job *job = mw__sql_job_new(kind);
    if (!job)
        return false;
    job->hold = hold;
    job->handle = hold->handle;
    job->generation = hold->generation;
    job->token = kind == MW__SQL_UNLOCK ? hold->token : 0;
    job->try_only = hold->ticket->try_only;
    job->alone = atomic_load(&conn->channel.interest) <= 1;
    job->path = mw__sql_copy(&job->arena, hold->ticket->path);
    job->value = mw__sql_copy(&job->arena, hold->ticket->value);
    if (job->arena.failed) {
        mw__sql_job_free(job);
        return false;
    }
    hold->users++;
    mw__sql_send(&conn->channel, job, false);
    return true;
}

void mw_sql_lock(mw_conn *conn, mw_ticket *ticket) {
    mw__sql_hold *hold = calloc(1, sizeof *hold);
    if (!hold) {
        starve_ticket(conn, ticket);
        return;
    }
    hold->ticket = ticket;
    hold->generation = conn->generation;
    hold->users = 1;
    mw_host_random(conn->host, &hold->handle, sizeof hold->handle);
    hold->handle = (hold->handle & INT64_MAX) | 1;
    atomic_fetch_add(&conn->channel.interest, 1);
    if (!mw__sql_send_lock(conn, hold, MW__SQL_LOCK)) {
        atomic_fetch_sub(&conn->channel.interest, 1);
        free(hold);
        starve_ticket(conn, ticket);
        return;
    }
    ticket->backend[0] = hold;
    hold->next = conn->holds;
    conn->holds = hold;
}

void mw_sql_unlock(mw_conn *conn, mw_ticket *ticket) {
    mw__sql_hold *hold = ticket->backend[0];
    if (!hold)
        return;
    hold->failure = MW_OK;
    if (hold->left)
        return;
    hold->left = true;
    hold->unlock_failed = !mw__sql_send_lock(conn, hold, MW__SQL_UNLOCK);
}

void mw_sql_stats(mw_conn *conn, mw_backend_stats *ret_stats) {
    mw__sql_channel *channel = &conn->channel;
    *ret_stats = (mw_backend_stats){
        .round_trips = atomic_load(&channel->counted.round_trips),
        .statements = atomic_load(&channel->counted.statements),
        .write_transactions = atomic_load(&channel->counted.write_transactions),
        .renewals = atomic_load(&channel->counted.renewals),
        .polls = atomic_load(&channel->counted.polls),
        .reconnects = atomic_load(&channel->counted.reconnects),
        .wakeups = atomic_load(&channel->counted.wakeups),
    };
}
