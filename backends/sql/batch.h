/* Building a batch: statements with their parameters, and the rows of their row sources. */
#ifndef MOONWATCH_SQL_BATCH_H
#define MOONWATCH_SQL_BATCH_H

#include "arena.h"
#include "statements.h"

typedef struct mw__sql_batch {
    mw_sql_batch sql;
    void (*again)(void *arg); /* forget the rows of an attempt that is going to be repeated; may be NULL */
    size_t room;
    mw__sql_arena arena;
} mw__sql_batch;

static inline mw_sql_value mw__sql_int(int64_t integer) {
    return (mw_sql_value){MW_SQL_INT, integer, {NULL, 0}};
}
static inline mw_sql_value mw__sql_bytes(mw_str bytes) {
    return (mw_sql_value){MW_SQL_BYTES, 0, bytes};
}
static inline mw_sql_value mw__sql_null(void) {
    return (mw_sql_value){MW_SQL_NULL, 0, {NULL, 0}};
}

void mw__sql_batch_init(mw__sql_batch *batch, mw_sql_batch_kind kind);
void mw__sql_batch_free(mw__sql_batch *batch);

/* Append a statement. Parameters are copied, the bytes they point to are borrowed until the batch is freed. Without
 * memory nothing is appended and mw__sql_batch_ready says so at the end. */
void mw__sql_add(mw__sql_batch *batch, mw__sql_statement_id statement, unsigned flags, const mw_sql_value *params,
                 size_t count);

#define MW__SQL_ADD(batch, statement, flags, ...)                                                                      \
    mw__sql_add((batch), (statement), (flags), (const mw_sql_value[]){__VA_ARGS__},                                    \
                sizeof((const mw_sql_value[]){__VA_ARGS__}) / sizeof(mw_sql_value))

/* Give the statement appended last `count` rows of `columns` cells: the cells to fill, or NULL without memory. */
mw_sql_value *mw__sql_add_rows(mw__sql_batch *batch, size_t count, size_t columns);

/* Where rows of results go. */
void mw__sql_collect(mw__sql_batch *batch, void (*row)(void *arg, size_t step, const mw_sql_value *cells, size_t count),
                     void (*again)(void *arg), void *arg);

bool mw__sql_batch_ready(const mw__sql_batch *batch);

/* Rows matched by the step's statement. */
static inline int64_t mw__sql_affected(const mw__sql_batch *batch, size_t step) {
    return batch->sql.steps[step].affected;
}

#endif
