/* Requests that are many reads: children, subtree, queues, sessions. A walk is a list of steps; a step asks one thing,
 * and its answer may add more. At most ZK_READ_WINDOW are in flight. */
#include "zk.h"

#include <stdio.h>
#include <stdlib.h>

#include "queue_name.h"

typedef enum what {
    VALUE,   /* an entry, and perhaps those below it */
    NAME,    /* an entry of which only the name matters */
    DOUBT,   /* the same, but it may be the node of a lock */
    KIDS,    /* the children of `path` */
    DECIDE,  /* the children of a lock's node: is it an entry? */
    MEMBER,  /* a member of a queue: one of `queue->members` */
    SESSION, /* the first mark of a session */
} what;

typedef struct step {
    zk_link link;
    zk_walk *walk;
    what what;
    struct gather *queue;
    size_t index;
    struct Stat stat; /* DECIDE: of the node */
    char path[];
} step;

/* The members of one queue, shown in order when all are here. */
typedef struct member {
    int32_t seq;
    bool present;
    mw_entry entry;
    char *value;
} member;

typedef struct gather {
    size_t count, waiting;
    member *members;
    char *path; /* of the lock, as the core knows it */
} gather;

struct zk_walk {
    zk_op *op;
    zk_list steps;
    size_t waiting;
    int rc;
    bool starting, missing;
};

static int add_step(zk_walk *walk, const char *path, step shape) {
    size_t len = strlen(path) + 1;
    step *s = malloc(sizeof *s + len);
    if (!s)
        return walk->rc = ZSYSTEMERROR;
    *s = shape;
    s->walk = walk;
    memcpy(s->path, path, len);
    zk_list_push(&walk->steps, &s->link);
    return ZOK;
}

static void gather_free(gather *queue) {
    for (size_t i = 0; i < queue->count; i++)
        free(queue->members[i].value);
    free(queue->members);
    free(queue->path);
    free(queue);
}

static int by_sequence(const void *a, const void *b) {
    return zk_queue_compare(((const member *)a)->seq, ((const member *)b)->seq);
}

/* Who left while we read is not shown; the first who is left holds the lock. */
static void show_queue(mw_request *request, gather *queue) {
    bool first = true;
    for (size_t i = 0; i < queue->count && request; i++) {
        member *m = &queue->members[i];
        if (!m->present)
            continue;
        m->entry.path = mw_str_of(queue->path);
        m->entry.value.data = m->value;
        m->entry.revision = first ? m->entry.created : 0;
        first = false;
        request->entry(request, &m->entry);
    }
}

static void member_arrived(step *s, int rc, const char *value, int len, const struct Stat *stat) {
    gather *queue = s->queue;
    member *m = &queue->members[s->index];
    if (rc == ZOK) {
        zk_entry(&m->entry, (mw_str){0}, value, len, stat);
        m->value = malloc(m->entry.value.len + 1);
        m->present = m->value != NULL;
        if (m->value)
            memcpy(m->value, m->entry.value.data, m->entry.value.len);
    }
    if (--queue->waiting > 0)
        return;
    show_queue(s->walk->op->request, queue);
    gather_free(queue);
}

/* The queue at `path`, when its children hold one. */
static void gather_queue(zk_walk *walk, const char *path, const struct String_vector *names) {
    gather *queue = calloc(1, sizeof *queue);
    mw_str shown = zk_unroot(walk->op->conn, path);
    if (queue) {
        queue->members = calloc((size_t)names->count + 1, sizeof *queue->members);
        queue->path = strndup(shown.data, shown.len);
    }
    if (!queue || !queue->members || !queue->path) {
        walk->rc = ZSYSTEMERROR;
        if (queue)
            gather_free(queue);
        return;
    }
    char child[ZK_PATH_MAX];
    int32_t seq = 0;
    for (int i = 0; i < names->count; i++)
        if (zk_queue_member(mw_str_of(names->data[i]), &seq))
            queue->members[queue->count++].seq = seq;
    qsort(queue->members, queue->count, sizeof *queue->members, by_sequence);
    for (int i = 0; i < names->count; i++) {
        if (!zk_queue_member(mw_str_of(names->data[i]), &seq))
            continue;
        size_t at = 0;
        while (queue->members[at].seq != seq)
            at++;
        zk_join(path, names->data[i], child);
        queue->waiting += add_step(walk, child, (step){.what = MEMBER, .queue = queue, .index = at}) == ZOK;
    }
    if (queue->waiting == 0)
        gather_free(queue);
}

static void session_arrived(step *s, const char *value, int len, const struct Stat *stat) {
    mw_request *request = s->walk->op->request;
    mw_entry entry;
    zk_entry(&entry, (mw_str){0}, value, len, stat);
    char text[640] = "", *rest = text;
    memcpy(text, entry.value.data, entry.value.len < sizeof text ? entry.value.len : sizeof text - 1);
    unsigned long long timeout = strtoull(text, &rest, 10);
    entry.value = mw_str_of(*rest == ' ' ? rest + 1 : rest);
    entry.mtime += (int64_t)timeout; /* the mark is written at each renewal */
    if (request)
        request->entry(request, &entry);
}

static void show(zk_op *op, const char *path, const char *value, int len, const struct Stat *stat) {
    mw_entry entry;
    zk_entry(&entry, zk_unroot(op->conn, path), value, len, stat);
    if (op->request)
        op->request->entry(op->request, &entry);
}

static what what_is_below(mw_request_kind kind) {
    return kind == MW_READ_QUEUES ? KIDS : kind == MW_READ_CHILDREN ? NAME : VALUE;
}

static void expand_sessions(step *s, const struct String_vector *names) {
    char child[ZK_PATH_MAX];
    for (int i = 0; i < names->count; i++) {
        size_t len = strlen(names->data[i]);
        zk_join(s->path, names->data[i], child);
        if (len > 2 && strcmp(names->data[i] + len - 2, "-0") == 0)
            (void)add_step(s->walk, child, (step){.what = SESSION});
    }
}

static void expand(step *s, const struct String_vector *names) {
    zk_walk *walk = s->walk;
    mw_request_kind kind = walk->op->request->kind;
    if (kind == MW_READ_QUEUE || kind == MW_READ_QUEUES)
        gather_queue(walk, s->path, names);
    if (kind == MW_READ_SESSIONS)
        expand_sessions(s, names);
    if (kind == MW_READ_QUEUE || kind == MW_READ_SESSIONS)
        return;
    if (s->what == DECIDE && zk_any_shown(walk->op->conn, s->path, names))
        show(walk->op, s->path, NULL, 0, &s->stat);
    if (s->what == DECIDE && kind == MW_READ_CHILDREN)
        return;
    char child[ZK_PATH_MAX];
    for (int i = 0; i < names->count; i++) {
        zk_join(s->path, names->data[i], child);
        if (!zk_hides(walk->op->conn, s->path, names->data[i]))
            (void)add_step(walk, child, (step){.what = what_is_below(kind)});
    }
}

static void finish(zk_walk *walk) {
    zk_op *op = walk->op;
    int rc = walk->rc == ZOK && walk->missing ? ZNONODE : walk->rc;
    mw_error err;
    zk_fail(&err, zk_status(rc), "zookeeper: %s", zk_text(rc));
    zk_op_end(op, zk_status(rc), rc == ZOK ? NULL : &err);
}

static void step_done(step *s, int rc) {
    zk_walk *walk = s->walk;
    zk_op *op = walk->op;
    if (rc != ZOK && rc != ZNONODE && walk->rc == ZOK)
        walk->rc = rc;
    free(s);
    walk->waiting--;
    op->waiting--;
    zk_walk_more(walk);
}

static void entry_arrived(step *s, const char *value, int len, const struct Stat *stat) {
    zk_op *op = s->walk->op;
    bool below = op->request->kind == MW_READ_LIST && stat->numChildren > 0;
    if (s->what == NAME && zk_maybe_lock(stat)) {
        (void)add_step(s->walk, s->path, (step){.what = DOUBT});
        return;
    }
    if (s->what != NAME && zk_is_lock(value, len)) {
        if (stat->numChildren > 0)
            (void)add_step(s->walk, s->path, (step){.what = DECIDE, .stat = *stat});
        return;
    }
    show(op, s->path, value, len, stat);
    if (below && op->request)
        (void)add_step(s->walk, s->path, (step){.what = KIDS});
}

static void value_arrived(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    step *s = (step *)data;
    zk_op *op = s->walk->op;
    zk_heard(op->conn, rc);
    if (rc == ZOK)
        zk_saw(op->conn, stat);
    if (s->what == MEMBER)
        member_arrived(s, rc, value, len, stat);
    else if (rc == ZOK && op->request && s->what == SESSION)
        session_arrived(s, value, len, stat);
    else if (rc == ZOK && op->request)
        entry_arrived(s, value, len, stat);
    step_done(s, rc);
}

static void name_arrived(int rc, const struct Stat *stat, const void *data) {
    value_arrived(rc, NULL, 0, stat, data);
}

static void children_arrived(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    step *s = (step *)data;
    zk_op *op = s->walk->op;
    zk_heard(op->conn, rc);
    if (rc == ZOK && op->request)
        expand(s, names);
    /* The first step of `children`: the entry itself is missing. The root always exists. */
    if (rc == ZNONODE && s->what == KIDS && op->request && op->request->kind == MW_READ_CHILDREN &&
        op->request->path.len > 1)
        s->walk->missing = true;
    step_done(s, rc);
}

static int send_step(mw_conn *conn, step *s) {
    switch (s->what) {
    case KIDS:
    case DECIDE:
        return zk_send_children(conn, s->path, false, children_arrived, s);
    case NAME:
        return zk_send_exists(conn, s->path, false, name_arrived, s);
    default:
        return zk_send_get(conn, s->path, false, value_arrived, s);
    }
}

void zk_walk_more(zk_walk *walk) {
    zk_op *op = walk->op;
    mw_conn *conn = op->conn;
    while (walk->rc == ZOK && op->request && walk->waiting < ZK_READ_WINDOW) {
        zk_link *link = zk_list_pop(&walk->steps);
        if (!link)
            break;
        step *s = mw_container(link, step, link);
        int rc = send_step(conn, s);
        if (rc != ZOK) {
            walk->rc = rc;
            zk_list_push(&walk->steps, &s->link); /* zk_walk_free knows how to take it back */
            break;
        }
        walk->waiting++;
        op->waiting++;
    }
    if (walk->waiting == 0 && !walk->starting && op->request)
        finish(walk);
    else if (walk->waiting == 0 && !walk->starting)
        zk_op_release(op);
}

int zk_walk_start(zk_op *op) {
    zk_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return ZSYSTEMERROR;
    zk_list_init(&walk->steps);
    walk->op = op;
    op->walk = walk;
    char path[ZK_PATH_MAX];
    zk_path(op->conn, op->request->path, path);
    if (op->request->kind == MW_READ_SESSIONS)
        (void)snprintf(path, sizeof path, "%s" ZK_HIDDEN, op->conn->options.root);
    if (add_step(walk, path, (step){.what = KIDS}) != ZOK)
        return ZSYSTEMERROR;
    walk->starting = true;
    zk_walk_more(walk);
    walk->starting = false;
    return walk->rc;
}

void zk_walk_free(zk_walk *walk) {
    if (!walk)
        return;
    for (zk_link *link = zk_list_pop(&walk->steps); link; link = zk_list_pop(&walk->steps)) {
        step *s = mw_container(link, step, link);
        if (s->what == MEMBER && --s->queue->waiting == 0)
            gather_free(s->queue);
        free(s);
    }
    free(walk);
}
