/* What the files of the Lua bindings share. Functions marked (longjmp) may raise a Lua error: call them from C
 * functions that Lua called, never from callbacks of the core. */
#ifndef MOONWATCH_BINDINGS_INTERNAL_H
#define MOONWATCH_BINDINGS_INTERNAL_H

#include <moonwatch/host_virtual.h>

#include "lua_module.h"

#include <lauxlib.h>

typedef struct mw_process mw_process;
typedef struct mw_await mw_await;
typedef struct mw_runnable mw_runnable;
typedef struct mw_lua_registry mw_lua_registry;
typedef struct mw_lua_world mw_lua_world;
typedef struct mw_lua_server mw_lua_server;

/* ---- Queues of things to run from the loop */

/* Embedded in what runs; zero = not queued. */
struct mw_runnable {
    void (*run)(mw_runnable *self);
    mw_runnable *next, *prev;
    struct mw_run_queue *queue; /* NULL = in none */
};

typedef struct mw_run_queue {
    mw_runnable *first, *last;
} mw_run_queue;

void mw__lua_queue_push(mw_run_queue *queue, mw_runnable *item); /* harmless when queued */
void mw__lua_queue_remove(mw_runnable *item);                    /* harmless when not */

/* One simulated or real process: a host, its tasks that are ready, its registries. A plain program has one, a virtual
 * world any number. */
struct mw_process {
    mw_lua *lua;
    mw_host *host;
    mw_lua_world *world; /* NULL: a real host */
    mw_run_queue urgent; /* `lost` and its like: run before any task goes on */
    mw_run_queue ready;
    mw_defer turn;
    mw_lua_registry *registries;
    mw_process *next;
    bool paused, killed;
    bool closing;  /* with its world: no registry opens */
    bool dropping; /* its tasks: none starts */
};

/* Queue on a process and see that its loop comes round. */
void mw__lua_process_ready(mw_process *process, mw_runnable *item);
void mw__lua_process_urgent(mw_process *process, mw_runnable *item);
void mw__lua_process_init(mw_process *process, mw_lua *lua, mw_host *host, mw_lua_world *world);
void mw__lua_process_release(mw_process *process);

/* Whether this is a forked child: nothing of the context is its own. */
bool mw__lua_forked(const mw_lua *lua);

/* Judge all sessions of the process by the clock, and run what that made urgent. Not from within a task. */
void mw__lua_process_check(mw_process *process);

/* ---- The context */

struct mw_lua {
    lua_State *main;
    lua_State *work; /* an anchored thread for protected work outside any task */
    mw_lua_config config;
    mw_process real; /* on config.host or an own libuv host; host NULL until needed */
    bool owns_host;
    mw_lua_world *world; /* the innermost open one: where plain code runs */
    mw_task *current;    /* whose Lua code is running */
    mw_task *tasks;      /* all that have not ended */
    mw_task *spare;      /* ended ones with a coroutine to use again */
    size_t spare_count, task_count;
    mw_process *processes;
    mw_lua_server *servers; /* on the real host */
    mw_await *awaits;       /* begun and not freed, so that nothing is lost when a Lua error passes over one */
    int pid;
    int looping; /* loops being run outside tasks */
    bool closing, closed;
    int duration_ref, size_ref; /* the parsers of texts, once set */
    mw_time spent, looked;      /* running time of the current task, and when the hook last looked */
    lua_Alloc alloc;            /* the state's own, while its memory is watched; NULL = it is not */
    void *alloc_arg;
    size_t used;              /* bytes, as `alloc` was asked for them */
    bool too_much;            /* used is over the limit, and the hook has not looked yet */
    mw_log_level log_level;   /* of the own sink */
    struct mw_closer *closer; /* NULL unless closing */
};

/* The context; raises when the state has none. (longjmp) */
mw_lua *mw__lua_context(lua_State *L);

/* Where code that is running now belongs: its task's process, else the world's, else the real one. (longjmp) */
mw_process *mw__lua_process_here(lua_State *L);
mw_process *mw__lua_process_real(lua_State *L);

/* ---- Waiting */

/* Something that is waited for. Whoever begins it embeds this, and adds it with mw__lua_await_begin. */
struct mw_await {
    mw_lua *lua;
    mw_task *task; /* who waits; NULL: outside any task, or nobody any more */
    bool done;
    bool dropped;
    int (*finish)(lua_State *L, mw_await *await); /* push the results, then mw__lua_await_free; may raise */
    void (*drop)(mw_await *await); /* nobody waits any more: take back what was begun; free it now or when that ends */
    void (*release)(mw_await *await); /* what it owns, before it is freed; NULL = nothing */
    mw_await *next, *prev;
    mw_await *link; /* among those who wait for the same */
};

/* Raises unless the running code may wait: call it before anything is begun. `what` names the function. (longjmp) */
void mw__lua_must_be_able_to_wait(lua_State *L, const char *what);

/* A zeroed await of `size` bytes that begins with the mw_await; NULL = no memory. */
void *mw__lua_await_new(mw_lua *lua, size_t size, int (*finish)(lua_State *, mw_await *), void (*drop)(mw_await *));
void mw__lua_await_free(mw_await *await);

/* It has come: whoever waits goes on from the loop. */
void mw__lua_await_done(mw_await *await);

/* Suspend the task, or outside run `process`'s loop, until it is done; then return finish's results. The last call of a
 * C function: `return mw__lua_wait(L, process, await)`. (longjmp) */
int mw__lua_wait(lua_State *L, mw_process *process, mw_await *await);

/* ---- Tasks */

typedef enum mw_task_state {
    MW_TASK_NEW,
    MW_TASK_RUNNING,
    MW_TASK_WAITING,
    MW_TASK_ENDING,
    MW_TASK_ENDED
} mw_task_state;
typedef enum mw_outcome { MW_OUTCOME_DONE, MW_OUTCOME_FAILED, MW_OUTCOME_CANCELLED } mw_outcome;

struct mw_task {
    mw_runnable run;
    mw_process *process;
    lua_State *co;
    int co_ref;
    mw_task *parent, *children, *next_sibling, *prev_sibling;
    mw_task *next, *prev; /* of all */
    mw_await *await;
    mw_await *joiners;
    mw_task_state state;
    mw_outcome outcome;
    bool cancelled;   /* asked to end */
    bool raise;       /* ... and has not been told yet */
    int overruns;     /* of its budget */
    bool stoppable;   /* by an interruption while it runs */
    char killed[160]; /* how it overran first */
    int nargs;
    int results; /* values on the coroutine's stack, kept for those who join */
    struct mw_task_handle *handle;
    int handle_ref;
    char name[40]; /* for the log, where the source says too little; "" = none */

    /* Push the function and its arguments, in the task's own coroutine; returns the number of arguments. NULL: they are
     * on the stack already. */
    int (*prepare)(lua_State *L, mw_task *task);
    void (*describe)(const mw_task *task, char *text, size_t size); /* for the log; NULL: by `name` */
    void (*ended)(mw_task *task); /* the last word of a task; the coroutine still has what it ended with */
    void *arg;
};

/* A task on `process` under `parent` (may be NULL), not queued. NULL = no memory, or the context is closing. */
mw_task *mw__lua_task_new(mw_process *process, mw_task *parent);

/* A task set aside for what must be told even when memory is short: taken beforehand (NULL = no memory), put to use in
 * place of mw__lua_task_new while tasks start, or given back (NULL is allowed). It counts only once it is in use. */
mw_task *mw__lua_task_reserve(mw_lua *lua);
void mw__lua_task_unreserve(mw_lua *lua, mw_task *task);
void mw__lua_task_use(mw_task *task, mw_process *process);

/* Whether tasks start on the process: neither it nor the context is about to end. */
bool mw__lua_tasks_start(const mw_process *process);

/* What must be below a function and its arguments on the coroutine's stack, where there is no `prepare`. */
void mw__lua_task_push_main(mw_task *task);

/* Run it now: from the loop only, not from a task. It may have ended when this returns: `ended` tells. */
void mw__lua_task_start(mw_task *task);
void mw__lua_task_cancel(mw_task *task);

/* The running task (may be NULL) writes `path`: notices a reaction that sets itself off. */
void mw__lua_note_echo(mw_task *task, mw_str path);

/* End it at once, closing what its coroutine left open. */
void mw__lua_task_drop(mw_task *task);

/* Protected work outside tasks: `work` runs with `arg` as a light userdata; a failure is logged as `what`. */
bool mw__lua_protected(mw_lua *lua, lua_CFunction work, void *arg, const char *what);

void mw__lua_task_open(lua_State *L); /* class and functions into the module on top */
void mw__lua_gate_open(lua_State *L);

/* A task or a registry has ended: see whether a close that is under way can go on. */
void mw__lua_closer_poke(mw_lua *lua);

/* Code is about to enter the coroutine / has left it. */
void mw__lua_budget_begin(mw_lua *lua);
void mw__lua_budget_install(lua_State *co, mw_lua *lua);

/* Count what the state allocates from now on, where there is a memory limit; and give it its own allocator back. */
void mw__lua_memory_watch(lua_State *L, mw_lua *lua);
void mw__lua_memory_unwatch(lua_State *L, mw_lua *lua);

/* ---- Errors */

/* luaL_error that says in its type that it does not return: compilers and analysers do not know it of luaL_error. */
_Noreturn void mw__lua_raise(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An error object. `path` may be empty, `backend` NULL. (longjmp) */
void mw__lua_push_error(lua_State *L, int status, const char *message, mw_str path, const char *backend);
/* nil, err; returns 2. (longjmp) */
int mw__lua_failure(lua_State *L, int status, const char *message, mw_str path, const char *backend);
/* The status of the error at `index`: that of an error object, else MW_EINTERNAL. Never raises. */
int mw__lua_error_status(lua_State *L, int index);
/* Its text on one line, cut to fit. Never raises. */
void mw__lua_error_text(lua_State *L, int index, char *text, size_t size);

/* Whether the value at `index` is an error object. Never raises. */
bool mw__lua_is_error(lua_State *L, int index);
/* A message handler: adds a short traceback to texts, leaves error objects alone. */
int mw__lua_traceback(lua_State *L);
void mw__lua_error_open(lua_State *L);

/* ---- Arguments */

/* All of these raise "bad argument 'NAME' to 'FUNCTION': ..." (longjmp) */
typedef struct mw_arg {
    lua_State *L;
    const char *function;
} mw_arg;

int mw__lua_bad_argument(lua_State *L, const char *function, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int mw__lua_wrong_type(lua_State *L, const char *function, const char *name, const char *expected, int index);
mw_str mw__lua_check_string(lua_State *L, int index, const char *function, const char *name);
mw_str mw__lua_check_path(lua_State *L, int index, const char *function, const char *name);
void mw__lua_check_function(lua_State *L, int index, const char *function, const char *name);
/* A count of seconds or a text. MW_FOREVER for math.huge. */
mw_time mw__lua_check_duration(lua_State *L, int index, const char *function, const char *name);
/* The userdata of class `tname` at 1, for methods. */
void *mw__lua_check_self(lua_State *L, const char *tname, const char *function);
/* The same for a userdata that holds one pointer: that pointer. At the end of a state userdata are finalised, and their
 * pointers cleared, before the tasks that still use them have ended. */
void *mw__lua_check_box(lua_State *L, const char *tname, const char *function);

typedef enum mw_option_kind {
    MW_OPTION_DURATION, /* mw_time */
    MW_OPTION_BOOLEAN,  /* bool */
    MW_OPTION_INTEGER,  /* lua_Integer */
    MW_OPTION_VERSION,  /* lua_Integer, 0 or more */
    MW_OPTION_SHARE,    /* double, 0 to 1 */
    MW_OPTION_STRING,   /* mw_str; anchored by the table */
    MW_OPTION_FUNCTION, /* int: stack index where it was pushed; 0 = absent. Grows the stack by one each */
    MW_OPTION_CHOICE    /* int: index into `choices` */
} mw_option_kind;

typedef struct mw_option_spec {
    const char *name;
    mw_option_kind kind;
    size_t offset;
    const char *const *choices;
} mw_option_spec;

/* Fill `out` from the table at `index` (nil and none: nothing). An unknown key raises, with the nearest known one. */
void mw__lua_check_options(lua_State *L, int index, const char *function, const mw_option_spec *specs, void *out);

/* A class: metatable `name` with `meta`, whose __index is the table of `methods`, or `index` with that table as its
 * upvalue. The methods are kept as `core.classes[name]` too, for Lua to add to. The module is on top. (longjmp) */
void mw__lua_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta, lua_CFunction index);

/* ---- Registries */

#define MW_CLASS_REGISTRY "moonwatch.Registry"
#define MW_CLASS_LOCK "moonwatch.Lock"
#define MW_CLASS_ELECTION "moonwatch.Election"
#define MW_CLASS_SUBSCRIPTION "moonwatch.Subscription"
#define MW_CLASS_REGISTRATION "moonwatch.Registration"
#define MW_CLASS_TXN "moonwatch.Txn"
#define MW_CLASS_TASK "moonwatch.Task"
#define MW_CLASS_ERROR "moonwatch.Error"
#define MW_CLASS_GATE "moonwatch.Gate"
#define MW_CLASS_WORLD "moonwatch.World"
#define MW_CLASS_HOST "moonwatch.Host"
#define MW_CLASS_SERVER "moonwatch.MemoryServer"

/* A subscription, lock ... of a registry: closed with it. */
typedef struct mw_member {
    mw_lua_registry *registry; /* NULL once closed */
    struct mw_member *next, *prev;
    void (*close)(struct mw_member *member);
    bool late; /* only once the registry has closed: a connection listener hears `closed` */
} mw_member;

/* Lives until its userdata is collected and the core has closed it. */
struct mw_lua_registry {
    mw_lua *lua;
    mw_process *process;
    mw_registry *registry; /* NULL once closed */
    mw_backend *trace;
    mw_member *members;
    mw_await *close_waiters;
    mw_lua_registry *next, *prev; /* of the process */
    size_t refs;
    bool closing, abandoned;
    char backend[32];
};

/* The registry at 1; never NULL, maybe closed. (longjmp) */
mw_lua_registry *mw__lua_check_registry(lua_State *L, const char *function);
void mw__lua_registry_ref(mw_lua_registry *registry);
void mw__lua_registry_unref(mw_lua_registry *registry);
/* Begin to close; `abandon` as a crash would. Harmless when closing. */
void mw__lua_registry_close(mw_lua_registry *registry, mw_time patience, bool abandon);
void mw__lua_member_add(mw_lua_registry *registry, mw_member *member, void (*close)(mw_member *));
void mw__lua_member_remove(mw_member *member);
/* nil, closed */
int mw__lua_closed(lua_State *L, const char *what);

void mw__lua_push_entry(lua_State *L, const mw_entry *entry, bool value);
/* More methods of Registry; the module is on top. (longjmp) */
void mw__lua_registry_methods(lua_State *L, const luaL_Reg *methods);

/* The classes and methods of each file; the module is on top. (longjmp) */
void mw__lua_backend_open(lua_State *L);
void mw__lua_connected_open(lua_State *L);
void mw__lua_operations_open(lua_State *L);
void mw__lua_txn_open(lua_State *L);
void mw__lua_subscription_open(lua_State *L);
void mw__lua_connection_open(lua_State *L);
void mw__lua_lock_open(lua_State *L);
void mw__lua_election_open(lua_State *L);
void mw__lua_registration_open(lua_State *L);
void mw__lua_registry_open(lua_State *L);
void mw__lua_identity_open(lua_State *L);
void mw__lua_world_open(lua_State *L);

/* Which lock guards, for a txn step: from a Lock or an Election at `index`; NULL when it is neither. (longjmp) */
const mw_lock *mw__lua_to_guard(lua_State *L, int index, bool *ret_is_guard);
const mw_lock *mw__lua_to_lock(lua_State *L, int index, bool *ret_is_lock);

/* One turn of the world; false = nothing left. */
bool mw__lua_world_step(mw_lua_world *world);
bool mw__lua_world_is_open(const mw_lua_world *world);
mw_process *mw__lua_world_main(lua_State *L, mw_lua_world *world);
/* The process of the host userdata at `index`, or NULL when it is none. */
mw_process *mw__lua_to_process(lua_State *L, int index);
/* The table of the memory server at `index`, and its world (NULL: on the real host); NULL when it is none. */
/* The server at 1; raises when its world is closed. (longjmp) */
struct mw_memory_server *mw__lua_check_server(lua_State *L, const char *function);
extern const luaL_Reg mw__lua_server_faults[];
const mw_backend *mw__lua_to_server(lua_State *L, int index, mw_lua_world **ret_world);
int mw__lua_host_spawn(lua_State *L); /* the method of hosts */

/* Memory servers; a list belongs to a world, or to the context for the real host. */
void mw__lua_server_open(lua_State *L);
/* A server on `host`, with the options at `index`; pushes it. (longjmp) */
int mw__lua_push_server(lua_State *L, int index, mw_host *host, mw_lua_world *world, mw_lua_server **list);
void mw__lua_servers_free(mw_lua_server **list);

/* All worlds of the context, at its end. */
void mw__lua_worlds_close(mw_lua *lua);

#endif
