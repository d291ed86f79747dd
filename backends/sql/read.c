/* Reads, and the snapshots of feeds. */
#include "worker.h"

#include <stdlib.h>

void mw__sql_entry_cells(mw_entry *entry, const mw_sql_value *cells) {
    *entry = (mw_entry){
        .path = cells[0].bytes,
        .value = cells[1].bytes,
        .version = cells[2].integer,
        .revision = cells[3].integer,
        .created = cells[4].integer,
        .owner = (mw_session_id)cells[5].integer,
        .ctime = cells[6].integer,
        .mtime = cells[7].integer,
    };
}

void mw__sql_meta_row(mw__sql_meta *meta, const mw_sql_value *cells, size_t count) {
    if (count < 3 || cells[2].bytes.len != MW__SQL_IDENTITY_SIZE)
        return;
    meta->present = true;
    meta->revision = cells[0].integer;
    meta->floor = cells[1].integer;
    memcpy(meta->identity, cells[2].bytes.data, MW__SQL_IDENTITY_SIZE);
}

static void on_meta(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    mw__sql_meta_row(arg, cells, count);
}

int mw__sql_read_meta(mw__sql_worker *worker, mw__sql_meta *ret_meta, mw_error *err) {
    mw__sql_batch batch;
    mw__sql_meta meta = {0};
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    mw__sql_add(&batch, MW__SQL_META, 0, NULL, 0);
    mw__sql_collect(&batch, on_meta, NULL, &meta);
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    if (status == MW_OK)
        *ret_meta = meta;
    return status;
}

/* ---- Requests */

typedef struct reading {
    mw__sql_job *job;
    bool found;
    mw__sql_meta meta;
} reading;

static void forget(void *arg) {
    reading *to = arg;
    mw__sql_job_clear_rows(to->job);
    to->found = false;
    to->meta = (mw__sql_meta){0};
}

static void on_entry(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    reading *to = arg;
    mw_entry entry;
    mw__sql_entry_cells(&entry, cells);
    to->found = true;
    (void)mw__sql_job_row(to->job, &entry);
}

/* Step 0 (unless it is the root's children) says whether the parent exists. */
static void on_name(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    reading *to = arg;
    mw_entry entry = {.path = cells[0].bytes};
    to->found = true;
    if (cells[0].type == MW_SQL_BYTES)
        (void)mw__sql_job_row(to->job, &entry);
}

static void on_member(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    reading *to = arg;
    mw_entry entry = {.path = cells[0].bytes,
                      .owner = (mw_session_id)cells[2].integer,
                      .revision = cells[3].integer,
                      .value = cells[4].bytes,
                      .ctime = cells[5].integer};
    (void)mw__sql_job_row(to->job, &entry);
}

static void on_session(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    reading *to = arg;
    mw_entry entry = {.owner = (mw_session_id)cells[0].integer,
                      .value = cells[1].bytes,
                      .ctime = cells[2].integer,
                      .mtime = cells[3].integer};
    (void)mw__sql_job_row(to->job, &entry);
}

/* The bounds of everything strictly below `path`: "/a/" and "/a0", since '0' follows '/'. */
static void below(mw__sql_arena *arena, mw_str path, mw_str *ret_from, mw_str *ret_to) {
    size_t len = path.len == 1 ? 0 : path.len;
    char *bytes = mw__sql_take(arena, 2 * (len + 1));
    *ret_from = *ret_to = (mw_str){0};
    if (!bytes)
        return;
    memcpy(bytes, path.data, len);
    memcpy(bytes + len + 1, path.data, len);
    bytes[len] = '/';
    bytes[2 * len + 1] = '/' + 1;
    *ret_from = (mw_str){bytes, len + 1};
    *ret_to = (mw_str){bytes + len + 1, len + 1};
}

static void add_list(mw__sql_batch *batch, mw_str path) {
    mw_str from, to;
    below(&batch->arena, path, &from, &to);
    MW__SQL_ADD(batch, MW__SQL_READ_LIST, 0, mw__sql_bytes(from), mw__sql_bytes(to));
}

static void add_queues(mw__sql_batch *batch, mw_str path, bool subtree) {
    mw_str from = path, to = path;
    if (subtree)
        below(&batch->arena, path, &from, &to);
    MW__SQL_ADD(batch, MW__SQL_READ_QUEUES, 0, mw__sql_bytes(path), mw__sql_bytes(from), mw__sql_bytes(to));
}

/* Whether an empty answer means that the entry is absent. */
static bool build(mw__sql_batch *batch, const mw__sql_job *job, reading *to) {
    mw_sql_value path = mw__sql_bytes(job->path);
    mw__sql_batch_init(batch, MW_SQL_ONE);
    mw__sql_collect(batch, on_entry, forget, to);
    switch (job->op) {
    case MW_READ_GET:
        mw__sql_add(batch, MW__SQL_READ_GET, 0, &path, 1);
        return true;
    case MW_READ_STAT:
        mw__sql_add(batch, MW__SQL_READ_STAT, 0, &path, 1);
        return true;
    case MW_READ_CHILDREN:
        batch->sql.row = on_name;
        if (job->path.len > 1) {
            batch->sql.kind = MW_SQL_READ;
            mw__sql_add(batch, MW__SQL_READ_EXISTS, 0, &path, 1);
        }
        mw__sql_add(batch, MW__SQL_READ_NAMES, 0, &path, 1);
        return job->path.len > 1;
    case MW_READ_LIST:
        add_list(batch, job->path);
        return false;
    case MW_READ_QUEUE:
    case MW_READ_QUEUES:
        batch->sql.row = on_member;
        add_queues(batch, job->path, job->op == MW_READ_QUEUES);
        return false;
    default:
        batch->sql.row = on_session;
        mw__sql_add(batch, MW__SQL_SESSION_LIST, 0, NULL, 0);
        return false;
    }
}

int mw__sql_read(mw__sql_worker *worker, mw__sql_job *job) {
    mw__sql_batch batch;
    reading to = {.job = job};
    bool must_exist = build(&batch, job, &to);
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    if (status == MW_OK && job->arena.failed)
        return mw_fail(&job->error, MW_ENO_MEMORY, "out of memory reading %.*s", MW_STR_FMT(job->path));
    if (status == MW_OK && must_exist && !to.found)
        return mw_fail(&job->error, MW_ENOT_FOUND, "%.*s: no such entry", MW_STR_FMT(job->path));
    return status;
}

/* ---- Snapshots */

static void on_snapshot(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    reading *to = arg;
    if (step == 0)
        mw__sql_meta_row(&to->meta, cells, count);
    else
        on_entry(arg, step, cells, count);
}

int mw__sql_snapshot(mw__sql_worker *worker, mw__sql_job *job) {
    mw__sql_batch batch;
    reading to = {.job = job};
    mw_sql_value path = mw__sql_bytes(job->path);
    mw__sql_batch_init(&batch, MW_SQL_READ);
    mw__sql_collect(&batch, on_snapshot, forget, &to);
    mw__sql_add(&batch, MW__SQL_META, 0, NULL, 0);
    if (job->depth == MW_DEPTH_SUBTREE)
        add_list(&batch, job->path);
    else
        mw__sql_add(&batch, job->depth == MW_DEPTH_SELF ? MW__SQL_READ_GET : MW__SQL_READ_CHILDREN, 0, &path, 1);
    int status = mw__sql_run(worker, &batch, &job->error);
    mw__sql_batch_free(&batch);
    if (status != MW_OK)
        return status;
    if (job->arena.failed)
        return mw_fail(&job->error, MW_ENO_MEMORY, "out of memory reading %.*s", MW_STR_FMT(job->path));
    job->revision = to.meta.revision;
    mw__sql_saw(worker, to.meta.revision);
    if (job->alone)
        worker->seen = to.meta.revision;
    return MW_OK;
}
