/* Recursive delete: list what is there, delete it leaves first in txns with many in flight, then the entry itself. What
 * appears meanwhile is found by another round. A txn that is refused, since one of its entries has gone or has got
 * children, leaves all of them to another round too, which deletes one by one. */
#include <stdlib.h>

#include "op.h"

#define IN_FLIGHT 128u
#define AT_ONCE 64u /* entries in one txn: their paths are far below any limit of its size */
#define ROUNDS 8u

typedef enum phase { LISTING, DELETING_BELOW, DELETING_ROOT } phase;

typedef struct mw__removal {
    mw_op *op; /* stands for all of it, and owns this */
    phase phase;
    unsigned rounds;
    mw_op *flying[IN_FLIGHT];
    unsigned flights;
    mw__rows rows; /* deleted from the end: in path order children follow their parents */
    bool any_sent;
    bool any_deleted;
    bool crowded; /* something appeared below what we deleted, or a txn was refused */
    bool singly;
    int status;
    mw_error error;
    mw_str path;
    char path_bytes[MW_PATH_MAX];
} mw__removal;

/* One op under way. It outlives a removal that was stopped. */
typedef struct flight {
    mw__removal *removal; /* NULL = stopped */
    unsigned slot;
    size_t count; /* of entries it deletes */
} flight;

static void advance(mw__removal *removal);

static void fail(mw__removal *removal, int status, const mw_error *why) {
    if (removal->status != MW_OK)
        return;
    removal->status = status;
    removal->error = *why;
}

/* Free the flight and tell its removal; NULL when there is nobody to tell. */
static mw__removal *land(flight *landed) {
    mw__removal *removal = landed->removal;
    if (removal) {
        removal->flying[landed->slot] = NULL;
        removal->flights--;
    }
    free(landed);
    return removal;
}

static bool refused(int status) {
    return status == MW_ENOT_FOUND || status == MW_ENOT_EMPTY || status == MW_ECONFLICT || status == MW_ETOO_LARGE;
}

static void on_deleted(void *arg, const mw_result *result) {
    bool many = ((const flight *)arg)->count > 1;
    mw__removal *removal = land(arg);
    if (!removal)
        return;
    bool root = removal->phase == DELETING_ROOT;
    if (result->status == MW_OK)
        removal->any_deleted = true;
    else if (many && refused(result->status))
        removal->crowded = removal->singly = true;
    else if (result->status == MW_ENOT_EMPTY)
        removal->crowded = true;
    else if (result->status != MW_ENOT_FOUND || (root && !removal->any_deleted))
        fail(removal, result->status, result->error);
    advance(removal);
}

static void on_listed(void *arg, const mw_result *result) {
    mw__removal *removal = land(arg);
    if (!removal)
        return;
    mw_error why = *result->error;
    if (result->status != MW_OK)
        fail(removal, result->status, &why);
    for (size_t i = 0; i < result->entry_count; i++)
        if (!mw__rows_add(&removal->rows, &result->entries[i]))
            fail(removal, mw_fail(&why, MW_ENO_MEMORY, "out of memory deleting what was listed"), &why);
    removal->phase = DELETING_BELOW;
    advance(removal);
}

static flight *take_off(mw__removal *removal, mw_done_fn *done, mw_call *ret_call) {
    flight *started = malloc(sizeof *started);
    mw_error why;
    if (!started) {
        fail(removal, mw_fail(&why, MW_ENO_MEMORY, "out of memory in a recursive delete"), &why);
        return NULL;
    }
    *started = (flight){.removal = removal};
    while (removal->flying[started->slot])
        started->slot++;
    *ret_call = (mw_call){
        .timeout = MW_FOREVER, .fail_fast = removal->op->fail_fast, .fresh = true, .done = done, .arg = started};
    return started;
}

static void settle_start(mw__removal *removal, flight *started, int status, const mw_error *why) {
    if (status == MW_OK) {
        removal->flights++;
        return;
    }
    removal->flying[started->slot] = NULL;
    free(started);
    fail(removal, status, why);
}

static void start_deletes(mw__removal *removal, const mw_step *steps, size_t count) {
    mw_call call;
    mw_error why;
    flight *started = take_off(removal, on_deleted, &call);
    if (!started)
        return;
    started->count = count;
    removal->any_sent = true;
    int status = mw_txn(removal->op->registry, steps, count, &call, &removal->flying[started->slot], &why);
    settle_start(removal, started, status, &why);
}

static void start_some(mw__removal *removal) {
    mw_step steps[AT_ONCE];
    size_t count = 0, most = removal->singly ? 1 : AT_ONCE;
    while (count < most && removal->rows.count)
        steps[count++] = (mw_step){
            .kind = MW_DELETE, .path = removal->rows.items[--removal->rows.count].path, .version = MW_VERSION_ANY};
    start_deletes(removal, steps, count);
}

static void start_list(mw__removal *removal) {
    mw_call call;
    mw_error why;
    removal->phase = LISTING;
    removal->rounds++;
    removal->crowded = false;
    flight *started = take_off(removal, on_listed, &call);
    if (!started)
        return;
    int status = mw_list(removal->op->registry, removal->path, &call, &removal->flying[started->slot], &why);
    settle_start(removal, started, status, &why);
}

/* All of its ops are back. */
static void end(mw__removal *removal) {
    mw_error why;
    if (removal->crowded)
        fail(removal, mw_fail(&why, MW_ENOT_EMPTY, "entries go on appearing below it"), &why);
    mw__rows_release(&removal->rows);
    mw__op_finish_later(removal->op, removal->status, &removal->error);
}

static void advance(mw__removal *removal) {
    while (removal->status == MW_OK && removal->rows.count && removal->flights < IN_FLIGHT)
        start_some(removal);
    if (removal->flights)
        return;
    if (removal->status == MW_OK && removal->phase == DELETING_BELOW) {
        removal->phase = DELETING_ROOT;
        mw_step root = {.kind = MW_DELETE, .path = removal->path, .version = MW_VERSION_ANY};
        start_deletes(removal, &root, 1);
    } else if (removal->status == MW_OK && removal->crowded && removal->rounds < ROUNDS) {
        mw__rows_release(&removal->rows);
        start_list(removal);
    }
    if (removal->flights == 0)
        end(removal);
}

bool mw__removal_stop(mw__removal *removal) {
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        mw_op *op = removal->flying[i];
        if (!op)
            continue;
        ((flight *)op->arg)->removal = NULL;
        mw_op_cancel(op);
    }
    mw__rows_release(&removal->rows);
    return removal->any_sent;
}

int mw_delete_recursive(mw_registry *registry, mw_str path, const mw_call *call, mw_op **ret_op, mw_error *err) {
    int status = mw__registry_usable(registry, err);
    if (status == MW_OK)
        status = mw__entry_path_check(registry, path, err);
    if (status != MW_OK)
        return status;
    char *bytes = NULL;
    mw_op *op = mw__op_new(registry, call, 0, 0, &bytes);
    mw__removal *removal = calloc(1, sizeof *removal);
    if (!op || !removal) {
        free(op);
        free(removal);
        return mw_fail(err, MW_ENO_MEMORY, "out of memory in a recursive delete");
    }
    op->request.kind = MW_WRITE;
    op->removal = removal;
    removal->op = op;
    memcpy(removal->path_bytes, path.data, path.len);
    removal->path = (mw_str){removal->path_bytes, path.len};
    mw__op_start(op, call, ret_op);
    start_list(removal);
    if (removal->flights == 0)
        end(removal);
    return MW_OK;
}
