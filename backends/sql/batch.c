#include "batch.h"

void mw__sql_batch_init(mw__sql_batch *batch, mw_sql_batch_kind kind) {
    *batch = (mw__sql_batch){.sql = {.kind = kind, .writes = kind == MW_SQL_WRITE}};
}

void mw__sql_batch_free(mw__sql_batch *batch) {
    mw__sql_arena_free(&batch->arena);
}

static bool grow(mw__sql_batch *batch) {
    if (batch->sql.step_count < batch->room)
        return true;
    size_t room = batch->room ? batch->room * 2 : 16;
    mw_sql_step *steps = mw__sql_take(&batch->arena, room * sizeof *steps);
    if (!steps)
        return false;
    if (batch->sql.step_count)
        memcpy(steps, batch->sql.steps, batch->sql.step_count * sizeof *steps);
    batch->sql.steps = steps;
    batch->room = room;
    return true;
}

void mw__sql_add(mw__sql_batch *batch, mw__sql_statement_id statement, unsigned flags, const mw_sql_value *params,
                 size_t count) {
    mw_sql_value *copy = count ? mw__sql_take(&batch->arena, count * sizeof *copy) : NULL;
    if ((count && !copy) || !grow(batch))
        return;
    if (count)
        memcpy(copy, params, count * sizeof *copy);
    batch->sql.steps[batch->sql.step_count++] =
        (mw_sql_step){.statement = statement, .flags = flags, .params = copy, .param_count = count};
}

mw_sql_value *mw__sql_add_rows(mw__sql_batch *batch, size_t count, size_t columns) {
    if (batch->arena.failed)
        return NULL;
    mw_sql_value *cells = mw__sql_take(&batch->arena, count * columns * sizeof *cells);
    if (!cells)
        return NULL;
    mw_sql_step *step = &batch->sql.steps[batch->sql.step_count - 1];
    step->rows = cells;
    step->row_count = count;
    return cells;
}

void mw__sql_collect(mw__sql_batch *batch, void (*row)(void *arg, size_t step, const mw_sql_value *cells, size_t count),
                     void (*again)(void *arg), void *arg) {
    batch->sql.row = row;
    batch->sql.arg = arg;
    batch->again = again;
}

bool mw__sql_batch_ready(const mw__sql_batch *batch) {
    return !batch->arena.failed;
}
