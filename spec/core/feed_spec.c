/* What a backend's feed tells, and what subscribers hear of it: older states, new incarnations, snapshots anew, and
 * subscribers that come and go meanwhile. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/puppet.h"

#include <moonwatch/registry.h>

#define S(text) mw_str_of(text)

static spec_puppet puppet;

/* Events as "+5 " added, "~5 " updated, "-5 " removed, "!5 " synced: each with its revision. */
typedef struct diary {
    char text[256];
    mw_subscription *sub;
    mw_subscription **leaving; /* unsubscribed at the first event */
    unsigned failures;
} diary;

static void note(void *arg, const mw_event *event) {
    static const char signs[] = {'+', '~', '-', '!'};
    diary *to = arg;
    size_t len = strlen(to->text);
    snprintf(to->text + len, sizeof to->text - len, "%c%lld ", signs[event->kind], (long long)event->entry.revision);
    if (to->leaving) {
        mw_unsubscribe(*to->leaving);
        *to->leaving = NULL;
        to->leaving = NULL;
    }
}

static void failed(void *arg, const mw_error *why) {
    ((diary *)arg)->failures++;
}

static void subscribe(diary *to) {
    *to = (diary){0};
    CHECK_INT(mw_subscribe(puppet.registry, S("/d"), MW_DEPTH_CHILDREN, note, failed, to, &to->sub, NULL), MW_OK);
}

static void turn(void) {
    mw_world_advance(puppet.world, MW_MS);
}

static void open_puppet(diary *first) {
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    subscribe(first);
    turn();
}

static void leave(diary *all, size_t count) {
    for (size_t i = 0; i < count; i++)
        mw_unsubscribe(all[i].sub);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void state(const char *path, int64_t revision, int64_t created, int64_t version) {
    mw_entry entry = {.path = S(path), .revision = revision, .created = created, .version = version};
    puppet.feed->entry(puppet.feed, &entry);
}

static void snapshot_of_one(int64_t revision) {
    puppet.feed->begin(puppet.feed);
    state("/d/a", revision, revision, 0);
    puppet.feed->synced(puppet.feed, revision);
}

/* The feed left out that it had gone: no older than the deletion is what made it anew. */
static void another_incarnation_is_removed_then_added(void) {
    diary one;
    open_puppet(&one);
    snapshot_of_one(1);
    state("/d/a", 7, 5, 2);
    CHECK_TEXT(one.text, "+1 !1 -5 +7 ");
    leave(&one, 1);
}

static void older_states_are_not_told(void) {
    diary one;
    open_puppet(&one);
    snapshot_of_one(5);
    puppet.feed->gone(puppet.feed, S("/d/a"), 4);
    state("/d/a", 4, 4, 3);
    state("/d/a", 5, 5, 0);
    CHECK_TEXT(one.text, "+5 !5 ");
    state("/d/a", 5, 5, 1); /* twice in one txn */
    puppet.feed->gone(puppet.feed, S("/d/a"), 6);
    CHECK_TEXT(one.text, "+5 !5 ~5 -6 ");
    leave(&one, 1);
}

static void a_snapshot_anew_tells_the_difference_and_no_second_synced(void) {
    diary one;
    open_puppet(&one);
    snapshot_of_one(1);
    puppet.feed->begin(puppet.feed);
    state("/d/b", 3, 3, 0);
    puppet.feed->synced(puppet.feed, 4);
    CHECK_TEXT(one.text, "+1 !1 +3 -4 ");
    puppet.feed->begin(puppet.feed);
    state("/d/b", 3, 3, 0); /* as it was */
    puppet.feed->synced(puppet.feed, 5);
    CHECK_TEXT(one.text, "+1 !1 +3 -4 ");
    leave(&one, 1);
}

static void who_has_not_begun_hears_of_a_change_once(void) {
    diary all[2];
    open_puppet(&all[0]);
    snapshot_of_one(1);
    subscribe(&all[1]);
    state("/d/b", 2, 2, 0);
    CHECK_TEXT(all[1].text, "");
    turn();
    CHECK_TEXT(all[1].text, "+1 +2 !1 ");
    CHECK_TEXT(all[0].text, "+1 !1 +2 ");
    leave(all, 2);
}

static void who_was_unsubscribed_by_another_hears_nothing_more(void) {
    diary all[2];
    open_puppet(&all[0]);
    subscribe(&all[1]);
    turn();
    all[0].leaving = &all[1].sub;
    state("/d/a", 1, 1, 0);
    CHECK_TEXT(all[0].text, "+1 ");
    CHECK_TEXT(all[1].text, "");
    leave(all, 1);
}

static void who_leaves_at_its_first_event_hears_no_second(void) {
    diary all[2];
    open_puppet(&all[0]);
    snapshot_of_one(1);
    state("/d/b", 2, 2, 0);
    subscribe(&all[1]);
    all[1].leaving = &all[1].sub;
    turn();
    CHECK_TEXT(all[1].text, "+1 ");
    leave(all, 1);
}

static void who_comes_when_the_feed_has_failed_hears_it(void) {
    diary one;
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    subscribe(&one);
    puppet.feed->failed(puppet.feed, MW_EDENIED, NULL);
    CHECK_INT(one.failures, 0); /* nothing inline */
    turn();
    CHECK_INT(one.failures, 1);
    leave(&one, 1);
}

static const spec_case cases[] = {
    {"another incarnation is removed, then added", another_incarnation_is_removed_then_added},
    {"older states are not told", older_states_are_not_told},
    {"a snapshot anew tells the difference, and no second `synced`",
     a_snapshot_anew_tells_the_difference_and_no_second_synced},
    {"who has not begun hears of a change once", who_has_not_begun_hears_of_a_change_once},
    {"who was unsubscribed by another hears nothing more", who_was_unsubscribed_by_another_hears_nothing_more},
    {"who leaves at its first event hears no second", who_leaves_at_its_first_event_hears_no_second},
    {"who comes when the feed has failed hears it", who_comes_when_the_feed_has_failed_hears_it},
};
SPEC_MAIN(cases)
