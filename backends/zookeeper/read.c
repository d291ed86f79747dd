/* Requests: their life, their order, and the reads of one entry. */
#include "zk.h"

#include <assert.h>
#include <stdlib.h>

/* ---- The life of a request */

void zk_op_move(zk_op *op, zk_list *to) {
    if (op->in)
        zk_list_remove(op->in, &op->link);
    op->in = to;
    if (to)
        zk_list_push(to, &op->link);
}

void zk_pending_first(zk_op *op) {
    mw_conn *conn = op->conn;
    zk_op_move(op, NULL);
    op->in = &conn->pending;
    zk_list_push_first(op->in, &op->link);
}

void zk_op_release(zk_op *op) {
    if (op->request || op->in || op->waiting > 0)
        return;
    zk_txn_free(op);
    zk_walk_free(op->walk);
    zk_inquiry_free(op->inquiry);
    free(op);
}

void zk_op_end(zk_op *op, int status, const mw_error *err) {
    zk_op_move(op, NULL);
    mw_request *request = op->request;
    op->request = NULL;
    mw_error detail;
    if (err)
        detail = *err;
    op->waiting++; /* `done` may submit, cancel and close */
    if (request) {
        request->backend[0] = NULL;
        request->done(request, status, err ? &detail : NULL);
    }
    op->waiting--;
    zk_op_release(op);
}

void zk_op_refuse(zk_op *op, int status) {
    op->status = status;
    zk_op_move(op, &op->conn->refusals);
    zk_kick(op->conn);
}

void zk_refusals_run(mw_conn *conn) {
    zk_list now;
    zk_list_init(&now);
    zk_list_move(&now, &conn->refusals);
    for (zk_link *link = zk_list_first(&now); link; link = zk_list_first(&now)) {
        zk_op *op = mw_container(link, zk_op, link);
        op->in = &now;
        zk_op_end(op, op->status, op->err.code ? &op->err : NULL);
    }
}

zk_op *zk_op_new(mw_conn *conn, mw_request *request) {
    zk_op *op = calloc(1, sizeof *op);
    request->backend[0] = op;
    if (!op)
        return NULL;
    op->conn = conn;
    op->request = request;
    op->number = ++conn->last_number;
    return op;
}

void zk_submit(mw_conn *conn, mw_request *request) {
    zk_op *op = zk_op_new(conn, request);
    if (!op)
        return; /* see zk_cancel: nothing can be reported without memory; the core's deadline ends it */
    if (conn->phase != ZK_UP) {
        zk_op_refuse(op, MW_EDISCONNECTED);
        return;
    }
    int status = request->kind == MW_WRITE ? zk_txn_prepare(op, &op->err) : MW_OK;
    if (status != MW_OK) {
        zk_op_refuse(op, status);
        return;
    }
    zk_op_move(op, &conn->pending);
    if (request->kind == MW_WRITE && zk_batch_takes(op))
        zk_kick(conn);
    else
        zk_drain(conn);
}

bool zk_cancel(mw_conn *conn, mw_request *request) {
    zk_op *op = request->backend[0];
    if (!op)
        return true;
    bool unsent = op->in == &conn->pending || op->in == &conn->refusals;
    request->backend[0] = NULL;
    op->request = NULL;
    if (op->in == &conn->pending || op->in == &conn->refusals || op->walk || op->inquiry)
        zk_op_move(op, NULL);
    zk_op_release(op);
    return unsent;
}

static bool is_ready(zk_op *op) {
    char path[ZK_PATH_MAX];
    mw_request_kind kind = op->request->kind;
    if (kind == MW_WRITE)
        return zk_txn_ready(op);
    zk_path(op->conn, op->request->path, path);
    if (kind == MW_READ_GET || kind == MW_READ_STAT)
        return !zk_written_before(op, path);
    return (kind != MW_READ_CHILDREN && kind != MW_READ_LIST) || !zk_open_below(op->conn, path);
}

static int send_one(zk_op *op) {
    if (op->request->kind == MW_WRITE)
        return zk_txn_send(op);
    if (op->request->fresh)
        (void)zk_send_sync(op->conn);
    return zk_read_send(op);
}

/* In order of submission: a write that still has to look before it is sent holds back what came after it, and so does a
 * read of what is being written. */
void zk_drain(mw_conn *conn) {
    while (conn->phase == ZK_UP && !conn->leave_by) {
        zk_batch_gather(conn);
        zk_link *link = zk_list_first(&conn->pending);
        if (!link)
            return;
        zk_op *op = mw_container(link, zk_op, link);
        if (conn->batch && op != conn->batch)
            return;
        if (!is_ready(op))
            return;
        zk_op_move(op, &conn->sent);
        op->sent_at = mw_host_now(conn->host);
        int rc = send_one(op);
        if (rc != ZOK)
            zk_op_refuse(op, zk_status(rc));
    }
}

void zk_requests_suspend(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->pending); link; link = zk_list_first(&conn->pending))
        zk_op_refuse(mw_container(link, zk_op, link), MW_EDISCONNECTED);
}

static void end_all(zk_list *list, int write_status) {
    mw_error err;
    zk_fail(&err, write_status, "zookeeper: the reply was lost, and with the session what would have told");
    for (zk_link *link = zk_list_first(list); link; link = zk_list_first(list)) {
        zk_op *op = mw_container(link, zk_op, link);
        bool write = op->request && op->request->kind == MW_WRITE;
        zk_op_end(op, write ? write_status : MW_EDISCONNECTED, write ? &err : NULL);
    }
}

void zk_requests_end(mw_conn *conn, int write_status) {
    zk_requests_suspend(conn);
    zk_refusals_run(conn);
    end_all(&conn->sent, write_status);
    end_all(&conn->lost, write_status);
    conn->resolving = 0;
}

/* ---- get, stat */

static void end_read(zk_op *op, int rc) {
    int status = zk_status(rc);
    if (status == MW_OK || status == MW_ENOT_FOUND || status == MW_EDISCONNECTED) {
        zk_op_end(op, status, NULL);
        return;
    }
    mw_error err;
    zk_fail(&err, status, "zookeeper: %s", zk_text(rc));
    zk_op_end(op, status, &err);
}

static void show(zk_op *op, const char *value, int len, const struct Stat *stat) {
    mw_entry entry;
    zk_entry(&entry, op->request->path, value, value ? len : 0, stat);
    op->request->entry(op->request, &entry);
}

static void lock_looked_at(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    zk_op *op = (zk_op *)data;
    zk_heard(op->conn, rc);
    op->waiting--;
    char path[ZK_PATH_MAX];
    if (rc == ZOK && op->request) {
        zk_path(op->conn, op->request->path, path);
        if (zk_any_shown(op->conn, path, names))
            show(op, NULL, 0, &op->seen);
        else
            rc = ZNONODE;
    }
    end_read(op, rc);
}

/* A lock's node is an entry only when it has children that are. */
static int look_at_lock(zk_op *op, const struct Stat *stat) {
    char path[ZK_PATH_MAX];
    assert(stat);
    if (stat->numChildren == 0)
        return ZNONODE;
    op->seen = *stat;
    zk_path(op->conn, op->request->path, path);
    int rc = zk_send_children(op->conn, path, false, lock_looked_at, op);
    op->waiting += rc == ZOK;
    return rc;
}

static void got(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    zk_op *op = (zk_op *)data;
    zk_heard(op->conn, rc);
    op->waiting--;
    if (rc == ZOK && stat)
        zk_saw(op->conn, stat);
    if (rc == ZOK && op->request && zk_is_lock(value, len)) {
        rc = look_at_lock(op, stat);
        if (rc == ZOK)
            return;
    } else if (rc == ZOK && op->request) {
        show(op, op->request->kind == MW_READ_STAT ? NULL : value, len, stat);
    }
    end_read(op, rc);
}

static void statted(int rc, const struct Stat *stat, const void *data) {
    zk_op *op = (zk_op *)data;
    if (rc != ZOK || !op->request || !zk_maybe_lock(stat)) {
        got(rc, NULL, 0, stat, data);
        return;
    }
    zk_heard(op->conn, rc);
    char path[ZK_PATH_MAX];
    zk_path(op->conn, op->request->path, path);
    rc = zk_send_get(op->conn, path, false, got, op);
    if (rc == ZOK)
        return;
    op->waiting--;
    end_read(op, rc);
}

int zk_read_send(zk_op *op) {
    mw_request *request = op->request;
    char path[ZK_PATH_MAX];
    zk_path(op->conn, request->path, path);
    int rc = ZOK;
    op->waiting++;
    op->conn->stats.round_trips++;
    switch (request->kind) {
    case MW_READ_GET:
        rc = zk_send_get(op->conn, path, false, got, op);
        break;
    case MW_READ_STAT:
        rc = zk_send_exists(op->conn, path, false, statted, op);
        break;
    case MW_READ_VERSION:
        op->waiting--;
        return zk_inquiry_start(op);
    default:
        op->waiting--;
        return zk_walk_start(op);
    }
    op->waiting -= rc != ZOK;
    return rc;
}
