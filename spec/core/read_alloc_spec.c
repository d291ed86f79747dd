/* A read that could not keep all of what it was told is no read: it says that memory was short, and does not show the
 * rest as if that were everything. */
#define SPEC_SHARED
#include "support/alloc_fail.h"
#include "support/check.h"
#include "support/cluster.h"
#include "support/puppet.h"

static spec_puppet puppet;

static void begin_list(spec_outcome *outcome) {
    puppet_open(&puppet, NULL);
    puppet_connect(&puppet, 1, false);
    mw_call call = outcome_call(outcome);
    CHECK_INT(mw_list(puppet.registry, mw_str_of("/"), &call, NULL, NULL), MW_OK);
}

static void finish(void) {
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

/* There is no memory for the first row, and again for those after it. */
static void rows_without_the_first(void) {
    alloc_fail_at(1, false);
    puppet_row(&puppet, "/a", 0);
    CHECK(alloc_fail_stop() > 0);
    puppet_row(&puppet, "/b", 0);
    puppet_row(&puppet, "/c", 0);
}

static void a_read_that_could_not_keep_a_row_fails(void) {
    spec_outcome outcome;
    begin_list(&outcome);
    rows_without_the_first();
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(outcome.times, 1);
    CHECK_INT(outcome.status, MW_ENO_MEMORY);
    CHECK_INT(outcome.entries, 0);
    CHECK_TEXT(outcome.message, mw_status_meaning(MW_ENO_MEMORY));
    finish();
}

static void its_own_failure_is_the_reason_where_it_fails_anyway(void) {
    spec_outcome outcome;
    begin_list(&outcome);
    rows_without_the_first();
    puppet_answer(&puppet, MW_EIO, "the disk");
    CHECK_INT(outcome.status, MW_EIO);
    finish();
}

/* What it was told before the connection went counts no more. */
static void a_read_that_is_sent_again_begins_anew(void) {
    spec_outcome outcome;
    begin_list(&outcome);
    rows_without_the_first();
    puppet.events->disconnected(puppet.events_arg, NULL);
    puppet_answer(&puppet, MW_EDISCONNECTED, NULL);
    puppet_connect(&puppet, 1, true);
    puppet_row(&puppet, "/a", 0);
    puppet_row(&puppet, "/b", 0);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK_INT(outcome.status, MW_OK);
    CHECK_INT(outcome.entries, 2);
    finish();
}

static const spec_case cases[] = {
    {"a read that could not keep a row fails", a_read_that_could_not_keep_a_row_fails},
    {"its own failure is the reason where it fails anyway", its_own_failure_is_the_reason_where_it_fails_anyway},
    {"a read that is sent again begins anew", a_read_that_is_sent_again_begins_anew},
};
SPEC_MAIN(cases)
