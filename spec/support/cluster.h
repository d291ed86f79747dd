/* A cluster in virtual time for C specs: a memory server, clients that are processes of one world, and what they heard.
 */
#ifndef SPEC_SUPPORT_CLUSTER_H
#define SPEC_SUPPORT_CLUSTER_H

#include <moonwatch/host_virtual.h>
#include <moonwatch/registry.h>

#include "backends/memory/memory.h"

typedef struct spec_cluster {
    mw_world *world;
    mw_memory_server *server;
} spec_cluster;

/* One process with one registry. */
typedef struct spec_client {
    mw_host *host;
    mw_registry *registry;
    bool closed;
} spec_client;

/* The end of an operation, as its caller saw it. */
typedef struct spec_outcome {
    unsigned times; /* how often `done` was called: 1 */
    int status;
    char message[384];
    size_t entries;
    char first[64]; /* path of the first entry */
    char value[64]; /* and its value */
    mw_session_id owner;
    int64_t version;
    int64_t revision;
    size_t failed_write;
} spec_outcome;

void cluster_open(spec_cluster *cluster);
void cluster_close(spec_cluster *cluster);

/* Open a client and wait until it is connected. `name_space` may be NULL. */
void client_open(spec_cluster *cluster, const char *name_space, spec_client *ret_client);
void client_close(spec_cluster *cluster, spec_client *client);

/* A call whose result goes into `outcome`, which is cleared. */
mw_call outcome_call(spec_outcome *outcome);

/* Run the world until the outcome is there; fails the case when nothing is left to do. */
void cluster_await(spec_cluster *cluster, const spec_outcome *outcome);
void cluster_pass(spec_cluster *cluster, mw_time span);

#endif
