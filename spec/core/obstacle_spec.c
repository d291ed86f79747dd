/* Elections and registrations below an ephemeral, which has no children: they wait until it goes, say why in bounds,
 * and say it when they are given up. */
#define SPEC_SHARED
#include "support/check.h"
#include "support/cluster.h"

#define S(text) mw_str_of(text)

static spec_cluster space;
static spec_client theirs;
static struct {
    mw_host *host;
    mw_registry *registry;
    unsigned warnings, others;
    unsigned terms;
    int status; /* of the registration */
    char message[384];
    bool closed;
} ours;

static void sink(void *arg, mw_log_level level, const char *component, const char *line) {
    if (level != MW_LOG_WARN)
        return;
    if (strstr(line, "/above: an ephemeral entry has no children"))
        ours.warnings++;
    else
        ours.others++;
}

static void elected(void *arg, int64_t token) {
    ours.terms++;
}

static void deposed(void *arg, const mw_error *why) {}

static void registered(void *arg, int status, const mw_error *error) {
    ours.status = status;
    (void)snprintf(ours.message, sizeof ours.message, "%s", error ? error->message : "");
}

static void closed(void *arg) {
    ours.closed = true;
}

static const mw_election_events election_events = {.elected = elected, .deposed = deposed, .failed = deposed};
static const mw_registration_events registration_events = {.registered = registered};

static void open_all(void) {
    spec_outcome made;
    mw_call call = outcome_call(&made);
    memset(&ours, 0, sizeof ours);
    cluster_open(&space);
    client_open(&space, NULL, &theirs);
    CHECK_INT(mw_put(theirs.registry, S("/above"), S("v"), true, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &made);
    CHECK_INT(mw_world_host(space.world, sink, NULL, &ours.host, NULL), MW_OK);
    mw_registry_config config = {.host = ours.host, .backend = mw_memory_backend(space.server)};
    CHECK_INT(mw_registry_open(&config, &ours.registry, NULL), MW_OK);
}

static void close_all(void) {
    mw_registry_close(ours.registry, MW_SECOND, closed, NULL);
    while (!ours.closed)
        CHECK(mw_world_step(space.world));
    client_close(&space, &theirs);
    cluster_close(&space);
}

static void remove_above(void) {
    spec_outcome gone;
    mw_call call = outcome_call(&gone);
    CHECK_INT(mw_delete(theirs.registry, S("/above"), MW_VERSION_ANY, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &gone);
    CHECK_INT(gone.status, MW_OK);
}

static mw_election *stand(void) {
    mw_election *election = NULL;
    CHECK_INT(mw_election_new(ours.registry, S("/above/e"), S("me"), &election_events, NULL, &election, NULL), MW_OK);
    return election;
}

static unsigned long long round_trips(void) {
    mw_backend_stats stats;
    mw_registry_stats(ours.registry, &stats);
    return stats.round_trips;
}

static void an_election_waits_and_does_not_flood_the_log(void) {
    open_all();
    mw_election *election = stand();
    cluster_pass(&space, 500 * MW_MS);
    CHECK_INT(ours.warnings, 1);
    cluster_pass(&space, 600 * MW_SECOND);
    CHECK(ours.warnings > 1); /* whoever looks today sees it as well */
    CHECK(ours.warnings <= 12);
    CHECK_INT(ours.others, 0);
    remove_above();
    cluster_pass(&space, 2 * MW_SECOND);
    CHECK_INT(ours.terms, 1);
    CHECK_INT(mw_election_refusal(election)->code, MW_OK);
    mw_election_free(election);
    close_all();
}

static void an_election_does_not_keep_the_registry_busy(void) {
    open_all();
    mw_election *election = stand();
    cluster_pass(&space, 60 * MW_SECOND);
    unsigned long long before = round_trips();
    cluster_pass(&space, 60 * MW_SECOND);
    CHECK(round_trips() - before < 60 * 4 + 60); /* lock, record, release each second, and renewals */
    mw_election_free(election);
    close_all();
}

static void an_election_knows_its_last_refusal(void) {
    open_all();
    mw_election *election = stand();
    CHECK_INT(mw_election_refusal(election)->code, MW_OK);
    cluster_pass(&space, MW_SECOND);
    CHECK_INT(mw_election_refusal(election)->code, MW_ECONFLICT);
    CHECK(strstr(mw_election_refusal(election)->message, "/above: an ephemeral entry has no children"));
    mw_election_free(election);
    close_all();
}

static void another_reason_is_told_as_well(void) {
    open_all();
    mw_election *election = stand();
    cluster_pass(&space, 40 * MW_SECOND); /* amid a long pause */
    unsigned before = ours.warnings;
    remove_above();
    spec_outcome made;
    mw_call call = outcome_call(&made);
    CHECK_INT(mw_put(theirs.registry, S("/above/e/leader"), S("v"), false, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &made);
    CHECK_INT(mw_put(theirs.registry, S("/above/e/leader/child"), S("v"), false, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &made);
    cluster_pass(&space, 3 * MW_SECOND);
    CHECK_INT(ours.terms, 0);
    CHECK_INT(ours.warnings, before);
    CHECK_INT(ours.others, 1);
    mw_election_free(election);
    close_all();
}

static void a_registration_that_times_out_says_why(void) {
    open_all();
    mw_registration *reg = NULL;
    CHECK_INT(mw_register(ours.registry, S("/above/n"), S("v"), 3 * MW_SECOND, &registration_events, NULL, &reg, NULL),
              MW_OK);
    cluster_pass(&space, 4 * MW_SECOND);
    CHECK_INT(ours.status, MW_ETIMEOUT);
    CHECK_TEXT(ours.message, "/above/n was not registered in time (connected): "
                             "/above: an ephemeral entry has no children");
    mw_registration_free(reg);
    close_all();
}

static const spec_case cases[] = {
    {"an election waits and does not flood the log", an_election_waits_and_does_not_flood_the_log},
    {"an election does not keep the registry busy", an_election_does_not_keep_the_registry_busy},
    {"an election knows its last refusal", an_election_knows_its_last_refusal},
    {"another reason is told as well", another_reason_is_told_as_well},
    {"a registration that times out says why", a_registration_that_times_out_says_why},
};
SPEC_MAIN(cases)
