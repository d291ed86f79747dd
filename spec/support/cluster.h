/* A cluster in virtual time for C specs: a memory server, clients that are processes of one world, and what they heard. */
#ifndef SPEC_SUPPORT_CLUSTER_H
#define SPEC_SUPPORT_CLUSTER_H

#include <moonwatch/host_virtual.h>
#include <moonwatch/registry.h>

#include "backends/memory/memory.h"

typedef struct cluster {
    mw_world *world;
    mw_memory_server *server;
} cluster;

/* One process with one registry. */
typedef struct client {
    mw_host *host;
    mw_registry *registry;
    bool closed;
} client;

/* The end of an operation, as its caller saw it. */
typedef struct outcome {
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
} outcome;

void cluster_open(cluster *cluster);
void cluster_close(cluster *cluster);

/* Open a client and wait until it is connected. `name_space` may be NULL. */
void client_open(cluster *cluster, const char *name_space, client *ret_client);
void client_close(cluster *cluster, client *client);

/* A call whose result goes into `outcome`, which is cleared. */
mw_call outcome_call(outcome *outcome);

/* Run the world until the outcome is there; fails the case when nothing is left to do. */
void cluster_await(cluster *cluster, const outcome *outcome);
void cluster_pass(cluster *cluster, mw_time span);

#endif
