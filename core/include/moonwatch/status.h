/* Status codes and error details, shared by the core, the backends and the bindings.
 *
 * A function that can fail returns 0 (MW_OK) or one negative MW_E* code, and writes the detail into an `mw_error`
 * that its caller owns (NULL is allowed: the detail is then dropped). Outputs named `ret_*` are untouched on failure.
 */
#ifndef MOONWATCH_STATUS_H
#define MOONWATCH_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what libmoonwatch exports */

/* X(name, value, text, retryable, meaning). `text` is what Lua scripts see as `err.code`; append only. */
#define MW_STATUS_MAP(X)                                                                                               \
    X(INVALID, -1, "invalid", false, "an argument breaks a rule of the contract")                                      \
    X(NOT_FOUND, -2, "not_found", false, "no such entry")                                                              \
    X(EXISTS, -3, "exists", false, "the entry is already there")                                                       \
    X(CONFLICT, -4, "conflict", false, "version, owner, kind or lock differs from what was asked")                     \
    X(NOT_EMPTY, -5, "not_empty", false, "the entry has children")                                                     \
    X(TIMEOUT, -6, "timeout", true, "the deadline passed before it was sent, or a wait ended")                         \
    X(UNKNOWN, -7, "unknown", false, "it was sent; whether it happened cannot be known")                               \
    X(DISCONNECTED, -8, "disconnected", true, "not connected; it was not sent")                                        \
    X(SESSION_LOST, -9, "session_lost", true, "the session ended; ephemerals and locks are gone")                      \
    X(CLOSED, -10, "closed", false, "the object was closed")                                                           \
    X(CANCELLED, -11, "cancelled", false, "the caller cancelled it before it was sent")                                \
    X(TOO_LARGE, -12, "too_large", false, "over the size limit; nothing was sent")                                     \
    X(DENIED, -13, "denied", false, "credentials or rights are missing")                                               \
    X(UNSUPPORTED, -14, "unsupported", false, "this backend or build cannot do it")                                    \
    X(NO_MEMORY, -15, "no_memory", true, "an allocation failed")                                                       \
    X(BUSY, -16, "busy", true, "held by another (a lock asked for with `try`)")                                        \
    X(FENCED, -17, "fenced", false, "a newer holder or incarnation has taken over")                                    \
    X(CORRUPT, -18, "corrupt", false, "the stored data is damaged or not a registry")                                  \
    X(IO, -19, "io", true, "the system or the server reported a failure")                                              \
    X(INTERNAL, -20, "internal", false, "a bug in Moonwatch or in a plug-in")

typedef enum mw_status {
    MW_OK = 0,
#define MW__STATUS_ENUM(name, value, text, retryable, meaning) MW_E##name = (value),
    MW_STATUS_MAP(MW__STATUS_ENUM)
#undef MW__STATUS_ENUM
} mw_status;

/* Caller-owned detail of a failure. `message` is one line, names what, where and what to do, and never holds a secret.
 */
typedef struct mw_error {
    int code; /* MW_E*, or 0 */
    char message[384];
} mw_error;

/* The word of a status ("not_found"); "ok" for 0; "internal" for a number that is no status. Static storage. */
const char *mw_status_text(int status);

/* What the status means, as one English clause. Static storage. */
const char *mw_status_meaning(int status);

/* Whether doing the same again later may succeed without harm. False for MW_EUNKNOWN: it may have happened. */
bool mw_status_retryable(int status);

/* Fill `err` (when not NULL) and return `status`, so that a failure is one line: `return mw_fail(err, MW_EINVALID,
 * ...)`. */
int mw_fail(mw_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
