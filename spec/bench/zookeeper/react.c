/* From a change to the reaction of another process: the writer is the same for all, who reacts is measured. */
#include "bare.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PATH "/bench/change"
#define PAUSE_MS 2 /* between changes: each is a reaction of its own */
#define WARM 50
#define COUNT 200

static int64_t read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- The writer */

static void created(int rc, const char *path, const void *data) {
    ((bare *)data)->left = 0;
}

static void written(int rc, const struct Stat *stat, const void *data) {
    ((bare *)data)->left = 0;
}

static void change(bare *b) {
    char value[64];
    int len =
        snprintf(value, sizeof value, "%" PRId64 " %" PRId64, read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_BOOTTIME));
    b->left = 1;
    zoo_aset(b->zh, PATH, value, len, -1, written, b);
    bare_run(b, bare_done);
}

double react_peer(const char *servers, const char *command) {
    bare b = {.left = 1};
    char line[64] = "0";
    bare_open(&b, servers);
    zoo_acreate(b.zh, PATH, "0 0", 3, &ZOO_OPEN_ACL_UNSAFE, 0, created, &b);
    bare_run(&b, bare_done);
    change(&b); /* a peer's first reading is of a time */
    FILE *pipe = popen(command, "r");
    struct pollfd answer = {pipe ? fileno(pipe) : -1, POLLIN, 0};
    while (pipe && poll(&answer, 1, PAUSE_MS) == 0)
        change(&b);
    if (!pipe || !fgets(line, sizeof line, pipe))
        fprintf(stderr, "zookeeper_bench: no answer from: %s\n", command);
    if (pipe)
        pclose(pipe);
    zookeeper_close(b.zh);
    return atof(line);
}

/* ---- The floor */

typedef struct floor_reaction {
    bare bare;
    int seen;
    double delays[COUNT];
} floor_reaction;

static void read_again(floor_reaction *f);

static void changed(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
    if (type == ZOO_CHANGED_EVENT)
        read_again(ctx);
}

static void got(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    floor_reaction *f = (floor_reaction *)data;
    char text[64];
    snprintf(text, sizeof text, "%.*s", len > 0 ? len : 0, value ? value : "");
    double delay = bench_seconds() - (double)strtoll(text, NULL, 10) / 1e9;
    if (f->seen >= WARM && f->seen < WARM + COUNT)
        f->delays[f->seen - WARM] = delay;
    f->bare.left = ++f->seen < WARM + COUNT;
}

static void read_again(floor_reaction *f) {
    (void)zoo_awget(f->bare.zh, PATH, changed, f, got, f);
}

int react_bare(const char *servers) {
    static floor_reaction f;
    f.bare.left = 1;
    bare_open(&f.bare, servers);
    read_again(&f);
    bare_run(&f.bare, bare_done);
    zookeeper_close(f.bare.zh);
    printf("%.9f\n", bench_median(f.delays, COUNT));
    return EXIT_SUCCESS;
}
