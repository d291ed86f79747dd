/* Locks and elections at moments that a real backend seldom hits: what is under way when the session goes, the
 * connection is gone, or the registry closes. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/cluster.h"
#include "support/puppet.h"

#define S(text) mw_str_of(text)

static spec_puppet puppet;

typedef struct spec_news {
    unsigned attempts, losses; /* of the lock */
    int status;
    char message[384];
    unsigned terms, depositions, failures; /* of the election */
} spec_news;

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {
    spec_news *news = arg;
    news->attempts++;
    news->status = status;
    snprintf(news->message, sizeof news->message, "%s", error ? error->message : "");
}

static void lost(void *arg, const mw_error *why) {
    ((spec_news *)arg)->losses++;
}

static void elected(void *arg, int64_t token) {
    ((spec_news *)arg)->terms++;
}

static void deposed(void *arg, const mw_error *why) {
    ((spec_news *)arg)->depositions++;
}

static void failed(void *arg, const mw_error *why) {
    ((spec_news *)arg)->failures++;
}

static const mw_lock_events lock_events = {.acquired = acquired, .lost = lost};
static const mw_election_events election_events = {.elected = elected, .deposed = deposed, .failed = failed};

static mw_lock *new_lock(spec_news *news) {
    mw_lock *lock = NULL;
    *news = (spec_news){0};
    CHECK_INT(mw_lock_new(puppet.registry, S("/l"), S(""), &lock_events, news, &lock, NULL), MW_OK);
    return lock;
}

static mw_lock *hold(const char *name_space, spec_news *news) {
    puppet_open(&puppet, name_space);
    puppet_connect(&puppet, 1, false);
    mw_lock *lock = new_lock(news);
    CHECK_INT(mw_lock_acquire(lock, MW_SECOND, false, NULL), MW_OK);
    puppet_grant(&puppet, 7);
    CHECK_INT(news->attempts, 1);
    CHECK_INT(news->status, MW_OK);
    return lock;
}

static void turn(void) {
    mw_world_advance(puppet.world, MW_MS);
}

static void close_puppet(void) {
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void leave(mw_lock *lock) {
    mw_lock_free(lock);
    close_puppet();
}

/* ---- Locks */

static void who_asks_without_a_connection_queues_when_there_is_one(void) {
    spec_news news;
    puppet_open(&puppet, NULL);
    mw_lock *lock = new_lock(&news);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    CHECK_INT(puppet.ticket_count, 0);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(puppet.ticket_count, 1);
    leave(lock);
}

static void who_tries_without_a_connection_is_told_so(void) {
    spec_news news;
    puppet_open(&puppet, NULL);
    mw_lock *lock = new_lock(&news);
    CHECK_INT(mw_lock_acquire(lock, 0, true, NULL), MW_OK);
    CHECK_INT(news.attempts, 0);
    turn();
    CHECK_INT(news.attempts, 1);
    CHECK_INT(news.status, MW_EDISCONNECTED);
    leave(lock);
}

static void a_hold_does_not_time_out(void) {
    spec_news news;
    mw_lock *lock = hold(NULL, &news);
    mw_world_advance(puppet.world, 5 * MW_SECOND);
    CHECK(mw_lock_held(lock));
    CHECK_INT(news.attempts, 1);
    leave(lock);
}

static void re_entry_that_the_loss_overtakes_fails(void) {
    spec_news news;
    mw_lock *lock = hold(NULL, &news);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    puppet_end_ticket(&puppet, MW_EFENCED);
    CHECK_INT(news.losses, 1);
    turn();
    CHECK_INT(news.attempts, 2);
    CHECK_INT(news.status, MW_ESESSION_LOST);
    leave(lock);
}

static void re_entry_that_the_close_overtakes_fails(void) {
    spec_news news;
    mw_lock *lock = hold(NULL, &news);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    CHECK_INT(news.attempts, 2);
    CHECK_INT(news.status, MW_ECLOSED);
    mw_lock_free(lock);
    puppet_release(&puppet);
}

static void an_attempt_whose_end_is_not_told_yet_is_under_way(void) {
    spec_news news;
    puppet_open(&puppet, NULL);
    mw_lock *lock = new_lock(&news);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    mw_lock_cancel(lock);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_EINVALID);
    turn();
    CHECK_INT(news.attempts, 1);
    CHECK_INT(news.status, MW_ECANCELLED);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    leave(lock);
}

static const mw_lock *judged;
static bool held_when_lost;

static void judge(void *arg, const mw_connection_event *event) {
    if (event->state == MW_LOST)
        held_when_lost = mw_lock_held(judged) || mw_lock_token(judged) != 0;
}

static void nothing_is_held_any_more_when_lost_is_heard(void) {
    spec_news news;
    mw_lock *lock = hold(NULL, &news);
    judged = lock;
    held_when_lost = true;
    mw_listener *listener = mw_listen(puppet.registry, judge, NULL);
    turn();
    puppet.events->expired(puppet.events_arg, NULL);
    CHECK(!held_when_lost);
    CHECK_INT(news.losses, 1);
    mw_unlisten(listener);
    leave(lock);
}

static void a_lock_that_was_released_guards_nothing_that_waits(void) {
    spec_news news;
    spec_outcome guarded;
    mw_call call = outcome_call(&guarded);
    mw_lock *lock = hold(NULL, &news);
    puppet.events->disconnected(puppet.events_arg, NULL);
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = lock}, {.kind = MW_PUT, .path = S("/a")}};
    CHECK_INT(mw_txn(puppet.registry, steps, 2, &call, NULL, NULL), MW_OK);
    CHECK_INT(mw_lock_release(lock, NULL), MW_OK);
    CHECK_INT(mw_txn(puppet.registry, steps, 2, &call, NULL, NULL), MW_EFENCED);
    puppet_connect(&puppet, 1, true);
    turn();
    CHECK_INT(puppet.request_count, 0);
    CHECK_INT(guarded.status, MW_EFENCED);
    leave(lock);
}

static void an_abandoned_registry_releases_nothing(void) {
    spec_news news;
    mw_lock *lock = hold(NULL, &news);
    mw_registry_abandon(puppet.registry, puppet_note_closed, &puppet);
    turn();
    CHECK(puppet.closing);
    CHECK_INT(puppet.unlocks, 0);
    puppet_finish_close(&puppet);
    mw_lock_free(lock);
    puppet_release(&puppet);
}

static void the_end_of_an_attempt_tells_nothing_of_the_namespace(void) {
    spec_news news;
    mw_error why;
    mw_lock *lock = hold("/a", &news);
    CHECK_INT(mw_lock_release(lock, NULL), MW_OK);
    puppet_end_ticket(&puppet, MW_OK);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    (void)mw_fail(&why, MW_EDENIED, "no right to /a/l");
    mw_ticket *ticket = puppet.tickets[0];
    puppet.ticket_count = 0;
    ticket->ended(ticket, MW_EDENIED, &why);
    CHECK_INT(news.status, MW_EDENIED);
    CHECK_TEXT(news.message, "no right to /l");
    leave(lock);
}

/* ---- Elections */

static mw_election *stand(spec_news *news) {
    mw_election *election = NULL;
    *news = (spec_news){0};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_election_new(puppet.registry, S("/e"), S("me"), &election_events, news, &election, NULL), MW_OK);
    puppet_grant(&puppet, 7);
    return election;
}

/* The oldest request is one guarded step of this kind. */
static void expect_guarded(mw_write_kind kind) {
    puppet_expect(&puppet, MW_WRITE, MW_CHECK_LOCK);
    const mw_request *request = puppet.requests[0];
    CHECK_INT(request->write_count, 2);
    CHECK_INT(request->writes[0].lock->token, 7);
    CHECK_INT(request->writes[1].kind, kind);
    CHECK(mw_str_equal(request->writes[1].path, S("/e/leader")));
    CHECK(kind != MW_CREATE || request->writes[1].ephemeral);
}

static void step_up(spec_news *news) {
    expect_guarded(MW_CREATE);
    CHECK_INT(news->terms, 0);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(news->terms, 1);
}

static void quit(mw_election *election) {
    mw_election_free(election);
    close_puppet();
}

static void the_record_is_written_under_the_guard_of_the_lock(void) {
    spec_news news;
    mw_election *election = stand(&news);
    step_up(&news);
    CHECK(mw_election_leads(election));
    quit(election);
}

/* A predecessor's, or our own whose answer was lost. */
static void a_record_in_the_way_is_replaced(void) {
    static const int reasons[] = {MW_EEXISTS, MW_EUNKNOWN};
    for (int i = 0; i < 2; i++) {
        spec_news news;
        mw_election *election = stand(&news);
        puppet_answer(&puppet, reasons[i], NULL);
        expect_guarded(MW_DELETE);
        puppet_answer(&puppet, MW_ENOT_FOUND, NULL);
        step_up(&news);
        quit(election);
    }
}

static void the_record_goes_before_the_lock_is_released(void) {
    for (int i = 0; i < 2; i++) {
        spec_news news;
        mw_election *election = stand(&news);
        step_up(&news);
        if (i == 0)
            CHECK_INT(mw_election_resign(election, NULL), MW_OK);
        else
            mw_election_free(election);
        expect_guarded(MW_DELETE);
        CHECK_INT(puppet.unlocks, 1);
        CHECK_INT(puppet.requests_at_unlock, 1);
        if (i == 0)
            mw_election_free(election);
        close_puppet();
    }
}

/* The guard decides what becomes of it; whoever stands again waits for none of it. */
static void a_record_under_way_is_forgotten_with_the_session(void) {
    spec_news news;
    mw_election *election = stand(&news);
    CHECK_INT(puppet.request_count, 1);
    puppet.events->expired(puppet.events_arg, NULL);
    CHECK_INT(puppet.request_count, 0);
    turn();
    CHECK_INT(news.terms + news.depositions, 0);
    quit(election);
}

static void who_cannot_write_its_record_now_stands_again_later(void) {
    spec_news news;
    mw_election *election = stand(&news);
    puppet_answer(&puppet, MW_EIO, "the disk");
    CHECK(!mw_lock_held(mw_election_lock(election)));
    CHECK_INT(puppet.unlocks, 1);
    CHECK_INT(news.failures, 0);
    puppet_end_ticket(&puppet, MW_OK);
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK_INT(puppet.ticket_count, 1);
    quit(election);
}

static const mw_election *watched;
static bool led_when_lost;

static void look_who_leads(void *arg, const mw_connection_event *event) {
    if (event->state == MW_LOST)
        led_when_lost = mw_election_leads(watched);
}

static void nobody_leads_any_more_when_lost_is_heard(void) {
    spec_news news;
    mw_election *election = stand(&news);
    step_up(&news);
    watched = election;
    led_when_lost = true;
    mw_listener *listener = mw_listen(puppet.registry, look_who_leads, NULL);
    turn();
    puppet.events->expired(puppet.events_arg, NULL);
    CHECK(!led_when_lost);
    CHECK_INT(news.depositions, 1);
    mw_unlisten(listener);
    quit(election);
}

static const spec_case cases[] = {
    {"who asks without a connection queues when there is one", who_asks_without_a_connection_queues_when_there_is_one},
    {"who tries without a connection is told so", who_tries_without_a_connection_is_told_so},
    {"a hold does not time out", a_hold_does_not_time_out},
    {"re-entry that the loss overtakes fails", re_entry_that_the_loss_overtakes_fails},
    {"re-entry that the close overtakes fails", re_entry_that_the_close_overtakes_fails},
    {"an attempt whose end is not told yet is under way", an_attempt_whose_end_is_not_told_yet_is_under_way},
    {"nothing is held any more when `lost` is heard", nothing_is_held_any_more_when_lost_is_heard},
    {"a lock that was released guards nothing that waits", a_lock_that_was_released_guards_nothing_that_waits},
    {"an abandoned registry releases nothing", an_abandoned_registry_releases_nothing},
    {"the end of an attempt tells nothing of the namespace", the_end_of_an_attempt_tells_nothing_of_the_namespace},
    {"the record is written under the guard of the lock", the_record_is_written_under_the_guard_of_the_lock},
    {"a record in the way is replaced", a_record_in_the_way_is_replaced},
    {"the record goes before the lock is released", the_record_goes_before_the_lock_is_released},
    {"a record under way is forgotten with the session", a_record_under_way_is_forgotten_with_the_session},
    {"who cannot write its record now stands again later", who_cannot_write_its_record_now_stands_again_later},
    {"nobody leads any more when `lost` is heard", nobody_leads_any_more_when_lost_is_heard},
};
SPEC_MAIN(cases)
