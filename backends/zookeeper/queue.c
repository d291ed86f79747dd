/* Locks: the queue of Apache Curator's InterProcessMutex. A member is an ephemeral sequential node; the one with the
 * lowest sequence holds the lock, and its czxid is the token. Create and list travel in one flight; a waiter watches
 * only the member before it. */
#include "zk.h"

#include <stdio.h>
#include <stdlib.h>

#include "queue_name.h"

#define ATTEMPTS 8

typedef enum hold_state {
    JOINING, /* the create is under way, or its fate is open */
    QUEUED,  /* our node exists */
    HELD,
    LEAVING, /* unlocked: the node is to be removed, once known */
} hold_state;

typedef struct hold {
    zk_link link;
    mw_conn *conn;
    mw_ticket *ticket; /* NULL: ended */
    hold_state state;
    unsigned waiting, attempts;
    bool in_doubt;       /* the reply to the create was lost */
    bool listing;        /* a list is under way */
    bool watched;        /* our own node, for its removal by others */
    bool looking;        /* `before` is read, and with it watched */
    bool next_one;       /* only `before` stood before us */
    int end_status;      /* LEAVING: what to report, */
    const char *end_why; /* and why, where something failed */
    int32_t seq;
    int64_t token;
    mw_time sent_at; /* of the create */
    char guid[ZK_GUID_SIZE];
    char *queue;  /* path of the lock on the server */
    char *node;   /* our node; NULL = not known */
    char *before; /* the node that we watch; NULL = none */
} hold;

static void join(hold *h);
static void list(hold *h);

static void hold_release(hold *h) {
    if (h->ticket || h->waiting > 0)
        return;
    zk_list_remove(&h->conn->holds, &h->link);
    free(h->queue);
    free(h->node);
    free(h->before);
    free(h);
}

static void end(hold *h, int status, const mw_error *why) {
    mw_ticket *ticket = h->ticket;
    h->ticket = NULL;
    h->waiting++;
    if (ticket) {
        ticket->backend[0] = NULL;
        ticket->ended(ticket, status, why);
    }
    h->waiting--;
    hold_release(h);
}

static void end_because(hold *h, int status, const char *text) {
    mw_error why;
    zk_fail(&why, status, "zookeeper: lock %.*s: %s", MW_STR_FMT(zk_unroot(h->conn, h->queue)), text);
    end(h, status, &why);
}

/* ---- Leaving */

static void end_left(hold *h) {
    if (h->end_why)
        end_because(h, h->end_status, h->end_why);
    else
        end(h, h->end_status, NULL);
}

static void left(int rc, const void *data) {
    hold *h = (hold *)data;
    zk_heard(h->conn, rc);
    h->waiting--;
    if (!h->ticket)
        hold_release(h);
    else if (rc == ZOK || rc == ZNONODE)
        end_left(h); /* gone, whoever removed it */
    else if (!zk_is_unanswered(rc))
        end_because(h, zk_status(rc), zk_text(rc));
    /* otherwise it was not carried out: again on the next connection */
}

static void unwatch(hold *h, const char *path) {
    (void)zoo_aremove_watches(h->conn->zh, path, ZWATCHTYPE_ANY, zk_watcher, h->conn, 1, NULL, NULL);
}

/* Or the client would set the watch again at each reconnect, as long as what it stands on lives. */
static void wait_no_more(hold *h) {
    char *before = h->before;
    if (!before || h->looking)
        return;
    h->before = NULL;
    bool another = false;
    for (zk_link *link = zk_list_first(&h->conn->holds); link && !another; link = zk_list_next(&h->conn->holds, link)) {
        const hold *other = mw_container(link, hold, link);
        another = other->before && strcmp(other->before, before) == 0;
    }
    if (!another && h->conn->zh)
        unwatch(h, before);
    free(before);
}

static void leave(hold *h, int status) {
    h->state = LEAVING;
    h->end_status = status;
    wait_no_more(h);
    if (!h->node || h->conn->phase != ZK_UP)
        return; /* when it is known; when the connection is back */
    if (zk_send_delete(h->conn, h->node, left, h) == ZOK)
        h->waiting++;
}

/* The attempt has failed. Our place must not keep others waiting. */
static void fail(hold *h, int rc) {
    h->end_why = zk_text(rc);
    leave(h, zk_status(rc));
}

/* ---- Standing in line */

static void grant(hold *h) {
    h->state = HELD;
    free(h->before);
    h->before = NULL;
    h->ticket->granted(h->ticket, h->token);
}

static void before_read(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    hold *h = (hold *)data;
    zk_heard(h->conn, rc);
    h->waiting--;
    h->looking = false;
    if (!h->ticket || h->state != QUEUED)
        wait_no_more(h);
    if (h->ticket && h->state == QUEUED && rc == ZNONODE)
        list(h);
    else if (h->ticket && h->state == QUEUED && rc != ZOK && !zk_is_unanswered(rc))
        fail(h, rc);
    else
        hold_release(h);
}

/* A get sets no watch on a node that is gone; an exists would, and nobody would ever fire it. */
static void watch_before(hold *h, const char *name) {
    char path[ZK_PATH_MAX];
    zk_join(h->queue, name, path);
    free(h->before);
    h->before = strdup(path);
    h->looking = h->before && zk_send_get(h->conn, path, true, before_read, h) == ZOK;
    h->waiting += h->looking;
    h->conn->stats.round_trips++;
}

typedef struct line {
    bool present;       /* our node is in it */
    const char *before; /* the member right before us */
    int32_t before_seq;
    size_t ahead;
} line;

static line read_line(const hold *h, const struct String_vector *names) {
    line l = {0};
    const char *own = strrchr(h->node, '/') + 1;
    for (int i = 0; i < names->count; i++) {
        int32_t seq = 0;
        if (!zk_queue_member(mw_str_of(names->data[i]), &seq))
            continue;
        l.present |= strcmp(names->data[i], own) == 0;
        if (zk_queue_compare(seq, h->seq) >= 0)
            continue;
        l.ahead++;
        if (!l.before || zk_queue_compare(seq, l.before_seq) > 0) {
            l.before = names->data[i];
            l.before_seq = seq;
        }
    }
    return l;
}

static void take_place(hold *h, const struct String_vector *names) {
    line l = read_line(h, names);
    if (!l.present) {
        wait_no_more(h);
        end_because(h, MW_EFENCED, "somebody removed our place in the queue");
    } else if (!l.before) {
        grant(h);
    } else if (h->ticket->try_only) {
        leave(h, MW_EBUSY);
    } else {
        h->next_one = l.ahead == 1;
        watch_before(h, l.before);
    }
}

/* The node that we created before the reply was lost; NULL when there is none. */
static const char *find_own(const hold *h, const struct String_vector *names) {
    for (int i = 0; i < names->count; i++)
        if (zk_queue_is(mw_str_of(names->data[i]), h->guid))
            return names->data[i];
    return NULL;
}

static void node_is(hold *h, const char *path) {
    char *copy = strdup(path);
    if (!copy)
        return;
    free(h->node);
    h->node = copy;
    (void)zk_queue_member(mw_str_of(strrchr(path, '/') + 1), &h->seq);
}

static void adopted(int rc, const struct Stat *stat, const void *data) {
    hold *h = (hold *)data;
    zk_heard(h->conn, rc);
    h->waiting--;
    if (zk_is_unanswered(rc)) {
        h->in_doubt = true;
        hold_release(h);
    } else if (rc != ZOK || zk_owner(stat) != h->conn->session.id) {
        free(h->node); /* not ours, or gone again */
        h->node = NULL;
        if (h->state == LEAVING)
            end_left(h);
        else
            join(h);
    } else if (h->state == LEAVING) {
        leave(h, h->end_status);
    } else {
        zk_saw(h->conn, stat);
        h->token = stat->czxid;
        h->state = QUEUED;
        list(h);
    }
}

static void settle_doubt(hold *h, const struct String_vector *names) {
    h->in_doubt = false;
    const char *own = find_own(h, names);
    if (!own) {
        if (h->state == LEAVING)
            end_left(h);
        else
            join(h);
        return;
    }
    char path[ZK_PATH_MAX];
    zk_join(h->queue, own, path);
    node_is(h, path);
    if (zk_send_exists(h->conn, path, false, adopted, h) == ZOK)
        h->waiting++;
}

static void listed(int rc, const struct String_vector *names, const struct Stat *stat, const void *data) {
    hold *h = (hold *)data;
    static const struct String_vector nobody = {0, NULL};
    zk_heard(h->conn, rc);
    h->waiting--;
    h->listing = false;
    if (zk_is_unanswered(rc) || !h->ticket) {
        hold_release(h);
    } else if (h->in_doubt && (rc == ZOK || rc == ZNONODE)) {
        settle_doubt(h, rc == ZOK ? names : &nobody);
    } else if (h->state == QUEUED && rc == ZOK) {
        take_place(h, names);
    } else if (h->state == QUEUED && rc == ZNONODE) {
        end_because(h, MW_EFENCED, zk_text(rc));
    } else if (h->state == QUEUED) {
        fail(h, rc);
    }
}

static void list(hold *h) {
    if (h->listing || h->conn->phase != ZK_UP)
        return;
    h->conn->stats.round_trips++;
    if (zk_send_children(h->conn, h->queue, false, listed, h) != ZOK)
        return;
    h->listing = true;
    h->waiting++;
}

/* ---- Joining */

static void room_made(void *data, int rc) {
    hold *h = data;
    h->waiting--;
    if (!h->ticket || zk_is_unanswered(rc))
        hold_release(h);
    else if (h->state == LEAVING)
        end_left(h);
    else if (rc != ZOK)
        end_because(h, zk_status(rc), zk_text(rc));
    else
        join(h);
}

/* The lock's own node is a container, as Curator makes it: the server removes it some time after its last member left.
 */
static void make_room(hold *h) {
    if (h->attempts++ < ATTEMPTS && zk_send_lock_node(h->conn, h->queue, room_made, h) == ZOK)
        h->waiting++;
    else
        end_because(h, MW_EIO, "its path cannot be created");
}

static void joined(int rc, const char *path, const struct Stat *stat, const void *data) {
    hold *h = (hold *)data;
    mw_conn *conn = h->conn;
    zk_heard(conn, rc);
    h->waiting--;
    if (zk_is_unanswered(rc)) {
        h->in_doubt = true;
        hold_release(h);
        return;
    }
    zk_session_confirm(conn, rc, h->sent_at);
    if (rc == ZOK) {
        zk_saw(conn, stat);
        node_is(h, path);
        h->token = stat->czxid;
        if (h->state == LEAVING)
            leave(h, h->end_status);
        else
            h->state = QUEUED; /* the list is right behind */
    } else if (h->state == LEAVING) {
        end_left(h);
    } else if (rc == ZNONODE) {
        make_room(h);
    } else {
        end_because(h, zk_status(rc), zk_text(rc));
    }
}

static void room_in_flight(void *data, int rc) {
    hold *h = data;
    h->waiting--;
    if (rc == ZOK)
        zk_parent_remember(h->conn, h->queue);
    hold_release(h); /* what went wrong, the create behind tells */
}

static void join(hold *h) {
    char path[ZK_PATH_MAX];
    h->state = JOINING;
    (void)snprintf(path, sizeof path, "%s%s_c_%s-lock-", h->queue, h->queue[1] ? "/" : "", h->guid);
    h->conn->stats.round_trips++;
    h->conn->stats.write_transactions++;
    h->sent_at = mw_host_now(h->conn->host);
    if (!zk_parent_known(h->conn, h->queue) && zk_send_lock_node(h->conn, h->queue, room_in_flight, h) == ZOK)
        h->waiting++;
    if (zk_send_create(h->conn, path, h->ticket->value, ZOO_EPHEMERAL_SEQUENTIAL, joined, h) != ZOK)
        return; /* the session is over: zk_holds_end */
    h->waiting++;
    if (zk_send_children(h->conn, h->queue, false, listed, h) != ZOK)
        return;
    h->listing = true;
    h->waiting++;
}

void zk_lock(mw_conn *conn, mw_ticket *ticket) {
    char path[ZK_PATH_MAX];
    unsigned char random[16];
    hold *h = calloc(1, sizeof *h);
    ticket->backend[0] = h;
    if (!h)
        return; /* nothing can be reported without memory; the core's timeout ends it */
    zk_path(conn, ticket->path, path);
    mw_host_random(conn->host, random, sizeof random);
    zk_queue_guid(random, h->guid);
    h->conn = conn;
    h->ticket = ticket;
    h->queue = strdup(path);
    zk_list_push(&conn->holds, &h->link);
    if (conn->phase == ZK_UP && h->queue)
        join(h);
}

void zk_unlock(mw_conn *conn, mw_ticket *ticket) {
    hold *h = ticket->backend[0];
    if (!h || h->state == LEAVING) {
        if (h) {
            h->end_status = MW_OK;
            h->end_why = NULL;
        }
        return;
    }
    leave(h, MW_OK);
}

const char *zk_hold_node(const mw_ticket *ticket) {
    const hold *h = ticket ? ticket->backend[0] : NULL;
    return h && h->state == HELD ? h->node : NULL;
}

/* ---- What happens to us */

static void own_read(int rc, const struct Stat *stat, const void *data) {
    hold *h = (hold *)data;
    zk_heard(h->conn, rc);
    h->waiting--;
    if (h->ticket && h->state == HELD && rc == ZNONODE) {
        end_because(h, MW_EFENCED, "the hold was taken away");
        return;
    }
    h->watched = rc == ZOK;
    hold_release(h);
}

/* Watch our own node once the hold has lasted a while: short ones cost nothing. */
static void watch_own(hold *h) {
    if (h->state != HELD || h->watched || zk_send_exists(h->conn, h->node, true, own_read, h) != ZOK)
        return;
    h->watched = true;
    h->waiting++;
}

void zk_holds_probe(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->holds); link; link = zk_list_next(&conn->holds, link))
        watch_own(mw_container(link, hold, link));
}

static bool concerns(hold *h, int type, const char *path) {
    if (!h->ticket)
        return false;
    if (h->state == QUEUED && h->before && strcmp(h->before, path) == 0)
        return type == ZOO_DELETED_EVENT;
    return h->state == HELD && h->watched && strcmp(h->node, path) == 0;
}

static void notice(hold *h) {
    if (h->state == HELD) {
        h->watched = false;
        watch_own(h);
        return;
    }
    h->conn->stats.wakeups++;
    if (h->next_one)
        grant(h);
    else
        list(h);
}

/* Two of ours may wait for one node: when the member between them was removed by an administrator. */
void zk_holds_event(mw_conn *conn, int type, const char *path) {
    for (zk_link *link = zk_list_first(&conn->holds), *next; link; link = next) {
        hold *h = mw_container(link, hold, link);
        h->waiting++; /* its callback may end the next one */
        if (concerns(h, type, path))
            notice(h);
        next = zk_list_next(&conn->holds, link);
        h->waiting--;
        hold_release(h);
    }
}

/* The same session on a new connection. */
static void resume(hold *h) {
    h->watched = h->listing = false;
    if (h->in_doubt) {
        (void)zk_session_barrier(h->conn);
        list(h);
    } else if (h->state == LEAVING && !h->node && h->waiting == 0) {
        end_left(h); /* nothing was ever sent */
    } else if (h->state == LEAVING) {
        leave(h, h->end_status);
    } else if (h->state == JOINING) {
        if (h->waiting == 0)
            join(h);
    } else if (h->state == QUEUED) {
        list(h);
    } else {
        watch_own(h);
    }
}

/* resume() looks again at all of them: the client need not set these watches again, in a packet that has its limit. */
void zk_holds_suspend(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->holds); link; link = zk_list_next(&conn->holds, link)) {
        hold *h = mw_container(link, hold, link);
        if (h->before)
            unwatch(h, h->before);
        if (h->node && h->watched)
            unwatch(h, h->node);
    }
}

void zk_holds_resume(mw_conn *conn) {
    for (zk_link *link = zk_list_first(&conn->holds), *next; link; link = next) {
        next = zk_list_next(&conn->holds, link);
        hold *h = mw_container(link, hold, link);
        if (h->ticket)
            resume(h);
    }
}

void zk_holds_end(mw_conn *conn, int status, const mw_error *why) {
    for (zk_link *link = zk_list_first(&conn->holds), *next; link; link = next) {
        hold *h = mw_container(link, hold, link);
        h->waiting++; /* its callback may end the next one */
        if (h->ticket)
            end(h, h->state == LEAVING ? h->end_status : status, h->state == LEAVING ? NULL : why);
        next = zk_list_next(&conn->holds, link);
        h->waiting--;
        hold_release(h);
    }
}
