#include "bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void must(int status) {
    if (status != 0)
        abort();
}

static void to_stderr(void *arg, mw_log_level level, const char *component, const char *line) {
    if (getenv("SPEC_LOG"))
        (void)fprintf(stderr, "# %s: %s\n", component, line);
}

void sqlite_bench_begin(sqlite_bench *bench) {
    (void)snprintf(bench->directory, sizeof bench->directory, "/tmp/mw-sqlite-spec-XXXXXX");
    if (!mkdtemp(bench->directory))
        abort();
    (void)snprintf(bench->path, sizeof bench->path, "%s/registry.db", bench->directory);
    must(mw_uv_host_new(NULL, to_stderr, NULL, &bench->host, NULL));
}

void sqlite_bench_end(sqlite_bench *bench) {
    mw_uv_host_free(bench->host);
    DIR *directory = opendir(bench->directory);
    for (struct dirent *file; directory && (file = readdir(directory));) {
        char name[512];
        (void)snprintf(name, sizeof name, "%s/%s", bench->directory, file->d_name);
        (void)unlink(name);
    }
    if (directory)
        (void)closedir(directory);
    (void)rmdir(bench->directory);
}

static void on_tick(mw_timer *timer) {}

bool sqlite_bench_run(sqlite_bench *bench, bool (*until)(void *arg), void *arg) {
    mw_time deadline = mw_host_now(bench->host) + 30 * MW_SECOND;
    mw_timer tick = {.fire = on_tick};
    while (!until(arg) && mw_host_now(bench->host) < deadline) {
        (void)mw_timer_start(bench->host, &tick, 50 * MW_MS); /* looks at the deadline */
        (void)mw_uv_host_step(bench->host, true);
    }
    mw_timer_stop(bench->host, &tick);
    return until(arg);
}
