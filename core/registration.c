/* Registration: an ephemeral as a desired state. What stands in the registry is brought to it, in each session anew.
 *
 * Each registration keeps what it knows of its place, and one rule (`due`) says what that makes necessary. Knowledge
 * comes from the answers to its own operations, one at a time, and from a subscription to the place, which may be ahead
 * of an answer or behind it: revisions tell. Nothing else decides, so it does not matter in which order they come.
 *   - A wrong NOTHING is harmless: `create` is refused where something stands.
 *   - A wrong OURS or ANOTHERS is corrected by the subscription, which never misses the last state.
 *   - Where a write of ours may have been applied, or not, a fresh look comes before anything else. */
#include <stdlib.h>

#include "op.h"
#include "txn_rules.h"

/* How many registrations have an operation under way at the same time; the rest wait for their turn. */
#define BUSY_MAX 512u

/* How long to wait after a failure that may pass. */
#define RETRY_DELAY (200 * MW_MS)

/* After a session was lost everybody comes back at once: wait a random part of this. */
#define JITTER_MAX MW_SECOND

typedef enum standing { NOTHING, OURS, ANOTHERS } standing;

typedef enum action { REST, LOOK, CREATE, SET, REMOVE, END_LEFTOVER } action;

struct mw_registration {
    mw__link link;
    mw__link turn;
    mw_registry *registry;

    standing standing;
    int64_t as_of;        /* revision of what was learned since the last operation began; -1 = nothing */
    int64_t version;      /* OURS */
    mw_session_id owner;  /* ANOTHERS; 0 = persistent */
    mw_session_id barred; /* a former session that could not be ended with its secret */
    bool doubtful;        /* a write of ours may have been applied: look first */

    bool wanted; /* false: given up, or freed by its owner; what is ours is taken out */
    bool freed;
    bool dirty; /* `value` may be newer than what stands there */
    bool told;  /* in this session */
    bool once;  /* in any session: a deadline counts only for what is in the way */

    bool busy;  /* an operation is under way, or the end of a leftover */
    mw_op *op;  /* NULL: that of a leftover, or none */
    bool shown; /* `place` shows an entry */
    mw_subscription *place;
    mw_timer patience;
    mw_time timeout;
    const mw_registration_events *events;
    void *arg;
    char *refusal; /* why the last attempt came to nothing, while it is not visible; NULL = it was not refused */
    mw_str path;
    mw_str value;
    char *value_bytes;
    char path_bytes[];
};

/* ---- What is known, and what that makes necessary */

static void learn(mw_registration *reg, int64_t revision, const mw_entry *entry) {
    if (revision < reg->as_of)
        return;
    reg->as_of = revision;
    reg->standing = NOTHING;
    if (!entry)
        return;
    reg->standing = entry->owner && entry->owner == mw_registry_session(reg->registry) ? OURS : ANOTHERS;
    reg->version = entry->version;
    reg->owner = entry->owner;
}

/* Only a session that is proved to be ours is ended, never a path deleted. */
static const unsigned char *leftover_secret(const mw_registration *reg) {
    bool candidate = reg->standing == ANOTHERS && reg->owner && reg->owner != reg->barred;
    return candidate ? mw__session_secret_of(reg->registry, reg->owner) : NULL;
}

static action due(const mw_registration *reg) {
    if (reg->doubtful)
        return LOOK;
    if (!reg->wanted)
        return reg->standing == OURS ? REMOVE : REST;
    if (reg->standing == NOTHING)
        return CREATE;
    if (reg->standing == OURS)
        return reg->dirty ? SET : REST;
    return leftover_secret(reg) ? END_LEFTOVER : REST;
}

/* Do what is due. False: there is no memory for it, and it has queued again. */
static bool perform(mw_registration *reg);

static void pump(mw_registry *registry) {
    while (registry->registrations_writing < BUSY_MAX && mw__registry_connected(registry) &&
           !mw_timer_armed(&registry->registration_jitter)) {
        mw__link *link = mw__list_shift(&registry->registration_queue);
        if (!link || !perform(mw_container(link, mw_registration, turn)))
            return;
    }
}

/* Our subscription is no handle of the caller's: it does not count. */
static void stop_watching(mw_registration *reg) {
    if (reg->place)
        reg->registry->handles++;
    mw_unsubscribe(reg->place);
    reg->place = NULL;
    mw_timer_stop(reg->registry->host, &reg->patience);
}

/* NULL: none any more. */
static void note_refusal(mw_registration *reg, const mw_error *why) {
    free(reg->refusal);
    reg->refusal = why ? strdup(why->message) : NULL;
}

static void release(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    stop_watching(reg);
    mw__list_remove(&reg->turn);
    mw__list_remove(&reg->link);
    note_refusal(reg, NULL);
    free(reg->value_bytes);
    free(reg);
    mw__registry_unref(registry);
}

/* The session lives, as far as anybody knows, and with it what was written in it. */
static bool in_session(const mw_registry *registry) {
    return !registry->closing && mw_registry_session(registry) != 0;
}

static bool blocked(const mw_registration *reg) {
    return reg->wanted && reg->standing == ANOTHERS && due(reg) == REST;
}

static int be_patient(mw_registration *reg) {
    if (reg->timeout == MW_FOREVER || mw_timer_armed(&reg->patience))
        return MW_OK;
    return mw_timer_start(reg->registry->host, &reg->patience, reg->timeout);
}

/* Queue for what is due. What nobody wants, and nothing of ours is left of, is freed. */
static void wake(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    if (reg->busy)
        return;
    if (blocked(reg) && !registry->closing)
        (void)be_patient(reg);
    bool done = registry->closing || (!reg->wanted && !in_session(registry)) || due(reg) == REST;
    if (done && reg->freed)
        release(reg);
    if (done || !mw__registry_connected(registry))
        return;
    if (!mw__linked(&reg->turn))
        mw__list_append(&registry->registration_queue, &reg->turn);
    pump(registry);
}

/* ---- The end */

static void let_go(mw_registration *reg) {
    reg->wanted = reg->told = false;
    stop_watching(reg);
    if (reg->op)
        mw__op_withdraw(reg->op);
    /* Another may have deleted ours and stand there with the same version before we hear of it. */
    reg->doubtful = reg->doubtful || reg->standing == OURS;
}

static void give_up(mw_registration *reg, int status, const mw_error *why) {
    mw_error kept = *why;
    let_go(reg);
    wake(reg);
    reg->events->registered(reg->arg, status, &kept); /* last: whoever hears it may free the registration */
}

static void out_of_patience(mw_timer *timer) {
    mw_registration *reg = mw_container(timer, mw_registration, patience);
    mw_error why;
    if (reg->once && reg->standing != ANOTHERS)
        return; /* whoever was in the way has gone */
    if (reg->standing == ANOTHERS && reg->owner)
        (void)mw_fail(&why, MW_EEXISTS, "%.*s is held by session %llx, which did not go in time", MW__SHOWN(reg->path),
                      (unsigned long long)reg->owner);
    else if (reg->standing == ANOTHERS)
        (void)mw_fail(&why, MW_EEXISTS, "%.*s is there and persistent; delete it or choose another path",
                      MW__SHOWN(reg->path));
    else
        (void)mw_fail(&why, MW_ETIMEOUT, "%.*s was not registered in time (%s)%s%s", MW__SHOWN(reg->path),
                      mw_state_text(mw_registry_state(reg->registry)), reg->refusal ? ": " : "",
                      reg->refusal ? reg->refusal : "");
    give_up(reg, why.code, &why);
}

/* ---- The place is watched: another's entry is in the way, or ours was taken away */

static void place_changed(void *arg, const mw_event *event) {
    mw_registration *reg = arg;
    if (event->kind != MW_SYNCED)
        reg->shown = event->kind != MW_REMOVED;
    if (event->kind != MW_SYNCED || !reg->shown)
        learn(reg, event->entry.revision, reg->shown ? &event->entry : NULL);
    wake(reg);
}

static void delay_all(mw_registry *registry) {
    if (!registry->closing)
        (void)mw_timer_start(registry->host, &registry->registration_jitter, RETRY_DELAY);
}

static void watch_place(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    mw_error why;
    if (reg->place)
        return;
    reg->shown = false;
    if (mw_subscribe(registry, reg->path, MW_DEPTH_SELF, place_changed, NULL, reg, &reg->place, &why) == MW_OK) {
        registry->handles--;
    } else if (reg->standing == OURS) {
        mw_log(registry->host, MW_LOG_WARN, "register", "a removal of %.*s will not be noticed: %s",
               MW__SHOWN(reg->path), why.message);
    } else {
        reg->doubtful = true; /* look again, since nobody tells */
        delay_all(registry);
    }
}

/* ---- Operations */

static void begin(mw_registration *reg) {
    reg->busy = true;
    reg->as_of = -1;
    reg->registry->registrations_writing++;
}

static void settle(mw_registration *reg) {
    reg->busy = false;
    reg->op = NULL;
    reg->registry->registrations_writing--;
}

/* After an operation. It may free the registration. */
static void carry_on(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    if (reg->wanted && !registry->closing && (reg->standing == OURS || blocked(reg)))
        watch_place(reg);
    wake(reg);
    pump(registry);
}

static bool not_applied(int status) {
    return status == MW_ECANCELLED || status == MW_EDISCONNECTED || status == MW_ECLOSED;
}

/* Whether the same may succeed later by itself. */
static bool passing(const mw_registration *reg, int status) {
    if (status == MW_EIO || status == MW_ENO_MEMORY)
        delay_all(reg->registry);
    return status == MW_EUNKNOWN || status == MW_ESESSION_LOST || status == MW_EIO || status == MW_ENO_MEMORY ||
           status == MW_ETIMEOUT || not_applied(status);
}

/* It would be refused again. */
static void refused(mw_registration *reg, const mw_result *result) {
    mw_registry *registry = reg->registry;
    if (reg->wanted) {
        give_up(reg, result->status, result->error);
        pump(registry);
    } else {
        carry_on(reg);
    }
}

static void on_looked(void *arg, const mw_result *result) {
    mw_registration *reg = arg;
    bool found = result->status == MW_OK, known = found || result->status == MW_ENOT_FOUND;
    settle(reg);
    reg->doubtful = !known && passing(reg, result->status);
    if (reg->doubtful)
        note_refusal(reg, result->error);
    if (found)
        learn(reg, result->entries[0].revision, &result->entries[0]);
    else if (!reg->doubtful)
        reg->standing = NOTHING;
    if (known || reg->doubtful)
        carry_on(reg);
    else
        refused(reg, result);
}

static void on_visible(mw_registration *reg, const mw_written *written) {
    mw_entry entry = {.version = written->version, .owner = written->owner};
    bool tell = reg->wanted && !reg->told;
    learn(reg, written->revision, &entry);
    mw_timer_stop(reg->registry->host, &reg->patience);
    note_refusal(reg, NULL);
    reg->told = reg->told || tell;
    reg->once = reg->once || tell;
    carry_on(reg);
    if (tell)
        reg->events->registered(reg->arg, MW_OK, NULL); /* last: whoever hears it may free the registration */
}

static void on_written(void *arg, const mw_result *result) {
    mw_registration *reg = arg;
    int status = result->status;
    settle(reg);
    if (status == MW_OK && result->written[0].owner == mw_registry_session(reg->registry)) {
        on_visible(reg, &result->written[0]);
    } else if (status == MW_OK || status == MW_EEXISTS || status == MW_ECONFLICT || status == MW_ENOT_FOUND ||
               passing(reg, status)) {
        if (status == MW_ECONFLICT && reg->standing == NOTHING)
            delay_all(reg->registry); /* what it would stand below is ephemeral, and nobody tells when that goes */
        reg->doubtful = reg->doubtful || !not_applied(status);
        reg->dirty = true;
        note_refusal(reg, status == MW_OK ? NULL : result->error);
        carry_on(reg);
    } else {
        refused(reg, result);
    }
}

static void on_removed(void *arg, const mw_result *result) {
    mw_registration *reg = arg;
    settle(reg);
    if (result->status == MW_ECONFLICT || passing(reg, result->status)) {
        reg->doubtful = true;
    } else {
        reg->standing = NOTHING;
        if (result->status != MW_OK && result->status != MW_ENOT_FOUND)
            mw_log(reg->registry->host, MW_LOG_WARN, "register", "%.*s could not be withdrawn: %s",
                   MW__SHOWN(reg->path), result->error->message);
    }
    carry_on(reg);
}

static void on_leftover_ended(void *arg, int status, const mw_error *detail) {
    mw_registration *reg = arg;
    mw_registry *registry = reg->registry;
    settle(reg);
    if (status == MW_OK)
        reg->standing = NOTHING;
    else if (passing(reg, status))
        reg->doubtful = true;
    else
        reg->barred = reg->owner;
    carry_on(reg);
    mw__registry_unref(registry);
}

static void end_leftover(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    mw_log(registry->host, MW_LOG_INFO, "register", "ending our former session %llx, which still holds %.*s",
           (unsigned long long)reg->owner, MW__SHOWN(reg->path));
    mw__registry_ref(registry);
    registry->backend->end_session(registry->conn, reg->owner, leftover_secret(reg), on_leftover_ended, reg);
}

static int start(mw_registration *reg, action next, mw_error *why) {
    mw_registry *registry = reg->registry;
    mw_call call = {.timeout = MW_FOREVER, .fresh = true, .done = on_written, .arg = reg};
    switch (next) {
    case LOOK: /* something is there, or may be: whose is it? */
        call.done = on_looked;
        return mw_stat(registry, reg->path, &call, &reg->op, why);
    case CREATE:
        reg->dirty = false;
        return mw_create(registry, reg->path, reg->value, true, &call, &reg->op, why);
    case SET:
        reg->dirty = false;
        return mw_set(registry, reg->path, reg->value, reg->version, &call, &reg->op, why);
    case REMOVE:
        call.done = on_removed;
        return mw_delete(registry, reg->path, reg->version, &call, &reg->op, why);
    case END_LEFTOVER:
        end_leftover(reg);
        return MW_OK;
    case REST:
        break;
    }
    return MW_OK;
}

static bool perform(mw_registration *reg) {
    action next = due(reg);
    mw_error why;
    if (next == REST)
        return true;
    begin(reg);
    if (start(reg, next, &why) == MW_OK)
        return true;
    settle(reg); /* memory was short */
    reg->dirty = true;
    mw__list_append(&reg->registry->registration_queue, &reg->turn);
    delay_all(reg->registry);
    return false;
}

/* ---- For callers */

static int keep_value(mw_registration *reg, mw_str value, mw_error *err) {
    char *bytes = malloc(value.len + 1);
    if (!bytes)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory for a registration's value");
    if (value.len)
        memcpy(bytes, value.data, value.len);
    free(reg->value_bytes);
    reg->value_bytes = bytes;
    reg->value = (mw_str){bytes, value.len};
    return MW_OK;
}

/* What would be refused when it is written is refused now. */
static int check_desired(mw_registry *registry, mw_str path, mw_str value, mw_error *err) {
    mw_step step = {.kind = MW_CREATE, .path = path, .value = value, .ephemeral = true};
    int status = mw__registry_usable(registry, err);
    return status == MW_OK ? mw__txn_check(registry, &step, 1, err) : status;
}

static mw_registration *new_registration(mw_registry *registry, mw_str path, mw_time timeout) {
    mw_registration *reg = calloc(1, sizeof *reg + path.len);
    if (!reg)
        return NULL;
    memcpy(reg->path_bytes, path.data, path.len);
    reg->path = (mw_str){reg->path_bytes, path.len};
    reg->registry = registry;
    reg->wanted = true;
    reg->as_of = -1;
    reg->timeout = timeout ? timeout : registry->op_timeout;
    reg->patience.fire = out_of_patience;
    return reg;
}

int mw_register(mw_registry *registry, mw_str path, mw_str value, mw_time timeout, const mw_registration_events *events,
                void *arg, mw_registration **ret_registration, mw_error *err) {
    int status = check_desired(registry, path, value, err);
    if (status != MW_OK)
        return status;
    mw_registration *reg = new_registration(registry, path, timeout);
    if (!reg || keep_value(reg, value, err) != MW_OK || be_patient(reg) != MW_OK) {
        free(reg ? reg->value_bytes : NULL);
        free(reg);
        return mw_fail(err, MW_ENO_MEMORY, "out of memory for a registration");
    }
    reg->events = events;
    reg->arg = arg;
    mw__list_append(&registry->registrations, &reg->link);
    mw__registry_ref(registry);
    registry->handles++;
    *ret_registration = reg;
    wake(reg);
    return MW_OK;
}

int mw_registration_set(mw_registration *reg, mw_str value, mw_error *err) {
    int status = check_desired(reg->registry, reg->path, value, err);
    if (status == MW_OK)
        status = keep_value(reg, value, err);
    if (status != MW_OK)
        return status;
    reg->dirty = true;
    wake(reg);
    return MW_OK;
}

bool mw_registration_visible(const mw_registration *reg) {
    return reg->told && mw__registry_connected(reg->registry);
}

void mw_registration_free(mw_registration *reg) {
    if (!reg)
        return;
    reg->registry->handles--;
    reg->freed = true;
    if (reg->wanted)
        let_go(reg);
    wake(reg);
}

/* ---- What the session means to registrations */

static void jitter_over(mw_timer *timer) {
    pump(mw_container(timer, mw_registry, registration_jitter));
}

void mw__registrations_init(mw_registry *registry) {
    registry->registration_jitter.fire = jitter_over;
}

static bool any_visible_before(const mw_registry *registry) {
    for (const mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next)
        if (mw_container(at, mw_registration, link)->once)
            return true;
    return false;
}

static void wake_all(mw_registry *registry) {
    for (mw__link *at = registry->registrations.next; at != &registry->registrations;) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        at = at->next;
        wake(reg);
    }
}

void mw__registrations_session(mw_registry *registry) {
    if (!any_visible_before(registry))
        return;
    uint64_t random = 0;
    mw_host_random(registry->host, &random, sizeof random);
    mw_time most = registry->session.info.timeout / 10;
    most = most > JITTER_MAX ? JITTER_MAX : most;
    (void)mw_timer_start(registry->host, &registry->registration_jitter, most ? random % most : 0);
}

void mw__registrations_connected(mw_registry *registry) {
    wake_all(registry);
    pump(registry);
}

/* What an operation under way comes to is judged when it is over. */
void mw__registrations_lost(mw_registry *registry) {
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        reg->told = false;
        mw__list_remove(&reg->turn);
        if (reg->busy)
            continue;
        reg->standing = NOTHING;
        reg->doubtful = false;
    }
}

static mw_registration *next_wanted(mw_registry *registry) {
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        if (reg->wanted)
            return reg;
    }
    return NULL;
}

/* A callback may free any registration, so each turn looks for the next one. */
void mw__registrations_failed(mw_registry *registry, int status, const mw_error *why) {
    for (mw_registration *reg; (reg = next_wanted(registry));)
        give_up(reg, status, why);
}

void mw__registrations_closed(mw_registry *registry) {
    mw_timer_stop(registry->host, &registry->registration_jitter);
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next)
        stop_watching(mw_container(at, mw_registration, link));
    wake_all(registry);
}
