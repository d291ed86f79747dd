/* Bytes between two sockets: in order, each chunk when it is due. */
#include "support/tcp_relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

typedef struct chunk {
    struct chunk *next;
    uint64_t due; /* microseconds of the monotonic clock */
    size_t len;
    bool held; /* for as long as its connection holds something back */
    char data[];
} chunk;

/* One direction of a connection. */
typedef struct flow {
    link *link;
    uv_tcp_t *from, *to;
    chunk *first, **last;
    uint64_t latest; /* when the newest chunk is due: order is kept */
    bool swallow, down;
} flow;

struct link {
    link *next;
    relay *relay;
    uv_tcp_t client, server;
    flow up, down;
    talk talk;
    uint64_t told; /* when the client was last given bytes, in nanoseconds; 0 = never */
    bool left;     /* by its client */
    int closing, closed;
};

static uint64_t random_below(relay *r, uint64_t limit) {
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return limit ? r->seed % limit : 0;
}

/* ---- Closing */

static void forget(uv_handle_t *handle) {
    link *l = handle->data;
    if (++l->closed < 2)
        return;
    link **at = &l->relay->links;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    l->relay->open--;
    for (flow *f = &l->up; f; f = f == &l->up ? &l->down : NULL)
        for (chunk *c = f->first, *next; c; c = next) {
            next = c->next;
            free(c);
        }
    free(l);
}

static void end_link(link *l, bool rudely) {
    if (l->closing++)
        return;
    uv_tcp_t *both[] = {&l->client, &l->server};
    for (size_t i = 0; i < 2; i++)
        if (!rudely || uv_tcp_close_reset(both[i], forget) != 0)
            uv_close((uv_handle_t *)both[i], forget);
}

void relay_reset(relay *r) {
    r->resets++;
    for (link *l = r->links, *next; l; l = next) {
        next = l->next;
        end_link(l, true);
    }
}

/* ---- Moving bytes */

typedef struct writing {
    uv_write_t request;
    chunk *chunk;
} writing;

static void written(uv_write_t *request, int status) {
    writing *w = (writing *)request;
    free(w->chunk);
    free(w);
}

static void deliver(flow *f, chunk *c) {
    writing *w = malloc(sizeof *w);
    if (!w)
        abort();
    w->chunk = c;
    if (f->down)
        f->link->told = uv_hrtime();
    uv_buf_t buf = uv_buf_init(c->data, (unsigned)c->len);
    if (uv_write(&w->request, (uv_stream_t *)f->to, &buf, 1, written) != 0)
        written(&w->request, 0);
}

static bool waits(const flow *f) {
    return f->first && !f->link->closing && !(f->first->held && f->link->talk.holds);
}

static void flush(flow *f, uint64_t now) {
    while (waits(f) && f->first->due <= now && !f->link->relay->frozen) {
        chunk *c = f->first;
        f->first = c->next;
        if (!f->first)
            f->last = &f->first;
        deliver(f, c);
    }
}

static uint64_t now_us(void) {
    return uv_hrtime() / 1000;
}

static uint64_t sooner(const flow *f, uint64_t than) {
    return waits(f) && f->first->due < than ? f->first->due : than;
}

/* What is due goes on its way; then sleep until the next is. */
static void move_on(relay *r) {
    uint64_t now = now_us(), next = UINT64_MAX;
    for (link *l = r->links; l; l = l->next) {
        flush(&l->up, now);
        flush(&l->down, now);
        next = sooner(&l->up, sooner(&l->down, next));
    }
    struct itimerspec at = {{0, 0}, {0, 0}};
    if (next != UINT64_MAX && !r->frozen)
        at.it_value = (struct timespec){(time_t)(next / 1000000), (long)(next % 1000000 * 1000)};
    (void)timerfd_settime(r->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* To set it anew takes the alarm back. */
static void alarmed(uv_poll_t *alarm, int status, int events) {
    move_on(alarm->data);
}

/* The packet keeps its length. */
static void ask_instead(const relay *r, char *data, size_t len) {
    size_t text_len = strcspn(r->instead, "|"), other_len = strlen(r->instead) - text_len;
    for (size_t at = 0; text_len && at + other_len <= len; at++) {
        if (memcmp(data + at, r->instead, text_len) != 0)
            continue;
        memset(data + at, ' ', len - at);
        memcpy(data + at, r->instead + text_len + 1, other_len - 1);
        return;
    }
}

static void queue(flow *f, const char *data, size_t len, bool held) {
    relay *r = f->link->relay;
    if (len == 0)
        return;
    chunk *c = malloc(sizeof *c + len);
    if (!c)
        abort();
    uint64_t due = now_us() + r->delay * 1000 + random_below(r, r->jitter * 1000 + 1);
    f->latest = due > f->latest ? due : f->latest;
    *c = (chunk){.due = f->latest, .len = len, .held = held};
    memcpy(c->data, data, len);
    *f->last = c;
    f->last = &c->next;
}

static void take(flow *f, char *data, size_t len) {
    relay *r = f->link->relay;
    bool held = f->link->talk.holds;
    if (!f->down)
        ask_instead(r, data, len);
    *(f->down ? &r->down : &r->up) += len;
    passage how = talk_hears(&f->link->talk, &r->losses, f->down, data, len);
    if (how == CUT) {
        r->dropped++;
        end_link(f->link, true);
    }
    if (f->swallow || how != PASS)
        return;
    size_t passes = f->link->talk.holds && !held ? f->link->talk.hold_at : len;
    r->held += passes < len;
    queue(f, data, passes, false);
    queue(f, data + passes, len - passes, true);
    move_on(r);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    *buf = uv_buf_init(malloc(65536), 65536);
}

static void leave(link *l) {
    if (l->told && !l->left && !l->closing)
        l->relay->silence = (unsigned long)((uv_hrtime() - l->told) / 1000000);
    l->left = true;
}

static void arrived(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    link *l = stream->data;
    flow *f = stream == (uv_stream_t *)&l->client ? &l->up : &l->down;
    if (n > 0 && !l->closing)
        take(f, buf->base, (size_t)n);
    free(buf->base);
    if (n < 0 && f == &l->up)
        leave(l);
    if (n < 0 && !(f->swallow && l->up.swallow))
        end_link(l, n != UV_EOF);
}

/* ---- Connections */

static void flow_init(flow *f, link *l, uv_tcp_t *from, uv_tcp_t *to, bool down) {
    *f = (flow){.link = l, .from = from, .to = to, .down = down};
    f->last = &f->first;
}

static void reached(uv_connect_t *request, int status) {
    link *l = request->data;
    free(request);
    if (status != 0 || l->closing) {
        end_link(l, false);
        return;
    }
    uv_read_start((uv_stream_t *)&l->client, allocate, arrived);
    uv_read_start((uv_stream_t *)&l->server, allocate, arrived);
}

static void called(uv_stream_t *listener, int status) {
    relay *r = listener->data;
    link *l = calloc(1, sizeof *l);
    uv_connect_t *request = malloc(sizeof *request);
    if (status != 0 || !l || !request)
        abort();
    l->relay = r;
    l->next = r->links;
    r->links = l;
    r->accepted++;
    r->open++;
    uv_tcp_init(r->loop, &l->client);
    uv_tcp_init(r->loop, &l->server);
    l->client.data = l->server.data = l;
    flow_init(&l->up, l, &l->client, &l->server, false);
    flow_init(&l->down, l, &l->server, &l->client, true);
    if (uv_accept(listener, (uv_stream_t *)&l->client) != 0)
        abort();
    uv_tcp_nodelay(&l->client, 1);
    uv_tcp_nodelay(&l->server, 1);
    request->data = l;
    if (uv_tcp_connect(request, &l->server, (struct sockaddr *)&r->target, reached) != 0)
        end_link(l, false);
}

static void listen_here(relay *r) {
    int len = sizeof r->here;
    uv_tcp_init(r->loop, &r->listener);
    r->listener.data = r;
    if (uv_tcp_bind(&r->listener, (struct sockaddr *)&r->here, 0) != 0 ||
        uv_listen((uv_stream_t *)&r->listener, 128, called) != 0) {
        fprintf(stderr, "tcp_proxy: cannot listen\n");
        exit(EXIT_FAILURE);
    }
    uv_tcp_getsockname(&r->listener, (struct sockaddr *)&r->here, &len);
}

void relay_start(relay *r, uv_loop_t *loop) {
    r->loop = loop;
    listen_here(r);
    r->alarm.data = r;
    r->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    uv_poll_init(loop, &r->alarm, r->alarm_fd);
    uv_poll_start(&r->alarm, UV_READABLE, alarmed);
}

/* ---- Faults */

void relay_silence(relay *r, bool up) {
    r->silence = 0;
    for (link *l = r->links; l; l = l->next) {
        l->down.swallow = true;
        l->up.swallow |= up;
    }
}

void relay_freeze(relay *r, bool frozen) {
    r->frozen = frozen;
    for (link *l = r->links; l && !frozen; l = l->next)
        l->talk.holds = false;
    r->silence = frozen ? 0 : r->silence;
    move_on(r);
}

void relay_refuse(relay *r, bool refusing) {
    if (refusing && !r->refusing)
        uv_close((uv_handle_t *)&r->listener, NULL);
    else if (!refusing && r->refusing)
        listen_here(r);
    r->refusing = refusing;
}
