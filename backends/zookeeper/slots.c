/* Marks: ephemeral nodes /.moonwatch/<session>-<slot>. A transaction also writes its number into a mark that no other
 * write in flight uses; after a lost reply the mark tells whether it was applied, and with which zxid. */
#include "zk.h"

#include <stdio.h>

void zk_mark_path(const mw_conn *conn, mw_session_id id, unsigned slot, char ret_path[ZK_PATH_MAX]) {
    (void)snprintf(ret_path, ZK_PATH_MAX, "%s" ZK_HIDDEN "/%016llx-%u", conn->options.root, (unsigned long long)id,
                   slot);
}

void zk_slot_path(const mw_conn *conn, unsigned slot, char ret_path[ZK_PATH_MAX]) {
    zk_mark_path(conn, conn->session.id, slot, ret_path);
}

int zk_slot_take(mw_conn *conn) {
    for (int i = 1; i < ZK_SLOT_COUNT; i++)
        if (!conn->slots[i].busy) {
            conn->slots[i].busy = true;
            return i;
        }
    return 0;
}

void zk_slot_give(mw_conn *conn, int slot) {
    if (slot > 0)
        conn->slots[slot].busy = false;
}
