/* The session as its client must see it: the client's own deadline, the states, and their listeners. */
#include "registry_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* The share of the session timeout that the client gives away, since its clock and the server's may differ in rate: it
 * must act as lost before the server lets anyone else in. */
#define DRIFT_DIVISOR 50

/* How many of our former sessions are remembered: older leftovers have gone with their timeouts long ago. */
#define PAST_SESSIONS 16u

struct mw_listener {
    mw__link link;
    mw_registry *registry;
    void (*changed)(void *arg, const mw_connection_event *event);
    void *arg;
    bool greeted;
    bool removed;
    uint64_t heard;            /* the number of the last state that it was told, or was added in */
    mw_connection_event first; /* the state when it was added */
    char first_reason[sizeof(((mw__session *)NULL)->reason)];
};

const char *mw_state_text(mw_state state) {
    static const char *const texts[] = {"connecting", "connected", "suspended", "reconnected", "lost", "closed"};
    return texts[state];
}

static mw_connection_event present(const mw__session *session) {
    bool live = session->state != MW_CONNECTING && session->state != MW_CLOSED;
    return (mw_connection_event){.state = session->state,
                                 .session = live ? session->info.id : 0,
                                 .timeout = live ? session->info.timeout : 0,
                                 .reason = session->reason,
                                 .status = session->status};
}

static void greet(mw_listener *listener) {
    if (listener->greeted || listener->removed)
        return;
    listener->greeted = true;
    listener->first.reason = listener->first_reason;
    listener->changed(listener->arg, &listener->first);
}

static void sweep_listeners(mw__session *session) {
    for (mw__link *at = session->listeners.next; at != &session->listeners;) {
        mw_listener *listener = mw_container(at, mw_listener, link);
        at = at->next;
        if (!listener->removed)
            continue;
        mw__list_remove(&listener->link);
        mw_registry *registry = listener->registry;
        free(listener);
        mw__registry_unref(registry);
    }
}

/* A state that is being told. A listener may bring about the next one, which is told before this call is over. */
struct mw__telling {
    uint64_t number;
    mw_connection_event event;
    mw__telling *outer; /* earlier ones that not everybody has heard yet */
};

static void tell(mw_listener *listener, const mw__telling *telling) {
    if (telling->outer)
        tell(listener, telling->outer);
    if (listener->removed || listener->heard >= telling->number)
        return;
    listener->heard = telling->number;
    listener->changed(listener->arg, &telling->event);
}

/* Each listener hears what it missed first; those added meanwhile start with the state of their addition. `telling`
 * NULL: that is all. */
static void notify(mw_registry *registry, const mw__telling *telling) {
    mw__session *session = &registry->session;
    mw__registry_ref(registry);
    session->notifying++;
    mw__link *last = session->listeners.prev;
    for (mw__link *at = session->listeners.next; at != &session->listeners; at = at->next) {
        mw_listener *listener = mw_container(at, mw_listener, link);
        greet(listener);
        if (telling)
            tell(listener, telling);
        if (at == last)
            break;
    }
    if (--session->notifying == 0)
        sweep_listeners(session);
    mw__registry_unref(registry);
}

static void notify_all(mw_registry *registry) {
    mw__session *session = &registry->session;
    char reason[sizeof session->reason];
    memcpy(reason, session->reason, sizeof reason);
    mw__telling telling = {.number = ++session->states, .event = present(session), .outer = session->telling};
    telling.event.reason = reason;
    mw__registry_ref(registry);
    session->telling = &telling;
    notify(registry, &telling);
    session->telling = telling.outer;
    mw__registry_unref(registry);
}

static void enter(mw_registry *registry, mw_state state, int status, const char *reason) {
    mw__session *session = &registry->session;
    session->state = state;
    session->status = status;
    (void)snprintf(session->reason, sizeof session->reason, "%s", reason ? reason : "");
    mw_log(registry->host, state == MW_LOST ? MW_LOG_WARN : MW_LOG_DEBUG, registry->backend->name, "%s%s%s",
           mw_state_text(state), session->reason[0] ? ": " : "", session->reason);
    notify_all(registry);
}

static mw_time own_timeout(const mw__session *session) {
    return session->info.timeout - session->info.timeout / DRIFT_DIVISOR;
}

static void arm_deadline(mw_registry *registry) {
    mw__session *session = &registry->session;
    mw_time end = session->confirmed + own_timeout(session), now = mw_host_now(registry->host);
    (void)mw_timer_start(registry->host, &session->deadline, end > now ? end - now : 0);
}

static void remember(mw_registry *registry, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE]) {
    mw__session *session = &registry->session;
    if (session->past_count == PAST_SESSIONS)
        memmove(session->past, session->past + 1, --session->past_count * sizeof *session->past);
    mw__past_session *past = realloc(session->past, (session->past_count + 1) * sizeof *past);
    if (!past) {
        mw_log(registry->host, MW_LOG_WARN, registry->backend->name,
               "out of memory: leftovers of session %llx will wait"
               " for its timeout",
               (unsigned long long)id);
        return;
    }
    session->past = past;
    past[session->past_count].id = id;
    memcpy(past[session->past_count++].secret, secret, MW_SECRET_SIZE);
}

static bool in_session(const mw__session *session) {
    return mw__session_connected(session) || session->state == MW_SUSPENDED;
}

/* The end of a session, whoever noticed it. Everything is made consistent before anyone is told. */
static void lose(mw_registry *registry, int status, const char *reason) {
    mw__session *session = &registry->session;
    assert(in_session(session));
    mw_timer_stop(registry->host, &session->deadline);
    session->confirmed = 0;
    mw__registry_ref(registry);
    mw__registrations_lost(registry);
    mw__locks_mark_lost(registry);
    enter(registry, MW_LOST, status, reason);
    mw_error why;
    (void)mw_fail(&why, status, "session %llx was lost: %s", (unsigned long long)session->info.id, reason);
    mw__locks_report_lost(registry, &why);
    mw__registry_unref(registry);
}

static void deadline_passed(mw_timer *timer) {
    mw_registry *registry = mw_container(timer, mw_registry, session.deadline);
    mw_registry_check_session(registry);
}

void mw_registry_check_session(mw_registry *registry) {
    mw__session *session = &registry->session;
    if (!in_session(session) || registry->closing)
        return;
    mw_time end = session->confirmed + own_timeout(session);
    if (mw_host_now(registry->host) < end) {
        if (!mw_timer_armed(&session->deadline))
            arm_deadline(registry);
        return;
    }
    registry->backend->expire(registry->conn);
    lose(registry, MW_ESESSION_LOST, "no renewal was confirmed within the session timeout");
}

static void greet_late(mw_defer *defer) {
    notify(mw_container(defer, mw_registry, session.greet), NULL);
}

void mw__session_init(mw_registry *registry) {
    mw__session *session = &registry->session;
    session->state = MW_CONNECTING;
    session->deadline.fire = deadline_passed;
    session->greet.run = greet_late;
    mw__list_init(&session->listeners);
}

void mw__session_release(mw_registry *registry) {
    mw__session *session = &registry->session;
    mw_timer_stop(registry->host, &session->deadline);
    mw_defer_cancel(registry->host, &session->greet);
    memset(session->info.secret, 0, sizeof session->info.secret);
    if (session->past)
        memset(session->past, 0, session->past_count * sizeof *session->past);
    free(session->past);
}

void mw__session_opened(mw_registry *registry, const mw_session_info *info) {
    mw__session *session = &registry->session;
    if (session->state == MW_LOST && info->id == session->info.id) {
        registry->backend->expire(registry->conn); /* what was declared lost stays lost */
        return;
    }
    if (in_session(session) && info->id == session->info.id) {
        mw_registry_check_session(registry); /* it came back too late: after a pause this is heard first */
        if (session->state == MW_LOST || registry->closing)
            return;
    }
    bool resumed = info->resumed && session->state == MW_SUSPENDED && info->id == session->info.id;
    if (in_session(session) && !resumed)
        lose(registry, MW_ESESSION_LOST, "the server gave us a new session");
    session->info = *info;
    (void)snprintf(session->server, sizeof session->server, "%.*s", MW_STR_FMT(info->server));
    session->info.server = (mw_str){0};
    if (!session->confirmed)
        session->confirmed = mw_host_now(registry->host);
    if (!resumed) {
        remember(registry, info->id, info->secret);
        mw__registrations_session(registry);
    }
    arm_deadline(registry);
    enter(registry, resumed ? MW_RECONNECTED : MW_CONNECTED, MW_OK, "");
}

void mw__session_suspended(mw_registry *registry, const mw_error *why) {
    if (mw__session_connected(&registry->session))
        enter(registry, MW_SUSPENDED, why && why->code ? why->code : MW_EDISCONNECTED,
              why ? why->message : "disconnected");
}

void mw__session_ended(mw_registry *registry, const mw_error *why) {
    if (in_session(&registry->session))
        lose(registry, MW_ESESSION_LOST, why ? why->message : "the server ended it");
}

/* The timer is not moved at each renewal: when it fires early, it looks at `confirmed` and is armed again. */
void mw__session_confirmed(mw_registry *registry, mw_time sent_at) {
    if (sent_at > registry->session.confirmed)
        registry->session.confirmed = sent_at;
}

void mw__session_closed(mw_registry *registry, const mw_error *why) {
    mw_timer_stop(registry->host, &registry->session.deadline);
    if (registry->session.state != MW_CLOSED)
        enter(registry, MW_CLOSED, why ? why->code : MW_OK, why ? why->message : "");
}

const unsigned char *mw__session_secret_of(const mw_registry *registry, mw_session_id id) {
    const mw__session *session = &registry->session;
    for (size_t i = 0; i < session->past_count; i++)
        if (session->past[i].id == id)
            return session->past[i].secret;
    return NULL;
}

mw_state mw_registry_state(const mw_registry *registry) {
    return registry->closing ? MW_CLOSED : registry->session.state;
}

mw_session_id mw_registry_session(const mw_registry *registry) {
    return in_session(&registry->session) ? registry->session.info.id : 0;
}

const char *mw_registry_server(const mw_registry *registry) {
    return in_session(&registry->session) ? registry->session.server : "";
}

mw_time mw_registry_deadline(const mw_registry *registry) {
    const mw__session *session = &registry->session;
    return in_session(session) ? session->confirmed + own_timeout(session) : 0;
}

int mw_registry_secret(const mw_registry *registry, unsigned char ret_secret[MW_SECRET_SIZE]) {
    if (!in_session(&registry->session))
        return MW_EDISCONNECTED;
    memcpy(ret_secret, registry->session.info.secret, MW_SECRET_SIZE);
    return MW_OK;
}

int mw_registry_adopt(mw_registry *registry, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE]) {
    remember(registry, id, secret);
    return mw__session_secret_of(registry, id) ? MW_OK : MW_ENO_MEMORY;
}

mw_listener *mw_listen(mw_registry *registry, void (*changed)(void *arg, const mw_connection_event *event), void *arg) {
    mw_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return NULL;
    mw__session *session = &registry->session;
    listener->registry = registry;
    listener->changed = changed;
    listener->arg = arg;
    listener->heard = session->states;
    listener->first = present(session);
    memcpy(listener->first_reason, session->reason, sizeof listener->first_reason);
    mw__list_append(&session->listeners, &listener->link);
    mw__registry_ref(registry);
    registry->handles++;
    mw_defer_run(registry->host, &session->greet);
    return listener;
}

void mw_unlisten(mw_listener *listener) {
    if (!listener || listener->removed)
        return;
    mw_registry *registry = listener->registry;
    listener->removed = true;
    registry->handles--;
    if (registry->session.notifying == 0)
        sweep_listeners(&registry->session);
}
