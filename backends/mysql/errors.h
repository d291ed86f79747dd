/* What the server and the client library report, as statuses of the registry. */
#ifndef MOONWATCH_BACKENDS_MYSQL_ERRORS_H
#define MOONWATCH_BACKENDS_MYSQL_ERRORS_H

#include <moonwatch/status.h>
#include <mysql.h>

/* The connection is of no more use. */
bool mw_mysql_is_gone(unsigned number);

/* Why connecting failed. `where` is host:port/database, `user` the account. Statuses that retrying mends: DISCONNECTED,
 * BUSY, TIMEOUT, IO. */
int mw_mysql_connect_error(MYSQL *mysql, const char *where, const char *user, mw_error *err);

/* Why a statement was refused, on a connection that may still be usable (mw_mysql_is_gone). BUSY = repeat it; a status
 * of DISCONNECTED = connect anew, for the server or the database has changed under us. `name` is the statement's. */
int mw_mysql_statement_error(MYSQL *mysql, const char *name, mw_error *err);

#endif
