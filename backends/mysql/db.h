/* One connection to a server, as the files of this folder see it. */
#ifndef MOONWATCH_BACKENDS_MYSQL_DB_H
#define MOONWATCH_BACKENDS_MYSQL_DB_H

#include <mysql.h>
#include <pthread.h>

#include "binlog.h"
#include "options.h"
#include "render.h"
#include "sql/driver.h"

/* What the server told when we connected. */
typedef struct mw_mysql_server {
    char version[64];
    unsigned long number; /* 101106 = 10.11.6 */
    bool mariadb;
    bool read_only;
    bool galera;
    bool group_multi_primary;
    bool binlog;
    bool statement_binlog; /* binlog_format = STATEMENT: it refuses READ COMMITTED */
    size_t packet_limit;
} mw_mysql_server;

struct mw_sql_db {
    mw_host *host;
    mw_mysql_options options;
    mw_time session_timeout;
    const mw_sql_statement *catalog;
    char where[320]; /* host:port/database */

    MYSQL *mysql; /* NULL when not connected; only the connection thread */
    mw_mysql_server server;
    bool made_do; /* with older tables, and said so */
    mw_mysql_packet packet;
    mw_mysql_binlog binlog;

    pthread_mutex_t lock; /* guards `socket` */
    int socket;           /* what `interrupt` shuts down; -1 = none */
    int interrupt_fd;     /* an eventfd, readable once interrupted, until disconnect */
};

mw_sql_connect_fn mw_mysql_connect;
mw_sql_disconnect_fn mw_mysql_disconnect;
mw_sql_interrupt_fn mw_mysql_interrupt;
mw_sql_schema_fn mw_mysql_schema;
void mw_mysql_mark(char *text, size_t size, const mw_sql_mark *mark); /* the statement that sets it */
mw_sql_run_fn mw_mysql_run;

#endif
