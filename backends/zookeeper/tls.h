/* TLS, where the linked client library has it (zookeeper_init_ssl); elsewhere nothing of it is built, and the options
 * that ask for it are refused. What the client leaves open is done here: see tls.c. */
#ifndef MW_ZOOKEEPER_TLS_H
#define MW_ZOOKEEPER_TLS_H

#include <zookeeper/zookeeper.h>

#include <stdbool.h>
#include <stddef.h>

struct mw_conn;

/* What one connection is to use. Shared with threads that may outlive it, and therefore counted. */
typedef struct zk_tls zk_tls;

/* What one handshake came to. `why` is empty when it was not the TLS that failed. */
typedef struct zk_shaken {
    int rc;       /* of zookeeper_process */
    bool refused; /* by either side: trying the same again would not mend it */
    char why[160];
} zk_shaken;

#ifdef ZK_HAS_TLS

/* `password` NULL: the key has none. `names` as in the option `servers`. NULL: no memory. */
zk_tls *zk_tls_new(const char *ca, const char *cert, const char *key, const char *password, const char *names);
zk_tls *zk_tls_hold(zk_tls *tls);
void zk_tls_drop(zk_tls *tls);

zhandle_t *zk_tls_handle(const zk_tls *tls, const char *addresses, watcher_fn watcher, int timeout_ms,
                         const clientid_t *client, void *context, log_callback_fn log);

/* The one call that may block. On a thread; it ends when the socket is shut down. */
zk_shaken zk_tls_process(const zk_tls *tls, zhandle_t *zh);
/* The same, on a thread that itself may wait, and given up after a while. */
zk_shaken zk_tls_process_within(const zk_tls *tls, zhandle_t *zh, int fd, int patience_ms);

/* Before each other call of zookeeper_process, and what went wrong in it. */
void zk_tls_clean(void);
zk_shaken zk_tls_failure(int rc);

#else

static inline zk_tls *zk_tls_new(const char *ca, const char *cert, const char *key, const char *password,
                                 const char *names) {
    return NULL;
}
static inline zk_tls *zk_tls_hold(zk_tls *tls) {
    return tls;
}
static inline void zk_tls_drop(zk_tls *tls) {}
static inline zhandle_t *zk_tls_handle(const zk_tls *tls, const char *addresses, watcher_fn watcher, int timeout_ms,
                                       const clientid_t *client, void *context, log_callback_fn log) {
    return NULL;
}
static inline zk_shaken zk_tls_process(const zk_tls *tls, zhandle_t *zh) {
    return (zk_shaken){ZUNIMPLEMENTED, false, ""};
}
static inline zk_shaken zk_tls_process_within(const zk_tls *tls, zhandle_t *zh, int fd, int patience_ms) {
    return (zk_shaken){ZUNIMPLEMENTED, false, ""};
}
static inline void zk_tls_clean(void) {}
static inline zk_shaken zk_tls_failure(int rc) {
    return (zk_shaken){rc, false, ""};
}

#endif

#endif
