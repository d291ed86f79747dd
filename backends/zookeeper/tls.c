/* What is between the client's TLS and ours to promise.
 *
 * The client (3.8) does the handshake inside zookeeper_process(): it waits in select() until the server has answered,
 * however long that takes, so it gets a thread (shake.c), and is ended by shutting its socket down. It trusts whatever
 * the system trusts beside `ca`, and looks at no name; both are made up for here, before anything but the session's own
 * id and secret was sent. It asks the terminal for a password that it is not given. It takes its settings as one text
 * with commas between, by strtok(), and its first words go to stderr. Its requests are written from a buffer on the
 * stack, which OpenSSL refuses when it has moved until the socket has room, and with SIGPIPE where nobody reads. */
#ifdef ZK_HAS_TLS
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NO_PASSWORD "-" /* keeps OpenSSL from asking the terminal; strtok() passes over an empty one */

struct zk_tls {
    atomic_uint holders;
    char *setting; /* the client's: "ca,cert,key,password" */
    char *ca, *names;
};

static void wiped_free(char *text) {
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

zk_tls *zk_tls_new(const char *ca, const char *cert, const char *key, const char *password, const char *names) {
    zk_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return NULL;
    atomic_init(&tls->holders, 1);
    tls->ca = strdup(ca);
    tls->names = strdup(names);
    if (asprintf(&tls->setting, "%s,%s,%s,%s", ca, cert, key, password ? password : NO_PASSWORD) < 0)
        tls->setting = NULL;
    if (tls->ca && tls->names && tls->setting)
        return tls;
    zk_tls_drop(tls);
    return NULL;
}

zk_tls *zk_tls_hold(zk_tls *tls) {
    if (tls)
        atomic_fetch_add(&tls->holders, 1);
    return tls;
}

void zk_tls_drop(zk_tls *tls) {
    if (!tls || atomic_fetch_sub(&tls->holders, 1) > 1)
        return;
    wiped_free(tls->setting);
    free(tls->ca);
    free(tls->names);
    free(tls);
}

/* ---- The client's side of the settings */

extern ZooLogLevel logLevel; /* the client's; the header that declares it does not find its own way */

/* Of the process, as are strtok() and the log level that it protects. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

zhandle_t *zk_tls_handle(const zk_tls *tls, const char *addresses, watcher_fn watcher, int timeout_ms,
                         const clientid_t *client, void *context, log_callback_fn log) {
    (void)pthread_mutex_lock(&one_at_a_time);
    ZooLogLevel level = logLevel;
    zoo_set_debug_level(0);
    zhandle_t *zh =
        zookeeper_init_ssl(addresses, tls->setting, watcher, timeout_ms, client, context, ZOO_NO_LOG_CLIENTENV);
    zoo_set_debug_level(level);
    (void)pthread_mutex_unlock(&one_at_a_time);
    if (zh)
        zoo_set_log_callback(zh, log);
    return zh;
}

/* ---- The connection that a handshake made. The client shows it to nobody; OpenSSL tells of each that is made. */

static _Thread_local SSL *made;

static void remember(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    made = parent;
}

static BIO_METHOD *quiet_socket; /* as OpenSSL's, without SIGPIPE */

static int write_quietly(BIO *bio, const char *bytes, int len) {
    BIO_clear_retry_flags(bio);
    errno = 0;
    int n = (int)send((int)BIO_get_fd(bio, NULL), bytes, (size_t)len, MSG_NOSIGNAL);
    if (n <= 0 && BIO_sock_should_retry(n))
        BIO_set_retry_write(bio);
    return n;
}

static void prepare(void) {
    const BIO_METHOD *plain = BIO_s_socket();
    (void)SSL_get_ex_new_index(0, NULL, remember, NULL, NULL);
    quiet_socket = BIO_meth_new(BIO_TYPE_SOCKET, "quiet socket");
    if (!quiet_socket)
        return;
    (void)BIO_meth_set_write(quiet_socket, write_quietly);
    (void)BIO_meth_set_ctrl(quiet_socket, BIO_meth_get_ctrl(plain));
    (void)BIO_meth_set_create(quiet_socket, BIO_meth_get_create(plain));
    (void)BIO_meth_set_destroy(quiet_socket, BIO_meth_get_destroy(plain));
}

/* For all that is written after the handshake, on whatever thread. */
static bool tame(SSL *ssl) {
    BIO *bio = quiet_socket ? BIO_new(quiet_socket) : NULL;
    if (!bio)
        return false;
    BIO_set_fd(bio, SSL_get_fd(ssl), BIO_NOCLOSE);
    SSL_set0_wbio(ssl, bio);
    (void)SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return true;
}

/* ---- Why it failed */

void zk_tls_clean(void) {
    errno = 0; /* the client takes what is left there for its own */
    ERR_clear_error();
}

zk_shaken zk_tls_failure(int rc) {
    zk_shaken shaken = {.rc = rc};
    unsigned long error = ERR_peek_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    shaken.refused = reason && ERR_GET_REASON(error) != SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (shaken.refused)
        (void)snprintf(shaken.why, sizeof shaken.why, "TLS: %s", reason);
    return shaken;
}

/* ---- Is it the server that was asked for? */

static bool bears_name(X509 *certificate, const char *name) {
    struct in6_addr address;
    bool numeric = inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
    return numeric ? X509_check_ip_asc(certificate, name, 0) == 1 : X509_check_host(certificate, name, 0, 0, NULL) == 1;
}

/* One of them: the servers of an ensemble stand for each other, and the client was given numbers only. */
static bool bears_one_of(X509 *certificate, const char *names) {
    for (const char *p = names;; p++) {
        char name[256];
        size_t len = strcspn(p, ",");
        const char *colon = memrchr(p, ':', len);
        size_t host = colon ? (size_t)(colon - p) : len, bracket = host > 1 && *p == '[';
        if (host < sizeof name) {
            (void)snprintf(name, sizeof name, "%.*s", (int)(host - 2 * bracket), p + bracket);
            if (bears_name(certificate, name))
                return true;
        }
        p += len;
        if (!*p)
            return false;
    }
}

/* By `ca` alone: the client has asked the system's authorities, too. */
static bool is_signed(SSL *ssl, X509 *certificate, const char *ca) {
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool valid = store && check && X509_STORE_load_locations(store, ca, NULL) == 1 &&
                 X509_STORE_CTX_init(check, store, certificate, SSL_get_peer_cert_chain(ssl)) == 1 &&
                 X509_STORE_CTX_set_default(check, "ssl_server") == 1 && X509_verify_cert(check) == 1;
    X509_STORE_CTX_free(check);
    X509_STORE_free(store);
    return valid;
}

static void judge(const zk_tls *tls, SSL *ssl, zk_shaken *shaken) {
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (!certificate || !is_signed(ssl, certificate, tls->ca))
        (void)snprintf(shaken->why, sizeof shaken->why, "TLS: the server's certificate is not signed by tls_ca");
    else if (!bears_one_of(certificate, tls->names))
        (void)snprintf(shaken->why, sizeof shaken->why, "TLS: the server's certificate bears another name than %.80s",
                       tls->names);
    shaken->refused = *shaken->why;
    X509_free(certificate);
}

/* ---- The handshake */

/* The thread's own: it does nothing else. */
static void block_sigpipe(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

zk_shaken zk_tls_process(const zk_tls *tls, zhandle_t *zh) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, prepare);
    block_sigpipe();
    made = NULL;
    zk_tls_clean();
    int rc = zookeeper_process(zh, ZOOKEEPER_WRITE);
    if (rc != ZOK)
        return zk_tls_failure(rc);
    zk_shaken shaken = {0};
    if (made && tame(made))
        judge(tls, made, &shaken);
    else
        shaken.rc = ZSYSTEMERROR;
    return shaken;
}

typedef struct errand {
    const zk_tls *tls;
    zhandle_t *zh;
    zk_shaken shaken;
} errand;

static void *run(void *arg) {
    errand *e = arg;
    e->shaken = zk_tls_process(e->tls, e->zh);
    return NULL;
}

zk_shaken zk_tls_process_within(const zk_tls *tls, zhandle_t *zh, int fd, int patience_ms) {
    errand e = {tls, zh, {.rc = ZSYSTEMERROR}};
    pthread_t thread;
    struct timespec until;
    int ear = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the client may close its own meanwhile */
    if (ear >= 0 && clock_gettime(CLOCK_MONOTONIC, &until) == 0 && pthread_create(&thread, NULL, run, &e) == 0) {
        until.tv_sec += patience_ms / 1000;
        if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
            (void)shutdown(ear, SHUT_RDWR);
            (void)pthread_join(thread, NULL);
        }
    }
    if (ear >= 0)
        (void)close(ear);
    return e.shaken;
}

#endif
