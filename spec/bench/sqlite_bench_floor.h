/* The floor: the bare library executing the statements of a put, and nothing else. */
#ifndef SPEC_BENCH_SQLITE_FLOOR_H
#define SPEC_BENCH_SQLITE_FLOOR_H

typedef struct bench_floor bench_floor;

/* On a registry's file that exists, with a session of its own in it. NULL on failure. */
bench_floor *bench_floor_open(const char *path);
/* One durable put at `path`. 0 = done. */
int bench_floor_put(bench_floor *bare, const char *path, const char *value);
void bench_floor_close(bench_floor *bare);

#endif
