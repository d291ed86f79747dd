/* The connections that pass the proxy, and what holds them up on the way. One loop, one listener. */
#ifndef SPEC_SUPPORT_TCP_RELAY_H
#define SPEC_SUPPORT_TCP_RELAY_H

#include <uv.h>

#include "support/tcp_losses.h"

typedef struct link link;

/* Settings are set, and counts read, at any time; the rest is the relay's own. */
typedef struct relay {
    struct sockaddr_in target, here; /* `here` is complete once it listens */
    uint64_t delay, jitter, seed;    /* milliseconds; of the jitter */
    losses losses;
    char instead[480];     /* TEXT|OTHER, "" = nothing is asked instead */
    unsigned long silence; /* ms that the client of the last connection left bore; 0 = none was left since the fault */
    unsigned long accepted, open, up, down, dropped, resets, held;

    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_poll_t alarm; /* for the chunk that is due next; to the microsecond, where a timer of uv has milliseconds */
    int alarm_fd;
    link *links;
    bool frozen, refusing;
} relay;

/* Listen at `here`, for `target`; ends the program when it cannot. */
void relay_start(relay *r, uv_loop_t *loop);

/* End every connection with RST. */
void relay_reset(relay *r);

/* What is connected brings nothing more to its client; with `up` nothing to the server either. */
void relay_silence(relay *r, bool up);

/* Move no byte, accept and hold new connections; or go on, also with what was held back. */
void relay_freeze(relay *r, bool frozen);

/* Stop listening; or listen again. */
void relay_refuse(relay *r, bool refusing);

#endif
