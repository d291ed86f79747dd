/* What a registry's file can be, become and come back as: each a clear error, and the last commit intact. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/spi_client.h"
#include "bench.h"
#include "broken_disk.h"

static sqlite_bench bench;
static mw_option options[4];
static spi_client a, b;
static mw_error why; /* of the last `failed` */

static bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

static const spi_bench spi = {NULL, NULL, run, ""};

static void before(void) {
    a = b = (spi_client){0};
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    options[1] = (mw_option){"session_timeout_ms", "900"};
    options[2] = options[3] = (mw_option){0};
}

static void after(void) {
    spi_client *clients[] = {&a, &b};
    if (getuid() == 0)
        (void)seteuid(0);
    broken_disk_mend();
    for (int i = 0; i < 2; i++)
        if (clients[i]->conn && !clients[i]->closed)
            spi_close(clients[i]);
    sqlite_bench_end(&bench);
}

/* ---- What it is when we come */

static void on_failed(void *arg, int status, const mw_error *error) {
    ((spi_client *)arg)->failed++;
    why = *error;
    why.code = status;
}

/* Open and expect that it fails for good. */
static void expect_failure(int status, const char *text) {
    static const mw_conn_events events = {spi_on_connected, spi_on_disconnected, spi_on_expired,
                                          spi_on_confirmed, on_failed,           spi_on_closed};
    a = (spi_client){.bench = &spi, .backend = mw_backend_plugin(), .host = bench.host};
    mw_conn_config config = {bench.host, options, mw_str_of("spec"), &events, &a};
    CHECK_INT(a.backend->open(a.backend, &config, &a.conn, NULL), MW_OK);
    CHECK(spi_await(&a, &a.failed, 1));
    CHECK_INT(why.code, status);
    if (!strstr(why.message, text))
        CHECK_TEXT(why.message, text);
    CHECK_INT(a.connected, 0);
    spi_close(&a);
}

static void put_file(const char *bytes, size_t len) {
    FILE *file = fopen(bench.path, "w");
    CHECK(file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static void execute(const char *sql) {
    sqlite3 *handle = NULL;
    int code = sqlite3_open(bench.path, &handle);
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    (void)sqlite3_close(handle);
    CHECK_INT(code, SQLITE_OK);
}

static void refuses_what_is_no_database(void) {
    char bytes[8192];
    memset(bytes, 'x', sizeof bytes);
    put_file(bytes, sizeof bytes);
    expect_failure(MW_ECORRUPT, "not an SQLite database");
    put_file("short", 5);
    expect_failure(MW_ECORRUPT, "not an SQLite database");
}

static void refuses_a_foreign_database(void) {
    execute("CREATE TABLE mine (x)");
    expect_failure(MW_ECORRUPT, "another application");
    execute("INSERT INTO mine VALUES (1)"); /* untouched */
    execute("DROP TABLE mine; PRAGMA user_version = 7");
    expect_failure(MW_ECORRUPT, "another application"); /* which has no table yet */
}

static void refuses_a_newer_schema(void) {
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_close(&a);
    execute("PRAGMA user_version = 1000");
    expect_failure(MW_EUNSUPPORTED, "newer");
}

static void refuses_a_truncated_file(void) {
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_close(&a);
    struct stat file;
    CHECK_INT(stat(bench.path, &file), 0);
    CHECK_INT(truncate(bench.path, file.st_size - 4096), 0);
    expect_failure(MW_ECORRUPT, "truncated");
}

static void an_empty_file_becomes_a_registry(void) {
    put_file("", 0);
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_CREATE, "/a", "1", 0), MW_OK);
}

static void names_the_directory_that_is_missing(void) {
    options[0].value = "/nonexistent/dir/registry.db";
    expect_failure(MW_EINVALID, "/nonexistent/dir");
}

static void refuses_a_directory(void) {
    options[0].value = bench.directory;
    expect_failure(MW_EINVALID, "not a regular file");
}

static void says_that_it_may_not_write(void) {
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_close(&a);
    CHECK_INT(chmod(bench.path, 0444), 0);
    CHECK_INT(chmod(bench.directory, 0755), 0);
    if (geteuid() == 0)
        CHECK_INT(seteuid(65534), 0); /* root may write anything */
    expect_failure(MW_EDENIED, bench.path);
}

static void says_that_it_may_not_create_it(void) {
    CHECK_INT(chmod(bench.directory, 0555), 0);
    if (geteuid() == 0)
        CHECK_INT(seteuid(65534), 0);
    expect_failure(MW_EDENIED, bench.directory);
}

static void says_that_its_path_is_too_long(void) {
    char path[700], command[800];
    (void)snprintf(path, sizeof path, "%s/%0200d/%0200d/%0100d/registry.db", bench.directory, 0, 0, 0);
    (void)snprintf(command, sizeof command, "mkdir -p $(dirname %s)", path);
    CHECK_INT(system(command), 0);
    options[0].value = path;
    expect_failure(MW_EINVALID, "512 bytes");
    (void)snprintf(command, sizeof command, "rm -r %s/0*", bench.directory);
    CHECK_INT(system(command), 0);
}

static const char *const bad_options[][2] = {
    {"session_timeout_ms", "abc"}, {"session_timeout_ms", "-1"},
    {"session_timeout_ms", ""},    {"retention", "0"},
    {"busy_timeout_ms", "1.5"},    {"poll_interval_ms", "99999999999999999999"},
};

static void names_the_option_that_is_wrong(void) {
    for (size_t i = 0; i < sizeof bad_options / sizeof *bad_options; i++) {
        options[2] = (mw_option){bad_options[i][0], bad_options[i][1]};
        CHECK_INT(spi_start(&a, &spi, bench.host, mw_backend_plugin(), options, &why), MW_EINVALID);
        CHECK(strstr(why.message, bad_options[i][0]));
        a.conn = NULL;
    }
    options[0] = (mw_option){0};
    CHECK_INT(spi_start(&a, &spi, bench.host, mw_backend_plugin(), options, &why), MW_EINVALID);
    CHECK(strstr(why.message, "path"));
    a.conn = NULL;
}

/* ---- What becomes of it while we are there */

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

static bool ended_or_cut(void *arg) {
    return ((spi_op *)arg)->ends || a.disconnected;
}

/* The Nth thing that is written fails: the put fails or not, and what was acknowledged is there. */
static void fail_each_write(int code) {
    options[1].value = "5000";
    for (int nth = 1;; nth++) {
        spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
        CHECK_INT(spi_write(&a, MW_PUT, "/a", "before", 0), MW_OK);
        broken_disk_fail(nth, code);
        mw_write put = spi_step(MW_PUT, "/a", "after", 0);
        static spi_op op;
        spi_submit_writes(&a, &op, &put, 1);
        CHECK(sqlite_bench_run(&bench, ended_or_cut, &op)); /* in doubt, it is decided after reconnecting */
        bool struck = broken_disk_struck();
        broken_disk_mend();
        int status = spi_end(&a, &op);
        CHECK(status == MW_OK || status == MW_EIO || status == MW_EDISCONNECTED);
        CHECK(spi_await(&a, &a.connected, a.disconnected + 1));
        CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/a"), MW_OK);
        CHECK_TEXT(op.seen, status == MW_OK ? "/a=after " : "/a=before ");
        CHECK_INT(spi_write(&a, MW_PUT, "/a", "again", 0), MW_OK);
        CHECK_INT(a.expired + a.failed, 0);
        spi_close(&a);
        integrity();
        if (!struck) {
            CHECK(nth > 5);
            return;
        }
        after();
        before();
        options[1].value = "5000";
    }
}

static void a_full_disk_keeps_the_last_commit(void) {
    fail_each_write(SQLITE_FULL);
}

static void a_failing_disk_keeps_the_last_commit(void) {
    fail_each_write(SQLITE_IOERR_WRITE);
}

static void copy(const char *from, const char *to) {
    char bytes[65536];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    CHECK(in && out);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, in)) > 0;)
        CHECK(fwrite(bytes, 1, got, out) == got);
    (void)fclose(in);
    CHECK_INT(fclose(out), 0);
}

/* A copy of an earlier day takes the place of the file: nothing that was handed out may be handed out again. */
static void a_restored_copy_is_recognised(void) {
    char saved[128];
    (void)snprintf(saved, sizeof saved, "%s/saved", bench.directory);
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "old", 0), MW_OK);
    copy(bench.path, saved);
    static spi_op op;
    static spi_ticket one, two;
    static spi_feed feed;
    spi_watch(&a, &feed, "/a", MW_DEPTH_SELF);
    mw_write put = spi_step(MW_PUT, "/a", "new", 0);
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_OK);
    int64_t revision = op.written[0].revision;
    spi_lock(&a, &one, "/lock", false);
    CHECK(spi_await(&a, &one.grants, 1));
    CHECK_INT(rename(saved, bench.path), 0);
    CHECK(spi_await(&a, &a.expired, 1));
    CHECK_INT(one.status, MW_ESESSION_LOST);
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/a"), MW_OK);
    CHECK_TEXT(op.seen, "/a=old ");
    CHECK(op.last.revision > revision); /* or those who had seen the newer state would keep it */
    CHECK_INT(spi_txn(&a, &op, &put, 1), MW_OK);
    CHECK(op.written[0].revision > revision);
    spi_lock(&a, &two, "/lock", false);
    CHECK(spi_await(&a, &two.grants, 1));
    CHECK(two.ticket.token > one.ticket.token);
    CHECK(spi_await_text(&a, feed.seen, "begin /a=old synced "));
    a.backend->unwatch(a.conn, &feed.feed);
    spi_unlock(&a, &two);
}

/* The lock was busy after the copy was made, and the one who notices first knows nothing of it. */
static void a_restored_copy_repeats_nobodys_tokens(void) {
    char saved[128];
    static spi_ticket hot;
    (void)snprintf(saved, sizeof saved, "%s/saved", bench.directory);
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_lock(&a, &hot, "/hot", false);
    CHECK(spi_await(&a, &hot.grants, 1));
    spi_unlock(&a, &hot);
    copy(bench.path, saved);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "new", 0), MW_OK);
    int64_t given = hot.ticket.token + 500000000;
    CHECK_INT(rename(saved, bench.path), 0);
    CHECK(spi_await(&a, &a.connected, 2));
    spi_lock(&a, &hot, "/hot", false);
    CHECK(spi_await(&a, &hot.grants, 1));
    CHECK(hot.ticket.token > given);
    spi_unlock(&a, &hot);
    spi_lock(&a, &hot, "/never/used", false);
    CHECK(spi_await(&a, &hot.grants, 1));
    CHECK(hot.ticket.token > given);
    spi_unlock(&a, &hot);
}

static void a_deleted_file_ends_every_session(void) {
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "old", 0), MW_OK);
    CHECK_INT(unlink(bench.path), 0);
    CHECK(spi_await(&a, &a.expired, 1));
    CHECK(spi_await(&b, &b.expired, 1));
    CHECK(spi_await(&a, &a.connected, 2));
    CHECK(spi_await(&b, &b.connected, 2));
    static spi_op op;
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/a"), MW_ENOT_FOUND);
}

static void sessions_of_an_earlier_boot_are_over(void) {
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_CREATE, "/e", "~x", 0), MW_OK);
    a.backend->abandon(a.conn);
    CHECK(spi_await(&a, &a.closed, 1));
    execute("UPDATE mw_sessions SET boot = x'00', expires = 9000000000000000");
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    static spi_op op;
    CHECK_INT(spi_read(&b, &op, MW_READ_GET, "/e"), MW_ENOT_FOUND);
}

/* ---- Costs, by count */

static uint64_t transactions(spi_client *client) {
    mw_backend_stats stats;
    client->backend->stats(client->conn, &stats);
    return stats.write_transactions - stats.renewals;
}

static void costs_one_write_transaction_each(void) {
    options[1].value = "60000";
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    static spi_ticket one, two;
    uint64_t start = transactions(&a);
    spi_lock(&a, &one, "/lock", false);
    CHECK(spi_await(&a, &one.grants, 1));
    CHECK_INT(transactions(&a) - start, 1);
    spi_unlock(&a, &one);
    CHECK_INT(transactions(&a) - start, 2);
    spi_lock(&a, &two, "/lock", true);
    CHECK(spi_await(&a, &two.grants, 1));
    CHECK_INT(transactions(&a) - start, 3);
    spi_unlock(&a, &two);
    CHECK_INT(spi_write(&a, MW_PUT, "/a", "1", 0), MW_OK);
    CHECK_INT(transactions(&a) - start, 5);
    CHECK_INT(spi_write(&a, MW_SET, "/a", "1", 7), MW_ECONFLICT); /* refused: nothing is written */
    CHECK_INT(transactions(&a) - start, 5);
}

static void tokens_grow_over_dropped_rows(void) {
    options[1].value = "300";
    options[2] = (mw_option){"lock_idle_ms", "1"};
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    int64_t last = 0;
    for (int i = 0; i < 3; i++) {
        static spi_ticket ticket;
        spi_lock(&a, &ticket, "/lock", false);
        CHECK(spi_await(&a, &ticket.grants, 1));
        CHECK(ticket.ticket.token > last);
        last = ticket.ticket.token;
        spi_unlock(&a, &ticket);
        CHECK(spi_await(&a, &a.confirmed, a.confirmed + 2)); /* a heartbeat that has tidied up lies between */
        sqlite3 *handle = NULL;
        sqlite3_stmt *count = NULL;
        CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
        CHECK_INT(sqlite3_busy_timeout(handle, 5000), SQLITE_OK);
        CHECK_INT(sqlite3_prepare_v2(handle, "SELECT COUNT(*) FROM mw_locks", -1, &count, NULL), SQLITE_OK);
        CHECK_INT(sqlite3_step(count), SQLITE_ROW);
        CHECK_INT(sqlite3_column_int64(count, 0), 0);
        (void)sqlite3_finalize(count);
        (void)sqlite3_close(handle);
    }
}

static const spec_case cases[] = {
    {"refuses what is no database", refuses_what_is_no_database},
    {"refuses a foreign database", refuses_a_foreign_database},
    {"refuses a newer schema", refuses_a_newer_schema},
    {"refuses a truncated file", refuses_a_truncated_file},
    {"an empty file becomes a registry", an_empty_file_becomes_a_registry},
    {"names the directory that is missing", names_the_directory_that_is_missing},
    {"refuses a directory", refuses_a_directory},
    {"says that it may not write", says_that_it_may_not_write},
    {"says that it may not create it", says_that_it_may_not_create_it},
    {"says that its path is too long", says_that_its_path_is_too_long},
    {"names the option that is wrong", names_the_option_that_is_wrong},
    {"a full disk keeps the last commit", a_full_disk_keeps_the_last_commit},
    {"a failing disk keeps the last commit", a_failing_disk_keeps_the_last_commit},
    {"a restored copy is recognised", a_restored_copy_is_recognised},
    {"a restored copy repeats nobody's tokens", a_restored_copy_repeats_nobodys_tokens},
    {"a deleted file ends every session", a_deleted_file_ends_every_session},
    {"sessions of an earlier boot are over", sessions_of_an_earlier_boot_are_over},
    {"costs one write transaction each", costs_one_write_transaction_each},
    {"tokens grow over dropped rows", tokens_grow_over_dropped_rows},
};

int main(int argc, char **argv) {
    broken_disk_install();
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
