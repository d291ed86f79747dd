/* A write under way: shared by write.c and resolve.c. */
#ifndef MW_ZOOKEEPER_TXN_H
#define MW_ZOOKEEPER_TXN_H

#include "zk.h"

typedef enum zk_look {
    ZK_UNSEEN,
    ZK_ABSENT,
    ZK_PRESENT,
} zk_look;

typedef struct zk_step {
    zk_op *op;
    zk_key key;   /* in conn->writing */
    char *path;   /* on the server */
    char *absent; /* CHECK ABSENT: the path tried; an ancestor when the parent is missing; the ephemeral above it */
    bool below;   /* CHECK ABSENT: the parent of the path tried is an ephemeral, as the server said */
    zk_look look; /* PUT: what was there. CHECK ABSENT: PRESENT = `absent` is an ephemeral, so nothing is below it */
    struct Stat seen;
    int64_t created;  /* DELETE: of the incarnation that it is meant for; 0 = any */
    int first, count; /* its operations in the multi */
    struct Stat stat; /* of a set */
} zk_step;

struct zk_txn {
    zk_link open; /* in conn->open */
    size_t count;
    unsigned looking; /* answers that must be here before it can be sent */
    int look_rc;
    unsigned attempts;
    bool blocked; /* it has not looked yet: a put behind another write to its path, or a create that may join a batch */
    bool apart;   /* a create that its batch could not bring in: it goes alone */
    bool made;    /* without a mark: what is asked for the revision was created by it */

    zoo_op_t *ops;
    zoo_op_result_t *results;
    int op_count;

    int slot; /* of the mark that it writes; 0 = none */
    uint64_t id;
    char value[24];     /* what it writes there: `id` as text */
    struct Stat marked; /* the mark's, whose mzxid is the revision */
    bool found;         /* resolve: the mark carries our number */
    unsigned asking;    /* resolve: answers awaited */
    int ask_rc;

    zk_step steps[]; /* `count` */
};

/* look.c: ask what must be known; txn->looking counts the answers to come, txn->blocked means that it is too early. */
void zk_look_around(zk_op *op);
void zk_absence_anew(zk_step *step); /* what is known about a path that must be absent holds no longer */
mw_session_id zk_wanted_owner(const zk_op *op, const mw_write *write);

/* Report success: `revision` is the transaction's zxid. */
void zk_txn_done(zk_op *op, int64_t revision);
void zk_txn_release_slot(zk_op *op);

#endif
