/* The virtual world: seeded, discrete-event time for specs and simulation. Time stands still while code runs and jumps
 * to the next timer when nothing is left to do, so nothing ever sleeps and a run repeats exactly from its seed.
 *
 * A world holds any number of hosts, one per simulated process, on one thread. A host can be paused (SIGSTOP: its
 * timers and defers wait while the world's time goes on), resumed, and killed (SIGKILL: nothing of it ever runs again).
 */
#ifndef MOONWATCH_HOST_VIRTUAL_H
#define MOONWATCH_HOST_VIRTUAL_H

#include <moonwatch/host.h>
#include <moonwatch/host_uv.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

typedef struct mw_world mw_world;

int mw_world_new(uint64_t seed, mw_world **ret_world, mw_error *err);
void mw_world_free(mw_world *world); /* frees its hosts too; NULL is allowed */

/* A new process in the world. Its random stream is derived from the seed and its number. Lives until the world is
 * freed. */
int mw_world_host(mw_world *world, mw_log_sink sink, void *sink_arg, mw_host **ret_host, mw_error *err);

mw_time mw_world_now(const mw_world *world);

/* Run one event: the oldest defer, else jump to the earliest timer. False = nothing left to run (paused hosts apart).
 */
bool mw_world_step(mw_world *world);

/* Run all that is due within `span`, then set the clock to its end. */
void mw_world_advance(mw_world *world, mw_time span);

void mw_virtual_pause(mw_host *host);
void mw_virtual_resume(mw_host *host);
void mw_virtual_kill(mw_host *host);

/* Timers, defers and holds of a host that are still armed: a spec ends with zero. */
size_t mw_virtual_pending(const mw_host *host);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
