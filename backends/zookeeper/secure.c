/* What `tls`, `sasl` and the options that go with them ask for. */
#include "zk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef ZK_HAS_TLS
#define HAS_TLS true
#else
#define HAS_TLS false
#endif
#ifdef ZK_HAS_SASL
#define HAS_SASL true
#else
#define HAS_SASL false
#endif

bool zk_secure_knows(const char *key) {
    return strcmp(key, "sasl") == 0 || strcmp(key, "tls") == 0 || strncmp(key, "tls_", 4) == 0;
}

static int read_boolean(const mw_option *option, bool *ret_value, mw_error *err) {
    bool yes = strcmp(option->value, "true") == 0;
    if (!yes && strcmp(option->value, "false") != 0)
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: '%s' is neither true nor false", option->key,
                       option->value);
    *ret_value = yes;
    return MW_OK;
}

static int read_tls(zk_secure *secure, const mw_option *option, mw_error *err) {
    int status = read_boolean(option, &secure->tls, err);
    secure->said = true;
    if (status != MW_OK || !secure->tls || HAS_TLS)
        return status;
    return zk_fail(err, MW_EUNSUPPORTED,
                   "zookeeper: option tls: the linked client library (%s) was built without it; build against one that "
                   "has zookeeper_init_ssl, or use a tunnel",
                   ZOO_VERSION);
}

/* Where the library has it, it is no use to a loop: when the server has answered, inside the call that reads the
 * answer, Cyrus SASL looks up this machine's own name (sasl_client_new), GSSAPI asks for tickets, and after the last
 * step the session begins, with all that we do then. And a handle has TLS or SASL, not both, so passwords would travel
 * bare. */
static int read_sasl(const mw_option *option, mw_error *err) {
    bool wanted = false;
    int status = read_boolean(option, &wanted, err);
    if (status != MW_OK || !wanted)
        return status;
    return zk_fail(
        err, MW_EUNSUPPORTED, "zookeeper: option sasl: the linked client library (%s) %s; use digest", ZOO_VERSION,
        HAS_SASL ? "has it, but would hold the loop while names and tickets are looked up" : "was built without it");
}

int zk_secure_read(zk_secure *secure, const mw_option *option, mw_error *err) {
    const struct {
        const char *key, **value;
    } texts[] = {{"tls_ca", &secure->ca},
                 {"tls_cert", &secure->cert},
                 {"tls_key", &secure->key},
                 {"tls_key_password", &secure->password},
                 {"tls_name", &secure->name}};
    if (strcmp(option->key, "tls") == 0)
        return read_tls(secure, option, err);
    if (strcmp(option->key, "sasl") == 0)
        return read_sasl(option, err);
    secure->stray = option->key;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(option->key, texts[i].key) == 0) {
            *texts[i].value = option->value;
            return MW_OK;
        }
    if (strcmp(option->key, "tls_key_password_file") != 0)
        return zk_fail(err, MW_EINVALID, "zookeeper: there is no option '%s'", option->key);
    zk_secure_release(secure);
    int status = zk_first_line(option->key, option->value, &secure->password_read, err);
    secure->password = secure->password_read;
    return status;
}

static int check_file(const char *key, const char *path, mw_error *err) {
    if (!path)
        return zk_fail(err, MW_EINVALID,
                       "zookeeper: option tls: %s is missing (tls_ca, tls_cert and tls_key are needed)", key);
    if (strchr(path, ','))
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: %s: the client library takes no comma in it", key,
                       path);
    if (access(path, R_OK) != 0)
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: %s: %s", key, path, strerror(errno));
    return MW_OK;
}

int zk_secure_finish(zk_secure *secure, const char *servers, zk_tls **ret_tls, mw_error *err) {
    if (!secure->said && secure->stray) /* lest somebody thinks that it is on */
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: means nothing without tls", secure->stray);
    if (!secure->tls)
        return MW_OK;
    int status = check_file("tls_ca", secure->ca, err);
    if (status == MW_OK)
        status = check_file("tls_cert", secure->cert, err);
    if (status == MW_OK)
        status = check_file("tls_key", secure->key, err);
    if (status != MW_OK)
        return status;
    if (secure->password && (!*secure->password || strchr(secure->password, ',')))
        return zk_fail(
            err, MW_EINVALID,
            "zookeeper: option tls_key_password: the client library takes none that is empty or has a comma");
    char name[264]; /* as it stands in `servers`, before a port */
    (void)snprintf(name, sizeof name, "%s:", secure->name ? secure->name : "");
    *ret_tls = zk_tls_new(secure->ca, secure->cert, secure->key, secure->password, secure->name ? name : servers);
    return *ret_tls ? MW_OK : zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
}

void zk_secure_release(zk_secure *secure) {
    if (secure->password_read)
        explicit_bzero(secure->password_read, strlen(secure->password_read));
    free(secure->password_read);
    secure->password_read = NULL;
}
