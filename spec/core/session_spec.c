/* What the core believes of its session: whose clock counts from when, and in which order listeners hear of it. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/cluster.h"
#include "support/puppet.h"

#define S(text) mw_str_of(text)

static spec_puppet puppet;
static spec_cluster space;

typedef struct spec_heard {
    mw_state states[16];
    size_t count;
    mw_registry *judge; /* `connected` makes this listener judge the session by the clock */
} spec_heard;

static void hear(void *arg, const mw_connection_event *event) {
    spec_heard *heard = arg;
    CHECK(heard->count < 16);
    heard->states[heard->count++] = event->state;
    if (heard->judge && event->state == MW_CONNECTED)
        mw_registry_check_session(heard->judge);
}

static void check_heard(const spec_heard *heard, const mw_state *states, size_t count) {
    CHECK_INT(heard->count, count);
    for (size_t i = 0; i < count; i++)
        CHECK_TEXT(mw_state_text(heard->states[i]), mw_state_text(states[i]));
}

static void close_puppet(void) {
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void a_state_that_a_listener_brings_about_overtakes_none(void) {
    puppet_open(&puppet, NULL);
    mw_world_advance(puppet.world, 60 * MW_SECOND);
    spec_heard first = {.judge = puppet.registry}, second = {0};
    mw_listener *a = mw_listen(puppet.registry, hear, &first), *b = mw_listen(puppet.registry, hear, &second);
    mw_world_advance(puppet.world, MW_MS);
    puppet.events->confirmed(puppet.events_arg, MW_SECOND); /* long ago */
    puppet_connect(&puppet, 1, false);
    static const mw_state all[] = {MW_CONNECTING, MW_CONNECTED, MW_LOST};
    check_heard(&first, all, 3);
    check_heard(&second, all, 3);
    mw_unlisten(a);
    mw_unlisten(b);
    close_puppet();
}

static void a_session_that_comes_back_too_late_is_lost(void) {
    puppet_open(&puppet, NULL);
    spec_heard heard = {0};
    puppet_connect(&puppet, 1, false);
    mw_listener *listener = mw_listen(puppet.registry, hear, &heard);
    mw_world_advance(puppet.world, MW_SECOND);
    puppet.events->disconnected(puppet.events_arg, NULL);
    mw_virtual_pause(puppet.host);
    mw_world_advance(puppet.world, 60 * MW_SECOND);
    mw_virtual_resume(puppet.host);
    puppet_connect(&puppet, 1, true); /* its message was there before the timer ran */
    mw_world_advance(puppet.world, MW_SECOND);
    static const mw_state all[] = {MW_CONNECTED, MW_SUSPENDED, MW_LOST};
    check_heard(&heard, all, 3);
    mw_unlisten(listener);
    close_puppet();
}

static void a_session_that_was_confirmed_meanwhile_goes_on(void) {
    puppet_open(&puppet, NULL);
    spec_heard heard = {0};
    puppet_connect(&puppet, 1, false);
    mw_listener *listener = mw_listen(puppet.registry, hear, &heard);
    mw_world_advance(puppet.world, MW_SECOND);
    puppet.events->disconnected(puppet.events_arg, NULL);
    mw_virtual_pause(puppet.host);
    mw_world_advance(puppet.world, 60 * MW_SECOND);
    mw_virtual_resume(puppet.host);
    puppet.events->confirmed(puppet.events_arg, mw_world_now(puppet.world) - MW_SECOND);
    puppet_connect(&puppet, 1, true);
    static const mw_state all[] = {MW_CONNECTED, MW_SUSPENDED, MW_RECONNECTED};
    check_heard(&heard, all, 3);
    mw_unlisten(listener);
    close_puppet();
}

static void the_deadline_counts_from_when_the_session_was_asked_for(void) {
    static const mw_memory_faults slow = {.latency_min = 100 * MW_MS, .latency_max = 100 * MW_MS};
    cluster_open(&space);
    CHECK_INT(mw_memory_set_faults(space.server, 0, &slow), MW_OK);
    spec_client one;
    mw_time asked = mw_world_now(space.world);
    client_open(&space, NULL, &one);
    CHECK(mw_world_now(space.world) >= asked + 200 * MW_MS);
    CHECK(mw_registry_deadline(one.registry) <= asked + 6 * MW_SECOND); /* the server's timeout */
    client_close(&space, &one);
    cluster_close(&space);
}

static void the_namespace_is_there_for_what_was_asked_before_connecting(void) {
    puppet_open(&puppet, "/prod/app");
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_children(puppet.registry, S("/"), &call, NULL, NULL), MW_OK);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(puppet.request_count, 2);
    CHECK_INT(puppet.requests[0]->kind, MW_WRITE);
    CHECK_INT(puppet.requests[0]->writes[0].kind, MW_CREATE);
    CHECK_INT(puppet.requests[1]->kind, MW_READ_CHILDREN);
    close_puppet();
}

static const spec_case cases[] = {
    {"a state that a listener brings about overtakes none", a_state_that_a_listener_brings_about_overtakes_none},
    {"a session that comes back too late is lost", a_session_that_comes_back_too_late_is_lost},
    {"a session that was confirmed meanwhile goes on", a_session_that_was_confirmed_meanwhile_goes_on},
    {"the deadline counts from when the session was asked for",
     the_deadline_counts_from_when_the_session_was_asked_for},
    {"the namespace is there for what was asked before connecting",
     the_namespace_is_there_for_what_was_asked_before_connecting},
};
SPEC_MAIN(cases)
