/* The libuv host, in the three ways an application can lend its thread. */
#ifndef MOONWATCH_HOST_UV_H
#define MOONWATCH_HOST_UV_H

#include <moonwatch/host.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

struct uv_loop_s;

/* Where log lines go. Called on any thread, one line at a time, without newline. */
typedef void (*mw_log_sink)(void *arg, mw_log_level level, const char *component, const char *line);

/* A host on `loop`, which the application owns and runs; NULL = a loop of the host's own. `sink` NULL = drop the log.
 * The calling thread is the host's thread from now on. Errors: MW_ENO_MEMORY, MW_EIO. */
int mw_uv_host_new(struct uv_loop_s *loop, mw_log_sink sink, void *sink_arg, mw_host **ret_host, mw_error *err);

/* Close the host's handles. On an own loop this runs the loop until they are closed; on the application's loop the
 * memory is released by the loop's next turns, and `host` is not to be used again. All timers and polls must be
 * stopped, no defer queued, all holds released (asserted). On an own loop not from a callback of it. NULL is allowed.
 */
void mw_uv_host_free(mw_host *host);

struct uv_loop_s *mw_uv_host_loop(mw_host *host);

/* Own loop: one turn. `wait` = sleep until something happens, but not when timers or defers ran in this turn. Returns
 * whether work remains. Not from a callback. */
bool mw_uv_host_step(mw_host *host, bool wait);

/* Own loop, for an application on a loop of another kind: a descriptor that is readable when `step(host, false)` has
 * something to do, and the milliseconds after which to call it anyhow (-1 = never). */
int mw_uv_host_fd(mw_host *host);
int mw_uv_host_timeout(mw_host *host);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
