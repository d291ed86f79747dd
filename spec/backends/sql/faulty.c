#include "faulty.h"

#include "sqlite/db.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The wrapped driver's connection needs no state of ours: a cut is its `disconnect`, seen from the layer. */
faulty_plan faulty;

void faulty_arm(faulty_mode mode, int countdown, bool writes_only) {
    atomic_store(&faulty.struck, 0);
    atomic_store(&faulty.again, 0);
    atomic_store(&faulty.mode, (int)mode);
    atomic_store(&faulty.writes_only, writes_only);
    atomic_store(&faulty.countdown, countdown);
}

static faulty_mode strike(const mw_sql_batch *batch) {
    if (atomic_load(&faulty.writes_only) && !batch->writes)
        return FAULTY_NONE;
    if (atomic_load(&faulty.countdown) <= 0 || atomic_fetch_sub(&faulty.countdown, 1) != 1)
        return FAULTY_NONE;
    atomic_fetch_add(&faulty.struck, 1);
    atomic_store(&faulty.countdown, atomic_exchange(&faulty.again, 0));
    return (faulty_mode)atomic_load(&faulty.mode);
}

static void unheard(void *arg, size_t step, const mw_sql_value *cells, size_t count) {}

/* It is done; of its rows nothing arrives. */
static int lose_reply(mw_sql_db *db, mw_sql_batch *batch, mw_error *err) {
    mw_sql_batch silent = *batch;
    silent.row = unheard;
    int status = mw__sqlite_driver.run(db, &silent, err);
    return status == MW_OK ? mw_fail(err, MW_EUNKNOWN, "reply lost on purpose") : status;
}

/* A batch that is still on its way; only the connection thread looks at it. */
static struct {
    mw_sql_batch batch;
    mw_sql_step steps[16];
    mw_sql_value params[16][9];
    mw_sql_value rows[64];
    size_t row_cells;
    char bytes[4096];
    size_t used;
} late;

static void keep_bytes(mw_sql_value *value) {
    if (value->type != MW_SQL_BYTES || value->bytes.len > sizeof late.bytes - late.used)
        return;
    char *copy = late.bytes + late.used;
    if (value->bytes.len)
        memcpy(copy, value->bytes.data, value->bytes.len);
    late.used += value->bytes.len;
    value->bytes.data = copy;
}

static void keep_rows(const mw_sql_statement *statement, mw_sql_step *step) {
    size_t cells = 0;
    while (statement->columns[cells])
        cells++;
    cells *= step->row_count;
    mw_sql_value *copy = late.rows + late.row_cells;
    for (size_t i = 0; i < cells && late.row_cells < sizeof late.rows / sizeof *late.rows; i++) {
        copy[i] = step->rows[i];
        keep_bytes(&copy[i]);
        late.row_cells++;
    }
    step->rows = copy;
}

static int be_late(const mw_sql_db *db, const mw_sql_batch *batch, mw_error *err) {
    late.batch = *batch;
    late.batch.steps = late.steps;
    late.batch.row = unheard;
    late.used = late.row_cells = 0;
    for (size_t i = 0; i < batch->step_count; i++) {
        late.steps[i] = batch->steps[i];
        late.steps[i].params = late.params[i];
        for (size_t k = 0; k < batch->steps[i].param_count; k++) {
            late.params[i][k] = batch->steps[i].params[k];
            keep_bytes(&late.params[i][k]);
        }
        keep_rows(&db->catalog[batch->steps[i].statement], &late.steps[i]);
    }
    return mw_fail(err, MW_EUNKNOWN, "late on purpose");
}

void faulty_arrive(void) {
    atomic_store(&faulty.arrives, true);
}

static void let_arrive(mw_sql_db *db) {
    mw_error ignored;
    if (atomic_exchange(&faulty.arrives, false))
        (void)mw__sqlite_driver.run(db, &late.batch, &ignored);
}

static void stop_at(const mw_sql_batch *batch) {
    int statement = batch->steps[0].statement;
    if (statement && atomic_compare_exchange_strong(&faulty.stops_at, &statement, 0))
        atomic_store(&faulty.frozen, true);
}

static int faulty_run(mw_sql_db *db, mw_sql_batch *batch, mw_error *err) {
    stop_at(batch);
    while (atomic_load(&faulty.frozen))
        (void)usleep(1000);
    let_arrive(db);
    switch (strike(batch)) {
    case FAULTY_REFUSED:
        return mw_fail(err, MW_EIO, "broken on purpose");
    case FAULTY_NO_MEMORY:
        return mw_fail(err, MW_ENO_MEMORY, "no memory on purpose");
    case FAULTY_BUSY:
        return mw_fail(err, MW_EBUSY, "busy on purpose");
    case FAULTY_CUT_BEFORE:
        return mw_fail(err, MW_EDISCONNECTED, "cut on purpose");
    case FAULTY_LOST:
        return mw_fail(err, MW_EUNKNOWN, "lost on purpose");
    case FAULTY_LOST_REPLY:
        return lose_reply(db, batch, err);
    case FAULTY_LATE:
        return be_late(db, batch, err);
    default:
        return mw__sqlite_driver.run(db, batch, err);
    }
}

static int faulty_connect(mw_sql_db *db, mw_error *err) {
    if (atomic_load(&faulty.down))
        return mw_fail(err, MW_EDISCONNECTED, "down on purpose");
    return mw__sqlite_driver.connect(db, err);
}

static int faulty_wake_fd(mw_sql_db *db) {
    atomic_fetch_add(&faulty.waits, 1);
    int fd = atomic_load(&faulty.wake_fd);
    return fd ? fd : mw__sqlite_driver.wake_fd(db);
}

static void faulty_woken(mw_sql_db *db) {
    eventfd_t ignored;
    int fd = atomic_load(&faulty.wake_fd);
    if (fd)
        (void)eventfd_read(fd, &ignored);
    else
        mw__sqlite_driver.woken(db);
}

static int faulty_changed(mw_sql_db *db, bool *ret_changed, mw_error *err) {
    atomic_fetch_add(&faulty.looks, 1);
    if (atomic_load(&faulty.hidden) == 0)
        return mw__sqlite_driver.changed(db, ret_changed, err);
    atomic_fetch_sub(&faulty.hidden, 1);
    *ret_changed = false;
    return MW_OK;
}

/* Filled on the first open, before any thread of it runs. */
static mw_sql_driver driver;

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    if (!driver.name) {
        driver = mw__sqlite_driver;
        driver.run = faulty_run;
        driver.connect = faulty_connect;
        driver.wake_fd = faulty_wake_fd;
        driver.woken = faulty_woken;
        driver.changed = faulty_changed;
        driver.wakes_early = true;
    }
    driver.own_clock = !faulty.server_clock;
    return mw_sql_open(backend, &driver, config, ret_conn, err);
}

const mw_backend *faulty_backend(void) {
    static mw_backend backend;
    backend = (mw_backend){
        .size = sizeof backend,
        .abi = MW_BACKEND_ABI,
        .name = "faulty",
        .library = "SQLite, broken on purpose",
        .caps = MW_CAP_DURABLE | MW_CAP_SESSIONS | MW_CAP_EXACT_PUT,
        .options = mw__sqlite_options,
        .open = open_conn,
        .close = mw_sql_close,
        .abandon = mw_sql_abandon,
        .expire = mw_sql_expire,
        .submit = mw_sql_submit,
        .cancel = mw_sql_cancel,
        .watch = mw_sql_watch,
        .unwatch = mw_sql_unwatch,
        .lock = mw_sql_lock,
        .unlock = mw_sql_unlock,
        .end_session = mw_sql_end_session,
        .stats = mw_sql_stats,
    };
    return &backend;
}
