/* The place of a registration, and what it takes from whom: leftovers, strangers, values that change meanwhile. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/cluster.h"
#include "support/puppet.h"

#define S(text) mw_str_of(text)

static spec_puppet puppet;
static mw_registration *reg;

static struct {
    unsigned times;
    int status;
    char message[384];
} told;

static void registered(void *arg, int status, const mw_error *error) {
    told.times++;
    told.status = status;
    snprintf(told.message, sizeof told.message, "%s", error ? error->message : "");
}

static void turn(void) {
    mw_world_advance(puppet.world, MW_MS);
}

static void enrol(void) {
    static const mw_registration_events events = {.registered = registered};
    memset(&told, 0, sizeof told);
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), 5 * MW_SECOND, &events, NULL, &reg, NULL), MW_OK);
}

static void open_and_enrol(void) {
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    enrol();
}

static void leave(void) {
    mw_registration_free(reg);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void make_visible(void) {
    puppet_expect(&puppet, MW_WRITE, MW_CREATE);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(told.status, MW_OK);
    CHECK(mw_registration_visible(reg));
}

static void next_session(mw_session_id id) {
    turn();
    puppet.events->expired(puppet.events_arg, NULL);
    puppet_connect(&puppet, id, false);
    mw_world_advance(puppet.world, MW_SECOND); /* not all come back at once */
}

/* The create is refused, and the look shows whose entry stands there. */
static void meet(mw_session_id owner) {
    puppet_expect(&puppet, MW_WRITE, MW_CREATE);
    puppet_answer(&puppet, MW_EEXISTS, NULL);
    puppet_expect(&puppet, MW_READ_STAT, MW_CHECK);
    puppet_row(&puppet, "/n", owner);
    puppet_answer(&puppet, MW_OK, NULL);
}

static void end_leftover(int status) {
    void (*ended)(void *arg, int status, const mw_error *detail) = puppet.ended;
    CHECK(ended);
    puppet.ended = NULL;
    ended(puppet.ended_arg, status, NULL);
}

/* The server kept the session longer than its client did. */
static void the_leftover_of_a_former_session_of_ours_is_ended(void) {
    open_and_enrol();
    make_visible();
    next_session(2);
    meet(1);
    end_leftover(MW_OK);
    make_visible();
    CHECK_INT(told.times, 2); /* once in each session */
    leave();
}

static void the_leftover_of_a_session_before_the_last_is_ended(void) {
    open_and_enrol();
    make_visible();
    next_session(2);
    next_session(3);
    puppet_answer(&puppet, MW_EUNKNOWN, NULL); /* what was sent in session 2 */
    puppet_row(&puppet, "/n", 1);
    puppet_answer(&puppet, MW_OK, NULL);
    end_leftover(MW_OK);
    make_visible();
    leave();
}

static void a_stranger_is_waited_for_until_the_deadline_and_named(void) {
    open_and_enrol();
    meet(0xbeef);
    CHECK(!puppet.ended);
    mw_world_advance(puppet.world, 5 * MW_SECOND);
    CHECK_INT(told.times, 1);
    CHECK_INT(told.status, MW_EEXISTS);
    CHECK(strstr(told.message, "beef"));
    CHECK_INT(puppet.request_count, 0);
    leave();
}

static void a_leftover_that_its_secret_does_not_end_is_a_strangers(void) {
    static const unsigned char secret[MW_SECRET_SIZE] = {1};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_registry_adopt(puppet.registry, 99, secret), MW_OK);
    enrol();
    meet(99);
    end_leftover(MW_EDENIED);
    turn();
    CHECK(!puppet.ended);
    CHECK_INT(puppet.request_count, 0);
    mw_world_advance(puppet.world, 5 * MW_SECOND);
    CHECK_INT(told.status, MW_EEXISTS);
    leave();
}

static void a_leftover_that_could_not_be_ended_now_is_looked_at_again(void) {
    static const unsigned char secret[MW_SECRET_SIZE] = {1};
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_registry_adopt(puppet.registry, 99, secret), MW_OK);
    enrol();
    meet(99);
    end_leftover(MW_EDISCONNECTED);
    puppet_row(&puppet, "/n", 99);
    puppet_answer(&puppet, MW_OK, NULL);
    end_leftover(MW_OK);
    make_visible();
    leave();
}

static void what_a_lost_answer_left_there_gets_the_current_value(void) {
    open_and_enrol();
    CHECK_INT(mw_registration_set(reg, S("new"), NULL), MW_OK);
    puppet_answer(&puppet, MW_EUNKNOWN, NULL);
    puppet_row(&puppet, "/n", 1);
    puppet_answer(&puppet, MW_OK, NULL);
    puppet_expect(&puppet, MW_WRITE, MW_SET);
    CHECK(mw_str_equal(puppet.requests[0]->writes[0].value, S("new")));
    CHECK_INT(told.times, 0);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(told.times, 1);
    CHECK_INT(puppet.request_count, 0);
    leave();
}

/* The write was certainly not applied, and the value goes out with the next one. */
static void a_value_that_came_back_unsent_is_written_again(void) {
    open_and_enrol();
    make_visible();
    CHECK_INT(mw_registration_set(reg, S("new"), NULL), MW_OK);
    puppet_answer(&puppet, MW_ECONFLICT, NULL); /* somebody else changed it */
    puppet_row(&puppet, "/n", 1);
    puppet_answer(&puppet, MW_OK, NULL);
    puppet_expect(&puppet, MW_WRITE, MW_SET);
    CHECK(mw_str_equal(puppet.requests[0]->writes[0].value, S("new")));
    leave();
}

static void it_is_not_visible_while_nobody_knows(void) {
    open_and_enrol();
    make_visible();
    puppet.events->disconnected(puppet.events_arg, NULL);
    CHECK(!mw_registration_visible(reg));
    puppet_connect(&puppet, 1, true);
    CHECK(mw_registration_visible(reg));
    CHECK_INT(told.times, 1);
    leave();
}

static void what_failed_for_a_while_is_tried_again_later(void) {
    open_and_enrol();
    puppet_answer(&puppet, MW_EIO, "the disk");
    CHECK_INT(puppet.request_count, 0);
    CHECK_INT(told.times, 0);
    mw_world_advance(puppet.world, MW_SECOND);
    puppet_answer(&puppet, MW_ENOT_FOUND, NULL);
    make_visible();
    leave();
}

static void what_is_refused_for_good_is_taken_out(void) {
    open_and_enrol();
    make_visible();
    CHECK_INT(mw_registration_set(reg, S("new"), NULL), MW_OK);
    puppet_answer(&puppet, MW_ETOO_LARGE, NULL);
    CHECK_INT(told.status, MW_ETOO_LARGE);
    puppet_row(&puppet, "/n", 1);
    puppet_answer(&puppet, MW_OK, NULL);
    puppet_expect(&puppet, MW_WRITE, MW_DELETE);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(puppet.request_count, 0);
    CHECK_INT(told.times, 2);
    leave();
}

static void feed(int64_t revision, mw_session_id owner) {
    mw_entry entry = {.path = S("/n"), .revision = revision, .created = revision, .owner = owner};
    puppet.feed->entry(puppet.feed, &entry);
}

static void news_that_are_older_than_what_is_known_change_nothing(void) {
    open_and_enrol();
    make_visible(); /* revision 1 */
    turn();
    puppet.feed->begin(puppet.feed);
    feed(0, 99);
    puppet.feed->gone(puppet.feed, S("/n"), 0);
    turn();
    CHECK_INT(puppet.request_count, 0);
    feed(1, 1);
    puppet.feed->synced(puppet.feed, 9); /* it stands there: as of 9 as well */
    turn();
    CHECK_INT(puppet.request_count, 0);
    leave();
}

/* Long after the deadline of the first time has passed or would have: whoever takes the place gets as long again. */
static void who_takes_our_place_is_waited_for_and_named(void) {
    open_and_enrol();
    make_visible();
    mw_world_advance(puppet.world, 4 * MW_SECOND);
    puppet.feed->begin(puppet.feed);
    feed(5, 0xbeef);
    puppet.feed->synced(puppet.feed, 5);
    mw_world_advance(puppet.world, 4999 * MW_MS);
    CHECK_INT(told.times, 1);
    mw_world_advance(puppet.world, MW_MS);
    CHECK_INT(told.times, 2);
    CHECK_INT(told.status, MW_EEXISTS);
    CHECK(strstr(told.message, "beef"));
    leave();
}

/* The registry went back to an older copy: its revisions are smaller than those that were seen. */
static void what_is_read_is_believed_whatever_was_told_before(void) {
    open_and_enrol();
    make_visible();
    turn();
    puppet.feed->begin(puppet.feed);
    feed(1000, 1);
    puppet.feed->synced(puppet.feed, 1000);
    next_session(2);
    meet(99); /* at revision 1 */
    turn();
    CHECK_INT(puppet.request_count, 0);
    leave();
}

static void an_answer_from_a_session_that_was_lost_meanwhile_makes_nothing_visible(void) {
    memset(&told, 0, sizeof told);
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    static const mw_registration_events events = {.registered = registered};
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_FOREVER, &events, NULL, &reg, NULL), MW_OK);
    mw_world_advance(puppet.world, 10 * MW_SECOND);
    CHECK_INT(mw_registry_state(puppet.registry), MW_LOST);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(told.times, 0);
    puppet_connect(&puppet, 2, false);
    puppet_row(&puppet, "/n", 1);
    puppet_answer(&puppet, MW_OK, NULL);
    end_leftover(MW_OK);
    make_visible();
    CHECK_INT(told.times, 1);
    leave();
}

static void what_is_tried_again_later_leaves_no_timer_when_all_closes(void) {
    open_and_enrol();
    puppet_answer(&puppet, MW_EIO, "the disk");
    leave();
}

static void a_value_that_would_be_refused_is_refused_at_once(void) {
    size_t len = 1100000;
    mw_str value = {calloc(1, len), len};
    mw_registration *refused = NULL;
    open_and_enrol();
    make_visible();
    CHECK_INT(mw_registration_set(reg, value, NULL), MW_ETOO_LARGE);
    CHECK_INT(mw_register(puppet.registry, S("/m"), value, 0, NULL, NULL, &refused, NULL), MW_ETOO_LARGE);
    free((char *)value.data);
    CHECK(!refused);
    CHECK_INT(puppet.request_count, 0);
    CHECK(mw_registration_visible(reg));
    leave();
}

static void no_event(void *arg, const mw_event *event) {}

/* Others have already read what the subscription tells: their view starts as it is now. */
static void a_place_that_is_watched_already_is_known_to_be_left(void) {
    mw_subscription *sub = NULL;
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(mw_subscribe(puppet.registry, S("/n"), MW_DEPTH_SELF, no_event, NULL, NULL, &sub, NULL), MW_OK);
    puppet.feed->begin(puppet.feed);
    puppet.feed->synced(puppet.feed, 0);
    enrol();
    puppet_answer(&puppet, MW_EEXISTS, NULL);
    feed(1, 99);
    puppet.feed->gone(puppet.feed, S("/n"), 2);
    puppet_row(&puppet, "/n", 99); /* read before it went */
    puppet_answer(&puppet, MW_OK, NULL);
    turn();
    make_visible();
    mw_unsubscribe(sub);
    leave();
}

static const spec_case cases[] = {
    {"the leftover of a former session of ours is ended", the_leftover_of_a_former_session_of_ours_is_ended},
    {"the leftover of a session before the last is ended", the_leftover_of_a_session_before_the_last_is_ended},
    {"a stranger is waited for until the deadline, and named", a_stranger_is_waited_for_until_the_deadline_and_named},
    {"a leftover that its secret does not end is a stranger's", a_leftover_that_its_secret_does_not_end_is_a_strangers},
    {"a leftover that could not be ended now is looked at again",
     a_leftover_that_could_not_be_ended_now_is_looked_at_again},
    {"what a lost answer left there gets the current value", what_a_lost_answer_left_there_gets_the_current_value},
    {"a value that came back unsent is written again", a_value_that_came_back_unsent_is_written_again},
    {"it is not visible while nobody knows", it_is_not_visible_while_nobody_knows},
    {"what failed for a while is tried again later", what_failed_for_a_while_is_tried_again_later},
    {"what is refused for good is taken out", what_is_refused_for_good_is_taken_out},
    {"news that are older than what is known change nothing", news_that_are_older_than_what_is_known_change_nothing},
    {"who takes our place is waited for, and named", who_takes_our_place_is_waited_for_and_named},
    {"what is read is believed, whatever was told before", what_is_read_is_believed_whatever_was_told_before},
    {"an answer from a session that was lost meanwhile makes nothing visible",
     an_answer_from_a_session_that_was_lost_meanwhile_makes_nothing_visible},
    {"what is tried again later leaves no timer when all closes",
     what_is_tried_again_later_leaves_no_timer_when_all_closes},
    {"a value that would be refused is refused at once", a_value_that_would_be_refused_is_refused_at_once},
    {"a place that is watched already is known to be left", a_place_that_is_watched_already_is_known_to_be_left},
};
SPEC_MAIN(cases)
