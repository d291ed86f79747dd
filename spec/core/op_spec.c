/* Operations: what their callers are told when they are sent, interrupted, late or cancelled, and in which order they
 * go out. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/cluster.h"
#include "support/puppet.h"

#define S(text) mw_str_of(text)

static spec_puppet puppet;

static void connect_puppet(void) {
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
}

static void close_puppet(void) {
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void disconnect(void) {
    puppet.events->disconnected(puppet.events_arg, NULL);
}

/* Another session than before. */
static void lose_session(void) {
    puppet.events->expired(puppet.events_arg, NULL);
    puppet_connect(&puppet, 2, false);
}

static mw_op *put(const char *path, mw_time timeout, spec_outcome *ret_outcome) {
    mw_op *op = NULL;
    mw_call call = outcome_call(ret_outcome);
    call.timeout = timeout;
    CHECK_INT(mw_put(puppet.registry, S(path), S("v"), false, &call, &op, NULL), MW_OK);
    return op;
}

static mw_op *get(const char *path, mw_time timeout, spec_outcome *ret_outcome) {
    mw_op *op = NULL;
    mw_call call = outcome_call(ret_outcome);
    call.timeout = timeout;
    CHECK_INT(mw_get(puppet.registry, S(path), &call, &op, NULL), MW_OK);
    return op;
}

static void check_once(const spec_outcome *outcome, int status) {
    CHECK_INT(outcome->times, 1);
    CHECK_INT(outcome->status, status);
}

static void a_deadline_tells_what_may_have_happened(void) {
    spec_outcome sent, unsent, read;
    connect_puppet();
    put("/a", MW_SECOND, &sent);
    get("/a", MW_SECOND, &read);
    disconnect();
    put("/b", MW_SECOND, &unsent);
    mw_world_advance(puppet.world, 999 * MW_MS);
    CHECK_INT(sent.times + unsent.times + read.times, 0);
    mw_world_advance(puppet.world, MW_MS);
    check_once(&sent, MW_EUNKNOWN);
    check_once(&unsent, MW_ETIMEOUT);
    check_once(&read, MW_ETIMEOUT);
    CHECK(strstr(unsent.message, "before it was sent"));
    CHECK_INT(puppet.request_count, 0); /* all taken back */
    close_puppet();
}

static void a_cancel_tells_what_may_have_happened(void) {
    spec_outcome sent, unsent, read;
    connect_puppet();
    mw_op *first = put("/a", MW_SECOND, &sent), *second = get("/a", MW_SECOND, &read);
    disconnect();
    mw_op *third = put("/b", MW_SECOND, &unsent);
    mw_op_cancel(first);
    mw_op_cancel(second);
    mw_op_cancel(third);
    CHECK_INT(sent.times + unsent.times + read.times, 0);
    mw_world_advance(puppet.world, 2 * MW_SECOND);
    check_once(&sent, MW_EUNKNOWN);
    check_once(&unsent, MW_ECANCELLED);
    check_once(&read, MW_ECANCELLED);
    close_puppet();
}

static void who_names_no_deadline_has_the_registrys(void) {
    spec_outcome read;
    puppet_open(&puppet, NULL);
    get("/a", 0, &read);
    mw_world_advance(puppet.world, 9999 * MW_MS);
    CHECK_INT(read.times, 0);
    mw_world_advance(puppet.world, MW_MS);
    check_once(&read, MW_ETIMEOUT);
    close_puppet();
}

static void what_comes_back_unsent_goes_out_again_in_its_order(void) {
    spec_outcome outcomes[4];
    static const char *const paths[] = {"/1", "/2", "/3", "/4"};
    connect_puppet();
    for (int i = 0; i < 3; i++)
        put(paths[i], MW_FOREVER, &outcomes[i]);
    disconnect();
    put(paths[3], MW_FOREVER, &outcomes[3]);
    while (puppet.request_count)
        puppet_answer(&puppet, MW_EDISCONNECTED, NULL);
    puppet_connect(&puppet, 1, true);
    CHECK_INT(puppet.request_count, 4);
    for (size_t i = 0; i < 4; i++)
        CHECK(mw_str_equal(puppet.requests[i]->writes[0].path, S(paths[i])));
    while (puppet.request_count)
        puppet_answer(&puppet, MW_OK, NULL);
    for (int i = 0; i < 4; i++)
        check_once(&outcomes[i], MW_OK);
    close_puppet();
}

static spec_outcome hasty;

static void put_at_once(void *arg, const mw_connection_event *event) {
    if (event->state == MW_CONNECTED)
        put("/2", MW_FOREVER, &hasty);
}

static void what_waits_is_not_overtaken(void) {
    spec_outcome first;
    puppet_open(&puppet, NULL);
    put("/1", MW_FOREVER, &first);
    mw_listener *listener = mw_listen(puppet.registry, put_at_once, NULL);
    mw_world_advance(puppet.world, MW_MS);
    puppet_connect(&puppet, 1, false);
    CHECK_INT(puppet.request_count, 2);
    CHECK(mw_str_equal(puppet.requests[0]->writes[0].path, S("/1")));
    mw_unlisten(listener);
    close_puppet();
}

static void what_will_not_wait_is_told_when_the_connection_breaks(void) {
    spec_outcome outcome;
    mw_call call = outcome_call(&outcome);
    call.fail_fast = true;
    connect_puppet();
    CHECK_INT(mw_put(puppet.registry, S("/a"), S("v"), false, &call, NULL, NULL), MW_OK);
    disconnect();
    puppet_answer(&puppet, MW_EDISCONNECTED, NULL);
    check_once(&outcome, MW_EDISCONNECTED);
    close_puppet();
}

/* The rows that came before the connection broke are not shown twice, and the backend finds its scratch empty. */
static void an_interrupted_read_starts_afresh(void) {
    spec_outcome read;
    connect_puppet();
    get("/a", MW_FOREVER, &read);
    puppet_row(&puppet, "/a", 0);
    puppet.requests[0]->backend[0] = puppet.requests[0]->backend[3] = &puppet;
    disconnect();
    puppet_answer(&puppet, MW_EDISCONNECTED, NULL);
    puppet_connect(&puppet, 1, true);
    CHECK(!puppet.requests[0]->backend[0] && !puppet.requests[0]->backend[3]);
    puppet_row(&puppet, "/a", 0);
    puppet_answer(&puppet, MW_OK, NULL);
    check_once(&read, MW_OK);
    CHECK_INT(read.entries, 1);
    close_puppet();
}

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {}

static void lost(void *arg, const mw_error *why) {}

static void a_guard_is_judged_when_its_txn_is_sent(void) {
    static const mw_lock_events events = {.acquired = acquired, .lost = lost};
    mw_lock *lock = NULL;
    spec_outcome guarded;
    mw_call call = outcome_call(&guarded);
    connect_puppet();
    CHECK_INT(mw_lock_new(puppet.registry, S("/l"), S(""), &events, NULL, &lock, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    puppet_grant(&puppet, 7);
    disconnect();
    mw_step steps[] = {{.kind = MW_CHECK_LOCK, .lock = lock}, {.kind = MW_PUT, .path = S("/a")}};
    CHECK_INT(mw_txn(puppet.registry, steps, 2, &call, NULL, NULL), MW_OK);
    puppet_end_ticket(&puppet, MW_ESESSION_LOST);
    lose_session();
    CHECK_INT(puppet.request_count, 0);
    mw_world_advance(puppet.world, MW_MS);
    check_once(&guarded, MW_EFENCED);
    mw_lock_free(lock);
    close_puppet();
}

static void what_was_sent_hears_that_the_registry_closed(void) {
    spec_outcome read;
    connect_puppet();
    get("/a", MW_FOREVER, &read);
    close_puppet();
    check_once(&read, MW_ECLOSED);
}

static void what_was_sent_hears_why_the_connection_has_failed(void) {
    spec_outcome read;
    mw_error why;
    connect_puppet();
    get("/a", MW_FOREVER, &read);
    (void)mw_fail(&why, MW_ECORRUPT, "no registry");
    puppet.events->failed(puppet.events_arg, MW_ECORRUPT, &why);
    puppet_answer(&puppet, MW_EDISCONNECTED, NULL);
    check_once(&read, MW_ECORRUPT);
    CHECK_TEXT(read.message, "no registry");
    close_puppet();
}

/* ---- Recursive deletes */

static mw_op *delete_below(spec_outcome *ret_outcome) {
    mw_op *op = NULL;
    mw_call call = outcome_call(ret_outcome);
    connect_puppet();
    CHECK_INT(mw_delete_recursive(puppet.registry, S("/r"), &call, &op, NULL), MW_OK);
    return op;
}

static void show_two(void) {
    puppet_expect(&puppet, MW_READ_LIST, MW_CHECK);
    CHECK(puppet.requests[0]->fresh);
    puppet_row(&puppet, "/r/a", 0);
    puppet_row(&puppet, "/r/b", 0);
    puppet_answer(&puppet, MW_OK, NULL);
}

static void a_recursive_delete_that_was_cancelled_on_the_way_may_have_happened(void) {
    spec_outcome outcome;
    mw_op *op = delete_below(&outcome);
    show_two();
    mw_op_cancel(op);
    mw_world_advance(puppet.world, MW_MS);
    check_once(&outcome, MW_EUNKNOWN);
    CHECK_INT(puppet.request_count, 0);
    close_puppet();
}

/* One of many has got a child: the next round takes them one by one. */
static void a_recursive_delete_that_is_refused_goes_on_singly(void) {
    spec_outcome outcome;
    (void)delete_below(&outcome);
    show_two();
    CHECK_INT(puppet.requests[0]->write_count, 2);
    puppet_answer(&puppet, MW_ENOT_EMPTY, NULL);
    puppet_answer(&puppet, MW_ENOT_EMPTY, NULL); /* the entry itself */
    show_two();
    CHECK_INT(puppet.request_count, 2);
    for (int i = 0; i < 3; i++) { /* and the entry itself */
        puppet_expect(&puppet, MW_WRITE, MW_DELETE);
        CHECK_INT(puppet.requests[0]->write_count, 1);
        puppet_answer(&puppet, MW_OK, NULL);
    }
    mw_world_advance(puppet.world, MW_MS);
    check_once(&outcome, MW_OK);
    close_puppet();
}

static const spec_case cases[] = {
    {"a deadline tells what may have happened", a_deadline_tells_what_may_have_happened},
    {"a cancel tells what may have happened", a_cancel_tells_what_may_have_happened},
    {"who names no deadline has the registry's", who_names_no_deadline_has_the_registrys},
    {"what comes back unsent goes out again in its order", what_comes_back_unsent_goes_out_again_in_its_order},
    {"what waits is not overtaken", what_waits_is_not_overtaken},
    {"what will not wait is told when the connection breaks", what_will_not_wait_is_told_when_the_connection_breaks},
    {"an interrupted read starts afresh", an_interrupted_read_starts_afresh},
    {"a guard is judged when its txn is sent", a_guard_is_judged_when_its_txn_is_sent},
    {"what was sent hears that the registry closed", what_was_sent_hears_that_the_registry_closed},
    {"what was sent hears why the connection has failed", what_was_sent_hears_why_the_connection_has_failed},
    {"a recursive delete that was cancelled on the way may have happened",
     a_recursive_delete_that_was_cancelled_on_the_way_may_have_happened},
    {"a recursive delete that is refused goes on singly", a_recursive_delete_that_is_refused_goes_on_singly},
};
SPEC_MAIN(cases)
