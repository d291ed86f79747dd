/* Making a connection: TLS, time limits, and an end when we are interrupted. */
#ifndef MOONWATCH_BACKENDS_MYSQL_DIAL_H
#define MOONWATCH_BACKENDS_MYSQL_DIAL_H

#include <mysql.h>

#include "options.h"

/* A connection, or NULL with `ret_status` and `err` set (errors.h). `interrupt_fd` becomes readable when the attempt is
 * to be given up. Blocking from then on; each wait for the server ends after `read_timeout_s`. */
MYSQL *mw_mysql_dial(const mw_mysql_options *options, const char *where, unsigned read_timeout_s, int interrupt_fd,
                     int *ret_status, mw_error *err);

/* Is the eventfd readable? It stays so. */
bool mw_mysql_interrupted(int fd);

/* Send one packet and read all results; `row` (may be NULL) gets each row. A status as of mw_mysql_statement_error. */
int mw_mysql_ask(MYSQL *mysql, const char *what, const char *text,
                 void (*row)(void *arg, MYSQL_ROW cells, unsigned count), void *arg, mw_error *err);

/* The same for a statement without rows that takes as long as it takes: our own limits do not count, those of the
 * server are lifted where they can be. It ends early when `interrupt_fd` becomes readable. */
int mw_mysql_ask_patiently(MYSQL *mysql, int interrupt_fd, const char *what, const char *text, mw_error *err);

#endif
