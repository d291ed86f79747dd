/* A server, a host and clients of the backend for specs of MySQL alone. */
#ifndef SPEC_BACKENDS_MYSQL_RIG_H
#define SPEC_BACKENDS_MYSQL_RIG_H

#include <moonwatch/host_uv.h>

#include "backends/mysql/plugin.h"
#include "backends/spi_client.h"
#include "support/mysql_server.h"

static struct {
    spec_mysql server;
    mw_host *host;
    char log[8192];
    char failure[512];
    int failure_status;
    spi_client a, b;
} rig;

static inline void rig_log(void *arg, mw_log_level level, const char *component, const char *line) {
    spi_append(rig.log, sizeof rig.log, "%s\n", line);
}

static inline void rig_tick(mw_timer *timer) {}

static inline bool rig_run(bool (*until)(void *arg), void *arg) {
    mw_timer timer = {.fire = rig_tick};
    mw_time deadline = mw_host_now(rig.host) + 30 * MW_SECOND;
    while (!until(arg) && mw_host_now(rig.host) < deadline) {
        mw_timer_start(rig.host, &timer, 10 * MW_MS);
        mw_uv_host_step(rig.host, true);
    }
    mw_timer_stop(rig.host, &timer);
    return until(arg);
}

static const spi_bench rig_bench = {NULL, NULL, rig_run, ""};

/* Up to four more options replace or follow the usual ones. */
static inline const mw_option *rig_options(const mw_option *more) {
    static mw_option options[16];
    static const char *const usual[][2] = {{"host", "127.0.0.1"},
                                           {"database", "moonwatch"},
                                           {"username", "mwlog"},
                                           {"password", "s3cret"},
                                           {"tls", "off"}};
    size_t count = 0;
    options[count++] = (mw_option){"port", rig.server.port};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        options[count++] = (mw_option){usual[i][0], usual[i][1]};
    for (; more && more->key; more++)
        options[count++] = *more; /* the last of a key counts */
    options[count] = (mw_option){NULL, NULL};
    return options;
}

static inline void rig_open(spi_client *client, const mw_option *more) {
    spi_open(client, &rig_bench, rig.host, mw_backend_plugin(), rig_options(more));
}

static inline void rig_before(void) {
    rig.log[0] = rig.failure[0] = '\0';
    rig.failure_status = 0;
    rig.a = rig.b = (spi_client){0};
    spec_mysql_empty(&rig.server);
    CHECK_INT(mw_uv_host_new(NULL, rig_log, NULL, &rig.host, NULL), MW_OK);
}

/* What a case that failed left open. */
static inline void rig_drop(spi_client *client) {
    if (client->conn && !client->closed)
        spi_close(client);
}

static inline void rig_after(void) {
    rig_drop(&rig.a);
    rig_drop(&rig.b);
    mw_uv_host_free(rig.host);
}

/* Run the cases beside a server with these options. */
static inline int rig_main(const char *server_options, const spec_case *cases, size_t count, int argc, char **argv) {
    spec_mysql_start(&rig.server, server_options);
    spec.before = rig_before;
    spec.after = rig_after;
    int status = spec_run(cases, count, argc, argv);
    spec_mysql_remove(&rig.server);
    return status;
}

#endif
