#include "table.h"

#include <moonwatch/status.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const char *path) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        hash = (hash ^ *p) * 16777619u;
    return hash;
}

static zk_key *first_of(zk_key *key, uint32_t hash, const char *path) {
    while (key && (key->hash != hash || strcmp(key->path, path) != 0))
        key = key->next;
    return key;
}

zk_key *zk_table_find(const zk_table *table, const char *path) {
    if (table->size == 0)
        return NULL;
    uint32_t hash = hash_of(path);
    return first_of(table->buckets[hash & (table->size - 1)], hash, path);
}

zk_key *zk_table_next(const zk_key *key) {
    return first_of(key->next, key->hash, key->path);
}

static int grow(zk_table *table) {
    size_t size = table->size ? table->size * 2 : 16;
    zk_key **buckets = calloc(size, sizeof(zk_key *));
    if (!buckets)
        return MW_ENO_MEMORY;
    for (size_t i = 0; i < table->size; i++)
        for (zk_key *key = table->buckets[i], *next; key; key = next) {
            next = key->next;
            key->next = buckets[key->hash & (size - 1)];
            buckets[key->hash & (size - 1)] = key;
        }
    free(table->buckets);
    table->buckets = buckets;
    table->size = size;
    return MW_OK;
}

int zk_table_add(zk_table *table, zk_key *key) {
    if (table->count >= table->size && grow(table) != MW_OK)
        return MW_ENO_MEMORY;
    key->hash = hash_of(key->path);
    zk_key **bucket = &table->buckets[key->hash & (table->size - 1)];
    key->next = *bucket;
    *bucket = key;
    table->count++;
    return MW_OK;
}

void zk_table_remove(zk_table *table, zk_key *key) {
    zk_key **at = &table->buckets[key->hash & (table->size - 1)];
    while (*at && *at != key)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = key->next;
    table->count--;
}

void zk_table_each(const zk_table *table, void (*visit)(void *arg, zk_key *key), void *arg) {
    for (size_t i = 0; i < table->size; i++)
        for (zk_key *key = table->buckets[i], *next; key; key = next) {
            next = key->next;
            visit(arg, key);
        }
}

void zk_table_release(zk_table *table) {
    free(table->buckets);
    *table = (zk_table){0};
}
