/* Locks, elections and registrations over the memory backend, in virtual time. */
#include <moonwatch/registry.h>

#include "support/check.h"
#include "support/cluster.h"

#define S(text) mw_str_of(text)

static spec_cluster space;
static spec_client one, two;

static void open_two(void) {
    cluster_open(&space);
    client_open(&space, NULL, &one);
    client_open(&space, "/", &two);
}

static void close_two(void) {
    CHECK_INT(mw_registry_handles(one.registry), 0);
    CHECK_INT(mw_registry_handles(two.registry), 0);
    client_close(&space, &two);
    client_close(&space, &one);
    mw_memory_counts counts;
    mw_memory_count(space.server, &counts);
    CHECK_INT(counts.tickets, 0);
    CHECK_INT(counts.sessions, 0);
    cluster_close(&space);
}

/* What a lock, an election or a registration reported. */
typedef struct spec_news {
    unsigned attempts; /* that ended */
    int status;
    int64_t token;
    unsigned losses;
    unsigned terms;
    unsigned depositions;
} spec_news;

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {
    spec_news *news = arg;
    CHECK((status == MW_OK) == (error == NULL));
    news->attempts++;
    news->status = status;
    news->token = token;
}

static void lost(void *arg, const mw_error *why) {
    CHECK(why->message[0]);
    ((spec_news *)arg)->losses++;
}

static const mw_lock_events lock_events = {.acquired = acquired, .lost = lost};

static mw_lock *new_lock(spec_client *client, spec_news *news) {
    mw_lock *lock = NULL;
    *news = (spec_news){0};
    CHECK_INT(mw_lock_new(client->registry, S("/locks/a"), S("me"), &lock_events, news, &lock, NULL), MW_OK);
    return lock;
}

static void acquire(mw_lock *lock, spec_news *news) {
    unsigned before = news->attempts;
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    CHECK_INT(news->attempts, before);
    cluster_pass(&space, MW_MS);
}

static void hands_over_in_order_with_growing_tokens(void) {
    open_two();
    spec_news a, b;
    mw_lock *first = new_lock(&one, &a), *second = new_lock(&two, &b);
    acquire(first, &a);
    acquire(second, &b);
    CHECK_INT(a.attempts, 1);
    CHECK_INT(a.status, MW_OK);
    CHECK_INT(b.attempts, 0);
    CHECK_INT(mw_lock_release(first, NULL), MW_OK);
    CHECK(!mw_lock_held(first));
    cluster_pass(&space, MW_MS);
    CHECK_INT(b.attempts, 1);
    CHECK(b.token > a.token);
    CHECK_INT(a.losses, 0);
    mw_lock_free(first);
    mw_lock_free(second);
    close_two();
}

static void counts_reentry(void) {
    open_two();
    spec_news a;
    mw_lock *lock = new_lock(&one, &a);
    acquire(lock, &a);
    int64_t token = a.token;
    acquire(lock, &a);
    CHECK_INT(a.attempts, 2);
    CHECK_INT(a.token, token);
    CHECK_INT(mw_lock_release(lock, NULL), MW_OK);
    CHECK(mw_lock_held(lock));
    CHECK_INT(mw_lock_release(lock, NULL), MW_OK);
    CHECK(!mw_lock_held(lock));
    CHECK_INT(mw_lock_release(lock, NULL), MW_EINVALID);
    mw_lock_free(lock);
    close_two();
}

static void tries_and_times_out_without_a_trace(void) {
    open_two();
    spec_news a, b;
    mw_lock *holder = new_lock(&one, &a), *other = new_lock(&two, &b);
    acquire(holder, &a);
    CHECK_INT(mw_lock_acquire(other, 0, true, NULL), MW_OK);
    cluster_pass(&space, MW_MS);
    CHECK_INT(b.status, MW_EBUSY);
    CHECK_INT(mw_lock_acquire(other, 50 * MW_MS, false, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(other, 0, false, NULL), MW_EINVALID);
    cluster_pass(&space, MW_SECOND);
    CHECK_INT(b.status, MW_ETIMEOUT);
    CHECK_INT(mw_lock_acquire(other, 0, false, NULL), MW_OK);
    mw_lock_cancel(other);
    cluster_pass(&space, MW_MS);
    CHECK_INT(b.status, MW_ECANCELLED);
    mw_memory_counts counts;
    mw_memory_count(space.server, &counts);
    CHECK_INT(counts.tickets, 1);
    mw_lock_free(holder);
    mw_lock_free(other);
    cluster_pass(&space, MW_MS);
    close_two();
}

static int guarded_put(spec_client *client, const mw_lock *lock) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = lock}, {.kind = MW_PUT, .path = S("/guarded"), .value = S("x")}};
    int status = mw_txn(client->registry, steps, 2, &call, NULL, NULL);
    if (status != MW_OK)
        return status;
    cluster_await(&space, &result);
    return result.status;
}

static void a_stopped_holder_hears_lost_and_its_guard_fails(void) {
    open_two();
    spec_news a, b;
    mw_lock *first = new_lock(&one, &a), *second = new_lock(&two, &b);
    acquire(first, &a);
    CHECK_INT(guarded_put(&one, first), MW_OK);
    acquire(second, &b);
    mw_virtual_pause(one.host);
    cluster_pass(&space, 60 * MW_SECOND);
    CHECK_INT(b.attempts, 1);
    CHECK(b.token > a.token);
    mw_virtual_resume(one.host);
    mw_registry_check_session(one.registry);
    CHECK_INT(a.losses, 1);
    CHECK(!mw_lock_held(first));
    CHECK_INT(guarded_put(&one, first), MW_EFENCED);
    CHECK_INT(guarded_put(&two, second), MW_OK);
    mw_lock_free(first);
    mw_lock_free(second);
    cluster_pass(&space, MW_SECOND);
    close_two();
}

static void elected(void *arg, int64_t token) {
    ((spec_news *)arg)->terms++;
    ((spec_news *)arg)->token = token;
}

static void deposed(void *arg, const mw_error *why) {
    CHECK(why->message[0]);
    ((spec_news *)arg)->depositions++;
}

static void election_failed(void *arg, const mw_error *why) {
    ((spec_news *)arg)->status = why->code;
}

static const mw_election_events election_events = {.elected = elected, .deposed = deposed, .failed = election_failed};

static mw_election *stand(spec_client *client, const char *record, spec_news *news) {
    mw_election *election = NULL;
    *news = (spec_news){0};
    CHECK_INT(mw_election_new(client->registry, S("/elect"), S(record), &election_events, news, &election, NULL),
              MW_OK);
    cluster_pass(&space, MW_MS);
    return election;
}

static void check_leader(const char *record) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_get(two.registry, S("/elect/leader"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    CHECK_INT(result.status, MW_OK);
    CHECK_TEXT(result.value, record);
}

static void elects_one_leader_whose_record_is_readable(void) {
    open_two();
    spec_news a, b;
    mw_election *first = stand(&one, "first", &a), *second = stand(&two, "second", &b);
    CHECK_INT(a.terms, 1);
    CHECK_INT(b.terms, 0);
    CHECK(mw_election_leads(first) && !mw_election_leads(second));
    check_leader("first");
    CHECK_INT(mw_election_resign(first, NULL), MW_OK);
    CHECK_INT(a.depositions, 1);
    cluster_pass(&space, MW_MS);
    CHECK_INT(b.terms, 1);
    CHECK(b.token > a.token);
    check_leader("second");
    mw_election_free(second);
    cluster_pass(&space, MW_SECOND);
    CHECK_INT(a.terms, 2); /* it queued again behind */
    check_leader("first");
    mw_election_free(first);
    cluster_pass(&space, MW_MS);
    close_two();
}

static mw_election *restless;

static void resigns(void *arg, int64_t token) {
    elected(arg, token);
    CHECK_INT(mw_election_resign(restless, NULL), MW_OK);
}

/* Nobody else stands: without a pause it would be elected as often as the registry can. */
static void who_resigns_at_once_does_not_keep_the_registry_busy(void) {
    static const mw_election_events events = {.elected = resigns, .deposed = deposed, .failed = election_failed};
    cluster_open(&space);
    client_open(&space, NULL, &one);
    spec_news news = {0};
    CHECK_INT(mw_election_new(one.registry, S("/elect"), S("x"), &events, &news, &restless, NULL), MW_OK);
    cluster_pass(&space, MW_SECOND);
    CHECK(news.terms >= 5 && news.terms <= 11);
    CHECK_INT(news.depositions, news.terms);
    mw_election_free(restless);
    client_close(&space, &one);
    cluster_close(&space);
}

static void a_deposed_leader_stands_again(void) {
    open_two();
    spec_news a, b;
    mw_election *first = stand(&one, "first", &a), *second = stand(&two, "second", &b);
    mw_virtual_pause(one.host);
    cluster_pass(&space, 60 * MW_SECOND);
    CHECK_INT(b.terms, 1);
    check_leader("second");
    mw_virtual_resume(one.host);
    cluster_pass(&space, MW_SECOND);
    CHECK_INT(a.depositions, 1);
    mw_election_free(second);
    cluster_pass(&space, MW_SECOND);
    CHECK_INT(a.terms, 2);
    check_leader("first");
    mw_election_free(first);
    cluster_pass(&space, MW_MS);
    close_two();
}

static void closing_deposes_once(void) {
    cluster_open(&space);
    client_open(&space, NULL, &one);
    spec_news a;
    mw_election *first = stand(&one, "first", &a);
    client_close(&space, &one);
    CHECK_INT(a.depositions, 1);
    mw_election_free(first);
    cluster_close(&space);
}

static void registered(void *arg, int status, const mw_error *error) {
    ((spec_news *)arg)->attempts++;
    ((spec_news *)arg)->status = status;
}

static const mw_registration_events registration_events = {.registered = registered};

static mw_registration *enrol(spec_client *client, const char *value, spec_news *news) {
    mw_registration *reg = NULL;
    *news = (spec_news){0};
    CHECK_INT(mw_register(client->registry, S("/nodes/n"), S(value), MW_SECOND, &registration_events, news, &reg, NULL),
              MW_OK);
    CHECK_INT(news->attempts, 0);
    cluster_pass(&space, 100 * MW_MS);
    return reg;
}

static spec_outcome read_node(void) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_get(two.registry, S("/nodes/n"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    return result;
}

static void writes_again_with_the_current_value_in_a_new_session(void) {
    open_two();
    spec_news a;
    mw_registration *reg = enrol(&one, "old", &a);
    CHECK_INT(a.status, MW_OK);
    CHECK_TEXT(read_node().value, "old");
    CHECK_INT(mw_registration_set(reg, S("new"), NULL), MW_OK);
    cluster_pass(&space, MW_MS);
    CHECK_TEXT(read_node().value, "new");
    mw_virtual_pause(one.host);
    cluster_pass(&space, 60 * MW_SECOND);
    CHECK_INT(read_node().status, MW_ENOT_FOUND);
    mw_virtual_resume(one.host);
    cluster_pass(&space, 5 * MW_SECOND);
    CHECK_INT(a.attempts, 2);
    CHECK_TEXT(read_node().value, "new");
    mw_registration_free(reg);
    cluster_pass(&space, MW_MS);
    CHECK_INT(read_node().status, MW_ENOT_FOUND);
    close_two();
}

static void waits_for_a_stranger_then_gives_up(void) {
    open_two();
    spec_news a, b;
    mw_registration *mine = enrol(&one, "mine", &a);
    mw_registration *theirs = enrol(&two, "theirs", &b);
    CHECK_INT(b.attempts, 0);
    cluster_pass(&space, 2 * MW_SECOND);
    CHECK_INT(b.status, MW_EEXISTS);
    CHECK_TEXT(read_node().value, "mine");
    mw_registration_free(theirs);
    theirs = enrol(&two, "theirs", &b);
    mw_registration_free(mine);
    cluster_pass(&space, MW_MS);
    CHECK_INT(b.status, MW_OK);
    CHECK_TEXT(read_node().value, "theirs");
    mw_registration_free(theirs);
    cluster_pass(&space, MW_MS);
    close_two();
}

static void ends_its_own_leftover_by_its_secret(void) {
    open_two();
    spec_news a, b;
    unsigned char secret[MW_SECRET_SIZE];
    CHECK_INT(mw_registry_secret(one.registry, secret), MW_OK);
    mw_session_id id = mw_registry_session(one.registry);
    mw_registration *before = enrol(&one, "before", &a);
    mw_virtual_pause(one.host); /* as good as dead */
    CHECK_INT(mw_registry_adopt(two.registry, id, secret), MW_OK);
    mw_registration *after = enrol(&two, "after", &b);
    CHECK_INT(b.status, MW_OK);
    CHECK_TEXT(read_node().value, "after");
    mw_registration_free(after);
    mw_virtual_resume(one.host);
    mw_registration_free(before);
    cluster_pass(&space, 10 * MW_SECOND);
    close_two();
}

static const spec_case cases[] = {
    {"hands over in order, with growing tokens", hands_over_in_order_with_growing_tokens},
    {"counts re-entry", counts_reentry},
    {"tries and times out without a trace", tries_and_times_out_without_a_trace},
    {"a stopped holder hears lost, and its guard fails", a_stopped_holder_hears_lost_and_its_guard_fails},
    {"elects one leader, whose record is readable", elects_one_leader_whose_record_is_readable},
    {"who resigns at once does not keep the registry busy", who_resigns_at_once_does_not_keep_the_registry_busy},
    {"a deposed leader stands again", a_deposed_leader_stands_again},
    {"closing deposes once", closing_deposes_once},
    {"writes again with the current value in a new session", writes_again_with_the_current_value_in_a_new_session},
    {"waits for a stranger, then gives up", waits_for_a_stranger_then_gives_up},
    {"ends its own leftover by its secret", ends_its_own_leftover_by_its_secret},
};
SPEC_MAIN(cases)
