/* The steps from one version of the tables to the next, and the marks between them: cut off, slow, refused. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/mysql/driver.h"
#include "schema_rig.h"

/* ---- A program with another schema than ours, without a loop: its connection alone */

static mw_sql_schema made_up;
static const char *const no_tables[] = {NULL};

static mw_sql_db *connect_with(const mw_option *more) {
    mw_sql_db *db = NULL;
    mw_sql_driver_config config = {.host = rig.host, .options = rig_options(more), .session_timeout = 900 * MW_MS};
    CHECK_INT(mw_mysql_driver.open(&config, &db, NULL), MW_OK);
    CHECK_INT(mw_mysql_driver.connect(db, NULL), MW_OK);
    return db;
}

static int bring(const mw_sql_schema *schema, const mw_option *more, mw_error *err) {
    mw_sql_db *db = connect_with(more);
    int status = mw_mysql_driver.schema(db, schema, err);
    mw_mysql_driver.free(db);
    return status;
}

/* From 1 to 2 by these statements; what comes is for programs from `oldest` on, and ours needs `least`. */
static const mw_sql_schema *schema_2(const char *const *statements, int oldest, int least) {
    static mw_sql_upgrade step;
    step = (mw_sql_upgrade){oldest, statements};
    made_up = (mw_sql_schema){2, least, no_tables, &step, 1};
    return &made_up;
}

static bool child_sleeps(void *arg) {
    return SQL("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%%SLEEP(600)%%' "
               "AND ID <> CONNECTION_ID()") > 0;
}

static pid_t bring_and_hang(void) {
    pid_t child = fork();
    if (child == 0) {
        static const char *const statements[] = {"CREATE INDEX mw_locks_holder_since ON mw_locks (holder, since)",
                                                 "DO SLEEP(600)", NULL};
        mw_error err;
        (void)bring(schema_2(statements, 1, 2), NULL, &err);
        _exit(1);
    }
    return child;
}

/* The lock goes when the server notices; until then the next one waits, or goes on with what is there. */
static void what_one_killed_midway_left_is_finished(void) {
    make_schema_1(true);
    pid_t child = bring_and_hang();
    CHECK(child > 0 && rig_run(child_sleeps, NULL));
    CHECK_INT(kill(child, SIGKILL), 0);
    CHECK_INT(waitpid(child, NULL, 0), child);
    CHECK_TEXT(mark(), "moonwatch schema 1 \n");
    CHECK(strstr(columns_and_indexes(), "mw_locks_holder_since") && strstr(columns_and_indexes(), "mw_locks_holder "));
    for (int attempt = 0; attempt < 30 && strcmp(mark(), "moonwatch schema 1..2 \n") != 0; attempt++) {
        rig_open(&rig.a, (mw_option[]){{"session_timeout_ms", "900"}, {NULL, NULL}});
        spi_close(&rig.a);
    }
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK(!strstr(columns_and_indexes(), "mw_locks_holder "));
}

/* Its last step was done, and then it died. */
static void what_was_done_and_not_marked_is_marked(void) {
    make_schema_1(false);
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    char whole[8192];
    snprintf(whole, sizeof whole, "%s", columns_and_indexes());
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema 1'");
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK_TEXT(columns_and_indexes(), whole);
}

/* The same of a step that adds a column: no step of ours does so far. */
static void a_column_that_was_added_and_not_marked_is_marked(void) {
    static const char *const statements[] = {"ALTER TABLE mw_meta ADD COLUMN more BIGINT NOT NULL DEFAULT 0", NULL};
    mw_error err = {0};
    make_schema_1(false);
    SQL("%s", statements[0]);
    CHECK_INT(bring(schema_2(statements, 1, 2), NULL, &err), MW_OK);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
}

/* Whoever comes next begins where it ended. */
static void the_steps_before_one_that_fails_are_marked(void) {
    static const char *const first[] = {"CREATE TABLE mw_new (x BIGINT)", NULL}, *const second[] = {"NONSENSE", NULL};
    static const mw_sql_upgrade steps[] = {{1, first}, {1, second}};
    static const mw_sql_schema third = {3, 1, no_tables, steps, 2};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(&third, NULL, &err), MW_OK); /* it goes on with what there is */
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
}

/* It takes longer than anybody waits: who can do without goes on, and changes nothing beside it. */
static void who_finds_another_at_it_leaves_it_alone(void) {
    make_schema_1(false);
    SQL("DO GET_LOCK(CONCAT('moonwatch.', MD5('moonwatch')), 0)");
    rig_open(&rig.a, (mw_option[]){{"session_timeout_ms", "900"}, {NULL, NULL}});
    CHECK(spi_await_text(&rig.a, rig.log, "goes on with tables of schema 1: 127.0.0.1:"));
    CHECK(strstr(rig.log, "another process is making the tables, or brings them up"));
    CHECK_TEXT(mark(), "moonwatch schema 1 \n");
    spi_close(&rig.a);
    SQL("DO RELEASE_LOCK(CONCAT('moonwatch.', MD5('moonwatch')))");
}

static bool waits_its_turn(void *arg) {
    return SQL("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%%GET_LOCK(%%' "
               "AND ID <> CONNECTION_ID()") > 0;
}

/* The tables that it knew how to use are not there any more. */
static void who_waited_for_one_too_new_for_it_stays_out(void) {
    make_schema_1(false);
    SQL("DO GET_LOCK(CONCAT('moonwatch.', MD5('moonwatch')), 0)");
    CHECK_INT(spi_start(&rig.a, &rig_bench, rig.host, mw_backend_plugin(),
                        rig_options((mw_option[]){{"session_timeout_ms", "600000"}, {NULL, NULL}}), NULL),
              MW_OK);
    CHECK(rig_run(waits_its_turn, NULL));
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema 9..9'; "
        "DO RELEASE_LOCK(CONCAT('moonwatch.', MD5('moonwatch')))");
    CHECK(spi_await(&rig.a, &rig.a.failed, 1));
    CHECK_INT(rig.a.connected, 0);
    spi_close(&rig.a);
}

/* Longer than the server and our connection let anything else take. */
static void a_step_takes_the_time_that_it_takes(void) {
    static const char *const statements[] = {"CREATE TABLE mw_new AS SELECT SLEEP(3) AS cut_off", NULL};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(schema_2(statements, 1, 2), NULL, &err), MW_OK);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK_INT(SQL("SELECT cut_off FROM moonwatch.mw_new"), 0);
}

static void *hang(void *db) {
    static const char *const statements[] = {"DO SLEEP(600)", NULL};
    static int status;
    mw_error err = {0};
    status = mw_mysql_driver.schema(db, schema_2(statements, 1, 1), &err);
    return &status;
}

/* As the registry is closed meanwhile: there is nothing to go on with. */
static void a_step_ends_when_it_is_interrupted(void) {
    pthread_t thread;
    void *status = NULL;
    make_schema_1(false);
    mw_sql_db *db = connect_with(NULL);
    CHECK_INT(pthread_create(&thread, NULL, hang, db), 0);
    CHECK(rig_run(child_sleeps, NULL));
    mw_mysql_driver.interrupt(db);
    CHECK_INT(pthread_join(thread, &status), 0);
    CHECK_INT(*(int *)status, MW_EDISCONNECTED);
    CHECK(!strstr(rig.log, "goes on with"));
    mw_mysql_driver.free(db);
    SQL("KILL CONNECTION USER 'mwlog'"); /* the server itself notices later that nobody waits any more */
}

static void who_needs_them_brought_up_and_may_not_says_so(void) {
    static const char *const statements[] = {"CREATE TABLE mw_new (x BIGINT)", NULL};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(schema_2(statements, 1, 2), four, &err), MW_EDENIED);
    CHECK(strstr(err.message, "--from 1") && !strchr(err.message, '\n'));
}

static void those_who_are_too_old_stay_out(void) {
    static const char *const statements[] = {"CREATE TABLE mw_new (x BIGINT)", NULL};
    static const char *const none[] = {NULL};
    static const mw_sql_upgrade steps[] = {{1, none}, {3, statements}};
    static const mw_sql_schema third = {3, 1, none, steps, 2};
    mw_error err = {0};
    make_schema_1(false);
    CHECK_INT(bring(&third, NULL, &err), MW_OK);
    CHECK_TEXT(mark(), "moonwatch schema 3..3 \n");
    CHECK(!schema_1_comes());
    CHECK_INT(bring(schema_2(none, 1, 1), NULL, &err), MW_EUNSUPPORTED);
    CHECK(strstr(err.message, "the tables have schema 3") && strstr(err.message, "this one knows schema 2"));
}

static void newer_tables_that_bear_us_are_used(void) {
    make_schema_1(false);
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema 2..9'");
    rig_open(&rig.a, NULL);
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 2..9 \n");
}

static void a_mark_that_says_nothing_is_refused(void) {
    static const char *const marks[] = {"x", "0", "-1", "3..2", "2..1"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        mw_error err = {0};
        static const char *const none[] = {NULL};
        spec_mysql_empty(&rig.server);
        make_schema_1(false);
        SQL("ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema %s'", marks[i]);
        int status = bring(schema_2(none, 1, 1), NULL, &err);
        CHECK(status == MW_ECORRUPT || status == MW_EUNSUPPORTED);
    }
}

/* A program of schema 1 died over it, and ours finds no mark. */
static void half_of_an_older_schema_is_finished_as_ours(void) {
    make_schema_1(false);
    SQL("ALTER TABLE moonwatch.mw_meta COMMENT = ''; DROP TABLE moonwatch.mw_lock_waiters");
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
    CHECK_TEXT(mark(), "moonwatch schema 1..2 \n");
    CHECK(!strstr(columns_and_indexes(), "mw_locks_holder "));
}

static const spec_case cases[] = {
    {"what one killed midway left is finished", what_one_killed_midway_left_is_finished},
    {"what was done and not marked is marked", what_was_done_and_not_marked_is_marked},
    {"a column that was added and not marked is marked", a_column_that_was_added_and_not_marked_is_marked},
    {"the steps before one that fails are marked", the_steps_before_one_that_fails_are_marked},
    {"who finds another at it leaves it alone", who_finds_another_at_it_leaves_it_alone},
    {"who waited for one too new for it stays out", who_waited_for_one_too_new_for_it_stays_out},
    {"a step takes the time that it takes", a_step_takes_the_time_that_it_takes},
    {"a step ends when it is interrupted", a_step_ends_when_it_is_interrupted},
    {"who needs them brought up and may not says so", who_needs_them_brought_up_and_may_not_says_so},
    {"those who are too old stay out", those_who_are_too_old_stay_out},
    {"newer tables that bear us are used", newer_tables_that_bear_us_are_used},
    {"a mark that says nothing is refused", a_mark_that_says_nothing_is_refused},
    {"half of an older schema is finished as ours", half_of_an_older_schema_is_finished_as_ours},
};

int main(int argc, char **argv) {
    return rig_main("--log-bin=bin", cases, sizeof cases / sizeof *cases, argc, argv);
}
