/* Files of another schema than the program's: brought up in one transaction by whoever comes first, while programs of
 * the older one go on. */
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/spi_client.h"
#include "bench.h"
#include "sql/schema.h"
#include "sql/statements.h"
#include "sqlite/db.h"

static sqlite_bench bench;
static mw_option options[3];
static spi_client a, b;

static bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

static const spi_bench spi = {NULL, NULL, run, ""};

static void before(void) {
    a = b = (spi_client){0};
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    options[1] = (mw_option){"session_timeout_ms", "60000"};
    options[2] = (mw_option){0};
}

static void after(void) {
    spi_client *clients[] = {&a, &b};
    for (int i = 0; i < 2; i++)
        if (clients[i]->conn && !clients[i]->closed)
            spi_close(clients[i]);
    sqlite_bench_end(&bench);
}

/* ---- A file of schema 1 */

/* All that `sql` gives, as one text. */
static const char *ask(const char *sql) {
    static char text[2][8192];
    static int turn;
    char *to = text[turn ^= 1];
    sqlite3 *handle = NULL;
    sqlite3_stmt *rows = NULL;
    *to = '\0';
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(handle, 5000), SQLITE_OK);
    CHECK_INT(sqlite3_prepare_v2(handle, sql, -1, &rows, NULL), SQLITE_OK);
    for (; sqlite3_step(rows) == SQLITE_ROW; spi_append(to, sizeof text[0], "\n"))
        for (int i = 0; i < sqlite3_column_count(rows); i++)
            spi_append(to, sizeof text[0], "%s ", (const char *)sqlite3_column_text(rows, i));
    (void)sqlite3_finalize(rows);
    (void)sqlite3_close(handle);
    return to;
}

static void execute(const char *sql) {
    sqlite3 *handle = NULL;
    char *why = NULL;
    CHECK_INT(sqlite3_open(bench.path, &handle), SQLITE_OK);
    int code = sqlite3_exec(handle, sql, NULL, NULL, &why);
    (void)sqlite3_close(handle);
    CHECK_TEXT(why ? why : "", "");
    CHECK_INT(code, SQLITE_OK);
}

static void run_file(const char *name) {
    char path[512], text[12000];
    const char *source = getenv("MOONWATCH_SOURCE");
    (void)snprintf(path, sizeof path, "%s/spec/backends/sql/schema_1/%s", source ? source : SPEC_SOURCE, name);
    FILE *file = fopen(path, "r");
    CHECK(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    execute(text);
}

static void make_schema_1(void) {
    char boot[64] = "", sql[160];
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    CHECK(file && fgets(boot, sizeof boot, file) && fclose(file) == 0);
    run_file("sqlite.sql");
    run_file("rows.sql");
    (void)snprintf(sql, sizeof sql, "UPDATE mw_sessions SET boot = CAST('%.*s' AS BLOB)", (int)strcspn(boot, "\n"),
                   boot);
    execute(sql);
}

/* What a program of schema 1 looks at: it refuses a number above 1. */
static void check_that_schema_1_comes(void) {
    CHECK_TEXT(ask("PRAGMA user_version"), "1 \n");
    CHECK_TEXT(ask("PRAGMA application_id"), "1299665511 \n");
}

#define ROWS                                                                                                           \
    "SELECT hex(path), hex(value), version, revision, created, owner, ctime, mtime FROM mw_entries UNION ALL SELECT "  \
    "hex(path), hex(value), token, holder, handle, waiters, since, '' FROM mw_locks UNION ALL SELECT hex(path), "      \
    "hex(value), seq, session, handle, since, '', '' FROM mw_lock_waiters UNION ALL SELECT revision, kind, "           \
    "hex(path), step, version, created, owner, coalesce(hex(value), '') FROM mw_changes UNION ALL SELECT id, "         \
    "hex(secret), hex(name), opened, txn, verdict, txn_revision, '' FROM mw_sessions WHERE id < 1000 ORDER BY 1, 2, 3"
#define TABLES "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"

/* ---- Brought up */

static void on_ended(void *arg, int status, const mw_error *detail) {
    CHECK_INT(status, MW_OK);
    ++*(int *)arg;
}

static void end_session(mw_session_id id, char digit) {
    int ends = 0;
    unsigned char secret[MW_SECRET_SIZE];
    memset(secret, digit, sizeof secret);
    a.backend->end_session(a.conn, id, secret, on_ended, &ends);
    CHECK(spi_await(&a, &ends, 1));
}

static void what_is_there_stays_as_it_was(void) {
    static spi_ticket ticket;
    static spi_op op;
    make_schema_1();
    char rows[8192];
    (void)snprintf(rows, sizeof rows, "%s", ask(ROWS));
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_TEXT(ask(ROWS), rows);
    CHECK_TEXT(ask("SELECT version FROM mw_schema"), "2 \n");
    CHECK_INT(spi_read(&a, &op, MW_READ_GET, "/a/b"), MW_OK);
    CHECK_INT(op.last.version, 7);
    spi_lock(&a, &ticket, "/lock", false); /* behind those who wait already */
    end_session(101, '1');
    CHECK_TEXT(ask("SELECT holder, token FROM mw_locks WHERE path = x'2F6C6F636B'"), "102 42 \n");
    end_session(102, '2');
    CHECK_TEXT(ask("SELECT holder, token FROM mw_locks WHERE path = x'2F6C6F636B'"), "103 43 \n");
    CHECK_INT(ticket.grants, 0);
    end_session(103, '3');
    CHECK(spi_await(&a, &ticket.grants, 1));
    CHECK_INT(ticket.ticket.token, 44);
    spi_unlock(&a, &ticket);
    spi_lock(&a, &ticket, "/free", true);
    CHECK(spi_await(&a, &ticket.grants, 1));
    CHECK_INT(ticket.ticket.token, 18);
    spi_unlock(&a, &ticket);
}

static void a_file_that_was_brought_up_is_as_a_new_one(void) {
    make_schema_1();
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_close(&a);
    char upgraded[8192];
    (void)snprintf(upgraded, sizeof upgraded, "%s", ask(TABLES));
    check_that_schema_1_comes();
    CHECK_INT(unlink(bench.path), 0);
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    spi_close(&a);
    CHECK_TEXT(ask(TABLES), upgraded);
    check_that_schema_1_comes();
}

static void two_at_once_both_succeed(void) {
    make_schema_1();
    CHECK_INT(spi_start(&a, &spi, bench.host, mw_backend_plugin(), options, NULL), MW_OK);
    CHECK_INT(spi_start(&b, &spi, bench.host, mw_backend_plugin(), options, NULL), MW_OK);
    CHECK(spi_await(&a, &a.connected, 1) && spi_await(&b, &b.connected, 1));
    CHECK_INT(a.failed + b.failed, 0);
}

static void an_administrator_brings_it_up(void) {
    char *text = NULL;
    make_schema_1();
    CHECK_INT(mw_backend_plugin()->upgrade(1, &text, NULL), MW_OK);
    execute(text);
    free(text);
    char upgraded[8192];
    (void)snprintf(upgraded, sizeof upgraded, "%s", ask(TABLES));
    CHECK(strstr(upgraded, "mw_locks_holder_since") && !strstr(upgraded, "mw_locks_holder "));
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_TEXT(ask(TABLES), upgraded);
    CHECK_INT(mw_backend_plugin()->upgrade(2, &text, NULL), MW_EINVALID);
}

/* ---- A program without a loop: its connection alone, perhaps with another schema than ours */

static int bring(const mw_sql_schema *schema, mw_error *err) {
    mw_sql_db *db = NULL;
    mw_sql_driver_config config = {.host = bench.host, .options = options, .session_timeout = MW_SECOND};
    CHECK_INT(mw__sqlite_driver.open(&config, &db, NULL), MW_OK);
    int status = mw__sqlite_driver.connect(db, err);
    if (status == MW_OK)
        status = mw__sqlite_driver.schema(db, schema, err);
    mw__sqlite_driver.disconnect(db);
    mw__sqlite_driver.free(db);
    return status;
}

/* Another has done it between our look and our lock. */
static char *upgrade_by_another;

static int on_statement(unsigned type, void *arg, void *statement, void *text) {
    char *upgrade = upgrade_by_another;
    if (!upgrade || strcmp(text, "BEGIN IMMEDIATE") != 0)
        return 0;
    upgrade_by_another = NULL;
    execute(upgrade);
    free(upgrade);
    return 0;
}

static int add_trace(sqlite3 *handle, const char **why, const struct sqlite3_api_routines *api) {
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT, on_statement, NULL);
}

static int bring_ours(mw_error *err) {
    mw_sql_schema *schema = NULL;
    CHECK_INT(mw__sql_schema_new(&mw__sqlite_driver.dialect, &schema, NULL), MW_OK);
    int status = bring(schema, err);
    mw__sql_schema_free(schema);
    return status;
}

static int bring_second(mw_error *err) {
    (void)sqlite3_auto_extension((void (*)(void))add_trace);
    int status = bring_ours(err);
    sqlite3_reset_auto_extension();
    CHECK(!upgrade_by_another);
    return status;
}

static void who_comes_second_finds_it_done(void) {
    mw_error err = {0};
    make_schema_1();
    CHECK_INT(mw_backend_plugin()->upgrade(1, &upgrade_by_another, NULL), MW_OK);
    int status = bring_second(&err);
    CHECK_TEXT(err.message, "");
    CHECK_INT(status, MW_OK);
    CHECK_TEXT(ask("SELECT version FROM mw_schema"), "2 \n");
}

static void who_comes_second_and_is_too_old_by_then_stays_out(void) {
    mw_error err = {0};
    make_schema_1();
    upgrade_by_another = strdup("PRAGMA user_version = 9");
    CHECK_INT(bring_second(&err), MW_EUNSUPPORTED);
    CHECK(strstr(err.message, "the tables have schema 9"));
}

static void what_is_up_to_date_waits_for_no_writer(void) {
    sqlite3 *writer = NULL;
    CHECK_INT(bring_ours(NULL), MW_OK);
    CHECK_INT(sqlite3_open(bench.path, &writer), SQLITE_OK);
    CHECK_INT(sqlite3_exec(writer, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    int status = bring_ours(NULL);
    (void)sqlite3_close(writer);
    CHECK_INT(status, MW_OK);
}

static const char *const none[] = {NULL};
static const char *const statements[] = {"CREATE TABLE mw_new AS SELECT randomblob(8000000) AS x", "SELECT spec_die()",
                                         NULL};

static void die(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)kill(getpid(), SIGKILL);
}

static int add_die(sqlite3 *handle, const char **why, const struct sqlite3_api_routines *api) {
    return sqlite3_create_function(handle, "spec_die", 0, SQLITE_UTF8, NULL, die, NULL, NULL);
}

/* More than its cache holds, so a part of it is in the file already: the next one rolls that back. */
static void what_one_killed_midway_left_is_undone_and_done(void) {
    static const mw_sql_upgrade deadly[] = {{1, statements}};
    static const mw_sql_schema schema = {2, 1, none, deadly, 1};
    make_schema_1();
    char rows[8192];
    (void)snprintf(rows, sizeof rows, "%s", ask(ROWS));
    pid_t child = fork();
    if (child == 0) {
        (void)sqlite3_auto_extension((void (*)(void))add_die);
        (void)bring(&schema, NULL);
        _exit(1);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(!strstr(ask(TABLES), "mw_new"));
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_TEXT(ask(ROWS), rows);
    CHECK_TEXT(ask("SELECT version FROM mw_schema"), "2 \n");
}

/* ---- Programs of the older schema meanwhile */

static int schema_as_of_1(mw_sql_db *db, const mw_sql_schema *schema, mw_error *err) {
    mw_sql_schema old = {1, 1, schema->tables, schema->upgrades, 0};
    return mw__sqlite_driver.schema(db, &old, err);
}

static mw_sql_driver old_driver;

static int open_old(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    old_driver = mw__sqlite_driver;
    old_driver.schema = schema_as_of_1;
    return mw_sql_open(backend, &old_driver, config, ret_conn, err);
}

static const mw_backend *program_of_schema_1(void) {
    static mw_backend old;
    old = *mw_backend_plugin();
    old.open = open_old;
    return &old;
}

static void those_of_the_older_schema_go_on_and_come_back(void) {
    static spi_ticket held, next;
    static spi_op op;
    make_schema_1();
    spi_open(&a, &spi, bench.host, program_of_schema_1(), options);
    CHECK(strstr(ask(TABLES), "mw_locks_holder "));
    spi_lock(&a, &held, "/free", false);
    CHECK(spi_await(&a, &held.grants, 1));
    spi_open(&b, &spi, bench.host, mw_backend_plugin(), options);
    CHECK(!strstr(ask(TABLES), "mw_locks_holder "));
    spi_lock(&b, &next, "/free", false);
    CHECK_INT(spi_read(&b, &op, MW_READ_QUEUES, "/free"), MW_OK);
    CHECK_INT(op.entries, 2);
    CHECK_INT(spi_write(&a, MW_PUT, "/x", "v", 0), MW_OK);
    spi_unlock(&a, &held);
    CHECK(spi_await(&b, &next.grants, 1));
    CHECK_INT(next.ticket.token, held.ticket.token + 1);
    CHECK_INT(a.disconnected + a.expired, 0);
    spi_unlock(&b, &next);
    spi_close(&a);
    spi_open(&a, &spi, bench.host, program_of_schema_1(), options);
    CHECK_INT(spi_write(&a, MW_PUT, "/x", "v", 0), MW_OK);
    check_that_schema_1_comes();
}

static void those_who_are_too_old_stay_out(void) {
    static const char *const table[] = {"CREATE TABLE mw_new (x)", NULL};
    static const mw_sql_upgrade steps[] = {{1, none}, {3, table}};
    static const mw_sql_schema third = {3, 1, none, steps, 2}, second = {2, 1, none, steps, 1};
    mw_error err = {0};
    make_schema_1();
    CHECK_INT(bring(&third, &err), MW_OK);
    CHECK_TEXT(ask("PRAGMA user_version"), "3 \n");
    CHECK_TEXT(ask("SELECT version FROM mw_schema"), "3 \n");
    CHECK_INT(bring(&second, &err), MW_EUNSUPPORTED);
    CHECK(strstr(err.message, "the tables have schema 3") && strstr(err.message, "this one knows schema 2"));
}

static void a_newer_file_that_bears_us_is_used(void) {
    make_schema_1();
    execute("CREATE TABLE mw_schema (version INTEGER NOT NULL); INSERT INTO mw_schema VALUES (9)");
    char tables[8192];
    (void)snprintf(tables, sizeof tables, "%s", ask(TABLES));
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(spi_write(&a, MW_PUT, "/x", "v", 0), MW_OK);
    CHECK_TEXT(ask(TABLES), tables);
    CHECK_TEXT(ask("SELECT version FROM mw_schema"), "9 \n");
}

/* ---- What it is for */

/* The statement as the driver gets it, with its parameters unbound. */
static void a_look_for_idle_locks_reads_idle_ones_only(void) {
    mw_sql_statement *catalog = NULL;
    char sql[1024];
    spi_open(&a, &spi, bench.host, mw_backend_plugin(), options);
    CHECK_INT(mw__sql_catalog_new(&mw__sqlite_driver, &catalog, NULL), MW_OK);
    (void)snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", catalog[MW__SQL_LOCK_IDLE].text);
    mw__sql_catalog_free(catalog);
    for (char *wall; (wall = strstr(sql, mw__sqlite_driver.dialect.wall));) /* a function that only it has */
        memset(wall, '1', strlen(mw__sqlite_driver.dialect.wall));
    const char *plan = ask(sql);
    if (!strstr(plan, "USING INDEX mw_locks_holder_since (holder=? AND since<?)"))
        CHECK_TEXT(plan, "by holder and since");
}

static const spec_case cases[] = {
    {"what is there stays as it was", what_is_there_stays_as_it_was},
    {"a file that was brought up is as a new one", a_file_that_was_brought_up_is_as_a_new_one},
    {"two at once both succeed", two_at_once_both_succeed},
    {"an administrator brings it up", an_administrator_brings_it_up},
    {"who comes second finds it done", who_comes_second_finds_it_done},
    {"who comes second and is too old by then stays out", who_comes_second_and_is_too_old_by_then_stays_out},
    {"what is up to date waits for no writer", what_is_up_to_date_waits_for_no_writer},
    {"what one killed midway left is undone, and done", what_one_killed_midway_left_is_undone_and_done},
    {"those of the older schema go on, and come back", those_of_the_older_schema_go_on_and_come_back},
    {"those who are too old stay out", those_who_are_too_old_stay_out},
    {"a newer file that bears us is used", a_newer_file_that_bears_us_is_used},
    {"a look for idle locks reads idle ones only", a_look_for_idle_locks_reads_idle_ones_only},
};

int main(int argc, char **argv) {
    spec.before = before;
    spec.after = after;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
