/* Writes: one multi each, which also writes the request's number into a mark (slots.c). A put looks before it writes;
 * the write is guarded by the version it saw, so that between look and write only a node that was deleted and created
 * again with the same version can be taken for the old one: that window is documented. */
#include "txn.h"

#include <stdio.h>
#include <stdlib.h>

#define OP_OVERHEAD 96 /* headers, lengths, ACL of one operation on the wire, rounded up */
#define MEMBER 64      /* the name of a member of a lock's queue */
#define ATTEMPTS 8

void zk_txn_free(zk_op *op) {
    zk_txn *txn = op->txn;
    if (!txn)
        return;
    zk_list_remove(&op->conn->open, &txn->open);
    for (size_t i = 0; i < txn->count; i++) {
        zk_step *step = &txn->steps[i];
        if (step->key.path)
            zk_table_remove(&op->conn->writing, &step->key);
        free(step->path);
        free(step->absent);
    }
    free(txn->ops);
    free(txn->results);
    free(txn);
}

void zk_txn_release_slot(zk_op *op) {
    zk_slot_give(op->conn, op->txn->slot);
    op->txn->slot = 0;
}

static size_t packet_size(const mw_conn *conn, const mw_request *request) {
    size_t root = strlen(conn->options.root), size = 64 + 2 * (OP_OVERHEAD + root); /* the mark is made and set */
    for (size_t i = 0; i < request->write_count; i++) {
        const mw_write *write = &request->writes[i];
        bool absence = write->kind == MW_CHECK && write->version == MW_VERSION_ABSENT;
        size_t path = write->kind == MW_CHECK_LOCK && write->lock ? write->lock->path.len + MEMBER : write->path.len;
        size += (OP_OVERHEAD + root + path) * (absence ? 2 : 1) + write->value.len;
    }
    return size;
}

static bool reserved(const mw_conn *conn, mw_str path) {
    size_t len = strlen(ZK_HIDDEN);
    return path.len >= len && memcmp(path.data, ZK_HIDDEN, len) == 0 && (path.len == len || path.data[len] == '/');
}

int zk_txn_prepare(zk_op *op, mw_error *err) {
    mw_conn *conn = op->conn;
    mw_request *request = op->request;
    size_t size = packet_size(conn, request);
    if (size > conn->options.packet_limit)
        return zk_fail(err, MW_ETOO_LARGE, "zookeeper: %zu bytes in one packet, the servers take %zu (jute.maxbuffer)",
                       size, conn->options.packet_limit);
    zk_txn *txn = op->txn = calloc(1, sizeof *txn + request->write_count * sizeof *txn->steps);
    if (!txn)
        return zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
    txn->count = request->write_count;
    char path[ZK_PATH_MAX];
    for (size_t i = 0; i < txn->count; i++) {
        const mw_write *write = &request->writes[i];
        zk_path(conn, write->path, path);
        if (write->kind == MW_CHECK_LOCK) {
            const char *node = zk_hold_node(write->lock);
            if (!node) {
                request->failed_write = i;
                return zk_fail(err, MW_EFENCED, "zookeeper: the lock is not held");
            }
            (void)snprintf(path, sizeof path, "%s", node);
        } else if (reserved(conn, write->path)) {
            return zk_fail(err, MW_EINVALID, "zookeeper: " ZK_HIDDEN " is kept for the backend; choose another path");
        }
        txn->steps[i] = (zk_step){.op = op, .path = strdup(path)};
        if (!txn->steps[i].path)
            return zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
        txn->steps[i].key.path = txn->steps[i].path;
        if (zk_table_add(&conn->writing, &txn->steps[i].key) != MW_OK)
            txn->steps[i].key.path = NULL;
    }
    if (zk_batch_takes(op))
        txn->blocked = true; /* it looks once it is known with whom it goes */
    else
        zk_look_around(op);
    return MW_OK;
}

/* ---- Sending */

bool zk_txn_ready(zk_op *op) {
    if (op->txn->blocked)
        zk_look_around(op);
    if (op->txn->blocked || op->txn->looking > 0)
        return false;
    if (op->conn->unmarked)
        return true;
    for (int i = 1; i < ZK_SLOT_COUNT; i++)
        if (!op->conn->slots[i].busy)
            return true;
    return false;
}

static bool conflicts(const zk_op *op, const mw_write *write, const zk_step *step) {
    if (step->look != ZK_PRESENT)
        return false;
    if (write->kind == MW_PUT)
        return zk_owner(&step->seen) != zk_wanted_owner(op, write);
    return write->kind == MW_DELETE && step->created != 0 && step->seen.czxid != step->created;
}

/* The first step that would take what is another's; -1 = none. */
static int first_conflict(const zk_op *op) {
    for (size_t i = 0; i < op->txn->count; i++)
        if (conflicts(op, &op->request->writes[i], &op->txn->steps[i]))
            return (int)i;
    return -1;
}

static void add_create(zk_op *op, zk_step *step, const mw_write *write) {
    int mode = write->ephemeral ? ZOO_EPHEMERAL : ZOO_PERSISTENT;
    zoo_create_op_init(&op->txn->ops[op->txn->op_count++], step->path, write->value.len ? write->value.data : "",
                       (int)write->value.len, op->conn->options.acl, mode, NULL, 0);
}

static void add_set(zk_op *op, zk_step *step, const mw_write *write, int version) {
    zoo_set_op_init(&op->txn->ops[op->txn->op_count++], step->path, write->value.len ? write->value.data : "",
                    (int)write->value.len, version, &step->stat);
}

/* ZooKeeper has no check for absence: what can be created is absent, and is deleted again in the same transaction.
 * Below an ephemeral nothing can be created, nor be. */
static void add_absence(zk_op *op, zk_step *step) {
    zk_txn *txn = op->txn;
    const char *path = step->absent ? step->absent : step->path;
    if (step->look == ZK_PRESENT) {
        zoo_check_op_init(&txn->ops[txn->op_count++], path, step->seen.version);
        return;
    }
    zoo_create_op_init(&txn->ops[txn->op_count++], path, "", 0, op->conn->options.acl, ZOO_PERSISTENT, NULL, 0);
    zoo_delete_op_init(&txn->ops[txn->op_count++], path, 0);
}

static void add_step(zk_op *op, zk_step *step, const mw_write *write) {
    zk_txn *txn = op->txn;
    int version = write->version < 0 ? -1 : (int)write->version;
    step->first = txn->op_count;
    switch (write->kind) {
    case MW_CHECK:
        if (write->version == MW_VERSION_ABSENT)
            add_absence(op, step);
        else
            zoo_check_op_init(&txn->ops[txn->op_count++], step->path, version);
        break;
    case MW_CHECK_LOCK:
        zoo_check_op_init(&txn->ops[txn->op_count++], step->path, -1);
        break;
    case MW_CREATE:
        add_create(op, step, write);
        break;
    case MW_PUT:
        if (step->look == ZK_PRESENT)
            add_set(op, step, write, step->seen.version);
        else
            add_create(op, step, write);
        break;
    case MW_SET:
        add_set(op, step, write, version);
        break;
    case MW_DELETE:
        zoo_delete_op_init(&txn->ops[txn->op_count++], step->path, version);
        break;
    }
    step->count = txn->op_count - step->first;
}

/* `path` must last until the client has packed the request. */
static void add_mark(zk_op *op, char path[ZK_PATH_MAX]) {
    mw_conn *conn = op->conn;
    zk_txn *txn = op->txn;
    if (conn->unmarked)
        return;
    txn->slot = zk_slot_take(conn);
    txn->id = ++conn->last_id;
    zk_slot_path(conn, (unsigned)txn->slot, path);
    int len = snprintf(txn->value, sizeof txn->value, "%llu", (unsigned long long)txn->id);
    if (!conn->slots[txn->slot].made)
        zoo_create_op_init(&txn->ops[txn->op_count++], path, "", 0, conn->options.acl, ZOO_EPHEMERAL, NULL, 0);
    zoo_set_op_init(&txn->ops[txn->op_count++], path, txn->value, len, -1, &txn->marked);
}

static bool lone_create(const zk_op *op) {
    const mw_write *write = op->request->writes;
    return op->txn->count == 1 &&
           (write->kind == MW_CREATE || (write->kind == MW_PUT && op->txn->steps[0].look == ZK_ABSENT));
}

static void multi_done(int rc, const void *data);
static void create_done(int rc, const char *path, const struct Stat *stat, const void *data);

static int send_multi(zk_op *op) {
    zk_txn *txn = op->txn;
    size_t most = 2 * txn->count + 2;
    char mark[ZK_PATH_MAX];
    free(txn->ops);
    free(txn->results);
    txn->ops = calloc(most, sizeof *txn->ops);
    txn->results = calloc(most, sizeof *txn->results);
    txn->op_count = 0;
    if (!txn->ops || !txn->results)
        return ZSYSTEMERROR;
    for (size_t i = 0; i < txn->count; i++)
        add_step(op, &txn->steps[i], &op->request->writes[i]);
    add_mark(op, mark);
    int rc = zk_send_multi(op->conn, txn->op_count, txn->ops, txn->results, multi_done, op);
    if (rc != ZOK)
        zk_txn_release_slot(op);
    return rc;
}

int zk_txn_send(zk_op *op) {
    zk_txn *txn = op->txn;
    mw_conn *conn = op->conn;
    if (txn->look_rc != ZOK)
        return txn->look_rc;
    int conflict = first_conflict(op);
    if (conflict >= 0) {
        op->request->failed_write = (size_t)conflict;
        zk_entry_forget(conn, txn->steps[conflict].path);
        zk_fail(&op->err, MW_ECONFLICT, "zookeeper: the entry belongs to %s",
                zk_owner(&txn->steps[conflict].seen) ? "another session" : "nobody: it is persistent");
        return ZBADVERSION;
    }
    const mw_write *write = op->request->writes;
    bool alone = conn->unmarked && lone_create(op);
    txn->attempts++;
    if (!zk_listed(&txn->open))
        zk_list_push(&conn->open, &txn->open);
    conn->stats.round_trips++;
    conn->stats.write_transactions++;
    int mode = write->ephemeral ? ZOO_EPHEMERAL : ZOO_PERSISTENT;
    int rc = alone ? zk_send_create(conn, txn->steps[0].path, write->value, mode, create_done, op) : send_multi(op);
    op->waiting += rc == ZOK;
    return rc;
}

/* ---- Answers */

static void remember(zk_op *op, const mw_write *write, const zk_step *step, const mw_written *written) {
    if (write->kind == MW_DELETE)
        zk_entry_forget(op->conn, step->path);
    else if (written->created != 0)
        zk_entry_remember(op->conn, step->path,
                          (zk_known){(int32_t)written->version, written->created, written->owner});
}

void zk_txn_done(zk_op *op, int64_t revision) {
    mw_request *request = op->request;
    for (size_t i = 0; request && i < op->txn->count && request->written; i++) {
        const mw_write *write = &request->writes[i];
        const struct Stat *stat = &op->txn->steps[i].stat;
        mw_written *written = &request->written[i];
        *written = (mw_written){.revision = revision};
        if (stat->czxid != 0)
            *written = (mw_written){stat->version, revision, stat->czxid, zk_owner(stat)};
        else if (write->kind == MW_CREATE || write->kind == MW_PUT)
            *written = (mw_written){0, revision, revision, zk_wanted_owner(op, write)};
        remember(op, write, &op->txn->steps[i], written);
    }
    zk_op_end(op, MW_OK, NULL);
}

/* Look again and send again: what we saw has changed, or a parent is missing after all. */
static void try_again(zk_op *op) {
    zk_txn *txn = op->txn;
    txn->look_rc = ZOK;
    zk_pending_first(op);
    zk_look_around(op);
    zk_drain(op->conn);
}

/* The parent of what must be absent is missing: so is what must be absent, as long as the parent is. A step upward is
 * no repetition. */
static bool absence_one_up(zk_op *op, zk_step *step) {
    char parent[ZK_PATH_MAX];
    if (!zk_parent(step->absent ? step->absent : step->path, parent) || !parent[1])
        return false;
    free(step->absent);
    step->absent = strdup(parent);
    op->txn->attempts--;
    return step->absent != NULL;
}

static bool another_absence(zk_op *op, zk_step *step, int rc) {
    if (step->look == ZK_PRESENT) { /* the ephemeral above it changed, or is gone */
        zk_absence_anew(step);
        return rc == ZNONODE || rc == ZBADVERSION;
    }
    step->below = rc == ZNOCHILDRENFOREPHEMERALS;
    return step->below || (rc == ZNONODE && absence_one_up(op, step));
}

static bool worth_another_try(zk_op *op, size_t index, int rc) {
    const mw_write *write = &op->request->writes[index];
    zk_step *step = &op->txn->steps[index];
    if (op->txn->attempts >= ATTEMPTS || op->conn->phase != ZK_UP)
        return false;
    if (write->kind == MW_CHECK && write->version == MW_VERSION_ABSENT)
        return another_absence(op, step, rc);
    if (rc == ZNONODE && (write->kind == MW_CREATE || (write->kind == MW_PUT && step->look == ZK_ABSENT))) {
        char parent[ZK_PATH_MAX];
        if (zk_parent(step->path, parent))
            zk_parent_forget(op->conn, parent);
        for (size_t i = 0; i < op->txn->count; i++)
            if (op->txn->steps[i].absent)
                zk_absence_anew(&op->txn->steps[i]);
        return true;
    }
    return write->kind == MW_PUT && (rc == ZBADVERSION || rc == ZNONODE || rc == ZNODEEXISTS);
}

static void swept(void *data, int rc, bool removed) {
    zk_op *op = data;
    op->waiting--;
    if (!op->request)
        zk_op_release(op);
    else if (zk_is_unanswered(rc) || op->conn->phase != ZK_UP)
        zk_op_end(op, MW_EDISCONNECTED, NULL); /* the write was refused before */
    else if (removed)
        try_again(op);
    else
        zk_op_end(op, MW_ENOT_EMPTY, NULL);
}

/* What we delete may have no children but the nodes of locks that nobody uses. */
static bool worth_a_sweep(zk_op *op, size_t index, int rc) {
    if (op->request->writes[index].kind != MW_DELETE || rc != ZNOTEMPTY || op->txn->attempts >= ATTEMPTS ||
        op->conn->phase != ZK_UP || zk_sweep(op->conn, op->txn->steps[index].path, swept, op) != ZOK)
        return false;
    zk_op_move(op, NULL);
    op->waiting++;
    op->request->failed_write = index;
    return true;
}

static int refusal_status(const mw_write *write, int rc) {
    if (write->kind == MW_CHECK_LOCK && rc == ZNONODE)
        return MW_EFENCED;
    return zk_status(rc);
}

static void refused(zk_op *op, size_t index, int rc) {
    if (!op->request) {
        zk_op_end(op, MW_OK, NULL);
        return;
    }
    zk_entry_forget(op->conn, op->txn->steps[index].path);
    if (worth_a_sweep(op, index, rc))
        return;
    if (worth_another_try(op, index, rc)) {
        try_again(op);
        return;
    }
    const mw_write *write = &op->request->writes[index];
    mw_error err;
    int status = refusal_status(write, rc);
    op->request->failed_write = index;
    zk_fail(&err, status, "zookeeper: %s: %.*s", zk_text(rc), MW_STR_FMT(write->path));
    zk_op_end(op, status, &err);
}

static void create_done(int rc, const char *path, const struct Stat *stat, const void *data) {
    zk_op *op = (zk_op *)data;
    mw_conn *conn = op->conn;
    zk_heard(conn, rc);
    op->waiting--;
    if (zk_is_lost(rc)) {
        zk_op_move(op, &conn->lost);
        return;
    }
    zk_session_confirm(conn, rc, op->sent_at);
    if (rc != ZOK) {
        refused(op, 0, rc);
        return;
    }
    zk_saw(conn, stat);
    zk_txn_done(op, stat->czxid);
}

/* The operation that made the server refuse the multi: those after it are marked "runtime inconsistency". */
static int culprit(const zk_txn *txn) {
    for (int i = 0; i < txn->op_count; i++)
        if (txn->results[i].err != ZOK && txn->results[i].err != ZRUNTIMEINCONSISTENCY)
            return i;
    return -1;
}

static void multi_refused(zk_op *op, int rc) {
    zk_txn *txn = op->txn;
    int at = culprit(txn);
    int why = at < 0 ? rc : txn->results[at].err;
    for (size_t i = 0; at >= 0 && i < txn->count; i++)
        if (at >= txn->steps[i].first && at < txn->steps[i].first + txn->steps[i].count) {
            zk_txn_release_slot(op);
            refused(op, i, why);
            return;
        }
    /* Our own mark: somebody removed it, or it is there already. */
    bool mark = at >= 0 && txn->slot > 0 && (why == ZNONODE || why == ZNODEEXISTS);
    if (mark)
        op->conn->slots[txn->slot].made = why == ZNODEEXISTS;
    zk_txn_release_slot(op);
    if (mark && txn->attempts < ATTEMPTS && op->request && op->conn->phase == ZK_UP) {
        try_again(op);
        return;
    }
    mw_error err;
    int status = zk_status(why);
    zk_fail(&err, status, "zookeeper: %s", zk_text(why));
    zk_op_end(op, status, &err);
}

/* Without a mark and without a set, what was created tells the revision, or the directory of what was deleted. */
static void revision_read(int rc, const struct Stat *stat, const void *data) {
    zk_op *op = (zk_op *)data;
    mw_conn *conn = op->conn;
    zk_heard(conn, rc);
    op->waiting--;
    if (rc == ZOK)
        zk_saw(conn, stat);
    zk_txn_done(op, rc != ZOK ? conn->zxid : op->txn->made ? stat->czxid : stat->pzxid);
}

static void ask_revision(zk_op *op) {
    zk_txn *txn = op->txn;
    char path[ZK_PATH_MAX] = "/";
    for (size_t i = 0; op->request && i < txn->count && !txn->made; i++) {
        mw_write_kind kind = op->request->writes[i].kind;
        txn->made = kind == MW_CREATE || kind == MW_PUT;
        if (txn->made)
            memcpy(path, txn->steps[i].path, strlen(txn->steps[i].path) + 1);
        else if (kind == MW_DELETE)
            (void)zk_parent(txn->steps[i].path, path);
    }
    if (op->request && zk_send_exists(op->conn, path, false, revision_read, op) == ZOK)
        op->waiting++;
    else
        zk_txn_done(op, op->conn->zxid);
}

static void multi_done(int rc, const void *data) {
    zk_op *op = (zk_op *)data;
    zk_txn *txn = op->txn;
    mw_conn *conn = op->conn;
    zk_heard(conn, rc);
    op->waiting--;
    if (zk_is_lost(rc)) {
        zk_op_move(op, &conn->lost);
        return;
    }
    zk_session_confirm(conn, rc, op->sent_at);
    if (rc != ZOK) {
        multi_refused(op, rc);
        zk_drain(conn);
        return;
    }
    int64_t revision = txn->marked.mzxid;
    if (txn->slot > 0) {
        conn->slots[txn->slot].made = true;
        zk_saw(conn, &txn->marked);
    }
    for (size_t i = 0; i < txn->count && revision == 0; i++)
        revision = txn->steps[i].stat.mzxid; /* without a mark, a set knows */
    zk_txn_release_slot(op);
    if (revision != 0)
        zk_txn_done(op, revision);
    else
        ask_revision(op);
    zk_drain(conn);
}
