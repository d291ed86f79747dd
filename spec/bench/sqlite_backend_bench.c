/* The SQLite backend beside the bare library, in one run: a put, a txn of 100, an event in another process, start, a
 * snapshot, eight writers, and what an idle process costs. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/spi_client.h"
#include "backends/sqlite/bench.h"
#include "bench/figures.h"
#include "sqlite_bench_floor.h"

#define RUNS 5
#define PUTS 100
#define WRITERS 8

static sqlite_bench bench;
static mw_option options[3];

static bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

static const spi_bench spi = {NULL, NULL, run, ""};

static void must(bool good, const char *what) {
    if (good)
        return;
    (void)fprintf(stderr, "sqlite_backend_bench: %s failed: %s\n", what, spec.why);
    exit(EXIT_FAILURE);
}

static void put(spi_client *client, const char *path, const char *value) {
    must(spi_write(client, MW_PUT, path, value, 0) == MW_OK, "put");
}

/* ---- One process */

static double ours(spi_client *client) {
    double start = bench_seconds();
    for (int i = 0; i < PUTS; i++)
        put(client, "/bench/key", "a value of some length, as a node's record may be");
    return (bench_seconds() - start) / PUTS;
}

static double theirs(bench_floor *bare) {
    double start = bench_seconds();
    for (int i = 0; i < PUTS; i++)
        must(bench_floor_put(bare, "/bench/bare", "a value of some length, as a node's record may be") == 0,
             "bare put");
    return (bench_seconds() - start) / PUTS;
}

static double txn_of_100(spi_client *client) {
    static char paths[100][32];
    static mw_write writes[100];
    static mw_written written[100];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "/bench/t%d", i);
        writes[i] = spi_step(MW_PUT, paths[i], "value", 0);
    }
    static spi_op op;
    op = (spi_op){.request = {.kind = MW_WRITE, .writes = writes, .write_count = 100}};
    op.request.entry = spi_on_entry;
    op.request.done = spi_on_done;
    op.request.written = written;
    double start = bench_seconds();
    client->backend->submit(client->conn, &op.request);
    must(spi_end(client, &op) == MW_OK, "txn");
    return bench_seconds() - start;
}

static void puts_and_txns(spi_client *client) {
    double ratio[RUNS], batch[RUNS], put_time[RUNS];
    for (int i = 0; i < RUNS; i++) {
        bench_floor *bare = bench_floor_open(bench.path);
        must(bare != NULL, "bare library");
        double floor = theirs(bare);
        bench_floor_close(bare);
        put_time[i] = ours(client);
        ratio[i] = floor / put_time[i];
        batch[i] = put_time[i] * 100 / txn_of_100(client);
    }
    bench_row("sqlite: durable put", bench_median(put_time, RUNS) * 1e6, "us", "-");
    double against_floor = bench_median(ratio, RUNS), times = bench_median(batch, RUNS);
    bench_row("sqlite: durable put against the bare library", against_floor, "ratio", "at least 0.8");
    bench_row("sqlite: txn of 100 ops against 100 puts", times, "times", "at least 20");
}

static void start_to_registered(void) {
    double times[RUNS];
    for (int i = 0; i < RUNS; i++) {
        spi_client client;
        double start = bench_seconds();
        spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
        put(&client, "/nodes/console/n", "~record");
        times[i] = (bench_seconds() - start) * 1e3;
        spi_close(&client);
    }
    double figure = bench_median(times, RUNS);
    bench_row("sqlite: start to registered", figure, "ms", "at most 30");
}

static void ignore_entry(mw_feed *feed, const mw_entry *entry) {}

static void snapshot(spi_client *client) {
    double times[RUNS];
    static mw_write writes[100];
    static char paths[100][32];
    for (int i = 0; i < 10000; i += 100) {
        for (int k = 0; k < 100; k++) {
            (void)snprintf(paths[k], sizeof paths[k], "/big/entry-%d", i + k);
            writes[k] = spi_step(MW_CREATE, paths[k], "a value of some length, as a node's record may be", 0);
        }
        static mw_written written[100];
        static spi_op op;
        op = (spi_op){.request = {.kind = MW_WRITE, .writes = writes, .write_count = 100, .written = written}};
        op.request.entry = spi_on_entry;
        op.request.done = spi_on_done;
        client->backend->submit(client->conn, &op.request);
        must(spi_end(client, &op) == MW_OK, "fill");
    }
    for (int i = 0; i < RUNS; i++) {
        static spi_feed feed;
        feed = (spi_feed){.feed = {.path = mw_str_of("/big"), .depth = MW_DEPTH_CHILDREN}};
        feed.feed.begin = spi_on_begin;
        feed.feed.entry = ignore_entry;
        feed.feed.gone = spi_on_gone;
        feed.feed.synced = spi_on_synced;
        double start = bench_seconds();
        must(client->backend->watch(client->conn, &feed.feed) == MW_OK, "watch");
        must(spi_await(client, &feed.synced, 1), "snapshot");
        times[i] = (bench_seconds() - start) * 1e3;
        client->backend->unwatch(client->conn, &feed.feed);
    }
    double figure = bench_median(times, RUNS);
    bench_row("sqlite: 10,000 entries into a feed", figure, "ms", "at most 60");
}

/* ---- Several processes */

typedef struct shared {
    volatile double committed; /* when the other process was told that its put is done */
    volatile int sequence;     /* of the put */
    volatile int seen;
    volatile double seen_at;
    volatile bool stop;
    volatile double cpu;
    volatile long commits[WRITERS];
    volatile int ready;
} shared;

static shared *common;

static void in_child(void (*body)(int), int number, pid_t *ret_pid) {
    *ret_pid = fork();
    must(*ret_pid >= 0, "fork");
    if (*ret_pid > 0)
        return;
    must(mw_uv_host_new(NULL, NULL, NULL, &bench.host, NULL) == MW_OK, "host");
    body(number);
    mw_uv_host_free(bench.host);
    _exit(0);
}

static void on_watched(mw_feed *feed, const mw_entry *entry) {
    common->seen_at = bench_seconds();
    if (entry->value.len && entry->value.len < 16) {
        char text[16] = {0};
        memcpy(text, entry->value.data, entry->value.len);
        common->seen = atoi(text);
    }
}

static bool stopped(void *arg) {
    return common->stop;
}

static double cpu_time(void) {
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) / 1e6;
}

static void watcher(int number) {
    spi_client client;
    static spi_feed feed;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    feed = (spi_feed){.feed = {.path = mw_str_of("/bench/event"), .depth = MW_DEPTH_SELF}};
    feed.feed.begin = spi_on_begin;
    feed.feed.entry = on_watched;
    feed.feed.gone = spi_on_gone;
    feed.feed.synced = spi_on_synced;
    must(client.backend->watch(client.conn, &feed.feed) == MW_OK, "watch");
    must(spi_await(&client, &feed.synced, 1), "sync");
    common->ready++;
    while (!common->stop) /* each run gives up after 30 s */
        (void)run(stopped, NULL);
    client.backend->unwatch(client.conn, &feed.feed);
    spi_close(&client);
}

static bool all_ready(void *arg) {
    return common->ready >= *(int *)arg;
}

static bool event_seen(void *arg) {
    return common->seen == common->sequence;
}

static void event_in_another_process(spi_client *client) {
    enum { EVENTS = 101 };
    static double delays[EVENTS];
    pid_t child;
    int wanted = 1;
    in_child(watcher, 0, &child);
    must(run(all_ready, &wanted), "start of the watcher");
    for (int i = 0; i < EVENTS; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", i + 1);
        common->sequence = i + 1;
        put(client, "/bench/event", value);
        double committed = bench_seconds();
        while (!event_seen(NULL))
            (void)usleep(50);
        delays[i] = (common->seen_at - committed) * 1e3;
    }
    double p50 = bench_median(delays, EVENTS);
    bench_row("sqlite: event in another process after commit, p50", p50, "ms", "at most 2");
    bench_row("sqlite: event in another process after commit, p95", delays[EVENTS * 95 / 100], "ms", "-");
    common->stop = true;
    (void)waitpid(child, NULL, 0);
    common->stop = false;
}

static void idler(int number) {
    spi_client client;
    static spi_feed feed;
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    spi_watch(&client, &feed, "/nodes", MW_DEPTH_SUBTREE);
    must(spi_await(&client, &feed.synced, 1), "sync");
    /* Not what a forked process pays once: it copies each page that it is the first to write. */
    must(spi_await(&client, &client.confirmed, client.confirmed + 2), "renewals");
    double start = cpu_time(), since = bench_seconds();
    while (bench_seconds() - since < 10)
        (void)mw_uv_host_step(bench.host, true);
    common->cpu = (cpu_time() - start) / (bench_seconds() - since);
    client.backend->unwatch(client.conn, &feed.feed);
    spi_close(&client);
}

static void idle_cost(void) {
    pid_t child;
    in_child(idler, 0, &child);
    (void)waitpid(child, NULL, 0);
    bench_row("sqlite: idle process, of a core", common->cpu * 100, "%", "at most 0.2");
}

static void writer(int number) {
    spi_client client;
    char path[32];
    int wanted = WRITERS;
    (void)snprintf(path, sizeof path, "/bench/writer-%d", number);
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    __sync_fetch_and_add((int *)&common->ready, 1);
    must(run(all_ready, &wanted), "start of the writers");
    double start = bench_seconds();
    while (bench_seconds() - start < 4) {
        put(&client, path, "value");
        common->commits[number]++;
    }
    spi_close(&client);
}

static void eight_writers(void) {
    pid_t children[WRITERS];
    int good = 0;
    common->ready = 0;
    for (int i = 0; i < WRITERS; i++)
        in_child(writer, i, &children[i]);
    for (int i = 0; i < WRITERS; i++) {
        int status = 0;
        (void)waitpid(children[i], &status, 0);
        good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    long least = common->commits[0], most = least, all = 0;
    for (int i = 0; i < WRITERS; i++) {
        least = common->commits[i] < least ? common->commits[i] : least;
        most = common->commits[i] > most ? common->commits[i] : most;
        all += common->commits[i];
    }
    double ratio = most ? (double)least / (double)most : 0;
    bench_row("sqlite: 8 writers: none fails", good, "processes", "at least 8");
    bench_row("sqlite: 8 writers: slowest against fastest", ratio, "ratio", "at least 0.5");
    bench_row("sqlite: 8 writers: together", (double)all / 4, "puts/s", "-");
}

int main(void) {
    spi_client client;
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(common != MAP_FAILED, "mmap");
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    (void)spec_run; /* only the client's part of the specs is used here */
    if (setjmp(spec.escape) != 0)
        must(false, "a step");
    start_to_registered();
    spi_open(&client, &spi, bench.host, mw_backend_plugin(), options);
    puts_and_txns(&client);
    event_in_another_process(&client);
    snapshot(&client);
    spi_close(&client);
    eight_writers();
    idle_cost();
    sqlite_bench_end(&bench);
    return EXIT_SUCCESS;
}
