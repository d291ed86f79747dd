/* The handshake of a connection with TLS, on a thread that has the handle to itself meanwhile.
 *
 * The loop opens the socket and waits until it is connected, as without TLS, and then keeps but its own duplicate of
 * it: to shut it down at the connection's deadline, at an end, or when the session is over, which brings the thread
 * back. Nothing is under way on a handle that is being connected, so the thread calls none of us. What the loop may
 * still do with the handle touches the client's table of watches alone, which a handshake does not. */
#include "zk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

struct zk_shake_job {
    zk_thread thread;
    mw_conn *conn;
    zhandle_t *zh;
    zk_tls *tls;
    pid_t process; /* a forked child has no such thread, and a share in the socket */
    bool cut;
    zk_shaken shaken;
    char server[80];
};

static void job_free(zk_shake_job *job) {
    zk_tls_drop(job->tls);
    free(job);
}

static void shake(zk_thread *thread) {
    zk_shake_job *job = mw_container(thread, zk_shake_job, thread);
    job->shaken = zk_tls_process(job->tls, job->zh);
}

static void discard(zk_thread *thread) {
    zk_shake_job *job = mw_container(thread, zk_shake_job, thread);
    (void)zookeeper_close(job->zh); /* not connected: nothing to wait for */
    job_free(job);
}

/* Once per reason, and for good when no server may be spoken to, as with a digest that is refused. With a session at
 * stake it is tried on until that is over. */
void zk_shake_failed(mw_conn *conn, const char *server, const zk_shaken *shaken) {
    if (strcmp(conn->complaint, shaken->why) != 0)
        zk_log(conn, MW_LOG_WARN, "%s: %s", server, shaken->why);
    (void)snprintf(conn->complaint, sizeof conn->complaint, "%s", shaken->why);
    unsigned servers = 1;
    for (const char *p = conn->addresses; *p; p++)
        servers += *p == ',';
    if (shaken->refused && ++conn->rejections >= servers && !conn->announced && conn->phase < ZK_FAILED)
        zk_refuse(conn, MW_EDENIED, shaken->why);
}

static void shaken(zk_thread *thread) {
    zk_shake_job *job = mw_container(thread, zk_shake_job, thread);
    mw_conn *conn = job->conn;
    conn->shaking = NULL;
    zk_shaken *end = &job->shaken;
    if (end->rc == ZSSLCONNECTIONERROR && !end->refused)
        (void)snprintf(end->why, sizeof end->why, "TLS: %s",
                       job->cut ? "no answer in time" : "the server closes the connection; is this its secure port?");
    if (end->rc != ZOK || end->refused)
        zk_cut(conn);
    if (*end->why)
        zk_shake_failed(conn, job->server, end);
    zk_names_apply(conn);
    job_free(job);
    zk_kick(conn);
}

/* The client's handshake waits in select(), which knows no larger ones. */
static bool fits_select(mw_conn *conn) {
    if (conn->fd < FD_SETSIZE)
        return true;
    static const zk_shaken large = {ZSYSTEMERROR, false, "TLS: the client library needs a descriptor below 1024"};
    zk_shake_failed(conn, zoo_get_current_server(conn->zh), &large);
    return false;
}

static zk_shake_job *job_new(mw_conn *conn) {
    zk_shake_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    *job = (zk_shake_job){.thread = {.work = shake, .done = shaken, .discard = discard},
                          .conn = conn,
                          .zh = conn->zh,
                          .tls = zk_tls_hold(conn->options.tls),
                          .process = getpid()};
    (void)snprintf(job->server, sizeof job->server, "%s", zoo_get_current_server(conn->zh));
    return job;
}

bool zk_unshaken(zhandle_t *zh) {
    int state = zoo_state(zh); /* the one that is meant has no name in zookeeper.h; 0 and the next are no connection */
    return state > 0 && state != ZOO_NOTCONNECTED_STATE && state != ZOO_ASSOCIATING_STATE &&
           state != ZOO_CONNECTED_STATE;
}

void zk_shake_begin(mw_conn *conn) {
    conn->connect_sent = mw_host_now(conn->host); /* what follows the handshake goes out later than this */
    zk_shake_job *job = fits_select(conn) ? job_new(conn) : NULL;
    if (job && zk_thread_start(&job->thread, conn->host) == MW_OK) {
        conn->shaking = job;
        zk_deafen(conn);
        return;
    }
    if (job)
        job_free(job);
    zk_cut(conn);
}

void zk_shake_stop(mw_conn *conn) {
    conn->shaking->cut = true;
    if (conn->shaking->process == getpid())
        (void)shutdown(conn->ear, SHUT_RDWR);
}

bool zk_shake_leave(mw_conn *conn) {
    if (!conn->shaking)
        return true;
    zk_shake_stop(conn);
    if (!zk_thread_leave(&conn->shaking->thread))
        return false;
    conn->shaking = NULL;
    conn->zh = NULL; /* the thread's now */
    return true;
}
