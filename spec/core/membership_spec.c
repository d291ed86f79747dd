/* Registrations and elections where something goes wrong: refused records, deadlines, what is withdrawn meanwhile. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/cluster.h"
#include "support/puppet.h"

#define S(text) mw_str_of(text)

static spec_cluster space;
static spec_client one, two;
static spec_puppet puppet;

static void open_two(void) {
    cluster_open(&space);
    client_open(&space, NULL, &one);
    client_open(&space, NULL, &two);
}

static void close_two(void) {
    CHECK_INT(mw_registry_handles(one.registry), 0);
    CHECK_INT(mw_registry_handles(two.registry), 0);
    client_close(&space, &two);
    client_close(&space, &one);
    cluster_close(&space);
}

typedef struct spec_news {
    unsigned attempts; /* that ended */
    int status;
    unsigned terms, depositions, failures;
    mw_election *gone; /* `deposed` frees it */
} spec_news;

static void registered(void *arg, int status, const mw_error *error) {
    ((spec_news *)arg)->attempts++;
    ((spec_news *)arg)->status = status;
}

static void elected(void *arg, int64_t token) {
    ((spec_news *)arg)->terms++;
}

static void deposed(void *arg, const mw_error *why) {
    spec_news *news = arg;
    news->depositions++;
    mw_election_free(news->gone);
    news->gone = NULL;
}

static void failed(void *arg, const mw_error *why) {
    ((spec_news *)arg)->failures++;
    ((spec_news *)arg)->status = why->code;
}

static const mw_registration_events registration_events = {.registered = registered};
static const mw_election_events election_events = {.elected = elected, .deposed = deposed, .failed = failed};

static mw_registration *enrol(spec_client *client, mw_time timeout, spec_news *news) {
    mw_registration *reg = NULL;
    *news = (spec_news){0};
    CHECK_INT(mw_register(client->registry, S("/n"), S("v"), timeout, &registration_events, news, &reg, NULL), MW_OK);
    cluster_pass(&space, 100 * MW_MS);
    return reg;
}

static mw_election *stand(mw_registry *registry, spec_news *news) {
    mw_election *election = NULL;
    *news = (spec_news){0};
    CHECK_INT(mw_election_new(registry, S("/e"), S("me"), &election_events, news, &election, NULL), MW_OK);
    return election;
}

static int stat_node(void) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    call.fresh = true;
    CHECK_INT(mw_stat(two.registry, S("/n"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    return result.status;
}

static void a_registration_freed_while_suspended_is_withdrawn_after_it(void) {
    open_two();
    spec_news a;
    mw_registration *reg = enrol(&one, MW_SECOND, &a);
    CHECK_INT(mw_memory_disconnect(space.server, mw_registry_session(one.registry), MW_SECOND), MW_OK);
    cluster_pass(&space, 100 * MW_MS);
    CHECK_INT(mw_registry_state(one.registry), MW_SUSPENDED);
    mw_registration_free(reg);
    CHECK_INT(stat_node(), MW_OK);
    cluster_pass(&space, 4 * MW_SECOND);
    CHECK_INT(mw_registry_state(one.registry), MW_RECONNECTED);
    CHECK_INT(stat_node(), MW_ENOT_FOUND);
    close_two();
}

/* Others take the place one after the other: the deadline of who waits for it stands. */
static void a_registration_gives_up_when_it_said_it_would(void) {
    open_two();
    spec_news a;
    spec_outcome written;
    mw_call call = outcome_call(&written);
    CHECK_INT(mw_create(two.registry, S("/n"), S("theirs"), true, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &written);
    mw_registration *reg = enrol(&one, MW_SECOND, &a);
    for (int i = 0; i < 4; i++) {
        static const mw_step swap[2][1] = {{{.kind = MW_DELETE, .version = MW_VERSION_ANY}},
                                           {{.kind = MW_CREATE, .ephemeral = true}}};
        for (int j = 0; j < 2; j++) {
            mw_step step = swap[j][0];
            step.path = S("/n");
            CHECK_INT(mw_txn(two.registry, &step, 1, &(mw_call){0}, NULL, NULL), MW_OK);
        }
        cluster_pass(&space, 400 * MW_MS);
    }
    CHECK_INT(a.attempts, 1);
    CHECK_INT(a.status, MW_EEXISTS);
    mw_registration_free(reg);
    cluster_pass(&space, MW_SECOND);
    close_two();
}

static void a_record_that_is_too_large_is_refused_at_once(void) {
    open_two();
    spec_news a;
    size_t len = 1100000;
    char *record = calloc(1, len);
    mw_election *election = NULL;
    mw_error err;
    CHECK_INT(mw_election_new(one.registry, S("/e"), (mw_str){record, len}, &election_events, &a, &election, &err),
              MW_ETOO_LARGE);
    free(record);
    cluster_pass(&space, MW_SECOND);
    mw_memory_counts counts;
    mw_memory_count(space.server, &counts);
    CHECK_INT(counts.tickets, 0);
    close_two();
}

typedef struct spec_loss {
    unsigned times;
    int code;
} spec_loss;

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {}

static void lost(void *arg, const mw_error *why) {
    ((spec_loss *)arg)->times++;
    ((spec_loss *)arg)->code = why->code;
}

/* The next holder is heard of before the end of the session is. */
static int loss_after(mw_time pause) {
    static const mw_lock_events lock_events = {.acquired = acquired, .lost = lost};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    spec_loss loss = {0};
    mw_lock *lock = NULL;
    CHECK_INT(mw_lock_new(puppet.registry, S("/l"), S(""), &lock_events, &loss, &lock, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    puppet_grant(&puppet, 7);
    mw_virtual_pause(puppet.host);
    mw_world_advance(puppet.world, pause);
    mw_virtual_resume(puppet.host);
    puppet_end_ticket(&puppet, MW_EFENCED);
    CHECK_INT(loss.times, 1);
    CHECK(!mw_lock_held(lock));
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    CHECK_INT(loss.times, 1);
    mw_lock_free(lock);
    puppet_release(&puppet);
    return loss.code;
}

static void a_holder_that_was_stopped_past_its_session_hears_that_as_the_reason(void) {
    CHECK_INT(loss_after(60 * MW_SECOND), MW_ESESSION_LOST);
    CHECK_INT(loss_after(MW_SECOND), MW_EFENCED);
}

static void who_may_not_write_its_record_holds_nobody_up(void) {
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    spec_news a;
    mw_election *election = stand(puppet.registry, &a);
    puppet_grant(&puppet, 7);
    puppet_answer(&puppet, MW_EDENIED, "no right to write /e/leader");
    CHECK_INT(a.failures, 1);
    CHECK_INT(a.status, MW_EDENIED);
    CHECK(!mw_lock_held(mw_election_lock(election)));
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK_INT(puppet.ticket_count, 1); /* it does not stand again */
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    mw_election_free(election);
    puppet_release(&puppet);
}

/* Others hold the place; the registration has read so, and what it reads next is up to the case. */
static mw_registration *enrol_behind_another(spec_news *news) {
    mw_registration *reg = NULL;
    *news = (spec_news){0};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_FOREVER, &registration_events, news, &reg, NULL), MW_OK);
    mw_world_advance(puppet.world, MW_MS);
    puppet_answer(&puppet, MW_EEXISTS, NULL);
    mw_world_advance(puppet.world, MW_MS);
    puppet_row(&puppet, "/n", 99);
    puppet_answer(&puppet, MW_OK, NULL);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(puppet.request_count, 0); /* it waits */
    return reg;
}

static void leave_puppet(mw_registration *reg) {
    mw_registration_free(reg);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

/* The first that is told of the place is that nothing stands there. */
static void a_place_that_was_left_before_it_was_watched_is_taken(void) {
    spec_news a;
    mw_registration *reg = enrol_behind_another(&a);
    puppet.feed->begin(puppet.feed);
    puppet.feed->synced(puppet.feed, 2);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(puppet.request_count, 1);
    puppet_answer(&puppet, MW_OK, NULL);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(a.attempts, 1);
    CHECK_INT(a.status, MW_OK);
    leave_puppet(reg);
}

/* What is told of it may be older than what was read. */
static void a_place_that_was_empty_before_it_was_read_is_waited_for(void) {
    spec_news a;
    mw_registration *reg = enrol_behind_another(&a);
    puppet.feed->begin(puppet.feed);
    puppet.feed->synced(puppet.feed, 0);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(puppet.request_count, 0);
    leave_puppet(reg);
}

static void a_registration_without_a_connection_fails_at_its_deadline(void) {
    spec_news a = {0};
    mw_registration *reg = NULL;
    puppet_open(&puppet, NULL);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_SECOND, &registration_events, &a, &reg, NULL), MW_OK);
    mw_world_advance(puppet.world, 999 * MW_MS);
    CHECK_INT(a.attempts, 0);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(a.attempts, 1);
    CHECK_INT(a.status, MW_ETIMEOUT);
    puppet_connect(&puppet, 1, false);
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK_INT(puppet.request_count, 0); /* not tried further */
    CHECK_INT(a.attempts, 1);
    leave_puppet(reg);
}

/* Its answer does not come in time. What it did is taken out, once it is known to be ours. */
static void a_registration_that_failed_at_its_deadline_leaves_nothing(void) {
    spec_news a = {0};
    mw_registration *reg = NULL;
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_SECOND, &registration_events, &a, &reg, NULL), MW_OK);
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK_INT(a.attempts, 1);
    CHECK_INT(a.status, MW_ETIMEOUT);
    puppet_answer(&puppet, MW_OK, NULL);
    puppet_expect(&puppet, MW_WRITE, MW_DELETE);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(puppet.request_count, 0);
    CHECK_INT(a.attempts, 1);
    leave_puppet(reg);
}

/* A create that came back unsent is not sent again for somebody who has gone. */
static void a_registration_that_was_freed_is_not_written_after_a_reconnect(void) {
    spec_news a = {0};
    mw_registration *reg = NULL;
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_SECOND, &registration_events, &a, &reg, NULL), MW_OK);
    mw_world_advance(puppet.world, MW_MS);
    mw_registration_free(reg);
    puppet.events->disconnected(puppet.events_arg, NULL);
    puppet_answer(&puppet, MW_EDISCONNECTED, NULL);
    puppet_connect(&puppet, 1, true);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(puppet.request_count, 0);
    leave_puppet(NULL);
}

static void a_withdrawal_whose_outcome_is_unknown_is_looked_after(void) {
    spec_news a = {0};
    mw_registration *reg = NULL;
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_SECOND, &registration_events, &a, &reg, NULL), MW_OK);
    puppet_answer(&puppet, MW_OK, NULL);
    mw_registration_free(reg);
    for (int i = 0; i < 3; i++) {
        puppet_row(&puppet, "/n", 1);
        puppet_answer(&puppet, MW_OK, NULL);
        puppet_expect(&puppet, MW_WRITE, MW_DELETE);
        puppet_answer(&puppet, MW_EUNKNOWN, NULL);
    }
    puppet_answer(&puppet, MW_ENOT_FOUND, NULL);
    CHECK_INT(puppet.request_count, 0);
    leave_puppet(NULL);
}

/* The deadline is that of the first time; later on it bounds the wait for another only. */
static void a_registration_that_was_visible_goes_on_trying(void) {
    spec_news a = {0};
    mw_registration *reg = NULL;
    mw_entry theirs = {.path = S("/n"), .revision = 5, .created = 5, .owner = 99};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_SECOND, &registration_events, &a, &reg, NULL), MW_OK);
    puppet_answer(&puppet, MW_OK, NULL);
    mw_world_advance(puppet.world, MW_MS);
    puppet.feed->begin(puppet.feed);
    puppet.feed->entry(puppet.feed, &theirs);
    puppet.feed->synced(puppet.feed, 5);
    puppet.feed->gone(puppet.feed, theirs.path, 6);
    mw_world_advance(puppet.world, 3 * MW_SECOND);
    CHECK_INT(a.attempts, 1);
    puppet_expect(&puppet, MW_WRITE, MW_CREATE);
    leave_puppet(reg);
}

/* Who took the place twice, a long time apart, is waited for twice. */
static void patience_begins_anew_when_the_place_is_taken_again(void) {
    static const mw_step taking[] = {{.kind = MW_DELETE, .version = MW_VERSION_ANY}, {.kind = MW_CREATE}};
    open_two();
    spec_news a;
    mw_registration *reg = enrol(&one, MW_SECOND, &a);
    for (int times = 0; times < 2; times++) {
        for (int i = 0; i < 2; i++) {
            mw_step step = taking[i];
            step.path = S("/n");
            CHECK_INT(mw_txn(two.registry, &step, 1, &(mw_call){0}, NULL, NULL), MW_OK);
        }
        cluster_pass(&space, 700 * MW_MS);
        CHECK_INT(mw_delete(two.registry, S("/n"), MW_VERSION_ANY, &(mw_call){0}, NULL, NULL), MW_OK);
        cluster_pass(&space, MW_SECOND);
        CHECK_INT(a.attempts, 1);
        CHECK(mw_registration_visible(reg));
    }
    mw_registration_free(reg);
    cluster_pass(&space, MW_SECOND);
    close_two();
}

static void who_hears_that_it_resigned_may_free_the_election(void) {
    open_two();
    spec_news a;
    mw_election *election = stand(one.registry, &a);
    cluster_pass(&space, MW_MS);
    CHECK_INT(a.terms, 1);
    a.gone = election;
    CHECK_INT(mw_election_resign(election, NULL), MW_OK);
    CHECK_INT(a.depositions, 1);
    cluster_pass(&space, MW_SECOND);
    close_two();
}

static const spec_case cases[] = {
    {"a registration freed while suspended is withdrawn after it",
     a_registration_freed_while_suspended_is_withdrawn_after_it},
    {"a registration gives up when it said it would", a_registration_gives_up_when_it_said_it_would},
    {"a record that is too large is refused at once", a_record_that_is_too_large_is_refused_at_once},
    {"a holder that was stopped past its session hears that as the reason",
     a_holder_that_was_stopped_past_its_session_hears_that_as_the_reason},
    {"who may not write its record holds nobody up", who_may_not_write_its_record_holds_nobody_up},
    {"a place that was left before it was watched is taken", a_place_that_was_left_before_it_was_watched_is_taken},
    {"a place that was empty before it was read is waited for",
     a_place_that_was_empty_before_it_was_read_is_waited_for},
    {"a registration without a connection fails at its deadline",
     a_registration_without_a_connection_fails_at_its_deadline},
    {"a registration that failed at its deadline leaves nothing",
     a_registration_that_failed_at_its_deadline_leaves_nothing},
    {"a registration that was freed is not written after a reconnect",
     a_registration_that_was_freed_is_not_written_after_a_reconnect},
    {"a withdrawal whose outcome is unknown is looked after", a_withdrawal_whose_outcome_is_unknown_is_looked_after},
    {"a registration that was visible goes on trying", a_registration_that_was_visible_goes_on_trying},
    {"patience begins anew when the place is taken again", patience_begins_anew_when_the_place_is_taken_again},
    {"who hears that it resigned may free the election", who_hears_that_it_resigned_may_free_the_election},
};
SPEC_MAIN(cases)
