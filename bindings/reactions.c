/* Reactions of a subscription: its events as tasks, one after another for each path. */
#include "subscription.h"

#include <stdio.h>
#include <stdlib.h>

/* Reactions of one subscription that run at once; events for more paths wait. */
#define RUNNING_MAX 1024
/* Events started per turn of the loop. */
#define BATCH 64
/* A reaction that has set itself off so many times in a row is worth a line in the log. */
#define ECHOES 100

static int prepare_reaction(lua_State *L, mw_task *task) {
    const mw_note *note = task->arg;
    const mw_lua_subscription *sub = note->owner;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, sub->reaction_ref);
    mw__lua_push_event(L, &note->event);
    return 1;
}

static void describe_reaction(const mw_task *task, char *text, size_t size) {
    const mw_note *note = task->arg;
    (void)snprintf(text, size, "reaction to %s %.*s", mw_event_text(note->event.kind),
                   (int)(note->event.entry.path.len < 200 ? note->event.entry.path.len : 200),
                   note->event.entry.path.data);
}

static void reaction_ended(mw_task *task) {
    mw_note *note = task->arg;
    mw_lua_subscription *sub = note->owner;
    mw_lane *lane = note->lane;
    sub->running--;
    if (note->ended)
        *note->ended = true;
    if (lane) {
        lane->running = NULL;
        if (lane->first)
            mw__lua_lane_wait(&sub->lanes, lane);
        else
            mw__lua_lane_free(&sub->lanes, lane);
    }
    if (!sub->closed && (sub->lanes.wait_first || sub->lanes.first || sub->lanes.synced))
        mw__lua_process_ready(sub->process, &sub->run);
    free(note);
    mw__lua_subscription_unref(sub);
}

/* The running reaction has written what it reacts to. */
void mw__lua_note_echo(mw_task *task, mw_str path) {
    if (!task || task->ended != reaction_ended)
        return;
    const mw_note *note = task->arg;
    mw_lua_subscription *sub = note->owner;
    if (!mw_str_equal(note->event.entry.path, path))
        return;
    sub->echo = true;
    sub->echo_hash = mw__lua_path_hash(path);
}

static void notice_echo(mw_lua_subscription *sub, const mw_note *note) {
    if (!sub->echo && !sub->echoes)
        return;
    if (mw__lua_path_hash(note->event.entry.path) != sub->echo_hash)
        return;
    sub->echoes = sub->echo ? sub->echoes + 1 : 0;
    sub->echo = false;
    if (sub->echoes == ECHOES || (sub->echoes && sub->echoes % 10000 == 0))
        mw_log(sub->process->host, MW_LOG_WARN, "lua",
               "the reaction to %.*s writes what it reacts to, and has set itself off %zu times in a row",
               (int)(note->event.entry.path.len < 200 ? note->event.entry.path.len : 200), note->event.entry.path.data,
               sub->echoes);
}

/* Whether the reaction goes on: then it has to have a lane. The note is the task's from here on. */
static mw_task *start_reaction(mw_lua_subscription *sub, mw_note *note, mw_lane *lane) {
    bool ended = false;
    notice_echo(sub, note);
    mw_task *task = mw__lua_task_new(sub->process, NULL);
    if (!task) {
        mw_log(sub->process->host, MW_LOG_ERROR, "lua", "a reaction to %.*s could not start: %s",
               (int)(note->event.entry.path.len < 200 ? note->event.entry.path.len : 200), note->event.entry.path.data,
               sub->lua->closing ? "the engine is closing" : "no memory");
        free(note);
        return NULL;
    }
    note->owner = sub;
    note->lane = lane;
    note->ended = &ended;
    task->arg = note;
    task->prepare = prepare_reaction;
    task->describe = describe_reaction;
    task->ended = reaction_ended;
    sub->refs++;
    sub->running++;
    if (lane)
        lane->running = task;
    mw__lua_task_start(task);
    if (ended)
        return NULL;
    note->ended = NULL;
    return task;
}

/* A note from the front of the queue. */
static void dispatch(mw_lua_subscription *sub, mw_note *note) {
    mw_lanes *lanes = &sub->lanes;
    if (note->event.kind == MW_SYNCED) {
        if (lanes->wait_first && !lanes->synced) {
            lanes->synced = note;
            return;
        }
        mw__lua_subscription_synced(sub);
    }
    mw_lane *lane = mw__lua_lane_find(lanes, note->event.entry.path);
    if (!lane && sub->running < RUNNING_MAX) {
        mw_note *held = note;
        mw_task *task = start_reaction(sub, note, NULL);
        if (!task)
            return;
        lane = mw__lua_lane_new(lanes, held->event.entry.path);
        if (lane) {
            lane->running = task;
            held->lane = lane;
        }
        return;
    }
    if (!lane && !(lane = mw__lua_lane_new(lanes, note->event.entry.path))) {
        mw__lua_lanes_push(lanes, note); /* no memory: later */
        return;
    }
    mw__lua_lane_push(lanes, lane, note, sub->overlap != OVERLAP_QUEUE || mw__lua_lanes_full(lanes, sub->limit));
    if (!lane->running)
        mw__lua_lane_wait(lanes, lane);
    else if (sub->overlap == OVERLAP_CANCEL)
        mw__lua_task_cancel(lane->running);
}

/* The next of a lane that waits. */
static void dispatch_lane(mw_lua_subscription *sub, mw_lane *lane) {
    mw_note *note = mw__lua_lane_shift(&sub->lanes, lane);
    if (note)
        (void)start_reaction(sub, note, lane);
    else
        mw__lua_lane_free(&sub->lanes, lane);
}

static bool has_work(const mw_lua_subscription *sub) {
    const mw_lanes *lanes = &sub->lanes;
    return !sub->closed &&
           (lanes->first || (lanes->wait_first && sub->running < RUNNING_MAX) || (lanes->synced && !lanes->wait_first));
}

void mw__lua_reactions_run(mw_runnable *run) {
    mw_lua_subscription *sub = mw_container(run, mw_lua_subscription, run);
    mw_lanes *lanes = &sub->lanes;
    sub->refs++; /* a reaction may close it */
    for (int i = 0; i < BATCH && has_work(sub); i++) {
        if (i > 0) /* the scheduler has done it for the first */
            mw__lua_process_check(sub->process);
        if (sub->closed)
            break;
        if (lanes->wait_first && sub->running < RUNNING_MAX) {
            dispatch_lane(sub, mw__lua_lanes_next_waiting(lanes));
        } else if (lanes->synced && !lanes->wait_first) {
            mw_note *synced = lanes->synced;
            lanes->synced = NULL;
            dispatch(sub, synced);
        } else {
            dispatch(sub, mw__lua_lanes_shift(lanes));
        }
    }
    if (has_work(sub))
        mw__lua_process_ready(sub->process, &sub->run);
    mw__lua_subscription_unref(sub);
}
