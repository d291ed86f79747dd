#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define FIRST_CHUNK ((size_t)1024)
#define LARGEST_CHUNK ((size_t)256 * 1024)

struct mw__sql_chunk {
    mw__sql_chunk *older;
    size_t used;
    size_t size;
    max_align_t bytes[];
};

static mw__sql_chunk *add_chunk(mw__sql_arena *arena, size_t need) {
    size_t size = arena->chunk ? arena->chunk->size * 2 : FIRST_CHUNK;
    if (size > LARGEST_CHUNK)
        size = LARGEST_CHUNK;
    if (size < need)
        size = need;
    mw__sql_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        return NULL;
    chunk->older = arena->chunk;
    chunk->used = 0;
    chunk->size = size;
    arena->chunk = chunk;
    return chunk;
}

void *mw__sql_take(mw__sql_arena *arena, size_t size) {
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    mw__sql_chunk *chunk = arena->chunk;
    if (!chunk || chunk->size - chunk->used < size)
        chunk = add_chunk(arena, size);
    if (!chunk) {
        arena->failed = true;
        return NULL;
    }
    void *piece = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    return piece;
}

mw_str mw__sql_copy(mw__sql_arena *arena, mw_str bytes) {
    char *copy = bytes.len ? mw__sql_take(arena, bytes.len) : NULL;
    if (!copy)
        return mw_str_of("");
    memcpy(copy, bytes.data, bytes.len);
    return (mw_str){copy, bytes.len};
}

void mw__sql_arena_free(mw__sql_arena *arena) {
    for (mw__sql_chunk *chunk = arena->chunk, *older; chunk; chunk = older) {
        older = chunk->older;
        free(chunk);
    }
    *arena = (mw__sql_arena){0};
}
