/* What a write must know before it can be sent: what is there under its puts, and whether the parents of its creates
 * are. */
#include "txn.h"

#include <stdlib.h>

mw_session_id zk_wanted_owner(const zk_op *op, const mw_write *write) {
    return write->ephemeral ? op->conn->session.id : 0;
}

static bool made_here(const zk_txn *txn, size_t before, const char *parent) {
    for (size_t i = 0; i < before; i++)
        if (strcmp(txn->steps[i].path, parent) == 0)
            return true;
    return false;
}

static void looked_enough(zk_op *op) {
    op->waiting--;
    if (--op->txn->looking == 0) {
        if (!op->request)
            zk_op_release(op);
        else
            zk_drain(op->conn);
    }
}

static void note_look(zk_op *op, int rc) {
    if (rc != ZOK && rc != ZNONODE && op->txn->look_rc == ZOK)
        op->txn->look_rc = rc;
}

static void looked(int rc, const struct Stat *stat, const void *data) {
    zk_step *step = (zk_step *)data;
    zk_op *op = step->op;
    zk_heard(op->conn, rc);
    note_look(op, rc);
    step->look = rc == ZOK ? ZK_PRESENT : ZK_ABSENT;
    if (rc == ZOK) {
        step->seen = *stat;
        zk_saw(op->conn, stat);
    }
    looked_enough(op);
}

static void parents_made(void *data, int rc) {
    zk_op *op = data;
    note_look(op, rc);
    looked_enough(op);
}

static void parent_looked(int rc, const struct Stat *stat, const void *data) {
    zk_step *step = (zk_step *)data;
    zk_op *op = step->op;
    zk_heard(op->conn, rc);
    note_look(op, rc);
    char parent[ZK_PATH_MAX];
    (void)zk_parent(step->path, parent);
    if (rc == ZOK || rc == ZNONODE)
        zk_parent_remember(op->conn, parent);
    if (rc != ZNONODE || !op->request) {
        looked_enough(op);
        return;
    }
    rc = zk_send_parents(op->conn, step->path, parents_made, op);
    if (rc != ZOK) {
        note_look(op, rc);
        looked_enough(op);
    }
}

void zk_absence_anew(zk_step *step) {
    free(step->absent);
    step->absent = NULL;
    step->below = false;
    step->look = ZK_UNSEEN;
}

/* Nothing is below an ephemeral, as long as it stands: its version guards that, with the window of a put. */
static void ephemeral_looked(int rc, const struct Stat *stat, const void *data) {
    zk_step *step = (zk_step *)data;
    zk_op *op = step->op;
    char parent[ZK_PATH_MAX];
    zk_heard(op->conn, rc);
    note_look(op, rc);
    (void)zk_parent(step->absent ? step->absent : step->path, parent);
    zk_absence_anew(step);
    if (rc == ZOK && zk_owner(stat) != 0)
        step->absent = strdup(parent);
    if (step->absent) {
        step->look = ZK_PRESENT;
        step->seen = *stat;
    }
    looked_enough(op);
}

static void look(zk_step *step, const char *path, stat_completion_t done) {
    zk_op *op = step->op;
    int rc = zk_send_exists(op->conn, path, false, done, step);
    note_look(op, rc);
    if (rc != ZOK)
        return;
    op->waiting++;
    op->txn->looking++;
}

bool zk_written_before(const zk_op *op, const char *path) {
    for (zk_key *key = zk_table_find(&op->conn->writing, path); key; key = zk_table_next(key))
        if (mw_container(key, zk_step, key)->op->number < op->number)
            return true;
    return false;
}

static bool is_below(const char *path, const char *top, size_t len) {
    return !top[1] || (strncmp(path, top, len) == 0 && (!path[len] || path[len] == '/'));
}

bool zk_open_below(const mw_conn *conn, const char *path) {
    size_t len = strlen(path);
    for (zk_link *link = zk_list_first(&conn->open); link; link = zk_list_next(&conn->open, link)) {
        const zk_txn *txn = mw_container(link, zk_txn, open);
        for (size_t i = 0; i < txn->count; i++)
            if (is_below(txn->steps[i].path, path, len))
                return true;
    }
    return false;
}

static bool must_wait(const zk_op *op) {
    for (size_t i = 0; i < op->txn->count; i++)
        if (op->request->writes[i].kind == MW_PUT && zk_written_before(op, op->txn->steps[i].path))
            return true;
    return false;
}

/* The first try of a put trusts what we remember of our own last write. */
static bool recall(zk_step *step, const mw_write *write) {
    const zk_known *known = step->op->txn->attempts == 0 ? zk_entry_known(step->op->conn, step->path) : NULL;
    if (!known || known->owner != zk_wanted_owner(step->op, write))
        return false;
    step->look = ZK_PRESENT;
    step->seen =
        (struct Stat){.version = known->version, .czxid = known->created, .ephemeralOwner = (int64_t)known->owner};
    return true;
}

/* A version guards one incarnation: an entry of ours that somebody deleted and created again has the same one. Before a
 * guarded delete of what we wrote, look whether it is still that. */
static bool guards_own(zk_step *step, const mw_write *write) {
    const zk_known *known = zk_entry_known(step->op->conn, step->path);
    if (write->kind != MW_DELETE || write->version < 0 || !known)
        return false;
    step->created = known->created;
    return true;
}

void zk_look_around(zk_op *op) {
    zk_txn *txn = op->txn;
    char parent[ZK_PATH_MAX];
    char asked[ZK_PATH_MAX] = ""; /* the parent that was looked for last */
    txn->blocked = must_wait(op);
    if (txn->blocked)
        return;
    for (size_t i = 0; i < txn->count; i++) {
        const mw_write *write = &op->request->writes[i];
        zk_step *step = &txn->steps[i];
        bool recalled = write->kind == MW_PUT && recall(step, write);
        if (step->below && zk_parent(step->absent ? step->absent : step->path, parent))
            look(step, parent, ephemeral_looked);
        if ((write->kind == MW_PUT && !recalled) || guards_own(step, write))
            look(step, step->path, looked);
        if (!recalled && (write->kind == MW_PUT || write->kind == MW_CREATE) && zk_parent(step->path, parent) &&
            strcmp(parent, asked) != 0 && !zk_parent_known(op->conn, parent) && !made_here(txn, i, parent)) {
            look(step, parent, parent_looked);
            memcpy(asked, parent, strlen(parent) + 1);
        }
    }
    op->conn->stats.round_trips += txn->looking > 0;
}
