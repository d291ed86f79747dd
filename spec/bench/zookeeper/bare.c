/* The C client in a poll loop. */
#include "bare.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

/* ---- The client in a poll loop */

void bare_step(bare *b, int wait_ms) {
    int fd = -1, interest = 0;
    struct timeval wait = {0};
    if (zookeeper_interest(b->zh, &fd, &interest, &wait) != ZOK || fd < 0)
        return;
    struct pollfd p = {
        fd, (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0)), 0};
    if (poll(&p, 1, wait_ms) <= 0)
        return;
    int events = (p.revents & POLLOUT ? ZOOKEEPER_WRITE : 0) | (p.revents & POLLIN ? ZOOKEEPER_READ : 0);
    while (zookeeper_process(b->zh, events) == ZOK && (events & ZOOKEEPER_READ))
        events = ZOOKEEPER_READ;
}

void bare_run(bare *b, bool (*done)(const bare *b)) {
    while (!done(b))
        bare_step(b, 1000);
}

static void bare_drop(const char *message) {}

static bool bare_connected(const bare *b) {
    return zoo_state(b->zh) == ZOO_CONNECTED_STATE;
}

bool bare_done(const bare *b) {
    return b->left == 0;
}

void bare_open(bare *b, const char *servers) {
    b->zh = zookeeper_init2(servers, NULL, 10000, NULL, b, ZOO_NO_LOG_CLIENTENV, bare_drop);
    zoo_set_servers_resolution_delay(b->zh, -1);
    bare_run(b, bare_connected);
}
