/* Subscriptions over the memory backend, in virtual time. */
#include <moonwatch/registry.h>

#include "support/check.h"
#include "support/cluster.h"

#define S(text) mw_str_of(text)

static spec_cluster space;
static spec_client one, two;

static void open_two(void) {
    cluster_open(&space);
    client_open(&space, NULL, &one);
    client_open(&space, NULL, &two);
}

static void close_two(void) {
    CHECK_INT(mw_registry_handles(one.registry), 0);
    client_close(&space, &two);
    client_close(&space, &one);
    mw_memory_counts counts;
    mw_memory_count(space.server, &counts);
    CHECK_INT(counts.feeds, 0);
    cluster_close(&space);
}

/* Events as one line: "+/a=1 " added, "~/a=2<1 " updated, "-/a=2 " removed, "!/a= " synced. */
#define DIARY_SIZE 4096
typedef struct spec_diary {
    char text[DIARY_SIZE];
    size_t count;
    mw_subscription *sub;
    bool leave; /* unsubscribe at the next event */
    int64_t last_revision;
} spec_diary;

static void note(void *arg, const mw_event *event) {
    spec_diary *diary = arg;
    static const char signs[] = {'+', '~', '-', '!'};
    size_t len = strlen(diary->text);
    diary->count++;
    diary->last_revision = event->entry.revision;
    if (len + 100 < DIARY_SIZE)
        snprintf(diary->text + len, DIARY_SIZE - len, "%c%.*s=%.*s%s%.*s ", signs[event->kind],
                 MW_STR_FMT(event->entry.path), MW_STR_FMT(event->entry.value), event->previous.len ? "<" : "",
                 MW_STR_FMT(event->previous));
    if (diary->leave) {
        mw_unsubscribe(diary->sub);
        diary->leave = false;
    }
}

static void subscribe(spec_client *client, const char *path, mw_depth depth, spec_diary *diary) {
    memset(diary, 0, sizeof *diary);
    CHECK_INT(mw_subscribe(client->registry, S(path), depth, note, NULL, diary, &diary->sub, NULL), MW_OK);
    CHECK_INT(diary->count, 0);
    cluster_pass(&space, 10 * MW_MS);
}

static void write(mw_write_kind kind, const char *path, const char *value) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    mw_step step = {.kind = kind, .path = S(path), .value = S(value), .version = MW_VERSION_ANY};
    CHECK_INT(mw_txn(two.registry, &step, 1, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    CHECK_INT(result.status, MW_OK);
    cluster_pass(&space, 10 * MW_MS);
}

static void delivers_the_present_state_then_changes(void) {
    open_two();
    spec_diary diary;
    write(MW_PUT, "/a/x", "1");
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &diary);
    CHECK_TEXT(diary.text, "+/a/x=1 !/a= ");
    write(MW_PUT, "/a/x", "2");
    write(MW_PUT, "/a/x/below", "-");
    write(MW_PUT, "/ab", "sibling");
    write(MW_DELETE, "/a/x/below", "");
    write(MW_DELETE, "/a/x", "");
    CHECK_TEXT(diary.text, "+/a/x=1 !/a= ~/a/x=2<1 -/a/x=2 ");
    mw_unsubscribe(diary.sub);
    close_two();
}

static void watches_one_path_and_subtrees(void) {
    open_two();
    spec_diary self, subtree;
    subscribe(&one, "/a", MW_DEPTH_SELF, &self);
    subscribe(&one, "/a", MW_DEPTH_SUBTREE, &subtree);
    write(MW_PUT, "/a", "1");
    write(MW_PUT, "/a/b/c", "2");
    CHECK_TEXT(self.text, "!/a= +/a=1 ");
    CHECK_TEXT(subtree.text, "!/a= +/a/b= +/a/b/c=2 ");
    mw_unsubscribe(self.sub);
    mw_unsubscribe(subtree.sub);
    close_two();
}

static void a_new_incarnation_is_removed_then_added(void) {
    open_two();
    spec_diary diary;
    write(MW_PUT, "/a", "old");
    subscribe(&one, "/a", MW_DEPTH_SELF, &diary);
    mw_virtual_pause(one.host);
    write(MW_DELETE, "/a", "");
    write(MW_CREATE, "/a", "new");
    mw_virtual_resume(one.host);
    cluster_pass(&space, MW_SECOND);
    CHECK_TEXT(diary.text, "+/a=old !/a= -/a=old +/a=new ");
    mw_unsubscribe(diary.sub);
    close_two();
}

static void a_late_subscriber_gets_the_cached_state(void) {
    open_two();
    spec_diary early, late;
    write(MW_PUT, "/a/x", "1");
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &early);
    mw_backend_stats before, after;
    mw_registry_stats(one.registry, &before);
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &late);
    mw_registry_stats(one.registry, &after);
    CHECK_TEXT(late.text, "+/a/x=1 !/a= ");
    CHECK_INT(after.round_trips, before.round_trips);
    mw_memory_counts counts;
    mw_memory_count(space.server, &counts);
    CHECK_INT(counts.feeds, 1);
    mw_unsubscribe(early.sub);
    write(MW_PUT, "/a/x", "2");
    CHECK_TEXT(early.text, "+/a/x=1 !/a= ");
    CHECK_TEXT(late.text, "+/a/x=1 !/a= ~/a/x=2<1 ");
    mw_unsubscribe(late.sub);
    close_two();
}

static void a_subscriber_may_leave_from_its_own_event(void) {
    open_two();
    spec_diary leaver, stayer;
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &leaver);
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &stayer);
    leaver.leave = true;
    write(MW_PUT, "/a/x", "1");
    write(MW_PUT, "/a/y", "1");
    CHECK_TEXT(leaver.text, "!/a= +/a/x=1 ");
    CHECK_TEXT(stayer.text, "!/a= +/a/x=1 +/a/y=1 ");
    mw_unsubscribe(stayer.sub);
    close_two();
}

static void who_was_away_gets_the_difference(void) {
    open_two();
    spec_diary diary;
    write(MW_PUT, "/a/gone", "1");
    write(MW_PUT, "/a/kept", "1");
    write(MW_PUT, "/a/changed", "1");
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &diary);
    diary.text[0] = '\0';
    mw_virtual_pause(one.host);
    cluster_pass(&space, 60 * MW_SECOND); /* its session is over as well */
    write(MW_DELETE, "/a/gone", "");
    write(MW_PUT, "/a/changed", "2");
    write(MW_PUT, "/a/new", "1");
    mw_virtual_resume(one.host);
    cluster_pass(&space, 10 * MW_SECOND);
    CHECK(strstr(diary.text, "-/a/gone=1"));
    CHECK(strstr(diary.text, "~/a/changed=2<1"));
    CHECK(strstr(diary.text, "+/a/new=1"));
    CHECK(!strstr(diary.text, "kept"));
    mw_unsubscribe(diary.sub);
    close_two();
}

static void a_view_survives_growth_and_removal(void) {
    open_two();
    spec_diary diary;
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &diary);
    char path[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "/a/%d", i);
        write(MW_PUT, path, "v");
    }
    for (int i = 0; i < 1000; i += 2) {
        snprintf(path, sizeof path, "/a/%d", i);
        write(MW_DELETE, path, "");
    }
    CHECK_INT(diary.count, 1501);
    spec_diary late;
    subscribe(&one, "/a", MW_DEPTH_CHILDREN, &late);
    CHECK_INT(late.count, 501);
    mw_unsubscribe(diary.sub);
    mw_unsubscribe(late.sub);
    close_two();
}

static const spec_case cases[] = {
    {"delivers the present state, then changes", delivers_the_present_state_then_changes},
    {"watches one path, and subtrees", watches_one_path_and_subtrees},
    {"a new incarnation is removed, then added", a_new_incarnation_is_removed_then_added},
    {"a late subscriber gets the cached state", a_late_subscriber_gets_the_cached_state},
    {"a subscriber may leave from its own event", a_subscriber_may_leave_from_its_own_event},
    {"who was away gets the difference", who_was_away_gets_the_difference},
    {"a view survives growth and removal", a_view_survives_growth_and_removal},
};
SPEC_MAIN(cases)
