/* The client's asynchronous calls, counted and stamped. */
#include "zk.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Keep a send time for zk_session_confirm; close ones share a place. */
static void stamp(mw_conn *conn, mw_time now) {
    if (now - conn->sends[conn->send_last] < zk_probe_period(conn) / 4)
        return;
    conn->send_last = (conn->send_last + 1) % ZK_SENDS;
    conn->sends[conn->send_last] = now;
}

/* The client sends each request as two small packets. Held back until the end of the turn they travel together, with
 * all that the turn still sends; zk_flush() lets them go before the loop sleeps. */
static zhandle_t *corked(mw_conn *conn) {
    static const int on = 1;
    if (!conn->corked && conn->wired) {
        (void)setsockopt(conn->ear, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
        conn->corked = true;
    }
    return conn->zh;
}

void zk_flush(mw_conn *conn) {
    static const int off = 0;
    if (conn->corked && conn->wired)
        (void)setsockopt(conn->ear, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    conn->corked = false;
}

static int sent(mw_conn *conn, int rc) {
    if (rc != ZOK)
        return rc;
    mw_time now = mw_host_now(conn->host);
    if (conn->outstanding++ == 0)
        conn->busy_since = now;
    conn->stats.statements++;
    stamp(conn, now);
    zk_kick(conn);
    return ZOK;
}

void zk_heard(mw_conn *conn, int rc) {
    conn->outstanding--;
    if (!zk_is_unanswered(rc) || zk_is_lost(rc) || conn->leave_by)
        return;
    conn->leave_by = mw_host_now(conn->host) + zk_probe_period(conn);
    zk_kick(conn);
}

int zk_send_get(mw_conn *conn, const char *path, bool watch, data_completion_t done, void *data) {
    return sent(conn, zoo_awget(corked(conn), path, watch ? zk_watcher : NULL, conn, done, data));
}

int zk_send_exists(mw_conn *conn, const char *path, bool watch, stat_completion_t done, void *data) {
    return sent(conn, zoo_awexists(corked(conn), path, watch ? zk_watcher : NULL, conn, done, data));
}

int zk_send_children(mw_conn *conn, const char *path, bool watch, strings_stat_completion_t done, void *data) {
    return sent(conn, zoo_awget_children2(corked(conn), path, watch ? zk_watcher : NULL, conn, done, data));
}

int zk_send_create(mw_conn *conn, const char *path, mw_str value, int mode, string_stat_completion_t done, void *data) {
    return sent(conn, zoo_acreate2(corked(conn), path, value.len ? value.data : "", (int)value.len, conn->options.acl,
                                   mode, done, data));
}

int zk_send_set(mw_conn *conn, const char *path, mw_str value, int version, stat_completion_t done, void *data) {
    return sent(conn, zoo_aset(corked(conn), path, value.len ? value.data : "", (int)value.len, version, done, data));
}

int zk_send_delete(mw_conn *conn, const char *path, void_completion_t done, void *data) {
    return sent(conn, zoo_adelete(corked(conn), path, -1, done, data));
}

int zk_send_multi(mw_conn *conn, int count, const zoo_op_t *ops, zoo_op_result_t *results, void_completion_t done,
                  void *data) {
    return sent(conn, zoo_amulti(corked(conn), count, ops, results, done, data));
}

static void synced(int rc, const char *path, const void *data) {
    mw_conn *conn = (mw_conn *)data;
    zk_heard(conn, rc);
    conn->stale = conn->leave_by && rc != ZOK;
}

int zk_send_sync(mw_conn *conn) {
    return sent(conn, zoo_async(corked(conn), *conn->options.root ? conn->options.root : "/", synced, conn));
}

typedef struct parents {
    mw_conn *conn;
    unsigned waiting;
    int rc;
    void (*done)(void *data, int rc);
    void *data;
} parents;

/* The last answer decides: the server refuses to create below what others own before it looks whether it is there. */
static void parent_made(int rc, const char *path, const struct Stat *stat, const void *data) {
    parents *p = (parents *)data;
    zk_heard(p->conn, rc);
    bool there = rc == ZOK || rc == ZNODEEXISTS;
    if (!there && p->rc == ZOK)
        p->rc = rc;
    if (--p->waiting > 0)
        return;
    p->done(p->data, there ? ZOK : p->rc);
    free(p);
}

static int send_path(mw_conn *conn, const char *path, const mw_str *lock, void (*done)(void *data, int rc),
                     void *data) {
    parents *p = calloc(1, sizeof *p);
    if (!p)
        return ZSYSTEMERROR;
    *p = (parents){.conn = conn, .done = done, .data = data};
    char prefix[ZK_PATH_MAX];
    int rc = ZOK;
    size_t len = strlen(path);
    for (size_t i = 1; i <= len && rc == ZOK; i++) {
        bool leaf = i == len;
        if ((leaf && !lock) || (!leaf && path[i] != '/'))
            continue;
        memcpy(prefix, path, i);
        prefix[i] = 0;
        rc = zk_send_create(conn, prefix, leaf ? *lock : (mw_str){0}, leaf ? ZOO_CONTAINER : ZOO_PERSISTENT,
                            parent_made, p);
        p->waiting += rc == ZOK;
    }
    if (p->waiting > 0)
        return ZOK; /* what was sent will tell of a failure */
    free(p);
    return rc == ZOK ? ZNONODE : rc;
}

int zk_send_parents(mw_conn *conn, const char *path, void (*done)(void *data, int rc), void *data) {
    return send_path(conn, path, NULL, done, data);
}

int zk_send_lock_node(mw_conn *conn, const char *path, void (*done)(void *data, int rc), void *data) {
    mw_str mark = mw_str_of(ZK_LOCK_MARK);
    return send_path(conn, path, &mark, done, data);
}
