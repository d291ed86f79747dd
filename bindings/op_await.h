/* An operation that somebody waits for: what the core reports is copied, and turned into Lua values by whoever waited,
 * in its own coroutine. */
#ifndef MOONWATCH_BINDINGS_OP_AWAIT_H
#define MOONWATCH_BINDINGS_OP_AWAIT_H

#include "internal.h"

typedef struct op_await op_await;

struct op_await {
    mw_await await;
    mw_lua_registry *registry;                 /* counted */
    mw_op *op;                                 /* NULL when it is over */
    int (*push)(lua_State *L, op_await *self); /* the results of a success, onto the stack of the call */
    int status;
    char *message; /* of a failure */
    mw_entry *entries;
    size_t entry_count;
    mw_written *written;
    mw_written single;
    size_t written_count, failed_write;
    int64_t revision;
    bool step_failed;                                  /* txn: failed_write tells which step */
    void (*push_step_path)(lua_State *L, size_t step); /* of a txn: a string, or nil */
};

/* Options of all operations; mw__lua_call_options has their defaults. */
typedef struct call_options {
    mw_time timeout;
    bool fail_fast, fresh, ephemeral, recursive, absent;
    lua_Integer version;
} call_options;

extern const mw_option_spec mw__lua_read_options[], mw__lua_write_options[], mw__lua_set_options[],
    mw__lua_delete_options[], mw__lua_queue_options[];

call_options mw__lua_call_options(lua_State *L, int index, const char *function, const mw_option_spec *specs);

/* Begin: raises when the caller may not wait. The call is filled for it. (longjmp) */
op_await *mw__lua_op_begin(lua_State *L, mw_lua_registry *registry, const call_options *options, const char *function,
                           int (*push)(lua_State *, op_await *), mw_call *ret_call);

/* The last call of the C function: `status` and `err` are what submitting returned. The path of the call, for its
 * errors, is at index 2 of the stack, if there is a string. (longjmp) */
int mw__lua_op_wait(lua_State *L, op_await *self, int status, const mw_error *err);

void mw__lua_push_written(lua_State *L, const mw_written *written, int path_index);

#endif
