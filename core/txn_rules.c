/* What a transaction may say: see mw_write in moonwatch/types.h. */
#include "txn_rules.h"

#include <stdio.h>
#include <stdlib.h>

#include "op.h"

static bool is_check(const mw_step *step) {
    return step->kind == MW_CHECK || step->kind == MW_CHECK_LOCK;
}
static bool makes(const mw_step *step) {
    return step->kind == MW_CREATE || step->kind == MW_PUT;
}

static int check_version(const mw_step *step, mw_error *err) {
    bool bad = (step->kind == MW_CHECK && step->version < MW_VERSION_ABSENT) ||
               ((step->kind == MW_SET || step->kind == MW_DELETE) && step->version < MW_VERSION_ANY);
    return bad ? mw_fail(err, MW_EINVALID, "version: %lld is no version", (long long)step->version) : MW_OK;
}

static int check_step(const mw_registry *registry, const mw_step *step, mw_error *err) {
    if (step->kind < MW_CHECK || step->kind > MW_DELETE)
        return mw_fail(err, MW_EINVALID, "kind: %d is no kind of write", (int)step->kind);
    if (step->kind == MW_CHECK_LOCK)
        return step->lock ? MW_OK : mw_fail(err, MW_EINVALID, "lock: missing");
    int status = mw__entry_path_check(registry, step->path, err);
    return status == MW_OK ? check_version(step, err) : status;
}

static int check_each(const mw_registry *registry, const mw_step *steps, size_t count, mw_error *err) {
    bool wrote = false;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        mw_error why;
        int status = check_step(registry, &steps[i], &why);
        if (status == MW_OK && is_check(&steps[i]) && wrote)
            status = mw_fail(&why, MW_EINVALID, "checks speak of the state before the txn and come before its writes");
        if (status != MW_OK)
            return count > 1 ? mw_fail(err, status, "step %zu: %s", i + 1, why.message)
                             : mw_fail(err, status, "%s", why.message);
        wrote = wrote || !is_check(&steps[i]);
        bytes += steps[i].value.len + MW__PATH_ROOM(registry, steps[i].path) + MW__TXN_STEP_OVERHEAD;
    }
    if (bytes > MW__TXN_BYTES_MAX)
        return mw_fail(err, MW_ETOO_LARGE, "%zu bytes in one txn, at most %u fit; nothing was sent", bytes,
                       MW__TXN_BYTES_MAX);
    return MW_OK;
}

/* ---- Steps that meet on one path */

static int by_path(const void *a, const void *b) {
    return mw_str_compare((*(const mw_step *const *)a)->path, (*(const mw_step *const *)b)->path);
}

static const mw_step *find_write(const mw_step **sorted, size_t count, mw_str path) {
    mw_step key = {.path = path};
    const mw_step *wanted = &key;
    const mw_step **found = bsearch(&wanted, sorted, count, sizeof *sorted, by_path);
    return found ? *found : NULL;
}

/* Why `above` (a write to an ancestor) and `step` cannot be in one txn in this order; NULL when they can. */
static const char *clash(const mw_step *above, const mw_step *step) {
    if (above->kind == MW_DELETE && step->kind != MW_DELETE)
        return "writes below what the same txn deletes";
    if (above->kind == MW_DELETE && above < step)
        return "deletes below what the same txn has deleted before; children go first";
    if (makes(above) && makes(step) && above > step)
        return "comes before its parent in the same txn; parents go first";
    if (makes(above) && above->ephemeral && makes(step))
        return "is below an ephemeral of the same txn, which has no children";
    return NULL;
}

static int check_ancestors(const mw_step *steps, const mw_step **sorted, size_t count, mw_error *err) {
    for (size_t i = 0; i < count; i++) {
        for (mw_str up = mw_path_parent(sorted[i]->path); up.len > 1; up = mw_path_parent(up)) {
            const mw_step *above = find_write(sorted, count, up);
            const char *why = above ? clash(above, sorted[i]) : NULL;
            if (why)
                return mw_fail(err, MW_EINVALID, "step %zu %s", (size_t)(sorted[i] - steps) + 1, why);
        }
    }
    return MW_OK;
}

static int check_meetings(const mw_step *steps, size_t count, mw_error *err) {
    const mw_step **sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory checking a txn");
    size_t writes = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_check(&steps[i]))
            sorted[writes++] = &steps[i];
    qsort(sorted, writes, sizeof *sorted, by_path);
    int status = MW_OK;
    for (size_t i = 1; i < writes && status == MW_OK; i++)
        if (mw_str_equal(sorted[i - 1]->path, sorted[i]->path))
            status = mw_fail(err, MW_EINVALID, "step %zu: a path is written once in a txn, %.*s twice",
                             (size_t)(sorted[i] - steps) + 1, MW__SHOWN(sorted[i]->path));
    if (status == MW_OK)
        status = check_ancestors(steps, sorted, writes, err);
    free(sorted);
    return status;
}

int mw__txn_check(const mw_registry *registry, const mw_step *steps, size_t count, mw_error *err) {
    if (count == 0)
        return mw_fail(err, MW_EINVALID, "the txn has no steps");
    int status = check_each(registry, steps, count, err);
    return status == MW_OK && count > 1 ? check_meetings(steps, count, err) : status;
}
