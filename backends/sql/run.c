/* Running batches on the connection thread: again on conflicts, and counted. */
#include "worker.h"

#include <time.h>

mw_time mw__sql_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (mw_time)now.tv_sec * MW_SECOND + (mw_time)now.tv_nsec;
}

/* splitmix64, seeded by the host: the host's own generator belongs to its thread. */
uint64_t mw__sql_random(mw__sql_worker *worker) {
    uint64_t z = worker->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void mw__sql_saw(mw__sql_worker *worker, int64_t revision) {
    if (revision > worker->highest)
        worker->highest = revision;
}

void mw__sql_pause(mw__sql_worker *worker, unsigned attempt) {
    uint64_t cap = attempt < 6 ? UINT64_C(1) << attempt : 64;
    struct timespec pause = {0, (long)(1 + mw__sql_random(worker) % (cap * 1000)) * 1000};
    (void)nanosleep(&pause, NULL);
}

static void count(mw__sql_worker *worker, const mw__sql_batch *batch) {
    atomic_fetch_add(&worker->channel->counted.round_trips, 1);
    atomic_fetch_add(&worker->channel->counted.statements, batch->sql.step_count);
    if (batch->sql.changed)
        atomic_fetch_add(&worker->channel->counted.write_transactions, 1);
}

int mw__sql_run(mw__sql_worker *worker, mw__sql_batch *batch, mw_error *err) {
    if (!mw__sql_batch_ready(batch))
        return mw_fail(err, MW_ENO_MEMORY, "out of memory building a transaction");
    mw_time give_up = mw__sql_now() + worker->timeout / 3;
    for (unsigned attempt = 0;; attempt++) {
        batch->sql.stopped = batch->sql.changed = false;
        if (attempt && batch->again)
            batch->again(batch->sql.arg);
        int status = worker->driver->run(worker->db, &batch->sql, err);
        count(worker, batch);
        if (status != MW_EBUSY)
            return status;
        if (mw__sql_now() > give_up || atomic_load(&worker->channel->hurry)) {
            if (err)
                err->code = MW_EDISCONNECTED;
            return MW_EDISCONNECTED;
        }
        mw__sql_pause(worker, attempt);
    }
}
