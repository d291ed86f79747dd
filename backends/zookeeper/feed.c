/* Subscriptions. The client has no recursive watches: each watched path is a node here with a data watch, a child watch
 * or both. A watch that fires is set again by the read that follows it, so nothing can change unseen between the two.
 * All watches have the same context, the connection: the client compares contexts pairwise when the connection's state
 * changes, and a context per node would make that quadratic. */
#include "feed.h"

#include <assert.h>
#include <stdlib.h>

void zk_feed_enter(zk_feed *f) {
    f->inside++;
}

static void drop_nodes(zk_feed *f, bool unwatch);

static void feed_free(zk_feed *f) {
    drop_nodes(f, f->conn->phase < ZK_CLOSING);
    zk_list_remove(&f->conn->feeds, &f->link);
    free(f);
}

bool zk_feed_leave(zk_feed *f) {
    bool lives = f->feed != NULL;
    if (--f->inside == 0 && !lives && !f->climbing)
        feed_free(f);
    return lives;
}

/* ---- Nodes */

static bool open_node(const zk_node *node) {
    return node->reading > 0 || zk_listed(&node->todo);
}

zk_node *zk_node_find(const zk_feed *f, const char *path) {
    for (zk_key *key = zk_table_find(&f->conn->nodes, path); key; key = zk_table_next(key))
        if (mw_container(key, zk_node, key)->feed == f)
            return mw_container(key, zk_node, key);
    return NULL;
}

zk_node *zk_node_add(zk_feed *f, zk_node *parent, const char *path) {
    size_t len = strlen(path) + 1;
    zk_node *node = calloc(1, sizeof *node + len);
    if (!node)
        return NULL;
    memcpy(node->path, path, len);
    node->key.path = node->path;
    if (zk_table_add(&f->conn->nodes, &node->key) != MW_OK) {
        free(node);
        return NULL;
    }
    node->feed = f;
    node->parent = parent;
    if (parent) {
        node->next = parent->first;
        if (node->next)
            node->next->prev = node;
        parent->first = node;
    }
    f->bytes += len + 4;
    return node;
}

void zk_node_want(zk_node *node, bool data, bool kids) {
    if (!open_node(node))
        node->feed->busy++;
    node->want_data |= data;
    node->want_kids |= kids;
    if (node->reading == 0 && !zk_listed(&node->todo))
        zk_list_push(&node->feed->conn->todo, &node->todo);
}

static bool watched_elsewhere(const zk_feed *f, const char *path) {
    for (zk_key *key = zk_table_find(&f->conn->nodes, path); key; key = zk_table_next(key)) {
        const zk_feed *other = mw_container(key, zk_node, key)->feed;
        if (other != f && other->feed)
            return true;
    }
    return false;
}

/* The client forgets the watch; the server's copy fires once, unheard. */
static void unwatch_path(zk_feed *f, const char *path) {
    if (f->conn->zh && !watched_elsewhere(f, path))
        (void)zoo_aremove_watches(f->conn->zh, path, ZWATCHTYPE_ANY, zk_watcher, f->conn, 1, NULL, NULL);
}

static void unlink_node(zk_node *node) {
    zk_feed *f = node->feed;
    assert(f);
    if (open_node(node))
        f->busy--;
    zk_list_remove(&f->conn->todo, &node->todo);
    zk_table_remove(&f->conn->nodes, &node->key);
    f->bytes -= strlen(node->path) + 5;
    if (node->prev)
        node->prev->next = node->next;
    else if (node->parent)
        node->parent->first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    node->feed = NULL;
    node->parent = NULL;
}

void zk_node_remove(zk_node *node, int64_t revision) {
    zk_feed *f = node->feed;
    while (node->first)
        zk_node_remove(node->first, revision);
    unlink_node(node);
    if (revision != 0 && node->created != 0 && f->feed)
        f->feed->gone(f->feed, zk_unroot(f->conn, node->path), revision);
    if (node->reading == 0)
        free(node);
}

void zk_node_idle(zk_node *node) {
    node->reading--;
    if (!node->feed) {
        if (node->reading == 0)
            free(node);
        return;
    }
    if (node->reading > 0)
        return;
    node->feed->busy--;
    if (node->want_data || node->want_kids)
        zk_node_want(node, false, false);
}

static void drop_node(zk_node *node, bool unwatch) {
    if (unwatch)
        unwatch_path(node->feed, node->path);
    zk_node_remove(node, 0);
}

/* Leaves first, each with its own path to forget. */
static void drop_nodes(zk_feed *f, bool unwatch) {
    while (f->root && f->root->first) {
        zk_node *leaf = f->root->first;
        while (leaf->first)
            leaf = leaf->first;
        drop_node(leaf, unwatch);
    }
    if (f->root)
        drop_node(f->root, unwatch);
    f->root = NULL;
}

/* ---- The feed */

void zk_feed_settle(zk_feed *f) {
    if (f->busy > 0 || f->synced || !f->begun || f->broken || !f->feed)
        return;
    f->synced = true;
    f->feed->synced(f->feed, f->conn->zxid);
}

void zk_feed_fail(zk_feed *f, int rc, const char *path) {
    if (f->broken || !f->feed)
        return;
    f->broken = true;
    drop_nodes(f, true);
    mw_error err;
    zk_fail(&err, zk_status(rc), "zookeeper: %s: %s", zk_text(rc), path);
    f->feed->failed(f->feed, err.code, &err);
}

void zk_feed_start(zk_feed *f) {
    char path[ZK_PATH_MAX];
    drop_nodes(f, false);
    f->begun = f->synced = false;
    zk_path(f->conn, f->feed->path, path);
    f->root = zk_node_add(f, NULL, path);
    if (f->root)
        zk_node_want(f->root, f->feed->depth == MW_DEPTH_SELF, f->feed->depth != MW_DEPTH_SELF);
    zk_kick(f->conn);
}

int zk_watch(mw_conn *conn, mw_feed *feed) {
    zk_feed *f = calloc(1, sizeof *f);
    if (!f)
        return MW_ENO_MEMORY;
    f->conn = conn;
    f->feed = feed;
    feed->backend[0] = f;
    zk_list_push(&conn->feeds, &f->link);
    if (conn->phase == ZK_UP)
        zk_feed_start(f);
    return MW_OK;
}

void zk_unwatch(mw_conn *conn, mw_feed *feed) {
    zk_feed *f = feed->backend[0];
    feed->backend[0] = NULL;
    zk_feed_enter(f);
    f->feed = NULL;
    (void)zk_feed_leave(f); /* freed now, or when the callback that we are in returns */
}

static void event(zk_node *node, int type) {
    const zk_feed *f = node->feed;
    if (type == ZOO_CHILD_EVENT && f->feed->depth == MW_DEPTH_SELF)
        zk_node_want(node, false, true); /* the node of a lock */
    else if (node == f->root)
        zk_node_want(node, f->feed->depth == MW_DEPTH_SELF, f->feed->depth != MW_DEPTH_SELF);
    else if (type == ZOO_CHILD_EVENT)
        zk_node_want(node, false, true);
    else
        zk_node_want(node, true, false); /* changed, or deleted: perhaps created again */
}

void zk_feeds_event(mw_conn *conn, int type, const char *path) {
    for (zk_key *key = zk_table_find(&conn->nodes, path); key; key = zk_table_next(key)) {
        zk_node *node = mw_container(key, zk_node, key);
        if (node->feed->feed && !node->feed->broken)
            event(node, type);
    }
}

/* The client sets all watches again in one packet, which the server refuses beyond its limit, for ever. What would not
 * fit is forgotten here and read anew. */
void zk_feeds_suspend(mw_conn *conn) {
    size_t bytes = 0;
    for (zk_link *link = zk_list_first(&conn->feeds); link; link = zk_list_next(&conn->feeds, link))
        bytes += 2 * mw_container(link, zk_feed, link)->bytes; /* a data watch and a child watch */
    if (bytes <= conn->options.watch_limit)
        return;
    zk_log(conn, MW_LOG_INFO, "%zu bytes of watched paths are too many to set again; they will be read anew", bytes);
    for (zk_link *link = zk_list_first(&conn->feeds); link; link = zk_list_next(&conn->feeds, link)) {
        zk_feed *f = mw_container(link, zk_feed, link);
        if (f->feed && !f->broken)
            drop_nodes(f, true);
    }
}

void zk_feeds_resume(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->feeds); link; link = zk_list_next(&conn->feeds, link)) {
        zk_feed *f = mw_container(link, zk_feed, link);
        if (f->feed && !f->broken && !f->root)
            zk_feed_start(f);
    }
    zk_reads_more(conn);
}

void zk_feeds_forget(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->feeds); link; link = zk_list_next(&conn->feeds, link)) {
        zk_feed *f = mw_container(link, zk_feed, link);
        drop_nodes(f, false);
    }
}

void zk_feeds_free(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->feeds), *next; link; link = next) {
        next = zk_list_next(&conn->feeds, link);
        feed_free(mw_container(link, zk_feed, link));
    }
    zk_table_release(&conn->nodes);
}
