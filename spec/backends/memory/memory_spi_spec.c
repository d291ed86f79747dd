/* The memory backend keeps the SPI's promises. */
#include <moonwatch/host_virtual.h>

#include "backends/memory/memory.h"
#include "backends/spi_spec.h"

#include <stdlib.h>

static struct {
    mw_world *world;
    mw_host *host;
    mw_memory_server *server;
} now;

static void must(int status) {
    if (status != MW_OK)
        abort();
}

static void begin(mw_host **ret_host, const mw_backend **ret_backend, const mw_option **ret_options) {
    must(mw_world_new(1, &now.world, NULL));
    must(mw_world_host(now.world, NULL, NULL, &now.host, NULL));
    must(mw_memory_server_new(now.host, NULL, &now.server, NULL));
    *ret_host = now.host;
    *ret_backend = mw_memory_backend(now.server);
    *ret_options = NULL;
}

static void end(void) {
    mw_memory_server_free(now.server);
    if (mw_virtual_pending(now.host) != 0)
        abort(); /* a timer or a defer outlived its owner */
    mw_world_free(now.world);
}

static bool run(bool (*until)(void *arg), void *arg) {
    mw_time deadline = mw_world_now(now.world) + 60 * MW_SECOND;
    while (!until(arg))
        if (!mw_world_step(now.world) || mw_world_now(now.world) > deadline)
            return until(arg);
    return true;
}

int main(int argc, char **argv) {
    static const spi_bench bench = {begin, end, run, ""};
    return spi_spec_run(&bench, argc, argv);
}
