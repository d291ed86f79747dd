/* Directories that exist, as far as we know: a create below another one looks first, so that what was submitted after
 * it need not overtake it; and a lock below a known one needs no second flight. */
#include "zk.h"

#include <stdlib.h>

#define PARENTS_KEPT 256

typedef struct known {
    zk_key key;
    char path[];
} known;

static void forget(void *arg, zk_key *key) {
    free(mw_container(key, known, key));
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
    known *k = malloc(sizeof *k + len);
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
