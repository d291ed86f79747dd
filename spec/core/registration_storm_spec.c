/* One registration while everything happens to it: its place is taken and left, its session ends, answers are lost and
 * cannot be found again, its value changes, it is withdrawn and asked for anew. However that goes, in calm it comes to
 * what is wanted. One seed is one run, in virtual time. */
#include <moonwatch/registry.h>

#include "support/check.h"
#include "support/cluster.h"

#define S(text) mw_str_of(text)
#define SEEDS 5000
#define ROUNDS 8

static spec_cluster space;
static spec_client ours, theirs;

static uint64_t seed, state;

/* splitmix64, as the memory server's */
static uint64_t dice(uint64_t sides) {
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % sides;
}

static struct {
    mw_registration *registration; /* NULL: withdrawn */
    char value[16];
    unsigned number;
    unsigned visible, failed;
    mw_session_id session; /* in which it became visible last */
} on;

static void registered(void *arg, int status, const mw_error *error) {
    mw_session_id now = mw_registry_session(ours.registry);
    CHECK((status == MW_OK) == (error == NULL));
    CHECK(status != MW_OK || on.session != now); /* once in each session */
    CHECK_INT(on.failed, 0);
    on.visible += status == MW_OK;
    on.failed += status != MW_OK;
    on.session = now;
}

static const mw_registration_events events = {registered};

static mw_str next_value(void) {
    snprintf(on.value, sizeof on.value, "%u", ++on.number);
    return S(on.value);
}

static void enrol(mw_time timeout) {
    on.visible = on.failed = 0;
    on.session = 0;
    CHECK_INT(mw_register(ours.registry, S("/n"), next_value(), timeout, &events, NULL, &on.registration, NULL), MW_OK);
}

static void withdraw(void) {
    mw_registration_free(on.registration);
    on.registration = NULL;
}

static void theirs_write(mw_write_kind kind) {
    mw_step step = {.kind = kind, .path = S("/n"), .version = MW_VERSION_ANY, .ephemeral = kind == MW_CREATE};
    CHECK_INT(mw_txn(theirs.registry, &step, 1, &(mw_call){0}, NULL, NULL), MW_OK);
}

static void something_happens(mw_time timeout) {
    mw_session_id session = mw_registry_session(ours.registry);
    switch (dice(9)) {
    case 0:
        theirs_write(MW_CREATE);
        break;
    case 1:
        theirs_write(MW_DELETE);
        break;
    case 2: /* in one go: the same version, another owner */
        theirs_write(MW_DELETE);
        theirs_write(MW_CREATE);
        break;
    case 3:
        if (session)
            (void)mw_memory_disconnect(space.server, session, dice(3 * MW_SECOND));
        break;
    case 4:
        if (session)
            (void)mw_memory_expire(space.server, session);
        break;
    case 5:
        if (session)
            (void)mw_memory_lose_next_reply(space.server, session);
        break;
    case 6:
        if (session)
            (void)mw_memory_lose_next_request(space.server, session);
        break;
    case 7:
        if (on.registration)
            CHECK_INT(mw_registration_set(on.registration, next_value(), NULL), MW_OK);
        break;
    case 8:
        if (on.registration)
            withdraw();
        else
            enrol(timeout);
        break;
    }
    cluster_pass(&space, dice(4) ? dice(5 * MW_MS) : dice(2 * MW_SECOND));
}

static spec_outcome read_place(void) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    call.fresh = true;
    CHECK_INT(mw_get(theirs.registry, S("/n"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    return result;
}

/* Nobody is in the way any more, and a session's timeout passes. */
static void calm_down(void) {
    CHECK_INT(mw_memory_set_faults(space.server, 0, NULL), MW_OK);
    cluster_pass(&space, 20 * MW_SECOND);
    if (read_place().owner == mw_registry_session(theirs.registry))
        theirs_write(MW_DELETE);
    cluster_pass(&space, 20 * MW_SECOND);
}

static void check_place(void) {
    spec_outcome place = read_place();
    if (on.registration && !on.failed) {
        CHECK_INT(place.status, MW_OK);
        CHECK_INT(place.owner, mw_registry_session(ours.registry));
        CHECK_TEXT(place.value, on.value);
        CHECK(mw_registration_visible(on.registration));
    } else {
        CHECK_INT(place.status, MW_ENOT_FOUND);
        CHECK(!on.registration || !mw_registration_visible(on.registration));
    }
}

static void storm(mw_time timeout) {
    static const mw_memory_faults faults = {
        .latency_min = MW_MS / 10, .latency_max = 3 * MW_MS, .lose_request = 0.02, .lose_reply = 0.1, .forget = 0.5};
    state = seed;
    cluster_open(&space);
    client_open(&space, NULL, &ours);
    client_open(&space, NULL, &theirs);
    CHECK_INT(mw_memory_set_faults(space.server, 0, &faults), MW_OK);
    enrol(timeout);
    for (int i = 0; i < ROUNDS; i++)
        something_happens(timeout);
    calm_down();
    check_place();
    if (on.registration)
        withdraw();
    cluster_pass(&space, MW_SECOND);
    check_place();
    CHECK_INT(mw_registry_handles(ours.registry), 0);
    client_close(&space, &ours);
    client_close(&space, &theirs);
    cluster_close(&space);
}

static void storms(mw_time timeout) {
    for (seed = 1; seed <= SEEDS; seed++)
        storm(timeout);
    seed = 0;
}

static void name_the_seed(void) {
    if (seed)
        printf("# seed %llu\n", (unsigned long long)seed);
}

static void in_calm_it_stands_or_does_not(void) {
    storms(MW_FOREVER);
}

static void who_gave_up_leaves_nothing(void) {
    storms(MW_SECOND);
}

static const spec_case cases[] = {
    {"in calm it stands, or does not", in_calm_it_stands_or_does_not},
    {"who gave up leaves nothing", who_gave_up_leaves_nothing},
};

int main(int argc, char **argv) {
    spec.after = name_the_seed;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
