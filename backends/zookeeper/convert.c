/* Codes, stats and paths between ZooKeeper's world and the registry's. */
#include "zk.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "queue_name.h"

int zk_fail(mw_error *err, int status, const char *format, ...) {
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    err->code = status;
    (void)vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return status;
}

void zk_log(mw_conn *conn, mw_log_level level, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    conn->host->ops->log(conn->host, level, "zookeeper", line);
}

int zk_status(int rc) {
    switch (rc) {
    case ZOK:
        return MW_OK;
    case ZNONODE:
        return MW_ENOT_FOUND;
    case ZNODEEXISTS:
        return MW_EEXISTS;
    case ZBADVERSION:
    case ZNOCHILDRENFOREPHEMERALS:
        return MW_ECONFLICT;
    case ZNOTEMPTY:
        return MW_ENOT_EMPTY;
    case ZNOAUTH:
    case ZAUTHFAILED:
    case ZINVALIDACL:
    case ZSESSIONCLOSEDREQUIRESASLAUTH:
        return MW_EDENIED;
    case ZSESSIONEXPIRED:
        return MW_ESESSION_LOST;
    case ZSESSIONMOVED: /* refused by the server: not applied */
    case ZTHROTTLEDOP:
        return MW_EDISCONNECTED;
    case ZBADARGUMENTS:
        return MW_EINVALID;
    case ZUNIMPLEMENTED:
    case ZNOTREADONLY:
        return MW_EUNSUPPORTED;
    default:
        return zk_is_lost(rc) ? MW_EDISCONNECTED : MW_EIO;
    }
}

const char *zk_text(int rc) {
    /* The client says "not authenticated", which whoever gives a digest that is not the owner's takes for a fault of
     * the connection. */
    return rc == ZNOAUTH ? "an ACL does not admit us" : zerror(rc);
}

bool zk_is_lost(int rc) {
    switch (rc) {
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZCLOSING:
    case ZINVALIDSTATE:
    case ZSYSTEMERROR:
    case ZRUNTIMEINCONSISTENCY:
    case ZMARSHALLINGERROR:
    case ZAUTHFAILED:
    case ZSSLCONNECTIONERROR:
        return true;
    default:
        return false;
    }
}

bool zk_is_unanswered(int rc) {
    return zk_is_lost(rc) || zk_status(rc) == MW_EDISCONNECTED;
}

bool zk_is_judged(int rc) {
    switch (rc) {
    case ZOK:
    case ZNONODE:
    case ZNODEEXISTS:
    case ZBADVERSION:
    case ZNOTEMPTY:
    case ZNOCHILDRENFOREPHEMERALS:
    case ZNOAUTH:
    case ZINVALIDACL:
        return true;
    default:
        return false;
    }
}

/* Containers and nodes with a time to live carry marks in ephemeralOwner that are no sessions: the top byte is 0x80 or
 * 0xff (org.apache.zookeeper.server.EphemeralType). */
mw_session_id zk_owner(const struct Stat *stat) {
    uint64_t owner = (uint64_t)stat->ephemeralOwner;
    if (owner == UINT64_C(1) << 63 || owner >> 56 == 0xFF)
        return 0;
    return owner;
}

bool zk_maybe_lock(const struct Stat *stat) {
    return stat->dataLength == (int)strlen(ZK_LOCK_MARK);
}

bool zk_is_lock(const char *value, int len) {
    return len == (int)strlen(ZK_LOCK_MARK) && memcmp(value, ZK_LOCK_MARK, (size_t)len) == 0;
}

bool zk_any_shown(const mw_conn *conn, const char *parent, const struct String_vector *names) {
    for (int i = 0; i < names->count; i++)
        if (!zk_hides(conn, parent, names->data[i]))
            return true;
    return false;
}

void zk_entry(mw_entry *ret_entry, mw_str path, const char *value, int len, const struct Stat *stat) {
    *ret_entry = (mw_entry){.path = path,
                            .value = {value ? value : "", len > 0 ? (size_t)len : 0}, /* others write NULL: len -1 */
                            .version = stat->version,
                            .revision = stat->mzxid,
                            .created = stat->czxid,
                            .owner = zk_owner(stat),
                            .ctime = stat->ctime,
                            .mtime = stat->mtime};
}

void zk_path(const mw_conn *conn, mw_str path, char ret_path[ZK_PATH_MAX]) {
    size_t root = strlen(conn->options.root);
    if (path.len == 1 && root > 0)
        path.len = 0;
    assert(root + path.len < ZK_PATH_MAX);
    memcpy(ret_path, conn->options.root, root);
    if (path.len > 0)
        memcpy(ret_path + root, path.data, path.len);
    ret_path[root + path.len] = 0;
}

mw_str zk_unroot(const mw_conn *conn, const char *path) {
    const char *rest = path + strlen(conn->options.root);
    return mw_str_of(*rest ? rest : "/");
}

bool zk_hides(const mw_conn *conn, const char *parent, const char *name) {
    if (zk_queue_member(mw_str_of(name), NULL))
        return true;
    const char *root = *conn->options.root ? conn->options.root : "/";
    if (strcmp(parent, root) != 0)
        return false;
    return strcmp(name, ZK_HIDDEN + 1) == 0 || (!*conn->options.root && strcmp(name, "zookeeper") == 0);
}

void zk_join(const char *parent, const char *name, char ret_path[ZK_PATH_MAX]) {
    (void)snprintf(ret_path, ZK_PATH_MAX, "%s/%s", parent[1] ? parent : "", name);
}

bool zk_parent(const char *path, char ret_path[ZK_PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    if (!slash || !path[1])
        return false;
    size_t len = slash == path ? 1 : (size_t)(slash - path);
    memcpy(ret_path, path, len);
    ret_path[len] = 0;
    return true;
}

void zk_saw(mw_conn *conn, const struct Stat *stat) {
    if (stat->mzxid > conn->zxid)
        conn->zxid = stat->mzxid;
    if (stat->pzxid > conn->zxid)
        conn->zxid = stat->pzxid;
}
