/* A TCP proxy that misbehaves on command, between a client and a server on loopback.
 *
 *   tcp_proxy TARGET_PORT [LISTEN_PORT] [SEED]      LISTEN_PORT 0 (default): any; the first line on stdout is the port
 *
 * Commands, one a line on stdin; each is answered by one line "ok ..." on stdout. The end of stdin ends the proxy.
 *
 *   delay MS [JITTER]     hold back each chunk for MS plus up to JITTER (seeded), both ways, in order
 *   freeze | thaw         move no byte, accept and hold new connections
 *   half-open             let what is connected go silent for ever: bytes are swallowed, nothing is closed
 *   reset                 end every connection with RST
 *   reset-every MS        the same again and again; 0 = stop
 *   refuse | accept       stop and start listening
 *   swallow               swallow what the server sends from now on, on what is connected
 *   drop-reply N [OP [OP]]
 *                         ZooKeeper frames: swallow the Nth reply from now (to a request with one of the opcodes), then
 *                         reset that connection: the server has done it, the client will never be told
 *   hold N OP             ZooKeeper frames: hold back the Nth request from now with this opcode, and what its client
 *                         sends after it, until `thaw`
 *   drop-answer TEXT[|TEXT]
 *                         MySQL packets: forward the next bytes of a client in which a TEXT occurs, swallow the answer
 *                         to its end, then reset that connection: the server has done it, the client will never be told
 *   ask-instead TEXT|OTHER
 *                         MySQL packets: what a client sends that holds TEXT has OTHER from there on, and then blanks
 *   silence               "ok MS": how long a connection had brought no byte when its client left it, of the last that
 *                         was left since `freeze` or `half-open`; 0 = none was
 *   session               ZooKeeper frames: "ok ID PASSWORD", both in hexadecimal, of the last handshake
 *   stats                 "ok accepted A open O bytes-up U bytes-down D dropped N resets R held H"
 *
 * What looks into the stream changes nothing of it, so any protocol may pass. */
#include <uv.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#include "support/tcp_losses.h"

typedef struct proxy proxy;
typedef struct link link;

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
    proxy *proxy;
    uv_tcp_t client, server;
    flow up, down;
    talk talk;
    uint64_t told; /* when the client was last given bytes, in nanoseconds; 0 = never */
    bool left;     /* by its client */
    int closing, closed;
};

struct proxy {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_pipe_t input;
    uv_timer_t resetter;
    uv_poll_t alarm; /* for the chunk that is due next; to the microsecond, where a timer of uv has milliseconds */
    int alarm_fd;
    struct sockaddr_in target, here;
    link *links;
    uint64_t delay, jitter, seed;
    bool frozen, refusing;
    losses losses;
    char instead[480];     /* TEXT|OTHER, "" = nothing is asked instead */
    unsigned long silence; /* ms that the client of the last connection left bore; 0 = none was left since the fault */
    unsigned long accepted, open, up, down, dropped, resets, held;
    char line[512];
    size_t line_len;
};

static uint64_t random_below(proxy *p, uint64_t limit) {
    p->seed ^= p->seed << 13;
    p->seed ^= p->seed >> 7;
    p->seed ^= p->seed << 17;
    return limit ? p->seed % limit : 0;
}

/* ---- Closing */

static void forget(uv_handle_t *handle) {
    link *l = handle->data;
    if (++l->closed < 2)
        return;
    link **at = &l->proxy->links;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    l->proxy->open--;
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

static void reset_all(proxy *p) {
    p->resets++;
    for (link *l = p->links, *next; l; l = next) {
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
    while (waits(f) && f->first->due <= now && !f->link->proxy->frozen) {
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
static void move_on(proxy *p) {
    uint64_t now = now_us(), next = UINT64_MAX;
    for (link *l = p->links; l; l = l->next) {
        flush(&l->up, now);
        flush(&l->down, now);
        next = sooner(&l->up, sooner(&l->down, next));
    }
    struct itimerspec at = {{0, 0}, {0, 0}};
    if (next != UINT64_MAX && !p->frozen)
        at.it_value = (struct timespec){(time_t)(next / 1000000), (long)(next % 1000000 * 1000)};
    (void)timerfd_settime(p->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* To set it anew takes the alarm back. */
static void alarmed(uv_poll_t *alarm, int status, int events) {
    move_on(alarm->data);
}

/* The packet keeps its length. */
static void ask_instead(const proxy *p, char *data, size_t len) {
    size_t text_len = strcspn(p->instead, "|"), other_len = strlen(p->instead) - text_len;
    for (size_t at = 0; text_len && at + other_len <= len; at++) {
        if (memcmp(data + at, p->instead, text_len) != 0)
            continue;
        memset(data + at, ' ', len - at);
        memcpy(data + at, p->instead + text_len + 1, other_len - 1);
        return;
    }
}

static void queue(flow *f, const char *data, size_t len, bool held) {
    proxy *p = f->link->proxy;
    if (len == 0)
        return;
    chunk *c = malloc(sizeof *c + len);
    if (!c)
        abort();
    uint64_t due = now_us() + p->delay * 1000 + random_below(p, p->jitter * 1000 + 1);
    f->latest = due > f->latest ? due : f->latest;
    *c = (chunk){.due = f->latest, .len = len, .held = held};
    memcpy(c->data, data, len);
    *f->last = c;
    f->last = &c->next;
}

static void take(flow *f, char *data, size_t len) {
    proxy *p = f->link->proxy;
    bool held = f->link->talk.holds;
    if (!f->down)
        ask_instead(p, data, len);
    *(f->down ? &p->down : &p->up) += len;
    passage how = talk_hears(&f->link->talk, &p->losses, f->down, data, len);
    if (how == CUT) {
        p->dropped++;
        end_link(f->link, true);
    }
    if (f->swallow || how != PASS)
        return;
    size_t passes = f->link->talk.holds && !held ? f->link->talk.hold_at : len;
    p->held += passes < len;
    queue(f, data, passes, false);
    queue(f, data + passes, len - passes, true);
    move_on(p);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    *buf = uv_buf_init(malloc(65536), 65536);
}

static void leave(link *l) {
    if (l->told && !l->left && !l->closing)
        l->proxy->silence = (unsigned long)((uv_hrtime() - l->told) / 1000000);
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
    proxy *p = listener->data;
    link *l = calloc(1, sizeof *l);
    uv_connect_t *request = malloc(sizeof *request);
    if (status != 0 || !l || !request)
        abort();
    l->proxy = p;
    l->next = p->links;
    p->links = l;
    p->accepted++;
    p->open++;
    uv_tcp_init(&p->loop, &l->client);
    uv_tcp_init(&p->loop, &l->server);
    l->client.data = l->server.data = l;
    flow_init(&l->up, l, &l->client, &l->server, false);
    flow_init(&l->down, l, &l->server, &l->client, true);
    if (uv_accept(listener, (uv_stream_t *)&l->client) != 0)
        abort();
    uv_tcp_nodelay(&l->client, 1);
    uv_tcp_nodelay(&l->server, 1);
    request->data = l;
    if (uv_tcp_connect(request, &l->server, (struct sockaddr *)&p->target, reached) != 0)
        end_link(l, false);
}

static void listen_here(proxy *p) {
    int len = sizeof p->here;
    uv_tcp_init(&p->loop, &p->listener);
    p->listener.data = p;
    if (uv_tcp_bind(&p->listener, (struct sockaddr *)&p->here, 0) != 0 ||
        uv_listen((uv_stream_t *)&p->listener, 128, called) != 0) {
        fprintf(stderr, "tcp_proxy: cannot listen\n");
        exit(EXIT_FAILURE);
    }
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&p->here, &len);
}

/* ---- Commands */

static void resetter_fired(uv_timer_t *timer) {
    reset_all(timer->data);
}

static void silence(proxy *p, bool up) {
    p->silence = 0;
    for (link *l = p->links; l; l = l->next) {
        l->down.swallow = true;
        l->up.swallow |= up;
    }
}

static void freeze(proxy *p, bool frozen) {
    p->frozen = frozen;
    for (link *l = p->links; l && !frozen; l = l->next)
        l->talk.holds = false;
    p->silence = frozen ? 0 : p->silence;
    move_on(p);
}

static void refuse(proxy *p, bool refusing) {
    if (refusing && !p->refusing)
        uv_close((uv_handle_t *)&p->listener, NULL);
    else if (!refusing && p->refusing)
        listen_here(p);
    p->refusing = refusing;
}

static bool obey(proxy *p, const char *line) {
    char verb[32] = "";
    unsigned long a = 0, b = 0, c = 0;
    if (sscanf(line, "%31s %lu %lu %lu", verb, &a, &b, &c) < 1)
        return false;
    if (strcmp(verb, "delay") == 0) {
        p->delay = a;
        p->jitter = b;
    } else if (strcmp(verb, "freeze") == 0 || strcmp(verb, "thaw") == 0) {
        freeze(p, *verb == 'f');
    } else if (strcmp(verb, "half-open") == 0 || strcmp(verb, "swallow") == 0) {
        silence(p, *verb == 'h');
    } else if (strcmp(verb, "reset") == 0) {
        reset_all(p);
    } else if (strcmp(verb, "reset-every") == 0) {
        if (a)
            uv_timer_start(&p->resetter, resetter_fired, a, a);
        else
            uv_timer_stop(&p->resetter);
    } else if (strcmp(verb, "refuse") == 0 || strcmp(verb, "accept") == 0) {
        refuse(p, *verb == 'r');
    } else if (strcmp(verb, "drop-reply") == 0) {
        p->losses.in = (long)a;
        p->losses.op = (int)b;
        p->losses.op_too = (int)c;
    } else if (strcmp(verb, "hold") == 0) {
        p->losses.hold_in = (long)a;
        p->losses.hold_op = (int)b;
    } else if (strcmp(verb, "ask-instead") == 0) {
        snprintf(p->instead, sizeof p->instead, "%s", line + strlen("ask-instead "));
    } else if (strcmp(verb, "drop-answer") == 0) {
        snprintf(p->losses.texts, sizeof p->losses.texts, "%s", line + strlen("drop-answer "));
    } else if (strcmp(verb, "stats") != 0 && strcmp(verb, "session") != 0 && strcmp(verb, "silence") != 0) {
        return false;
    }
    return true;
}

static void print_session(const losses *l) {
    printf("ok ");
    for (size_t i = 12; i < ZOOKEEPER_GREETING; i++)
        if (i < 20 || i >= 24)
            printf("%s%02x", i == 24 ? " " : "", l->session[i]);
    printf("\n");
}

static void command(proxy *p, const char *line) {
    if (!obey(p, line))
        printf("error %s\n", line);
    else if (strncmp(line, "stats", 5) == 0)
        printf("ok accepted %lu open %lu bytes-up %lu bytes-down %lu dropped %lu resets %lu held %lu\n", p->accepted,
               p->open, p->up, p->down, p->dropped, p->resets, p->held);
    else if (strncmp(line, "session", 7) == 0)
        print_session(&p->losses);
    else if (strncmp(line, "silence", 7) == 0)
        printf("ok %lu\n", p->silence);
    else
        printf("ok\n");
    fflush(stdout);
}

static void typed(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    proxy *p = stream->data;
    for (ssize_t i = 0; i < n; i++) {
        if (buf->base[i] != '\n') {
            if (p->line_len + 1 < sizeof p->line)
                p->line[p->line_len++] = buf->base[i];
            continue;
        }
        p->line[p->line_len] = 0;
        p->line_len = 0;
        command(p, p->line);
    }
    free(buf->base);
    if (n < 0)
        exit(EXIT_SUCCESS); /* whoever started us is gone */
}

int main(int argc, char **argv) {
    static proxy p;
    if (argc < 2) {
        fprintf(stderr, "usage: tcp_proxy TARGET_PORT [LISTEN_PORT] [SEED]\n");
        return EXIT_FAILURE;
    }
    uv_loop_init(&p.loop);
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &p.target);
    uv_ip4_addr("127.0.0.1", argc > 2 ? atoi(argv[2]) : 0, &p.here);
    p.seed = 0x9E3779B97F4A7C15u ^ (argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    listen_here(&p);
    uv_pipe_init(&p.loop, &p.input, 0);
    uv_pipe_open(&p.input, 0);
    p.input.data = p.alarm.data = p.resetter.data = &p;
    uv_read_start((uv_stream_t *)&p.input, allocate, typed);
    uv_timer_init(&p.loop, &p.resetter);
    p.alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    uv_poll_init(&p.loop, &p.alarm, p.alarm_fd);
    uv_poll_start(&p.alarm, UV_READABLE, alarmed);
    printf("%d\n", ntohs(p.here.sin_port));
    fflush(stdout);
    return uv_run(&p.loop, UV_RUN_DEFAULT);
}
