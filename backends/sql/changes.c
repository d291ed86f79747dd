/* Looking for what changed: the revision first, then a range of the change log beside the present entries. */
#include "worker.h"

#include <stdlib.h>

typedef struct gathering {
    mw__sql_meta meta;
    mw__sql_job *job;
    bool failed;
} gathering;

static void forget(void *arg) {
    gathering *to = arg;
    mw__sql_job_clear_rows(to->job);
    to->meta = (mw__sql_meta){0};
}

/* A change whose entry has changed again (or went) since is told by its later row. */
static void on_change(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    gathering *to = arg;
    if (step == 0) {
        mw__sql_meta_row(&to->meta, cells, count);
        return;
    }
    int kind = (int)cells[9].integer;
    bool absent = cells[2].type == MW_SQL_NULL;
    if (kind == MW__SQL_CHANGED && absent)
        return;
    mw_entry entry;
    mw__sql_entry_cells(&entry, cells);
    mw__sql_row *row = mw__sql_job_row(to->job, &entry);
    if (!row) {
        to->failed = true;
        return;
    }
    row->change = kind;
    row->absent = absent;
    row->revision = cells[8].integer;
    row->handle = cells[10].integer;
    row->token = cells[11].integer;
}

static void tell(mw__sql_worker *worker, mw__sql_job *job) {
    if (!job->rows) {
        mw__sql_job_free(job);
        return;
    }
    (void)pthread_mutex_lock(&worker->channel->mutex);
    worker->channel->changes_out = true;
    (void)pthread_mutex_unlock(&worker->channel->mutex);
    mw__sql_reply(worker->channel, job);
}

void mw__sql_resync(mw__sql_worker *worker, int64_t revision) {
    mw__sql_job *job = mw__sql_job_new(MW__SQL_RESYNC);
    if (!job) {
        worker->resync_wanted = worker->poll_wanted = true; /* tried again */
        return;
    }
    worker->resync_wanted = false;
    worker->seen = revision;
    mw__sql_reply(worker->channel, job);
}

static int gather(mw__sql_worker *worker, gathering *to, mw_error *err) {
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_READ);
    mw__sql_collect(&batch, on_change, forget, to);
    mw__sql_add(&batch, MW__SQL_META, 0, NULL, 0);
    MW__SQL_ADD(&batch, MW__SQL_CHANGES, 0, mw__sql_int(worker->seen));
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    return status;
}

/* Is this still the registry that we know? */
static int check_meta(const mw__sql_worker *worker, const mw__sql_meta *meta, mw_error *err) {
    if (!meta->present)
        return mw_fail(err, MW_EDISCONNECTED, "%s: the registry was emptied", worker->driver->server(worker->db));
    if (meta->revision < worker->highest || memcmp(meta->identity, worker->identity, MW__SQL_IDENTITY_SIZE) != 0)
        return mw_fail(err, MW_EDISCONNECTED, "%s: the registry was replaced or went backwards",
                       worker->driver->server(worker->db));
    return MW_OK;
}

static int fetch(mw__sql_worker *worker, mw_error *err) {
    gathering to = {.job = mw__sql_job_new(MW__SQL_CHANGED_ROWS)};
    if (!to.job)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory reading changes");
    int status = gather(worker, &to, err);
    if (status == MW_OK)
        status = check_meta(worker, &to.meta, err);
    if (status != MW_OK || to.failed) {
        mw__sql_job_free(to.job);
        return status != MW_OK ? status : mw_fail(err, MW_ENO_MEMORY, "out of memory reading changes");
    }
    worker->floor = to.meta.floor;
    mw__sql_saw(worker, to.meta.revision);
    if (to.meta.floor > worker->seen || worker->resync_wanted) {
        mw__sql_job_free(to.job);
        mw__sql_resync(worker, to.meta.revision);
        return MW_OK;
    }
    worker->seen = to.meta.revision;
    tell(worker, to.job);
    return MW_OK;
}

/* One batch of changes at a time is on its way to the host's thread: a loop that stalls does not pile them up. */
static bool must_wait(mw__sql_worker *worker) {
    (void)pthread_mutex_lock(&worker->channel->mutex);
    bool wait = worker->channel->changes_out;
    worker->channel->kick_after = wait;
    (void)pthread_mutex_unlock(&worker->channel->mutex);
    return wait;
}

int mw__sql_poll(mw__sql_worker *worker, bool certain, mw_error *err) {
    worker->poll_wanted = false;
    if (atomic_load(&worker->channel->interest) == 0)
        return MW_OK;
    if (must_wait(worker)) {
        worker->poll_wanted = true;
        return MW_OK;
    }
    if (certain)
        return fetch(worker, err);
    atomic_fetch_add(&worker->channel->counted.polls, 1);
    bool changed = true;
    int status = worker->driver->changed ? worker->driver->changed(worker->db, &changed, err) : MW_OK;
    if (status != MW_OK || !changed)
        return status == MW_EBUSY ? MW_OK : status;
    mw__sql_meta meta = {0};
    status = mw__sql_read_meta(worker, &meta, err);
    if (status == MW_OK)
        status = check_meta(worker, &meta, err);
    if (status == MW_OK && meta.revision != worker->seen)
        status = fetch(worker, err);
    return status;
}
