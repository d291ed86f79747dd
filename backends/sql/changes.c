/* Looking for what changed: one statement reads the revision and a range of the change log beside the present entries.
 */
#include "worker.h"

#include <stdlib.h>

typedef struct gathering {
    mw__sql_meta meta;
    mw__sql_job *job;
    int64_t last; /* revision */
    bool failed, disordered;
    bool over; /* our session had ended when a lock changed hands, perhaps one of ours */
} gathering;

static void forget(void *arg) {
    gathering *to = arg;
    mw__sql_job_clear_rows(to->job);
    to->meta = (mw__sql_meta){0};
    to->last = 0;
    to->disordered = to->over = false;
}

/* The cells of CHANGES: the registry's row, the change (NULL = there is none), its entry, its lock, our session. */
enum { CHANGE = 3, ENTRY = 5, LOCK = 13, ENDED = 15 };

/* A change whose entry has changed again (or went) since is told by its later row. */
static void on_change(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    gathering *to = arg;
    mw__sql_meta_row(&to->meta, cells, count);
    int kind = (int)cells[CHANGE + 1].integer;
    bool none = cells[CHANGE].type == MW_SQL_NULL, absent = cells[ENTRY + 2].type == MW_SQL_NULL;
    if (none || (kind == MW__SQL_CHANGED && absent))
        return;
    to->over = to->over || (kind == MW__SQL_GRANTED && (cells[ENDED].type == MW_SQL_NULL || cells[ENDED].integer != 0));
    mw_entry entry;
    mw__sql_entry_cells(&entry, cells + ENTRY);
    mw__sql_row *row = mw__sql_job_row(to->job, &entry);
    if (!row) {
        to->failed = true;
        return;
    }
    row->change = kind;
    row->absent = absent;
    row->revision = cells[CHANGE].integer;
    row->handle = cells[LOCK].integer;
    row->token = cells[LOCK + 1].integer;
    to->disordered = to->disordered || row->revision < to->last;
    to->last = row->revision;
}

/* A server reads the change log along its primary key, and has not promised to. */
static void put_in_order(mw__sql_job *job) {
    mw__sql_row *rest = job->rows;
    mw__sql_job_clear_rows(job);
    for (mw__sql_row *row; (row = rest);) {
        mw__sql_row **at = &job->rows;
        while (*at && (*at)->revision <= row->revision)
            at = &(*at)->next;
        rest = row->next;
        row->next = *at;
        *at = row;
    }
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
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    mw__sql_collect(&batch, on_change, forget, to);
    MW__SQL_ADD(&batch, MW__SQL_CHANGES, 0, mw__sql_int(worker->seen), mw__sql_int((int64_t)worker->session));
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
    /* Who lost a lock with its session hears that, and not that the lock alone was taken away. */
    if (status == MW_OK && to.over && worker->session)
        status = mw_fail(err, MW_ESESSION_LOST, "the server ended the session");
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
    if (to.disordered)
        put_in_order(to.job);
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
    bool changed = true;
    int status = MW_OK;
    if (!certain) {
        atomic_fetch_add(&worker->channel->counted.polls, 1);
        if (worker->driver->changed)
            status = worker->driver->changed(worker->db, &changed, err);
    }
    if (status != MW_OK || !changed)
        return status == MW_EBUSY ? MW_OK : status;
    return fetch(worker, err);
}
