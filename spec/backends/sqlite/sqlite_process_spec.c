/* Several processes on one file; some are killed, some are stopped. */
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/spi_client.h"
#include "bench.h"

#define WRITERS 8
#define INCREMENTS 15

/* What parent and children tell each other. */
typedef struct shared {
    volatile int ready;        /* a child has done what the parent waits for */
    volatile int64_t acked;    /* the last value whose commit was acknowledged */
    volatile int64_t token;    /* the child's */
    volatile int go;           /* the child may go on */
    volatile int outcome;      /* of the child's guarded txn, + 1000 */
    volatile bool crowd_fails; /* a writer of the crowd got an error */
} shared;

static shared *common;
static sqlite_bench bench;
static mw_option options[4];
static spi_client a;

static bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

static const spi_bench spi = {NULL, NULL, run, ""};

static void before(void) {
    a = (spi_client){0};
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    options[1] = (mw_option){"session_timeout_ms", "600"};
    options[2] = (mw_option){0};
    memset(common, 0, sizeof *common);
}

static void after(void) {
    if (a.conn && !a.closed)
        spi_close(&a);
    sqlite_bench_end(&bench);
}

/* The parent has no connection open while it forks. The child leaves without a word: `abort` on what it expects. */
static pid_t child(void (*body)(void)) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    if (mw_uv_host_new(NULL, NULL, NULL, &bench.host, NULL) != MW_OK)
        _exit(2);
    spec_case one = {"child", body};
    _exit(spec_hold(&one) ? 0 : 1);
}

static void wait_for(volatile int *flag) {
    for (int i = 0; i < 30000 && !*flag; i++)
        (void)usleep(1000);
    CHECK(*flag);
}

static void end(pid_t pid, int sent) {
    if (sent)
        CHECK_INT(kill(pid, sent), 0);
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (!sent)
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int64_t number(const char *seen) {
    const char *value = strchr(seen, '=');
    return value ? atoll(value + 1) : -1;
}

static void integrity(void) {
    sqlite3 *handle = NULL;
    sqlite3_stmt *check = NULL;
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    CHECK_INT(sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &check, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_step(check), SQLITE_ROW);
    CHECK_TEXT((const char *)sqlite3_column_text(check, 0), "ok");
    (void)sqlite3_finalize(check);
    (void)sqlite3_close(handle);
}

/* ---- Killed */

static void count_up(void) {
    spi_client client;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    for (int64_t i = common->acked + 1;; i++) {
        char value[32];
        (void)snprintf(value, sizeof value, "%lld", (long long)i);
        CHECK_INT(spi_write(&client, MW_PUT, "/count", value, 0), MW_OK);
        common->acked = i;
        common->ready = 1;
    }
}

static void a_kill_while_it_commits_keeps_what_was_acknowledged(void) {
    for (int round = 0; round < 20; round++) {
        common->ready = 0;
        pid_t pid = child(count_up);
        wait_for(&common->ready);
        (void)usleep((useconds_t)(round * 371 % 5000)); /* anywhere in a commit */
        end(pid, SIGKILL);
        int64_t acked = common->acked;
        static spi_op op;
        spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
        CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/count"), MW_OK);
        int64_t stored = number(op.seen);
        CHECK(stored == acked || stored == acked + 1);
        common->acked = stored;
        spi_close(&a);
        integrity();
    }
}

static void hold(void) {
    static spi_ticket ticket;
    spi_client client;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&client, MW_CREATE, "/nodes/child", "~1", 0), MW_OK);
    spi_lock(&client, &ticket, "/lock", false);
    CHECK(spi_await(&client, &ticket.grants, 1));
    common->token = ticket.ticket.token;
    common->ready = 1;
    for (;;)
        (void)mw_uv_host_step(bench.host, true);
}

static void what_the_dead_held_goes_to_the_next(void) {
    int64_t last = 0;
    for (int round = 0; round < 3; round++) {
        common->ready = 0;
        pid_t pid = child(hold);
        wait_for(&common->ready);
        CHECK(common->token > last);
        static spi_ticket ticket;
        static spi_feed feed;
        spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
        spi_watch(&a, &feed, "/nodes", MW_DEPTH_CHILDREN);
        CHECK(spi_await_text(&a, feed.seen, "/nodes/child=1 synced "));
        spi_lock(&a, &ticket, "/lock", false);
        end(pid, SIGKILL);
        CHECK(spi_await(&a, &ticket.grants, 1));
        CHECK(ticket.ticket.token > common->token);
        last = ticket.ticket.token;
        CHECK(spi_await_text(&a, feed.seen, "-/nodes/child "));
        a.backend->unwatch(a.conn, &feed.feed);
        spi_unlock(&a, &ticket);
        spi_close(&a);
    }
}

/* ---- Stopped */

static void write_under_a_lock(void) {
    static spi_ticket ticket;
    static spi_op op;
    spi_client client;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&client, &ticket, "/lock", false);
    CHECK(spi_await(&client, &ticket.grants, 1));
    common->token = ticket.ticket.token;
    common->ready = 1;
    wait_for(&common->go); /* its loop does not run: no renewal */
    mw_write writes[] = {{.kind = MW_CHECK_LOCK, .lock = &ticket.ticket}, spi_step(MW_PUT, "/guarded", "zombie", 0)};
    common->outcome = spi_txn(&client, &op, writes, 2) + 1000;
    spi_close(&client);
}

static void who_was_stopped_past_its_session_cannot_write(void) {
    pid_t pid = child(write_under_a_lock);
    wait_for(&common->ready);
    CHECK_INT(kill(pid, SIGSTOP), 0);
    static spi_ticket ticket;
    static spi_op op;
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&a, &ticket, "/lock", false);
    CHECK(spi_await(&a, &ticket.grants, 1));
    CHECK(ticket.ticket.token > common->token);
    CHECK_INT(spi_write(&a, MW_PUT, "/guarded", "new holder", 0), MW_OK);
    common->go = 1;
    CHECK_INT(kill(pid, SIGCONT), 0);
    end(pid, 0);
    CHECK(common->outcome != 0 && common->outcome != 1000 + MW_OK);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/guarded"), MW_OK);
    CHECK_TEXT(op.seen, "/guarded=new holder ");
    spi_unlock(&a, &ticket);
}

static void outrun(void) {
    spi_client client;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    wait_for(&common->go);
    CHECK_INT(spi_write(&client, MW_DELETE, "/a/gone", NULL, 0), MW_OK);
    for (int i = 0; i < 40; i++)
        CHECK_INT(spi_write(&client, MW_PUT, "/a/new", "2", 0), MW_OK);
    common->ready = 1;
    spi_close(&client);
}

/* Its loop does not run while the change log is cut off behind it. */
static void who_slept_past_the_change_log_reads_anew(void) {
    options[1].value = "60000";
    options[2] = (mw_option){"retention", "5"};
    pid_t pid = child(outrun);
    static spi_feed feed;
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_CREATE, "/a/gone", "1", 0), MW_OK);
    spi_watch(&a, &feed, "/a", MW_DEPTH_CHILDREN);
    CHECK(spi_await_text(&a, feed.seen, "/a/gone=1 synced "));
    common->go = 1;
    wait_for(&common->ready);
    CHECK(spi_await_text(&a, feed.seen, "begin /a/new=2 synced "));
    a.backend->unwatch(a.conn, &feed.feed);
    end(pid, 0);
}

/* ---- All at once */

static void increment(void) {
    static spi_op op;
    spi_client client;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    for (int done = 0; done < INCREMENTS;) {
        char value[32];
        CHECK_INT(spi_read(&client, &op, MW_READ_GET, "/sum"), MW_OK);
        (void)snprintf(value, sizeof value, "%lld", (long long)number(op.seen) + 1);
        int status = spi_write(&client, MW_SET, "/sum", value, op.last.version);
        if (status == MW_OK)
            done++;
        else if (status != MW_ECONFLICT)
            common->crowd_fails = true;
    }
    spi_close(&client);
}

static void eight_writers_lose_nothing(void) {
    pid_t pids[WRITERS];
    options[1].value = "6000";
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_CREATE, "/sum", "0", 0), MW_OK);
    spi_close(&a);
    for (int i = 0; i < WRITERS; i++)
        pids[i] = child(increment);
    for (int i = 0; i < WRITERS; i++)
        end(pids[i], 0);
    CHECK(!common->crowd_fails);
    static spi_op op;
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/sum"), MW_OK);
    CHECK_INT(number(op.seen), WRITERS * INCREMENTS);
    CHECK_INT(op.last.version, WRITERS * INCREMENTS);
}

static void come_and_go(void) {
    spi_client client;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&client, MW_PUT, "/all", "1", 0), MW_OK);
    CHECK_INT(client.disconnected + client.expired, 0);
    spi_close(&client);
}

static void starting_at_once_makes_one_registry(void) {
    pid_t pids[WRITERS];
    options[1].value = "6000";
    for (int i = 0; i < WRITERS; i++)
        pids[i] = child(come_and_go);
    for (int i = 0; i < WRITERS; i++)
        end(pids[i], 0);
    static spi_op op;
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/all"), MW_OK);
    CHECK_INT(op.last.version, WRITERS - 1);
    integrity();
}

static const spec_case cases[] = {
    {"a kill while it commits keeps what was acknowledged", a_kill_while_it_commits_keeps_what_was_acknowledged},
    {"what the dead held goes to the next", what_the_dead_held_goes_to_the_next},
    {"who was stopped past its session cannot write", who_was_stopped_past_its_session_cannot_write},
    {"who slept past the change log reads anew", who_slept_past_the_change_log_reads_anew},
    {"eight writers lose nothing", eight_writers_lose_nothing},
    {"starting at once makes one registry", starting_at_once_makes_one_registry},
};

int main(int argc, char **argv) {
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (common == MAP_FAILED)
        return EXIT_FAILURE;
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
