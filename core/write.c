/* Writes: create, put, set, delete and transactions. */
#include "hold.h"
#include "op.h"
#include "txn_rules.h"

static size_t bytes_of(const mw_registry *registry, const mw_step *steps, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += MW__PATH_ROOM(registry, steps[i].path) + steps[i].value.len;
    return bytes;
}

static mw_str keep(mw_str text, char **bytes) {
    mw_str kept = {*bytes, text.len};
    if (text.len)
        memcpy(*bytes, text.data, text.len);
    *bytes += text.len;
    return kept;
}

static void copy_step(mw_op *op, size_t i, const mw_step *step, char **bytes) {
    mw_write *write = (mw_write *)&op->request.writes[i];
    *write = (mw_write){.kind = step->kind, .version = step->version, .ephemeral = step->ephemeral};
    if (step->kind == MW_CHECK_LOCK) {
        mw__hold *hold = mw__lock_hold(step->lock);
        hold->refs++;
        op->holds[i] = hold;
        write->lock = &hold->ticket;
        write->path = hold->ticket.path;
        return;
    }
    write->path = mw__path_full(op->registry, step->path, bytes);
    write->value = keep(step->value, bytes);
}

/* The steps are valid. */
static int start_write(mw_registry *registry, const mw_step *steps, size_t count, const mw_call *call, mw_op **ret_op,
                       mw_error *err) {
    char *bytes = NULL;
    mw_op *op = mw__op_new(registry, call, count, bytes_of(registry, steps, count), &bytes);
    if (!op)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory writing %.*s", MW__SHOWN(steps[0].path));
    op->request.kind = MW_WRITE;
    for (size_t i = 0; i < count; i++)
        copy_step(op, i, &steps[i], &bytes);
    mw__op_start(op, call, ret_op);
    return MW_OK;
}

int mw_txn(mw_registry *registry, const mw_step *steps, size_t count, const mw_call *call, mw_op **ret_op,
           mw_error *err) {
    int status = mw__registry_usable(registry, err);
    if (status == MW_OK)
        status = mw__txn_check(registry, steps, count, err);
    for (size_t i = 0; i < count && status == MW_OK; i++)
        if (steps[i].kind == MW_CHECK_LOCK && !mw__lock_hold(steps[i].lock))
            return mw_fail(err, MW_EFENCED, "step %zu: the lock is not held; nothing was sent", i + 1);
    return status == MW_OK ? start_write(registry, steps, count, call, ret_op, err) : status;
}

int mw__create_space(mw_registry *registry, const mw_call *call) {
    mw_step step = {.kind = MW_CREATE, .path = mw_str_of("/")};
    return start_write(registry, &step, 1, call, NULL, NULL);
}

int mw_create(mw_registry *registry, mw_str path, mw_str value, bool ephemeral, const mw_call *call, mw_op **ret_op,
              mw_error *err) {
    mw_step step = {.kind = MW_CREATE, .path = path, .value = value, .ephemeral = ephemeral};
    return mw_txn(registry, &step, 1, call, ret_op, err);
}

int mw_put(mw_registry *registry, mw_str path, mw_str value, bool ephemeral, const mw_call *call, mw_op **ret_op,
           mw_error *err) {
    mw_step step = {.kind = MW_PUT, .path = path, .value = value, .ephemeral = ephemeral};
    return mw_txn(registry, &step, 1, call, ret_op, err);
}

int mw_set(mw_registry *registry, mw_str path, mw_str value, int64_t version, const mw_call *call, mw_op **ret_op,
           mw_error *err) {
    mw_step step = {.kind = MW_SET, .path = path, .value = value, .version = version};
    return mw_txn(registry, &step, 1, call, ret_op, err);
}

int mw_delete(mw_registry *registry, mw_str path, int64_t version, const mw_call *call, mw_op **ret_op, mw_error *err) {
    mw_step step = {.kind = MW_DELETE, .path = path, .version = version};
    return mw_txn(registry, &step, 1, call, ret_op, err);
}
