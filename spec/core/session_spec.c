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

static void a_namespace_that_could_not_be_made_is_asked_for_again(void) {
    puppet_open(&puppet, "/prod/app");
    puppet_connect(&puppet, 1, false);
    puppet_answer(&puppet, MW_EIO, "the disk");
    puppet.events->disconnected(puppet.events_arg, NULL);
    puppet_connect(&puppet, 1, true);
    puppet_expect(&puppet, MW_WRITE, MW_CREATE);
    close_puppet();
}

static mw_time begun;

/* A session of 10 s, and a listener. */
static mw_listener *watch_session(spec_heard *heard) {
    *heard = (spec_heard){0};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    begun = mw_world_now(puppet.world);
    return mw_listen(puppet.registry, hear, heard);
}

static void leave_session(mw_listener *listener) {
    mw_unlisten(listener);
    close_puppet();
}

/* So long after it began. */
static void reach(mw_time when) {
    mw_world_advance(puppet.world, begun + when - mw_world_now(puppet.world));
}

static void it_is_lost_a_little_before_the_server_may_end_it(void) {
    static const mw_state all[] = {MW_CONNECTED, MW_LOST};
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    CHECK_INT(mw_registry_deadline(puppet.registry), begun + 9800 * MW_MS);
    reach(9799 * MW_MS);
    check_heard(&heard, all, 1);
    reach(9800 * MW_MS);
    check_heard(&heard, all, 2);
    CHECK_INT(puppet.given_up, 1);
    leave_session(listener);
}

static void each_confirmed_renewal_moves_the_deadline_and_none_moves_it_back(void) {
    static const mw_state all[] = {MW_CONNECTED, MW_LOST};
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    reach(4 * MW_SECOND);
    puppet.events->confirmed(puppet.events_arg, begun + 3 * MW_SECOND);
    puppet.events->confirmed(puppet.events_arg, begun + MW_SECOND);
    CHECK_INT(mw_registry_deadline(puppet.registry), begun + 12800 * MW_MS);
    reach(12799 * MW_MS);
    check_heard(&heard, all, 1);
    reach(12800 * MW_MS);
    check_heard(&heard, all, 2);
    leave_session(listener);
}

static void what_was_declared_lost_stays_lost(void) {
    static const mw_state all[] = {MW_CONNECTED, MW_LOST, MW_CONNECTED};
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    reach(10 * MW_SECOND);
    puppet_connect(&puppet, 1, true); /* it was on the way */
    check_heard(&heard, all, 2);
    CHECK_INT(puppet.given_up, 2);
    reach(20 * MW_SECOND);
    puppet_connect(&puppet, 2, false);
    check_heard(&heard, all, 3);
    CHECK_INT(mw_registry_deadline(puppet.registry), begun + 29800 * MW_MS); /* of the new one */
    leave_session(listener);
}

static void a_new_session_in_place_of_the_old_one_is_heard_as_its_loss(void) {
    static const mw_state all[] = {MW_CONNECTED, MW_SUSPENDED, MW_LOST, MW_CONNECTED};
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    mw_world_advance(puppet.world, MW_MS);
    puppet.events->disconnected(puppet.events_arg, NULL);
    puppet_connect(&puppet, 2, false);
    check_heard(&heard, all, 4);
    leave_session(listener);
}

static void only_what_was_connected_is_suspended(void) {
    static const mw_state all[] = {MW_CONNECTED, MW_LOST};
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    reach(10 * MW_SECOND);
    puppet.events->disconnected(puppet.events_arg, NULL);
    check_heard(&heard, all, 2);
    leave_session(listener);
}

static spec_heard newcomer;
static mw_listener *newcomers_listener;

static void invite(void *arg, const mw_connection_event *event) {
    if (event->state != MW_CONNECTED)
        return;
    newcomers_listener = mw_listen(puppet.registry, hear, &newcomer);
    mw_registry_check_session(puppet.registry);
}

/* It is added while a state is told, and another comes of that before it was greeted. */
static void a_listener_that_is_added_meanwhile_hears_each_state_once(void) {
    static const mw_state all[] = {MW_CONNECTED, MW_LOST};
    newcomer = (spec_heard){0};
    puppet_open(&puppet, NULL);
    mw_world_advance(puppet.world, 60 * MW_SECOND);
    mw_listener *listener = mw_listen(puppet.registry, invite, NULL);
    mw_world_advance(puppet.world, MW_MS);
    puppet.events->confirmed(puppet.events_arg, MW_SECOND); /* long ago */
    puppet_connect(&puppet, 1, false);
    mw_world_advance(puppet.world, MW_MS);
    check_heard(&newcomer, all, 2);
    mw_unlisten(newcomers_listener);
    leave_session(listener);
}

/* ---- The loss of a session, and locks */

static const spec_heard *listeners;
static size_t states_before_loss;
static int attempt;

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {
    attempt = status;
}

static void lost(void *arg, const mw_error *why) {
    states_before_loss = listeners->count;
}

static mw_lock *queue_up(void) {
    static const mw_lock_events events = {.acquired = acquired, .lost = lost};
    mw_lock *lock = NULL;
    attempt = 1;
    CHECK_INT(mw_lock_new(puppet.registry, S("/l"), S(""), &events, NULL, &lock, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    return lock;
}

static void listeners_hear_of_the_loss_before_any_lock_does(void) {
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    listeners = &heard;
    mw_lock *lock = queue_up();
    puppet_grant(&puppet, 7);
    CHECK_INT(attempt, MW_OK);
    states_before_loss = 0;
    reach(10 * MW_SECOND);
    CHECK_INT(states_before_loss, 2); /* connected, lost */
    mw_lock_free(lock);
    leave_session(listener);
}

/* Where its ticket tells of the loss first. */
static void listeners_hear_of_the_loss_before_the_lock_that_knows_of_it(void) {
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    listeners = &heard;
    mw_lock *lock = queue_up();
    mw_world_advance(puppet.world, MW_MS);
    puppet_grant(&puppet, 7);
    states_before_loss = 0;
    puppet_end_ticket(&puppet, MW_ESESSION_LOST);
    CHECK_INT(states_before_loss, 2);
    mw_lock_free(lock);
    leave_session(listener);
}

static void a_grant_that_comes_after_the_deadline_is_none(void) {
    spec_heard heard;
    mw_listener *listener = watch_session(&heard);
    mw_lock *lock = queue_up();
    mw_virtual_pause(puppet.host);
    reach(60 * MW_SECOND);
    mw_virtual_resume(puppet.host);
    puppet_grant(&puppet, 7); /* before the timer ran */
    CHECK_INT(attempt, MW_ESESSION_LOST);
    CHECK(!mw_lock_held(lock));
    mw_lock_free(lock);
    leave_session(listener);
}

static const spec_case cases[] = {
    {"a state that a listener brings about overtakes none", a_state_that_a_listener_brings_about_overtakes_none},
    {"a session that comes back too late is lost", a_session_that_comes_back_too_late_is_lost},
    {"a session that was confirmed meanwhile goes on", a_session_that_was_confirmed_meanwhile_goes_on},
    {"the deadline counts from when the session was asked for",
     the_deadline_counts_from_when_the_session_was_asked_for},
    {"it is lost a little before the server may end it", it_is_lost_a_little_before_the_server_may_end_it},
    {"each confirmed renewal moves the deadline, and none moves it back",
     each_confirmed_renewal_moves_the_deadline_and_none_moves_it_back},
    {"what was declared lost stays lost", what_was_declared_lost_stays_lost},
    {"a new session in place of the old one is heard as its loss",
     a_new_session_in_place_of_the_old_one_is_heard_as_its_loss},
    {"only what was connected is suspended", only_what_was_connected_is_suspended},
    {"a listener that is added meanwhile hears each state once",
     a_listener_that_is_added_meanwhile_hears_each_state_once},
    {"listeners hear of the loss before any lock does", listeners_hear_of_the_loss_before_any_lock_does},
    {"listeners hear of the loss before the lock that knows of it",
     listeners_hear_of_the_loss_before_the_lock_that_knows_of_it},
    {"a grant that comes after the deadline is none", a_grant_that_comes_after_the_deadline_is_none},
    {"a namespace that could not be made is asked for again", a_namespace_that_could_not_be_made_is_asked_for_again},
    {"the namespace is there for what was asked before connecting",
     the_namespace_is_there_for_what_was_asked_before_connecting},
};
SPEC_MAIN(cases)
