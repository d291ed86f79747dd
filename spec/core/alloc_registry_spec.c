/* Each allocation of the core and of the memory backend fails once, and with all after it, while a client does a bit of
 * everything: nothing crashes or leaks, what was accepted completes exactly once, and closing always ends. */
#include <moonwatch/host_virtual.h>
#include <moonwatch/registry.h>

#include "backends/memory/memory.h"
#include "support/alloc_fail.h"
#include "support/check.h"

/* Long enough for every deadline and retry of the scenario. */
#define PATIENCE (60 * MW_SECOND)

typedef struct client {
    mw_world *world;
    mw_memory_server *server;
    mw_registry *registry;
    const mw_backend *table;
    size_t submitted, done; /* operations, and lock attempts */
    size_t refused;         /* anything that did not go as it would with memory */
    size_t granted, elected, registered, events;
    mw_lock *lock;
    mw_election *election;
    mw_registration *registration;
    mw_listener *listener;
    mw_subscription *subs[2];
    bool closed;
} client;

static void expect(client *self, int status) {
    self->refused += status != MW_OK;
}

static void on_done(void *arg, const mw_result *result) {
    client *self = arg;
    CHECK(!self->closed && result->error);
    self->done++;
    expect(self, result->status);
}

static void on_state(void *arg, const mw_connection_event *event) {
    CHECK(!((client *)arg)->closed || event->state == MW_CLOSED);
}

static void on_event(void *arg, const mw_event *event) {
    ((client *)arg)->events++;
}

static void on_failed(void *arg, const mw_error *why) {
    expect(arg, why->code);
}

static void on_acquired(void *arg, int status, int64_t token, const mw_error *error) {
    client *self = arg;
    self->done++;
    self->granted += status == MW_OK;
    expect(self, status);
}

static void on_lost(void *arg, const mw_error *why) {
    expect(arg, why->code);
}

static void on_elected(void *arg, int64_t token) {
    ((client *)arg)->elected++;
}

static void on_registered(void *arg, int status, const mw_error *error) {
    client *self = arg;
    self->registered += status == MW_OK;
    expect(self, status);
}

static void on_closed(void *arg) {
    client *self = arg;
    CHECK(!self->closed);
    self->closed = true;
}

/* Run until nothing that was submitted is open, or patience ends. */
static void settle(client *self) {
    mw_time end = mw_world_now(self->world) + PATIENCE;
    while (self->done < self->submitted && mw_world_now(self->world) < end && mw_world_step(self->world))
        continue;
}

static void submitted(client *self, int status) {
    CHECK(status == MW_OK || status == MW_ENO_MEMORY || status == MW_EFENCED || status == MW_EINVALID);
    self->submitted += status == MW_OK;
    expect(self, status);
}

static void write_and_read(client *self, const mw_call *call) {
    mw_registry *r = self->registry;
    static char large[20000];
    mw_str value = mw_str_of("value");
    submitted(self, mw_create(r, mw_str_of("/a/b/c"), value, false, call, NULL, NULL));
    submitted(self, mw_put(r, mw_str_of("/a/large"), (mw_str){large, sizeof large}, false, call, NULL, NULL));
    submitted(self, mw_put(r, mw_str_of("/live/me"), value, true, call, NULL, NULL));
    submitted(self, mw_set(r, mw_str_of("/a/b/c"), value, MW_VERSION_ANY, call, NULL, NULL));
    submitted(self, mw_get(r, mw_str_of("/a/large"), call, NULL, NULL));
    submitted(self, mw_stat(r, mw_str_of("/a/b"), call, NULL, NULL));
    submitted(self, mw_children(r, mw_str_of("/a"), call, NULL, NULL));
    submitted(self, mw_list(r, mw_str_of("/"), call, NULL, NULL));
    settle(self);
    mw_op *op = NULL;
    int status = mw_delete_recursive(r, mw_str_of("/a"), call, NULL, NULL);
    submitted(self, status);
    mw_call quiet = *call; /* its outcome is cancelled, which is not a refusal */
    if (mw_get(r, mw_str_of("/live"), &quiet, &op, NULL) == MW_OK)
        self->submitted++;
    else
        self->refused++;
    settle(self);
}

static void observe(client *self) {
    for (int i = 0; i < 2; i++)
        expect(self, mw_subscribe(self->registry, mw_str_of("/"), MW_DEPTH_SUBTREE, on_event, on_failed, self,
                                  &self->subs[i], NULL));
    mw_world_advance(self->world, MW_SECOND);
    mw_unsubscribe(self->subs[0]);
}

static void hold_the_lock(client *self, const mw_call *call) {
    static const mw_lock_events events = {.acquired = on_acquired, .lost = on_lost};
    mw_str path = mw_str_of("/locks/one");
    expect(self, mw_lock_new(self->registry, path, mw_str_of("me"), &events, self, &self->lock, NULL));
    if (!self->lock)
        return;
    submitted(self, mw_lock_acquire(self->lock, 5 * MW_SECOND, false, NULL));
    settle(self);
    submitted(self, mw_inspect(self->registry, MW_READ_QUEUES, mw_str_of("/"), call, NULL, NULL));
    const mw_step steps[] = {
        {.kind = MW_CHECK_LOCK, .lock = self->lock},
        {.kind = MW_CHECK, .path = mw_str_of("/none"), .version = MW_VERSION_ABSENT},
        {.kind = MW_CREATE, .path = mw_str_of("/guarded"), .value = mw_str_of("x")},
        {.kind = MW_CREATE, .path = mw_str_of("/guarded/child"), .value = mw_str_of("y")},
    };
    submitted(self, mw_txn(self->registry, steps, 4, call, NULL, NULL));
    settle(self);
    if (mw_lock_held(self->lock))
        expect(self, mw_lock_release(self->lock, NULL));
}

static void stand_and_register(client *self) {
    static const mw_election_events election = {.elected = on_elected, .deposed = on_lost, .failed = on_failed};
    static const mw_registration_events registration = {.registered = on_registered};
    mw_registry *r = self->registry;
    expect(self, mw_election_new(r, mw_str_of("/lead"), mw_str_of("me"), &election, self, &self->election, NULL));
    expect(self, mw_register(r, mw_str_of("/nodes/me"), mw_str_of("one"), 5 * MW_SECOND, &registration, self,
                             &self->registration, NULL));
    mw_world_advance(self->world, MW_SECOND);
    if (self->registration)
        expect(self, mw_registration_set(self->registration, mw_str_of("two"), NULL));
    mw_world_advance(self->world, PATIENCE);
}

static void use(client *self) {
    mw_call call = {.timeout = 10 * MW_SECOND, .done = on_done, .arg = self};
    self->listener = mw_listen(self->registry, on_state, self);
    self->refused += !self->listener;
    write_and_read(self, &call);
    observe(self);
    hold_the_lock(self, &call);
    stand_and_register(self);
}

/* Some handles are freed before the registry is closed, some after it. */
static void leave(client *self) {
    mw_election_free(self->election);
    mw_registry_close(self->registry, MW_SECOND, on_closed, self);
    mw_time end = mw_world_now(self->world) + PATIENCE;
    while (!self->closed && mw_world_now(self->world) < end && mw_world_step(self->world))
        continue;
    CHECK(self->closed);
    CHECK_INT(self->done, self->submitted);
    mw_lock_free(self->lock);
    mw_registration_free(self->registration);
    mw_unsubscribe(self->subs[1]);
    if (self->listener)
        mw_unlisten(self->listener);
    while (mw_world_step(self->world))
        continue;
}

static int open_registry(client *self, mw_host *host) {
    mw_registry_config config = {
        .host = host, .backend = self->table, .name_space = "/prod/app", .name = "spec", .op_timeout = MW_SECOND};
    return mw_registry_open(&config, &self->registry, NULL);
}

/* On a traced backend when `arg` is set. */
static bool scenario(void *arg) {
    client self = {0};
    mw_host *host = NULL;
    mw_backend *trace = NULL;
    if (mw_world_new(1, &self.world, NULL) != MW_OK)
        return false;
    bool through = mw_world_host(self.world, NULL, NULL, &host, NULL) == MW_OK &&
                   mw_memory_server_new(host, NULL, &self.server, NULL) == MW_OK;
    if (through) {
        self.table = mw_memory_backend(self.server);
        through = !arg || mw_trace_backend_new(self.table, &trace, NULL) == MW_OK;
    }
    if (trace)
        self.table = trace;
    if (through && open_registry(&self, host) == MW_OK) {
        use(&self);
        leave(&self);
        through = self.refused == 0 && self.granted == 1 && self.elected == 1 && self.registered == 1;
        CHECK(!through || self.events > 0);
    } else {
        through = false;
    }
    mw_trace_backend_free(trace);
    mw_memory_server_free(self.server);
    CHECK(!host || mw_virtual_pending(host) == 0);
    mw_world_free(self.world);
    return through;
}

static void survives(void *traced) {
    size_t failures = alloc_fail_each(scenario, traced, spec.why, sizeof spec.why);
    if (failures == 0)
        longjmp(spec.escape, 1);
    printf("# %zu allocations failed in turn\n", failures);
    CHECK(failures > 100);
}

static void a_client_survives(void) {
    survives(NULL);
}

static void a_traced_client_survives(void) {
    survives(&spec);
}

static const spec_case cases[] = {
    {"a client survives", a_client_survives},
    {"a client with a traced backend survives", a_traced_client_survives},
};
SPEC_MAIN(cases)
