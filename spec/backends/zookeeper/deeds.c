/* What clients do in a world, and tell its history: writes, locks, subscriptions. */
#define SPEC_HELPER
#include "world.h"

/* ---- Writes */

static void work_ended(void *arg, const mw_result *result) {
    work *one = arg;
    one->status = result->status;
    one->revision = result->revision;
    world *w = one->node->world;
    if (result->status == MW_OK)
        world_note(w, "answer %s ok %lld", one->id, (long long)result->revision);
    else
        world_note(w, "answer %s %s", one->id, result->status == MW_EUNKNOWN ? "unknown" : "refused");
    if (result->status != MW_OK && getenv("WORLD_LOG"))
        fprintf(stderr, "# %s: %s\n", one->id, result->error->message);
}

static void work_begin(node *n, work *one, const char *guard) {
    *one = (work){.node = n, .status = 1};
    snprintf(one->id, sizeof one->id, "%s-%d", n->name, ++n->world->writes);
    snprintf(one->path, sizeof one->path, "/w/%s", one->id);
    one->call = (mw_call){.done = work_ended, .arg = one};
    world_note(n->world, "write %s %s%s", one->id, n->name, guard);
}

void work_create(node *n, work *one, bool ephemeral) {
    mw_error err;
    work_begin(n, one, "");
    CHECK_INT(mw_create(n->registry, mw_str_of(one->path), mw_str_of(""), ephemeral, &one->call, NULL, &err), MW_OK);
}

void work_create_large(node *n, work *one, mw_str value) {
    mw_error err;
    work_begin(n, one, "");
    int status = mw_create(n->registry, mw_str_of(one->path), value, false, &one->call, NULL, &err);
    if (status == MW_OK)
        return;
    one->status = status;
    world_note(n->world, "answer %s refused", one->id);
}

void work_txn(node *n, work *one, const mw_lock *guard) {
    mw_error err;
    char text[64] = "", other[80];
    if (guard)
        snprintf(text, sizeof text, " %.*s %lld", MW_STR_FMT(mw_lock_path(guard)), (long long)mw_lock_token(guard));
    work_begin(n, one, text);
    snprintf(other, sizeof other, "/other%s", one->path);
    mw_step steps[3] = {{.kind = MW_CHECK_LOCK, .lock = guard},
                        {.kind = MW_CREATE, .path = mw_str_of(one->path)},
                        {.kind = MW_CREATE, .path = mw_str_of(other)}};
    CHECK_INT(mw_txn(n->registry, guard ? steps : steps + 1, guard ? 3 : 2, &one->call, NULL, &err), MW_OK);
}

bool work_done(void *arg) {
    return ((work *)arg)->status != 1;
}

bool works_done(void *arg) {
    const work_set *set = arg;
    for (size_t i = 0; i < set->count; i++)
        if (set->works[i].status == 1)
            return false;
    return true;
}

typedef struct listing {
    world *world;
    const char *format_present;
    bool done;
    int status;
    size_t count;
} listing;

static void found(void *arg, const mw_result *result) {
    listing *l = arg;
    l->done = true;
    l->status = result->status;
    l->count = result->entry_count;
    for (size_t i = 0; i < result->entry_count; i++) {
        const mw_entry *e = &result->entries[i];
        if (l->format_present)
            world_note(l->world, "present %.*s %lld", (int)e->path.len - 3, e->path.data + 3, (long long)e->revision);
        else
            world_note(l->world, "entry %.*s %lld %lld %lld %llu", MW_STR_FMT(e->path), (long long)e->version,
                       (long long)e->revision, (long long)e->created, (unsigned long long)e->owner);
    }
}

static bool listed(void *arg) {
    return ((listing *)arg)->done;
}

static size_t list(node *n, const char *path, bool present) {
    mw_error err;
    listing l = {.world = n->world, .format_present = present ? "present" : NULL};
    mw_call call = {.fresh = true, .done = found, .arg = &l};
    CHECK_INT(mw_list(n->registry, mw_str_of(path), &call, NULL, &err), MW_OK);
    CHECK(world_until(n->world, listed, &l));
    CHECK_INT(l.status, MW_OK);
    return l.count;
}

void world_find_writes(node *n) {
    (void)list(n, "/w", true);
}

size_t world_final(node *n, const char *path) {
    return list(n, path, false);
}

/* ---- Locks */

static void holder_acquired(void *arg, int status, int64_t token, const mw_error *error) {
    holder *h = arg;
    h->acquired++;
    h->status = status;
    h->token = token;
    h->held = status == MW_OK;
    if (h->held)
        world_note(h->node->world, "held %s %.*s %lld", h->node->name, MW_STR_FMT(mw_lock_path(h->lock)),
                   (long long)token);
}

static void holder_dropped(holder *h) {
    if (h->held)
        world_note(h->node->world, "dropped %s %.*s %lld", h->node->name, MW_STR_FMT(mw_lock_path(h->lock)),
                   (long long)h->token);
    h->held = false;
}

static void holder_lost_it(void *arg, const mw_error *why) {
    holder *h = arg;
    h->lost++;
    holder_dropped(h);
}

void holder_ask(node *n, holder *h, const char *path, bool try_only) {
    mw_error err;
    *h = (holder){.node = n, .status = 1, .events = {holder_acquired, holder_lost_it}};
    CHECK_INT(mw_lock_new(n->registry, mw_str_of(path), mw_str_of(n->name), &h->events, h, &h->lock, &err), MW_OK);
    CHECK_INT(mw_lock_acquire(h->lock, 0, try_only, &err), MW_OK);
}

bool holder_has(void *arg) {
    return ((holder *)arg)->held;
}

bool holder_answered(void *arg) {
    return ((holder *)arg)->status != 1;
}

bool holder_lost(void *arg) {
    return ((holder *)arg)->lost > 0;
}

void holder_release(holder *h) {
    holder_dropped(h);
    mw_lock_free(h->lock);
    h->lock = NULL;
}

/* ---- Subscriptions */

static void observed(void *arg, const mw_event *event) {
    observer *o = arg;
    const mw_entry *e = &event->entry;
    o->events++;
    o->synced += event->kind == MW_SYNCED;
    o->present += event->kind == MW_ADDED;
    o->present -= event->kind == MW_REMOVED;
    world_note(o->node->world, "event %s %s %.*s %lld %lld %lld %llu", o->name, mw_event_text(event->kind),
               event->kind == MW_SYNCED ? 1 : (int)e->path.len, event->kind == MW_SYNCED ? "/" : e->path.data,
               (long long)e->version, (long long)e->revision, (long long)e->created, (unsigned long long)e->owner);
}

void observer_start(node *n, observer *o, const char *name, const char *path, mw_depth depth) {
    mw_error err;
    *o = (observer){.node = n};
    snprintf(o->name, sizeof o->name, "%s", name);
    CHECK_INT(mw_subscribe(n->registry, mw_str_of(path), depth, observed, NULL, o, &o->subscription, &err), MW_OK);
}

bool observer_synced(void *arg) {
    return ((observer *)arg)->synced > 0;
}

bool observer_caught_up(void *arg) {
    const observer *o = arg;
    return o->synced > 0 && o->present == o->expected;
}
