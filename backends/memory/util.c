#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void mwm_index_init(mwm_index *index) {
    *index = (mwm_index){.size = 1};
    index->buckets = &index->only;
}

void mwm_index_release(mwm_index *index) {
    if (index->buckets != &index->only)
        free(index->buckets);
    mwm_index_init(index);
}

/* A table of one bucket points into itself. */
void mwm_index_move(mwm_index *to, const mwm_index *from) {
    *to = *from;
    if (from->buckets == &from->only)
        to->buckets = &to->only;
}

static mwm_hook **bucket_of(const mwm_index *index, uint64_t hash) {
    return &index->buckets[hash & (index->size - 1)];
}

static void grow(mwm_index *index) {
    size_t size = index->size < 16 ? 16 : index->size * 2;
    mwm_hook **buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return;
    mwm_index old = *index;
    index->buckets = buckets;
    index->size = size;
    for (size_t i = 0; i < old.size; i++) {
        mwm_hook *next = old.size == 1 ? old.only : old.buckets[i];
        while (next) {
            mwm_hook *hook = next;
            next = hook->next;
            mwm_hook **bucket = bucket_of(index, hook->hash);
            hook->next = *bucket;
            *bucket = hook;
        }
    }
    if (old.size != 1)
        free(old.buckets);
}

void mwm_index_insert(mwm_index *index, mwm_hook *hook, uint64_t hash) {
    if (index->count >= index->size)
        grow(index);
    mwm_hook **bucket = bucket_of(index, hash);
    hook->hash = hash;
    hook->next = *bucket;
    *bucket = hook;
    index->count++;
}

void mwm_index_remove(mwm_index *index, mwm_hook *hook) {
    mwm_hook **link = bucket_of(index, hook->hash);
    while (*link != hook)
        link = &(*link)->next;
    *link = hook->next;
    hook->next = NULL;
    index->count--;
}

mwm_hook *mwm_index_find(const mwm_index *index, uint64_t hash) {
    mwm_hook *hook = *bucket_of(index, hash);
    while (hook && hook->hash != hash)
        hook = hook->next;
    return hook;
}

mwm_hook *mwm_index_find_next(const mwm_hook *hook) {
    uint64_t hash = hook->hash;
    mwm_hook *next = hook->next;
    while (next && next->hash != hash)
        next = next->next;
    return next;
}

mwm_hook *mwm_index_next(const mwm_index *index, const mwm_hook *hook) {
    if (hook && hook->next)
        return hook->next;
    size_t i = hook ? (hook->hash & (index->size - 1)) + 1 : 0;
    for (; i < index->size; i++)
        if (index->buckets[i])
            return index->buckets[i];
    return NULL;
}

mw_str mwm_parent(mw_str path) {
    size_t len = path.len;
    while (len > 1 && path.data[len - 1] != '/')
        len--;
    return (mw_str){path.data, len > 1 ? len - 1 : 1};
}

bool mwm_covers(mw_str top, mw_depth depth, mw_str path) {
    if (depth == MW_DEPTH_SELF)
        return mw_str_equal(top, path);
    if (depth == MW_DEPTH_CHILDREN)
        return path.len > 1 && mw_str_equal(top, mwm_parent(path));
    if (top.len == 1)
        return path.len > 1;
    return path.len > top.len && path.data[top.len] == '/' && memcmp(path.data, top.data, top.len) == 0;
}

int mwm_fail(mw_error *err, int status, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = status;
        (void)vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}
