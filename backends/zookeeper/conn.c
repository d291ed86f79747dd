/* Opening; making, leaving and dropping handles of the C client; when to try again. */
#include "zk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_RETRY (20 * MW_MS)

/* The client would print to stderr. What matters is reported through states. */
static void drop_line(const char *message) {}

int zk_open(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    mw_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
    int status = zk_options_read(&conn->options, config->options, err);
    conn->name = strndup(config->name.data ? config->name.data : "", config->name.len);
    if (status == MW_OK && !conn->name)
        status = zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
    if (status != MW_OK) {
        zk_options_release(&conn->options);
        free(conn->name);
        free(conn);
        return status;
    }
    conn->host = config->host;
    conn->events = config->events;
    conn->events_arg = config->events_arg;
    zk_list *const lists[] = {&conn->pending, &conn->sent,  &conn->lost, &conn->refusals, &conn->open,
                              &conn->holds,   &conn->feeds, &conn->todo, &conn->walks,    &conn->enders};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        zk_list_init(lists[i]);
    if (zk_names_numeric(conn->options.servers))
        conn->addresses = zk_names_lookup(conn->options.servers, NULL);
    zk_pump_init(conn);
    zk_kick(conn);
    *ret_conn = conn;
    return MW_OK;
}

zhandle_t *zk_client_new(const zk_tls *tls, const char *addresses, watcher_fn watcher, mw_time timeout,
                         const clientid_t *client, void *context) {
    int timeout_ms = (int)(timeout / MW_MS);
    if (tls)
        return zk_tls_handle(tls, addresses, watcher, timeout_ms, client, context, drop_line);
    return zookeeper_init2(addresses, watcher, timeout_ms, client, context, ZOO_NO_LOG_CLIENTENV, drop_line);
}

int zk_handle_new(mw_conn *conn) {
    conn->inside++;
    conn->zh = zk_client_new(conn->options.tls, conn->addresses, zk_watcher, conn->options.session_timeout, NULL, conn);
    conn->moved = false;
    if (conn->zh) {
        (void)zoo_set_servers_resolution_delay(conn->zh, -1);
        if (conn->options.digest)
            (void)zoo_add_auth(conn->zh, "digest", conn->options.digest, (int)strlen(conn->options.digest), NULL, NULL);
    }
    conn->inside--;
    conn->phase = ZK_CONNECTING;
    conn->wired = false;
    conn->outstanding = 0;
    return conn->zh ? MW_OK : MW_ENO_MEMORY;
}

int zk_process(mw_conn *conn, int what) {
    if (conn->options.tls)
        zk_tls_clean();
    return zookeeper_process(conn->zh, what);
}

/* Put a dead socket in the place of the live one: our end is closed, and the client fails on its next read. Unlike
 * shutdown() this leaves a parent's connection alone when we are its forked child. */
static void deaden(int fd) {
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dead >= 0 && dup3(dead, fd, O_CLOEXEC) < 0)
        (void)shutdown(fd, SHUT_RDWR);
    if (dead >= 0)
        (void)close(dead);
    else
        (void)shutdown(fd, SHUT_RDWR);
}

/* Once it has closed one, the client is in a state without a name, 0. */
static bool has_socket(zhandle_t *zh) {
    return zoo_state(zh) != 0 && zoo_state(zh) != ZOO_NOTCONNECTED_STATE;
}

void zk_cut(mw_conn *conn) {
    bool open = conn->wired && has_socket(conn->zh);
    zk_unwire(conn);
    zk_session_suspend(conn);
    conn->inside++;
    for (int tries = 0; tries < 8 && (open || conn->outstanding > 0); tries++) {
        if (open) {
            deaden(conn->fd);
            while (zk_process(conn, ZOOKEEPER_READ) == ZOK) {
            }
            open = false;
        } else { /* its queue of requests is only emptied by a connection that fails */
            int interest = 0;
            struct timeval wait = {0};
            conn->fd = -1;
            open = zookeeper_interest(conn->zh, &conn->fd, &interest, &wait) == ZOK && conn->fd >= 0;
        }
    }
    conn->inside--;
    zk_retry(conn);
}

void zk_handle_drop(mw_conn *conn) {
    if (!conn->zh)
        return;
    zk_cut(conn);
    conn->inside++;
    (void)zookeeper_close(conn->zh); /* not connected: nothing to send, nothing to wait for */
    conn->inside--;
    conn->zh = NULL;
    conn->outstanding = 0;
}

static mw_time jittered(mw_conn *conn, mw_time delay) {
    uint32_t random = 0;
    mw_host_random(conn->host, &random, sizeof random);
    return delay / 2 + delay / 2 * random / UINT32_MAX;
}

void zk_retry(mw_conn *conn) {
    mw_time now = mw_host_now(conn->host);
    mw_time timeout = conn->session.timeout ? conn->session.timeout : conn->options.session_timeout;
    if (conn->up_since && now - conn->up_since > timeout / 3)
        conn->failures = 0; /* it was stable */
    conn->up_since = 0;
    mw_time most = timeout / 6 < MW_SECOND ? timeout / 6 : MW_SECOND, delay = FIRST_RETRY;
    for (unsigned i = 0; i < conn->failures && delay < most; i++)
        delay *= 2;
    conn->failures++;
    conn->retry_at = now + jittered(conn, delay < most ? delay : most);
    /* Names may have moved: look again, on the thread, every few failures. */
    if (conn->failures % 8 == 0 && conn->phase < ZK_FAILED && !zk_names_numeric(conn->options.servers))
        (void)zk_names_start(conn);
}

void zk_expire_now(mw_conn *conn, const mw_error *why) {
    bool announced = conn->announced;
    mw_error reason = *why;
    if (conn->up_told)
        zk_feeds_suspend(conn);
    conn->up_told = false;
    zk_handle_drop(conn);
    conn->expired = false;
    conn->phase = ZK_WAITING;
    zk_requests_end(conn, MW_EUNKNOWN);
    zk_holds_end(conn, MW_ESESSION_LOST, &reason);
    zk_feeds_forget(conn);
    zk_session_forget(conn);
    zk_kick(conn);
    if (announced)
        conn->events->expired(conn->events_arg, &reason);
}

void zk_expire(mw_conn *conn) {
    if (!conn->announced || conn->phase >= ZK_FAILED)
        return;
    conn->expired = true;
    zk_kick(conn);
}

void zk_refuse(mw_conn *conn, int status, const char *why) {
    if (conn->phase >= ZK_FAILED)
        return;
    mw_error err;
    zk_fail(&err, status, "zookeeper: %s: %s", conn->options.servers, why);
    zk_session_suspend(conn);
    conn->phase = ZK_FAILED;
    conn->refused = false;
    mw_timer_stop(conn->host, &conn->timer);
    zk_unwire(conn);
    zk_requests_end(conn, MW_EUNKNOWN);
    zk_holds_end(conn, MW_ESESSION_LOST, &err);
    conn->events->failed(conn->events_arg, status, &err);
}

void zk_conn_end(mw_conn *conn) {
    conn->phase = ZK_ENDING;
    conn->up_told = false;
    zk_handle_drop(conn);
    zk_requests_end(conn, MW_EUNKNOWN);
    zk_holds_end(conn, MW_ECLOSED, NULL);
    zk_enders_forget(conn);
    zk_feeds_free(conn);
    zk_pump_stop(conn);
    zk_parents_release(conn);
    zk_entries_release(conn);
    zk_table_release(&conn->writing);
    void (*closed)(void *arg) = conn->events->closed;
    void *arg = conn->events_arg;
    zk_options_release(&conn->options);
    explicit_bzero(&conn->session, sizeof conn->session);
    free(conn->addresses);
    free(conn->unresolved);
    free(conn->name);
    free(conn);
    closed(arg);
}
