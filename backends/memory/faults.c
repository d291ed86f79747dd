/* What can go wrong, on purpose and by the seed. The rest of the server asks here at the few places where it matters.
 */
#include "server.h"

#include <stdlib.h>

/* Far enough that no client can have seen a later token than the one that reported. */
#define RAISE 1000000

/* ---- Chance */

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
static uint64_t next_random(mw_memory_server *server) {
    uint64_t z = server->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

bool mwm_faults_chance(mw_memory_server *server, double probability) {
    return probability > 0 && (double)(next_random(server) >> 11) * 0x1p-53 < probability;
}

uint64_t mwm_faults_dice(mw_memory_server *server, uint64_t sides) {
    return sides > 1 ? next_random(server) % sides : 0;
}

static const mw_memory_faults *faults_of(const mwm_wire *wire) {
    return wire->faults.has_own ? &wire->faults.own : &wire->server->faults;
}

mw_time mwm_faults_latency(mwm_wire *wire) {
    const mw_memory_faults *faults = faults_of(wire);
    if (faults->latency_max <= faults->latency_min)
        return faults->latency_min;
    return faults->latency_min + mwm_faults_dice(wire->server, faults->latency_max - faults->latency_min + 1);
}

static bool take(bool *once) {
    bool was = *once;
    *once = false;
    return was;
}

bool mwm_faults_lose_request(mwm_wire *wire) {
    return take(&wire->faults.lose_request) || mwm_faults_chance(wire->server, faults_of(wire)->lose_request);
}

bool mwm_faults_lose_reply(mwm_wire *wire) {
    return take(&wire->faults.lose_reply) || mwm_faults_chance(wire->server, faults_of(wire)->lose_reply);
}

bool mwm_faults_forget(mwm_wire *wire) {
    return mwm_faults_chance(wire->server, faults_of(wire)->forget);
}

bool mwm_faults_weak(const mwm_wire *wire) {
    return faults_of(wire)->weak;
}

bool mwm_faults_refuse(const mwm_wire *wire) {
    mw_time now = mw_host_now(wire->server->host);
    return now < wire->server->down_until || now < wire->faults.refused_until;
}

/* ---- One connection, or all */

/* Start with NULL. */
static mwm_wire *next_wire(mw_memory_server *server, mw_session_id session, const mwm_wire *wire) {
    for (mwm_ring *ring = wire ? wire->in_server.next : server->wires.next; ring != &server->wires; ring = ring->next) {
        mwm_wire *one = mw_container(ring, mwm_wire, in_server);
        if (session == 0 || one->last_session == session)
            return one;
    }
    return NULL;
}

static int each_wire(mw_memory_server *server, mw_session_id session, void (*act)(mwm_wire *wire, const void *arg),
                     const void *arg) {
    int status = session ? MW_ENOT_FOUND : MW_OK;
    for (mwm_wire *wire = NULL; (wire = next_wire(server, session, wire));) {
        act(wire, arg);
        status = MW_OK;
    }
    return status;
}

static void set_faults(mwm_wire *wire, const void *arg) {
    wire->faults.has_own = arg != NULL;
    if (arg)
        wire->faults.own = *(const mw_memory_faults *)arg;
}

int mw_memory_set_faults(mw_memory_server *server, mw_session_id session, const mw_memory_faults *faults) {
    if (session)
        return each_wire(server, session, set_faults, faults);
    server->faults = faults ? *faults : (mw_memory_faults){0};
    return each_wire(server, 0, set_faults, NULL);
}

static void lose_request(mwm_wire *wire, const void *arg) {
    wire->faults.lose_request = true;
}

int mw_memory_lose_next_request(mw_memory_server *server, mw_session_id session) {
    return each_wire(server, session, lose_request, NULL);
}

static void lose_reply(mwm_wire *wire, const void *arg) {
    wire->faults.lose_reply = true;
}

int mw_memory_lose_next_reply(mw_memory_server *server, mw_session_id session) {
    return each_wire(server, session, lose_reply, NULL);
}

static void disconnect(mwm_wire *wire, const void *arg) {
    wire->faults.refused_until = mw_host_now(wire->server->host) + *(const mw_time *)arg;
    mwm_wire_cut(wire);
}

int mw_memory_disconnect(mw_memory_server *server, mw_session_id session, mw_time span) {
    return each_wire(server, session, disconnect, &span);
}

int mw_memory_expire(mw_memory_server *server, mw_session_id id) {
    mwm_session *session = id ? mwm_session_find(server, id) : NULL;
    if (id && !session)
        return MW_ENOT_FOUND;
    if (session)
        mwm_session_end(session);
    for (mwm_hook *hook; id == 0 && (hook = mwm_index_next(&server->sessions, NULL));)
        mwm_session_end(mw_container(hook, mwm_session, by_id));
    return MW_OK;
}

static void freeze(mwm_wire *wire, const void *arg) {
    wire->faults.frozen = *(const bool *)arg;
    mwm_pipe_hold(&wire->up, wire->faults.frozen);
}

/* Every session starts its timeout anew, `grace` from now. */
static void touch_all(mw_memory_server *server, mw_time grace) {
    for (mwm_hook *hook = NULL; (hook = mwm_index_next(&server->sessions, hook));)
        mwm_session_touch(mw_container(hook, mwm_session, by_id), grace);
}

int mw_memory_freeze(mw_memory_server *server, mw_session_id session, bool frozen) {
    if (session == 0) {
        server->frozen = frozen;
        touch_all(server, 0);
    }
    return each_wire(server, session, freeze, &frozen);
}

static void isolate(mwm_wire *wire, const void *arg) {
    bool isolated = *(const bool *)arg;
    if (wire->faults.isolated == isolated)
        return;
    wire->faults.isolated = isolated;
    wire->faults.replica = wire->server->store.revision;
    if (!isolated)
        mwm_wire_cut(wire);
    else if (wire->up.head)
        mwm_pipe_hold(&wire->up, true); /* what is under way may need the authority */
}

int mw_memory_isolate(mw_memory_server *server, mw_session_id session, bool isolated) {
    return each_wire(server, session, isolate, &isolated);
}

/* ---- The server as a whole */

void mw_memory_restart(mw_memory_server *server, mw_time down) {
    server->frozen = false;
    server->down_until = mw_host_now(server->host) + down;
    touch_all(server, down);
    for (mwm_wire *wire = NULL; (wire = next_wire(server, 0, wire));) {
        wire->faults.frozen = false;
        mwm_wire_cut(wire);
    }
}

void mw_memory_compact(mw_memory_server *server) {
    mwm_log_compact(&server->store);
}

int mw_memory_drop_lock(mw_memory_server *server, mw_str path) {
    mwm_queue *queue = mwm_queue_find(server, path);
    if (!queue)
        return MW_ENOT_FOUND;
    mwm_queue_drop(server, queue);
    return MW_OK;
}

/* States are shared with the copy: a new one. Without memory the entry stays as it was. */
static void count_as_changed(mwm_node *node, int64_t revision) {
    const mw_entry entry = mwm_state_entry(node->state);
    mwm_state *state = mwm_state_new(entry.path, entry.value);
    if (!state)
        return;
    state->version = entry.version;
    state->revision = revision;
    state->created = entry.created;
    state->owner = entry.owner;
    state->ctime = entry.ctime;
    state->mtime = entry.mtime;
    mwm_state_free(node->state);
    node->state = state;
}

/* Whoever saw newer states takes the older ones, since their revisions are newer still. */
void mwm_faults_went_back(mw_memory_server *server, int64_t seen) {
    (void)mw_memory_expire(server, 0);
    server->store.revision = seen + RAISE;
    for (mwm_node *node = server->store.root; (node = mwm_store_walk(server->store.root, node));)
        count_as_changed(node, server->store.revision);
    mwm_log_compact(&server->store);
}
