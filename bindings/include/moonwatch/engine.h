/* The engine: configuration, registry and Lua scripts in one object, for C and C++ programs to embed.
 *
 *   mw_engine_new -> configure -> load scripts -> start -> call, on, ... -> close -> (closed) -> free
 *
 * It lives on one thread, in one of three ways: on a loop of its own that the program turns (`step`), on a libuv loop
 * of the program's, or beside a loop of another kind (`fd`, `timeout`, `step(engine, false)`). Nothing calls back
 * inline: `done` and listeners run from the loop. Strings passed in are copied; data passed to a callback is borrowed
 * until it returns. Functions return 0 or a negative MW_E* and fill `err`, which may be NULL.
 */
#ifndef MOONWATCH_ENGINE_H
#define MOONWATCH_ENGINE_H

#include <moonwatch/host_uv.h>
#include <moonwatch/registry.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

typedef struct mw_engine mw_engine;

/* Zero-initialise; append only. */
typedef struct mw_engine_config {
    struct uv_loop_s *loop; /* the program's; NULL = a loop of the engine's own */
    mw_log_sink log;        /* NULL = drop the log */
    void *log_arg;
    const char *scripts; /* where the Lua files of Moonwatch are; NULL = where they were installed */
} mw_engine_config;

/* Errors: MW_ENO_MEMORY, MW_EIO (the Lua files are not where they should be). `config` NULL = all defaults. */
int mw_engine_new(const mw_engine_config *config, mw_engine **ret_engine, mw_error *err);

/* Read application.yaml; before `start`. Without it: SQLite in ./moonwatch.db. MW_EINVALID with file:line:column. */
int mw_engine_configure(mw_engine *engine, const char *file, mw_error *err);

/* The end of something begun: MW_OK, or why not. */
typedef void mw_engine_done_fn(void *arg, int status, const mw_error *error);

/* Run a script in an environment of its own. `done` (may be NULL): its top level has ended, or has failed (MW_EINVALID
 * with file and line). What it spawned and subscribed lives on. Scripts loaded before `start` may choose the backend.
 */
int mw_engine_load(mw_engine *engine, const char *file, mw_engine_done_fn *done, void *arg, mw_error *err);

/* The same from memory; `name` stands for the file in messages. */
int mw_engine_load_text(mw_engine *engine, const char *name, mw_str text, mw_engine_done_fn *done, void *arg,
                        mw_error *err);

/* Run the configuration's scripts, choose the backend, open the registry. `done`: it is connected, or goes on to try
 * where its server does not answer within the configured `wait`; or what is wrong with a script or the backend. Once:
 * MW_EINVALID after that. */
int mw_engine_start(mw_engine *engine, mw_engine_done_fn *done, void *arg, mw_error *err);

/* ---- Calling scripts */

typedef enum mw_value_kind {
    MW_VALUE_NIL,
    MW_VALUE_BOOLEAN,
    MW_VALUE_INTEGER,
    MW_VALUE_NUMBER,
    MW_VALUE_STRING,
    MW_VALUE_JSON /* a table, as JSON text */
} mw_value_kind;

typedef struct mw_value {
    mw_value_kind kind;
    bool boolean;
    int64_t integer;
    double number;
    mw_str text; /* STRING, JSON */
} mw_value;

/* `values`: what the function returned. Not MW_OK: it raised (MW_EINTERNAL, or the error's own code), or there is no
 * such function (MW_ENOT_FOUND). */
typedef void mw_engine_answer_fn(void *arg, int status, const mw_error *error, const mw_value *values, size_t count);

/* Call a global function of a loaded script, as a task: it may wait. The script loaded last wins a name. MW_EINVALID:
 * `function` or `answer` is NULL, or `values` with a `count`. */
int mw_engine_call(mw_engine *engine, const char *function, const mw_value *values, size_t count,
                   mw_engine_answer_fn *answer, void *arg, mw_error *err);

/* ---- Listening */

typedef struct mw_engine_event {
    const char *type; /* "added", "updated", "removed", "synced" */
    mw_str path, value, previous;
    int64_t version, revision, created;
    mw_session_id owner;
} mw_engine_event;

typedef struct mw_engine_listener mw_engine_listener;

/* What mw.on does in scripts: `kind` "added", "updated", "removed", "synced" or "change"; `pattern` "/nodes/console/ *"
 * without the blank. Before `start` too. MW_EINVALID names the byte of a wrong pattern. */
int mw_engine_on(mw_engine *engine, const char *kind, const char *pattern,
                 void (*event)(void *arg, const mw_engine_event *event), void *arg, mw_engine_listener **ret_listener,
                 mw_error *err);

/* No event after this, and the listener is gone. NULL is allowed. Those that are left end with `close`. */
void mw_engine_off(mw_engine_listener *listener);

/* The registry, for the C functions of moonwatch/registry.h; NULL before it is open. Closed with the engine. */
mw_registry *mw_engine_registry(mw_engine *engine);

/* ---- Turning and closing */

mw_host *mw_engine_host(mw_engine *engine);

/* Own loop: one turn; `wait` = sleep until something happens. Returns whether anything is left to happen. */
bool mw_engine_step(mw_engine *engine, bool wait);

/* Own loop, beside a loop of another kind: a descriptor that is readable when `step(engine, false)` has something to
 * do, and the milliseconds after which to call it anyhow (-1 = never). */
int mw_engine_fd(mw_engine *engine);
int mw_engine_timeout(mw_engine *engine);

/* End all scripts, withdraw registrations, release locks, end the session, each within `patience`; then `closed` (may
 * be NULL) from the loop, and nothing after it. Once. */
void mw_engine_close(mw_engine *engine, mw_time patience, void (*closed)(void *arg), void *arg);

/* Release everything: after `closed`, and not from a callback. Also right after `new` where nothing was started. NULL
 * is allowed. */
void mw_engine_free(mw_engine *engine);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
