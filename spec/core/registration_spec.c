/* Registrations after a lost session: not all at once. In virtual time, on the memory backend. */
#include <moonwatch/registry.h>

#include "support/check.h"
#include "support/cluster.h"

#define NODES 40
#define ENTRIES 3000
#define IN_FLIGHT 512 /* core/registration.c */

static spec_cluster space;

typedef struct node {
    spec_client client;
    mw_registration *registration;
    unsigned times;
    mw_time at; /* of the last time that it became visible */
    char path[32];
} node;

static void registered(void *arg, int status, const mw_error *error) {
    node *n = arg;
    CHECK_INT(status, MW_OK);
    n->times++;
    n->at = mw_world_now(space.world);
}

static const mw_registration_events events = {registered};

static void await_times(const node *nodes, size_t count, unsigned times) {
    for (size_t i = 0; i < count; i++)
        while (nodes[i].times < times)
            CHECK(mw_world_step(space.world));
}

static void put_up(node *n, mw_registry *registry, size_t i) {
    snprintf(n->path, sizeof n->path, "/n/%zu", i);
    CHECK_INT(mw_register(registry, mw_str_of(n->path), mw_str_of("v"), 0, &events, n, &n->registration, NULL), MW_OK);
}

/* All sessions end in the same moment, as after an outage; the nodes come back spread over their jitter. */
static void expect_spread(node nodes[NODES]) {
    for (size_t i = 0; i < NODES; i++)
        CHECK_INT(mw_memory_expire(space.server, mw_registry_session(nodes[i].client.registry)), MW_OK);
    await_times(nodes, NODES, 2);
    mw_time first = MW_FOREVER, last = 0;
    for (size_t i = 0; i < NODES; i++) {
        first = nodes[i].at < first ? nodes[i].at : first;
        last = nodes[i].at > last ? nodes[i].at : last;
    }
    CHECK(last - first > 300 * MW_MS); /* half of a tenth of 6 s, the session's timeout */
    CHECK(last - first < 700 * MW_MS);
}

static void open_nodes(node nodes[NODES]) {
    memset(nodes, 0, NODES * sizeof *nodes);
    cluster_open(&space);
    for (size_t i = 0; i < NODES; i++) {
        client_open(&space, NULL, &nodes[i].client);
        put_up(&nodes[i], nodes[i].client.registry, i);
    }
    await_times(nodes, NODES, 1);
}

static void close_nodes(node nodes[NODES]) {
    for (size_t i = 0; i < NODES; i++) {
        mw_registration_free(nodes[i].registration);
        client_close(&space, &nodes[i].client);
    }
    cluster_close(&space);
}

static void many_nodes_come_back_spread(void) {
    static node nodes[NODES];
    open_nodes(nodes);
    expect_spread(nodes);
    close_nodes(nodes);
}

static void set_when_connected(void *arg, const mw_connection_event *event) {
    const node *n = arg;
    if (event->state == MW_CONNECTED)
        CHECK_INT(mw_registration_set(n->registration, mw_str_of("new"), NULL), MW_OK);
}

/* A node that tells its load as soon as it is connected again. */
static void so_do_those_that_write_when_they_hear_of_it(void) {
    static node nodes[NODES];
    mw_listener *listeners[NODES];
    open_nodes(nodes);
    for (size_t i = 0; i < NODES; i++)
        listeners[i] = mw_listen(nodes[i].client.registry, set_when_connected, &nodes[i]);
    cluster_pass(&space, MW_SECOND);
    expect_spread(nodes);
    for (size_t i = 0; i < NODES; i++)
        mw_unlisten(listeners[i]);
    close_nodes(nodes);
}

/* ---- How many writes are on their way? */

static struct {
    mw_backend_submit_fn *submit;
    unsigned now, most;
    void (*done[2 * IN_FLIGHT])(mw_request *request, int status, const mw_error *detail);
    mw_request *requests[2 * IN_FLIGHT];
} flight;

static void landed(mw_request *request, int status, const mw_error *detail) {
    size_t i = 0;
    while (flight.requests[i] != request)
        i++;
    flight.requests[i] = NULL;
    flight.now--;
    flight.done[i](request, status, detail);
}

static void submit(mw_conn *conn, mw_request *request) {
    if (request->kind == MW_WRITE) {
        size_t i = 0;
        while (flight.requests[i])
            i++;
        CHECK(i + 1 < sizeof flight.requests / sizeof *flight.requests);
        flight.requests[i] = request;
        flight.done[i] = request->done;
        request->done = landed;
        flight.most = ++flight.now > flight.most ? flight.now : flight.most;
    }
    flight.submit(conn, request);
}

static void open_counted(spec_client *client, mw_backend **ret_backend) {
    CHECK_INT(mw_trace_backend_new(mw_memory_backend(space.server), ret_backend, NULL), MW_OK);
    memset(&flight, 0, sizeof flight);
    flight.submit = (*ret_backend)->submit;
    (*ret_backend)->submit = submit;
    CHECK_INT(mw_world_host(space.world, NULL, NULL, &client->host, NULL), MW_OK);
    mw_registry_config config = {.host = client->host, .backend = *ret_backend};
    CHECK_INT(mw_registry_open(&config, &client->registry, NULL), MW_OK);
    while (mw_registry_state(client->registry) != MW_CONNECTED)
        CHECK(mw_world_step(space.world));
}

static void many_entries_of_one_node_go_out_in_bounds(void) {
    static node nodes[ENTRIES];
    memset(nodes, 0, sizeof nodes);
    spec_client client = {0};
    mw_backend *backend = NULL;
    cluster_open(&space);
    open_counted(&client, &backend);
    for (size_t i = 0; i < ENTRIES; i++)
        put_up(&nodes[i], client.registry, i);
    await_times(nodes, ENTRIES, 1);
    CHECK_INT(flight.most, IN_FLIGHT); /* pipelined, but not more */
    flight.most = 0;
    CHECK_INT(mw_memory_expire(space.server, mw_registry_session(client.registry)), MW_OK);
    await_times(nodes, ENTRIES, 2);
    CHECK_INT(flight.most, IN_FLIGHT);
    for (size_t i = 0; i < ENTRIES; i++)
        mw_registration_free(nodes[i].registration);
    client_close(&space, &client);
    mw_trace_backend_free(backend);
    cluster_close(&space);
}

static const spec_case cases[] = {
    {"many nodes come back spread over time", many_nodes_come_back_spread},
    {"so do those that write when they hear of it", so_do_those_that_write_when_they_hear_of_it},
    {"many entries of one node go out in bounds", many_entries_of_one_node_go_out_in_bounds},
};
SPEC_MAIN(cases)
