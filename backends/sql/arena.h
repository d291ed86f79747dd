/* Memory that is taken piece by piece and given back at once; a failure is remembered, so that a builder checks once.
 */
#ifndef MOONWATCH_SQL_ARENA_H
#define MOONWATCH_SQL_ARENA_H

#include <moonwatch/types.h>

typedef struct mw__sql_chunk mw__sql_chunk;

typedef struct mw__sql_arena {
    mw__sql_chunk *chunk;
    bool failed;
} mw__sql_arena;

/* Aligned, not cleared; NULL without memory (`failed` is then set). */
void *mw__sql_take(mw__sql_arena *arena, size_t size);

/* A copy of the bytes; an empty string when memory failed. */
mw_str mw__sql_copy(mw__sql_arena *arena, mw_str bytes);

void mw__sql_arena_free(mw__sql_arena *arena);

#endif
