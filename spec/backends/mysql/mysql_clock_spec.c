/* Sessions end for want of renewals, and not because a clock was set or the server stood still. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

static const mw_option brisk[] = {{"session_timeout_ms", "1200"}, {"heartbeat_ms", "200"}, {NULL, NULL}};
/* An account of its own, which can be kept out. */
static const mw_option apart[] = {
    {"username", "mw"}, {"session_timeout_ms", "1200"}, {"heartbeat_ms", "200"}, {NULL, NULL}};
/* Where one of them is kept out for a while, and must not be missed before the server is stopped. */
static const mw_option patient[] = {{"session_timeout_ms", "3600"}, {"heartbeat_ms", "200"}, {NULL, NULL}};
static const mw_option patient_apart[] = {
    {"username", "mw"}, {"session_timeout_ms", "3600"}, {"heartbeat_ms", "200"}, {NULL, NULL}};

static char clock_file[160];

static void set_server_clock(int seconds) {
    char text[17];
    int fd = open(clock_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    snprintf(text, sizeof text, "%-16d", seconds);
    CHECK_INT(pwrite(fd, text, 16, 0), 16);
    CHECK_INT(close(fd), 0);
}

static int64_t server_is_ahead(void) {
    return spec_mysql_sql(&rig.server, "SELECT TIMESTAMPDIFF(SECOND, '1970-01-01', UTC_TIMESTAMP())") -
           (int64_t)time(NULL);
}

static bool boot_clock_reaches(void *arg) {
    return mw_host_now(rig.host) >= *(mw_time *)arg;
}

static int64_t session_rows(const spi_client *client) {
    return spec_mysql_sql(&rig.server, "SELECT COUNT(*) FROM moonwatch.mw_sessions WHERE id = %lld AND ended = 0",
                          (long long)client->session.id);
}

/* One who dies without a word is shown as gone, once, with what it said last. */
static void the_dead_are_reaped(spi_client *observer) {
    static spi_feed feed;
    spi_client dead;
    spec_mysql_sql(&rig.server, "DELETE FROM moonwatch.mw_changes WHERE path = '/e/dead'");
    rig_open(&dead, brisk);
    CHECK_INT(spi_write(&dead, MW_CREATE, "/e/dead", "~last words", 0), MW_OK);
    spi_watch(observer, &feed, "/e", MW_DEPTH_CHILDREN);
    CHECK(spi_await(observer, &feed.synced, 1));
    dead.backend->abandon(dead.conn);
    CHECK(spi_await(&dead, &dead.closed, 1));
    CHECK(spi_await_text(observer, feed.seen, "-/e/dead"));
    CHECK_INT(session_rows(&dead), 0);
    CHECK_INT(spec_mysql_sql(&rig.server, "SELECT COUNT(*) FROM moonwatch.mw_changes WHERE path = '/e/dead' AND "
                                          "kind = 2"),
              1);
    CHECK_INT(spec_mysql_sql(&rig.server, "SELECT value = 'last words' FROM moonwatch.mw_changes WHERE "
                                          "path = '/e/dead' AND kind = 2"),
              1);
    observer->backend->unwatch(observer->conn, &feed.feed);
}

static void nobody_was_expired(void) {
    static spi_op op;
    CHECK_INT(rig.a.expired + rig.b.expired, 0);
    CHECK_INT(spi_read(&rig.b, &op, MW_READ_GET, "/e/a"), MW_OK);
    CHECK(op.last.owner == rig.a.session.id);
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_GET, "/e/b"), MW_OK);
    CHECK(op.last.owner == rig.b.session.id);
}

static void two_open(const mw_option *a, const mw_option *b, int heartbeats) {
    rig_open(&rig.a, a);
    rig_open(&rig.b, b);
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/e/a", "~a", 0), MW_OK);
    CHECK_INT(spi_write(&rig.b, MW_CREATE, "/e/b", "~b", 0), MW_OK);
    /* Both have been there for a whole timeout: they are fit to judge others. */
    CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + heartbeats));
    CHECK(spi_await(&rig.b, &rig.b.confirmed, rig.b.confirmed + heartbeats));
}

static void two_with_an_ephemeral_each(void) {
    two_open(apart, brisk, 7);
}

static void close_both(void) {
    spi_close(&rig.a);
    spi_close(&rig.b);
}

static void a_server_clock_that_is_set_ahead_expires_nobody(void) {
    two_with_an_ephemeral_each();
    for (int hours = 1; hours <= 4; hours++) {
        set_server_clock(hours * 3600);
        CHECK(server_is_ahead() >= hours * 3600 - 1);
        CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 7));
        CHECK(spi_await(&rig.b, &rig.b.confirmed, rig.b.confirmed + 7));
    }
    nobody_was_expired();
    the_dead_are_reaped(&rig.b);
    nobody_was_expired();
    close_both();
}

static void a_server_clock_that_is_set_back_expires_nobody(void) {
    two_with_an_ephemeral_each();
    set_server_clock(-3600);
    CHECK(server_is_ahead() <= -3599);
    CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 7));
    CHECK(spi_await(&rig.b, &rig.b.confirmed, rig.b.confirmed + 7));
    nobody_was_expired();
    the_dead_are_reaped(&rig.b);
    nobody_was_expired();
    close_both();
}

/* Whose own session is long bears more of a step than a short session has left. */
static void a_small_step_ahead_expires_no_short_session(void) {
    static const mw_option slow[] = {{"session_timeout_ms", "60000"}, {"heartbeat_ms", "50"}, {NULL, NULL}};
    two_open(apart, slow, 7);
    for (int step = 1; step <= 10; step++) {
        set_server_clock(step * 3);
        CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 2));
    }
    nobody_was_expired();
    the_dead_are_reaped(&rig.b);
    close_both();
}

/* It has looked for the expired more often than `arg` says. */
static bool has_looked(void *arg) {
    mw_backend_stats now;
    rig.b.backend->stats(rig.b.conn, &now);
    return now.polls > *(uint64_t *)arg;
}

static void let_in(const char *connections) {
    spec_mysql_sql(&rig.server, "GRANT USAGE ON *.* TO mw@'%%' WITH MAX_USER_CONNECTIONS %s", connections);
}

/* Who comes back first must not take for dead who is kept out since before, and so could not even be renewed by what
 * was on its way. */
static void a_server_that_stands_still_expires_nobody(void) {
    mw_backend_stats before;
    two_open(patient_apart, patient, 19);
    let_in("-1");
    spec_mysql_sql(&rig.server, "KILL HARD USER mw");
    spec_mysql_do(&rig.server, "freeze");
    mw_time two_timeouts = mw_host_now(rig.host) + 7300 * MW_MS;
    CHECK(rig_run(boot_clock_reaches, &two_timeouts));
    rig.b.backend->stats(rig.b.conn, &before);
    spec_mysql_do(&rig.server, "thaw");
    CHECK(spi_await(&rig.b, &rig.b.connected, 2));
    CHECK(rig_run(has_looked, &before.polls));
    CHECK_INT(session_rows(&rig.a), 1);
    let_in("0");
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    CHECK(rig.a.session.resumed && rig.b.session.resumed);
    nobody_was_expired();
    the_dead_are_reaped(&rig.b);
    nobody_was_expired();
    close_both();
}

static void a_server_that_was_down_expires_nobody(void) {
    two_with_an_ephemeral_each();
    spec_mysql_do(&rig.server, "stop");
    mw_time two_timeouts = mw_host_now(rig.host) + 3100 * MW_MS;
    CHECK(rig_run(boot_clock_reaches, &two_timeouts));
    spec_mysql_restart(&rig.server, "--log-bin=bin");
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    CHECK(spi_await(&rig.b, &rig.b.connected, 2));
    nobody_was_expired();
    the_dead_are_reaped(&rig.a);
    nobody_was_expired();
    close_both();
}

static const spec_case cases[] = {
    {"a server clock that is set ahead expires nobody", a_server_clock_that_is_set_ahead_expires_nobody},
    {"a small step ahead expires no short session", a_small_step_ahead_expires_no_short_session},
    {"a server clock that is set back expires nobody", a_server_clock_that_is_set_back_expires_nobody},
    {"a server that stands still expires nobody", a_server_that_stands_still_expires_nobody},
    {"a server that was down expires nobody", a_server_that_was_down_expires_nobody},
};

static void clock_back(void) {
    set_server_clock(0);
    let_in("0");
    rig_before();
}

int main(int argc, char **argv) {
    char setting[512];
    const char *tmp = getenv("TMPDIR");
    snprintf(clock_file, sizeof clock_file, "%.120s/moonwatch-clock-%ld", tmp ? tmp : "/tmp", (long)getpid());
    set_server_clock(0);
    snprintf(setting, sizeof setting, "%s %s", SPEC_SHIFTED_CLOCK, clock_file);
    CHECK_INT(setenv("MOONWATCH_CLOCK", setting, 1), 0);
    spec_mysql_start(&rig.server, "--log-bin=bin");
    spec.before = clock_back;
    spec.after = rig_after;
    int status = spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
    spec_mysql_remove(&rig.server);
    (void)unlink(clock_file);
    return status;
}
