/* The server's binary log as a hint: a thread reads it and makes a descriptor readable when the registry's change log
 * may have grown. Hints only: what changed is read from the tables, and the poll stays.
 *
 * The account needs REPLICATION SLAVE. The dump carries all writes of the server, so it can be switched off. */
#ifndef MOONWATCH_BACKENDS_MYSQL_BINLOG_H
#define MOONWATCH_BACKENDS_MYSQL_BINLOG_H

#include <pthread.h>
#include <stdatomic.h>

#include <moonwatch/host.h>

#include "options.h"

typedef struct mw_mysql_binlog {
    mw_host *host; /* for its log only */
    const mw_mysql_options *options;
    const char *where;
    uint32_t server_id; /* among the server's replicas; a second reader with the same id ends the first */
    int hint_fd;        /* an eventfd: readable when there is a hint */
    int stop_fd;        /* an eventfd: readable when the thread is to end */
    atomic_bool live;   /* events are being read */
    atomic_uint hints;  /* commits that were seen to touch the change log */
    atomic_bool ended;  /* the thread needs only to be joined */
    char told[96];      /* what the log was told last, so that reconnecting does not repeat it */
    bool running;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `socket` */
    int socket;           /* -1 = none */
} mw_mysql_binlog;

/* Prepare; no thread yet. MW_EIO, MW_ENO_MEMORY. `options` and `where` outlive it. */
int mw_mysql_binlog_init(mw_mysql_binlog *reader, mw_host *host, const mw_mysql_options *options, const char *where,
                         uint32_t server_id, mw_error *err);
void mw_mysql_binlog_release(mw_mysql_binlog *reader);

/* Start to read at the present position, unless it runs. Says in the log whether reactions follow the binary log or
 * polls. It reconnects by itself; for want of rights it ends. */
void mw_mysql_binlog_start(mw_mysql_binlog *reader);

/* There is none to read: say in the log why reactions follow polls. */
void mw_mysql_binlog_absent(mw_mysql_binlog *reader, const char *why);

/* End the thread, whatever it waits for, and wait for its end. Harmless when it does not run. */
void mw_mysql_binlog_stop(mw_mysql_binlog *reader);

/* The descriptor while events are being read, otherwise -1; and take its hint away. */
int mw_mysql_binlog_fd(mw_mysql_binlog *reader);
void mw_mysql_binlog_clear(mw_mysql_binlog *reader);

#endif
