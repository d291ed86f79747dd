/* The promises of the SPI (moonwatch/backend.h), checked on any table: a backend's spec is a `main` that fills an
 * `spi_bench` and calls `spi_spec_run`. Nothing here waits for a time; all waits are for conditions. */
#ifndef SPEC_BACKENDS_SPI_SPEC_H
#define SPEC_BACKENDS_SPI_SPEC_H

#include <moonwatch/backend.h>

/* What a spec of a backend provides. */
typedef struct spi_bench {
    /* A fresh, empty registry. The table, options and host stay until `end`. */
    void (*begin)(mw_host **ret_host, const mw_backend **ret_backend, const mw_option **ret_options);
    void (*end)(void);
    /* Run the loop until `until` holds; false when a generous deadline passes first. */
    bool (*run)(bool (*until)(void *arg), void *arg);
    const char *prefix; /* "" or a path in front of all that is written, for registries that are shared */
} spi_bench;

/* Exit status. One argument: only the cases whose name holds it. */
int spi_spec_run(const spi_bench *bench, int argc, char **argv);

#endif
