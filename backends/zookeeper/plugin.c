/* The table, and the one symbol that this module exports. */
#include "zk.h"

static void stats(mw_conn *conn, mw_backend_stats *ret_stats) {
    *ret_stats = conn->stats;
}

static const mw_backend zookeeper = {
    .size = sizeof(mw_backend),
    .abi = MW_BACKEND_ABI,
    .name = "zookeeper",
    .library = "libzookeeper_st " ZOO_VERSION,
    .caps = MW_CAP_DURABLE | MW_CAP_DISTRIBUTED | MW_CAP_SESSIONS | MW_CAP_VERSION,
    .options = zk_requirements,
    .open = zk_open,
    .close = zk_close,
    .abandon = zk_abandon,
    .expire = zk_expire,
    .submit = zk_submit,
    .cancel = zk_cancel,
    .watch = zk_watch,
    .unwatch = zk_unwatch,
    .lock = zk_lock,
    .unlock = zk_unlock,
    .end_session = zk_end_session,
    .stats = stats,
};

__attribute__((visibility("default"))) const mw_backend *mw_backend_plugin(void);

const mw_backend *mw_backend_plugin(void) {
    return &zookeeper;
}
