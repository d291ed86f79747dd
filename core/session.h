/* The session's state machine: what the registry believes about its session, and who is told. */
#ifndef MW_SESSION_H
#define MW_SESSION_H

#include <moonwatch/registry.h>

#include "list.h"

/* A session that was ours: its leftovers may be ended. */
typedef struct mw__past_session {
    mw_session_id id;
    unsigned char secret[MW_SECRET_SIZE];
} mw__past_session;

typedef struct mw__telling mw__telling;

typedef struct mw__session {
    mw_state state;
    mw_session_info info; /* `server` is kept beside it */
    char server[256];
    mw_time confirmed; /* send time of the last renewal that the authority confirmed; 0 = none yet */
    mw_timer deadline;
    mw__past_session *past;
    size_t past_count;
    char reason[256];
    int status; /* of `reason` */

    mw__link listeners;
    uint64_t states;      /* entered so far */
    mw__telling *telling; /* the state that is being told; NULL = none */
    unsigned notifying;   /* depth of notification: removed listeners are freed when it is back to 0 */
    mw_defer greet;       /* delivers the first state to late listeners */
} mw__session;

void mw__session_init(mw_registry *registry);
void mw__session_release(mw_registry *registry);

static inline bool mw__session_connected(const mw__session *session) {
    return session->state == MW_CONNECTED || session->state == MW_RECONNECTED;
}

/* From the backend. */
void mw__session_opened(mw_registry *registry, const mw_session_info *info);
void mw__session_suspended(mw_registry *registry, const mw_error *why);
void mw__session_ended(mw_registry *registry, const mw_error *why);
void mw__session_confirmed(mw_registry *registry, mw_time sent_at);
void mw__session_closed(mw_registry *registry, const mw_error *why); /* NULL = by ourselves */

/* The secret of a session that was opened by this process or adopted; NULL for a stranger's. */
const unsigned char *mw__session_secret_of(const mw_registry *registry, mw_session_id id);

#endif
