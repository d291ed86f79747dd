/* From an address to a connection that is fit for the registry: settings of the session, and what the server is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "db.h"
#include "dial.h"

/* What is there since: DYNAMIC rows with keys over 767 bytes, and (MariaDB) limits for transactions that stall. */
#define OLDEST_MARIADB 100300
#define OLDEST_MYSQL 50700

static unsigned seconds(mw_time time, unsigned least) {
    unsigned whole = (unsigned)((time + MW_SECOND - 1) / MW_SECOND);
    return whole > least ? whole : least;
}

/* ---- What the server is */

static void read_variable(void *arg, MYSQL_ROW cells, unsigned count) {
    mw_mysql_server *server = arg;
    const char *name = cells[0], *value = count > 1 && cells[1] ? cells[1] : "";
    bool on = strcmp(value, "ON") == 0 || strcmp(value, "1") == 0;
    if (strcmp(name, "read_only") == 0 || strcmp(name, "super_read_only") == 0)
        server->read_only = server->read_only || on;
    else if (strcmp(name, "wsrep_on") == 0)
        server->galera = on;
    else if (strcmp(name, "group_replication_single_primary_mode") == 0)
        server->group_multi_primary = server->group_multi_primary && !on;
    else if (strcmp(name, "group_replication_group_name") == 0)
        server->group_multi_primary = *value != '\0';
    else if (strcmp(name, "log_bin") == 0)
        server->binlog = on;
    else if (strcmp(name, "binlog_format") == 0)
        server->statement_binlog = strcmp(value, "STATEMENT") == 0;
    else if (strcmp(name, "max_allowed_packet") == 0)
        server->packet_limit = strtoul(value, NULL, 10);
}

/* SHOW VARIABLES, unlike @@name, does not mind what a server does not know. Sorted: the group's name comes first. */
static int read_server(mw_sql_db *db, mw_error *err) {
    mw_mysql_server *server = &db->server;
    memset(server, 0, sizeof *server);
    snprintf(server->version, sizeof server->version, "%s", mysql_get_server_info(db->mysql));
    server->number = mysql_get_server_version(db->mysql);
    server->mariadb = mariadb_connection(db->mysql);
    server->packet_limit = 1048576;
    return mw_mysql_ask(db->mysql, "health",
                        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'wsrep_on', "
                        "'group_replication_group_name', 'group_replication_single_primary_mode', 'log_bin', "
                        "'binlog_format', 'max_allowed_packet')",
                        read_variable, server, err);
}

static int check_server(const mw_sql_db *db, mw_error *err) {
    const mw_mysql_server *server = &db->server;
    if (server->number < (server->mariadb ? OLDEST_MARIADB : OLDEST_MYSQL))
        return mw_fail(err, MW_EUNSUPPORTED, "%s: the server is too old (%s): MariaDB 10.3 or MySQL 5.7 is needed",
                       db->where, server->version);
    if (server->galera)
        return mw_fail(err, MW_EUNSUPPORTED,
                       "%s: a Galera cluster commits on several servers at once; locks would not hold there: "
                       "name a server that replicates from one primary",
                       db->where);
    if (server->group_multi_primary)
        return mw_fail(err, MW_EUNSUPPORTED,
                       "%s: group replication runs with several primaries; locks would not hold there: switch it "
                       "to single-primary mode",
                       db->where);
    /* Retried: a replica may be about to be promoted. */
    if (server->read_only)
        return mw_fail(err, MW_EIO, "%s: the server is read-only: name the primary, or SET GLOBAL read_only = OFF",
                       db->where);
    return MW_OK;
}

/* ---- The session */

/* What the server is set to for everybody is not ours. It may also have ignored the character set that we came with
 * (skip-character-set-client-handshake), or set another (init_connect): then a byte of a value is half a letter. */
static int forget_defaults(mw_sql_db *db, mw_error *err) {
    return mw_mysql_ask(db->mysql, "session",
                        "SET NAMES binary;"
                        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
                        "autocommit = 1, time_zone = '+00:00', sql_big_selects = 1, sql_safe_updates = 0, "
                        "sql_select_limit = 18446744073709551615",
                        NULL, NULL, err);
}

/* A guard reads what is committed now; and whoever stalls inside a transaction loses it before it can stop the others
 * for longer than a session lasts. */
static int set_session(mw_sql_db *db, mw_error *err) {
    unsigned timeout = seconds(db->session_timeout, 2), lock_wait = seconds(db->session_timeout / 3, 1);
    char text[512], limits[128] = "";
    if (db->server.mariadb)
        snprintf(limits, sizeof limits, ", idle_transaction_timeout = %u, max_statement_time = %u", lock_wait, timeout);
    snprintf(text, sizeof text,
             "SET SESSION innodb_lock_wait_timeout = %u, lock_wait_timeout = %u, net_read_timeout = %u, "
             "net_write_timeout = %u, wait_timeout = %u%s;"
             "SET SESSION TRANSACTION ISOLATION LEVEL %s, READ WRITE",
             lock_wait, lock_wait, timeout, timeout, 4 * timeout + 60, limits,
             db->server.statement_binlog ? "REPEATABLE READ" : "READ COMMITTED");
    return mw_mysql_ask(db->mysql, "session", text, NULL, NULL, err);
}

/* ---- Connecting */

static void publish_socket(mw_sql_db *db, int socket) {
    pthread_mutex_lock(&db->lock);
    db->socket = socket;
    pthread_mutex_unlock(&db->lock);
}

static void drop(mw_sql_db *db) {
    if (!db->mysql)
        return;
    publish_socket(db, -1);
    mysql_close(db->mysql);
    db->mysql = NULL;
}

int mw_mysql_connect(mw_sql_db *db, mw_error *err) {
    int status = MW_OK;
    drop(db);
    db->mysql =
        mw_mysql_dial(&db->options, db->where, seconds(db->session_timeout * 2 / 3, 2), db->interrupt_fd, &status, err);
    if (!db->mysql)
        return status;
    publish_socket(db, (int)mysql_get_socket(db->mysql));
    /* An interruption up to here found no socket; a later one does. */
    if (mw_mysql_interrupted(db->interrupt_fd))
        status = mw_fail(err, MW_EDISCONNECTED, "%s: interrupted", db->where);
    if (!status)
        status = forget_defaults(db, err);
    if (!status)
        status = read_server(db, err);
    if (!status)
        status = check_server(db, err);
    if (!status)
        status = set_session(db, err);
    if (status) {
        drop(db);
        return status;
    }
    db->packet.values = db->server.mariadb;
    if (db->options.binlog && db->server.binlog)
        mw_mysql_binlog_start(&db->binlog);
    else
        mw_mysql_binlog_absent(&db->binlog, db->options.binlog ? "the server keeps none" : "switched off");
    return MW_OK;
}

/* The binary log's reader ends here, on the connection thread: it may be looking up the server's name, which nothing
 * interrupts, and `free` runs on the host's. */
void mw_mysql_disconnect(mw_sql_db *db) {
    eventfd_t ignored;
    mw_mysql_binlog_stop(&db->binlog);
    (void)eventfd_read(db->interrupt_fd, &ignored);
    drop(db);
}

void mw_mysql_interrupt(mw_sql_db *db) {
    pthread_mutex_lock(&db->lock);
    if (db->socket >= 0)
        (void)shutdown(db->socket, SHUT_RDWR);
    pthread_mutex_unlock(&db->lock);
    (void)eventfd_write(db->interrupt_fd, 1);
}
