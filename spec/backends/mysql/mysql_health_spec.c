/* Who may not connect hears in one line why, without a password; and what a session lives through. */
#include <dirent.h>

#include "rig.h"

static void on_failed(void *arg, int status, const mw_error *why) {
    ((spi_client *)arg)->failed++;
    rig.failure_status = status;
    snprintf(rig.failure, sizeof rig.failure, "%s", why->message);
}

/* Connecting ends in `failed` with this status and these words. */
static void fails(const mw_option *more, int status, const char *words) {
    static const mw_conn_events events = {spi_on_connected, spi_on_disconnected, spi_on_expired,
                                          spi_on_confirmed, on_failed,           spi_on_closed};
    rig.a = (spi_client){.bench = &rig_bench, .backend = mw_backend_plugin(), .host = rig.host};
    mw_conn_config config = {.host = rig.host,
                             .options = rig_options(more),
                             .name = mw_str_of("spec"),
                             .events = &events,
                             .events_arg = &rig.a};
    CHECK_INT(rig.a.backend->open(rig.a.backend, &config, &rig.a.conn, NULL), MW_OK);
    CHECK(spi_await(&rig.a, &rig.a.failed, 1));
    spi_close(&rig.a);
    CHECK_INT(rig.failure_status, status);
    if (!strstr(rig.failure, words))
        CHECK_TEXT(rig.failure, words);
    CHECK(!strchr(rig.failure, '\n') && !strstr(rig.failure, "s3cret") && !strstr(rig.log, "s3cret"));
}

/* Not for good: tried again, and the log says why. */
static void waits(const mw_option *more, const char *words) {
    CHECK_INT(spi_start(&rig.a, &rig_bench, rig.host, mw_backend_plugin(), rig_options(more), NULL), MW_OK);
    CHECK(spi_await_text(&rig.a, rig.log, words));
    CHECK_INT(rig.a.failed, 0);
    CHECK(!strstr(rig.log, "s3cret"));
}

static void a_wrong_password(void) {
    fails((mw_option[]){{"password", "s3cret-wrong"}, {NULL, NULL}}, MW_EDENIED, "refuses the account 'mwlog'");
}

static void a_missing_database(void) {
    spec_mysql_sql(&rig.server, "CREATE USER IF NOT EXISTS all_dbs@'%%' IDENTIFIED BY 's3cret'; "
                                "GRANT ALL ON *.* TO all_dbs@'%%'");
    fails((mw_option[]){{"username", "all_dbs"}, {"database", "nowhere"}, {NULL, NULL}}, MW_EINVALID,
          "the database does not exist");
    fails((mw_option[]){{"database", "nowhere"}, {NULL, NULL}}, MW_EDENIED, "or it does not exist: GRANT SELECT");
}

static void missing_rights(void) {
    spec_mysql_sql(&rig.server, "CREATE OR REPLACE USER reader@'%%' IDENTIFIED BY 's3cret'; "
                                "GRANT SELECT ON moonwatch.* TO reader@'%%'");
    static const mw_option reader[] = {{"username", "reader"}, {NULL, NULL}};
    fails(reader, MW_EDENIED, "let a DBA run what `moonwatch schema mysql` prints");
    rig_open(&rig.b, NULL); /* makes the tables */
    spi_close(&rig.b);
    fails(reader, MW_EDENIED, "SELECT, INSERT, UPDATE and DELETE are needed");
}

static void run_the_dbas_script(void) {
    char *text = mw_backend_plugin()->schema();
    CHECK(text && strstr(text, "REPLICATION SLAVE"));
    CHECK_INT(mysql_select_db(rig.server.root, "moonwatch"), 0);
    spec_mysql_sql(&rig.server, "%s", text);
    free(text);
}

/* Else there is half a registry, and the script fails on that. */
static void who_may_not_make_all_tables_makes_none(void) {
    static const char *const rights[] = {"CREATE", "CREATE, INDEX", "ALTER, INDEX", "CREATE, ALTER"};
    for (size_t i = 0; i < sizeof rights / sizeof *rights; i++) {
        spec_mysql_sql(&rig.server,
                       "CREATE OR REPLACE USER half@'%%' IDENTIFIED BY 's3cret'; "
                       "GRANT SELECT, INSERT, UPDATE, DELETE, %s ON moonwatch.* TO half@'%%'",
                       rights[i]);
        fails((mw_option[]){{"username", "half"}, {NULL, NULL}}, MW_EDENIED,
              "grant it CREATE, ALTER and INDEX, or let a DBA run");
        CHECK_INT(spec_mysql_sql(&rig.server, "SELECT COUNT(*) FROM information_schema.TABLES "
                                              "WHERE TABLE_SCHEMA = 'moonwatch'"),
                  0);
    }
    run_the_dbas_script();
    rig_open(&rig.a, (mw_option[]){{"username", "half"}, {NULL, NULL}});
    spi_close(&rig.a);
}

static void what_a_dba_prepared_needs_four_rights(void) {
    run_the_dbas_script();
    spec_mysql_sql(&rig.server, "CREATE OR REPLACE USER four@'%%' IDENTIFIED BY 's3cret'; "
                                "GRANT SELECT, INSERT, UPDATE, DELETE ON moonwatch.* TO four@'%%'");
    rig_open(&rig.a, (mw_option[]){{"username", "four"}, {NULL, NULL}});
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
    spi_close(&rig.a);
}

static void tables_that_are_no_registrys(void) {
    spec_mysql_sql(&rig.server, "CREATE TABLE moonwatch.mw_meta (x INT)");
    fails(NULL, MW_ECORRUPT, "are no registry's");
}

static void tables_of_a_newer_program(void) {
    rig_open(&rig.b, NULL);
    spi_close(&rig.b);
    spec_mysql_sql(&rig.server, "ALTER TABLE moonwatch.mw_meta COMMENT = 'moonwatch schema 99'");
    fails(NULL, MW_EUNSUPPORTED, "the tables have schema 99");
}

static void what_a_dead_creator_left_is_finished(void) {
    spec_mysql_sql(&rig.server,
                   "CREATE TABLE moonwatch.mw_meta (id BIGINT NOT NULL PRIMARY KEY, identity VARBINARY(64) "
                   "NOT NULL, revision BIGINT NOT NULL, floor BIGINT NOT NULL, lock_floor BIGINT NOT NULL, "
                   "epoch BIGINT NOT NULL) ENGINE=InnoDB");
    rig_open(&rig.a, NULL);
    spi_close(&rig.a);
}

static void two_who_start_at_once_both_succeed(void) {
    CHECK_INT(spi_start(&rig.a, &rig_bench, rig.host, mw_backend_plugin(), rig_options(NULL), NULL), MW_OK);
    CHECK_INT(spi_start(&rig.b, &rig_bench, rig.host, mw_backend_plugin(), rig_options(NULL), NULL), MW_OK);
    CHECK(spi_await(&rig.a, &rig.a.connected, 1) && spi_await(&rig.b, &rig.b.connected, 1));
    CHECK_INT(rig.a.failed + rig.b.failed, 0);
    spi_close(&rig.a);
    spi_close(&rig.b);
}

static void a_server_that_is_too_old(void) {
    spec_mysql_do(&rig.server, "kill");
    spec_mysql_restart(&rig.server, "--version=10.1.48-MariaDB");
    fails(NULL, MW_EUNSUPPORTED, "too old (10.1.48");
    spec_mysql_do(&rig.server, "kill");
    spec_mysql_restart(&rig.server, "--log-bin=bin");
}

static void a_multi_primary_cluster(void) {
    spec_mysql_do(&rig.server, "kill");
    spec_mysql_restart(&rig.server,
                       "--wsrep-on=ON --wsrep-provider=/usr/lib/galera/libgalera_smm.so "
                       "--wsrep-cluster-address=gcomm:// --binlog-format=ROW --innodb-autoinc-lock-mode=2");
    fails(NULL, MW_EUNSUPPORTED, "a Galera cluster");
    spec_mysql_do(&rig.server, "kill");
    spec_mysql_restart(&rig.server, "--log-bin=bin");
}

static void a_read_only_server_is_waited_for(void) {
    spec_mysql_sql(&rig.server, "SET GLOBAL read_only = ON");
    waits(NULL, "the server is read-only");
    spec_mysql_sql(&rig.server, "SET GLOBAL read_only = OFF");
    CHECK(spi_await(&rig.a, &rig.a.connected, 1));
    spec_mysql_sql(&rig.server, "SET GLOBAL read_only = ON");
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/x", "", 0), MW_EDISCONNECTED);
    spec_mysql_sql(&rig.server, "SET GLOBAL read_only = OFF");
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    spi_close(&rig.a);
}

/* As a backup takes it. A statement that nobody waits for any more must not wait on for that, each on a connection. */
static void a_lock_on_all_tables_is_waited_for(void) {
    rig_open(&rig.a, (mw_option[]){{"session_timeout_ms", "1500"}, {NULL, NULL}});
    spec_mysql_sql(&rig.server, "FLUSH TABLES WITH READ LOCK");
    bool told = spi_await_text(&rig.a, rig.log, "Lock wait timeout exceeded");
    spec_mysql_sql(&rig.server, "UNLOCK TABLES");
    CHECK(told);
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/x", "", 0), MW_OK);
    spi_close(&rig.a);
}

static void a_server_that_is_not_there_is_named(void) {
    waits((mw_option[]){{"host", "::1"}, {NULL, NULL}}, "not connected: [::1]:");
    spi_close(&rig.a);
}

static void an_engine_that_is_read_only_is_waited_for(void) {
    rig_open(&rig.b, NULL);
    spi_close(&rig.b);
    spec_mysql_do(&rig.server, "stop");
    spec_mysql_restart(&rig.server, "--innodb-read-only");
    waits(NULL, "the server has become read-only");
    spec_mysql_do(&rig.server, "stop");
    spec_mysql_restart(&rig.server, "--log-bin=bin");
    CHECK(spi_await(&rig.a, &rig.a.connected, 1));
    spi_close(&rig.a);
}

static void a_limit_by_the_hour_is_waited_for(void) {
    spec_mysql_sql(&rig.server, "CREATE OR REPLACE USER few@'%%' IDENTIFIED BY 's3cret' WITH MAX_QUERIES_PER_HOUR 3; "
                                "GRANT ALL ON moonwatch.* TO few@'%%'");
    waits((mw_option[]){{"username", "few"}, {NULL, NULL}}, "has exceeded the 'max_queries_per_hour'");
    spec_mysql_sql(&rig.server, "GRANT USAGE ON *.* TO few@'%%' WITH MAX_QUERIES_PER_HOUR 0; FLUSH USER_RESOURCES");
    CHECK(spi_await(&rig.a, &rig.a.connected, 1));
    spi_close(&rig.a);
}

static void a_server_without_connections_is_waited_for(void) {
    spec_mysql_sql(&rig.server, "CREATE OR REPLACE USER one@'%%' IDENTIFIED BY 's3cret' WITH MAX_USER_CONNECTIONS 1; "
                                "GRANT ALL ON moonwatch.* TO one@'%%'");
    static const mw_option one[] = {{"username", "one"}, {"binlog", "off"}, {NULL, NULL}};
    rig_open(&rig.b, one);
    waits(one, "no connection left");
    spi_close(&rig.b);
    CHECK(spi_await(&rig.a, &rig.a.connected, 1));
    spi_close(&rig.a);
}

static void the_log_says_how_changes_are_noticed(void) {
    rig_open(&rig.a, NULL);
    CHECK(spi_await_text(&rig.a, rig.log, "by the binary log"));
    spi_close(&rig.a);
    rig_open(&rig.a, (mw_option[]){{"username", "mw"}, {NULL, NULL}});
    CHECK(spi_await_text(&rig.a, rig.log, "polling (the account lacks REPLICATION SLAVE)"));
    spi_close(&rig.a);
    rig_open(&rig.a, (mw_option[]){{"binlog", "off"}, {NULL, NULL}});
    CHECK(spi_await_text(&rig.a, rig.log, "polling (switched off)"));
    spi_close(&rig.a);
}

static int threads(void) {
    int count = -2; /* . and .. */
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    while (readdir(tasks))
        count++;
    (void)closedir(tasks);
    return count;
}

static bool has_threads(void *arg) {
    return threads() == *(const int *)arg;
}

/* It may be looking up the server's name, which nothing interrupts: the host's thread must never have to wait for it.
 */
static void the_binary_logs_reader_ends_with_the_connection(void) {
    int alone = threads(), connecting = alone + 1, reading = alone + 2;
    rig_open(&rig.a, NULL);
    CHECK(spi_await_text(&rig.a, rig.log, "by the binary log"));
    CHECK_INT(threads(), reading);
    spec_mysql_do(&rig.server, "stop");
    CHECK(spi_await(&rig.a, &rig.a.disconnected, 1));
    CHECK(rig_run(has_threads, &connecting));
    spec_mysql_restart(&rig.server, "--log-bin=bin");
    CHECK(rig_run(has_threads, &reading));
    spi_close(&rig.a);
    CHECK_INT(threads(), alone);
}

static void a_timeout_below_three_heartbeats_is_refused(void) {
    mw_error err = {0};
    const mw_option more[] = {{"session_timeout_ms", "8999"}, {"heartbeat_ms", "3000"}, {NULL, NULL}};
    CHECK_INT(spi_start(&rig.a, &rig_bench, rig.host, mw_backend_plugin(), rig_options(more), &err), MW_EINVALID);
    CHECK(strstr(err.message, "less than three heartbeats"));
    CHECK_INT(spi_start(&rig.a, &rig_bench, rig.host, mw_backend_plugin(), rig_options(NULL), NULL), MW_OK);
    CHECK(spi_await(&rig.a, &rig.a.connected, 1));
    CHECK_INT(rig.a.session.timeout, 10 * MW_SECOND);
    spi_close(&rig.a);
}

/* As a server that was restarted leaves it, and a firewall that forgets. */
static void a_goodbye_on_a_broken_connection_is_said_on_another(void) {
    static const mw_option quiet[] = {{"session_timeout_ms", "600000"}, {"binlog", "off"}, {NULL, NULL}};
    rig_open(&rig.a, quiet);
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/e", "~1", 0), MW_OK);
    spec_mysql_sql(&rig.server, "KILL CONNECTION USER 'mwlog'");
    spi_close(&rig.a);
    CHECK_INT(spec_mysql_sql(&rig.server, "SELECT COUNT(*) FROM moonwatch.mw_sessions"), 0);
    CHECK_INT(spec_mysql_sql(&rig.server, "SELECT COUNT(*) FROM moonwatch.mw_entries"), 0);
}

static void nobodys_time_zone_matters(void) {
    rig_open(&rig.a, (mw_option[]){{"session_timeout_ms", "600"}, {"heartbeat_ms", "100"}, {NULL, NULL}});
    rig_open(&rig.b, (mw_option[]){{"session_timeout_ms", "600"}, {"heartbeat_ms", "100"}, {NULL, NULL}});
    spec_mysql_sql(&rig.server, "SET GLOBAL time_zone = '+11:00'");
    CHECK(spi_await(&rig.a, &rig.a.confirmed, rig.a.confirmed + 20));
    spec_mysql_sql(&rig.server, "SET GLOBAL time_zone = '-11:00'");
    CHECK(spi_await(&rig.b, &rig.b.confirmed, rig.b.confirmed + 20));
    CHECK_INT(rig.a.expired + rig.b.expired, 0);
    spec_mysql_sql(&rig.server, "SET GLOBAL time_zone = SYSTEM");
    spi_close(&rig.a);
    spi_close(&rig.b);
}

static void copy(const char *from, const char *to) {
    char command[512];
    snprintf(command, sizeof command, "rm -rf %s/%s && cp -r %s/%s %s/%s", rig.server.dir, to, rig.server.dir, from,
             rig.server.dir, to);
    CHECK_INT(system(command), 0);
}

static void a_restored_copy_is_recognised(void) {
    static spi_ticket before, after;
    static spi_op op;
    rig_open(&rig.a, NULL);
    spi_lock(&rig.a, &before, "/lock", false);
    CHECK(spi_await(&rig.a, &before.grants, 1));
    spi_unlock(&rig.a, &before);
    spec_mysql_do(&rig.server, "stop");
    copy("data", "copy");
    spec_mysql_restart(&rig.server, "--log-bin=bin");
    CHECK(spi_await(&rig.a, &rig.a.connected, 2));
    CHECK_INT(rig.a.expired, 0);
    for (int i = 0; i < 3; i++) {
        spi_lock(&rig.a, &before, "/lock", false);
        CHECK(spi_await(&rig.a, &before.grants, 1));
        CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
        if (i < 2)
            spi_unlock(&rig.a, &before);
    }
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_GET, "/x"), MW_OK);
    int64_t revision = op.last.revision;
    spec_mysql_do(&rig.server, "stop");
    copy("copy", "data");
    spec_mysql_restart(&rig.server, "--log-bin=bin");
    CHECK(spi_await(&rig.a, &rig.a.expired, 1));
    CHECK_INT(before.ends, 1);
    CHECK_INT(before.status, MW_ESESSION_LOST);
    CHECK(spi_await(&rig.a, &rig.a.connected, 3));
    CHECK(strstr(rig.log, "went back from revision"));
    spi_lock(&rig.a, &after, "/lock", false);
    CHECK(spi_await(&rig.a, &after.grants, 1));
    CHECK(after.ticket.token > before.ticket.token);
    CHECK_INT(spi_write(&rig.a, MW_PUT, "/x", "v", 0), MW_OK);
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_GET, "/x"), MW_OK);
    CHECK(op.last.revision > revision);
    spi_unlock(&rig.a, &after);
    spi_close(&rig.a);
}

static const spec_case cases[] = {
    {"a wrong password", a_wrong_password},
    {"a missing database", a_missing_database},
    {"missing rights", missing_rights},
    {"who may not make all tables makes none", who_may_not_make_all_tables_makes_none},
    {"what a DBA prepared needs four rights", what_a_dba_prepared_needs_four_rights},
    {"tables that are no registry's", tables_that_are_no_registrys},
    {"tables of a newer program", tables_of_a_newer_program},
    {"what a dead creator left is finished", what_a_dead_creator_left_is_finished},
    {"two who start at once both succeed", two_who_start_at_once_both_succeed},
    {"a server that is too old", a_server_that_is_too_old},
    {"a multi-primary cluster", a_multi_primary_cluster},
    {"a read-only server is waited for", a_read_only_server_is_waited_for},
    {"a server that is not there is named", a_server_that_is_not_there_is_named},
    {"an engine that is read-only is waited for", an_engine_that_is_read_only_is_waited_for},
    {"a limit by the hour is waited for", a_limit_by_the_hour_is_waited_for},
    {"a lock on all tables is waited for", a_lock_on_all_tables_is_waited_for},
    {"a server without connections is waited for", a_server_without_connections_is_waited_for},
    {"the log says how changes are noticed", the_log_says_how_changes_are_noticed},
    {"the binary log's reader ends with the connection", the_binary_logs_reader_ends_with_the_connection},
    {"a timeout below three heartbeats is refused", a_timeout_below_three_heartbeats_is_refused},
    {"a goodbye on a broken connection is said on another", a_goodbye_on_a_broken_connection_is_said_on_another},
    {"nobody's time zone matters", nobodys_time_zone_matters},
    {"a restored copy is recognised", a_restored_copy_is_recognised},
};

int main(int argc, char **argv) {
    return rig_main("--log-bin=bin", cases, sizeof cases / sizeof *cases, argc, argv);
}
