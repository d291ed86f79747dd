/* A MariaDB server of a spec's own (support/mysql_server), and a root connection to it. It ends with this process. */
#ifndef SPEC_SUPPORT_MYSQL_SERVER_H
#define SPEC_SUPPORT_MYSQL_SERVER_H

#include <mysql.h>
#include <stdint.h>

typedef struct spec_mysql {
    char dir[128];
    char socket[160];
    char port[8];
    MYSQL *root; /* reconnected by start and restart; NULL while the server is down */
} spec_mysql;

/* Start a server with more options of mariadbd ("--log-bin=bin"), or abort with what it said. */
void spec_mysql_start(spec_mysql *server, const char *options);

/* The same data and port, other options. */
void spec_mysql_restart(spec_mysql *server, const char *options);

/* "stop", "kill", "freeze" or "thaw". */
void spec_mysql_do(spec_mysql *server, const char *verb);

/* Kill it and remove its folder. */
void spec_mysql_remove(spec_mysql *server);

/* Statements as root, one packet; aborts when one fails. The first cell of the last row, as a number; 0 without any. */
int64_t spec_mysql_sql(spec_mysql *server, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drop and create the database `moonwatch`. */
void spec_mysql_empty(spec_mysql *server);

/* SHOW GLOBAL STATUS LIKE `name`. */
int64_t spec_mysql_status(spec_mysql *server, const char *name);

#endif
