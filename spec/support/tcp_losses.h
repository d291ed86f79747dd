/* Which answers of a server are to be lost, and which request is to be held back, found by looking into the streams
 * that pass the proxy: the frames of ZooKeeper, the packets of MySQL. Nothing is changed, so streams of any other
 * protocol may pass. */
#ifndef SPEC_SUPPORT_TCP_LOSSES_H
#define SPEC_SUPPORT_TCP_LOSSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZOOKEEPER_GREETING 40 /* length, protocol, timeout, session, and its password of sixteen bytes */
#define ZOOKEEPER_ASKED 65536 /* requests of which the opcode is remembered, by xid */

/* The wishes, one for all connections, and what was learned on the way. */
typedef struct losses {
    long in; /* ZooKeeper: the reply that is so many replies ahead; 0 = none */
    int op, op_too;
    long hold_in; /* ZooKeeper: the request with `hold_op` that is so many of these ahead; 0 = none */
    int hold_op;
    char texts[128];                           /* MySQL: texts parted by '|', "" = none */
    unsigned char session[ZOOKEEPER_GREETING]; /* ZooKeeper: the last handshake */
} losses;

/* One direction of a connection: the frame at hand. */
typedef struct frames {
    unsigned char head[ZOOKEEPER_GREETING];
    size_t head_len, left;
    bool greeted;
} frames;

/* One connection; zero at its beginning. */
typedef struct talk {
    frames up, down;
    bool dropping;
    bool holds;     /* ZooKeeper: a request is held back, with all that follows it */
    size_t hold_at; /* and begins there in the bytes that were heard last; these may have brought its length before */
    bool muted;     /* MySQL: the answer to drop is on its way */
    int8_t ops[ZOOKEEPER_ASKED];
} talk;

typedef enum passage {
    PASS,
    SWALLOW, /* these bytes belong to an answer that is lost */
    CUT      /* and it ends here: so must the connection */
} passage;

passage talk_hears(talk *t, losses *l, bool down, const char *data, size_t len);

#endif
