/* A registry txn as one batch that needs no decision in between.
 *
 * The revision is taken first and serialises the writers. TXN_MARK proves that the session is alive and writes the
 * txn's number into the session's marker; TXN_CHECK adds the verdict (the first step that is refused, and why);
 * everything after is guarded by it. What depends on other steps of the same txn is settled here, when the batch is
 * built.
 */
#include "worker.h"

#include <stdlib.h>

/* A parent that somebody deletes again and again is given up. */
#define PARENT_ATTEMPTS 8

typedef struct verdict {
    mw__sql_job *job;
    bool alive;
    int64_t code;
    int64_t revision;
} verdict;

/* Steps sorted by path, to find a step by its path. */
typedef struct by_path {
    mw_str path;
    size_t step;
} by_path;

static mw_str parent_of(mw_str path) {
    size_t end = path.len;
    while (end > 1 && path.data[end - 1] != '/')
        end--;
    return (mw_str){path.data, end > 1 ? end - 1 : 1};
}

static int compare(const void *a, const void *b) {
    return mw_str_compare(((const by_path *)a)->path, ((const by_path *)b)->path);
}

static bool is_write(const mw_write *write) {
    return write->kind >= MW_CREATE;
}

static bool is_upsert(const mw_write *write) {
    return is_write(write) && write->kind != MW_DELETE;
}

static size_t sort_writes(const mw__sql_job *job, by_path *sorted) {
    size_t count = 0;
    for (size_t i = 0; i < job->write_count; i++)
        if (is_write(&job->writes[i]))
            sorted[count++] = (by_path){job->writes[i].path, i};
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, compare);
    return count;
}

static const mw_write *find(const mw__sql_job *job, const by_path *sorted, size_t count, mw_str path) {
    by_path key = {path, 0};
    const by_path *found = count ? bsearch(&key, sorted, count, sizeof *sorted, compare) : NULL;
    return found ? &job->writes[found->step] : NULL;
}

/* ---- What one step asks of the state before the txn */

typedef struct demand {
    int64_t kind;
    int64_t version;
    bool parent; /* must be there */
    int64_t extra;
} demand;

/* A new entry below one that this txn writes. (Below one that it deletes: the deletion is refused.) */
static void judge_parent(const mw_write *parent, demand *to) {
    if (parent && parent->ephemeral)
        *to = (demand){.kind = MW__SQL_STEP_REFUSED, .version = MW__SQL_EPHEMERAL_PARENT};
    else
        to->parent = !parent || parent->kind == MW_SET || parent->kind == MW_DELETE;
}

/* How many children of a deleted entry this txn deletes too; a child that it writes instead refuses the deletion. */
static void judge_children(const mw__sql_job *job, const by_path *sorted, size_t count, mw_str path, demand *to) {
    for (size_t i = 0; i < count; i++) {
        const mw_write *child = &job->writes[sorted[i].step];
        if (!mw_str_equal(parent_of(child->path), path) || child->path.len == 1)
            continue;
        if (child->kind == MW_DELETE)
            to->extra++;
        else
            *to = (demand){.kind = MW__SQL_STEP_REFUSED, .version = MW__SQL_NOT_EMPTY};
        if (to->kind == MW__SQL_STEP_REFUSED)
            return;
    }
}

static demand judge(const mw__sql_job *job, const by_path *sorted, size_t count, const mw_write *write) {
    demand to = {.version = write->version};
    switch (write->kind) {
    case MW_CHECK:
        to.kind = write->version == MW_VERSION_ABSENT ? MW__SQL_STEP_ABSENT : MW__SQL_STEP_CHECK;
        break;
    case MW_CHECK_LOCK:
        to.kind = MW__SQL_STEP_LOCK;
        break;
    case MW_CREATE:
    case MW_PUT:
        to.kind = write->kind == MW_CREATE ? MW__SQL_STEP_CREATE : MW__SQL_STEP_PUT;
        mw_str parent = parent_of(write->path);
        if (parent.len > 1)
            judge_parent(find(job, sorted, count, parent), &to);
        break;
    case MW_SET:
        to.kind = MW__SQL_STEP_SET;
        break;
    case MW_DELETE:
        to.kind = MW__SQL_STEP_DELETE;
        if (count > 1)
            judge_children(job, sorted, count, write->path, &to);
        break;
    }
    return to;
}

/* ---- The batch */

static int64_t owner_of(const mw__sql_worker *worker, const mw_write *write) {
    return write->ephemeral ? (int64_t)worker->session : 0;
}

static void add_checks(mw__sql_worker *worker, mw__sql_batch *batch, const mw__sql_job *job, const mw_sql_value *txn) {
    by_path *sorted = mw__sql_take(&batch->arena, (job->write_count + 1) * sizeof *sorted);
    if (!sorted)
        return;
    size_t count = sort_writes(job, sorted);
    mw__sql_add(batch, MW__SQL_TXN_CHECK, 0, txn, 2);
    mw_sql_value *cell = mw__sql_add_rows(batch, job->write_count, 7);
    for (size_t i = 0; cell && i < job->write_count; i++) {
        const mw_write *write = &job->writes[i];
        demand to = judge(job, sorted, count, write);
        *cell++ = mw__sql_int((int64_t)i);
        *cell++ = mw__sql_int(to.kind);
        *cell++ = mw__sql_bytes(write->path);
        *cell++ = to.parent ? mw__sql_bytes(parent_of(write->path)) : mw__sql_null();
        *cell++ = mw__sql_int(to.version);
        *cell++ = mw__sql_int(owner_of(worker, write));
        *cell++ = mw__sql_int(to.extra);
    }
}

static void add_puts(mw__sql_worker *worker, mw__sql_batch *batch, const mw__sql_job *job, const mw_sql_value *txn,
                     size_t count) {
    mw__sql_add(batch, MW__SQL_TXN_PUT, 0, txn, 2);
    mw_sql_value *cell = mw__sql_add_rows(batch, count, 4);
    for (size_t i = 0; cell && i < job->write_count; i++) {
        const mw_write *write = &job->writes[i];
        if (!is_upsert(write))
            continue;
        *cell++ = mw__sql_bytes(write->path);
        *cell++ = mw__sql_bytes(parent_of(write->path));
        *cell++ = mw__sql_bytes(write->value);
        *cell++ = mw__sql_int(owner_of(worker, write));
    }
}

/* `removed`: the deletions, else the others. */
static void add_log(mw__sql_batch *batch, const mw__sql_job *job, const mw_sql_value *txn, size_t count, bool removed) {
    mw__sql_add(batch, removed ? MW__SQL_TXN_REMOVED : MW__SQL_TXN_CHANGED, 0, txn, 2);
    mw_sql_value *cell = mw__sql_add_rows(batch, count, 2);
    for (size_t i = 0; cell && i < job->write_count; i++) {
        if (!is_write(&job->writes[i]) || (job->writes[i].kind == MW_DELETE) != removed)
            continue;
        *cell++ = mw__sql_int((int64_t)i);
        *cell++ = mw__sql_bytes(job->writes[i].path);
    }
}

static void add_deletes(mw__sql_batch *batch, const mw__sql_job *job, const mw_sql_value *txn, size_t count) {
    mw__sql_add(batch, MW__SQL_TXN_DELETE, 0, txn, 2);
    mw_sql_value *cell = mw__sql_add_rows(batch, count, 1);
    for (size_t i = 0; cell && i < job->write_count; i++)
        if (job->writes[i].kind == MW_DELETE)
            *cell++ = mw__sql_bytes(job->writes[i].path);
}

static void build(mw__sql_worker *worker, mw__sql_batch *batch, const mw__sql_job *job) {
    const mw_sql_value txn[] = {mw__sql_int((int64_t)worker->session), mw__sql_int(job->txn),
                                mw__sql_int(worker->highest)};
    size_t upserts = 0, deletes = 0;
    for (size_t i = 0; i < job->write_count; i++) {
        upserts += is_upsert(&job->writes[i]);
        deletes += job->writes[i].kind == MW_DELETE;
    }
    mw__sql_batch_init(batch, MW_SQL_WRITE);
    batch->sql.announce = upserts + deletes > 0;
    mw__sql_add(batch, MW__SQL_BUMP, 0, NULL, 0);
    mw__sql_add(batch, MW__SQL_TXN_MARK, 0, txn, 3);
    add_checks(worker, batch, job, txn);
    mw__sql_add(batch, MW__SQL_TXN_VERDICT, MW_SQL_VERDICT, txn, 2);
    if (upserts) {
        add_puts(worker, batch, job, txn, upserts);
        add_log(batch, job, txn, upserts, false);
        mw__sql_add(batch, MW__SQL_TXN_RESULTS, 0, txn, 2);
    }
    if (deletes) {
        add_log(batch, job, txn, deletes, true);
        add_deletes(batch, job, txn, deletes);
    }
}

/* ---- What came of it */

static void on_result(mw__sql_job *job, const mw_sql_value *cells) {
    size_t step = (size_t)cells[0].integer;
    if (step >= job->write_count)
        return;
    job->written[step].version = cells[1].integer;
    job->written[step].created = cells[2].integer;
    job->written[step].owner = (mw_session_id)cells[3].integer;
}

static void on_row(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    verdict *to = arg;
    if (count == 2) {
        to->alive = true;
        to->code = cells[0].integer;
        to->revision = cells[1].integer;
    } else {
        on_result(to->job, cells);
    }
}

static void forget(void *arg) {
    verdict *to = arg;
    to->alive = false;
    to->code = 0;
}

static int refusal(mw__sql_job *job, int64_t code) {
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        [MW__SQL_NOT_FOUND] = {MW_ENOT_FOUND, "no such entry"},
        [MW__SQL_EXISTS] = {MW_EEXISTS, "it is already there"},
        [MW__SQL_CONFLICT] = {MW_ECONFLICT, "another version, owner or kind than was asked for"},
        [MW__SQL_NOT_EMPTY] = {MW_ENOT_EMPTY, "it has children"},
        [MW__SQL_EPHEMERAL_PARENT] = {MW_ECONFLICT, "an ephemeral entry has no children"},
        [MW__SQL_FENCED] = {MW_EFENCED, "the lock is no longer held with that token"},
    };
    size_t step = (size_t)(code / MW__SQL_VERDICT_BASE), why = (size_t)(code % MW__SQL_VERDICT_BASE);
    if (step >= job->write_count || why >= sizeof reasons / sizeof *reasons || !reasons[why].text)
        return mw_fail(&job->error, MW_EINTERNAL, "verdict %lld makes no sense", (long long)code);
    job->failed_write = step;
    return mw_fail(&job->error, reasons[why].status, "%.*s: %s", MW_STR_FMT(job->writes[step].path), reasons[why].text);
}

static int conclude(mw__sql_worker *worker, mw__sql_job *job, const verdict *to) {
    if (!to->alive) {
        job->txn = 0;
        return mw_fail(&job->error, MW_ESESSION_LOST, "the session is over");
    }
    if (to->code != 0)
        return refusal(job, to->code);
    job->revision = to->revision;
    for (size_t i = 0; i < job->write_count; i++)
        job->written[i].revision = to->revision;
    mw__sql_saw(worker, to->revision);
    return MW_OK;
}

/* ---- Missing parents */

static void add_parents_of(mw__sql_batch *batch, mw_str path) {
    for (size_t end = 1; end < path.len; end++) {
        if (path.data[end] != '/')
            continue;
        mw_str here = {path.data, end}, above = parent_of(here);
        const mw_sql_value params[] = {mw__sql_bytes(here), mw__sql_bytes(above), mw__sql_int(above.len == 1)};
        mw__sql_add(batch, MW__SQL_PARENT_CHANGE, 0, params, 3);
        mw__sql_add(batch, MW__SQL_PARENT, 0, params, 3);
    }
}

/* Persistent empty entries, in a txn of their own; they stay. Those that the txn itself creates come with it. */
static int make_parents(mw__sql_worker *worker, mw__sql_job *job, size_t first) {
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    batch.sql.announce = true;
    mw__sql_add(&batch, MW__SQL_BUMP, 0, NULL, 0);
    for (size_t i = first; i < job->write_count; i++) {
        const mw_write *write = &job->writes[i];
        bool repeated = i > first && mw_str_equal(parent_of(write->path), parent_of(job->writes[i - 1].path));
        bool made_here = false;
        for (size_t k = first; k < i && !made_here; k++)
            made_here = is_upsert(&job->writes[k]) && mw_str_equal(parent_of(write->path), job->writes[k].path);
        if ((write->kind == MW_CREATE || write->kind == MW_PUT) && !repeated && !made_here)
            add_parents_of(&batch, write->path);
    }
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    return status;
}

/* ---- The two entrances */

static int attempt(mw__sql_worker *worker, mw__sql_job *job, verdict *to) {
    mw__sql_batch batch;
    *to = (verdict){.job = job};
    job->txn = ++worker->txn;
    build(worker, &batch, job);
    mw__sql_collect(&batch, on_row, forget, to);
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    return status;
}

int mw__sql_write(mw__sql_worker *worker, mw__sql_job *job) {
    verdict to;
    int status = MW_OK;
    for (int i = 0; i < PARENT_ATTEMPTS; i++) {
        status = attempt(worker, job, &to);
        if (status != MW_OK || !to.alive || to.code < MW__SQL_PARENT_MISSING)
            return status == MW_OK ? conclude(worker, job, &to) : status;
        job->failed_write = (size_t)(to.code - MW__SQL_PARENT_MISSING);
        if (i + 1 < PARENT_ATTEMPTS)
            status = make_parents(worker, job, job->failed_write);
        if (status == MW_EUNKNOWN) /* the parents' fate does not matter: the txn itself was not sent */
            return mw_fail(&job->error, MW_EDISCONNECTED, "disconnected before it was sent");
        if (status != MW_OK)
            return status;
    }
    return mw_fail(&job->error, MW_ECONFLICT, "%.*s: its parent cannot be created",
                   MW_STR_FMT(job->writes[job->failed_write].path));
}

typedef struct marker {
    bool found;
    int64_t code;
    int64_t revision;
} marker;

static void on_marker(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    *(marker *)arg = (marker){true, cells[0].integer, cells[1].integer};
}

typedef struct recall {
    mw__sql_job *job;
    size_t count;
} recall;

static void on_past_result(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    recall *to = arg;
    on_result(to->job, cells);
    to->count++;
}

static void forget_past(void *arg) {
    ((recall *)arg)->count = 0;
}

/* `ret_complete`: the change log may have been bounded since. */
static int past_results(mw__sql_worker *worker, mw__sql_job *job, int64_t revision, bool *ret_complete) {
    recall to = {.job = job};
    size_t wanted = 0;
    for (size_t i = 0; i < job->write_count; i++)
        wanted += is_upsert(&job->writes[i]);
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    mw__sql_collect(&batch, on_past_result, forget_past, &to);
    MW__SQL_ADD(&batch, MW__SQL_TXN_PAST_RESULTS, 0, mw__sql_int(revision));
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    *ret_complete = to.count == wanted;
    return status;
}

/* `job->txn` is 0 when it is decided; otherwise the status is why it could not be. */
int mw__sql_decide(mw__sql_worker *worker, mw__sql_job *job) {
    const mw_sql_value txn[] = {mw__sql_int((int64_t)worker->session), mw__sql_int(job->txn),
                                mw__sql_int(worker->highest)};
    mw__sql_batch batch;
    marker found = {0};
    bool complete = true;
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    mw__sql_collect(&batch, on_marker, NULL, &found);
    mw__sql_add(&batch, MW__SQL_TXN_FENCE, 0, txn, 3);
    mw__sql_add(&batch, MW__SQL_TXN_MARKER, 0, txn, 3);
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    if (status != MW_OK)
        return status;
    if (found.found && found.code == 0)
        status = past_results(worker, job, found.revision, &complete);
    if (status == MW_EDISCONNECTED || status == MW_EUNKNOWN)
        return status; /* asked again on the next connection */
    job->txn = 0;
    if (!found.found)
        return mw_fail(&job->error, MW_ESESSION_LOST, "the session is over; whether it happened cannot be known");
    if (found.code == MW__SQL_VERDICT_FENCE || found.code >= MW__SQL_PARENT_MISSING)
        return mw_fail(&job->error, MW_EDISCONNECTED, "the connection was lost before it happened");
    verdict to = {.job = job, .alive = true, .code = found.code, .revision = found.revision};
    if (found.code == 0 && (status != MW_OK || !complete))
        return mw_fail(&job->error, MW_EUNKNOWN, "it happened, but its result is forgotten or cannot be read");
    return conclude(worker, job, &to);
}
