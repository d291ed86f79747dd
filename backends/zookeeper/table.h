/* A hash table from NUL-terminated paths to things that carry their own key. */
#ifndef MW_ZOOKEEPER_TABLE_H
#define MW_ZOOKEEPER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct zk_key zk_key;
struct zk_key {
    zk_key *next;
    uint32_t hash;
    const char *path; /* owned by whoever embeds the key */
};

typedef struct zk_table {
    zk_key **buckets;
    size_t size, count; /* size: 0 or a power of two */
} zk_table;

zk_key *zk_table_find(const zk_table *table, const char *path);
zk_key *zk_table_next(const zk_key *key);       /* another with the same path */
int zk_table_add(zk_table *table, zk_key *key); /* 0 or MW_ENO_MEMORY */
void zk_table_remove(zk_table *table, zk_key *key);
void zk_table_each(const zk_table *table, void (*visit)(void *arg, zk_key *key),
                   void *arg);          /* `visit` may free the key */
void zk_table_release(zk_table *table); /* not the keys */

#endif
