/* Ending sessions. zookeeper_close() may block for seconds (it waits for the server's answer), so it runs on a thread,
 * on a handle that nobody uses any more. */
#include "zk.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>

static int start_thread(void *(*run)(void *), void *arg) {
    pthread_t thread;
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attr, run, arg);
    (void)pthread_attr_destroy(&attr);
    return rc == 0 ? MW_OK : MW_ENO_MEMORY;
}

/* ---- Our own session, when the connection closes */

struct zk_close_job {
    mw_defer defer;
    mw_conn *conn;
    mw_host *host;
    zhandle_t *zh;
    atomic_int turn; /* of the two who come by, the first leaves the job to the second */
};

static void finish(mw_conn *conn) {
    conn->phase = ZK_ENDING;
    conn->abandoned = true;
    zk_kick(conn);
}

static void job_done(mw_defer *defer) {
    zk_close_job *job = mw_container(defer, zk_close_job, defer);
    mw_conn *conn = job->conn;
    mw_host_release(job->host);
    free(job);
    conn->closing = NULL;
    finish(conn);
}

static void *run_close(void *arg) {
    zk_close_job *job = arg;
    (void)zookeeper_close(job->zh);
    if (atomic_fetch_add(&job->turn, 1) == 0)
        mw_host_post(job->host, &job->defer);
    else
        free(job); /* nobody waits any more; the host may be gone */
    return NULL;
}

/* The server does not answer in time: the thread is left to itself. */
static void give_up(mw_conn *conn) {
    zk_close_job *job = conn->closing;
    if (atomic_fetch_add(&job->turn, 1) != 0)
        return; /* its post is on the way */
    mw_host_release(conn->host);
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
    *job = (zk_close_job){.defer = {.run = job_done}, .conn = conn, .host = conn->host, .zh = conn->zh};
    mw_host_hold(conn->host);
    conn->phase = ZK_ENDING;
    conn->closing = job;
    zhandle_t *zh = conn->zh;
    conn->zh = NULL;
    if (start_thread(run_close, job) != MW_OK) {
        mw_host_release(conn->host);
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
    bool alive = conn->zh && conn->wired && zoo_state(conn->zh) == ZOO_CONNECTED_STATE && !conn->expired;
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
    zk_names_forget(conn);
    zk_kick(conn);
}

void zk_abandon(mw_conn *conn) {
    finish(conn);
}

/* ---- Somebody else's session that is proved to be ours */

#define END_PATIENCE_MS 5000

typedef struct ender {
    zk_link link;
    mw_defer defer;
    mw_conn *conn; /* NULL: closed meanwhile */
    mw_host *host;
    char *addresses;
    clientid_t client;
    int timeout_ms, status;
    void (*done)(void *arg, int status, const mw_error *detail);
    void *arg;
} ender;

static void drop_line(const char *message) {}

/* On the thread: take the session over, then close it. */
static int end_session(ender *e) {
    zhandle_t *zh =
        zookeeper_init2(e->addresses, NULL, e->timeout_ms, &e->client, NULL, ZOO_NO_LOG_CLIENTENV, drop_line);
    if (!zh)
        return MW_EDISCONNECTED;
    int status = MW_EDISCONNECTED;
    for (int left = END_PATIENCE_MS; left > 0 && status == MW_EDISCONNECTED; left -= 20) {
        int fd = -1, interest = 0;
        struct timeval wait = {0};
        if (zookeeper_interest(zh, &fd, &interest, &wait) == ZOK && fd >= 0) {
            struct pollfd p = {
                fd, (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0)), 0};
            if (poll(&p, 1, 20) > 0)
                (void)zookeeper_process(zh, (p.revents & POLLOUT ? ZOOKEEPER_WRITE : 0) |
                                                (p.revents & ~POLLOUT ? ZOOKEEPER_READ : 0));
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

static void ender_end(ender *e, int status) {
    mw_error err;
    zk_fail(&err, status,
            status == MW_EDENIED ? "zookeeper: the secret does not fit session %016llx"
                                 : "zookeeper: session %016llx could not be ended now",
            (unsigned long long)e->client.client_id);
    if (e->conn)
        zk_list_remove(&e->conn->enders, &e->link);
    if (e->done)
        e->done(e->arg, status, status == MW_OK ? NULL : &err);
    explicit_bzero(e->client.passwd, sizeof e->client.passwd);
    free(e->addresses);
    free(e);
}

/* The server says "expired" to a wrong secret, too. Its first mark tells whether the session lives. */
static void looked(int rc, const struct Stat *stat, const void *data) {
    ender *e = (ender *)data;
    zk_heard(e->conn);
    ender_end(e, rc == ZOK ? MW_EDENIED : rc == ZNONODE ? MW_OK : MW_EDISCONNECTED);
}

static void ended(mw_defer *defer) {
    ender *e = mw_container(defer, ender, defer);
    mw_host_release(e->host);
    if (e->status != MW_ESESSION_LOST || !e->conn || e->conn->phase != ZK_UP) {
        ender_end(e, e->status == MW_ESESSION_LOST ? MW_OK : e->status);
        return;
    }
    char mark[ZK_PATH_MAX];
    zk_mark_path(e->conn, (mw_session_id)e->client.client_id, 0, mark);
    if (zk_send_exists(e->conn, mark, false, looked, e) != ZOK)
        ender_end(e, MW_EDISCONNECTED);
}

void zk_enders_forget(mw_conn *conn) {
    for (zk_link *link = zk_list_pop(&conn->enders); link; link = zk_list_pop(&conn->enders)) {
        ender *e = mw_container(link, ender, link);
        e->conn = NULL;
        e->done(e->arg, MW_ECLOSED, NULL);
        e->done = NULL;
    }
}

static void *run_end(void *arg) {
    ender *e = arg;
    e->status = end_session(e);
    mw_host_post(e->host, &e->defer);
    return NULL;
}

static void no_thread(mw_defer *defer) {
    ender_end(mw_container(defer, ender, defer), MW_ENO_MEMORY);
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
    *e = (ender){.conn = conn, .host = conn->host, .addresses = addresses, .done = done, .arg = arg};
    e->defer.run = ended;
    e->timeout_ms = (int)(conn->options.session_timeout / MW_MS);
    e->client.client_id = (int64_t)id;
    memcpy(e->client.passwd, secret, MW_SECRET_SIZE);
    zk_list_push(&conn->enders, &e->link);
    mw_host_hold(conn->host);
    if (start_thread(run_end, e) == MW_OK)
        return;
    mw_host_release(conn->host);
    e->defer.run = no_thread;
    mw_defer_run(conn->host, &e->defer);
}
