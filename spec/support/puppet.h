/* A backend without a will of its own, for C specs: it keeps what the core asks of it, and the spec says what comes of
 * that and when. One connection, in virtual time. */
#ifndef SPEC_SUPPORT_PUPPET_H
#define SPEC_SUPPORT_PUPPET_H

#include <moonwatch/host_virtual.h>
#include <moonwatch/registry.h>

#define PUPPET_ROOM 16

typedef struct spec_puppet {
    mw_backend table;
    mw_world *world;
    mw_host *host;
    mw_registry *registry;
    const mw_conn_events *events;
    void *events_arg;
    mw_session_id session;             /* the last that began: owns what is written */
    mw_request *requests[PUPPET_ROOM]; /* under way, in order of submission */
    size_t request_count;
    mw_ticket *tickets[PUPPET_ROOM];
    size_t ticket_count;
    unsigned unlocks;
    size_t requests_at_unlock;                                    /* under way at the last one */
    mw_feed *feed;                                                /* the last that was started */
    void (*ended)(void *arg, int status, const mw_error *detail); /* of the last end_session */
    void *ended_arg;
    unsigned calls;         /* of any slot */
    unsigned given_up;      /* sessions: calls of `expire` */
    unsigned stray_cancels; /* of requests that are not under way */
    bool closing, closed;
    mw_time patience; /* that the backend was closed with */
} spec_puppet;

/* Open a registry on it (`name_space` may be NULL). Close it with puppet_close. */
void puppet_open(spec_puppet *puppet, const char *name_space);

/* A session of 10 s begins; `resumed` with the number that it had. */
void puppet_connect(spec_puppet *puppet, mw_session_id id, bool resumed);

/* The end of the oldest request under way, of the oldest ticket. `message` may be NULL. */
void puppet_answer(spec_puppet *puppet, int status, const char *message);
void puppet_end_ticket(spec_puppet *puppet, int status);

/* The oldest ticket is granted. */
void puppet_grant(spec_puppet *puppet, int64_t token);

/* The oldest request under way is of this kind; `write` is that of its first write, if it is one. */
void puppet_expect(const spec_puppet *puppet, mw_request_kind kind, mw_write_kind write);

/* A read's only row, before its answer. */
void puppet_row(spec_puppet *puppet, const char *path, mw_session_id owner);

/* Ask the registry to close, and run the world until the backend has been told. */
void puppet_begin_close(spec_puppet *puppet);

/* For mw_registry_close, with the puppet as `arg`. */
void puppet_note_closed(void *arg);

/* All that is under way ends, and then the connection, without a turn of the loop between them. */
void puppet_finish_close(spec_puppet *puppet);

/* What is left when the registry has closed: fails the case when something is still to run. */
void puppet_release(spec_puppet *puppet);

#endif
