/* The text of a batch: one packet of statements, and which step each of them belongs to. */
#ifndef MOONWATCH_BACKENDS_MYSQL_RENDER_H
#define MOONWATCH_BACKENDS_MYSQL_RENDER_H

#include "sql/driver.h"

#define MW_MYSQL_ROWS_PER_STATEMENT 512

/* Kept from batch to batch; zero-initialised. */
typedef struct mw_mysql_packet {
    char *text;
    size_t len, capacity;
    int *steps; /* per statement its step; MW_MYSQL_FRAME for BEGIN and its kind, MW_MYSQL_COMMIT for the commit */
    size_t statement_count, statement_capacity;
    bool no_memory;
    bool values; /* the server takes rows as VALUES (...), (...) (MariaDB 10.3), two thirds of the work of a UNION */
} mw_mysql_packet;

#define MW_MYSQL_FRAME (-1)
#define MW_MYSQL_COMMIT (-2)

/* Write `batch` into `packet`. MW_ENO_MEMORY, or MW_ETOO_LARGE when it does not fit into `limit` bytes. */
int mw_mysql_render(mw_mysql_packet *packet, const mw_sql_statement *catalog, const mw_sql_batch *batch, size_t limit,
                    mw_error *err);

void mw_mysql_packet_release(mw_mysql_packet *packet);

#endif
