/* The loadable backend "sqlite_faulty": SQLite behind a driver that loses connections and answers when it is told to,
 * for specs that reach it as any backend, from several processes.
 *
 * A fault is a file. What the option `faults` says is the beginning of its name, so each client may have its own:
 *   FAULTS.down         while it is there, the connection is gone and none can be made
 *   FAULTS.lose-reply   the answer to the next txn or lock is lost after its commit; who loses it takes the file away
 *   FAULTS.chaos        while it is there, batches are late, refused, cut off before and after, each at random
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "sql/statements.h"
#include "sqlite/db.h"

/* Of SQLite's own connection this file knows no more than that there is one. */
typedef struct faulty_db {
    mw_sql_db *real;
    const mw_sql_statement *catalog;
    char *down, *lose_reply, *chaos; /* the files */
    uint64_t random;
} faulty_db;

static const mw_sql_driver *const real = &mw__sqlite_driver;

static faulty_db *of(mw_sql_db *db) {
    return (faulty_db *)(void *)db;
}

static bool is_there(const char *file) {
    return access(file, F_OK) == 0;
}

static uint64_t draw(faulty_db *self, uint64_t sides) {
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (self->random >> 16) % sides;
}

/* ---- Opening */

static void free_db(mw_sql_db *db) {
    faulty_db *self = of(db);
    if (!self)
        return;
    if (self->real)
        real->free(self->real);
    free(self->down);
    free(self->lose_reply);
    free(self->chaos);
    free(self);
}

static char *file_of(const char *faults, const char *which) {
    char *file = NULL;
    return asprintf(&file, "%s.%s", faults, which) < 0 ? NULL : file;
}

/* FNV-1a of the last part of the name: the same client draws the same faults again. */
static uint64_t seed_of(const char *faults) {
    const char *name = strrchr(faults, '/');
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (name = name ? name : faults; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    return hash | 1;
}

static int open_db(const mw_sql_driver_config *config, mw_sql_db **ret_db, mw_error *err) {
    const char *faults = mw_sql_option(config->options, "faults");
    faulty_db *self = calloc(1, sizeof *self);
    if (self) {
        self->catalog = config->catalog;
        self->random = seed_of(faults);
        self->down = file_of(faults, "down");
        self->lose_reply = file_of(faults, "lose-reply");
        self->chaos = file_of(faults, "chaos");
    }
    int status = self && self->down && self->lose_reply && self->chaos
                     ? real->open(config, &self->real, err)
                     : mw_fail(err, MW_ENO_MEMORY, "out of memory opening a breakable connection");
    if (status == MW_OK)
        *ret_db = (mw_sql_db *)(void *)self;
    else
        free_db((mw_sql_db *)(void *)self);
    return status;
}

/* ---- Batches */

/* What a client's write is made of, beside renewals, parents, and what is tidied up. */
static bool is_clients(const mw_sql_batch *batch) {
    for (size_t i = 0; i < batch->step_count; i++) {
        unsigned statement = batch->steps[i].statement;
        if (statement == MW__SQL_TXN_MARK || statement == MW__SQL_LOCK_TAKE || statement == MW__SQL_LOCK_JOIN ||
            statement == MW__SQL_LOCK_FREE || statement == MW__SQL_LEAVE_ROW)
            return true;
    }
    return false;
}

/* Hears the verdict of a txn on its way to the layer. */
typedef struct listener {
    void (*row)(void *arg, size_t step, const mw_sql_value *cells, size_t count);
    void *arg;
    const mw_sql_batch *batch;
    bool parent_missing; /* the layer makes it and begins anew: the client's write has not come yet */
} listener;

static void on_row(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    listener *to = arg;
    if (to->batch->steps[step].flags & MW_SQL_VERDICT)
        to->parent_missing = cells[0].integer >= MW__SQL_PARENT_MISSING;
    if (to->row)
        to->row(to->arg, step, cells, count);
}

static int run_unless_lost(faulty_db *self, mw_sql_batch *batch, mw_error *err) {
    listener ear = {batch->row, batch->arg, batch, false};
    batch->row = on_row;
    batch->arg = &ear;
    int status = real->run(self->real, batch, err);
    batch->row = ear.row;
    batch->arg = ear.arg;
    if (status == MW_OK && !ear.parent_missing && is_clients(batch) && unlink(self->lose_reply) == 0)
        return mw_fail(err, MW_EUNKNOWN, "the reply was lost on purpose");
    return status;
}

static void be_late(faulty_db *self) {
    struct timespec pause = {0, (long)draw(self, 10000000)};
    (void)nanosleep(&pause, NULL);
}

/* Of 100 batches: 3 are refused for a moment, 3 cut off before they are sent, 3 lost on the way there, 6 on the way
 * back. */
static int run_in_chaos(faulty_db *self, mw_sql_batch *batch, mw_error *err) {
    uint64_t fate = draw(self, 100);
    be_late(self);
    if (fate < 3)
        return mw_fail(err, MW_EBUSY, "busy on purpose");
    if (fate < 6)
        return mw_fail(err, MW_EDISCONNECTED, "cut off on purpose");
    if (fate < 9)
        return mw_fail(err, MW_EUNKNOWN, "lost on purpose");
    int status = run_unless_lost(self, batch, err);
    if (status == MW_OK && fate < 15)
        return mw_fail(err, MW_EUNKNOWN, "the reply was lost on purpose");
    return status;
}

static int run(mw_sql_db *db, mw_sql_batch *batch, mw_error *err) {
    faulty_db *self = of(db);
    if (is_there(self->down))
        return mw_fail(err, MW_EDISCONNECTED, "down on purpose");
    return is_there(self->chaos) ? run_in_chaos(self, batch, err) : run_unless_lost(self, batch, err);
}

/* ---- The other slots */

static int connect_db(mw_sql_db *db, mw_error *err) {
    faulty_db *self = of(db);
    if (is_there(self->down) || (is_there(self->chaos) && draw(self, 4) == 0))
        return mw_fail(err, MW_EDISCONNECTED, "down on purpose");
    return real->connect(self->real, err);
}

static int changed(mw_sql_db *db, bool *ret_changed, mw_error *err) {
    faulty_db *self = of(db);
    if (is_there(self->down))
        return mw_fail(err, MW_EDISCONNECTED, "down on purpose");
    return real->changed(self->real, ret_changed, err);
}

static void disconnect(mw_sql_db *db) {
    real->disconnect(of(db)->real);
}

static int schema(mw_sql_db *db, const mw_sql_schema *schema, mw_error *err) {
    return real->schema(of(db)->real, schema, err);
}

static int wake_fd(mw_sql_db *db) {
    return real->wake_fd(of(db)->real);
}

static void woken(mw_sql_db *db) {
    real->woken(of(db)->real);
}

static void interrupt(mw_sql_db *db) {
    real->interrupt(of(db)->real);
}

static const char *server(mw_sql_db *db) {
    return real->server(of(db)->real);
}

static const char *product(mw_sql_db *db) {
    return real->product(of(db)->real);
}

/* ---- The plug-in */

static mw_sql_driver driver; /* filled when the plug-in is loaded */

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    return mw_sql_open(backend, &driver, config, ret_conn, err);
}

/* A short heartbeat: who is cut off while idle notices at the next one. */
static const mw_requirement options[] = {
    {"path", "path", NULL, true, "the registry's file; created when it is not there"},
    {"faults", "path", NULL, true, "what the names of the files begin with that break this connection"},
    {"busy_timeout_ms", "duration", "1000", false, "how long one attempt waits for a file that another process locked"},
    {"heartbeat_ms", "duration", "100", false, "the time between two renewals"},
    MW_SQL_OPTIONS("6000"),
    {NULL, NULL, NULL, false, NULL},
};

static const mw_backend backend = {
    .size = sizeof backend,
    .abi = MW_BACKEND_ABI,
    .name = "sqlite_faulty",
    .library = "SQLite, broken on purpose",
    .caps = MW_CAP_DURABLE | MW_CAP_SESSIONS | MW_CAP_EXACT_PUT,
    .options = options,
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

__attribute__((visibility("default"))) const mw_backend *mw_backend_plugin(void);

const mw_backend *mw_backend_plugin(void) {
    driver = *real;
    driver.name = "sqlite_faulty";
    driver.open = open_db;
    driver.free = free_db;
    driver.connect = connect_db;
    driver.disconnect = disconnect;
    driver.schema = schema;
    driver.run = run;
    driver.wake_fd = wake_fd;
    driver.woken = woken;
    driver.changed = changed;
    driver.interrupt = interrupt;
    driver.server = server;
    driver.product = product;
    return &backend;
}
