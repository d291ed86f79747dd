/* Ending sessions. zookeeper_close() may block for seconds (it waits for the server's answer), so it runs on a thread,
 * on a handle that nobody uses any more. */
#include "zk.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>

/* ---- Our own session, when the connection closes */

struct zk_close_job {
    zk_thread thread;
    mw_conn *conn;
    zhandle_t *zh;
};

static void finish(mw_conn *conn) {
    conn->phase = ZK_ENDING;
    conn->abandoned = true;
    zk_kick(conn);
}

static void close_handle(zk_thread *thread) {
    (void)zookeeper_close(mw_container(thread, zk_close_job, thread)->zh);
}

static void job_done(zk_thread *thread) {
    zk_close_job *job = mw_container(thread, zk_close_job, thread);
    mw_conn *conn = job->conn;
    free(job);
    conn->closing = NULL;
    finish(conn);
}

static void job_discard(zk_thread *thread) {
    free(mw_container(thread, zk_close_job, thread));
}

/* The server does not answer in time: the thread is left to itself. */
static void give_up(mw_conn *conn) {
    if (!zk_thread_leave(&conn->closing->thread))
        return;
    conn->closing = NULL;
    finish(conn);
}

static void close_on_thread(mw_conn *conn) {
    zk_close_job *job = calloc(1, sizeof *job);
    if (!job) {
        finish(conn);
        return;
    }
    zk_unwire(conn);
    *job = (zk_close_job){{.work = close_handle, .done = job_done, .discard = job_discard}, conn, conn->zh};
    conn->phase = ZK_ENDING;
    conn->closing = job;
    zhandle_t *zh = conn->zh;
    conn->zh = NULL;
    if (zk_thread_start(&job->thread, conn->host) != MW_OK) {
        free(job);
        conn->closing = NULL;
        conn->zh = zh;
        finish(conn);
        return;
    }
    mw_time now = mw_host_now(conn->host);
    if (conn->close_by == MW_FOREVER)
        mw_timer_stop(conn->host, &conn->timer);
    else
        (void)mw_timer_start(conn->host, &conn->timer, conn->close_by > now ? conn->close_by - now : 0);
}

mw_time zk_closing_due(const mw_conn *conn) {
    return conn->phase == ZK_CLOSING ? conn->close_by : MW_FOREVER;
}

void zk_closing_step(mw_conn *conn) {
    mw_time now = mw_host_now(conn->host);
    if (conn->phase == ZK_ENDING) {
        if (conn->closing && now >= conn->close_by)
            give_up(conn);
        return;
    }
    zk_requests_suspend(conn);
    zk_holds_end(conn, MW_ECLOSED, NULL);
    bool alive =
        conn->zh && !conn->shaking && conn->wired && zoo_state(conn->zh) == ZOO_CONNECTED_STATE && !conn->expired;
    if (alive && conn->outstanding > 0 && now < conn->close_by)
        return;
    if (alive && conn->outstanding == 0)
        close_on_thread(conn);
    else
        finish(conn);
}

void zk_close(mw_conn *conn, mw_time patience) {
    mw_time now = mw_host_now(conn->host);
    conn->close_by = patience < MW_FOREVER - now ? now + patience : MW_FOREVER;
    conn->phase = ZK_CLOSING;
    conn->up_told = false;
    zk_kick(conn);
}

void zk_abandon(mw_conn *conn) {
    finish(conn);
}

/* ---- Somebody else's session that is proved to be ours */

#define END_PATIENCE_MS 5000

typedef struct ender {
    zk_link link;
    zk_thread thread;
    bool aside; /* the thread is at work */
    mw_conn *conn;
    mw_defer defer; /* no thread could be started */
    char *addresses;
    zk_tls *tls;
    clientid_t client;
    mw_time timeout;
    int status;
    void (*done)(void *arg, int status, const mw_error *detail);
    void *arg;
} ender;

/* What the client waits for has come. False: there is no speaking to this server. */
static bool process(const ender *e, zhandle_t *zh, int fd, int revents, int left_ms) {
    if (e->tls && (revents & POLLOUT) && zk_unshaken(zh)) {
        zk_shaken shaken = zk_tls_process_within(e->tls, zh, fd, left_ms);
        return shaken.rc == ZOK && !shaken.refused;
    }
    if (e->tls)
        zk_tls_clean();
    (void)zookeeper_process(zh, (revents & POLLOUT ? ZOOKEEPER_WRITE : 0) | (revents & ~POLLOUT ? ZOOKEEPER_READ : 0));
    return true;
}

/* On the thread: take the session over, then close it. */
static int take_over(ender *e) {
    zhandle_t *zh = zk_client_new(e->tls, e->addresses, NULL, e->timeout, &e->client, NULL);
    if (!zh)
        return MW_EDISCONNECTED;
    int status = MW_EDISCONNECTED;
    for (int left = END_PATIENCE_MS; left > 0 && status == MW_EDISCONNECTED; left -= 20) {
        int fd = -1, interest = 0;
        struct timeval wait = {0};
        if (zookeeper_interest(zh, &fd, &interest, &wait) == ZOK && fd >= 0) {
            struct pollfd p = {
                fd, (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0)), 0};
            if (poll(&p, 1, 20) > 0 && !process(e, zh, fd, p.revents, left))
                break;
        } else {
            (void)poll(NULL, 0, 20);
        }
        if (zoo_state(zh) == ZOO_CONNECTED_STATE)
            status = MW_OK;
        else if (zoo_state(zh) == ZOO_EXPIRED_SESSION_STATE)
            status = MW_ESESSION_LOST;
    }
    (void)zookeeper_close(zh);
    return status;
}

/* The client does not wait for the answer to its close: the session is over when it cannot be taken over again. */
static int end_session(ender *e) {
    int status = take_over(e);
    bool taken = status == MW_OK;
    for (int tries = 0; status == MW_OK && tries < 10; tries++)
        status = take_over(e);
    return taken && status == MW_ESESSION_LOST ? MW_OK : status;
}

static void ender_free(ender *e) {
    explicit_bzero(e->client.passwd, sizeof e->client.passwd);
    zk_tls_drop(e->tls);
    free(e->addresses);
    free(e);
}

static void ender_end(ender *e, int status) {
    mw_error err;
    zk_fail(&err, status,
            status == MW_EDENIED ? "zookeeper: the secret does not fit session %016llx"
                                 : "zookeeper: session %016llx could not be ended now",
            (unsigned long long)e->client.client_id);
    zk_list_remove(&e->conn->enders, &e->link);
    e->done(e->arg, status, status == MW_OK ? NULL : &err);
    ender_free(e);
}

static void looked(int rc, const struct Stat *stat, const void *data) {
    ender *e = (ender *)data;
    zk_heard(e->conn, rc);
    ender_end(e, rc == ZOK ? MW_EDENIED : rc == ZNONODE ? MW_OK : MW_EDISCONNECTED);
}

/* The server says "expired" to a wrong secret, too. Its first mark tells whether the session lives; only a connection
 * that is up can look for it. */
static bool look_for_mark(ender *e) {
    char mark[ZK_PATH_MAX];
    if (e->conn->phase != ZK_UP)
        return false;
    zk_mark_path(e->conn, (mw_session_id)e->client.client_id, 0, mark);
    (void)zk_send_sync(e->conn);
    return zk_send_exists(e->conn, mark, false, looked, e) == ZOK;
}

static void end_aside(zk_thread *thread) {
    ender *e = mw_container(thread, ender, thread);
    e->status = end_session(e);
}

static void ended(zk_thread *thread) {
    ender *e = mw_container(thread, ender, thread);
    mw_conn *conn = e->conn;
    e->aside = false;
    zk_kick(conn);
    if (e->status != MW_ESESSION_LOST || !look_for_mark(e))
        ender_end(e, e->status == MW_ESESSION_LOST ? MW_EDISCONNECTED : e->status);
}

static void ender_discard(zk_thread *thread) {
    ender_free(mw_container(thread, ender, thread));
}

static void no_thread(mw_defer *defer) {
    ender_end(mw_container(defer, ender, defer), MW_ENO_MEMORY);
}

/* Those for which no thread is at work. */
void zk_enders_forget(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->enders); link; link = zk_list_first(&conn->enders)) {
        ender *e = mw_container(link, ender, link);
        mw_defer_cancel(conn->host, &e->defer);
        ender_end(e, MW_ECLOSED);
    }
}

bool zk_threads_leave(mw_conn *conn) {
    bool names = zk_names_leave(conn), all = zk_shake_leave(conn) && names;
    for (zk_link *link = zk_list_first(&conn->enders), *next; link; link = next) {
        next = zk_list_next(&conn->enders, link);
        ender *e = mw_container(link, ender, link);
        void (*done)(void *arg, int status, const mw_error *detail) = e->done;
        void *arg = e->arg;
        if (!e->aside)
            continue;
        zk_list_remove(&conn->enders, link);
        if (zk_thread_leave(&e->thread)) {
            done(arg, MW_ECLOSED, NULL);
        } else {
            zk_list_push_first(&conn->enders, link);
            all = false;
        }
    }
    return all;
}

void zk_end_session(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                    void (*done)(void *arg, int status, const mw_error *detail), void *arg) {
    ender *e = calloc(1, sizeof *e);
    char *addresses = strdup(conn->addresses ? conn->addresses : conn->options.servers);
    if (!e || !addresses) {
        free(e);
        free(addresses);
        done(arg, MW_ENO_MEMORY, NULL);
        return;
    }
    *e = (ender){.conn = conn, .addresses = addresses, .done = done, .arg = arg};
    e->thread = (zk_thread){.work = end_aside, .done = ended, .discard = ender_discard};
    e->defer.run = no_thread;
    e->tls = zk_tls_hold(conn->options.tls);
    e->timeout = conn->options.session_timeout;
    e->client.client_id = (int64_t)id;
    memcpy(e->client.passwd, secret, MW_SECRET_SIZE);
    zk_list_push(&conn->enders, &e->link);
    e->aside = zk_thread_start(&e->thread, conn->host) == MW_OK;
    if (!e->aside)
        mw_defer_run(conn->host, &e->defer);
}
