/* The reads that keep subscriptions: each sets its watch again, and its answer is the state that is told. */
#include "feed.h"

#include <stdlib.h>

static void begin_once(zk_feed *f) {
    if (f->begun || !f->feed)
        return;
    f->begun = true;
    f->feed->begin(f->feed);
}

/* The answer came for a node that is still wanted? Otherwise it is put to rest. */
static bool alive(zk_node *node) {
    if (node->feed && !node->feed->broken && node->feed->feed)
        return true;
    zk_node_idle(node);
    return false;
}

/* Common end of every answer. `f` was entered; a callback may have taken the node out of it. */
static void rest(zk_feed *f, zk_node *node) {
    if (node)
        zk_node_idle(node);
    if (f->feed)
        zk_feed_settle(f);
    (void)zk_feed_leave(f);
}

typedef struct question {
    mw_conn *conn;
    zk_node *node;
} question;

/* The connection of an answer, even when the node has lost its feed meanwhile. */
static mw_conn *take(int rc, const void *data, zk_node **ret_node) {
    question q = *(const question *)data;
    free((void *)data);
    zk_heard(q.conn, rc);
    q.conn->reading--;
    *ret_node = q.node;
    return q.conn;
}

static question *ask(zk_node *node) {
    question *q = malloc(sizeof *q);
    if (!q)
        return NULL;
    *q = (question){node->feed->conn, node};
    node->reading++;
    q->conn->reading++;
    return q;
}

/* The question did not go out: it waits for the next connection. */
static void unask(question *q) {
    q->node->reading--;
    q->conn->reading--;
    free(q);
}

/* ---- The revision of a deletion: that of the last change to the children of the nearest ancestor that is left */

static void climb(zk_feed *f);

static void climbed(int rc, const struct Stat *stat, const void *data) {
    zk_feed *f = (zk_feed *)data;
    zk_heard(f->conn, rc);
    f->climbing = false;
    f->busy--;
    zk_feed_enter(f);
    if (f->feed && rc == ZNONODE) {
        climb(f);
    } else if (f->feed && rc == ZOK && f->root) {
        zk_saw(f->conn, stat);
        zk_node *root = f->root;
        while (root->first && f->feed)
            zk_node_remove(root->first, stat->pzxid);
        if (f->feed && root->created != 0) {
            root->created = root->revision = 0;
            f->feed->gone(f->feed, zk_unroot(f->conn, root->path), stat->pzxid);
        }
    } else if (f->feed && f->root && zk_is_unanswered(rc)) {
        zk_node_want(f->root, f->feed->depth == MW_DEPTH_SELF, f->feed->depth != MW_DEPTH_SELF);
    }
    rest(f, NULL);
}

static void climb(zk_feed *f) {
    if (!zk_parent(f->climb, f->climb) || zk_send_exists(f->conn, f->climb, false, climbed, f) != ZOK)
        return;
    f->climbing = true;
    f->busy++;
}

static void root_exists(int rc, const struct Stat *stat, const void *data) {
    zk_node *node = NULL;
    (void)take(rc, data, &node);
    if (!alive(node))
        return;
    zk_feed *f = node->feed;
    zk_feed_enter(f);
    bool self = f->feed->depth == MW_DEPTH_SELF;
    if (rc == ZOK || zk_is_unanswered(rc)) {
        zk_node_want(node, self, !self); /* there after all */
    } else if (rc == ZNONODE) {
        begin_once(f);
        if (f->feed && (node->first || node->created != 0) && !f->climbing) {
            memcpy(f->climb, node->path, strlen(node->path) + 1);
            climb(f);
        }
    } else {
        zk_feed_fail(f, rc, node->path);
    }
    rest(f, node);
}

/* The root is not there: wait for its creation. */
static void await_root(zk_node *node) {
    question *q = ask(node);
    if (q && zk_send_exists(q->conn, node->path, true, root_exists, q) == ZOK)
        return;
    if (q)
        unask(q);
    zk_node_want(node, node->feed->feed->depth == MW_DEPTH_SELF, node->feed->feed->depth != MW_DEPTH_SELF);
}

/* ---- Values */

static void untell(zk_node *node, int64_t revision) {
    zk_feed *f = node->feed;
    if (node->created == 0 || !f->feed)
        return;
    node->created = node->revision = 0;
    f->feed->gone(f->feed, zk_unroot(f->conn, node->path), revision);
}

static void tell(zk_node *node, const char *value, int len, const struct Stat *stat) {
    zk_feed *f = node->feed;
    begin_once(f);
    bool was_lock = node->lock;
    node->lock = zk_is_lock(value, len);
    node->shown = node->shown && node->lock;
    if (node->lock && !node->shown) {
        node->want_kids |= !was_lock;
        untell(node, stat->mzxid);
        return;
    }
    if (!f->feed || (node->created == stat->czxid && node->revision == stat->mzxid))
        return;
    node->created = stat->czxid;
    node->revision = stat->mzxid;
    mw_entry entry;
    zk_entry(&entry, zk_unroot(f->conn, node->path), value, node->lock ? 0 : len, stat);
    f->feed->entry(f->feed, &entry);
}

static void data_arrived(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    zk_node *node = NULL;
    mw_conn *conn = take(rc, data, &node);
    if (!alive(node))
        return;
    zk_feed *f = node->feed;
    zk_feed_enter(f);
    if (zk_is_unanswered(rc)) {
        node->want_data = true;
    } else if (rc == ZOK) {
        zk_saw(conn, stat);
        bool first = node->created == 0 || node->created != stat->czxid;
        tell(node, value, len, stat);
        /* An ephemeral has no children, and needs no watch for them. */
        if (node->feed && f->feed && f->feed->depth == MW_DEPTH_SUBTREE && first && !zk_owner(stat))
            node->want_kids = true;
    } else if (rc == ZNONODE && node == f->root) {
        await_root(node);
    } else if (rc == ZNONODE) {
        node->missing = true; /* the parent's watch has fired, too: its listing tells whether it is there again */
    } else {
        zk_feed_fail(f, rc, node->path);
    }
    rest(f, node);
}

/* ---- Children */

static void drop_unnamed(zk_feed *f, zk_node *dir, int64_t revision) {
    for (zk_node *child = dir->first, *next; child && f->feed; child = next) {
        next = child->next;
        if (child->stamp != f->stamp)
            zk_node_remove(child, revision);
    }
}

static void name_child(zk_feed *f, zk_node *dir, const char *name) {
    char path[ZK_PATH_MAX];
    if (zk_hides(f->conn, dir->path, name))
        return;
    zk_join(dir->path, name, path);
    zk_node *known = zk_node_find(f, path), *child = known ? known : zk_node_add(f, dir, path);
    if (!child)
        return;
    child->stamp = f->stamp;
    if (!known || child->missing)
        zk_node_want(child, true, false);
    child->missing = false;
}

static void name_children(zk_feed *f, zk_node *dir, const struct String_vector *names, const struct Stat *stat) {
    f->stamp++;
    for (int i = 0; i < names->count; i++)
        name_child(f, dir, names->data[i]);
    drop_unnamed(f, dir, stat->pzxid);
}

/* Is the node of a lock an entry now? Then it is read to be told. */
static void decide_lock(zk_node *node, const struct String_vector *names, const struct Stat *stat) {
    bool shown = zk_any_shown(node->feed->conn, node->path, names);
    if (shown && !node->shown)
        node->want_data = true;
    else if (!shown)
        untell(node, stat->pzxid);
    node->shown = shown;
}

static void kids_arrived(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    zk_node *node = NULL;
    mw_conn *conn = take(rc, data, &node);
    if (!alive(node))
        return;
    zk_feed *f = node->feed;
    zk_feed_enter(f);
    if (zk_is_unanswered(rc)) {
        node->want_kids = true;
    } else if (rc == ZOK) {
        zk_saw(conn, stat);
        begin_once(f);
        if (node->lock)
            decide_lock(node, names, stat);
        if (f->feed && (node == f->root ? f->feed->depth != MW_DEPTH_SELF : f->feed->depth == MW_DEPTH_SUBTREE))
            name_children(f, node, names, stat);
    } else if (rc == ZNONODE && node == f->root) {
        await_root(node);
    } else if (rc != ZNONODE) {
        zk_feed_fail(f, rc, node->path);
    }
    rest(f, node);
}

void zk_node_read(zk_node *node) {
    mw_conn *conn = node->feed->conn;
    bool data = node->want_data, kids = node->want_kids;
    node->want_data = node->want_kids = false;
    question *q = data ? ask(node) : NULL;
    if (data && (!q || zk_send_get(conn, node->path, true, data_arrived, q) != ZOK)) {
        node->want_data = true;
        if (q)
            unask(q);
    }
    q = kids ? ask(node) : NULL;
    if (kids && (!q || zk_send_children(conn, node->path, true, kids_arrived, q) != ZOK)) {
        node->want_kids = true;
        if (q)
            unask(q);
    }
}

void zk_reads_more(mw_conn *conn) {
    while (conn->phase == ZK_UP && !conn->leave_by && conn->reading < ZK_READ_WINDOW) {
        zk_link *link = zk_list_pop(&conn->todo);
        if (!link)
            return;
        zk_node *node = mw_container(link, zk_node, todo);
        zk_node_read(node);
        if (node->reading > 0)
            continue;
        zk_list_push(&conn->todo, &node->todo);
        return;
    }
}
