/* The session: what the client says of it, its marks, and its renewal.
 *
 * When may the core count on the session? The leader ends it one timeout after the leader last heard of it. A server
 * that is not the leader tells the leader which sessions were active only when the leader asks, every half tick; a
 * write of ours that the leader commits does not count by itself (LearnerHandler: REQUEST does not touch the session,
 * PING does). Both go through one stream from that server to the leader. So when a write sent at W is confirmed, the
 * leader has heard of everything that we had sent half a tick before W; the server gives no session less than two
 * ticks, so a quarter of the timeout covers half a tick. zk_session_confirm() therefore reports the newest send time
 * before W - timeout/4. A deposed leader may go on answering `sync` (ZOOKEEPER-2136), so renewals are writes: they need
 * a quorum. */
#include "zk.h"

#include <stdio.h>
#include <stdlib.h>

/* A seventh: an idle connection hears from its server each period, and leaves one that has been silent for a period
 * (see pump.c). A frozen server is so left after two at most, and a loop that runs late still leaves it within a third
 * of the timeout. Every other probe is a write, which renews. */
mw_time zk_probe_period(const mw_conn *conn) {
    mw_time timeout = conn->session.timeout ? conn->session.timeout : conn->options.session_timeout;
    return timeout / 7;
}

void zk_session_confirm(mw_conn *conn, int rc, mw_time write_sent_at) {
    if (conn->phase != ZK_UP || !zk_is_judged(rc) || write_sent_at < conn->session.timeout / 4)
        return;
    mw_time until = write_sent_at - conn->session.timeout / 4;
    for (size_t i = 0; i < ZK_SENDS; i++) {
        mw_time at = conn->sends[(conn->send_last + ZK_SENDS - i) % ZK_SENDS];
        if (at == 0 || at > until)
            continue;
        conn->events->confirmed(conn->events_arg, at);
        return;
    }
}

static int greet(mw_conn *conn);

static void greeting_failed(mw_conn *conn, int rc) {
    if (zk_is_unanswered(rc))
        return; /* the next connection greets again */
    if (rc == ZNOAUTH) {
        zk_log(conn, MW_LOG_WARN, "no right to create %s" ZK_HIDDEN ": lost replies will stay unknown",
               conn->options.root);
        conn->unmarked = true;
        zk_session_up(conn);
        return;
    }
    zk_refuse(conn, zk_status(rc), zk_text(rc));
}

static mw_str mark_value(const mw_conn *conn, char buffer[640]) {
    int len = snprintf(buffer, 640, "%llu %s", (unsigned long long)(conn->session.timeout / MW_MS), conn->name);
    return (mw_str){buffer, len < 640 ? (size_t)len : 639};
}

/* A write is newer than all that was acknowledged before it, unless the servers forgot that: they were restored from an
 * older copy, or another registry answers at this address. Tokens would repeat there. As ZooKeeper's servers do with a
 * session that has seen more than they have: leave, and try another one. */
static bool went_back(mw_conn *conn, const struct Stat *stat) {
    if (stat->mzxid > conn->newest)
        return false;
    zk_log(conn, MW_LOG_ERROR,
           "%s went back from revision %lld to %lld, or is another registry: not used, lest tokens of locks repeat",
           zoo_get_current_server(conn->zh), (long long)conn->newest, (long long)stat->mzxid);
    conn->expired = true; /* this session must not be taken up elsewhere */
    zk_kick(conn);
    return true;
}

static void greeted(mw_conn *conn, const struct Stat *stat) {
    if (went_back(conn, stat))
        return;
    zk_saw(conn, stat);
    conn->slots[0].made = true;
    zk_session_up(conn);
}

static void marked(int rc, const char *path, const struct Stat *stat, const void *data);
static void marked_again(int rc, const struct Stat *stat, const void *data);

static void marks_have_room(void *data, int rc) {
    mw_conn *conn = data;
    if (conn->phase != ZK_GREETING)
        return;
    rc = rc == ZOK ? greet(conn) : rc;
    if (rc != ZOK)
        greeting_failed(conn, rc);
}

static void marked(int rc, const char *path, const struct Stat *stat, const void *data) {
    mw_conn *conn = (mw_conn *)data;
    zk_heard(conn, rc);
    if (conn->phase != ZK_GREETING)
        return;
    char mark[ZK_PATH_MAX], value[640];
    zk_slot_path(conn, 0, mark);
    if (rc == ZNONODE && conn->greetings++ < 3) {
        rc = zk_send_parents(conn, mark, marks_have_room, conn);
    } else if (rc == ZNODEEXISTS) { /* made before the connection broke */
        rc = zk_send_set(conn, mark, mark_value(conn, value), -1, marked_again, conn);
    } else if (rc == ZOK) {
        greeted(conn, stat);
        return;
    }
    if (rc != ZOK)
        greeting_failed(conn, rc);
}

static void marked_again(int rc, const struct Stat *stat, const void *data) {
    mw_conn *conn = (mw_conn *)data;
    zk_heard(conn, rc);
    if (conn->phase != ZK_GREETING)
        return;
    if (rc == ZOK)
        greeted(conn, stat);
    else
        greeting_failed(conn, rc);
}

/* A new session: write its first mark. */
static int greet(mw_conn *conn) {
    char mark[ZK_PATH_MAX], value[640];
    zk_slot_path(conn, 0, mark);
    return zk_send_create(conn, mark, mark_value(conn, value), ZOO_EPHEMERAL, marked, conn);
}

static void established(mw_conn *conn) {
    const clientid_t *client = zoo_client_id(conn->zh);
    conn->session.id = (uint64_t)client->client_id;
    memcpy(conn->session.secret, client->passwd, MW_SECRET_SIZE);
    conn->session.timeout = (mw_time)zoo_recv_timeout(conn->zh) * MW_MS;
    conn->phase = ZK_GREETING;
    conn->last_heard = conn->up_since = mw_host_now(conn->host);
    conn->greetings = conn->rejections = 0;
    *conn->complaint = '\0';
    if (conn->announced) {
        conn->stats.reconnects++;
        zk_resolve_start(conn);
        return;
    }
    int rc = greet(conn);
    if (rc != ZOK)
        greeting_failed(conn, rc);
}

void zk_session_up(mw_conn *conn) {
    if (conn->phase != ZK_GREETING)
        return;
    mw_session_info info = conn->session;
    info.resumed = conn->announced;
    info.server = mw_str_of(zoo_get_current_server(conn->zh));
    if (!conn->announced)
        zk_log(conn, info.timeout == conn->options.session_timeout ? MW_LOG_DEBUG : MW_LOG_INFO,
               "session %016llx on %s, timeout %llu ms (asked for %llu)", (unsigned long long)info.id, info.server.data,
               (unsigned long long)(info.timeout / MW_MS), (unsigned long long)(conn->options.session_timeout / MW_MS));
    conn->announced = conn->up_told = true;
    conn->phase = ZK_UP;
    conn->probed = mw_host_now(conn->host);
    conn->probe_writes = true;
    /* The handshake itself passed the leader, which starts the session's time anew. */
    conn->events->confirmed(conn->events_arg, conn->connect_sent);
    conn->events->connected(conn->events_arg, &info);
    if (conn->phase != ZK_UP)
        return;
    zk_holds_resume(conn);
    zk_feeds_resume(conn);
    zk_drain(conn);
    zk_kick(conn);
}

void zk_session_suspend(mw_conn *conn) {
    if (conn->phase == ZK_UP || conn->phase == ZK_GREETING)
        conn->phase = ZK_CONNECTING;
    if (!conn->up_told)
        return;
    conn->up_told = false;
    zk_feeds_suspend(conn);
    zk_holds_suspend(conn);
    zk_requests_suspend(conn);
    mw_error why;
    zk_fail(&why, MW_EDISCONNECTED, "zookeeper: connection to %s lost", zoo_get_current_server(conn->zh));
    conn->events->disconnected(conn->events_arg, &why);
}

void zk_session_forget(mw_conn *conn) {
    conn->session = (mw_session_info){0};
    conn->announced = conn->unmarked = false;
    if (conn->zxid > conn->newest)
        conn->newest = conn->zxid;
    conn->zxid = 0;
    zk_entries_release(conn);
    memset(conn->slots, 0, sizeof conn->slots);
    memset(conn->sends, 0, sizeof conn->sends);
}

void zk_watcher(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
    mw_conn *conn = ctx;
    if (zh != conn->zh || conn->phase >= ZK_CLOSING)
        return;
    if (type != ZOO_SESSION_EVENT) {
        zk_holds_event(conn, type, path);
        zk_feeds_event(conn, type, path);
    } else if (state == ZOO_CONNECTED_STATE) {
        established(conn);
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        conn->expired = true;
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        conn->refused = true;
    } else {
        zk_session_suspend(conn);
    }
}

/* ---- Probes: is the server there, and does the session live? */

typedef struct probe {
    mw_conn *conn;
    mw_time sent_at;
} probe;

static void remade(int rc, const char *path, const struct Stat *stat, const void *data) {
    zk_heard((mw_conn *)data, rc);
}

static void renewed(int rc, const struct Stat *stat, const void *data) {
    probe *p = (probe *)data;
    mw_conn *conn = p->conn;
    zk_heard(conn, rc);
    char mark[ZK_PATH_MAX], value[640];
    zk_slot_path(conn, 0, mark);
    if (rc == ZOK && stat)
        zk_saw(conn, stat);
    zk_session_confirm(conn, rc, p->sent_at);
    if (rc == ZNONODE && conn->phase == ZK_UP) /* somebody removed our mark */
        (void)zk_send_create(conn, mark, mark_value(conn, value), ZOO_EPHEMERAL, remade, conn);
    free(p);
}

/* Refused or not, it went through the leader's line. Throttled it did not: what is behind it may not be trusted. */
static void barrier_passed(int rc, const struct Stat *stat, const void *data) {
    mw_conn *conn = (mw_conn *)data;
    zk_heard(conn, rc);
    conn->stale = conn->stale || (conn->leave_by && !zk_is_judged(rc));
}

int zk_session_barrier(mw_conn *conn) {
    char mark[ZK_PATH_MAX], value[640];
    zk_slot_path(conn, 0, mark);
    return zk_send_set(conn, mark, mark_value(conn, value), -1, barrier_passed, conn);
}

static void answered(int rc, const struct Stat *stat, const void *data) {
    zk_heard((mw_conn *)data, rc);
}

static void sync_answered(int rc, const char *path, const void *data) {
    probe *p = (probe *)data;
    zk_heard(p->conn, rc);
    if (rc == ZOK)
        zk_session_confirm(p->conn, rc, p->sent_at);
    free(p);
}

static int renew(mw_conn *conn, mw_time now) {
    probe *p = calloc(1, sizeof *p);
    if (!p)
        return ZSYSTEMERROR;
    *p = (probe){conn, now};
    char mark[ZK_PATH_MAX], value[640];
    zk_slot_path(conn, 0, mark);
    int rc = ZOK;
    if (conn->unmarked) {
        rc = zoo_async(conn->zh, *conn->options.root ? conn->options.root : "/", sync_answered, p);
        conn->outstanding += rc == ZOK;
    } else {
        rc = zk_send_set(conn, mark, mark_value(conn, value), -1, renewed, p);
    }
    if (rc != ZOK)
        free(p);
    conn->stats.renewals++;
    return rc;
}

mw_time zk_session_due(const mw_conn *conn) {
    return conn->phase == ZK_UP ? conn->probed + zk_probe_period(conn) : MW_FOREVER;
}

void zk_session_probe(mw_conn *conn, mw_time now) {
    conn->probed = now;
    char mark[ZK_PATH_MAX];
    zk_slot_path(conn, 0, mark);
    if (conn->probe_writes)
        (void)renew(conn, now);
    else
        (void)zk_send_exists(conn, mark, false, answered, conn);
    conn->probe_writes = !conn->probe_writes;
    zk_holds_probe(conn);
}
