/* Operations: one request, its deadline, and the one report of its end. Private to core/. */
#ifndef MW_OP_H
#define MW_OP_H

#include "registry_impl.h"
#include "rows.h"

typedef struct mw__hold mw__hold;

struct mw_op {
    mw_request request;
    mw_registry *registry;
    mw__link link; /* in the registry's waiting, sent or finished list */
    uint64_t order;
    bool sent;
    bool ended; /* its outcome is settled, the report is on its way */
    bool fail_fast;
    struct mw__removal *removal; /* this op stands for many: see remove.c */
    mw_timer deadline;
    mw_done_fn *done;
    void *arg;

    mw__rows rows;
    bool short_of_memory; /* a row was lost: the read fails */
    int status;
    mw_error error;

    mw__hold **holds; /* one per write: the lock it checks, or NULL */
    /* behind the struct: writes, written, holds, bytes of paths and values */
};

/* Allocate an op with room for `writes` steps and `bytes` of strings after it (at *ret_bytes). */
mw_op *mw__op_new(mw_registry *registry, const mw_call *call, size_t writes, size_t bytes, char **ret_bytes);

/* Free one that was never started. */
void mw__op_free(mw_op *op);

/* Arm the deadline and send it, or let it wait for the connection. */
void mw__op_start(mw_op *op, const mw_call *call, mw_op **ret_op);

/* Settle an op that is in no backend: reported from the loop. */
void mw__op_finish_later(mw_op *op, int status, const mw_error *detail);

/* It is not sent any more. What was sent already ends with what became of it. */
void mw__op_withdraw(mw_op *op);

/* Take a removal's ops back; whether any of them was sent already. */
bool mw__removal_stop(struct mw__removal *removal);

/* The namespace's own entry: what callers must not write. */
int mw__create_space(mw_registry *registry, const mw_call *call);

/* Validate `path` and append it, with the namespace in front, at *bytes. */
int mw__path_check(const mw_registry *registry, mw_str path, mw_error *err);
int mw__entry_path_check(const mw_registry *registry, mw_str path, mw_error *err); /* and it is not "/" */
mw_str mw__path_full(const mw_registry *registry, mw_str path, char **bytes);
/* "%.*s" of a path in a message, cut where it is very long */
#define MW__SHOWN(path) (int)((path).len < 128 ? (path).len : 128), (path).data
#define MW__PATH_ROOM(registry, path) ((registry)->space_len + (path).len)

/* Take the namespace out of a backend's message: callers know nothing of it. */
void mw__hide_space(const mw_registry *registry, mw_error *error);

/* The same path as callers know it. */
mw_str mw__path_strip(const mw_registry *registry, mw_str path);

#endif
