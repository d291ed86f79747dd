/* The SQLite backend keeps the SPI's promises. */
#include "backends/spi_spec.h"
#include "bench.h"

static sqlite_bench bench;
static mw_option options[3];

static void begin(mw_host **ret_host, const mw_backend **ret_backend, const mw_option **ret_options) {
    sqlite_bench_begin(&bench);
    options[0] = (mw_option){"path", bench.path};
    options[1] = (mw_option){"session_timeout_ms", "900"};
    *ret_host = bench.host;
    *ret_backend = mw_backend_plugin();
    *ret_options = options;
}

static void end(void) {
    sqlite_bench_end(&bench);
}

static bool run(bool (*until)(void *arg), void *arg) {
    return sqlite_bench_run(&bench, until, arg);
}

int main(int argc, char **argv) {
    static const spi_bench on_sqlite = {begin, end, run, ""};
    return spi_spec_run(&on_sqlite, argc, argv);
}
