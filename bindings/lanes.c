/* Queues of events, by arrival and by path. */
#include "lanes.h"

#include <stdlib.h>

mw_note *mw__lua_note_new(const mw_event *event) {
    size_t path = event->entry.path.len, value = event->entry.value.len, previous = event->previous.len;
    mw_note *note = malloc(sizeof *note + path + value + previous);
    if (!note)
        return NULL;
    note->next = note->prev = NULL;
    note->owner = NULL;
    note->lane = NULL;
    note->ended = NULL;
    note->event = *event;
    char *at = note->bytes;
    if (path)
        memcpy(at, event->entry.path.data, path);
    if (value)
        memcpy(at + path, event->entry.value.data, value);
    if (previous)
        memcpy(at + path + value, event->previous.data, previous);
    note->event.entry.path.data = at;
    note->event.entry.value.data = at + path;
    note->event.previous.data = at + path + value;
    return note;
}

static void count_in(mw_lanes *lanes, const mw_note *note) {
    lanes->pending++;
    lanes->bytes += note->event.entry.path.len + note->event.entry.value.len + note->event.previous.len;
}

static void count_out(mw_lanes *lanes, const mw_note *note) {
    lanes->pending--;
    lanes->bytes -= note->event.entry.path.len + note->event.entry.value.len + note->event.previous.len;
}

bool mw__lua_lanes_full(const mw_lanes *lanes, size_t limit) {
    return lanes->pending >= limit || lanes->bytes >= MW_LANES_BYTES;
}

void mw__lua_lanes_push(mw_lanes *lanes, mw_note *note) {
    note->next = NULL;
    if (lanes->last)
        lanes->last->next = note;
    else
        lanes->first = note;
    lanes->last = note;
    lanes->queued++;
    count_in(lanes, note);
}

mw_note *mw__lua_lanes_shift(mw_lanes *lanes) {
    mw_note *note = lanes->first;
    if (!note)
        return NULL;
    lanes->first = note->next;
    if (!note->next)
        lanes->last = NULL;
    lanes->queued--;
    count_out(lanes, note);
    return note;
}

/* ---- The table of lanes */

/* FNV-1a. */
uint64_t mw__lua_path_hash(mw_str path) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < path.len; i++)
        hash = (hash ^ (unsigned char)path.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

mw_lane *mw__lua_lane_find(mw_lanes *lanes, mw_str path) {
    if (!lanes->lane_count)
        return NULL;
    uint64_t hash = mw__lua_path_hash(path);
    mw_lane *lane = lanes->table[hash & (lanes->table_size - 1)];
    while (lane && (lane->hash != hash || lane->path_len != path.len || memcmp(lane->path, path.data, path.len) != 0))
        lane = lane->next_hashed;
    return lane;
}

/* When there is no memory for a larger table, the old one goes on, slower. */
static bool make_room(mw_lanes *lanes) {
    if (lanes->lane_count < lanes->table_size)
        return true;
    size_t size = lanes->table_size ? 2 * lanes->table_size : 16;
    mw_lane **table = calloc(size, sizeof *table);
    if (!table)
        return lanes->table_size > 0;
    for (size_t i = 0; i < lanes->table_size; i++) {
        for (mw_lane *lane = lanes->table[i], *next; lane; lane = next) {
            next = lane->next_hashed;
            lane->next_hashed = table[lane->hash & (size - 1)];
            table[lane->hash & (size - 1)] = lane;
        }
    }
    free(lanes->table);
    lanes->table = table;
    lanes->table_size = size;
    return true;
}

mw_lane *mw__lua_lane_new(mw_lanes *lanes, mw_str path) {
    mw_lane *lane = make_room(lanes) ? calloc(1, sizeof *lane + path.len) : NULL;
    if (!lane)
        return NULL;
    lane->hash = mw__lua_path_hash(path);
    lane->path_len = path.len;
    memcpy(lane->path, path.data, path.len);
    mw_lane **slot = &lanes->table[lane->hash & (lanes->table_size - 1)];
    lane->next_hashed = *slot;
    *slot = lane;
    lanes->lane_count++;
    return lane;
}

void mw__lua_lane_free(mw_lanes *lanes, mw_lane *lane) {
    for (mw_note *note; (note = mw__lua_lane_shift(lanes, lane));)
        free(note);
    mw_lane **at = &lanes->table[lane->hash & (lanes->table_size - 1)];
    while (*at != lane)
        at = &(*at)->next_hashed;
    *at = lane->next_hashed;
    lanes->lane_count--;
    free(lane);
}

/* ---- Notes in a lane */

static void append(mw_lanes *lanes, mw_lane *lane, mw_note *note) {
    note->next = NULL;
    note->prev = lane->last;
    if (lane->last)
        lane->last->next = note;
    else
        lane->first = note;
    lane->last = note;
    count_in(lanes, note);
}

mw_note *mw__lua_lane_shift(mw_lanes *lanes, mw_lane *lane) {
    mw_note *note = lane->first;
    if (!note)
        return NULL;
    lane->first = note->next;
    if (note->next)
        note->next->prev = NULL;
    else
        lane->last = NULL;
    count_out(lanes, note);
    return note;
}

/* At once, however many there are: it happens at each event once the queue is full. */
static void drop_last(mw_lanes *lanes, mw_lane *lane) {
    mw_note *last = lane->last;
    lane->last = last->prev;
    if (lane->last)
        lane->last->next = NULL;
    else
        lane->first = NULL;
    count_out(lanes, last);
    free(last);
}

/* What the two say together, in place of the first; NULL = nothing (it came and went). False: they stay two. */
static bool merge_notes(const mw_event *old, const mw_event *new, mw_event *ret_event, bool *ret_nothing) {
    *ret_event = *new;
    *ret_nothing = false;
    if (old->kind == MW_ADDED && new->kind == MW_UPDATED) {
        ret_event->kind = MW_ADDED;
        ret_event->previous = (mw_str){0};
        return true;
    }
    if (old->kind == MW_ADDED && new->kind == MW_REMOVED) {
        *ret_nothing = true;
        return true;
    }
    if (old->kind == MW_UPDATED && new->kind == MW_UPDATED) {
        ret_event->previous = old->previous;
        return true;
    }
    if (old->kind == MW_UPDATED && new->kind == MW_REMOVED) {
        ret_event->entry.value = old->previous; /* the last one that this subscriber will have seen */
        return true;
    }
    return false;
}

void mw__lua_lane_push(mw_lanes *lanes, mw_lane *lane, mw_note *note, bool merge) {
    mw_event event;
    bool nothing = false;
    if (!merge || !lane->last || !merge_notes(&lane->last->event, &note->event, &event, &nothing)) {
        append(lanes, lane, note);
        return;
    }
    mw_note *merged = nothing ? NULL : mw__lua_note_new(&event);
    if (!merged && !nothing) { /* no memory to merge them: both are true as they stand */
        append(lanes, lane, note);
        return;
    }
    drop_last(lanes, lane);
    free(note);
    if (merged)
        append(lanes, lane, merged);
}

/* ---- Lanes that wait */

void mw__lua_lane_wait(mw_lanes *lanes, mw_lane *lane) {
    if (lane->waiting)
        return;
    lane->waiting = true;
    lane->next_waiting = NULL;
    if (lanes->wait_last)
        lanes->wait_last->next_waiting = lane;
    else
        lanes->wait_first = lane;
    lanes->wait_last = lane;
}

mw_lane *mw__lua_lanes_next_waiting(mw_lanes *lanes) {
    mw_lane *lane = lanes->wait_first;
    if (!lane)
        return NULL;
    lane->waiting = false;
    lanes->wait_first = lane->next_waiting;
    if (!lanes->wait_first)
        lanes->wait_last = NULL;
    return lane;
}

void mw__lua_lanes_spill(mw_lanes *lanes) {
    size_t count = lanes->queued;
    while (count-- > 0) {
        mw_note *note = mw__lua_lanes_shift(lanes);
        if (note->event.kind == MW_SYNCED && !lanes->synced) {
            lanes->synced = note;
            continue;
        }
        mw_lane *lane = mw__lua_lane_find(lanes, note->event.entry.path);
        if (!lane)
            lane = mw__lua_lane_new(lanes, note->event.entry.path);
        if (!lane) { /* no memory for lanes: it stays in the queue, in order, as all after it will */
            mw__lua_lanes_push(lanes, note);
            continue;
        }
        mw__lua_lane_push(lanes, lane, note, true);
        if (!lane->running)
            mw__lua_lane_wait(lanes, lane);
    }
}

void mw__lua_lanes_clear(mw_lanes *lanes) {
    for (mw_note *note; (note = mw__lua_lanes_shift(lanes));)
        free(note);
    free(lanes->synced);
    lanes->synced = NULL;
    while (mw__lua_lanes_next_waiting(lanes))
        continue;
    for (size_t i = 0; i < lanes->table_size; i++) {
        for (mw_lane *lane = lanes->table[i], *next; lane; lane = next) {
            next = lane->next_hashed;
            if (!lane->running) {
                mw__lua_lane_free(lanes, lane);
                continue;
            }
            for (mw_note *note; (note = mw__lua_lane_shift(lanes, lane));)
                free(note);
        }
    }
    if (lanes->lane_count == 0) {
        free(lanes->table);
        lanes->table = NULL;
        lanes->table_size = 0;
    }
}
