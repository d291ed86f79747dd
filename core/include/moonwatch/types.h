/* Plain data of the registry: borrowed strings, entries, writes. No functions that allocate. */
#ifndef MOONWATCH_TYPES_H
#define MOONWATCH_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed bytes; not terminated, may hold NUL. Whoever hands one out says how long it lives. */
typedef struct mw_str {
    const char *data;
    size_t len;
} mw_str;

static inline mw_str mw_str_of(const char *text) {
    mw_str s = {text, text ? strlen(text) : 0};
    return s;
}

static inline bool mw_str_equal(mw_str a, mw_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Byte order, a shorter prefix first: the order of paths everywhere. */
static inline int mw_str_compare(mw_str a, mw_str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* printf("%.*s", MW_STR_FMT(s)) */
#define MW_STR_FMT(s) (int)(s).len, (s).data

/* Nanoseconds of CLOCK_BOOTTIME (suspend counts), or of virtual time. */
typedef uint64_t mw_time;
#define MW_MS UINT64_C(1000000)
#define MW_SECOND UINT64_C(1000000000)
#define MW_FOREVER UINT64_MAX

/* 0 is no session. Never reused by the same registry. */
typedef uint64_t mw_session_id;

typedef struct mw_entry {
    mw_str path;
    mw_str value;
    int64_t version;     /* 0 at creation, +1 per change, of this incarnation */
    int64_t revision;    /* of the last change; monotonic over the registry */
    int64_t created;     /* revision of creation: names the incarnation */
    mw_session_id owner; /* 0 when persistent */
    int64_t ctime;       /* milliseconds since 1970, server time */
    int64_t mtime;
} mw_entry;

typedef enum mw_depth { MW_DEPTH_SELF, MW_DEPTH_CHILDREN, MW_DEPTH_SUBTREE } mw_depth;

/* Expected versions. */
#define MW_VERSION_ANY (-1)    /* the entry exists, whatever its version */
#define MW_VERSION_ABSENT (-2) /* check only: there is no such entry */

typedef enum mw_write_kind {
    MW_CHECK,      /* path has `version` (or ANY: it exists; or ABSENT) */
    MW_CHECK_LOCK, /* `lock` is still held with its token */
    MW_CREATE,     /* fails with EXISTS when present */
    MW_PUT,        /* creates, or replaces the value; CONFLICT when the present entry has another owner or kind */
    MW_SET,        /* replaces the value when `version` matches */
    MW_DELETE      /* removes when `version` matches; NOT_EMPTY when it has children */
} mw_write_kind;

typedef struct mw_ticket mw_ticket;

/* One step of a transaction. Rules, the same on every backend and enforced by the core before a backend sees it: checks
 * come first and speak of the state before the txn; a path is written at most once in a txn; a created child may follow
 * its created parent, a deleted parent its deleted children. */
typedef struct mw_write {
    mw_write_kind kind;
    mw_str path;
    mw_str value;    /* CREATE, PUT, SET */
    int64_t version; /* CHECK, SET, DELETE: expected version */
    bool ephemeral;  /* CREATE, PUT: owned by the session */
    mw_ticket *lock; /* CHECK_LOCK */
} mw_write;

/* What a write did, one per step of a committed txn. Zero for checks and deletes but for `revision`. */
typedef struct mw_written {
    int64_t version;
    int64_t revision;
    int64_t created;
    mw_session_id owner;
} mw_written;

#ifdef __cplusplus
}
#endif
#endif
