/* Rows in growing chunks: items never move their bytes, so borrowed strings stay valid while rows are added. */
#include "rows.h"

#include <stdlib.h>

#define FIRST_CHUNK 512u
#define LARGEST_CHUNK (256u * 1024u)

struct mw__chunk {
    mw__chunk *next;
    size_t used;
    size_t size;
    char bytes[];
};

static char *reserve(mw__rows *rows, size_t need) {
    mw__chunk *chunk = rows->chunks;
    if (!chunk || chunk->size - chunk->used < need) {
        size_t size = chunk ? chunk->size * 2 : FIRST_CHUNK;
        size = size > LARGEST_CHUNK ? LARGEST_CHUNK : size;
        size = size < need ? need : size;
        chunk = malloc(sizeof *chunk + size);
        if (!chunk)
            return NULL;
        *chunk = (mw__chunk){.next = rows->chunks, .size = size};
        rows->chunks = chunk;
    }
    char *bytes = chunk->bytes + chunk->used;
    chunk->used += need;
    return bytes;
}

static bool make_room(mw__rows *rows) {
    if (rows->count < rows->room)
        return true;
    size_t room = rows->room ? rows->room * 2 : 4;
    mw_entry *items = realloc(rows->items, room * sizeof *items);
    if (!items)
        return false;
    rows->items = items;
    rows->room = room;
    return true;
}

static mw_str copy(char **at, mw_str text) {
    mw_str copied = {*at, text.len};
    if (text.len)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return copied;
}

bool mw__rows_add(mw__rows *rows, const mw_entry *entry) {
    if (!make_room(rows))
        return false;
    char *at = reserve(rows, entry->path.len + entry->value.len);
    if (!at)
        return false;
    mw_entry *item = &rows->items[rows->count++];
    *item = *entry;
    item->path = copy(&at, entry->path);
    item->value = copy(&at, entry->value);
    return true;
}

static int by_path(const void *a, const void *b) {
    return mw_str_compare(((const mw_entry *)a)->path, ((const mw_entry *)b)->path);
}

void mw__rows_sort(mw__rows *rows) {
    if (rows->count > 1)
        qsort(rows->items, rows->count, sizeof *rows->items, by_path);
}

void mw__rows_release(mw__rows *rows) {
    while (rows->chunks) {
        mw__chunk *next = rows->chunks->next;
        free(rows->chunks);
        rows->chunks = next;
    }
    free(rows->items);
    *rows = (mw__rows){0};
}
