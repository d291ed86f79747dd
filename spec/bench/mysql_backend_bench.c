/* The MySQL backend beside the bare client library that runs the very same statements, on a MariaDB of its own. */
#include "backends/mysql/rig.h"

#include "bench/figures.h"

#define RUNS 5
#define PUTS 200
#define CYCLES 200
#define AT_ONCE 10 /* of ours, then of the bare ones */
#define EVENTS 100
#define BATCH 1000

static MYSQL *bare;

static void must(bool good, const char *what) {
    if (good)
        return;
    (void)fprintf(stderr, "mysql_backend_bench: %s failed: %s\n", what, spec.why);
    spec_mysql_remove(&rig.server);
    exit(EXIT_FAILURE);
}

static const mw_option calm[] = {{"session_timeout_ms", "600000"},
                                 {"heartbeat_ms", "200000"},
                                 {"poll_interval_ms", "600000"},
                                 {"binlog", "off"},
                                 {NULL, NULL}};

/* The server as it comes: the specs give theirs less memory. */
static const char usual_sizes[] =
    "--log-bin=bin --innodb-buffer-pool-size=128M --innodb-log-file-size=96M --innodb-log-buffer-size=16M";

/* ---- The bare library */

static void bare_run(const char *text) {
    int more = mysql_query(bare, text) ? 1 : 0;
    for (; more == 0; more = mysql_next_result(bare))
        mysql_free_result(mysql_store_result(bare));
    must(more < 0, mysql_error(bare));
}

static void bare_open(const char *port) {
    bare = mysql_init(NULL);
    must(mysql_real_connect(bare, "127.0.0.1", "mwlog", "s3cret", "moonwatch", (unsigned)atoi(port), NULL,
                            CLIENT_MULTI_STATEMENTS | CLIENT_FOUND_ROWS) != NULL,
         "bare connect");
    bare_run("SET NAMES binary; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
}

/* The last packet of our client that holds `mark`, as the server's own log has it. */
static void recorded(const char *mark, char *ret_text, size_t size) {
    char query[256];
    snprintf(query, sizeof query,
             "SELECT argument FROM mysql.general_log WHERE command_type = 'Query' AND argument LIKE '%%%s%%' AND "
             "argument NOT LIKE '%%general_log%%' ORDER BY LENGTH(argument) DESC LIMIT 1",
             mark);
    must(mysql_query(rig.server.root, query) == 0, "general log");
    MYSQL_RES *result = mysql_store_result(rig.server.root);
    MYSQL_ROW row = mysql_fetch_row(result);
    must(row && row[0] && strlen(row[0]) < size, "recorded statement");
    snprintf(ret_text, size, "%s", row[0]);
    mysql_free_result(result);
}

/* From now on: what earlier sessions sent would be refused, and be no work. */
static void record(bool on) {
    if (on)
        spec_mysql_sql(&rig.server, "TRUNCATE mysql.general_log");
    spec_mysql_sql(&rig.server, "SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = %s", on ? "ON" : "OFF");
}

/* Done again the marker would match no row: let it. */
static void make_repeatable(char *text) {
    char *at = strstr(text, "AND txn < ");
    must(at != NULL, "marker");
    memcpy(at, "AND txn > ", 10);
    memset(at + 10, '0', strspn(at + 10, "0123456789"));
}

/* ---- A put, a lock, many ephemerals */

static const char record_text[] = "a value of some length, as a node's record may be";

/* Ours and the bare one take turns: what else the machine does falls on both alike. */
static void compare_puts(void) {
    static char text[16384];
    double ours[RUNS], theirs[RUNS];
    rig_open(&rig.a, calm);
    record(true);
    must(spi_write(&rig.a, MW_PUT, "/key", record_text, 0) == MW_OK, "put");
    record(false);
    recorded("START TRANSACTION;UPDATE mw_meta", text, sizeof text);
    make_repeatable(text);
    for (int run = 0; run < RUNS; run++) {
        double us = 0, them = 0;
        for (int i = 0; i < PUTS; i++) {
            double start = bench_seconds();
            must(spi_write(&rig.a, MW_PUT, "/key", record_text, 0) == MW_OK, "put");
            double middle = bench_seconds();
            bare_run(text);
            us += middle - start;
            them += bench_seconds() - middle;
        }
        ours[run] = PUTS / us;
        theirs[run] = PUTS / them;
    }
    double us = bench_median(ours, RUNS), them = bench_median(theirs, RUNS);
    bench_row("mysql: put", us, "per second", "-");
    bench_row("mysql: put / the bare library, same statements", us / them, "ratio", "at least 0.8");
    spi_close(&rig.a);
}

/* As mw_lock does it: a release is sent and not waited for, and what follows on the connection comes after it. Ends
 * with the last release. */
static void cycle(spi_client *client, int times) {
    static spi_ticket tickets[2];
    for (int i = 0; i < times; i++) {
        spi_ticket *ticket = &tickets[i % 2];
        must(i < 2 || spi_await(client, &ticket->ends, 1), "release before the last");
        spi_lock(client, ticket, "/lock", false);
        must(spi_await(client, &ticket->grants, 1), "lock");
        client->backend->unlock(client->conn, &ticket->ticket);
    }
    must(spi_await(client, &tickets[(times - 1) % 2].ends, 1), "last release");
}

/* The two statements as they were sent. Token by token: the bare release does not check it. */
static void record_lock(char *take, char *give, size_t size) {
    record(true);
    cycle(&rig.a, 1);
    record(false);
    recorded("INSERT INTO mw_locks", take, size);
    recorded("UPDATE mw_locks SET holder = 0", give, size);
    char *token = strstr(give, "AND token = ");
    must(token != NULL, "token");
    memcpy(token, "AND token > ", 12);
    memset(token + 12, '0', strspn(token + 12, "0123456789"));
}

/* `trip_ms`: on the way to the server and back, of both. */
static void compare_locks(const char *port, int trip_ms) {
    static char take[4096], give[4096];
    char work[80];
    double ours[RUNS], theirs[RUNS];
    int cycles = trip_ms ? CYCLES / 4 : CYCLES;
    mw_option options[8] = {{"port", port}};
    memcpy(options + 1, calm, sizeof calm);
    rig_open(&rig.a, options);
    record_lock(take, give, sizeof take);
    for (int run = 0; run < RUNS; run++) {
        double us = 0, them = 0;
        for (int i = 0; i < cycles; i += AT_ONCE) {
            double start = bench_seconds();
            cycle(&rig.a, AT_ONCE);
            double middle = bench_seconds();
            for (int k = 0; k < AT_ONCE; k++) {
                bare_run(take);
                bare_run(give);
            }
            us += middle - start;
            them += bench_seconds() - middle;
        }
        ours[run] = cycles / us;
        theirs[run] = cycles / them;
    }
    double us = bench_median(ours, RUNS), them = bench_median(theirs, RUNS);
    snprintf(work, sizeof work, "mysql: free lock acquired and released, %d ms round trip", trip_ms);
    bench_row(work, us, "per second", "-");
    snprintf(work, sizeof work, "mysql: free lock / the bare statements, %d ms round trip", trip_ms);
    bench_row(work, us / them, "ratio", "at least 0.9");
    spi_close(&rig.a);
}

/* Behind a proxy that holds back what passes, 2.5 ms each way on average. */
static void compare_distant_locks(void) {
    char command[512], name[160], port[8] = "";
    snprintf(name, sizeof name, "%s/proxy", rig.server.dir);
    snprintf(command, sizeof command, "exec '%s' %s >'%s'", SPEC_TCP_PROXY, rig.server.port, name);
    FILE *proxy = popen(command, "w");
    must(proxy != NULL, "proxy");
    double late = bench_seconds() + 10;
    for (size_t got = 0; got == 0 || port[strlen(port) - 1] != '\n';) {
        FILE *file = fopen(name, "r");
        got = file && fgets(port, sizeof port, file) ? strlen(port) : 0;
        if (file)
            (void)fclose(file);
        must(bench_seconds() < late, "proxy's port");
    }
    port[strcspn(port, "\n")] = '\0';
    must(fputs("delay 2 1\n", proxy) >= 0 && fflush(proxy) == 0, "proxy's delay");
    bare_open(port);
    compare_locks(port, 5);
    mysql_close(bare);
    (void)pclose(proxy);
}

static double register_together(int round) {
    static char paths[BATCH][32];
    static mw_write writes[BATCH];
    static mw_written written[BATCH];
    static spi_op op;
    for (int i = 0; i < BATCH; i++) {
        snprintf(paths[i], sizeof paths[i], "/e/%d.%d", round, i);
        writes[i] = spi_step(MW_CREATE, paths[i], record_text, 0);
        writes[i].ephemeral = true;
    }
    double start = bench_seconds();
    op = (spi_op){.request = {.kind = MW_WRITE, .writes = writes, .write_count = BATCH}};
    op.request.entry = spi_on_entry;
    op.request.done = spi_on_done;
    op.request.written = written;
    rig.a.backend->submit(rig.a.conn, &op.request);
    must(spi_end(&rig.a, &op) == MW_OK, "1,000 ephemerals");
    return bench_seconds() - start;
}

static double register_singly(int round, int count) {
    double start = bench_seconds();
    for (int i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof path, "/s/%d.%d", round, i);
        must(spi_write(&rig.a, MW_CREATE, path, "~v", 0) == MW_OK, "ephemeral");
    }
    return bench_seconds() - start;
}

/* In turns: a txn of 1,000, then twenty singly. */
static void register_many(void) {
    enum { TURNS = 5, SINGLY = 20 };
    double ratios[RUNS];
    rig_open(&rig.a, calm);
    must(spi_write(&rig.a, MW_PUT, "/e/parent", "", 0) == MW_OK, "put");
    must(spi_write(&rig.a, MW_PUT, "/s/parent", "", 0) == MW_OK, "put");
    for (int run = 0; run < RUNS; run++) {
        double together = 0, singly = 0;
        for (int turn = 0; turn < TURNS; turn++) {
            together += register_together(run * TURNS + turn);
            singly += register_singly(run * TURNS + turn, SINGLY);
        }
        ratios[run] = singly * BATCH / SINGLY / together;
    }
    double ratio = bench_median(ratios, RUNS);
    bench_row("mysql: 1,000 ephemerals one by one / in one txn", ratio, "ratio", "at least 20");
    spi_close(&rig.a);
}

/* ---- From commit to reaction */

static double seen_at;
static int seen;
static void on_seen(mw_feed *feed, const mw_entry *entry) {
    seen_at = bench_seconds();
    seen++;
}

static double reaction(const mw_option *options) {
    static spi_feed feed;
    static double delays[EVENTS];
    rig_open(&rig.a, calm);
    rig_open(&rig.b, options);
    must(spi_write(&rig.a, MW_PUT, "/watched/x", "", 0) == MW_OK, "put");
    spi_watch(&rig.b, &feed, "/watched", MW_DEPTH_CHILDREN);
    feed.feed.entry = on_seen;
    must(spi_await(&rig.b, &feed.synced, 1), "feed");
    for (int i = 0; i < EVENTS; i++) {
        int before = seen;
        mw_timer wait = {.fire = rig_tick};
        /* All over the poll interval of 200 ms, evenly, in no order that a poll could keep step with. */
        mw_timer_start(rig.host, &wait, (mw_time)(i * 37 % EVENTS) * 200 * MW_MS / EVENTS);
        while (mw_timer_armed(&wait))
            mw_uv_host_step(rig.host, true);
        seen_at = 0;
        must(spi_write(&rig.a, MW_PUT, "/watched/x", "v", 0) == MW_OK, "put");
        double committed = bench_seconds();
        must(spi_await(&rig.b, &seen, before + 1), "event");
        delays[i] = seen_at > committed ? seen_at - committed : 0;
    }
    rig.b.backend->unwatch(rig.b.conn, &feed.feed);
    spi_close(&rig.b);
    spi_close(&rig.a);
    return bench_median(delays, EVENTS) * 1e3;
}

/* ---- What an idle process asks */

static void idle(int nodes) {
    static spi_feed feed;
    char work[96];
    static const mw_option usual[] = {{"binlog", "off"}, {NULL, NULL}};
    spec_mysql_sql(&rig.server,
                   "DELETE FROM moonwatch.mw_entries; INSERT INTO moonwatch.mw_entries SELECT "
                   "CONCAT('/f/', seq), '/f', 'value', 0, 1, 1, 0, 0, 0 FROM mysql.seq_1_to_%d",
                   nodes);
    rig_open(&rig.b, usual);
    spi_watch(&rig.b, &feed, "/f", MW_DEPTH_CHILDREN);
    must(spi_await(&rig.b, &feed.synced, 1), "feed");
    int64_t rows = spec_mysql_status(&rig.server, "ROWS_READ"),
            own = spec_mysql_status(&rig.server, "ROWS_READ") - rows;
    int64_t asked = spec_mysql_status(&rig.server, "QUESTIONS");
    rows = spec_mysql_status(&rig.server, "ROWS_READ");
    double start = bench_seconds();
    must(spi_await(&rig.b, &rig.b.confirmed, rig.b.confirmed + 2), "heartbeats");
    double passed = bench_seconds() - start;
    rows = spec_mysql_status(&rig.server, "ROWS_READ") - rows - own;
    asked = spec_mysql_status(&rig.server, "QUESTIONS") - asked - 3;
    snprintf(work, sizeof work, "mysql: idle beside %d nodes, statements", nodes);
    bench_row(work, (double)asked / passed, "per second", "-");
    snprintf(work, sizeof work, "mysql: idle beside %d nodes, rows read", nodes);
    bench_row(work, (double)rows / passed, "per second", "-");
    snprintf(work, sizeof work, "mysql: a full-table poll beside %d nodes would read", nodes);
    bench_row(work, (double)nodes * 5, "per second", "-");
    rig.b.backend->unwatch(rig.b.conn, &feed.feed);
    spi_close(&rig.b);
}

/* ---- Writers */

enum { MOST_WRITERS = 32 };

typedef struct writer {
    spi_client client;
    spi_op op;
    mw_write write;
    char path[32];
} writer;

static writer writers[MOST_WRITERS];
static int writing, written;
static double writing_until;

static bool keep_writing(void *arg) {
    for (int i = 0; i < writing; i++) {
        if (writers[i].op.ends == 0)
            continue;
        must(writers[i].op.status == MW_OK, "put");
        written++;
        spi_submit_writes(&writers[i].client, &writers[i].op, &writers[i].write, 1);
    }
    return bench_seconds() > writing_until;
}

static bool none_under_way(void *arg) {
    bool busy = false;
    for (int i = 0; i < writing; i++)
        busy = busy || writers[i].op.ends == 0;
    return !busy;
}

static void write_side_by_side(int count) {
    char work[64];
    writing = count;
    written = 0;
    for (int i = 0; i < count; i++) {
        snprintf(writers[i].path, sizeof writers[i].path, "/w/%d", i);
        rig_open(&writers[i].client, calm);
        writers[i].write = spi_step(MW_PUT, writers[i].path, record_text, 0);
        must(spi_write(&writers[i].client, MW_PUT, writers[i].path, "", 0) == MW_OK, "put");
        spi_submit_writes(&writers[i].client, &writers[i].op, &writers[i].write, 1);
    }
    double start = bench_seconds();
    writing_until = start + 2;
    must(rig_run(keep_writing, NULL), "writers");
    double passed = bench_seconds() - start;
    must(rig_run(none_under_way, NULL), "the last writes");
    for (int i = 0; i < count; i++)
        spi_close(&writers[i].client);
    snprintf(work, sizeof work, "mysql: %d writers", count);
    bench_row(work, written / passed, "txn/s", "-");
}

static void all(void) {
    spi_open(&rig.b, &rig_bench, rig.host, mw_backend_plugin(), rig_options(NULL)); /* makes the tables */
    spi_close(&rig.b);
    bare_open(rig.server.port);
    compare_puts();
    compare_locks(rig.server.port, 0);
    mysql_close(bare);
    compare_distant_locks();
    register_many();
    double delay = reaction((mw_option[]){{NULL, NULL}});
    bench_row("mysql: commit to reaction with the binary log, p50", delay, "ms", "at most 2");
    delay = reaction((mw_option[]){{"binlog", "off"}, {NULL, NULL}});
    bench_row("mysql: commit to reaction by polling each 200 ms, p50", delay, "ms", "at most 102");
    for (int count = 1; count <= MOST_WRITERS; count *= 2)
        write_side_by_side(count);
    idle(10);
    idle(10000);
}

int main(int argc, char **argv) {
    static const spec_case once[] = {{"mysql", all}};
    spec_mysql_start(&rig.server, usual_sizes);
    spec.before = rig_before;
    spec.after = rig_after;
    int status = spec_run(once, 1, argc, argv);
    spec_mysql_remove(&rig.server);
    return status;
}
