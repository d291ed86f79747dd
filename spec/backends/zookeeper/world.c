#define SPEC_HELPER
#include "world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE 60 /* seconds; only a spec that fails waits that long */

static void log_line(void *arg, mw_log_level level, const char *component, const char *line) {
    if (getenv("WORLD_LOG"))
        fprintf(stderr, "# %s: %s\n", component, line);
}

void world_begin(world *w) {
    mw_error err;
    *w = (world){0};
    if (mw_uv_host_new(NULL, log_line, NULL, &w->host, &err) != MW_OK)
        abort();
    snprintf(w->history_path, sizeof w->history_path, "/tmp/moonwatch-history.%ld", (long)getpid());
    w->history = fopen(w->history_path, "w");
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
    bool empty = ftell(w->history) == 0;
    fclose(w->history);
    snprintf(command, sizeof command, "lua5.4 " SPEC_FOLDER "/support/history_judge.lua %s", w->history_path);
    return empty ? 0 : system(command);
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
    if (n->state_count < NODE_STATES)
        n->states[n->state_count++] = event->state;
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
    mw_registry_config config = {
        .host = w->host, .backend = backend, .options = options, .name = name, .op_timeout = 45 * MW_SECOND};
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
    int count = 0;
    for (int i = 0; i < n->state_count; i++)
        count += n->states[i] == state;
    return count;
}

/* ---- Writes */

static void work_ended(void *arg, const mw_result *result) {
    work *one = arg;
    one->status = result->status;
    one->revision = result->revision;
    world *w = one->node->world;
    if (result->status == MW_OK)
        world_note(w, "answer %s ok %lld", one->id, (long long)result->revision);
    else
        world_note(w, "answer %s %s", one->id, result->status == MW_EUNKNOWN ? "unknown" : "refused");
    if (result->status != MW_OK && getenv("WORLD_LOG"))
        fprintf(stderr, "# %s: %s\n", one->id, result->error->message);
}

static void work_begin(node *n, work *one, const char *guard) {
    *one = (work){.node = n, .status = 1};
    snprintf(one->id, sizeof one->id, "%s-%d", n->name, ++n->world->writes);
    snprintf(one->path, sizeof one->path, "/w/%s", one->id);
    one->call = (mw_call){.done = work_ended, .arg = one};
    world_note(n->world, "write %s %s%s", one->id, n->name, guard);
}

void work_create(node *n, work *one, bool ephemeral) {
    mw_error err;
    work_begin(n, one, "");
    CHECK_INT(mw_create(n->registry, mw_str_of(one->path), mw_str_of(""), ephemeral, &one->call, NULL, &err), MW_OK);
}

void work_txn(node *n, work *one, const mw_lock *guard) {
    mw_error err;
    char text[64] = "", other[80];
    if (guard)
        snprintf(text, sizeof text, " %.*s %lld", MW_STR_FMT(mw_lock_path(guard)), (long long)mw_lock_token(guard));
    work_begin(n, one, text);
    snprintf(other, sizeof other, "/other%s", one->path);
    mw_step steps[3] = {{.kind = MW_CHECK_LOCK, .lock = guard},
                        {.kind = MW_CREATE, .path = mw_str_of(one->path)},
                        {.kind = MW_CREATE, .path = mw_str_of(other)}};
    CHECK_INT(mw_txn(n->registry, guard ? steps : steps + 1, guard ? 3 : 2, &one->call, NULL, &err), MW_OK);
}

bool work_done(void *arg) {
    return ((work *)arg)->status != 1;
}

bool works_done(void *arg) {
    const work_set *set = arg;
    for (size_t i = 0; i < set->count; i++)
        if (set->works[i].status == 1)
            return false;
    return true;
}

typedef struct listing {
    world *world;
    const char *format_present;
    bool done;
    int status;
    size_t count;
} listing;

static void found(void *arg, const mw_result *result) {
    listing *l = arg;
    l->done = true;
    l->status = result->status;
    l->count = result->entry_count;
    for (size_t i = 0; i < result->entry_count; i++) {
        const mw_entry *e = &result->entries[i];
        if (l->format_present)
            world_note(l->world, "present %.*s %lld", (int)e->path.len - 3, e->path.data + 3, (long long)e->revision);
        else
            world_note(l->world, "entry %.*s %lld %lld %lld %llu", MW_STR_FMT(e->path), (long long)e->version,
                       (long long)e->revision, (long long)e->created, (unsigned long long)e->owner);
    }
}

static bool listed(void *arg) {
    return ((listing *)arg)->done;
}

static size_t list(node *n, const char *path, bool present) {
    mw_error err;
    listing l = {.world = n->world, .format_present = present ? "present" : NULL};
    mw_call call = {.fresh = true, .done = found, .arg = &l};
    CHECK_INT(mw_list(n->registry, mw_str_of(path), &call, NULL, &err), MW_OK);
    CHECK(world_until(n->world, listed, &l));
    CHECK_INT(l.status, MW_OK);
    return l.count;
}

void world_find_writes(node *n) {
    (void)list(n, "/w", true);
}

size_t world_final(node *n, const char *path) {
    return list(n, path, false);
}

/* ---- Locks */

static void holder_acquired(void *arg, int status, int64_t token, const mw_error *error) {
    holder *h = arg;
    h->acquired++;
    h->status = status;
    h->token = token;
    h->held = status == MW_OK;
    if (h->held)
        world_note(h->node->world, "held %s %.*s %lld", h->node->name, MW_STR_FMT(mw_lock_path(h->lock)),
                   (long long)token);
}

static void holder_dropped(holder *h) {
    if (h->held)
        world_note(h->node->world, "dropped %s %.*s %lld", h->node->name, MW_STR_FMT(mw_lock_path(h->lock)),
                   (long long)h->token);
    h->held = false;
}

static void holder_lost_it(void *arg, const mw_error *why) {
    holder *h = arg;
    h->lost++;
    holder_dropped(h);
}

void holder_ask(node *n, holder *h, const char *path, bool try_only) {
    mw_error err;
    *h = (holder){.node = n, .status = 1, .events = {holder_acquired, holder_lost_it}};
    CHECK_INT(mw_lock_new(n->registry, mw_str_of(path), mw_str_of(n->name), &h->events, h, &h->lock, &err), MW_OK);
    CHECK_INT(mw_lock_acquire(h->lock, 0, try_only, &err), MW_OK);
}

bool holder_has(void *arg) {
    return ((holder *)arg)->held;
}

bool holder_answered(void *arg) {
    return ((holder *)arg)->status != 1;
}

bool holder_lost(void *arg) {
    return ((holder *)arg)->lost > 0;
}

void holder_release(holder *h) {
    holder_dropped(h);
    mw_lock_free(h->lock);
    h->lock = NULL;
}

/* ---- Subscriptions */

static void observed(void *arg, const mw_event *event) {
    observer *o = arg;
    const mw_entry *e = &event->entry;
    o->events++;
    o->synced += event->kind == MW_SYNCED;
    o->present += event->kind == MW_ADDED;
    o->present -= event->kind == MW_REMOVED;
    world_note(o->node->world, "event %s %s %.*s %lld %lld %lld %llu", o->name, mw_event_text(event->kind),
               event->kind == MW_SYNCED ? 1 : (int)e->path.len, event->kind == MW_SYNCED ? "/" : e->path.data,
               (long long)e->version, (long long)e->revision, (long long)e->created, (unsigned long long)e->owner);
}

void observer_start(node *n, observer *o, const char *name, const char *path, mw_depth depth) {
    mw_error err;
    *o = (observer){.node = n};
    snprintf(o->name, sizeof o->name, "%s", name);
    CHECK_INT(mw_subscribe(n->registry, mw_str_of(path), depth, observed, NULL, o, &o->subscription, &err), MW_OK);
}

bool observer_synced(void *arg) {
    return ((observer *)arg)->synced > 0;
}

bool observer_caught_up(void *arg) {
    const observer *o = arg;
    return o->synced > 0 && o->present == o->expected;
}

/* ---- Servers and proxies */

const char *world_servers(void) {
    const char *servers = getenv("ZK_SERVERS");
    if (!servers) {
        printf("Bail out! ZK_SERVERS is not set; run me with spec/support/zookeeper_server.sh run COUNT\n");
        exit(EXIT_FAILURE);
    }
    return servers;
}

int world_port(int server) {
    const char *p = world_servers();
    while (--server > 0 && (p = strchr(p, ',')))
        p++;
    return p ? atoi(strchr(p, ':') + 1) : 0;
}

int servers_tell(const char *format, ...) {
    char words[256], command[640];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    const char *space = strchr(words, ' ');
    snprintf(command, sizeof command, "%s %.*s %s %s", getenv("ZK_CTL"),
             space ? (int)(space - words) : (int)strlen(words), words, getenv("ZK_DIR"), space ? space + 1 : "");
    return system(command);
}

int servers_leader(void) {
    char command[256], line[16] = "";
    snprintf(command, sizeof command, "%s leader %s", getenv("ZK_CTL"), getenv("ZK_DIR"));
    FILE *pipe = popen(command, "r");
    if (!pipe || !fgets(line, sizeof line, pipe))
        line[0] = 0;
    if (pipe)
        pclose(pipe);
    return atoi(line);
}

void proxy_start(proxy *p, int target_port) {
    int in[2], out[2];
    char port[16], line[32];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        abort();
    snprintf(port, sizeof port, "%d", target_port);
    p->pid = fork();
    if (p->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(getenv("TCP_PROXY"), "tcp_proxy", port, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = fdopen(out[0], "r");
    p->port = p->out && fgets(line, sizeof line, p->out) ? atoi(line) : 0;
    CHECK(p->port > 0);
}

static void proxy_ask(proxy *p, const char *command, char *answer, int size) {
    size_t len = strlen(command);
    CHECK(write(p->in, command, len) == (ssize_t)len && write(p->in, "\n", 1) == 1);
    CHECK(fgets(answer, size, p->out) && strncmp(answer, "ok", 2) == 0);
}

void proxy_tell(proxy *p, const char *format, ...) {
    char command[128], answer[256];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    proxy_ask(p, command, answer, sizeof answer);
}

unsigned long proxy_stat(proxy *p, const char *what) {
    char answer[256];
    proxy_ask(p, "stats", answer, sizeof answer);
    const char *at = strstr(answer, what);
    return at ? strtoul(at + strlen(what), NULL, 10) : 0;
}

unsigned long proxy_number(proxy *p, const char *command) {
    char answer[256];
    proxy_ask(p, command, answer, sizeof answer);
    return strtoul(answer + strlen("ok"), NULL, 10);
}

void proxy_stop(proxy *p) {
    close(p->in);
    fclose(p->out);
    waitpid(p->pid, NULL, 0);
}
