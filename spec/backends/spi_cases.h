/* What the files of the SPI's spec share: the registry of the case, its clients, and the lists of cases. Only
 * spi_spec.c is its own program's; the others define SPEC_HELPER first. */
#ifndef SPEC_BACKENDS_SPI_CASES_H
#define SPEC_BACKENDS_SPI_CASES_H

#include "spi_client.h"

/* One registry per case, and up to three clients on it; those still open at the end of a case are closed. */
typedef struct spi_stage {
    const spi_bench *bench;
    mw_host *host;
    const mw_backend *backend;
    const mw_option *options;
    spi_client a, b, c;
} spi_stage;

extern spi_stage on;

static inline spi_client *client(spi_client *which) {
    spi_open(which, on.bench, on.host, on.backend, on.options);
    return which;
}

/* `path` behind the bench's prefix; four at a time. */
static inline const char *at(const char *path) {
    static char text[4][128];
    static int next;
    char *place = text[next++ % 4];
    (void)snprintf(place, sizeof text[0], "%s%s", on.bench->prefix, path);
    return place;
}

/* Each ends with an empty one. */
extern const spec_case spi_entry_cases[], spi_session_cases[], spi_feed_cases[], spi_lock_cases[];

#endif
