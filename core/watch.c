/* Subscriptions: those on the same path and depth share one feed and one cached view, whose changes become events. */
#include <stdio.h>
#include <stdlib.h>

#include "op.h"
#include "view.h"

/* One feed with its view and its subscribers. */
typedef struct mw__watch {
    mw__link link;   /* in registry->views */
    mw__link bucket; /* in registry->views_by_path */
    mw_registry *registry;
    mw_feed feed;
    mw__view view;
    mw__link subscriptions;
    unsigned telling; /* depth of event delivery: nothing is freed meanwhile */
    bool synced;
    bool feeding;     /* the backend has the feed */
    int64_t revision; /* of the last `synced`, or of what has gone since */
    int failure;
    mw_error failure_detail;
    char path[];
} mw__watch;

struct mw_subscription {
    mw__link link;
    mw_registry *registry;
    mw__watch *watch; /* NULL once the registry was closed */
    void (*event)(void *arg, const mw_event *event);
    void (*failed)(void *arg, const mw_error *why);
    void *arg;
    mw_defer start;
    bool started; /* has been given the present state */
    bool synced;
    bool removed;
};

const char *mw_event_text(mw_event_kind kind) {
    static const char *const texts[] = {"added", "updated", "removed", "synced"};
    return texts[kind];
}

/* ---- Telling */

static void free_subscription(mw_subscription *sub) {
    mw_registry *registry = sub->registry;
    mw_defer_cancel(registry->host, &sub->start);
    mw__list_remove(&sub->link);
    free(sub);
    mw__registry_unref(registry);
}

static void sweep(mw__watch *watch) {
    for (mw__link *at = watch->subscriptions.next; at != &watch->subscriptions;) {
        mw_subscription *sub = mw_container(at, mw_subscription, link);
        at = at->next;
        if (sub->removed)
            free_subscription(sub);
    }
    if (mw__list_empty(&watch->subscriptions))
        mw_defer_run(watch->registry->host, &watch->registry->reap_views);
}

static void begin_telling(mw__watch *watch) {
    watch->telling++;
    mw__registry_ref(watch->registry);
}

static void end_telling(mw__watch *watch) {
    mw_registry *registry = watch->registry;
    if (--watch->telling == 0)
        sweep(watch);
    mw__registry_unref(registry);
}

static void tell_all(mw__watch *watch, const mw_event *event) {
    for (mw__link *at = watch->subscriptions.next; at != &watch->subscriptions; at = at->next) {
        mw_subscription *sub = mw_container(at, mw_subscription, link);
        if (sub->started && !sub->removed)
            sub->event(sub->arg, event);
    }
}

static void tell_synced(mw_subscription *sub, int64_t revision) {
    if (!sub->started || sub->synced || sub->removed)
        return;
    sub->synced = true;
    mw_event event = {.kind = MW_SYNCED, .entry = {.revision = revision}};
    event.entry.path = mw__path_strip(sub->registry, sub->watch->feed.path);
    sub->event(sub->arg, &event);
}

static mw_entry shown(const mw__watch *watch, const mw__node *node) {
    mw_entry entry = node->entry;
    entry.path = mw__path_strip(watch->registry, entry.path);
    return entry;
}

static void tell_removed(mw__watch *watch, mw__node *node, int64_t revision) {
    mw_event event = {.kind = MW_REMOVED, .entry = shown(watch, node)};
    if (revision > event.entry.revision)
        event.entry.revision = revision;
    tell_all(watch, &event);
    free(node);
}

/* ---- What the backend tells */

static void on_begin(mw_feed *feed) {
    mw__view_begin(&mw_container(feed, mw__watch, feed)->view);
}

static void fail_watch(mw__watch *watch, int status, const mw_error *detail) {
    watch->failure = status;
    if (detail)
        watch->failure_detail = *detail;
    else
        (void)mw_fail(&watch->failure_detail, status, "%s", mw_status_meaning(status));
    mw__hide_space(watch->registry, &watch->failure_detail);
    begin_telling(watch);
    for (mw__link *at = watch->subscriptions.next; at != &watch->subscriptions; at = at->next) {
        mw_subscription *sub = mw_container(at, mw_subscription, link);
        if (sub->failed && !sub->removed && sub->started)
            sub->failed(sub->arg, &watch->failure_detail);
    }
    end_telling(watch);
}

static void on_failed(mw_feed *feed, int status, const mw_error *detail) {
    mw_container(feed, mw__watch, feed)->feeding = false;
    fail_watch(mw_container(feed, mw__watch, feed), status, detail);
}

static void on_entry(mw_feed *feed, const mw_entry *entry) {
    mw__watch *watch = mw_container(feed, mw__watch, feed);
    if (watch->failure)
        return;
    mw__node *before = NULL;
    const mw__node *now = NULL;
    int change = mw__view_tell(&watch->view, entry, &before, &now);
    if (change == MW__UNCHANGED)
        return;
    if (change < 0) { /* what is shown is not what is there any more, and nobody would say so */
        mw_error why;
        (void)mw_fail(&why, change, "out of memory: the change of %.*s is not shown", MW__SHOWN(entry->path));
        fail_watch(watch, change, &why);
        return;
    }
    begin_telling(watch);
    mw_event event = {.kind = change == MW__UPDATED ? MW_UPDATED : MW_ADDED, .entry = shown(watch, now)};
    if (change == MW__UPDATED)
        event.previous = before->entry.value;
    if (change == MW__REPLACED) {
        tell_removed(watch, before, now->entry.created);
        before = NULL;
    }
    tell_all(watch, &event);
    free(before);
    end_telling(watch);
}

static void on_gone(mw_feed *feed, mw_str path, int64_t revision) {
    mw__watch *watch = mw_container(feed, mw__watch, feed);
    if (watch->failure)
        return;
    mw__node *node = mw__view_remove(&watch->view, path, revision);
    if (revision > watch->revision) /* who subscribes now must not take what went for what is still to come */
        watch->revision = revision;
    if (!node)
        return;
    begin_telling(watch);
    tell_removed(watch, node, revision);
    end_telling(watch);
}

static void on_synced(mw_feed *feed, int64_t revision) {
    mw__watch *watch = mw_container(feed, mw__watch, feed);
    size_t cursor = 0;
    if (watch->failure)
        return;
    begin_telling(watch);
    for (mw__node *node; (node = mw__view_take_stale(&watch->view, &cursor));)
        tell_removed(watch, node, revision);
    watch->synced = true;
    watch->revision = revision;
    for (mw__link *at = watch->subscriptions.next; at != &watch->subscriptions; at = at->next)
        tell_synced(mw_container(at, mw_subscription, link), revision);
    end_telling(watch);
}

/* ---- Subscribing */

static mw__link *bucket_of(mw_registry *registry, mw_str full) {
    return &registry->views_by_path[mw__path_hash(full) % MW__VIEW_BUCKETS];
}

static mw__watch *find_watch(mw_registry *registry, mw_str full, mw_depth depth) {
    const mw__link *bucket = bucket_of(registry, full);
    for (mw__link *at = bucket->next; at != bucket; at = at->next) {
        mw__watch *watch = mw_container(at, mw__watch, bucket);
        if (watch->feed.depth == depth && !watch->failure && mw_str_equal(watch->feed.path, full))
            return watch;
    }
    return NULL;
}

static void free_watch(mw__watch *watch) {
    mw_registry *registry = watch->registry;
    if (watch->feeding && registry->conn)
        registry->backend->unwatch(registry->conn, &watch->feed);
    mw__list_remove(&watch->link);
    mw__list_remove(&watch->bucket);
    mw__view_release(&watch->view);
    free(watch);
}

static mw__watch *start_watch(mw_registry *registry, mw_str full, mw_depth depth, mw_error *err) {
    mw__watch *watch = calloc(1, sizeof *watch + full.len);
    if (!watch) {
        (void)mw_fail(err, MW_ENO_MEMORY, "out of memory subscribing");
        return NULL;
    }
    memcpy(watch->path, full.data, full.len);
    watch->registry = registry;
    mw__list_init(&watch->subscriptions);
    watch->feed = (mw_feed){.path = {watch->path, full.len},
                            .depth = depth,
                            .begin = on_begin,
                            .entry = on_entry,
                            .gone = on_gone,
                            .synced = on_synced,
                            .failed = on_failed};
    int status = registry->backend->watch(registry->conn, &watch->feed);
    if (status != MW_OK) {
        free(watch);
        (void)mw_fail(err, status, "subscribing: %s", mw_status_meaning(status));
        return NULL;
    }
    watch->feeding = true;
    mw__list_append(&registry->views, &watch->link);
    mw__list_append(bucket_of(registry, full), &watch->bucket);
    return watch;
}

/* The present state, to one who comes late. */
static void start_subscription(mw_defer *defer) {
    mw_subscription *sub = mw_container(defer, mw_subscription, start);
    mw__watch *watch = sub->watch;
    const mw__node **nodes = NULL;
    begin_telling(watch);
    sub->started = true;
    mw_error why;
    if (watch->failure) {
        if (sub->failed)
            sub->failed(sub->arg, &watch->failure_detail);
    } else if (mw__view_sorted(&watch->view, &nodes) != MW_OK) {
        (void)mw_fail(&why, MW_ENO_MEMORY, "out of memory delivering the present state");
        if (sub->failed)
            sub->failed(sub->arg, &why);
    } else {
        for (size_t i = 0, count = watch->view.count; i < count && !sub->removed; i++) {
            mw_event event = {.kind = MW_ADDED, .entry = shown(watch, nodes[i])};
            sub->event(sub->arg, &event);
        }
        if (watch->synced)
            tell_synced(sub, watch->revision);
    }
    free(nodes);
    end_telling(watch);
}

int mw_subscribe(mw_registry *registry, mw_str path, mw_depth depth, void (*event)(void *arg, const mw_event *event),
                 void (*failed)(void *arg, const mw_error *why), void *arg, mw_subscription **ret_sub, mw_error *err) {
    int status = mw__registry_usable(registry, err);
    if (status == MW_OK)
        status =
            depth == MW_DEPTH_SELF ? mw__entry_path_check(registry, path, err) : mw__path_check(registry, path, err);
    if (status != MW_OK)
        return status;
    char full_bytes[MW_PATH_MAX + 1];
    char *bytes = full_bytes;
    mw_str full = mw__path_full(registry, path, &bytes);
    mw_subscription *sub = calloc(1, sizeof *sub);
    if (!sub)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory subscribing");
    mw__watch *watch = find_watch(registry, full, depth);
    mw_error why;
    if (!watch && !(watch = start_watch(registry, full, depth, &why))) {
        free(sub);
        return mw_fail(err, why.code, "%s", why.message);
    }
    *sub = (mw_subscription){.registry = registry, .watch = watch, .event = event, .failed = failed, .arg = arg};
    sub->start.run = start_subscription;
    mw__list_append(&watch->subscriptions, &sub->link);
    mw__registry_ref(registry);
    registry->handles++;
    mw_defer_run(registry->host, &sub->start);
    *ret_sub = sub;
    return MW_OK;
}

void mw_unsubscribe(mw_subscription *sub) {
    if (!sub || sub->removed)
        return;
    mw__watch *watch = sub->watch;
    sub->registry->handles--;
    sub->removed = true;
    mw_defer_cancel(sub->registry->host, &sub->start);
    if (!watch)
        free_subscription(sub);
    else if (watch->telling == 0)
        sweep(watch);
}

void mw_subscription_each(const mw_subscription *sub, void (*visit)(void *arg, const mw_entry *entry), void *arg) {
    const mw__node **nodes = NULL;
    if (!sub->watch || mw__view_sorted(&sub->watch->view, &nodes) != MW_OK)
        return;
    for (size_t i = 0, count = sub->watch->view.count; i < count; i++) {
        mw_entry entry = shown(sub->watch, nodes[i]);
        visit(arg, &entry);
    }
    free(nodes);
}

/* ---- What happens to the registry */

/* The feed is stopped from the loop, never from inside the backend's own call to us. */
void mw__views_reap(mw_defer *defer) {
    mw_registry *registry = mw_container(defer, mw_registry, reap_views);
    for (mw__link *at = registry->views.next; at != &registry->views;) {
        mw__watch *watch = mw_container(at, mw__watch, link);
        at = at->next;
        if (mw__list_empty(&watch->subscriptions) && watch->telling == 0)
            free_watch(watch);
    }
}

void mw__views_failed(mw_registry *registry, int status, const mw_error *why) {
    for (mw__link *at = registry->views.next; at != &registry->views; at = at->next)
        if (!mw_container(at, mw__watch, link)->failure)
            fail_watch(mw_container(at, mw__watch, link), status, why);
}

/* Subscribers keep their handles, and hear nothing more. */
void mw__views_closed(mw_registry *registry) {
    mw_defer_cancel(registry->host, &registry->reap_views);
    while (!mw__list_empty(&registry->views)) {
        mw__watch *watch = mw_container(registry->views.next, mw__watch, link);
        for (mw__link *link; (link = mw__list_shift(&watch->subscriptions));) {
            mw_subscription *sub = mw_container(link, mw_subscription, link);
            mw_defer_cancel(registry->host, &sub->start);
            if (sub->removed) {
                free(sub);
                mw__registry_unref(registry);
            } else {
                sub->watch = NULL;
            }
        }
        free_watch(watch);
    }
}
