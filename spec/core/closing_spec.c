/* The end of a registry, of a connection and of an operation, at moments that a real backend seldom hits. */
#include <sys/wait.h>
#include <unistd.h>

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

/* What a lock or a registration reported, and whether the registry had closed by then. */
typedef struct spec_told {
    unsigned times;
    int status;
    bool late;
} spec_told;

static void note(spec_told *told, int status) {
    told->times++;
    told->status = status;
    told->late = told->late || puppet.closed;
}

static void acquired(void *arg, int status, int64_t token, const mw_error *error) {
    note(arg, status);
}

static void registered(void *arg, int status, const mw_error *error) {
    note(arg, status);
}

static const mw_lock_events lock_events = {.acquired = acquired};
static const mw_registration_events registration_events = {.registered = registered};

static mw_registration *enrol(spec_told *told) {
    mw_registration *reg = NULL;
    *told = (spec_told){0};
    CHECK_INT(mw_register(puppet.registry, S("/n"), S("v"), MW_SECOND, &registration_events, told, &reg, NULL), MW_OK);
    return reg;
}

static void close_and_release(mw_registration *reg) {
    puppet_finish_close(&puppet);
    CHECK_INT(mw_virtual_pending(puppet.host), 0);
    mw_registration_free(reg);
    puppet_release(&puppet);
}

static void a_waiting_lock_hears_the_end_before_closed(void) {
    connect_puppet();
    spec_told told = {0};
    mw_lock *lock = NULL;
    CHECK_INT(mw_lock_new(puppet.registry, S("/l"), S(""), &lock_events, &told, &lock, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    CHECK_INT(told.times, 1);
    CHECK_INT(told.status, MW_ECLOSED);
    CHECK(!told.late);
    mw_lock_free(lock);
    puppet_release(&puppet);
}

static void a_recursive_delete_ends_before_closed(void) {
    puppet_open(&puppet, NULL);
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_delete_recursive(puppet.registry, S("/r"), &call, NULL, NULL), MW_OK);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    CHECK_INT(result.times, 1);
    CHECK_INT(result.status, MW_ECLOSED);
    puppet_release(&puppet);
}

static void a_registration_that_fails_while_closing_leaves_no_timer(void) {
    connect_puppet();
    spec_told told;
    mw_registration *reg = enrol(&told);
    puppet_begin_close(&puppet);
    puppet_answer(&puppet, MW_EIO, "the disk");
    close_and_release(reg);
}

static void a_registration_that_meets_a_stranger_while_closing_leaves_no_timer(void) {
    connect_puppet();
    spec_told told;
    mw_registration *reg = enrol(&told);
    puppet_answer(&puppet, MW_EEXISTS, NULL);
    puppet_begin_close(&puppet);
    puppet_row(&puppet, "/n", 99);
    puppet_answer(&puppet, MW_OK, NULL);
    close_and_release(reg);
    CHECK_INT(told.times, 0);
}

static void ending_a_leftover_while_closing_leaves_no_timer(void) {
    static const unsigned char secret[MW_SECRET_SIZE] = {1};
    connect_puppet();
    CHECK_INT(mw_registry_adopt(puppet.registry, 99, secret), MW_OK);
    spec_told told;
    mw_registration *reg = enrol(&told);
    puppet_answer(&puppet, MW_EEXISTS, NULL);
    puppet_row(&puppet, "/n", 99);
    puppet_answer(&puppet, MW_OK, NULL);
    CHECK(puppet.ended);
    puppet_begin_close(&puppet);
    close_and_release(reg);
    CHECK_INT(told.times, 0);
}

static void a_registration_hears_that_the_connection_has_failed(void) {
    puppet_open(&puppet, NULL);
    spec_told told;
    mw_registration *reg = enrol(&told);
    mw_error why;
    (void)mw_fail(&why, MW_EDENIED, "wrong password");
    puppet.events->failed(puppet.events_arg, MW_EDENIED, &why);
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK_INT(told.times, 1);
    CHECK_INT(told.status, MW_EDENIED);
    puppet_begin_close(&puppet);
    close_and_release(reg);
}

typedef struct spec_self {
    mw_op *op;
    unsigned times;
} spec_self;

static void cancel_self(void *arg, const mw_result *result) {
    spec_self *self = arg;
    self->times++;
    mw_op_cancel(self->op);
}

static void cancelling_an_operation_that_reports_its_end_is_harmless(void) {
    connect_puppet();
    spec_self self = {0};
    mw_call call = {.done = cancel_self, .arg = &self};
    CHECK_INT(mw_put(puppet.registry, S("/a"), S("1"), false, &call, &self.op, NULL), MW_OK);
    puppet_answer(&puppet, MW_OK, NULL);
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK_INT(self.times, 1);
    CHECK_INT(puppet.stray_cancels, 0);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void a_message_loses_the_namespace_at_the_front_of_its_path_only(void) {
    puppet_open(&puppet, "/a");
    puppet_connect(&puppet, 1, false);
    puppet_answer(&puppet, MW_EEXISTS, NULL); /* the namespace itself */
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_get(puppet.registry, S("/a/b"), &call, NULL, NULL), MW_OK);
    puppet_answer(&puppet, MW_EDENIED, "no right to '/a/a/a/b', only to /a/x/a/y");
    CHECK_TEXT(result.message, "no right to '/a/a/b', only to /x/a/y");
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void closing_in_a_forked_child_leaves_the_connection_alone(void) {
    connect_puppet();
    spec_told told = {0};
    mw_lock *lock = NULL;
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_lock_new(puppet.registry, S("/l"), S(""), &lock_events, &told, &lock, NULL), MW_OK);
    CHECK_INT(mw_lock_acquire(lock, 0, false, NULL), MW_OK);
    CHECK_INT(mw_put(puppet.registry, S("/a"), S("1"), false, &call, NULL, NULL), MW_OK);
    puppet.calls = 0;
    pid_t child = fork();
    if (child == 0) {
        mw_registry_close(puppet.registry, MW_SECOND, (void (*)(void *))(void *)mw_lock_free, lock);
        while (mw_world_step(puppet.world))
            continue;
        _exit(puppet.calls == 0 && result.times == 1 && told.times == 1 ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    puppet_begin_close(&puppet);
    puppet_finish_close(&puppet);
    mw_lock_free(lock);
    puppet_release(&puppet);
}

/* Closing while the connection is gone: whether the backend has been told yet, some time later. */
static bool told_to_close_after(mw_time patience, mw_time span) {
    connect_puppet();
    puppet.events->disconnected(puppet.events_arg, NULL);
    mw_registry_close(puppet.registry, patience, puppet_note_closed, &puppet);
    mw_world_advance(puppet.world, span);
    return puppet.closing;
}

static void end_puppet(void) {
    puppet_finish_close(&puppet);
    puppet_release(&puppet);
}

static void closing_waits_for_the_connection_that_can_end_the_session(void) {
    CHECK(!told_to_close_after(5 * MW_SECOND, 4 * MW_SECOND));
    puppet_connect(&puppet, 1, true);
    mw_world_advance(puppet.world, MW_MS);
    CHECK(puppet.closing);
    CHECK_INT(puppet.patience, MW_SECOND); /* the rest */
    end_puppet();
}

static void closing_waits_no_longer_than_its_patience(void) {
    CHECK(!told_to_close_after(5 * MW_SECOND, 4999 * MW_MS));
    mw_world_advance(puppet.world, MW_MS);
    CHECK(puppet.closing);
    CHECK_INT(puppet.patience, 0);
    end_puppet();
}

/* It is one of 10 s, and the client's own deadline comes first. */
static void closing_waits_no_longer_than_its_session_lives(void) {
    CHECK(!told_to_close_after(MW_FOREVER, 9 * MW_SECOND));
    mw_world_advance(puppet.world, MW_SECOND);
    CHECK(puppet.closing);
    CHECK(puppet.patience == MW_FOREVER);
    end_puppet();
}

static void closing_waits_no_longer_when_its_session_has_ended(void) {
    CHECK(!told_to_close_after(5 * MW_SECOND, MW_SECOND));
    puppet.events->expired(puppet.events_arg, NULL);
    mw_world_advance(puppet.world, MW_MS);
    CHECK(puppet.closing);
    end_puppet();
}

static void closing_waits_no_longer_when_the_connection_has_failed(void) {
    mw_error why;
    (void)mw_fail(&why, MW_EDENIED, "wrong password");
    CHECK(!told_to_close_after(5 * MW_SECOND, MW_SECOND));
    puppet.events->failed(puppet.events_arg, MW_EDENIED, &why);
    mw_world_advance(puppet.world, MW_MS);
    CHECK(puppet.closing);
    end_puppet();
}

static const spec_case cases[] = {
    {"a waiting lock hears the end before `closed`", a_waiting_lock_hears_the_end_before_closed},
    {"a recursive delete ends before `closed`", a_recursive_delete_ends_before_closed},
    {"a registration that fails while closing leaves no timer",
     a_registration_that_fails_while_closing_leaves_no_timer},
    {"a registration that meets a stranger while closing leaves no timer",
     a_registration_that_meets_a_stranger_while_closing_leaves_no_timer},
    {"ending a leftover while closing leaves no timer", ending_a_leftover_while_closing_leaves_no_timer},
    {"a registration hears that the connection has failed", a_registration_hears_that_the_connection_has_failed},
    {"cancelling an operation that reports its end is harmless",
     cancelling_an_operation_that_reports_its_end_is_harmless},
    {"a message loses the namespace at the front of its path only",
     a_message_loses_the_namespace_at_the_front_of_its_path_only},
    {"closing waits for the connection that can end the session",
     closing_waits_for_the_connection_that_can_end_the_session},
    {"closing waits no longer than its patience", closing_waits_no_longer_than_its_patience},
    {"closing waits no longer than its session lives", closing_waits_no_longer_than_its_session_lives},
    {"closing waits no longer when its session has ended", closing_waits_no_longer_when_its_session_has_ended},
    {"closing waits no longer when the connection has failed", closing_waits_no_longer_when_the_connection_has_failed},
    {"closing in a forked child leaves the connection alone", closing_in_a_forked_child_leaves_the_connection_alone},
};
SPEC_MAIN(cases)
