#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

mw__sql_job *mw__sql_job_new(mw__sql_job_kind kind) {
    mw__sql_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->kind = kind;
    job->tail = &job->rows;
    return job;
}

void mw__sql_job_free(mw__sql_job *job) {
    if (!job)
        return;
    mw__sql_arena_free(&job->arena);
    free(job);
}

mw__sql_row *mw__sql_job_row(mw__sql_job *job, const mw_entry *entry) {
    mw__sql_row *row = mw__sql_take(&job->arena, sizeof *row);
    if (!row)
        return NULL;
    *row = (mw__sql_row){.entry = *entry};
    row->entry.path = mw__sql_copy(&job->arena, entry->path);
    row->entry.value = mw__sql_copy(&job->arena, entry->value);
    *job->tail = row;
    job->tail = &row->next;
    return row;
}

void mw__sql_job_clear_rows(mw__sql_job *job) {
    job->rows = NULL;
    job->tail = &job->rows;
}

void mw__sql_list_append(mw__sql_list *list, mw__sql_job *job) {
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
}

void mw__sql_list_prepend(mw__sql_list *list, mw__sql_job *job) {
    job->next = list->first;
    list->first = job;
    if (!list->last)
        list->last = job;
}

mw__sql_job *mw__sql_list_shift(mw__sql_list *list) {
    mw__sql_job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = NULL;
    job->next = NULL;
    return job;
}

bool mw__sql_list_remove(mw__sql_list *list, mw__sql_job *job) {
    mw__sql_job *before = NULL;
    for (mw__sql_job *at = list->first; at; before = at, at = at->next) {
        if (at != job)
            continue;
        if (before)
            before->next = job->next;
        else
            list->first = job->next;
        if (list->last == job)
            list->last = before;
        return true;
    }
    return false;
}

int mw__sql_channel_init(mw__sql_channel *channel, mw_host *host, void (*deliver)(mw_defer *), mw_error *err) {
    channel->host = host;
    channel->deliver.run = deliver;
    channel->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (channel->kick_fd < 0)
        return mw_fail(err, MW_EIO, "no event descriptor for the connection thread: %s", strerror(errno));
    (void)pthread_mutex_init(&channel->mutex, NULL);
    return MW_OK;
}

static void free_all(mw__sql_list *list) {
    for (mw__sql_job *job; (job = mw__sql_list_shift(list));)
        mw__sql_job_free(job);
}

void mw__sql_channel_release(mw__sql_channel *channel) {
    free_all(&channel->in);
    free_all(&channel->out);
    (void)close(channel->kick_fd);
    (void)pthread_mutex_destroy(&channel->mutex);
}

void mw__sql_kick(mw__sql_channel *channel) {
    uint64_t one = 1;
    ssize_t written = write(channel->kick_fd, &one, sizeof one);
    (void)written; /* full = it is awake already */
}

/* The connection thread sleeps only when it has found nothing: whoever comes second need not wake it. */
void mw__sql_send(mw__sql_channel *channel, mw__sql_job *job, bool urgent) {
    (void)pthread_mutex_lock(&channel->mutex);
    bool first = !channel->in.first;
    job->queued = true;
    if (urgent)
        mw__sql_list_prepend(&channel->in, job);
    else
        mw__sql_list_append(&channel->in, job);
    (void)pthread_mutex_unlock(&channel->mutex);
    if (first)
        mw__sql_kick(channel);
}

static mw__sql_job *shift(mw__sql_channel *channel) {
    mw__sql_job *job = mw__sql_list_shift(&channel->in);
    if (job)
        job->queued = false;
    return job;
}

mw__sql_job *mw__sql_receive(mw__sql_channel *channel) {
    (void)pthread_mutex_lock(&channel->mutex);
    mw__sql_job *job = shift(channel);
    (void)pthread_mutex_unlock(&channel->mutex);
    return job;
}

mw__sql_job *mw__sql_receive_attempt(mw__sql_channel *channel, unsigned generation) {
    (void)pthread_mutex_lock(&channel->mutex);
    const mw__sql_job *next = channel->in.first;
    bool fits = next && next->kind == MW__SQL_LOCK && next->generation == generation;
    mw__sql_job *job = fits ? shift(channel) : NULL;
    (void)pthread_mutex_unlock(&channel->mutex);
    return job;
}

bool mw__sql_take_back(mw__sql_channel *channel, mw__sql_job *job) {
    (void)pthread_mutex_lock(&channel->mutex);
    bool queued = job->queued && mw__sql_list_remove(&channel->in, job);
    (void)pthread_mutex_unlock(&channel->mutex);
    return queued;
}

void mw__sql_reply(mw__sql_channel *channel, mw__sql_job *job) {
    (void)pthread_mutex_lock(&channel->mutex);
    mw__sql_list_append(&channel->out, job);
    bool post = !channel->posted;
    channel->posted = true;
    (void)pthread_mutex_unlock(&channel->mutex);
    if (post)
        mw_host_post(channel->host, &channel->deliver);
}

mw__sql_list mw__sql_replies(mw__sql_channel *channel) {
    (void)pthread_mutex_lock(&channel->mutex);
    mw__sql_list all = channel->out;
    channel->out = (mw__sql_list){0};
    channel->posted = false;
    (void)pthread_mutex_unlock(&channel->mutex);
    return all;
}
