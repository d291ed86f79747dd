/* The client's descriptor and deadlines in the host's loop.
 *
 * The client closes and opens its descriptor where it likes, even while it sends, and the system forgets a watched
 * socket only when the last descriptor of it is closed, which a child process may have inherited: the loop would then
 * be woken for ever. So the loop watches a duplicate of our own, which is stopped first and closed after. */
#include "zk.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#define PACKETS_PER_TURN 512

void zk_kick(mw_conn *conn) {
    mw_defer_run(conn->host, &conn->kick);
}

static void arm(mw_conn *conn, mw_time now, mw_time due) {
    if (due == MW_FOREVER)
        mw_timer_stop(conn->host, &conn->timer);
    else
        (void)mw_timer_start(conn->host, &conn->timer, due > now ? due - now : 0);
}

static mw_time sooner(mw_time a, mw_time b) {
    return a < b ? a : b;
}

/* Silence on a connection that owes us an answer, or an attempt that takes too long. MW_FOREVER when neither can be. */
static mw_time silence_due(const mw_conn *conn) {
    if (conn->wired && conn->phase == ZK_CONNECTING)
        return conn->connect_began + conn->options.connect_timeout;
    if (conn->wired && conn->outstanding > 0) {
        mw_time since = conn->last_heard > conn->busy_since ? conn->last_heard : conn->busy_since;
        return since + zk_probe_period(conn);
    }
    return MW_FOREVER;
}

/* What has come and was not read yet, since one of our own turns took long, is no silence of the server's. */
static bool answers_wait(const mw_conn *conn) {
    int waiting = 0;
    return conn->wired && ioctl(conn->fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

/* The client noticed while sending that the connection is gone: it closed the descriptor, and told nobody. */
static bool dropped_silently(const mw_conn *conn) {
    return conn->wired && (conn->phase == ZK_UP || conn->phase == ZK_GREETING || conn->phase == ZK_CLOSING) &&
           zoo_state(conn->zh) != ZOO_CONNECTED_STATE;
}

static mw_time leave_due(const mw_conn *conn) {
    return conn->leave_by && conn->phase < ZK_CLOSING ? conn->leave_by : MW_FOREVER;
}

/* What is under way is still heard: most of it was not throttled. */
static bool must_leave(const mw_conn *conn, mw_time now) {
    mw_time due = leave_due(conn);
    return now >= due || (due != MW_FOREVER && (conn->outstanding == 0 || conn->stale));
}

void zk_deafen(mw_conn *conn) {
    mw_poll_stop(conn->host, &conn->poll);
    conn->listens = 0;
}

void zk_unwire(mw_conn *conn) {
    zk_deafen(conn);
    if (conn->ear > 0)
        (void)close(conn->ear);
    conn->ear = 0;
    conn->wired = conn->corked = conn->stale = conn->unread = false;
    conn->leave_by = 0;
}

/* The client has a socket; a new one when we were not wired. */
static void wire(mw_conn *conn, int fd, unsigned events) {
    if (!conn->wired || fd != conn->fd) {
        zk_unwire(conn);
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        conn->ear = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        conn->fd = fd;
        conn->wired = true;
    }
    if (events == conn->listens)
        return;
    conn->listens = events;
    if (conn->ear < 0 || mw_poll_start(conn->host, &conn->poll, conn->ear, events) != MW_OK)
        zk_refuse(conn, MW_EUNSUPPORTED, "this host has no descriptors; it cannot serve a network backend");
}

/* What the client reported through the watcher while it was on the stack, and its own fate. True: go on. */
static bool digest_state(mw_conn *conn) {
    if (conn->phase >= ZK_CLOSING)
        return conn->zh != NULL; /* it ends, whatever else was to become of it */
    if (conn->refused) {
        zk_refuse(conn, MW_EDENIED, "the server refused the credentials");
        return false;
    }
    if (conn->expired) {
        mw_error why;
        zk_fail(&why, MW_ESESSION_LOST, "zookeeper: the server ended session %016llx",
                (unsigned long long)conn->session.id);
        zk_expire_now(conn, &why);
        return false;
    }
    return conn->zh != NULL;
}

static void failed(mw_conn *conn) {
    zk_unwire(conn);
    zk_session_suspend(conn);
    zk_retry(conn);
}

/* Ask the client what it waits for; it may open, close or replace its descriptor. */
static mw_time ask(mw_conn *conn, mw_time now) {
    bool connecting = !conn->wired;
    int fd = -1, interest = 0;
    struct timeval wait = {1, 0};
    if (connecting)
        conn->connect_began = conn->connect_sent = now;
    conn->inside++;
    int rc = zookeeper_interest(conn->zh, &fd, &interest, &wait);
    conn->inside--;
    if (rc != ZOK) {
        failed(conn);
        return conn->retry_at;
    }
    if (fd < 0)
        zk_unwire(conn);
    else
        wire(conn, fd, (interest & ZOOKEEPER_READ ? MW_READABLE : 0) | (interest & ZOOKEEPER_WRITE ? MW_WRITABLE : 0));
    return now + (mw_time)wait.tv_sec * MW_SECOND + (mw_time)wait.tv_usec * 1000;
}

static bool can_ask(mw_conn *conn, mw_time now) {
    if (conn->wired || now >= conn->retry_at)
        return true;
    arm(conn, now, conn->retry_at);
    return false;
}

/* Without a handle: look names up, or make one. */
static void begin(mw_conn *conn, mw_time now) {
    if (conn->names)
        return;
    if (now < conn->retry_at) {
        arm(conn, now, conn->retry_at);
        return;
    }
    if (!conn->addresses) {
        if (zk_names_start(conn) != MW_OK)
            zk_retry(conn);
        if (!conn->names)
            arm(conn, now, conn->retry_at);
        return;
    }
    if (zk_handle_new(conn) != MW_OK)
        zk_retry(conn);
    zk_kick(conn);
}

/* While a thread has the handle: it comes back by itself, or is called back. */
static void await_handshake(mw_conn *conn, mw_time now) {
    mw_time due = silence_due(conn);
    if (conn->phase == ZK_CLOSING) {
        zk_closing_step(conn);
    } else if (now >= due || conn->expired) {
        mw_timer_stop(conn->host, &conn->timer);
        zk_shake_stop(conn);
    } else {
        arm(conn, now, due);
    }
}

void zk_pump(mw_conn *conn) {
    if (conn->inside || conn->phase == ZK_FAILED)
        return;
    zk_flush(conn);
    mw_time now = mw_host_now(conn->host);
    if (!conn->zh) {
        if (conn->phase >= ZK_CLOSING)
            zk_closing_step(conn);
        else
            begin(conn, now);
        return;
    }
    if (conn->shaking) {
        await_handshake(conn, now);
        return;
    }
    if (!digest_state(conn))
        return;
    if ((now >= silence_due(conn) && !answers_wait(conn)) || dropped_silently(conn) || must_leave(conn, now)) {
        zk_cut(conn);
        if (!digest_state(conn))
            return;
    }
    if (conn->phase == ZK_CLOSING) {
        zk_closing_step(conn);
        if (conn->phase != ZK_CLOSING)
            return;
    }
    if (!can_ask(conn, now))
        return;
    if (conn->phase == ZK_UP && now >= zk_session_due(conn))
        zk_session_probe(conn, now);
    mw_time due = ask(conn, now);
    zk_flush(conn); /* the probe's */
    if (conn->phase == ZK_FAILED || !digest_state(conn))
        return;
    due = sooner(sooner(due, silence_due(conn)), sooner(zk_session_due(conn), zk_closing_due(conn)));
    due = sooner(due, leave_due(conn));
    arm(conn, now, conn->wired ? due : (due > conn->retry_at ? due : conn->retry_at));
}

/* Before the session was there a server may refuse our certificate after the handshake. */
static void process_failed(mw_conn *conn, int rc) {
    zk_shaken shaken = conn->options.tls ? zk_tls_failure(rc) : (zk_shaken){0};
    bool refused = shaken.refused && !conn->up_told;
    failed(conn);
    if (refused)
        zk_shake_failed(conn, conn->options.servers, &shaken);
}

static void take_in(mw_conn *conn, int what) {
    int rc = ZOK, packets = 0;
    conn->inside++;
    do {
        rc = zk_process(conn, what);
        if (rc == ZOK && (what & ZOOKEEPER_READ))
            conn->last_heard = mw_host_now(conn->host);
        if (!(what & ZOOKEEPER_READ))
            break;
        what = ZOOKEEPER_READ;
    } while (rc == ZOK && ++packets < PACKETS_PER_TURN && !conn->expired && !conn->refused && !conn->stale);
    conn->inside--;
    conn->unread = conn->options.tls && packets == PACKETS_PER_TURN;
    if (rc != ZOK && rc != ZNOTHING)
        process_failed(conn, rc);
    if (conn->unread)
        zk_kick(conn);
}

static void go_on(mw_conn *conn) {
    zk_refusals_run(conn);
    zk_drain(conn);
    zk_reads_more(conn);
    zk_pump(conn);
}

static void ready(mw_poll *poll, unsigned events) {
    mw_conn *conn = mw_container(poll, mw_conn, poll);
    if (conn->options.tls && conn->phase == ZK_CONNECTING && zk_unshaken(conn->zh)) {
        zk_shake_begin(conn);
        zk_pump(conn);
        return;
    }
    if (zoo_state(conn->zh) == ZOO_CONNECTING_STATE)
        conn->connect_sent = mw_host_now(conn->host); /* connected: the handshake goes out now at the earliest */
    take_in(conn, (events & MW_READABLE ? ZOOKEEPER_READ : 0) | (events & MW_WRITABLE ? ZOOKEEPER_WRITE : 0));
    go_on(conn);
}

static void timer_fired(mw_timer *timer) {
    zk_pump(mw_container(timer, mw_conn, timer));
}

static void kicked(mw_defer *defer) {
    mw_conn *conn = mw_container(defer, mw_conn, kick);
    if (conn->abandoned) {
        if (zk_threads_leave(conn))
            zk_conn_end(conn);
        return;
    }
    if (conn->unread)
        take_in(conn, ZOOKEEPER_READ);
    go_on(conn);
}

void zk_pump_init(mw_conn *conn) {
    conn->poll.ready = ready;
    conn->timer.fire = timer_fired;
    conn->kick.run = kicked;
}

void zk_pump_stop(mw_conn *conn) {
    zk_unwire(conn);
    mw_timer_stop(conn->host, &conn->timer);
    mw_defer_cancel(conn->host, &conn->kick);
}
