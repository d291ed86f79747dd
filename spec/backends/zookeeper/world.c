/* A world: its host, its history, its nodes. */
#define SPEC_HELPER
#include "world.h"

#include <time.h>
#include <unistd.h>

#define DEADLINE 60 /* seconds; only a spec that fails waits that long */

static void log_line(void *arg, mw_log_level level, const char *component, const char *line) {
    if (getenv("WORLD_LOG"))
        fprintf(stderr, "# %s: %s\n", component, line);
}

static void open_world(world *w, const char *history_path) {
    mw_error err;
    *w = (world){0};
    if (mw_uv_host_new(NULL, log_line, NULL, &w->host, &err) != MW_OK)
        abort();
    snprintf(w->history_path, sizeof w->history_path, "%s", history_path);
    snprintf(w->name_space, sizeof w->name_space, "/%.30s", strrchr(w->history_path, '.') + 1);
    w->history = fopen(w->history_path, "ae");
    if (!w->history)
        abort();
}

void world_begin(world *w) {
    static int cases;
    char path[sizeof w->history_path];
    snprintf(path, sizeof path, "/tmp/moonwatch-history.%ld-%d", (long)getpid(), ++cases);
    (void)unlink(path);
    open_world(w, path);
}

void world_bare(world *w) {
    w->name_space[0] = '\0';
}

void world_share(world *w) {
    if (setvbuf(w->history, NULL, _IOLBF, 512) != 0)
        abort();
}

void world_join(world *w, const char *history_path) {
    open_world(w, history_path);
    world_share(w);
}

void world_note(world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(w->history, format, args);
    va_end(args);
    fputc('\n', w->history);
}

/* Exit status of the judge; nothing was noted: nothing to judge. */
static int judge(world *w) {
    char command[512];
    bool empty = fseek(w->history, 0, SEEK_END) == 0 && ftell(w->history) == 0;
    fclose(w->history);
    snprintf(command, sizeof command, "lua5.4 " SPEC_FOLDER "/support/history_judge.lua %s", w->history_path);
    return empty ? 0 : system(command);
}

void world_leave(world *w) {
    mw_uv_host_free(w->host);
    fclose(w->history);
}

void world_end(world *w) {
    mw_uv_host_free(w->host);
    int verdict = judge(w);
    if (verdict == 0)
        unlink(w->history_path);
    if (verdict != 0) {
        snprintf(spec.why, sizeof spec.why, "the history checker found broken promises (%s)", w->history_path);
        longjmp(spec.escape, 1);
    }
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool world_until(world *w, bool (*condition)(void *arg), void *arg) {
    double end = seconds() + DEADLINE;
    while (!condition(arg)) {
        if (seconds() > end)
            return false;
        mw_uv_host_step(w->host, true);
    }
    return true;
}

/* ---- Nodes */

static void state_changed(void *arg, const mw_connection_event *event) {
    node *n = arg;
    n->state = event->state;
    n->seen[event->state]++;
    n->lost += event->state == MW_LOST;
    if (getenv("WORLD_LOG"))
        fprintf(stderr, "# %s is %s (%s)\n", n->name, mw_state_text(event->state), event->reason);
}

void node_open(world *w, node *n, const char *name, const char *servers, int session_timeout_ms) {
    const mw_backend *backend = NULL;
    mw_error err = {0};
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", session_timeout_ms);
    mw_option options[] = {{"servers", servers}, {"session_timeout_ms", timeout}, {0}};
    *n = (node){.world = w};
    snprintf(n->name, sizeof n->name, "%s", name);
    if (mw_backend_find("zookeeper", NULL, &backend, &err) != MW_OK) {
        printf("Bail out! %s\n", err.message);
        exit(EXIT_FAILURE);
    }
    mw_registry_config config = {.host = w->host,
                                 .backend = backend,
                                 .options = options,
                                 .name = name,
                                 .name_space = *w->name_space ? w->name_space : NULL,
                                 .op_timeout = 45 * MW_SECOND};
    CHECK_INT(mw_registry_open(&config, &n->registry, &err), MW_OK);
    n->listener = mw_listen(n->registry, state_changed, n);
    CHECK(world_until(w, node_is_connected, n));
}

static void node_closed(void *arg) {
    ((node *)arg)->closed++;
}

static bool node_is_closed(void *arg) {
    return ((node *)arg)->closed > 0;
}

void node_close(node *n) {
    mw_unlisten(n->listener);
    mw_registry_close(n->registry, 5 * MW_SECOND, node_closed, n);
    CHECK(world_until(n->world, node_is_closed, n));
}

bool node_is_connected(void *arg) {
    node *n = arg;
    return n->state == MW_CONNECTED || n->state == MW_RECONNECTED;
}

bool node_is_away(void *arg) {
    node *n = arg;
    return n->state == MW_SUSPENDED || n->state == MW_LOST;
}

bool node_is_lost(void *arg) {
    return ((node *)arg)->lost > 0;
}

int node_saw(const node *n, mw_state state) {
    return n->seen[state];
}
