/* What happens between two threads, two clients and a server that stands still: nothing is missed, nothing is made up.
 */
#include "backends/spi_client.h"
#include "backends/sqlite/bench.h"
#include "faulty.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static sqlite_bench bench;
static mw_option options[5];
static spi_client a, b;

static bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

static const spi_bench spi = {NULL, NULL, run, ""};

static void reset_faults(void) {
    faulty_arm(FAULTY_NONE, 0, false);
    atomic_store(&faulty.down, false);
    atomic_store(&faulty.frozen, false);
    faulty.server_clock = false;
}

static void before(void) {
    a = b = (spi_client){0};
    reset_faults();
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    options[1] = (mw_option){"session_timeout_ms", "5000"};
    options[2] = (mw_option){"retention", "100"};
    options[3] = options[4] = (mw_option){NULL, NULL};
}

static void after(void) {
    reset_faults();
    spi_client *clients[] = {&a, &b};
    for (int i = 0; i < 2; i++)
        if (clients[i]->conn && !clients[i]->closed)
            spi_close(clients[i]);
    if (atomic_load(&faulty.wake_fd))
        close(atomic_load(&faulty.wake_fd));
    atomic_store(&faulty.wake_fd, 0);
    sqlite_bench_end(&bench);
}

/* ---- Another process, in plain SQL ---------------------------------------------------------------------------------
 */

static void execute(const char *sql) {
    sqlite3 *handle = NULL;
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(handle, 10000), SQLITE_OK);
    int code = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    (void)sqlite3_close(handle);
    CHECK_INT(code, SQLITE_OK);
}

static int64_t ask(const char *sql) {
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(handle, 10000), SQLITE_OK);
    CHECK_INT(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    int64_t answer = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(handle);
    return answer;
}

static bool has_looked(void *arg) {
    return atomic_load(&faulty.looks) >= *(int *)arg;
}

static bool has_struck(void *arg) {
    return atomic_load(&faulty.struck) > 0;
}

/* Woken by us alone, and no poll comes by itself but the first. */
static void open_woken_by_hand(void) {
    int once = atomic_load(&faulty.looks) + 1;
    options[3] = (mw_option){"poll_interval_ms", "3600000"};
    atomic_store(&faulty.wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    static spi_feed first;
    spi_watch(&a, &first, "/first", MW_DEPTH_SELF);
    CHECK(spi_await(&a, &first.synced, 1));
    CHECK(spi.run(has_looked, &once));
    a.backend->unwatch(a.conn, &first.feed);
}

static void wake(void) {
    CHECK_INT(eventfd_write(atomic_load(&faulty.wake_fd), 1), 0);
}

/* ---- Feeds ---------------------------------------------------------------------------------------------------------
 */

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

static bool has_answer(void *arg) {
    const spi_ticket *ticket = arg;
    return ticket->grants + ticket->ends > 0;
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

/* ---- Locks ---------------------------------------------------------------------------------------------------------
 */

/* The reply to the join was lost, and asking again fails: the place in the queue must not stay behind. */
static void a_failed_attempt_leaves_no_place_in_the_queue(void) {
    int failures = 0;
    for (int nth = 1; nth <= 8; nth++) {
        static spi_ticket first, second;
        static spi_op op;
        options[1] = (mw_option){"session_timeout_ms", "900"};
        spi_open(&a, &spi, bench.host, faulty_backend(), options);
        spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
        spi_lock(&b, &first, "/lock", false);
        CHECK(spi_await(&b, &first.grants, 1));
        atomic_store(&faulty.frozen, true);
        spi_lock(&a, &second, "/lock", false);
        atomic_store(&faulty.down, true);
        faulty_arm(FAULTY_LOST_REPLY, 2, true); /* the attempt to take it comes first */
        atomic_store(&faulty.frozen, false);
        CHECK(spi_await(&a, &a.disconnected, 1));
        faulty_arm(FAULTY_REFUSED, nth, true);
        atomic_store(&faulty.down, false);
        CHECK(spi.run(has_struck, NULL));
        spi_unlock(&b, &first);
        CHECK(spi.run(has_answer, &second));
        failures += second.ends;
        if (!second.ends)
            spi_unlock(&a, &second);
        CHECK_INT(spi_read(&b, &op, MW_READ_QUEUES, "/"), MW_OK);
        CHECK_INT(op.entries, 0);
        after();
        before();
    }
    CHECK(failures > 0);
}

/* The `nth` write of an attempt stays on its way until the attempt, made again, is over and given up. */
static void an_attempt_that_comes_late(int nth, bool held, int places) {
    static spi_ticket first, second;
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&b, &first, "/lock", false);
    CHECK(spi_await(&b, &first.grants, 1));
    if (!held)
        spi_unlock(&b, &first);
    faulty_arm(FAULTY_LATE, nth, true);
    spi_lock(&a, &second, "/lock", false);
    CHECK(spi_await(&a, &a.connected, 2));
    if (!held)
        CHECK(spi_await(&a, &second.grants, 1));
    spi_unlock(&a, &second);
    faulty_arrive();
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, places);
    if (held)
        spi_unlock(&b, &first);
}

static void a_late_attempt_takes_no_lock(void) {
    an_attempt_that_comes_late(1, false, 0);
}

static void a_late_attempt_takes_no_place_in_the_queue(void) {
    an_attempt_that_comes_late(2, true, 1); /* the attempt to take it comes first */
}

/* The fence itself fails once: the way out of the queue raises it. */
static void a_late_attempt_takes_no_place_after_a_failure(void) {
    static spi_ticket first, second;
    static spi_op op;
    spi_open(&a, &spi, bench.host, faulty_backend(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&b, &first, "/lock", false);
    CHECK(spi_await(&b, &first.grants, 1));
    atomic_store(&faulty.down, true);
    faulty_arm(FAULTY_LATE, 2, true);
    spi_lock(&a, &second, "/lock", false);
    CHECK(spi_await(&a, &a.disconnected, 1));
    faulty_arm(FAULTY_REFUSED, 2, true); /* the renewal comes first */
    atomic_store(&faulty.down, false);
    CHECK(spi_await(&a, &second.ends, 1));
    CHECK_INT(second.status, MW_EIO);
    faulty_arrive();
    CHECK_INT(spi_read(&a, &op, MW_READ_QUEUES, "/"), MW_OK);
    CHECK_INT(op.entries, 1);
    spi_unlock(&b, &first);
}

/* ---- Lost replies --------------------------------------------------------------------------------------------------
 */

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

/* ---- A server that stood still -------------------------------------------------------------------------------------
 */

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

/* ---- The process that we live in ------------------------------------------------------------------------------------
 */

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
    {"a failed attempt leaves no place in the queue", a_failed_attempt_leaves_no_place_in_the_queue},
    {"a late attempt takes no lock", a_late_attempt_takes_no_lock},
    {"a late attempt takes no place in the queue", a_late_attempt_takes_no_place_in_the_queue},
    {"a late attempt takes no place after a failure", a_late_attempt_takes_no_place_after_a_failure},
    {"a second break leaves nothing unknown", a_second_break_leaves_nothing_unknown},
    {"who could not renew is not over", who_could_not_renew_is_not_over},
    {"its signals do not reach our thread", its_signals_do_not_reach_our_thread},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
