/* An entry whose only children are the nodes of locks that nobody uses has no children: those nodes are removed first.
 */
#include "zk.h"

#include <stdlib.h>

typedef struct lock_node {
    zk_link link;
    struct sweep *sweep;
    char path[];
} lock_node;

typedef struct sweep {
    mw_conn *conn;
    unsigned waiting;
    int rc;
    bool removing, any; /* `any`: one at least is gone */
    zk_list found;      /* parents before their children */
    void (*done)(void *data, int rc, bool removed);
    void *data;
} sweep;

static void children_arrived(int rc, const struct String_vector *names, const struct Stat *stat, const void *data);

static void free_found(sweep *s) {
    for (zk_link *link = zk_list_pop(&s->found); link; link = zk_list_pop(&s->found))
        free(mw_container(link, lock_node, link));
}

static void removed(int rc, const void *data);

/* Deepest first: the list is parents first, and taken from its end. */
static void remove_found(sweep *s) {
    s->removing = true;
    s->waiting++;
    for (zk_link *link = s->found.head.prev; link != &s->found.head && s->rc == ZOK; link = link->prev) {
        int rc = zk_send_delete(s->conn, mw_container(link, lock_node, link)->path, removed, s);
        if (rc != ZOK)
            s->rc = rc;
        else
            s->waiting++;
    }
}

/* One answer fewer to wait for. */
static void step_done(sweep *s) {
    if (--s->waiting > 0)
        return;
    if (!s->removing && zk_list_first(&s->found)) {
        remove_found(s);
        step_done(s);
        return;
    }
    free_found(s);
    s->done(s->data, s->rc, s->any);
    free(s);
}

static void removed(int rc, const void *data) {
    sweep *s = (sweep *)data;
    zk_heard(s->conn, rc);
    s->any = s->any || rc == ZOK || rc == ZNONODE;
    if (zk_is_unanswered(rc))
        s->rc = rc;
    step_done(s);
}

static void child_arrived(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    lock_node *node = (lock_node *)data;
    sweep *s = node->sweep;
    zk_heard(s->conn, rc);
    if (zk_is_unanswered(rc))
        s->rc = rc;
    if (rc == ZOK && zk_is_lock(value, len)) {
        zk_list_push(&s->found, &node->link);
        if (stat->numChildren > 0 && zk_send_children(s->conn, node->path, false, children_arrived, node) == ZOK)
            s->waiting++;
    } else {
        free(node);
    }
    step_done(s);
}

static void look_at(sweep *s, const char *parent, const char *name) {
    char path[ZK_PATH_MAX];
    zk_join(parent, name, path);
    size_t len = strlen(path) + 1;
    lock_node *node = calloc(1, sizeof *node + len);
    if (!node)
        return;
    node->sweep = s;
    memcpy(node->path, path, len);
    if (zk_send_get(s->conn, path, false, child_arrived, node) == ZOK)
        s->waiting++;
    else
        free(node);
}

static void children_arrived(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    const lock_node *node = data;
    sweep *s = node->sweep;
    zk_heard(s->conn, rc);
    if (zk_is_unanswered(rc))
        s->rc = rc;
    for (int i = 0; rc == ZOK && i < names->count; i++)
        if (!zk_hides(s->conn, node->path, names->data[i]))
            look_at(s, node->path, names->data[i]);
    step_done(s);
}

static void top_arrived(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    lock_node *top = (lock_node *)data;
    children_arrived(rc, names, stat, top);
    free(top);
}

int zk_sweep(mw_conn *conn, const char *path, void (*done)(void *data, int rc, bool removed), void *data) {
    size_t len = strlen(path) + 1;
    sweep *s = calloc(1, sizeof *s);
    lock_node *top = calloc(1, sizeof *top + len);
    if (!s || !top) {
        free(s);
        free(top);
        return ZSYSTEMERROR;
    }
    *s = (sweep){.conn = conn, .waiting = 1, .done = done, .data = data};
    zk_list_init(&s->found);
    top->sweep = s;
    memcpy(top->path, path, len);
    int rc = zk_send_children(conn, path, false, top_arrived, top);
    if (rc != ZOK) {
        free(top);
        free(s);
    }
    return rc;
}
