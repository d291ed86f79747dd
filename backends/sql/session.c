/* Our session: opened, renewed, ended; and whether the registry is still the one that we know. */
#include <stdio.h>

#include "worker.h"

static void fill(mw__sql_worker *worker, unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(mw__sql_random(worker) >> 24);
}

static mw_str text_of(const unsigned char *bytes, size_t len) {
    return (mw_str){(const char *)bytes, len};
}

int mw__sql_connect(mw__sql_worker *worker, mw_error *err) {
    int status = worker->driver->connect(worker->db, err);
    return status == MW_OK ? worker->driver->schema(worker->db, worker->schema, err) : status;
}

/* ---- The registry's identity */

static int init_meta(mw__sql_worker *worker, mw_error *err) {
    unsigned char identity[MW__SQL_IDENTITY_SIZE];
    mw__sql_batch batch;
    fill(worker, identity, sizeof identity);
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    MW__SQL_ADD(&batch, MW__SQL_META_INIT, 0, mw__sql_bytes(text_of(identity, sizeof identity)));
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    return status;
}

static int load_meta(mw__sql_worker *worker, mw__sql_meta *meta, mw_error *err) {
    int status = mw__sql_read_meta(worker, meta, err);
    if (status == MW_OK && !meta->present) {
        status = init_meta(worker, err);
        if (status == MW_OK)
            status = mw__sql_read_meta(worker, meta, err);
    }
    if (status == MW_OK && !meta->present)
        return mw_fail(err, MW_ECORRUPT, "%s: the registry's own record cannot be written",
                       worker->driver->server(worker->db));
    return status;
}

/* It forgot what it had acknowledged (a restored copy): nothing that it hands out from now on may have been seen
 * before, and every session is over. Who comes second finds another identity and raises nothing. */
static int raise_registry(mw__sql_worker *worker, const mw__sql_meta *meta, mw_error *err) {
    unsigned char identity[MW__SQL_IDENTITY_SIZE];
    fill(worker, identity, sizeof identity);
    const mw_sql_value params[] = {
        mw__sql_bytes(text_of(meta->identity, sizeof meta->identity)),
        mw__sql_bytes(text_of(identity, sizeof identity)),
        mw__sql_int(worker->highest),
        mw__sql_int(worker->best_token),
    };
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_WRITE);
    batch.sql.announce = true;
    mw__sql_add(&batch, MW__SQL_RAISE_META, 0, params, 4);
    mw__sql_add(&batch, MW__SQL_RAISE_VERDICT, MW_SQL_VERDICT, params, 2);
    mw__sql_add(&batch, MW__SQL_RAISE_LOCKS, 0, params, 4);
    mw__sql_add(&batch, MW__SQL_RAISE_ENTRIES, 0, params, 2);
    mw__sql_add(&batch, MW__SQL_RAISE_SESSIONS, 0, params, 2);
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    mw_log(worker->host, MW_LOG_WARN, worker->driver->name,
           "%s went back from revision %lld to %lld: all sessions are over, its counters are raised",
           worker->driver->server(worker->db), (long long)worker->highest, (long long)meta->revision);
    return status;
}

/* `ret_same`: what we know of it still holds. */
static int recognise(mw__sql_worker *worker, bool *ret_same, mw_error *err) {
    mw__sql_meta meta = {0};
    int status = load_meta(worker, &meta, err);
    if (status != MW_OK)
        return status;
    bool same = !worker->known || (memcmp(meta.identity, worker->identity, sizeof meta.identity) == 0 &&
                                   meta.revision >= worker->highest);
    if (worker->known && meta.revision < worker->highest) {
        status = raise_registry(worker, &meta, err);
        if (status == MW_OK)
            status = load_meta(worker, &meta, err);
        if (status != MW_OK)
            return status;
    }
    memcpy(worker->identity, meta.identity, sizeof meta.identity);
    if (!worker->known)
        worker->seen = meta.revision;
    worker->known = true;
    worker->highest = meta.revision;
    worker->floor = meta.floor;
    *ret_same = same;
    return MW_OK;
}

/* ---- The session */

static int open_session(mw__sql_worker *worker, mw_error *err) {
    mw_session_id id = (mw__sql_random(worker) & ((UINT64_C(1) << 53) - 1)) | 1;
    unsigned char secret[MW_SECRET_SIZE];
    fill(worker, secret, sizeof secret);
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    batch.sql.writes = true;
    MW__SQL_ADD(&batch, MW__SQL_SESSION_OPEN, 0, mw__sql_int((int64_t)id),
                mw__sql_bytes(text_of(secret, sizeof secret)), mw__sql_bytes((mw_str){worker->name, worker->name_len}),
                mw__sql_int((int64_t)(worker->timeout / MW_MS)),
                mw__sql_bytes(text_of(worker->identity, sizeof worker->identity)));
    int status = mw__sql_run(worker, &batch, err);
    if (status == MW_OK && mw__sql_affected(&batch, 0) != 1)
        status = mw_fail(err, MW_EDISCONNECTED, "the registry changed while a session was opened");
    mw__sql_batch_free(&batch);
    if (status != MW_OK)
        return status;
    worker->session = id;
    worker->txn = 0;
    worker->late_attempt = false;
    memcpy(worker->secret, secret, sizeof secret);
    return MW_OK;
}

int mw__sql_renew(mw__sql_worker *worker, mw_error *err) {
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    batch.sql.writes = true;
    MW__SQL_ADD(&batch, MW__SQL_SESSION_RENEW, MW_SQL_RETURNS, mw__sql_int((int64_t)worker->session),
                mw__sql_int(worker->highest));
    int status = mw__sql_run(worker, &batch, err);
    bool matched = status == MW_OK && mw__sql_affected(&batch, 0) == 1;
    if (matched && worker->driver->dialect.beat)
        mw__sql_heard(worker, batch.sql.steps[0].returned);
    mw__sql_batch_free(&batch);
    atomic_fetch_add(&worker->channel->counted.renewals, 1);
    if (status == MW_OK && !matched)
        return mw_fail(err, MW_ESESSION_LOST, "the server ended the session, or went backwards");
    return status;
}

/* The session goes out of our hands: what belonged to it is answered, then the host's side hears of it. */
static void report_over(mw__sql_worker *worker, const char *why) {
    worker->session = 0;
    worker->generation++;
    mw__sql_job *note = mw__sql_job_new(MW__SQL_EXPIRED);
    if (!note)
        return; /* the generation tells it all the same, with the next note */
    note->generation = worker->generation;
    note->status = mw_fail(&note->error, MW_ESESSION_LOST, "%s", why);
    mw__sql_reply(worker->channel, note);
}

static int report_connected(mw__sql_worker *worker, bool resumed, mw_time sent_at, mw_error *err) {
    mw__sql_job *note = mw__sql_job_new(MW__SQL_CONNECTED);
    if (!note)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory opening a session");
    note->generation = worker->generation;
    note->session = worker->session;
    memcpy(note->secret, worker->secret, MW_SECRET_SIZE);
    note->resumed = resumed;
    note->sent_at = sent_at;
    (void)snprintf(note->server, sizeof note->server, "%s, %s", worker->driver->server(worker->db),
                   worker->driver->product(worker->db));
    mw__sql_reply(worker->channel, note);
    return MW_OK;
}

static int end_orphan(mw__sql_worker *worker, mw_error *err) {
    if (!worker->orphan)
        return MW_OK;
    int status = mw__sql_end_by_secret(worker, worker->orphan, worker->orphan_secret, err);
    if (status == MW_OK || status == MW_EDENIED)
        worker->orphan = 0;
    return status == MW_EDENIED ? MW_OK : status;
}

/* Sessions of an earlier boot of this machine are over whatever the clock says: nothing of them may still be shown. */
static int clear_boot(mw__sql_worker *worker, mw_error *err) {
    return worker->driver->own_clock ? mw__sql_reap(worker, err) : MW_OK;
}

/* The session that we had goes on, or is over. */
static int take_up_session(mw__sql_worker *worker, bool same, mw_error *err) {
    int status = same ? mw__sql_renew(worker, err) : MW_ESESSION_LOST;
    if (status != MW_ESESSION_LOST)
        return status;
    report_over(worker, same ? err->message : "the registry was replaced or went backwards");
    return MW_OK;
}

/* Told is what came of it all, once: whoever heard of a connection that then fails would hear of it twice. */
int mw__sql_hello(mw__sql_worker *worker, mw_error *err) {
    bool same = true, again = worker->known;
    int status = recognise(worker, &same, err);
    worker->resync_wanted |= !same;
    if (status == MW_OK)
        status = end_orphan(worker, err);
    mw_time sent_at = mw__sql_now();
    if (status == MW_OK && worker->session)
        status = take_up_session(worker, same, err);
    bool resumed = worker->session != 0;
    if (status == MW_OK)
        status = clear_boot(worker, err);
    if (status == MW_OK && !resumed) {
        sent_at = mw__sql_now();
        status = open_session(worker, err);
    }
    if (status == MW_OK)
        status = report_connected(worker, resumed, sent_at, err);
    if (status != MW_OK)
        return status;
    worker->poll_wanted = again;
    if (worker->resync_wanted || worker->floor > worker->seen)
        mw__sql_resync(worker, worker->highest);
    worker->poll_at = mw__sql_now() + 100 * MW_MS;
    return MW_OK;
}

int mw__sql_session_over(mw__sql_worker *worker, const char *why, mw_error *err) {
    report_over(worker, why);
    return mw__sql_hello(worker, err);
}

/* Remember one given up; only the last is ended by us, older ones by their timeout. */
void mw__sql_give_up_session(mw__sql_worker *worker, unsigned generation) {
    if (generation <= worker->generation)
        return; /* we had noticed ourselves */
    if (worker->session) {
        worker->orphan = worker->session;
        memcpy(worker->orphan_secret, worker->secret, MW_SECRET_SIZE);
    }
    worker->session = 0;
    worker->generation = generation;
}

/* ---- Endings */

typedef struct proof {
    bool found;
    unsigned char secret[MW_SECRET_SIZE];
} proof;

static void on_secret(void *arg, size_t step, const mw_sql_value *cells, size_t count) {
    proof *to = arg;
    to->found = true;
    if (cells[0].bytes.len == MW_SECRET_SIZE)
        memcpy(to->secret, cells[0].bytes.data, MW_SECRET_SIZE);
}

int mw__sql_end_by_secret(mw__sql_worker *worker, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                          mw_error *err) {
    proof stored = {0};
    mw__sql_batch batch;
    mw__sql_batch_init(&batch, MW_SQL_ONE);
    mw__sql_collect(&batch, on_secret, NULL, &stored);
    MW__SQL_ADD(&batch, MW__SQL_SESSION_SECRET, 0, mw__sql_int((int64_t)id));
    int status = mw__sql_run(worker, &batch, err);
    mw__sql_batch_free(&batch);
    if (status != MW_OK || !stored.found)
        return status;
    if (memcmp(stored.secret, secret, MW_SECRET_SIZE) != 0)
        return mw_fail(err, MW_EDENIED, "session %llx: the secret does not match", (unsigned long long)id);
    mw_sql_value secret_value = mw__sql_bytes(text_of(secret, MW_SECRET_SIZE));
    return mw__sql_end_session_row(worker, id, &secret_value, true, err);
}

static int end_own(mw__sql_worker *worker, mw_error *err) {
    mw_sql_value secret = mw__sql_bytes(text_of(worker->secret, MW_SECRET_SIZE));
    return mw__sql_end_session_row(worker, worker->session, &secret, true, err);
}

/* That a connection broke may show only now. Ending it twice does no harm. */
void mw__sql_say_goodbye(mw__sql_worker *worker) {
    mw_error err = {0};
    mw_time over = mw__sql_now() + worker->timeout; /* whatever becomes of us */
    int status = worker->session ? end_own(worker, &err) : MW_OK;
    for (unsigned attempt = 0; mw__sql_passing(status) && mw__sql_now() < over; attempt++) {
        mw__sql_pause(worker, attempt);
        worker->driver->disconnect(worker->db);
        if (atomic_load(&worker->channel->hurry)) /* an interruption from now on is found by what follows */
            return;
        status = mw__sql_connect(worker, &err);
        if (status == MW_OK)
            status = end_own(worker, &err);
    }
}
