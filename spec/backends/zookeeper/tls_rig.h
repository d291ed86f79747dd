/* Connections with TLS to a server with a secure port (ZK_TLS), and what they log of it. */
#ifndef SPEC_ZOOKEEPER_TLS_RIG_H
#define SPEC_ZOOKEEPER_TLS_RIG_H

#include "rig.h"
#include "world.h"

static inline const char *secure_servers(void) {
    return getenv("ZK_SECURE_SERVERS");
}

static inline int secure_port(void) {
    return atoi(strrchr(secure_servers(), ':') + 1);
}

static struct {
    int lines;
    char last[256];
} warned;

static inline void note_warning(void *arg, mw_log_level level, const char *component, const char *line) {
    if (level != MW_LOG_WARN || !strstr(line, "TLS: "))
        return;
    warned.lines++;
    snprintf(warned.last, sizeof warned.last, "%s", line);
}

typedef struct setting {
    const char *servers, *ca, *cert, *key, *password, *name, *connect_timeout_ms;
} setting;

static inline const char *or_else(const char *text, const char *otherwise) {
    return text ? text : otherwise;
}

static inline void open_tls(rig *r, setting s) {
    char files[3][160];
    const char *names[3] = {or_else(s.ca, "ca"), or_else(s.cert, "client"), or_else(s.key, "client-key")};
    mw_host *host = NULL;
    mw_error err = {0};
    for (int i = 0; i < 3; i++)
        snprintf(files[i], sizeof files[i], "%s/tls/%s.pem", getenv("ZK_DIR"), names[i]);
    mw_option options[12] = {{"servers", or_else(s.servers, secure_servers())},
                             {"session_timeout_ms", "60000"}, /* silence is not what these specs are about */
                             {"connect_timeout_ms", or_else(s.connect_timeout_ms, "0")},
                             {"tls", "true"},
                             {"tls_ca", files[0]},
                             {"tls_cert", files[1]},
                             {"tls_key", files[2]}};
    int count = 7;
    if (s.password)
        options[count++] = (mw_option){"tls_key_password", s.password};
    if (s.name)
        options[count++] = (mw_option){"tls_name", s.name};
    memset(&warned, 0, sizeof warned);
    CHECK_INT(mw_uv_host_new(NULL, note_warning, NULL, &host, &err), MW_OK);
    CHECK_INT(rig_try_open(r, options, host, &err), MW_OK);
}

#endif
