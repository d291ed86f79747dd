/* The promises of the SPI, on a real server: a new chroot for each case, on the libuv host. */
#include <moonwatch/host_uv.h>
#include <moonwatch/registry.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "backends/spi_spec.h"

static struct {
    mw_host *host;
    const mw_backend *backend;
    mw_option options[3];
    char servers[256];
    int cases;
} world;

static void begin(mw_host **ret_host, const mw_backend **ret_backend, const mw_option **ret_options) {
    mw_error err;
    const char *servers = getenv("ZK_SERVERS");
    snprintf(world.servers, sizeof world.servers, "%s/spi/%ld-%d", servers ? servers : "", (long)getpid(),
             ++world.cases);
    world.options[0] = (mw_option){"servers", world.servers};
    world.options[1] = (mw_option){"session_timeout_ms", "8000"};
    if (!servers || mw_backend_find("zookeeper", NULL, &world.backend, &err) != MW_OK ||
        mw_uv_host_new(NULL, NULL, NULL, &world.host, &err) != MW_OK) {
        printf("Bail out! %s\n", servers ? err.message : "ZK_SERVERS is not set");
        exit(EXIT_FAILURE);
    }
    *ret_host = world.host;
    *ret_backend = world.backend;
    *ret_options = world.options;
}

static void end(void) {
    mw_uv_host_free(world.host);
}

static bool run(bool (*until)(void *arg), void *arg) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t deadline = now.tv_sec + 20;
    while (!until(arg)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > deadline)
            return false;
        mw_uv_host_step(world.host, true);
    }
    return true;
}

int main(int argc, char **argv) {
    static const spi_bench bench = {begin, end, run, ""};
    return spi_spec_run(&bench, argc, argv);
}
