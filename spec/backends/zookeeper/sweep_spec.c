/* Deleting what has no children but the nodes of locks, and how often that is tried. */
#include "rig.h"

static void use_lock(rig *r, waiter *w, const char *path) {
    rig_lock(r, w, path);
    RIG_UNTIL(r, w->granted);
}

static void drop_lock(rig *r, waiter *w) {
    r->backend->unlock(r->conn, &w->ticket);
    RIG_UNTIL(r, w->ended);
    CHECK_INT(w->status, MW_OK);
}

/* The outcome of a delete, and the transactions that it took. */
static int erase(rig *r, const char *path, unsigned *ret_transactions) {
    mw_backend_stats before, after;
    ask a;
    r->backend->stats(r->conn, &before);
    int status = rig_write(r, &a, MW_DELETE, path, "", MW_VERSION_ANY, false);
    r->backend->stats(r->conn, &after);
    *ret_transactions = (unsigned)(after.write_transactions - before.write_transactions);
    return status;
}

/* A lock below a lock: the inner one's node goes first, or the outer one's would stay for another round. */
static void unused_locks_are_no_children(void) {
    static waiter outer, inner, other;
    rig r;
    ask a;
    unsigned transactions = 0;
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/sweep", "", 0, false), MW_OK);
    use_lock(&r, &outer, "/sweep/lock");
    use_lock(&r, &inner, "/sweep/lock/inner");
    use_lock(&r, &other, "/sweep/other");
    drop_lock(&r, &inner);
    drop_lock(&r, &outer);
    drop_lock(&r, &other);
    CHECK_INT(erase(&r, "/sweep", &transactions), MW_OK);
    CHECK_INT(transactions, 2); /* refused, and again behind the sweep */
    CHECK_INT(rig_read(&r, &a, MW_READ_STAT, "/sweep"), MW_ENOT_FOUND);
    rig_close(&r);
}

/* Where nothing could be removed, nothing is tried again. */
static void a_lock_in_use_and_an_entry_are(void) {
    static waiter w;
    rig r;
    ask a;
    unsigned transactions = 0;
    rig_open(&r);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/sweep", "", 0, false), MW_OK);
    use_lock(&r, &w, "/sweep/lock");
    CHECK_INT(erase(&r, "/sweep", &transactions), MW_ENOT_EMPTY);
    CHECK_INT(transactions, 1);
    drop_lock(&r, &w);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/sweep/entry", "", 0, false), MW_OK);
    CHECK_INT(erase(&r, "/sweep", &transactions), MW_ENOT_EMPTY);
    CHECK_INT(transactions, 2); /* the lock's node has gone */
    CHECK_INT(erase(&r, "/sweep", &transactions), MW_ENOT_EMPTY);
    CHECK_INT(transactions, 1);
    CHECK_INT(rig_read(&r, &a, MW_READ_STAT, "/sweep/entry"), MW_OK);
    rig_clear(&r, "/sweep");
    rig_close(&r);
}

static const spec_case cases[] = {
    {"unused locks are no children", unused_locks_are_no_children},
    {"a lock in use and an entry are", a_lock_in_use_and_an_entry_are},
};
SPEC_MAIN(cases)
