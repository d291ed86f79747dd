/* A subscription that runs out of memory says so: what it shows would not be what is there. */
#define SPEC_SHARED
#include "support/alloc_fail.h"
#include "support/check.h"
#include "support/puppet.h"

#define S(text) mw_str_of(text)

static spec_puppet puppet;

typedef struct spec_seen {
    unsigned events, failures;
    int code;
} spec_seen;

static void on_event(void *arg, const mw_event *event) {
    ((spec_seen *)arg)->events++;
}

static void on_failed(void *arg, const mw_error *why) {
    ((spec_seen *)arg)->failures++;
    ((spec_seen *)arg)->code = why->code;
}

static mw_subscription *subscribe(spec_seen *seen) {
    mw_subscription *sub = NULL;
    *seen = (spec_seen){0};
    CHECK_INT(mw_subscribe(puppet.registry, S("/d"), MW_DEPTH_CHILDREN, on_event, on_failed, seen, &sub, NULL), MW_OK);
    mw_world_advance(puppet.world, MW_MS);
    return sub;
}

static void show(const char *path, int64_t revision) {
    mw_entry entry = {.path = S(path), .value = S("v"), .revision = revision, .created = revision};
    puppet.feed->entry(puppet.feed, &entry);
}

static void a_change_that_cannot_be_shown_ends_the_subscription(void) {
    spec_seen seen, again;
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    mw_subscription *sub = subscribe(&seen);
    puppet.feed->begin(puppet.feed);
    show("/d/a", 1);
    puppet.feed->synced(puppet.feed, 1);
    CHECK_INT(seen.events, 2);
    alloc_fail_at(1, false);
    show("/d/b", 2);
    CHECK_INT(alloc_fail_stop(), 1);
    CHECK_INT(seen.failures, 1);
    CHECK_INT(seen.code, MW_ENO_MEMORY);
    const mw_feed *first = puppet.feed;
    show("/d/c", 3);
    puppet.feed->gone(puppet.feed, S("/d/a"), 4);
    puppet.feed->synced(puppet.feed, 4);
    CHECK_INT(seen.events, 2);
    mw_subscription *other = subscribe(&again); /* on a feed of its own, from the beginning */
    CHECK(puppet.feed != first);
    puppet.feed->begin(puppet.feed);
    show("/d/b", 2);
    CHECK_INT(again.events, 1);
    mw_unsubscribe(sub);
    mw_unsubscribe(other);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static const spec_case cases[] = {
    {"a change that cannot be shown ends the subscription", a_change_that_cannot_be_shown_ends_the_subscription},
};
SPEC_MAIN(cases)
