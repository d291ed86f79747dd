/* The life of an operation: waiting for a connection, sent, finished; its deadline and its cancellation. */
#include "op.h"

#include <assert.h>
#include <stdlib.h>

#include "hold.h"

static void report(mw_op *op) {
    mw_registry *registry = op->registry;
    mw_request *request = &op->request;
    if (op->status == MW_OK && request->kind != MW_WRITE && request->kind != MW_READ_QUEUE &&
        request->kind != MW_READ_QUEUES && request->kind != MW_READ_SESSIONS)
        mw__rows_sort(&op->rows);
    mw_result result = {.status = op->status, .error = &op->error, .failed_write = request->failed_write};
    if (op->status == MW_OK) {
        result.entries = op->rows.items;
        result.entry_count = op->rows.count;
        result.written = request->written;
        result.written_count = request->write_count;
        result.revision = request->write_count ? request->written[request->write_count - 1].revision : 0;
    }
    registry->handles--;
    if (op->done)
        op->done(op->arg, &result);
    mw__op_free(op);
    mw__registry_unref(registry);
}

static void set_outcome(mw_op *op, int status, const mw_error *detail) {
    op->ended = true; /* `done` may cancel what is over */
    op->status = status;
    op->error = (mw_error){0};
    if (status == MW_OK)
        return;
    if (detail && detail->code)
        op->error = *detail;
    else
        (void)mw_fail(&op->error, status, "%s", mw_status_meaning(status));
    op->error.code = status;
    mw__hide_space(op->registry, &op->error);
}

/* From the loop: reported here and now. */
static void finish(mw_op *op, int status, const mw_error *detail) {
    mw_timer_stop(op->registry->host, &op->deadline);
    mw__list_remove(&op->link);
    set_outcome(op, status, detail);
    report(op);
}

/* From a caller's call: reported from the loop. */
void mw__op_finish_later(mw_op *op, int status, const mw_error *detail) {
    mw_registry *registry = op->registry;
    mw_timer_stop(registry->host, &op->deadline);
    mw__list_remove(&op->link);
    set_outcome(op, status, detail);
    mw__list_append(&registry->finished, &op->link);
    mw_defer_run(registry->host, &registry->report_finished);
}

static void report_finished(mw_defer *defer) {
    mw_registry *registry = mw_container(defer, mw_registry, report_finished);
    mw__link batch;
    mw__list_init(&batch);
    mw__list_splice(&batch, &registry->finished);
    mw__registry_ref(registry);
    for (mw__link *link; (link = mw__list_shift(&batch));)
        report(mw_container(link, mw_op, link));
    mw__registry_unref(registry);
}

/* One end may bring about another: that of a delete which stands for many. */
void mw__ops_report_all(mw_registry *registry) {
    mw_defer_cancel(registry->host, &registry->report_finished);
    while (!mw__list_empty(&registry->finished))
        report_finished(&registry->report_finished);
    mw_defer_cancel(registry->host, &registry->report_finished);
}

/* ---- What the backend reports */

static void wait_again(mw_op *op) {
    mw_registry *registry = op->registry;
    mw__list_remove(&op->link);
    op->sent = op->short_of_memory = false;
    mw__rows_release(&op->rows);
    mw__link *after = registry->waiting.prev;
    while (after != &registry->waiting && mw_container(after, mw_op, link)->order > op->order)
        after = after->prev;
    mw__list_insert_after(after, &op->link);
}

static void on_entry(mw_request *request, const mw_entry *entry) {
    mw_op *op = mw_container(request, mw_op, request);
    mw_entry shown = *entry;
    shown.path = mw__path_strip(op->registry, entry->path);
    if (!mw__rows_add(&op->rows, &shown))
        op->short_of_memory = true;
}

static void on_done(mw_request *request, int status, const mw_error *detail) {
    mw_op *op = mw_container(request, mw_op, request);
    assert(op->sent);
    mw_registry *registry = op->registry;
    if (status == MW_EDISCONNECTED && !op->fail_fast && !registry->closing && !registry->failure) {
        wait_again(op);
        if (mw__registry_connected(registry))
            mw__ops_flush(registry);
        return;
    }
    if (status == MW_EDISCONNECTED && registry->closing) {
        status = MW_ECLOSED;
    } else if (status == MW_EDISCONNECTED && registry->failure) {
        status = registry->failure;
        detail = &registry->failure_detail;
    }
    if (status == MW_OK && op->short_of_memory)
        status = MW_ENO_MEMORY;
    finish(op, status, detail && detail->code == status ? detail : NULL);
}

/* ---- Sending */

/* A guard is judged when it is sent: waiting may have cost the lock. */
static bool guards_stand(const mw_op *op) {
    for (size_t i = 0; i < op->request.write_count; i++)
        if (op->holds[i] && !op->holds[i]->held)
            return false;
    return true;
}

static void send_op(mw_op *op) {
    mw_registry *registry = op->registry;
    mw_request *request = &op->request;
    mw__list_remove(&op->link);
    if (request->kind == MW_WRITE && !guards_stand(op)) {
        mw_error why;
        (void)mw_fail(&why, MW_EFENCED, "the lock that guards this txn is no longer held; nothing was sent");
        mw__op_finish_later(op, MW_EFENCED, &why);
        return;
    }
    op->sent = true;
    memset(request->backend, 0, sizeof request->backend);
    request->failed_write = 0;
    mw__list_append(&registry->sent, &op->link);
    registry->backend->submit(registry->conn, request);
}

void mw__ops_flush(mw_registry *registry) {
    while (mw__registry_connected(registry) && !mw__list_empty(&registry->waiting))
        send_op(mw_container(registry->waiting.next, mw_op, link));
}

void mw__ops_fail(mw_registry *registry, int status, const mw_error *why) {
    while (!mw__list_empty(&registry->waiting))
        mw__op_finish_later(mw_container(registry->waiting.next, mw_op, link), status, why);
}

void mw__ops_let_go(mw_registry *registry, const mw_error *why) {
    while (!mw__list_empty(&registry->sent))
        mw__op_finish_later(mw_container(registry->sent.next, mw_op, link), why->code, why);
}

/* Take it back wherever it is; true when nothing of it can have happened. */
static bool take_back(mw_op *op) {
    mw_registry *registry = op->registry;
    if (op->removal)
        return !mw__removal_stop(op->removal);
    bool unsent = !op->sent || (registry->conn && registry->backend->cancel(registry->conn, &op->request));
    return unsent || op->request.kind != MW_WRITE;
}

static void deadline_passed(mw_timer *timer) {
    mw_op *op = mw_container(timer, mw_op, deadline);
    mw_error why;
    if (take_back(op))
        finish(op, mw_fail(&why, MW_ETIMEOUT, "the deadline passed%s", op->sent ? "" : " before it was sent"), &why);
    else
        finish(op, mw_fail(&why, MW_EUNKNOWN, "the deadline passed after it was sent; it may have happened"), &why);
}

void mw_op_cancel(mw_op *op) {
    mw_error why;
    if (op->ended)
        return;
    if (take_back(op))
        mw__op_finish_later(op, mw_fail(&why, MW_ECANCELLED, "cancelled"), &why);
    else
        mw__op_finish_later(op, mw_fail(&why, MW_EUNKNOWN, "cancelled after it was sent; it may have happened"), &why);
}

void mw__op_withdraw(mw_op *op) {
    op->fail_fast = true;
    if (!op->sent)
        mw_op_cancel(op);
}

/* ---- Making */

mw_op *mw__op_new(mw_registry *registry, const mw_call *call, size_t writes, size_t bytes, char **ret_bytes) {
    size_t per_write = sizeof(mw_write) + sizeof(mw_written) + sizeof(mw__hold *);
    mw_op *op = malloc(sizeof *op + writes * per_write + bytes);
    if (!op)
        return NULL;
    memset(op, 0, sizeof *op + writes * per_write);
    mw_write *steps = (mw_write *)(op + 1);
    mw_written *written = (mw_written *)(steps + writes);
    op->holds = (mw__hold **)(written + writes);
    op->request.writes = steps;
    op->request.written = written;
    op->request.write_count = writes;
    op->request.entry = on_entry;
    op->request.done = on_done;
    op->request.fresh = call->fresh;
    op->registry = registry;
    op->fail_fast = call->fail_fast;
    op->deadline.fire = deadline_passed;
    op->done = call->done;
    op->arg = call->arg;
    *ret_bytes = (char *)(op->holds + writes);
    return op;
}

void mw__op_free(mw_op *op) {
    for (size_t i = 0; i < op->request.write_count; i++)
        mw__hold_unref(op->holds[i]);
    mw__rows_release(&op->rows);
    free(op->removal);
    free(op);
}

void mw__op_start(mw_op *op, const mw_call *call, mw_op **ret_op) {
    mw_registry *registry = op->registry;
    mw__registry_ref(registry);
    registry->handles++;
    op->order = registry->next_op++;
    mw_time timeout = call->timeout ? call->timeout : registry->op_timeout;
    if (timeout != MW_FOREVER)
        (void)mw_timer_start(registry->host, &op->deadline, timeout);
    if (ret_op)
        *ret_op = op;
    if (op->removal)
        return;
    if (mw__registry_connected(registry) && mw__list_empty(&registry->waiting)) {
        send_op(op);
        return;
    }
    mw__list_append(&registry->waiting, &op->link);
    if (op->fail_fast && !mw__registry_connected(registry)) {
        mw_error why;
        (void)mw_fail(&why, MW_EDISCONNECTED, "not connected (%s); it was not sent",
                      mw_state_text(registry->session.state));
        mw__op_finish_later(op, MW_EDISCONNECTED, &why);
    }
}

void mw__ops_init(mw_registry *registry) {
    registry->report_finished.run = report_finished;
}

/* ---- Paths and the namespace */

int mw__path_check(const mw_registry *registry, mw_str path, mw_error *err) {
    int status = mw_path_validate(path, err);
    if (status == MW_OK && MW__PATH_ROOM(registry, path) > MW_PATH_MAX)
        return mw_fail(err, MW_EINVALID, "path: %zu bytes long with its namespace, at most %d are allowed",
                       MW__PATH_ROOM(registry, path), MW_PATH_MAX);
    return status;
}

int mw__entry_path_check(const mw_registry *registry, mw_str path, mw_error *err) {
    int status = mw__path_check(registry, path, err);
    if (status == MW_OK && path.len == 1)
        return mw_fail(err, MW_EINVALID,
                       "path: '/' has no entry of its own; only children, list and subscribe take it");
    return status;
}

mw_str mw__path_full(const mw_registry *registry, mw_str path, char **bytes) {
    mw_str full = {*bytes, registry->space_len};
    memcpy(*bytes, registry->space, registry->space_len);
    if (path.len > 1 || registry->space_len == 0) {
        memcpy(*bytes + full.len, path.data, path.len);
        full.len += path.len;
    }
    *bytes += full.len;
    return full;
}

mw_str mw__path_strip(const mw_registry *registry, mw_str path) {
    if (registry->space_len == 0)
        return path;
    if (path.len <= registry->space_len)
        return mw_str_of("/");
    return (mw_str){path.data + registry->space_len, path.len - registry->space_len};
}

/* Where a path may begin in a message: not in the middle of another one. */
static bool begins_path(const char *message, const char *at) {
    return at == message || strchr(" '\"`(<[:,=", at[-1]);
}

void mw__hide_space(const mw_registry *registry, mw_error *error) {
    if (registry->space_len == 0)
        return;
    for (char *at = error->message; (at = strstr(at, registry->space)); at++)
        if (at[registry->space_len] == '/' && begins_path(error->message, at))
            memmove(at, at + registry->space_len, strlen(at + registry->space_len) + 1);
}
