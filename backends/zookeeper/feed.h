/* A subscription's state: shared by feed.c and feed_read.c. */
#ifndef MW_ZOOKEEPER_FEED_H
#define MW_ZOOKEEPER_FEED_H

#include "zk.h"

typedef struct zk_feed zk_feed;
typedef struct zk_node zk_node;

/* One path that a feed watches. The root of a feed on children or a subtree is watched for its children only. */
struct zk_node {
    zk_key key;    /* in conn->nodes, which may hold those of other feeds with this path */
    zk_link todo;  /* in conn->todo */
    zk_feed *feed; /* NULL: dropped, and freed by the last answer */
    zk_node *parent, *first, *next, *prev;
    int64_t created, revision; /* as told; 0 = not told */
    uint32_t stamp;            /* of the listing that named it last */
    unsigned reading;
    bool want_data, want_kids;
    bool missing; /* was not there when its value was read; a listing may name it again */
    bool lock;    /* the node of a lock: told only while it has children that are entries */
    bool shown;   /* it has */
    char path[];
};

struct zk_feed {
    zk_link link;
    mw_conn *conn;
    mw_feed *feed; /* NULL: unwatched */
    zk_node *root; /* and below it all others */
    uint32_t stamp;
    size_t bytes;    /* of watched paths */
    size_t busy;     /* nodes that want or await a read, and the search for a revision */
    unsigned inside; /* callbacks and loops under way: it must not be freed now */
    bool begun, synced, broken, climbing;
    char climb[ZK_PATH_MAX]; /* the ancestor asked for the revision of a deletion */
};

void zk_feed_enter(zk_feed *f);
bool zk_feed_leave(zk_feed *f); /* false: it is gone */
zk_node *zk_node_find(const zk_feed *f, const char *path);
zk_node *zk_node_add(zk_feed *f, zk_node *parent, const char *path);
void zk_node_want(zk_node *node, bool data, bool kids);
void zk_node_remove(zk_node *node, int64_t revision); /* with all below it; tells `gone` when revision is not 0 */
void zk_node_idle(zk_node *node);                     /* a read of it ended: free, or queue, or be quiet */
void zk_feed_settle(zk_feed *f);                      /* tell `synced` when nothing is open */
void zk_feed_fail(zk_feed *f, int rc, const char *path);
void zk_feed_start(zk_feed *f);
void zk_root_read(zk_node *root);
void zk_node_read(zk_node *node);

#endif
