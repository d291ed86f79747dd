/* The core alone, without Lua: what the memory backend and the diff cost in C. */
#include <moonwatch/registry.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/figures.h"
#include "support/cluster.h"

#define ENTRIES 100000
#define RUNS 5

typedef struct spec_progress {
    size_t done;
    size_t events;
} spec_progress;

static void count_done(void *arg, const mw_result *result) {
    ((spec_progress *)arg)->done += result->status == MW_OK;
}

static void count_event(void *arg, const mw_event *event) {
    ((spec_progress *)arg)->events += event->kind != MW_SYNCED;
}

static void put_all(spec_cluster *cluster, spec_client *client, spec_progress *progress, const char *value) {
    mw_call call = {.done = count_done, .arg = progress, .timeout = MW_FOREVER};
    char path[64];
    for (size_t i = 0; i < ENTRIES; i++) {
        int len = snprintf(path, sizeof path, "/nodes/%zu", i);
        (void)mw_put(client->registry, (mw_str){path, (size_t)len}, mw_str_of(value), false, &call, NULL, NULL);
        if (i % 1000 == 999)
            cluster_pass(cluster, MW_MS);
    }
    cluster_pass(cluster, MW_MS);
}

static size_t heap(void) {
    return mallinfo2().uordblks;
}

int main(void) {
    spec_cluster cluster;
    spec_client client;
    spec_progress progress = {0};
    mw_subscription *sub = NULL;
    double runs[RUNS];
    cluster_open(&cluster);
    client_open(&cluster, NULL, &client);
    put_all(&cluster, &client, &progress, "0123456789");
    size_t before = heap();
    double start = bench_seconds();
    (void)mw_subscribe(client.registry, mw_str_of("/nodes"), MW_DEPTH_CHILDREN, count_event, NULL, &progress, &sub,
                       NULL);
    while (progress.events < ENTRIES && mw_world_step(cluster.world)) {
    }
    bench_row("core: 100,000 entries into a view", (bench_seconds() - start) * 1e3, "ms", "-");
    double bytes = (double)(heap() - before) / ENTRIES - 10;
    bench_row("core: a watched entry beyond its value, in C", bytes, "bytes", "at most 400");
    for (int i = 0; i < RUNS; i++) {
        start = bench_seconds();
        put_all(&cluster, &client, &progress, i % 2 ? "abcdefghij" : "klmnopqrst");
        runs[i] = ENTRIES / (bench_seconds() - start);
    }
    bench_row("core: put + event on memory, in C", bench_median(runs, RUNS), "1/s", "-");
    mw_unsubscribe(sub);
    client_close(&cluster, &client);
    cluster_close(&cluster);
    return progress.done == (size_t)ENTRIES * (RUNS + 1) ? EXIT_SUCCESS : EXIT_FAILURE;
}
