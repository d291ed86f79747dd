/* The catalogue of SQL: every statement of the registry, written once for all dialects. */
#ifndef MOONWATCH_SQL_STATEMENTS_H
#define MOONWATCH_SQL_STATEMENTS_H

#include "driver.h"

/* Kinds of rows in the change log. */
#define MW__SQL_CHANGED 1 /* the entry was created or changed */
#define MW__SQL_REMOVED 2 /* it was deleted; `value` is its last */
#define MW__SQL_GRANTED 3 /* the lock at `path` went to another, or became free */

/* Why a step is refused: verdict = step * MW__SQL_VERDICT_BASE + code. A missing parent is told apart, since it is
 * mended and tried again, and only when nothing else is wrong. */
#define MW__SQL_VERDICT_BASE 16
#define MW__SQL_NOT_FOUND 1
#define MW__SQL_EXISTS 2
#define MW__SQL_CONFLICT 3
#define MW__SQL_NOT_EMPTY 4
#define MW__SQL_EPHEMERAL_PARENT 5
#define MW__SQL_FENCED 6
#define MW__SQL_PARENT_MISSING INT64_C(1099511627776)
/* A txn that a later fence has forbidden. */
#define MW__SQL_VERDICT_FENCE (-1)

/* Kinds of steps as the verdict sees them. */
#define MW__SQL_STEP_CHECK 1
#define MW__SQL_STEP_ABSENT 2
#define MW__SQL_STEP_LOCK 3
#define MW__SQL_STEP_CREATE 4
#define MW__SQL_STEP_PUT 5
#define MW__SQL_STEP_SET 6
#define MW__SQL_STEP_DELETE 7
#define MW__SQL_STEP_REFUSED 8 /* decided when the batch was built: `version` is the code */

/* clang-format moves a list like this to the right without end. */
/* clang-format off */
#define MW__SQL_STATEMENTS(X) \
    X(META) X(META_INIT) X(BUMP) X(SESSION_OPEN) X(SESSION_RENEW) X(SESSION_EXPIRED) X(SESSION_LOOK) \
    X(SESSION_BOOT) X(SESSION_NEXT) X(SESSION_SECRET) X(SESSION_LIST) X(END_OWN) X(END_EXPIRED) X(END_VERDICT) \
    X(END_CHANGES) X(END_ENTRIES) X(END_WAIT_COUNT) X(END_WAIT) X(END_HOLD_CHANGES) X(END_HANDOVER) X(END_TAKEN) \
    X(END_SESSION) X(RAISE_META) X(RAISE_VERDICT) X(RAISE_LOCKS) X(RAISE_ENTRIES) X(RAISE_SESSIONS) \
    X(TXN_MARK) X(TXN_CHECK) X(TXN_VERDICT) X(TXN_PUT) X(TXN_CHANGED) X(TXN_REMOVED) X(TXN_DELETE) X(TXN_RESULTS) \
    X(TXN_FENCE) X(TXN_MARKER) X(TXN_PAST_RESULTS) X(PARENT_CHANGE) X(PARENT) X(READ_GET) X(READ_STAT) \
    X(READ_EXISTS) X(READ_NAMES) X(READ_CHILDREN) X(READ_LIST) X(READ_QUEUES) X(CHANGES) X(COMPACT_STEP) X(COMPACT_FLOOR) \
    X(COMPACT) X(LOCK_TAKE) X(LOCK_ALIVE) X(LOCK_ROW) X(LOCK_TAKE_NEW) X(LOCK_JOIN_COUNT) \
    X(LOCK_JOIN) X(LOCK_STATE) X(LOCK_FREE) X(LEAVE_COUNT) X(LEAVE_ROW) X(LEAVE_CHANGE) X(LEAVE_HANDOVER) \
    X(LEAVE_TAKEN) X(LOCK_IDLE) X(LOCK_FLOOR) X(LOCK_DROP)
/* clang-format on */

typedef enum mw__sql_statement_id {
#define MW__SQL_ENUM(name) MW__SQL_##name,
    MW__SQL_STATEMENTS(MW__SQL_ENUM)
#undef MW__SQL_ENUM
        MW__SQL_STATEMENT_COUNT
} mw__sql_statement_id;

/* Expand the catalogue for a dialect: MW__SQL_STATEMENT_COUNT statements. Freed with mw__sql_catalog_free.
 * MW_ENO_MEMORY, or MW_EINTERNAL for a fragment that no dialect has. */
int mw__sql_catalog_new(const mw_sql_driver *driver, mw_sql_statement **ret_statements, mw_error *err);
void mw__sql_catalog_free(mw_sql_statement *statements);

/* Expand one text that has no row source; malloc'ed. Errors as above. */
int mw__sql_expand(const mw_sql_dialect *dialect, const char *text, const char **ret_text, mw_error *err);

#endif
