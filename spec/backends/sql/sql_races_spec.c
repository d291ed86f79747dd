/* What happens between two threads, two clients and a server that stands still: nothing is missed, nothing is made up.
 */
#include "faulty_bench.h"
#include "sql/statements.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* ---- Feeds */

/* The snapshot of a feed that nobody wants any more has seen a change that another feed waits for. */
static void a_feed_that_goes_takes_no_change_from_another(void) {
    static spi_feed stays, goes;
    open_woken_by_hand();
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_watch(&a, &stays, "/stays", MW_DEPTH_SELF);
    CHECK(spi_await(&a, &stays.synced, 1));
    atomic_store(&faulty.frozen, true);
    spi_watch(&a, &goes, "/goes", MW_DEPTH_SELF);
    CHECK_INT(spi_write(&b, MW_PUT, "/stays", "1", 0), MW_OK);
    a.backend->unwatch(a.conn, &goes.feed);
    atomic_store(&faulty.frozen, false);
    static spi_op op;
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/stays"), MW_OK); /* behind the snapshot */
    wake();
    CHECK(spi_await_text(&a, stays.seen, "/stays=1 "));
    a.backend->unwatch(a.conn, &stays.feed);
}

/* The host's thread takes its time with the changes that it was given: the connection thread sleeps meanwhile. */
static void a_host_that_stalls_is_waited_for_asleep(void) {
    static spi_feed feed;
    open_woken_by_hand();
    spi_watch(&a, &feed, "/a", MW_DEPTH_SELF);
    CHECK(spi_await(&a, &feed.synced, 1));
    int looks = atomic_load(&faulty.looks);
    execute("UPDATE mw_meta SET revision = revision + 1 WHERE id = 1;"
            "INSERT INTO mw_changes VALUES ((SELECT revision FROM mw_meta WHERE id = 1), 2, x'2f61', 0, 0, 1, 0, x'')");
    wake();
    while (atomic_load(&faulty.looks) == looks) /* the loop does not run from here on */
        (void)usleep(1000);
    for (int i = 0; i < 20; i++)
        execute("UPDATE mw_meta SET epoch = epoch + 1 WHERE id = 2"); /* the look's reads are over */
    wake();
    int waits = atomic_load(&faulty.waits);
    for (int i = 0; i < 200; i++)
        execute("UPDATE mw_meta SET epoch = epoch + 1 WHERE id = 2");
    CHECK(atomic_load(&faulty.waits) - waits < 50);
    CHECK(spi_await_text(&a, feed.seen, "-/a "));
    a.backend->unwatch(a.conn, &feed.feed);
}

/* A disk that fails once is no reason to be blind from then on. */
static void a_feed_outlives_a_failure_to_read(void) {
    static spi_feed feed;
    options[1] = (mw_option){"session_timeout_ms", "900"};
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    atomic_store(&faulty.frozen, true);
    spi_watch(&a, &feed, "/a", MW_DEPTH_SELF);
    faulty_arm(FAULTY_REFUSED, 1, false);
    atomic_store(&faulty.frozen, false);
    CHECK(spi_await(&a, &feed.synced, 1));
    CHECK_INT(feed.failed, 0);
    CHECK_INT(atomic_load(&faulty.struck), 1);
    a.backend->unwatch(a.conn, &feed.feed);
}

/* The look that was to see the change found no memory, and nothing will tell of the change again. */
static void a_change_outlives_a_want_of_memory(void) {
    static spi_feed feed;
    open_woken_by_hand();
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_watch(&a, &feed, "/a", MW_DEPTH_SELF);
    CHECK(spi_await(&a, &feed.synced, 1));
    CHECK_INT(spi_write(&b, MW_PUT, "/a", "1", 0), MW_OK);
    faulty_arm(FAULTY_NO_MEMORY, 1, false);
    wake();
    CHECK(spi.run(has_struck, NULL));
    wake();
    CHECK(spi_await_text(&a, feed.seen, "/a=1 "));
    a.backend->unwatch(a.conn, &feed.feed);
}

/* ---- Lost replies */

/* Submit, and lose the connection with the reply; the server stays away. */
static void lose_reply(spi_op *op, const mw_write *write) {
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_LOST_REPLY, 1, true);
    int already = a.disconnected;
    spi_submit_writes(&a, op, write, 1);
    CHECK(spi_await(&a, &a.disconnected, already + 1));
}

/* Whatever is cut while it is being found out, it is found out. */
static void a_second_break_leaves_nothing_unknown(void) {
    for (int nth = 1; nth <= 12; nth++) {
        static spi_op op;
        spi_open(&a, &spi, bench.host, faulty_backend(), options);
        CHECK_INT(spi_write(&a, MW_CREATE, "/a", "1", 0), MW_OK);
        mw_write put = spi_step(MW_PUT, "/a", "2", 0);
        lose_reply(&op, &put);
        faulty_arm(FAULTY_CUT_BEFORE, nth, false);
        atomic_store(&faulty.down, false);
        CHECK_INT(spi_end(&a, &op), MW_OK);
        CHECK_INT(op.written[0].version, 1);
        after();
        before();
    }
}

/* It was said not to have happened, and so it must not happen any more. */
static void a_write_that_comes_late_is_not_applied(void) {
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    CHECK_INT(spi_write(&a, MW_CREATE, "/a", "1", 0), MW_OK);
    faulty_arm(FAULTY_LATE, 1, true);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "2", 0), MW_EDISCONNECTED);
    CHECK(spi_await(&a, &a.connected, 2));
    faulty_arrive();
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/a"), MW_OK);
    CHECK_INT(op.last.version, 0);
}

/* ---- A server that stood still */

static bool is_over(void *arg) {
    return ask("SELECT COUNT(*) FROM mw_sessions WHERE id = 7") == 0;
}

/* Nobody could renew meanwhile: who is first to be answered again must not end the others. */
static void who_could_not_renew_is_not_over(void) {
    static spi_op op;
    char sql[256];
    options[1] = (mw_option){"session_timeout_ms", "900"};
    faulty.server_clock = true;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    CHECK(spi_await(&a, &a.confirmed, 6)); /* for longer than a timeout */
    mw_time end = mw_host_now(bench.host) + 900 * MW_MS;
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO mw_sessions SELECT 7, secret, name, opened, %llu, timeout, boot, 0, 0, 0, 0 "
                   "FROM mw_sessions",
                   (unsigned long long)(end / MW_MS));
    atomic_store(&faulty.frozen, true);
    execute(sql);
    while (mw_host_now(bench.host) < end)
        (void)usleep(1000);
    atomic_store(&faulty.frozen, false);
    mw_backend_stats stats;
    uint64_t polls = 0;
    a.backend->stats(a.conn, &stats);
    for (polls = stats.polls; stats.polls == polls; a.backend->stats(a.conn, &stats))
        CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/x"), MW_ENOT_FOUND);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/x"), MW_ENOT_FOUND); /* behind what that look led to */
    CHECK(!is_over(NULL));
    CHECK(spi.run(is_over, NULL)); /* silent for its timeout from then on */
}

/* ---- A session that was declared over */

/* It ends when somebody comes to it, and nothing that it does until then counts. */
static void is_over_when(const char *declare) {
    static spi_ticket ticket;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    execute(declare);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "1", 0), MW_EDISCONNECTED);
    CHECK_INT(a.expired, 1);
    CHECK(spi_await(&a, &a.connected, 2));
    execute(declare);
    spi_lock(&a, &ticket, "/lock", false);
    CHECK(spi_await(&a, &ticket.ends, 1));
    CHECK_INT(ticket.status, MW_ESESSION_LOST);
    CHECK(spi_await(&a, &a.connected, 3));
    execute(declare);
    CHECK(spi_await(&a, &a.expired, 3)); /* by its renewal */
}

static void what_a_registry_that_went_backwards_declared_over_is_over(void) {
    is_over_when("UPDATE mw_sessions SET ended = 1, expires = expires + 600000");
}

/* Under our connection: a replica that lagged has taken over behind a proxy. */
static void a_registry_that_goes_backwards_ends_what_saw_more(void) {
    is_over_when("UPDATE mw_meta SET revision = revision - 1000 WHERE id = 1");
}

static void what_began_before_a_boot_is_over(void) {
    is_over_when("UPDATE mw_sessions SET boot = x'00', expires = expires + 600000");
}

/* ---- A change log of large revisions */

/* While one part of it goes, all writers wait. */
static void the_change_log_goes_in_parts_of_bounded_size(void) {
    static spi_op op;
    options[2] = (mw_option){"retention", "4"};
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    execute("UPDATE mw_meta SET revision = 41, floor = 10 WHERE id = 1;"
            "WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 39999) "
            "INSERT INTO mw_changes SELECT 1 + i / 1000, 2, CAST('/a/' || i AS BLOB), 0, 0, 1, 0, x'' FROM s");
    for (int64_t left = 40000, had; left > 5000;) {
        had = left;
        CHECK_INT(spi_write(&a, MW_PUT, "/b", "1", 0), MW_OK);
        CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/b"), MW_OK); /* behind what that led to */
        left = ask("SELECT COUNT(*) FROM mw_changes WHERE path <> x'2f62'");
        CHECK(left < had && left >= had - 5096);
    }
}

/* ---- Rows of idle locks */

/* `a` finds idle locks, and stops before it drops them. */
static void find_idle_locks(void) {
    options[1] = (mw_option){"session_timeout_ms", "3000"};
    options[3] = (mw_option){"lock_idle_ms", "1"};
    atomic_store(&faulty.stops_at, MW__SQL_LOCK_FLOOR);
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    CHECK(spi.run(stands_still, NULL));
}

static void drop_what_was_found(void) {
    static spi_op op;
    atomic_store(&faulty.frozen, false);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/x"), MW_ENOT_FOUND); /* behind it */
}

static int64_t use(spi_client *client, const char *path) {
    static spi_ticket ticket;
    spi_lock(client, &ticket, path, false);
    CHECK(spi_await(client, &ticket.grants, 1));
    spi_unlock(client, &ticket);
    return ticket.ticket.token;
}

/* However large the tokens of others were that went with it. */
static void a_lock_that_is_taken_before_it_is_dropped_stays(void) {
    static spi_ticket held;
    static spi_op op;
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    (void)use(&b, "/lock");
    for (int i = 0; i < 5; i++)
        (void)use(&b, "/other");
    find_idle_locks();
    spi_lock(&b, &held, "/lock", false);
    CHECK(spi_await(&b, &held.grants, 1));
    drop_what_was_found();
    CHECK_INT(ask("SELECT COUNT(*) FROM mw_locks WHERE path = x'2f6f74686572'"), 0);
    mw_write guard = {.kind = MW_CHECK_LOCK, .lock = &held.ticket};
    CHECK_INT(spi_txn(&b, &op, &guard, 1), MW_OK);
    spi_unlock(&b, &held);
}

/* The floor was raised for the token that it had then. */
static void a_lock_that_is_used_before_it_is_dropped_repeats_no_token(void) {
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    (void)use(&b, "/lock");
    find_idle_locks();
    CHECK_INT(use(&b, "/lock"), 2);
    drop_what_was_found();
    CHECK_INT(use(&b, "/lock"), 3);
}

static bool no_lock_is_left(void *arg) {
    return ask("SELECT COUNT(*) FROM mw_locks") == 0;
}

/* It stands for all that were ever dropped. */
static void the_floor_of_tokens_never_falls(void) {
    options[1] = (mw_option){"session_timeout_ms", "1500"};
    options[3] = (mw_option){"lock_idle_ms", "1"};
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    for (int i = 1; i <= 5; i++)
        CHECK_INT(use(&b, "/lock"), i);
    CHECK(spi.run(no_lock_is_left, NULL));
    execute("INSERT INTO mw_locks VALUES (x'2f6f74686572', 1, 0, 0, 0, x'', 0)"); /* made before there was a floor */
    CHECK(spi.run(no_lock_is_left, NULL));
    CHECK_INT(use(&b, "/lock"), 6);
}

/* ---- The process that we live in */

static uint64_t blocked_by(const char *task) {
    char path[64], line[128];
    uint64_t mask = 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen(path, "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "SigBlk:", 7) == 0)
            mask = strtoull(line + 7, NULL, 16);
    (void)fclose(file);
    return mask;
}

/* An application's signals are its own: its handlers do not run on our thread, and a broken pipe of ours kills nobody.
 */
static void its_signals_do_not_reach_our_thread(void) {
    static const int signals[] = {SIGTERM, SIGINT, SIGPIPE, SIGCHLD};
    char own[16], line[256];
    int others = 0;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    (void)snprintf(own, sizeof own, "%d", (int)getpid());
    FILE *tasks = popen("ls /proc/$PPID/task", "r");
    CHECK(tasks);
    while (fgets(line, sizeof line, tasks)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, own) == 0)
            continue;
        others++;
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            CHECK(blocked_by(line) >> (signals[i] - 1) & 1);
    }
    (void)pclose(tasks);
    CHECK(others > 0);
    CHECK_INT(blocked_by(own), 0);
}

static const spec_case cases[] = {
    {"a feed that goes takes no change from another", a_feed_that_goes_takes_no_change_from_another},
    {"a host that stalls is waited for asleep", a_host_that_stalls_is_waited_for_asleep},
    {"a feed outlives a failure to read", a_feed_outlives_a_failure_to_read},
    {"a change outlives a want of memory", a_change_outlives_a_want_of_memory},
    {"a second break leaves nothing unknown", a_second_break_leaves_nothing_unknown},
    {"a write that comes late is not applied", a_write_that_comes_late_is_not_applied},
    {"who could not renew is not over", who_could_not_renew_is_not_over},
    {"what a registry that went backwards declared over is over",
     what_a_registry_that_went_backwards_declared_over_is_over},
    {"a registry that goes backwards ends what saw more", a_registry_that_goes_backwards_ends_what_saw_more},
    {"what began before a boot is over", what_began_before_a_boot_is_over},
    {"the change log goes in parts of bounded size", the_change_log_goes_in_parts_of_bounded_size},
    {"a lock that is taken before it is dropped stays", a_lock_that_is_taken_before_it_is_dropped_stays},
    {"a lock that is used before it is dropped repeats no token",
     a_lock_that_is_used_before_it_is_dropped_repeats_no_token},
    {"the floor of tokens never falls", the_floor_of_tokens_never_falls},
    {"its signals do not reach our thread", its_signals_do_not_reach_our_thread},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
