/* What the specs of the SQLite backend stand on: a temporary directory, a uv host, the plug-in linked in. */
#ifndef SPEC_SQLITE_BENCH_H
#define SPEC_SQLITE_BENCH_H

#include <moonwatch/backend.h>
#include <moonwatch/host_uv.h>

typedef struct sqlite_bench {
    char directory[64];
    char path[96]; /* of the registry's file */
    mw_host *host;
} sqlite_bench;

/* Abort on failure: a spec cannot go on without them. */
void sqlite_bench_begin(sqlite_bench *bench);
void sqlite_bench_end(sqlite_bench *bench); /* removes the directory */

/* Run the loop until `until` holds; false after 30 s. */
bool sqlite_bench_run(sqlite_bench *bench, bool (*until)(void *arg), void *arg);

const mw_backend *mw_backend_plugin(void);

#endif
