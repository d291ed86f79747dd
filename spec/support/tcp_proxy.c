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

#include "support/tcp_relay.h"

typedef struct proxy {
    uv_loop_t loop;
    relay relay;
    uv_pipe_t input;
    uv_timer_t resetter;
    char line[512];
    size_t line_len;
} proxy;

static void resetter_fired(uv_timer_t *timer) {
    relay_reset(&((proxy *)timer->data)->relay);
}

static bool obey(proxy *p, const char *line) {
    char verb[32] = "";
    unsigned long a = 0, b = 0, c = 0;
    if (sscanf(line, "%31s %lu %lu %lu", verb, &a, &b, &c) < 1)
        return false;
    if (strcmp(verb, "delay") == 0) {
        p->relay.delay = a;
        p->relay.jitter = b;
    } else if (strcmp(verb, "freeze") == 0 || strcmp(verb, "thaw") == 0) {
        relay_freeze(&p->relay, *verb == 'f');
    } else if (strcmp(verb, "half-open") == 0 || strcmp(verb, "swallow") == 0) {
        relay_silence(&p->relay, *verb == 'h');
    } else if (strcmp(verb, "reset") == 0) {
        relay_reset(&p->relay);
    } else if (strcmp(verb, "reset-every") == 0) {
        if (a)
            uv_timer_start(&p->resetter, resetter_fired, a, a);
        else
            uv_timer_stop(&p->resetter);
    } else if (strcmp(verb, "refuse") == 0 || strcmp(verb, "accept") == 0) {
        relay_refuse(&p->relay, *verb == 'r');
    } else if (strcmp(verb, "drop-reply") == 0) {
        p->relay.losses.in = (long)a;
        p->relay.losses.op = (int)b;
        p->relay.losses.op_too = (int)c;
    } else if (strcmp(verb, "hold") == 0) {
        p->relay.losses.hold_in = (long)a;
        p->relay.losses.hold_op = (int)b;
    } else if (strcmp(verb, "ask-instead") == 0) {
        snprintf(p->relay.instead, sizeof p->relay.instead, "%s", line + strlen("ask-instead "));
    } else if (strcmp(verb, "drop-answer") == 0) {
        snprintf(p->relay.losses.texts, sizeof p->relay.losses.texts, "%s", line + strlen("drop-answer "));
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
        printf("ok accepted %lu open %lu bytes-up %lu bytes-down %lu dropped %lu resets %lu held %lu\n",
               p->relay.accepted, p->relay.open, p->relay.up, p->relay.down, p->relay.dropped, p->relay.resets,
               p->relay.held);
    else if (strncmp(line, "session", 7) == 0)
        print_session(&p->relay.losses);
    else if (strncmp(line, "silence", 7) == 0)
        printf("ok %lu\n", p->relay.silence);
    else
        printf("ok\n");
    fflush(stdout);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    *buf = uv_buf_init(malloc(512), 512);
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
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &p.relay.target);
    uv_ip4_addr("127.0.0.1", argc > 2 ? atoi(argv[2]) : 0, &p.relay.here);
    p.relay.seed = 0x9E3779B97F4A7C15u ^ (argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    relay_start(&p.relay, &p.loop);
    uv_pipe_init(&p.loop, &p.input, 0);
    uv_pipe_open(&p.input, 0);
    p.input.data = p.resetter.data = &p;
    uv_read_start((uv_stream_t *)&p.input, allocate, typed);
    uv_timer_init(&p.loop, &p.resetter);
    printf("%d\n", ntohs(p.relay.here.sin_port));
    fflush(stdout);
    return uv_run(&p.loop, UV_RUN_DEFAULT);
}
