/* What `open` accepts. */
#include "zk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOT_MAX 1024

#ifdef ZK_HAS_TLS
#define TLS_HELP "with tls_ca, tls_cert and tls_key; certificate and name are checked"
#else
#define TLS_HELP "refused: the client library was built without it"
#endif
#ifdef ZK_HAS_SASL
#define SASL_HELP "refused: the client library would hold the loop with it; digest is not"
#else
#define SASL_HELP "refused: the client library was built without it; digest is not"
#endif

const mw_requirement zk_requirements[] = {
    {"servers", "string", NULL, true, "host:port,host:port[/chroot]"},
    {"session_timeout_ms", "duration", "10000", false, "asked of the server, which may bound it"},
    {"connect_timeout_ms", "duration", "0", false, "one attempt at one server; 0 = a third of the session timeout"},
    {"digest", "secret", NULL, false, "user:password"},
    {"digest_file", "path", NULL, false, "a file whose first line is user:password"},
    {"acl", "string", NULL, false, "of what we create: private (with digest), read, open (without)"},
    {"packet_limit", "size", "1048575", false, "jute.maxbuffer of the servers"},
    {"watch_limit", "size", "524288", false,
     "bytes of watched paths set again after a reconnect, at most half a packet; beyond, all is read anew"},
    {"tls", "boolean", "false", false, TLS_HELP},
    {"tls_ca", "path", NULL, false, "who signs the servers' certificates, PEM"},
    {"tls_cert", "path", NULL, false, "our certificate and who signed it, PEM; the client library wants one"},
    {"tls_key", "path", NULL, false, "its key, PEM"},
    {"tls_key_password", "secret", NULL, false, "of an encrypted key"},
    {"tls_key_password_file", "path", NULL, false, "a file whose first line is the key's password"},
    {"tls_name", "string", NULL, false, "what the servers' certificates are made out to; otherwise one of servers"},
    {"sasl", "boolean", "false", false, SASL_HELP},
    {0}};

static char *first_line(FILE *file) {
    char line[512];
    if (!fgets(line, sizeof line, file))
        return NULL;
    line[strcspn(line, "\r\n")] = 0;
    return strdup(line);
}

int zk_first_line(const char *key, const char *path, char **ret_line, mw_error *err) {
    FILE *file = fopen(path, "re");
    if (!file)
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: %s: %s", key, path, strerror(errno));
    char *line = first_line(file);
    (void)fclose(file);
    if (!line)
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: %s is empty", key, path);
    *ret_line = line;
    return MW_OK;
}

static int read_number(const mw_option *option, uint64_t low, uint64_t high, uint64_t *ret_number, mw_error *err) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(option->value, &end, 10);
    if (errno || end == option->value || *end || *option->value == '-' || number < low || number > high)
        return zk_fail(err, MW_EINVALID, "zookeeper: option %s: '%s' is no number from %llu to %llu", option->key,
                       option->value, (unsigned long long)low, (unsigned long long)high);
    *ret_number = number;
    return MW_OK;
}

static int read_milliseconds(const mw_option *option, uint64_t low, mw_time *ret_time, mw_error *err) {
    uint64_t number = 0;
    int status = read_number(option, low, 3600000, &number, err);
    if (status == MW_OK)
        *ret_time = number * MW_MS;
    return status;
}

static int read_size(const mw_option *option, uint64_t low, size_t *ret_size, mw_error *err) {
    uint64_t number = 0;
    int status = read_number(option, low, 1u << 30, &number, err);
    if (status == MW_OK)
        *ret_size = (size_t)number;
    return status;
}

static int check_port(const char *server, size_t len, mw_error *err) {
    const char *colon = memrchr(server, ':', len);
    size_t digits = colon ? len - (size_t)(colon + 1 - server) : 0;
    long port = digits ? strtol(colon + 1, NULL, 10) : 0;
    if (!colon || colon == server || digits == 0 || digits > 5 || strspn(colon + 1, "0123456789") < digits ||
        port < 1 || port > 65535)
        return zk_fail(err, MW_EINVALID, "zookeeper: option servers: '%.*s' is not host:port", (int)len, server);
    return MW_OK;
}

/* "host:port,host:port/chroot"; spaces around commas are allowed. */
static int read_servers(zk_options *options, const char *text, mw_error *err) {
    size_t hosts = strcspn(text, "/");
    const char *root = text + hosts;
    size_t root_len = strlen(root);
    if (root_len > 1 && root[root_len - 1] == '/')
        return zk_fail(err, MW_EINVALID, "zookeeper: option servers: the chroot '%s' ends with '/'", root);
    if (root_len > ROOT_MAX || strstr(root, "//"))
        return zk_fail(err, MW_EINVALID, "zookeeper: option servers: the chroot '%.64s' is no path", root);
    char *clean = calloc(1, hosts + 1);
    if (!clean)
        return zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
    for (size_t i = 0, n = 0; i < hosts; i++)
        if (text[i] != ' ' && text[i] != '\t')
            clean[n++] = text[i];
    free(options->servers);
    options->servers = clean;
    for (const char *p = clean;; p++) {
        size_t len = strcspn(p, ",");
        int status = check_port(p, len, err);
        if (status != MW_OK)
            return status;
        p += len;
        if (!*p)
            break;
    }
    free(options->root);
    options->root = strdup(root_len > 1 ? root : "");
    return options->root ? MW_OK : zk_fail(err, MW_ENO_MEMORY, "zookeeper: out of memory");
}

typedef struct reading {
    zk_options *options;
    const char *acl;
    zk_secure secure;
    mw_error *err;
} reading;

static int read_one(reading *r, const mw_option *option) {
    zk_options *o = r->options;
    if (strcmp(option->key, "servers") == 0)
        return read_servers(o, option->value, r->err);
    if (strcmp(option->key, "session_timeout_ms") == 0)
        return read_milliseconds(option, 100, &o->session_timeout, r->err);
    if (strcmp(option->key, "connect_timeout_ms") == 0)
        return read_milliseconds(option, 0, &o->connect_timeout, r->err);
    if (strcmp(option->key, "packet_limit") == 0)
        return read_size(option, 1024, &o->packet_limit, r->err);
    if (strcmp(option->key, "watch_limit") == 0)
        return read_size(option, 0, &o->watch_limit, r->err);
    if (strcmp(option->key, "digest_file") == 0) {
        free(o->digest);
        o->digest = NULL;
        return zk_first_line(option->key, option->value, &o->digest, r->err);
    }
    if (zk_secure_knows(option->key))
        return zk_secure_read(&r->secure, option, r->err);
    if (strcmp(option->key, "acl") == 0) {
        r->acl = option->value;
        return MW_OK;
    }
    if (strcmp(option->key, "digest") == 0) {
        free(o->digest);
        o->digest = strdup(option->value);
        return o->digest ? MW_OK : zk_fail(r->err, MW_ENO_MEMORY, "zookeeper: out of memory");
    }
    return zk_fail(r->err, MW_EINVALID, "zookeeper: there is no option '%s'", option->key);
}

int zk_options_read(zk_options *options, const mw_option *list, mw_error *err) {
    *options = (zk_options){.session_timeout = 10 * MW_SECOND, .packet_limit = 1048575, .watch_limit = 524288};
    reading r = {.options = options, .err = err};
    int status = MW_OK;
    for (; status == MW_OK && list && list->key; list++)
        status = read_one(&r, list);
    if (status == MW_OK && !options->servers)
        status = zk_fail(err, MW_EINVALID, "zookeeper: option servers is missing (host:port,host:port[/chroot])");
    if (status == MW_OK && options->digest && !strchr(options->digest, ':'))
        status = zk_fail(err, MW_EINVALID, "zookeeper: option digest: not of the form user:password");
    if (status == MW_OK)
        status = zk_acl_read(r.acl, options->digest != NULL, &options->acl, err);
    if (status == MW_OK)
        status = zk_secure_finish(&r.secure, options->servers, &options->tls, err);
    zk_secure_release(&r.secure);
    if (options->watch_limit > options->packet_limit / 2)
        options->watch_limit = options->packet_limit / 2; /* they are set again in one packet */
    if (options->connect_timeout == 0)
        options->connect_timeout = options->session_timeout / 3;
    if (status != MW_OK)
        zk_options_release(options);
    return status;
}

void zk_options_release(zk_options *options) {
    if (options->digest)
        explicit_bzero(options->digest, strlen(options->digest));
    free(options->digest);
    free(options->servers);
    free(options->root);
    zk_tls_drop(options->tls);
    *options = (zk_options){0};
}
