/* A world for fault specs: registries on one libuv host, real servers, the proxy in between, and the history that the
 * checker judges at the end. Waits are for conditions. */
#ifndef SPEC_ZOOKEEPER_WORLD_H
#define SPEC_ZOOKEEPER_WORLD_H

#include <moonwatch/host_uv.h>
#include <moonwatch/registry.h>

#include <stdarg.h>
#include <sys/types.h>

#include "support/check.h"

typedef struct world {
    mw_host *host;
    FILE *history;
    char history_path[64], name_space[32]; /* of its own: what a failed case left stays with it */
    int writes;
} world;

typedef struct node {
    world *world;
    char name[16];
    mw_registry *registry;
    mw_listener *listener;
    mw_state state;
    int seen[MW_CLOSED + 1], lost, closed; /* how often each state was */
} node;

/* The world lives for one case; `world_end` judges the history when there is one. */
void world_begin(world *w);
void world_end(world *w);
void world_note(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Paths are as they stand on the server, for a world that other programs look into; otherwise each has a namespace. */
void world_bare(world *w);

/* A second process joins the world by the path of its history, and leaves without judging. The first calls
 * `world_share` when it begins: each line then stands in the file in the order in which it was noted. */
void world_share(world *w);
void world_join(world *w, const char *history_path);
void world_leave(world *w);

/* Run the loop until `condition(arg)` holds; false after a generous deadline. */
bool world_until(world *w, bool (*condition)(void *arg), void *arg);

void node_open(world *w, node *n, const char *name, const char *servers, int session_timeout_ms);
void node_close(node *n);
bool node_is_connected(void *arg);
bool node_is_away(void *arg); /* suspended or lost */
bool node_is_lost(void *arg); /* lost once at least */
int node_saw(const node *n, mw_state state);

/* ---- Writes, each of its own entry /w/ID: recorded, and looked for at the end */
typedef struct work {
    node *node;
    mw_call call;
    char id[32], path[64];
    int status; /* 1 = under way */
    int64_t revision;
} work;

void work_create(node *n, work *one, bool ephemeral);
void work_create_large(node *n, work *one, mw_str value); /* which may be refused at once */
void work_txn(node *n, work *one, const mw_lock *guard);  /* two entries in one step */
bool work_done(void *arg);
typedef struct work_set {
    work *works;
    size_t count;
} work_set;
bool works_done(void *arg);
void world_find_writes(node *n); /* what a fresh list shows, for the checker */

/* ---- A lock that tells the history */
typedef struct holder {
    node *node;
    mw_lock *lock;
    mw_lock_events events;
    int acquired, status, lost;
    int64_t token;
    bool held;
} holder;

void holder_ask(node *n, holder *h, const char *path, bool try_only);
bool holder_has(void *arg);
bool holder_answered(void *arg);
bool holder_lost(void *arg);
void holder_release(holder *h);

/* ---- A subscriber that tells the history */
typedef struct observer {
    node *node;
    char name[24];
    mw_subscription *subscription;
    int events, synced;
    size_t present, expected;
} observer;

void observer_start(node *n, observer *o, const char *name, const char *path, mw_depth depth);
bool observer_synced(void *arg);
size_t world_final(node *n, const char *path); /* the entries as a fresh list shows them, for the checker; how many */
bool observer_caught_up(void *arg);            /* it shows `expected` entries */

/* ---- Servers and proxies */
const char *world_servers(void);
int world_port(int server);                                                      /* client port of server 1, 2, ... */
int servers_tell(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a command of zookeeper_server.sh */
bool servers_wait(world *w); /* until all of them serve; the loop goes on meanwhile, or sessions would be lost */
int servers_leader(void);
int servers_proposals(int leader); /* how many transactions it has proposed to the others */

typedef struct proxy {
    pid_t pid;
    int in, port;
    FILE *out;
} proxy;

void proxy_start(proxy *p, int target_port);
void proxy_tell(proxy *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
unsigned long proxy_stat(proxy *p, const char *what);
unsigned long proxy_number(proxy *p, const char *command); /* which the proxy answers by one number */
void proxy_stop(proxy *p);

#endif
