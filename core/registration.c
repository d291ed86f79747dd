/* Registration: an ephemeral as a desired state. What stands in the registry is brought to it, in each session anew. */
#include <stdlib.h>

#include "op.h"
#include "txn_rules.h"

/* How many registrations write at the same time; the rest wait for their turn. */
#define WRITING_MAX 512u

/* How long to wait after a failure that may pass. */
#define RETRY_DELAY (200 * MW_MS)

/* After a session was lost everybody comes back at once: wait a random part of this. */
#define JITTER_MAX MW_SECOND

typedef enum reg_state {
    ABSENT,  /* not in this session */
    TURN,    /* waits for its turn to write */
    WRITING, /* an op is under way */
    BLOCKED, /* another's entry is in the way: waiting for it to go */
    VISIBLE,
    FAILED /* not tried further */
} reg_state;

struct mw_registration {
    mw__link link;
    mw__link turn;
    mw_registry *registry;
    reg_state state;
    bool dirty;   /* `value` is newer than what stands there */
    bool created; /* the op under way creates */
    bool told;    /* in this session */
    bool freed;   /* by its owner, while an op was under way */
    int64_t version;
    mw_session_id blocker;
    mw_subscription *place; /* who stands there: it may go, or be taken away from us */
    bool occupied;          /* by what `place` told last */
    int64_t deserted;       /* or the revision as of which it told that nothing stands there; -1 = it did not */
    int64_t present;        /* revision of what was last read or written there */
    mw_timer patience;
    mw_time timeout;
    mw_time late; /* when to give up, since it first met another's entry; 0 = it has not */
    const mw_registration_events *events;
    void *arg;
    mw_str path;
    mw_str value;
    char *value_bytes;
    char path_bytes[];
};

static void write_next(mw_registration *reg);

static void pump(mw_registry *registry) {
    while (registry->registrations_writing < WRITING_MAX && mw__registry_connected(registry) &&
           !mw_timer_armed(&registry->registration_jitter)) {
        mw__link *link = mw__list_shift(&registry->registration_queue);
        if (!link)
            return;
        write_next(mw_container(link, mw_registration, turn));
    }
}

static void take_turn(mw_registration *reg) {
    reg->state = TURN;
    if (!mw__linked(&reg->turn))
        mw__list_append(&reg->registry->registration_queue, &reg->turn);
    pump(reg->registry);
}

/* Our subscription is no handle of the caller's: it does not count. */
static void stop_watching(mw_registration *reg) {
    if (reg->place)
        reg->registry->handles++;
    mw_unsubscribe(reg->place);
    reg->place = NULL;
    mw_timer_stop(reg->registry->host, &reg->patience);
}

static void release(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    stop_watching(reg);
    mw__list_remove(&reg->turn);
    mw__list_remove(&reg->link);
    free(reg->value_bytes);
    free(reg);
    mw__registry_unref(registry);
}

static void tell(mw_registration *reg, int status, const mw_error *why) {
    if (status == MW_OK && reg->told)
        return;
    reg->told = status == MW_OK;
    reg->late = 0;
    reg->events->registered(reg->arg, status, why);
}

static void give_up(mw_registration *reg, int status, const mw_error *why) {
    stop_watching(reg);
    reg->state = FAILED;
    tell(reg, status, why);
}

/* The registry has closed, or its connection has failed for good: nothing is tried further. */
static bool over(mw_registration *reg) {
    const mw_registry *registry = reg->registry;
    bool failed = registry->failure && !registry->closing;
    if (failed)
        give_up(reg, registry->failure, &registry->failure_detail);
    return failed || registry->closing;
}

/* Memory was short. */
static void try_later(mw_registration *reg, int status, const mw_error *why) {
    mw_registry *registry = reg->registry;
    if (mw_timer_start(registry->host, &registry->registration_jitter, RETRY_DELAY) != MW_OK) {
        give_up(reg, status, why);
        return;
    }
    reg->state = TURN;
    mw__list_append(&registry->registration_queue, &reg->turn);
}

/* ---- The place is watched: another's entry is in the way, or ours was taken away
 * ---------------------------------------------------------------------------------
 */

static void out_of_patience(mw_timer *timer) {
    mw_registration *reg = mw_container(timer, mw_registration, patience);
    mw_error why;
    if (reg->blocker)
        (void)mw_fail(&why, MW_EEXISTS, "%.*s is held by session %llx, which did not go in time", MW__SHOWN(reg->path),
                      (unsigned long long)reg->blocker);
    else
        (void)mw_fail(&why, MW_EEXISTS, "%.*s is there and persistent; delete it or choose another path",
                      MW__SHOWN(reg->path));
    give_up(reg, MW_EEXISTS, &why);
}

static void start_over(mw_registration *reg) {
    mw_timer_stop(reg->registry->host, &reg->patience);
    reg->version = -1;
    take_turn(reg);
}

/* Nothing stands there any more. What `place` told may be older than what was read or written since; and newer, when
 * it went before `place` was watched, or before the answer to the read had come. */
static bool deserted(const mw_registration *reg) {
    return reg->deserted >= reg->present;
}

static void place_changed(void *arg, const mw_event *event) {
    mw_registration *reg = arg;
    bool shown = event->kind == MW_ADDED || event->kind == MW_UPDATED;
    bool taken = shown && event->entry.owner != mw_registry_session(reg->registry);
    if (event->kind != MW_SYNCED)
        reg->occupied = shown;
    reg->deserted = reg->occupied ? -1 : event->entry.revision;
    if ((reg->state == BLOCKED && deserted(reg)) || (reg->state == VISIBLE && (deserted(reg) || taken)))
        start_over(reg);
}

static int watch_place(mw_registration *reg, mw_error *err) {
    if (reg->place || reg->registry->closing)
        return MW_OK;
    int status = mw_subscribe(reg->registry, reg->path, MW_DEPTH_SELF, place_changed, NULL, reg, &reg->place, err);
    if (status == MW_OK)
        reg->registry->handles--;
    return status;
}

static void wait_for_blocker(mw_registration *reg, mw_session_id owner) {
    mw_registry *registry = reg->registry;
    mw_error why;
    reg->state = BLOCKED;
    reg->blocker = owner;
    int status = watch_place(reg, &why);
    mw_time now = mw_host_now(registry->host);
    bool bounded = reg->timeout != MW_FOREVER;
    if (bounded && !reg->late)
        reg->late = now + reg->timeout;
    if (status != MW_OK)
        give_up(reg, status, &why);
    else if (deserted(reg))
        start_over(reg);
    else if (bounded)
        (void)mw_timer_start(registry->host, &reg->patience, reg->late > now ? reg->late - now : 0);
}

static void op_ended(mw_registration *reg) {
    reg->registry->registrations_writing--;
    if (reg->state == WRITING)
        reg->state = ABSENT;
}

/* The session lives, as far as anybody knows, and with it what was written in it. */
static bool in_session(const mw_registry *registry) {
    return !registry->closing && mw_registry_session(registry) != 0;
}

static void look(mw_registration *reg);

/* A withdrawn registration whose op has come back: take out what the op may have put there. */
static bool finish_freed(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    if (!reg->freed)
        return false;
    mw_call call = {0};
    if (reg->version >= 0 && in_session(registry) && !mw__registry_connected(registry)) {
        look(reg); /* once connected again: only then is it certain that it is ours */
        return true;
    }
    if (mw__registry_connected(registry) && reg->version >= 0)
        (void)mw_delete(registry, reg->path, reg->version, &call, NULL, NULL);
    release(reg);
    return true;
}

static void leftover_ended(void *arg, int status, const mw_error *detail) {
    mw_registration *reg = arg;
    mw_registry *registry = reg->registry;
    op_ended(reg);
    reg->version = -1;
    if (!finish_freed(reg) && !over(reg)) {
        if (status == MW_OK)
            take_turn(reg);
        else
            wait_for_blocker(reg, reg->blocker);
    }
    pump(registry);
    mw__registry_unref(registry);
}

/* Only a session that is proved to be ours is ended, never a path deleted. */
static void end_leftover(mw_registration *reg, mw_session_id owner, const unsigned char *secret) {
    mw_registry *registry = reg->registry;
    reg->state = WRITING;
    reg->blocker = owner;
    registry->registrations_writing++;
    mw__registry_ref(registry);
    mw_log(registry->host, MW_LOG_INFO, "register", "ending our former session %llx, which still holds %.*s",
           (unsigned long long)owner, MW__SHOWN(reg->path));
    registry->backend->end_session(registry->conn, owner, secret, leftover_ended, reg);
}

static void judge_present(mw_registration *reg, const mw_entry *entry) {
    mw_registry *registry = reg->registry;
    const unsigned char *secret = NULL;
    reg->present = entry->revision;
    if (entry->owner && entry->owner == mw_registry_session(registry)) {
        reg->version = entry->version;
        reg->state = VISIBLE; /* ours, by a create whose reply was lost */
        reg->dirty = true;
        take_turn(reg);
    } else if (entry->owner && (secret = mw__session_secret_of(registry, entry->owner))) {
        end_leftover(reg, entry->owner, secret);
    } else {
        wait_for_blocker(reg, entry->owner);
    }
}

/* ---- Writing -------------------------------------------------------------------------------------------------------
 */

/* Whether the same may succeed later by itself: the session's next state decides, or the next look. */
static bool passing(int status) {
    return status == MW_EDISCONNECTED || status == MW_EUNKNOWN || status == MW_ESESSION_LOST || status == MW_EIO ||
           status == MW_ENO_MEMORY || status == MW_ETIMEOUT;
}

static void on_looked(void *arg, const mw_result *result) {
    mw_registration *reg = arg;
    mw_registry *registry = reg->registry;
    op_ended(reg);
    reg->version = -1;
    if (result->status == MW_OK && reg->freed && result->entries[0].owner == mw_registry_session(registry))
        reg->version = result->entries[0].version;
    if (finish_freed(reg) || over(reg)) {
        pump(registry);
        return;
    }
    if (result->status == MW_OK)
        judge_present(reg, &result->entries[0]);
    else if (result->status == MW_ENOT_FOUND || passing(result->status))
        take_turn(reg);
    else
        give_up(reg, result->status, result->error);
    pump(registry);
}

/* Something is there, or may be: look whose it is. */
static void look(mw_registration *reg) {
    mw_call call = {.timeout = MW_FOREVER, .fresh = true, .done = on_looked, .arg = reg};
    mw_error why;
    reg->state = WRITING;
    reg->registry->registrations_writing++;
    int status = mw_stat(reg->registry, reg->path, &call, NULL, &why);
    if (status == MW_OK)
        return;
    op_ended(reg);
    reg->version = -1;
    if (!finish_freed(reg))
        try_later(reg, status, &why);
}

static void on_written(void *arg, const mw_result *result) {
    mw_registration *reg = arg;
    mw_registry *registry = reg->registry;
    bool ours = result->status == MW_OK && result->written[0].owner == mw_registry_session(registry);
    op_ended(reg);
    reg->version = result->status == MW_OK ? result->written[0].version : -1;
    if (reg->freed && result->status == MW_EUNKNOWN && in_session(registry)) {
        look(reg);
        return;
    }
    if (finish_freed(reg) || over(reg)) {
        pump(registry);
        return;
    }
    if (ours) {
        mw_error why;
        reg->state = VISIBLE;
        reg->present = result->written[0].revision;
        if (watch_place(reg, &why) != MW_OK)
            mw_log(registry->host, MW_LOG_WARN, "register", "a removal of %.*s will not be noticed: %s",
                   MW__SHOWN(reg->path), why.message);
        if (deserted(reg))
            start_over(reg);
        else if (reg->dirty)
            take_turn(reg);
        if (reg->state != FAILED)
            tell(reg, MW_OK, NULL); /* last: whoever hears it may free the registration */
    } else if (result->status == MW_OK || passing(result->status) || result->status == MW_EEXISTS ||
               result->status == MW_ECONFLICT || result->status == MW_ENOT_FOUND) {
        if (result->status == MW_EIO || result->status == MW_ENO_MEMORY)
            (void)mw_timer_start(registry->host, &registry->registration_jitter, RETRY_DELAY);
        if (mw__registry_connected(registry))
            look(reg);
    } else {
        give_up(reg, result->status, result->error);
    }
    pump(registry);
}

static void write_next(mw_registration *reg) {
    mw_registry *registry = reg->registry;
    mw_call call = {.timeout = MW_FOREVER, .done = on_written, .arg = reg};
    mw_error why;
    reg->created = reg->version < 0;
    reg->dirty = false;
    reg->state = WRITING;
    registry->registrations_writing++;
    int status = reg->created ? mw_create(registry, reg->path, reg->value, true, &call, NULL, &why)
                              : mw_set(registry, reg->path, reg->value, reg->version, &call, NULL, &why);
    if (status == MW_OK)
        return;
    op_ended(reg);
    try_later(reg, status, &why);
}

/* ---- For callers ---------------------------------------------------------------------------------------------------
 */

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

int mw_register(mw_registry *registry, mw_str path, mw_str value, mw_time timeout, const mw_registration_events *events,
                void *arg, mw_registration **ret_registration, mw_error *err) {
    int status = check_desired(registry, path, value, err);
    if (status != MW_OK)
        return status;
    mw_registration *reg = calloc(1, sizeof *reg + path.len);
    if (!reg || keep_value(reg, value, err) != MW_OK) {
        free(reg);
        return mw_fail(err, MW_ENO_MEMORY, "out of memory for a registration");
    }
    memcpy(reg->path_bytes, path.data, path.len);
    reg->path = (mw_str){reg->path_bytes, path.len};
    reg->registry = registry;
    reg->version = reg->deserted = -1;
    reg->timeout = timeout ? timeout : registry->op_timeout;
    reg->patience.fire = out_of_patience;
    reg->events = events;
    reg->arg = arg;
    mw__list_append(&registry->registrations, &reg->link);
    mw__registry_ref(registry);
    registry->handles++;
    *ret_registration = reg;
    take_turn(reg);
    return MW_OK;
}

int mw_registration_set(mw_registration *reg, mw_str value, mw_error *err) {
    int status = check_desired(reg->registry, reg->path, value, err);
    if (status == MW_OK)
        status = keep_value(reg, value, err);
    if (status != MW_OK)
        return status;
    reg->dirty = true;
    if (reg->state == VISIBLE)
        take_turn(reg);
    return MW_OK;
}

bool mw_registration_visible(const mw_registration *reg) {
    return reg->told && mw__registry_connected(reg->registry);
}

void mw_registration_free(mw_registration *reg) {
    if (!reg)
        return;
    mw_registry *registry = reg->registry;
    registry->handles--;
    if (reg->state == WRITING) {
        reg->freed = true;
        return;
    }
    /* ABSENT in a session: a write whose outcome nobody knows may have put it there. */
    bool may_stand = (reg->told && reg->version >= 0) || reg->state == ABSENT;
    if (may_stand && in_session(registry)) {
        /* Another may have deleted ours and stand there with the same version before we hear of it. */
        reg->freed = true;
        stop_watching(reg);
        mw__list_remove(&reg->turn);
        look(reg);
        return;
    }
    release(reg);
}

/* ---- What the session means to registrations -----------------------------------------------------------------------
 */

static void jitter_over(mw_timer *timer) {
    pump(mw_container(timer, mw_registry, registration_jitter));
}

void mw__registrations_init(mw_registry *registry) {
    registry->registration_jitter.fire = jitter_over;
}

static bool any_written_before(const mw_registry *registry) {
    for (const mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next)
        if (mw_container(at, mw_registration, link)->state == ABSENT)
            return true;
    return false;
}

void mw__registrations_connected(mw_registry *registry, bool resumed) {
    if (!resumed && any_written_before(registry)) {
        uint64_t random = 0;
        mw_host_random(registry->host, &random, sizeof random);
        mw_time most = registry->session.info.timeout / 10;
        most = most > JITTER_MAX ? JITTER_MAX : most;
        (void)mw_timer_start(registry->host, &registry->registration_jitter, most ? random % most : 0);
    }
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        if (reg->state == ABSENT || reg->state == TURN) {
            reg->state = TURN;
            if (!mw__linked(&reg->turn))
                mw__list_append(&registry->registration_queue, &reg->turn);
        }
    }
    pump(registry);
}

void mw__registrations_lost(mw_registry *registry) {
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        reg->told = false;
        reg->late = 0;
        if (reg->state != WRITING)
            reg->version = -1;
        if (reg->state == VISIBLE || reg->state == TURN)
            reg->state = ABSENT;
        mw__list_remove(&reg->turn);
    }
}

/* Those that wait for nothing but a connection; the others hear it from their op. */
static mw_registration *next_stranded(mw_registry *registry) {
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        if (reg->state != WRITING && reg->state != FAILED)
            return reg;
    }
    return NULL;
}

/* A callback may free any registration, so each turn looks for the next one. */
void mw__registrations_failed(mw_registry *registry, int status, const mw_error *why) {
    for (mw_registration *reg; (reg = next_stranded(registry));) {
        mw__list_remove(&reg->turn);
        give_up(reg, status, why);
    }
}

void mw__registrations_closed(mw_registry *registry) {
    mw_timer_stop(registry->host, &registry->registration_jitter);
    for (mw__link *at = registry->registrations.next; at != &registry->registrations; at = at->next) {
        mw_registration *reg = mw_container(at, mw_registration, link);
        mw__list_remove(&reg->turn);
        stop_watching(reg);
    }
}
