/* Directories that exist, as far as we know: a create below another one looks first, so that what was submitted after
 * it need not overtake it; and a lock below a known one needs no second flight. */
#include "zk.h"

#include <stdlib.h>

#define PARENTS_KEPT 256
#define ENTRIES_KEPT 1024

typedef struct parent {
    zk_key key;
    char path[];
} parent;

static void forget(void *arg, zk_key *key) {
    free(mw_container(key, parent, key));
}

void zk_parents_release(mw_conn *conn) {
    zk_table_each(&conn->parents, forget, NULL);
    zk_table_release(&conn->parents);
}

bool zk_parent_known(const mw_conn *conn, const char *path) {
    return zk_table_find(&conn->parents, path) != NULL;
}

void zk_parent_remember(mw_conn *conn, const char *path) {
    if (zk_parent_known(conn, path))
        return;
    if (conn->parents.count >= PARENTS_KEPT)
        zk_parents_release(conn);
    size_t len = strlen(path) + 1;
    parent *k = malloc(sizeof *k + len);
    if (!k)
        return;
    memcpy(k->path, path, len);
    k->key.path = k->path;
    if (zk_table_add(&conn->parents, &k->key) != MW_OK)
        free(k);
}

void zk_parent_forget(mw_conn *conn, const char *path) {
    zk_key *key = zk_table_find(&conn->parents, path);
    if (!key)
        return;
    zk_table_remove(&conn->parents, key);
    forget(NULL, key);
}

/* ---- Entries */

typedef struct entry {
    zk_key key;
    zk_known known;
    char path[];
} entry;

static void forget_entry(void *arg, zk_key *key) {
    free(mw_container(key, entry, key));
}

void zk_entries_release(mw_conn *conn) {
    zk_table_each(&conn->entries, forget_entry, NULL);
    zk_table_release(&conn->entries);
}

const zk_known *zk_entry_known(const mw_conn *conn, const char *path) {
    zk_key *key = zk_table_find(&conn->entries, path);
    return key ? &mw_container(key, entry, key)->known : NULL;
}

void zk_entry_remember(mw_conn *conn, const char *path, zk_known known) {
    zk_key *key = zk_table_find(&conn->entries, path);
    if (key) {
        mw_container(key, entry, key)->known = known;
        return;
    }
    if (conn->entries.count >= ENTRIES_KEPT)
        zk_entries_release(conn);
    size_t len = strlen(path) + 1;
    entry *e = malloc(sizeof *e + len);
    if (!e)
        return;
    e->known = known;
    memcpy(e->path, path, len);
    e->key.path = e->path;
    if (zk_table_add(&conn->entries, &e->key) != MW_OK)
        free(e);
}

void zk_entry_forget(mw_conn *conn, const char *path) {
    zk_key *key = zk_table_find(&conn->entries, path);
    if (!key)
        return;
    zk_table_remove(&conn->entries, key);
    forget_entry(NULL, key);
}
