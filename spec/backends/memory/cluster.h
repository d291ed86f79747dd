/* One memory server and three clients, each a process of its own in a virtual world. */
#ifndef SPEC_BACKENDS_MEMORY_CLUSTER_H
#define SPEC_BACKENDS_MEMORY_CLUSTER_H

#include <moonwatch/host_virtual.h>

#include "backends/memory/memory.h"
#include "backends/spi_client.h"

static struct {
    uint64_t seed;
    mw_world *world;
    mw_host *host; /* the server's */
    mw_host *hosts[3];
    mw_memory_server *server;
    spi_client a, b, c;
} on;

static inline bool cluster_run(bool (*until)(void *arg), void *arg) {
    mw_time deadline = mw_world_now(on.world) + 120 * MW_SECOND;
    while (!until(arg))
        if (!mw_world_step(on.world) || mw_world_now(on.world) > deadline)
            return until(arg);
    return true;
}

static const spi_bench cluster = {.run = cluster_run, .prefix = ""};

static inline void cluster_start(void) {
    memset(&on.a, 0, sizeof on.a);
    memset(&on.b, 0, sizeof on.b);
    memset(&on.c, 0, sizeof on.c);
    CHECK_INT(mw_world_new(on.seed, &on.world, NULL), MW_OK);
    CHECK_INT(mw_world_host(on.world, NULL, NULL, &on.host, NULL), MW_OK);
    for (int i = 0; i < 3; i++)
        CHECK_INT(mw_world_host(on.world, NULL, NULL, &on.hosts[i], NULL), MW_OK);
    const mw_memory_options options = {.seed = on.seed};
    CHECK_INT(mw_memory_server_new(on.host, &options, &on.server, NULL), MW_OK);
}

static inline spi_client *cluster_client(spi_client *which) {
    mw_host *host = on.hosts[which == &on.a ? 0 : which == &on.b ? 1 : 2];
    spi_open(which, &cluster, host, mw_memory_backend(on.server), NULL);
    return which;
}

/* Close what the case left open, and see that nothing is armed any more. */
static inline void cluster_stop(void) {
    spi_client *clients[] = {&on.a, &on.b, &on.c};
    for (int i = 0; i < 3; i++)
        if (clients[i]->conn && !clients[i]->closed)
            spi_close(clients[i]);
    mw_memory_server_free(on.server);
    CHECK_INT(mw_virtual_pending(on.host), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(mw_virtual_pending(on.hosts[i]), 0);
    mw_world_free(on.world);
}

#endif
