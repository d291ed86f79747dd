/* A cluster in virtual time. */
#include "support/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A broken fixture is no failed promise: say so and end the program. */
static void need(bool held, const char *what) {
    if (held)
        return;
    fprintf(stderr, "cluster: %s\n", what);
    exit(EXIT_FAILURE);
}

void cluster_open(spec_cluster *cluster) {
    mw_host *host = NULL;
    need(mw_world_new(1, &cluster->world, NULL) == MW_OK, "no world");
    need(mw_world_host(cluster->world, NULL, NULL, &host, NULL) == MW_OK, "no host for the server");
    need(mw_memory_server_new(host, NULL, &cluster->server, NULL) == MW_OK, "no server");
}

void cluster_close(spec_cluster *cluster) {
    mw_memory_server_free(cluster->server);
    mw_world_free(cluster->world);
}

void client_open(spec_cluster *cluster, const char *name_space, spec_client *ret_client) {
    *ret_client = (spec_client){0};
    need(mw_world_host(cluster->world, NULL, NULL, &ret_client->host, NULL) == MW_OK, "no host for a client");
    mw_registry_config config = {
        .host = ret_client->host, .backend = mw_memory_backend(cluster->server), .name_space = name_space};
    mw_error err = {0};
    if (mw_registry_open(&config, &ret_client->registry, &err) != MW_OK)
        need(false, err.message);
    while (mw_registry_state(ret_client->registry) != MW_CONNECTED)
        need(mw_world_step(cluster->world), "a client that never connects");
}

static void closed(void *arg) {
    ((spec_client *)arg)->closed = true;
}

void client_close(spec_cluster *cluster, spec_client *client) {
    mw_registry_close(client->registry, MW_SECOND, closed, client);
    while (!client->closed)
        need(mw_world_step(cluster->world), "a client that never closes");
    need(mw_virtual_pending(client->host) == 0, "a closed client with timers or defers left");
}

static void done(void *arg, const mw_result *result) {
    spec_outcome *outcome = arg;
    outcome->times++;
    outcome->status = result->status;
    snprintf(outcome->message, sizeof outcome->message, "%s", result->error->message);
    outcome->entries = result->entry_count;
    outcome->revision = result->revision;
    outcome->failed_write = result->failed_write;
    if (result->written_count) {
        outcome->version = result->written[0].version;
        outcome->owner = result->written[0].owner;
    }
    if (result->entry_count) {
        const mw_entry *entry = &result->entries[0];
        snprintf(outcome->first, sizeof outcome->first, "%.*s", MW_STR_FMT(entry->path));
        snprintf(outcome->value, sizeof outcome->value, "%.*s", MW_STR_FMT(entry->value));
        outcome->version = entry->version;
        outcome->owner = entry->owner;
        outcome->revision = entry->revision;
    }
}

mw_call outcome_call(spec_outcome *outcome) {
    memset(outcome, 0, sizeof *outcome);
    return (mw_call){.done = done, .arg = outcome};
}

void cluster_await(spec_cluster *cluster, const spec_outcome *outcome) {
    while (outcome->times == 0)
        need(mw_world_step(cluster->world), "an operation that never completes");
}

void cluster_pass(spec_cluster *cluster, mw_time span) {
    mw_world_advance(cluster->world, span);
}
