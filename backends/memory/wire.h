/* What travels between a connection and its server, and how: two queues of messages, one per direction. */
#ifndef MOONWATCH_MEMORY_WIRE_H
#define MOONWATCH_MEMORY_WIRE_H

#include <moonwatch/backend.h>

#include "memory.h"
#include "store.h"

typedef enum mwm_kind {
    /* to the server */
    MWM_HELLO,   /* mwm_hello */
    MWM_RENEW,   /* number = when it was sent */
    MWM_BYE,     /* end the session */
    MWM_READ,    /* mwm_ask */
    MWM_WRITE,   /* mwm_writes */
    MWM_DECIDE,  /* what became of write `id`? */
    MWM_WATCH,   /* mwm_ask; number = the revision up to which the feed is complete, 0 = send a snapshot */
    MWM_UNWATCH, /* feed `id` */
    MWM_LOCK,    /* mwm_ask; number = the token that the client knows, 0 = none */
    MWM_UNLOCK,  /* ticket `id` */
    MWM_END,     /* mwm_hello: end that other session */

    /* to the client */
    MWM_WELCOME, /* mwm_hello */
    MWM_EXPIRED, /* the session is over */
    MWM_RENEWED, /* number = when the renewal was sent; status != 0: answered, but not by the authority */
    MWM_GOODBYE, /* answers MWM_BYE */
    MWM_RESULT,  /* one `state` that read `id` found */
    MWM_REPLY,   /* mwm_reply: the end of read or write `id`, or of MWM_END */
    MWM_BEGIN,   /* feed `id`: a snapshot starts */
    MWM_STATE,   /* feed `id`: `state` is so; number = complete up to this revision, 0 = no news */
    MWM_GONE,    /* feed `id`: the path of `state` is absent; `revision` since when; number as above */
    MWM_SYNCED,  /* feed `id`: the snapshot is complete; number = its revision */
    MWM_GRANTED, /* ticket `id`; number = token */
    MWM_ENDED,   /* ticket `id`; status */
    MWM_RESET    /* the server or the network cut the wire; always the last message */
} mwm_kind;

/* The head of every message; most are no more than this. */
typedef struct mwm_msg {
    struct mwm_msg *next;
    mw_time due; /* 0 = at once */
    mwm_kind kind;
    int status;
    uint64_t id; /* of the request, feed or ticket, as its connection numbers them */
    int64_t number;
    int64_t revision;
    mwm_state *state; /* one reference, or NULL */
} mwm_msg;

typedef struct mwm_hello {
    mwm_msg msg;
    mw_session_id session; /* 0 = a new one, please */
    unsigned char secret[MW_SECRET_SIZE];
    mw_time timeout;
    uint64_t registry; /* which registry this is; 0 = do not know yet */
    bool resumed;
    size_t name_len;
    char name[];
} mwm_hello;

typedef struct mwm_ask {
    mwm_msg msg;
    int what;  /* mw_request_kind or mw_depth */
    bool flag; /* fresh, try_only */
    mw_str path, value;
    char bytes[];
} mwm_ask;

typedef struct mwm_writes {
    mwm_msg msg;
    uint64_t oldest; /* the connection awaits no answer to any write before this one */
    size_t count;
    mw_write writes[]; /* followed by their bytes */
} mwm_writes;

typedef struct mwm_reply {
    mwm_msg msg;
    char detail[160]; /* "" = none */
    size_t failed;
    size_t count;
    mw_written written[];
} mwm_reply;

/* All of them NULL when out of memory. They copy what they are given. */
void *mwm_msg_new(mwm_kind kind, uint64_t id, size_t size);
mwm_hello *mwm_hello_new(mwm_kind kind, uint64_t id, mw_str name);
mwm_ask *mwm_ask_new(mwm_kind kind, uint64_t id, mw_str path, mw_str value);
mwm_writes *mwm_writes_new(uint64_t id, const mw_write *writes, size_t count);
mwm_reply *mwm_reply_new(uint64_t id, size_t count);
void mwm_reply_assign(mwm_reply *copy, const mwm_reply *reply); /* of the same count */
void mwm_msg_free(mwm_msg *msg);                                /* NULL and MWM_RESET are allowed */

/* ---- The wire */

typedef struct mwm_wire mwm_wire;

/* One direction: delivers from the loop of the host at its end, in order: whoever is due waits for those before. */
typedef struct mwm_pipe {
    mw_host *host;
    mw_defer soon;
    mw_timer later;
    mwm_msg *head, **tail;
    size_t count;
    bool held; /* its end does not listen: nothing is delivered, nothing is lost */
    mwm_wire *wire;
    void (*deliver)(mwm_wire *wire, mwm_msg *msg); /* borrowed */
} mwm_pipe;

/* What is wrong with this wire (faults.c). */
typedef struct mwm_wire_faults {
    mw_memory_faults own; /* when `has_own`, instead of the server's */
    bool has_own, lose_request, lose_reply;
    mw_time refused_until;
    bool frozen;
    bool isolated;
    bool replica_speaks; /* isolated: the answer at hand comes from the replica, and may pass */
    int64_t replica;     /* isolated: what it knows ends at this revision */
    int64_t floor;       /* weak: what was shown to this client already; it never reads what is older */
} mwm_wire_faults;

struct mwm_wire {
    bool open;
    mwm_pipe up, down;
    mwm_msg reset; /* needs no allocation, since running out of memory is what it reports, too */

    /* The server's side (server.h). */
    struct mw_memory_server *server;
    mwm_ring in_server;
    struct mwm_session *session;
    mw_session_id last_session; /* how specs name a wire: the session that it carries or carried */
    mwm_index subs;             /* feeds by id */
    uint64_t wakeups;
    mwm_wire_faults faults;
};

void mwm_pipe_init(mwm_pipe *pipe, mwm_wire *wire, mw_host *host, void (*deliver)(mwm_wire *wire, mwm_msg *msg));

/* Takes over `msg`. */
void mwm_pipe_send(mwm_pipe *pipe, mwm_msg *msg, mw_time latency);
void mwm_pipe_clear(mwm_pipe *pipe); /* what is under way is lost; timers and defers are stopped */
void mwm_pipe_hold(mwm_pipe *pipe, bool held);

#endif
