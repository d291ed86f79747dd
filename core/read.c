/* Reads: get, stat, children, list, and looking at queues, sessions and the server. */
#include "op.h"

static int start_read(mw_registry *registry, mw_request_kind kind, mw_str path, const mw_call *call, mw_op **ret_op,
                      mw_error *err) {
    int status = mw__registry_usable(registry, err);
    if (status != MW_OK)
        return status;
    char *bytes = NULL;
    mw_op *op = mw__op_new(registry, call, 0, MW__PATH_ROOM(registry, path), &bytes);
    if (!op)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory reading %.*s", MW_STR_FMT(path));
    op->request.kind = kind;
    op->request.path = mw__path_full(registry, path, &bytes);
    mw__op_start(op, call, ret_op);
    return MW_OK;
}

static int read_entry(mw_registry *registry, mw_request_kind kind, mw_str path, const mw_call *call, mw_op **ret_op,
                      mw_error *err) {
    int status = mw__entry_path_check(registry, path, err);
    return status != MW_OK ? status : start_read(registry, kind, path, call, ret_op, err);
}

static int read_below(mw_registry *registry, mw_request_kind kind, mw_str path, const mw_call *call, mw_op **ret_op,
                      mw_error *err) {
    int status = mw__path_check(registry, path, err);
    return status != MW_OK ? status : start_read(registry, kind, path, call, ret_op, err);
}

int mw_get(mw_registry *registry, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err) {
    return read_entry(registry, MW_READ_GET, path, call, ret_op, err);
}

int mw_stat(mw_registry *registry, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err) {
    return read_entry(registry, MW_READ_STAT, path, call, ret_op, err);
}

int mw_children(mw_registry *registry, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err) {
    return read_below(registry, MW_READ_CHILDREN, path, call, ret_op, err);
}

int mw_list(mw_registry *registry, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err) {
    return read_below(registry, MW_READ_LIST, path, call, ret_op, err);
}

int mw_inspect(mw_registry *registry, mw_request_kind kind, mw_str path, const mw_call *call, mw_op **ret_op,
               mw_error *err) {
    if (kind != MW_READ_QUEUE && kind != MW_READ_QUEUES && kind != MW_READ_SESSIONS && kind != MW_READ_VERSION)
        return mw_fail(err, MW_EINVALID, "inspect: not a kind of inspection");
    if (kind == MW_READ_VERSION && !(registry->backend->caps & MW_CAP_VERSION))
        return mw_fail(err, MW_EUNSUPPORTED, "%s: its server cannot be asked", registry->backend->name);
    if (kind == MW_READ_QUEUE)
        return read_entry(registry, kind, path, call, ret_op, err);
    bool whole = kind == MW_READ_SESSIONS || kind == MW_READ_VERSION;
    return read_below(registry, kind, whole ? mw_str_of("/") : path, call, ret_op, err);
}
