/* MySQL keeps the SPI's promises, on a server of its own. */
#include <moonwatch/host_uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backends/mysql/plugin.h"
#include "backends/spi_spec.h"
#include "support/mysql_server.h"

static struct {
    spec_mysql server;
    mw_host *host;
} now;

/* As TAP comments: why a case failed. */
static void print(void *arg, mw_log_level level, const char *component, const char *line) {
    if (level >= MW_LOG_WARN)
        printf("# %s: %s\n", component, line);
}

static void begin(mw_host **ret_host, const mw_backend **ret_backend, const mw_option **ret_options) {
    static mw_option options[] = {{"host", "127.0.0.1"},     {"port", NULL},
                                  {"database", "moonwatch"}, {"username", "mwlog"},
                                  {"password", "s3cret"},    {"session_timeout_ms", "9000"},
                                  {"heartbeat_ms", "300"},   {NULL, NULL}};
    spec_mysql_empty(&now.server);
    if (mw_uv_host_new(NULL, print, NULL, &now.host, NULL) != MW_OK)
        abort();
    options[1].value = now.server.port;
    *ret_host = now.host;
    *ret_backend = mw_backend_plugin();
    *ret_options = options;
}

static void end(void) {
    mw_uv_host_free(now.host);
}

static void tick(mw_timer *timer) {}

/* A turn at least every 10 ms, and 20 s at most. */
static bool run(bool (*until)(void *arg), void *arg) {
    mw_timer timer = {.fire = tick};
    mw_time deadline = mw_host_now(now.host) + 20 * MW_SECOND;
    while (!until(arg) && mw_host_now(now.host) < deadline) {
        mw_timer_start(now.host, &timer, 10 * MW_MS);
        mw_uv_host_step(now.host, true);
    }
    mw_timer_stop(now.host, &timer);
    return until(arg);
}

int main(int argc, char **argv) {
    static const spi_bench bench = {begin, end, run, ""};
    spec_mysql_start(&now.server, "--log-bin=bin");
    int status = spi_spec_run(&bench, argc, argv);
    spec_mysql_remove(&now.server);
    return status;
}
