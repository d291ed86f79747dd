/* What became of writes whose reply was lost, decided after a reconnect in the same session, before the core is told of
 * it.
 *
 * The handshake moved the session to this server: the leader refuses what an earlier connection may still deliver
 * (SESSIONMOVED; the same server closes the older connection first). What it had taken before may still be on its way
 * to a quorum; behind a write of ours (zk_session_barrier) it is there. Then a mark that carries the request's number
 * means applied, one that does not means that it never will be. */
#include "txn.h"

#include <stdio.h>
#include <stdlib.h>

static void decide(zk_op *op);

static void one_answer(zk_op *op, int rc) {
    zk_txn *txn = op->txn;
    op->waiting--;
    if (rc != ZOK && rc != ZNONODE && txn->ask_rc == ZOK)
        txn->ask_rc = rc;
    if (--txn->asking == 0)
        decide(op);
}

static void mark_read(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    zk_op *op = (zk_op *)data;
    zk_txn *txn = op->txn;
    zk_heard(op->conn, rc);
    txn->found = rc == ZOK && len == (int)strlen(txn->value) && memcmp(value, txn->value, (size_t)len) == 0;
    if (rc == ZOK)
        zk_saw(op->conn, stat);
    if (txn->found)
        txn->marked = *stat;
    op->conn->slots[txn->slot].made = rc == ZOK;
    one_answer(op, rc);
}

/* A set entry's present state. */
static void set_read(int rc, const struct Stat *stat, const void *data) {
    zk_step *step = (zk_step *)data;
    zk_heard(step->op->conn, rc);
    step->stat = rc == ZOK ? *stat : (struct Stat){0};
    one_answer(step->op, rc);
}

static bool sets(const zk_op *op, size_t i) {
    mw_write_kind kind = op->request->writes[i].kind;
    return kind == MW_SET || (kind == MW_PUT && op->txn->steps[i].look == ZK_PRESENT);
}

static void ask(zk_op *op, int rc) {
    if (rc == ZOK) {
        op->waiting++;
        op->txn->asking++;
    } else if (op->txn->ask_rc == ZOK) {
        op->txn->ask_rc = rc;
    }
}

static void ask_about(zk_op *op) {
    zk_txn *txn = op->txn;
    txn->ask_rc = ZOK;
    for (size_t i = 0; i < txn->count; i++)
        if (sets(op, i))
            ask(op, zk_send_exists(op->conn, txn->steps[i].path, false, set_read, &txn->steps[i]));
    char mark[ZK_PATH_MAX];
    zk_slot_path(op->conn, (unsigned)txn->slot, mark);
    ask(op, zk_send_get(op->conn, mark, false, mark_read, op));
}

/* What a set left: as read when the node is still as we left it. When others wrote since, our version follows from the
 * guard that was sent, and is one before theirs at most: whoever trusts it must not overwrite them. */
static void fill_set(zk_txn *txn, zk_step *step) {
    int guard = txn->ops[step->first].set_op.version;
    struct Stat now = step->stat;
    if (now.mzxid == txn->marked.mzxid)
        return;
    bool same = now.czxid != 0 && now.czxid < txn->marked.mzxid; /* the incarnation that we wrote to */
    step->stat = same ? now : step->seen;
    step->stat.version = guard >= 0 ? guard + 1 : same ? now.version - 1 : 0;
}

static void fill_sets(zk_op *op) {
    for (size_t i = 0; i < op->txn->count; i++)
        if (sets(op, i))
            fill_set(op->txn, &op->txn->steps[i]);
}

static void end_unknown(zk_op *op) {
    mw_error err;
    zk_fail(&err, MW_EUNKNOWN, "zookeeper: the reply was lost, and nothing tells what became of the write");
    zk_op_end(op, MW_EUNKNOWN, &err);
}

static void decide(zk_op *op) {
    mw_conn *conn = op->conn;
    zk_txn *txn = op->txn;
    if (zk_is_unanswered(txn->ask_rc))
        return; /* asked again on the next connection */
    bool known = op->request != NULL;
    zk_txn_release_slot(op);
    if (!known) {
        zk_op_end(op, MW_OK, NULL);
    } else if (txn->ask_rc != ZOK) {
        end_unknown(op);
    } else if (txn->found) {
        fill_sets(op);
        zk_txn_done(op, txn->marked.mzxid);
    } else {
        zk_op_end(op, MW_EDISCONNECTED, NULL);
    }
    if (--conn->resolving == 0)
        zk_session_up(conn);
}

/* Can it be decided at all? */
static bool decidable(const zk_op *op) {
    return op->request && op->txn && op->txn->slot > 0;
}

static void sort_out(mw_conn *conn) {
    zk_list all;
    zk_list_init(&all);
    zk_list_move(&all, &conn->lost);
    for (zk_link *link = zk_list_pop(&all); link; link = zk_list_pop(&all)) {
        zk_op *op = mw_container(link, zk_op, link);
        op->in = NULL;
        if (decidable(op)) {
            zk_op_move(op, &conn->lost);
        } else {
            if (op->txn && op->txn->slot > 0)
                zk_txn_release_slot(op);
            end_unknown(op);
        }
    }
}

void zk_resolve_start(mw_conn *conn) {
    sort_out(conn);
    conn->resolving = 0;
    if (!zk_list_first(&conn->lost)) {
        zk_session_up(conn);
        return;
    }
    (void)zk_session_barrier(conn);
    conn->stats.round_trips++;
    conn->resolving = conn->lost.count;
    for (zk_link *link = zk_list_first(&conn->lost); link; link = zk_list_next(&conn->lost, link))
        ask_about(mw_container(link, zk_op, link));
}
