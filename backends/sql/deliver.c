/* What the connection thread found out, told to the core on the host's thread. */
#include "conn.h"

#include <stdlib.h>

void mw__sql_feed_unref(mw__sql_feed *feed) {
    if (feed && --feed->users == 0)
        free(feed);
}

void mw__sql_hold_unref(mw__sql_hold *hold) {
    if (hold && --hold->users == 0)
        free(hold);
}

/* ---- Tickets */

/* It leaves the list with the next sweep. */
void mw__sql_end_ticket(mw_conn *conn, mw__sql_hold *hold, int status, const mw_error *detail) {
    mw_ticket *ticket = hold->ticket;
    if (!ticket)
        return;
    hold->ticket = NULL;
    hold->unlock_failed = false;
    atomic_fetch_sub(&conn->channel.interest, 1);
    ticket->ended(ticket, status, status == MW_OK ? NULL : detail);
}

static void grant(mw_conn *conn, mw__sql_hold *hold, int64_t token) {
    bool first = hold->token == 0;
    hold->token = token;
    if (first && !hold->left)
        hold->ticket->granted(hold->ticket, token);
}

/* An attempt that failed leaves nothing behind: its place in the queue, if it may have one, is removed first. */
static void fail_attempt(mw_conn *conn, mw__sql_hold *hold, const mw__sql_job *job) {
    bool gone = job->status == MW_ESESSION_LOST || job->status == MW_ECLOSED || job->status == MW_EBUSY;
    if (gone || conn->closing || !(hold->queued || job->doubtful)) {
        mw__sql_end_ticket(conn, hold, job->status, &job->error);
        return;
    }
    hold->left = true;
    hold->failure = job->status;
    hold->unlock_failed = !mw__sql_send_lock(conn, hold, MW__SQL_UNLOCK);
}

static void on_lock(mw_conn *conn, const mw__sql_job *job) {
    mw__sql_hold *hold = job->hold;
    if (!hold->ticket)
        return;
    if (job->status != MW_OK && (hold->left || hold->token))
        return; /* the answer to its unlock ends it; or it was asked for anew, and granted meanwhile */
    if (job->status != MW_OK)
        fail_attempt(conn, hold, job);
    else if (job->token)
        grant(conn, hold, job->token);
    else
        hold->queued = true;
}

static void on_unlock(mw_conn *conn, const mw__sql_job *job) {
    mw__sql_hold *hold = job->hold;
    mw_error why;
    (void)mw_fail(&why, hold->failure, "%.*s: withdrawn after a failure", MW_STR_FMT(job->path));
    if (job->status == MW_OK)
        mw__sql_end_ticket(conn, hold, hold->failure, &why);
    else if (job->status == MW_ECLOSED || conn->closing)
        mw__sql_end_ticket(conn, hold, job->status, &job->error);
    else if (hold->ticket)
        hold->unlock_failed = true;
}

static void sweep(mw_conn *conn) {
    for (mw__sql_hold **at = &conn->holds; *at;) {
        mw__sql_hold *hold = *at;
        if (hold->ticket) {
            at = &hold->next;
            continue;
        }
        *at = hold->next;
        mw__sql_hold_unref(hold);
    }
    for (mw__sql_feed **at = &conn->feeds; *at;) {
        mw__sql_feed *feed = *at;
        if (feed->feed) {
            at = &feed->next;
            continue;
        }
        *at = feed->next;
        mw__sql_feed_unref(feed);
    }
}

static void end_tickets(mw_conn *conn, unsigned below, int status, const mw_error *why) {
    for (mw__sql_hold *hold = conn->holds; hold; hold = hold->next)
        if (hold->generation < below)
            mw__sql_end_ticket(conn, hold, status, why);
}

/* ---- Feeds */

static bool is_below(mw_str path, mw_str ancestor) {
    if (ancestor.len == 1)
        return path.len > 1;
    return path.len > ancestor.len && path.data[ancestor.len] == '/' &&
           memcmp(path.data, ancestor.data, ancestor.len) == 0;
}

static bool covers(const mw_feed *feed, mw_str path) {
    if (feed->depth == MW_DEPTH_SELF)
        return mw_str_equal(feed->path, path);
    if (!is_below(path, feed->path))
        return false;
    size_t start = feed->path.len == 1 ? 1 : feed->path.len + 1;
    return feed->depth == MW_DEPTH_SUBTREE || !memchr(path.data + start, '/', path.len - start);
}

static void on_snapshot(mw_conn *conn, const mw__sql_job *job) {
    mw__sql_feed *feed = job->feed;
    if (!feed->feed || conn->closing)
        return;
    if (job->status != MW_OK) {
        feed->unread = job->status == MW_EIO || job->status == MW_ENO_MEMORY;
        if (!feed->unread && job->status != MW_EDISCONNECTED && job->status != MW_ECLOSED)
            feed->feed->failed(feed->feed, job->status, &job->error);
        return;
    }
    feed->feed->begin(feed->feed);
    for (mw__sql_row *row = job->rows; row && feed->feed; row = row->next)
        feed->feed->entry(feed->feed, &row->entry);
    if (!feed->feed)
        return;
    feed->begun = true;
    feed->feed->synced(feed->feed, job->revision);
}

static void show_change(mw_conn *conn, const mw__sql_row *row) {
    for (mw__sql_feed *feed = conn->feeds; feed; feed = feed->next) {
        if (!feed->feed || !feed->begun || !covers(feed->feed, row->entry.path))
            continue;
        if (row->absent)
            feed->feed->gone(feed->feed, row->entry.path, row->revision);
        else
            feed->feed->entry(feed->feed, &row->entry);
    }
}

static void show_grant(mw_conn *conn, const mw__sql_row *row) {
    mw_error why;
    (void)mw_fail(&why, MW_EFENCED, "%.*s: the lock was taken away", MW_STR_FMT(row->entry.path));
    for (mw__sql_hold *hold = conn->holds; hold; hold = hold->next) {
        if (!hold->ticket || hold->left || !mw_str_equal(hold->ticket->path, row->entry.path))
            continue;
        if (hold->handle == row->handle && hold->token == 0) {
            atomic_fetch_add(&conn->channel.counted.wakeups, 1);
            grant(conn, hold, row->token);
        } else if (hold->handle != row->handle && hold->token != 0) {
            mw__sql_end_ticket(conn, hold, MW_EFENCED, &why);
        }
    }
}

static void on_changes(mw_conn *conn, const mw__sql_job *job) {
    for (mw__sql_row *row = job->rows; row && !conn->closing; row = row->next) {
        if (row->change == MW__SQL_GRANTED)
            show_grant(conn, row);
        else
            show_change(conn, row);
    }
    (void)pthread_mutex_lock(&conn->channel.mutex);
    conn->channel.changes_out = false;
    bool kick = conn->channel.kick_after;
    conn->channel.kick_after = false;
    (void)pthread_mutex_unlock(&conn->channel.mutex);
    if (kick)
        mw__sql_kick(&conn->channel);
}

/* Everything is looked at anew. */
static void on_resync(mw_conn *conn) {
    for (mw__sql_feed *feed = conn->feeds; feed; feed = feed->next)
        if (feed->feed)
            feed->unread = !mw__sql_send_snapshot(conn, feed);
    for (mw__sql_hold *hold = conn->holds; hold; hold = hold->next)
        if (hold->ticket && !hold->left && hold->token == 0 && hold->generation == conn->generation)
            (void)mw__sql_send_lock(conn, hold, MW__SQL_LOCK);
}

/* ---- Requests */

static void on_request(mw_conn *conn, mw__sql_job *job) {
    mw_request *request = job->request;
    if (!request)
        return;
    if (job->status == MW_OK) {
        for (mw__sql_row *row = job->rows; row && job->request; row = row->next)
            request->entry(request, &row->entry);
        if (!job->request)
            return; /* cancelled by its own callback */
        if (job->write_count)
            memcpy(request->written, job->written, job->write_count * sizeof *job->written);
    }
    request->failed_write = job->failed_write;
    request->done(request, job->status, job->status == MW_OK ? NULL : &job->error);
}

/* ---- The session */

static void tell_expired(mw_conn *conn, const mw_error *why) {
    conn->connected = false;
    conn->session = 0;
    conn->renewing = false;
    end_tickets(conn, conn->generation, MW_ESESSION_LOST, why);
    conn->events->expired(conn->events_arg, why);
}

void mw__sql_report_expired(mw_defer *defer) {
    mw_conn *conn = mw_container(defer, mw_conn, report_expired);
    if (!conn->expired_unreported)
        return;
    conn->expired_unreported = false;
    mw_error why;
    (void)mw_fail(&why, MW_ESESSION_LOST, "the session was given up: no renewal was confirmed in time");
    tell_expired(conn, &why);
}

static void on_expired(mw_conn *conn, const mw__sql_job *job) {
    if (job->generation <= conn->generation)
        return; /* given up by the core at the same moment */
    conn->generation = job->generation;
    tell_expired(conn, &job->error);
}

static void on_connected(mw_conn *conn, const mw__sql_job *job) {
    if (job->generation < conn->generation)
        return;
    conn->generation = job->generation;
    conn->session = job->session;
    conn->connected = true;
    mw_session_info info = {
        .id = job->session, .timeout = conn->worker.timeout, .resumed = job->resumed, .server = mw_str_of(job->server)};
    memcpy(info.secret, job->secret, MW_SECRET_SIZE);
    if (!mw_timer_armed(&conn->renew))
        (void)mw_timer_start(conn->host, &conn->renew, conn->worker.heartbeat);
    conn->events->confirmed(conn->events_arg, job->sent_at);
    conn->events->connected(conn->events_arg, &info);
}

static void on_disconnected(mw_conn *conn, const mw__sql_job *job) {
    if (job->generation != conn->generation || !conn->connected)
        return;
    conn->connected = false;
    conn->events->disconnected(conn->events_arg, &job->error);
}

static void on_renewed(mw_conn *conn, const mw__sql_job *job) {
    conn->renewing = false;
    if (job->status == MW_OK && job->generation == conn->generation && !conn->closing)
        conn->events->confirmed(conn->events_arg, job->sent_at);
}

static void on_closed(mw_conn *conn) {
    (void)pthread_join(conn->thread, NULL);
    mw_timer_stop(conn->host, &conn->patience);
    conn->report_starved.run(&conn->report_starved);
    mw_defer_cancel(conn->host, &conn->report_starved);
    mw_error why;
    (void)mw_fail(&why, MW_ECLOSED, "the registry was closed");
    end_tickets(conn, UINT32_MAX, MW_ECLOSED, &why);
    for (mw__sql_feed *feed = conn->feeds; feed; feed = feed->next)
        feed->feed = NULL;
    sweep(conn);
    const mw_conn_events *events = conn->events;
    void *arg = conn->events_arg;
    mw_host *host = conn->host;
    mw__sql_conn_free(conn);
    events->closed(arg);
    mw_host_release(host);
}

/* ---- The inbox */

static void tell_state(mw_conn *conn, const mw__sql_job *job) {
    if (conn->closing)
        return;
    switch (job->kind) {
    case MW__SQL_CONNECTED:
        on_connected(conn, job);
        break;
    case MW__SQL_DISCONNECTED:
        on_disconnected(conn, job);
        break;
    case MW__SQL_EXPIRED:
        on_expired(conn, job);
        break;
    case MW__SQL_RESYNC:
        on_resync(conn);
        break;
    default:
        conn->events->failed(conn->events_arg, job->status, &job->error);
        break;
    }
}

static void tell(mw_conn *conn, mw__sql_job *job) {
    switch (job->kind) {
    case MW__SQL_REQUEST:
        on_request(conn, job);
        break;
    case MW__SQL_LOCK:
        on_lock(conn, job);
        break;
    case MW__SQL_UNLOCK:
        on_unlock(conn, job);
        break;
    case MW__SQL_SNAPSHOT:
        on_snapshot(conn, job);
        break;
    case MW__SQL_RENEW:
        on_renewed(conn, job);
        break;
    case MW__SQL_END:
        job->done(job->done_arg, job->status, job->status == MW_OK ? NULL : &job->error);
        break;
    case MW__SQL_CHANGED_ROWS:
        on_changes(conn, job);
        break;
    default:
        tell_state(conn, job);
        break;
    }
    mw__sql_feed_unref(job->feed);
    mw__sql_hold_unref(job->hold);
}

void mw__sql_deliver(mw_defer *defer) {
    mw_conn *conn = mw_container(defer, mw_conn, channel.deliver);
    mw__sql_list replies = mw__sql_replies(&conn->channel);
    for (mw__sql_job *job; (job = mw__sql_list_shift(&replies));) {
        bool last = job->kind == MW__SQL_CLOSED;
        mw__sql_report_expired(&conn->report_expired);
        if (!last)
            tell(conn, job);
        mw__sql_job_free(job);
        if (last) {
            on_closed(conn);
            return;
        }
    }
    sweep(conn);
}
