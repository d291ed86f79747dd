/* Ending sessions that nobody renews, and housekeeping. */
#include "worker.h"

#define REAP_AT_ONCE 16
#define IDLE_AT_ONCE 64
#define COMPACT_STEP 4096
/* Look for idle locks once in so many heartbeats. */
#define IDLE_TICKS 32

typedef struct expired_session {
    int64_t id;
    int64_t expires;
    int64_t timeout;
    bool over;
} expired_session;

typedef struct scan {
    expired_session found[2 * REAP_AT_ONCE];
    size_t count;
    int64_t clock;
    int64_t next; /* milliseconds until the next session would be over; -1 = there is none */
} scan;

static void forget(void *arg) {
    scan *to = arg;
    to->count = 0;
    to->next = -1;
}

static void add_found(scan *to, const mw_sql_value *cells) {
    if (to->count < sizeof to->found / sizeof *to->found)
        to->found[to->count++] =
            (expired_session){cells[0].integer, cells[1].integer, cells[2].integer, cells[3].integer != 0};
}

static void set_next(scan *to, const mw_sql_value *earliest, int64_t clock) {
    to->next = earliest->type == MW_SQL_INT ? earliest->integer - clock : -1;
}

/* SESSION_NEXT; or SESSION_EXPIRED and SESSION_BOOT; or SESSION_LOOK, which tells the clock even when none is over. */
static void on_session(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    scan *to = arg;
    if (count == 2) {
        set_next(to, &cells[0], cells[1].integer);
        return;
    }
    if (count == 6) {
        to->clock = cells[4].integer;
        set_next(to, &cells[5], to->clock);
    }
    if (cells[0].type == MW_SQL_INT)
        add_found(to, cells);
}

int mw__sql_end_session_row(mw__sql_worker *worker, mw_session_id id, const mw_sql_value *proof, bool by_secret,
                            mw_error *err) {
    const mw_sql_value params[] = {mw__sql_int((int64_t)id), *proof};
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    batch.sql.announce = true;
    mw__sql_add(&batch, MW__SQL_BUMP, 0, NULL, 0);
    mw__sql_add(&batch, by_secret ? MW__SQL_END_OWN : MW__SQL_END_EXPIRED, 0, params, 2);
    mw__sql_add(&batch, MW__SQL_END_VERDICT, MW_SQL_VERDICT, params, 1);
    static const mw__sql_statement_id rest[] = {
        MW__SQL_END_CHANGES,      MW__SQL_END_ENTRIES,  MW__SQL_END_WAIT_COUNT, MW__SQL_END_WAIT,
        MW__SQL_END_HOLD_CHANGES, MW__SQL_END_HANDOVER, MW__SQL_END_TAKEN,      MW__SQL_END_SESSION,
    };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        mw__sql_add(&batch, rest[i], 0, params, 1);
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    return status;
}

/* What the server's clock says. A server that stood still for so long that a session may have missed its renewals was
 * an outage, even if no connection broke. */
static void hear(mw__sql_worker *worker, int64_t server_ms) {
    mw_time now = mw__sql_now(), silence = now - worker->clock_heard;
    int64_t offset = server_ms - (int64_t)(now / MW_MS), drift = offset - worker->clock_offset;
    int64_t tolerance = (int64_t)(worker->timeout / MW_MS) / 6;
    if (worker->steady_since == 0 || silence > worker->timeout / 2 || drift > tolerance || drift < -tolerance) {
        worker->steady_since = now;
        worker->clock_offset = offset;
    }
    worker->clock_heard = now;
    worker->hearings[worker->hearing_count++ % MW__SQL_HEARINGS] = (mw__sql_hearing){now, offset};
}

/* When the clock last took a step that matters to a session of `timeout_ms`: what our own, longer one bears may be all
 * that it has. Back to before the last `timeout_ms`, or as far as we remember. */
static mw_time last_step(const mw__sql_worker *worker, int64_t timeout_ms) {
    unsigned kept = worker->hearing_count < MW__SQL_HEARINGS ? worker->hearing_count : MW__SQL_HEARINGS;
    const mw__sql_hearing *last = &worker->hearings[(worker->hearing_count - 1) % MW__SQL_HEARINGS], *later = last;
    for (unsigned i = 1; i < kept && last->at - later->at < (mw_time)timeout_ms * MW_MS; i++) {
        const mw__sql_hearing *earlier = &worker->hearings[(worker->hearing_count - 1 - i) % MW__SQL_HEARINGS];
        int64_t drift = last->offset - earlier->offset;
        if (drift > timeout_ms / 6 || drift < -timeout_ms / 6)
            return later->at;
        later = earlier;
    }
    return 0;
}

/* Server time must have advanced as ours did for a session's timeout: a stepped clock or an outage expires nobody
 * (DESIGN, section 3). Milliseconds until that is so, 0 = it is. */
static int64_t patience_left(const mw__sql_worker *worker, int64_t timeout_ms) {
    if (worker->driver->own_clock)
        return 0;
    mw_time since = last_step(worker, timeout_ms);
    if (since < worker->steady_since)
        since = worker->steady_since;
    int64_t steady_ms = (int64_t)((worker->clock_heard - since) / MW_MS);
    return steady_ms >= timeout_ms ? 0 : timeout_ms - steady_ms;
}

static int look(mw__sql_worker *worker, scan *to, mw_error *err) {
    mw__sql_batch batch;
    bool own_clock = worker->driver->own_clock;
    forget(to);
    mw__sql_batch_init(&batch, own_clock ? MW_SQL_READ : MW_SQL_ONE);
    mw__sql_collect(&batch, on_session, forget, to);
    if (own_clock) {
        mw__sql_add(&batch, MW__SQL_SESSION_BOOT, 0, NULL, 0);
        mw__sql_add(&batch, MW__SQL_SESSION_EXPIRED, 0, NULL, 0);
        mw__sql_add(&batch, MW__SQL_SESSION_NEXT, 0, NULL, 0);
    } else {
        mw__sql_add(&batch, MW__SQL_SESSION_LOOK, 0, NULL, 0);
    }
    int status = mw__sql_run(worker, &batch, err);
    atomic_fetch_add(&worker->channel->counted.polls, 1);
    mw__sql_batch_free(&batch);
    return status;
}

/* When to look again before the next heartbeat: as the first session runs out (`next` milliseconds from now, -1 = there
 * is none), not all processes at the same moment. Where a renewal tells, it plans anew, and a look comes only when none
 * does. */
static void plan_next(mw__sql_worker *worker, int64_t next) {
    mw_time now = mw__sql_now(), beat = worker->heartbeat;
    worker->reap_at = now + (worker->driver->dialect.beat ? 2 * beat : beat);
    if (next >= 0 && (mw_time)next * MW_MS < beat)
        worker->reap_at = now + (mw_time)next * MW_MS + (1 + mw__sql_random(worker) % 8) * MW_MS;
}

void mw__sql_heard(mw__sql_worker *worker, int64_t told) {
    hear(worker, told >> MW_SQL_BEAT_BITS);
    plan_next(worker, told & ((INT64_C(1) << MW_SQL_BEAT_BITS) - 1));
}

int mw__sql_reap(mw__sql_worker *worker, mw_error *err) {
    scan to = {0};
    plan_next(worker, -1);
    int status = look(worker, &to, err);
    int64_t soonest = 0;
    if (status == MW_OK && !worker->driver->own_clock)
        hear(worker, to.clock);
    for (size_t i = 0; status == MW_OK && i < to.count; i++) {
        const expired_session *session = &to.found[i];
        int64_t left = session->over ? 0 : patience_left(worker, session->timeout);
        if (left > 0) {
            soonest = soonest == 0 || left < soonest ? left : soonest;
            continue;
        }
        mw_sql_value proof = mw__sql_int(session->expires);
        status = mw__sql_end_session_row(worker, (mw_session_id)session->id, &proof, false, err);
        if (status == MW_OK)
            worker->poll_wanted = true;
    }
    if (to.count > 0) /* who comes after those is not known yet */
        to.next = soonest;
    if (status == MW_OK)
        plan_next(worker, to.next);
    return status;
}

/* ---- Housekeeping */

static void on_revision(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    *(int64_t *)arg = cells[0].integer;
}

/* The revision with which COMPACT_STEP rows of the change log have gone: all writers wait while they go. */
static int bound_target(mw__sql_worker *worker, int64_t *target, mw_error *err) {
    int64_t revision = *target;
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    mw__sql_collect(&batch, on_revision, NULL, &revision);
    MW__SQL_ADD(&batch, MW__SQL_COMPACT_STEP, 0, mw__sql_int(COMPACT_STEP - 1));
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    if (revision < *target)
        *target = revision;
    return status;
}

/* A part of what is too old in the change log; the floor rises first. */
static int compact(mw__sql_worker *worker, mw_error *err) {
    mw__sql_meta meta = {0};
    int status = mw__sql_read_meta(worker, &meta, err);
    if (status != MW_OK)
        return status;
    worker->floor = meta.floor;
    int64_t target = meta.revision - worker->retention;
    if (target <= meta.floor)
        return MW_OK;
    status = bound_target(worker, &target, err);
    if (status != MW_OK)
        return status;
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    MW__SQL_ADD(&batch, MW__SQL_COMPACT_FLOOR, 0, mw__sql_int(target));
    MW__SQL_ADD(&batch, MW__SQL_COMPACT, 0, mw__sql_int(target));
    status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    if (status == MW_OK && target > meta.floor) /* a registry that went backwards has left rows below the floor */
        worker->floor = target;
    return status;
}

typedef struct idle_locks {
    mw__sql_job *job;
    size_t count;
    int64_t best;
} idle_locks;

static void on_idle(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    idle_locks *to = arg;
    mw_entry entry = {.path = cells[0].bytes};
    if (!mw__sql_job_row(to->job, &entry))
        return;
    to->count++;
    if (cells[1].integer > to->best)
        to->best = cells[1].integer;
}

static void forget_idle(void *arg) {
    idle_locks *to = arg;
    mw__sql_job_clear_rows(to->job);
    to->count = 0;
}

static int drop_locks(mw__sql_worker *worker, const idle_locks *idle, mw_error *err) {
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    MW__SQL_ADD(&batch, MW__SQL_LOCK_FLOOR, 0, mw__sql_int(idle->best));
    mw__sql_add(&batch, MW__SQL_LOCK_DROP, 0, NULL, 0);
    mw_sql_value *cell = mw__sql_add_rows(&batch, idle->count, 1);
    for (mw__sql_row *row = idle->job->rows; cell && row; row = row->next)
        *cell++ = mw__sql_bytes(row->entry.path);
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    return status;
}

static int drop_idle_locks(mw__sql_worker *worker, mw_error *err) {
    idle_locks idle = {.job = mw__sql_job_new(MW__SQL_REQUEST)};
    if (!idle.job)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory looking for idle locks");
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    mw__sql_collect(&batch, on_idle, forget_idle, &idle);
    MW__SQL_ADD(&batch, MW__SQL_LOCK_IDLE, 0, mw__sql_int(worker->lock_idle_ms));
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    if (status == MW_OK && idle.count)
        status = drop_locks(worker, &idle, err);
    mw__sql_job_free(idle.job);
    return status;
}

int mw__sql_tidy(mw__sql_worker *worker, mw_error *err) {
    int status = MW_OK;
    if (worker->highest - worker->floor > worker->retention + worker->retention / 4)
        status = compact(worker, err);
    bool soon = (mw_time)worker->lock_idle_ms * MW_MS < IDLE_TICKS * worker->heartbeat;
    if (status == MW_OK && (worker->ticks++ % IDLE_TICKS == IDLE_TICKS - 1 || soon))
        status = drop_idle_locks(worker, err);
    return status;
}
