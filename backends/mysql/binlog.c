#define _GNU_SOURCE /* memmem */
#include "binlog.h"

#include <errno.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Needs mysql.h before it. */
#include <mariadb_rpl.h>

#include "dial.h"

/* A link that is silent for three of the server's heartbeats is dead. */
#define HEARTBEAT_NS "5000000000"
#define SILENCE_S 15
#define FIRST_PAUSE_MS 500
#define LONGEST_PAUSE_MS 30000

#define CHANGE_LOG "mw_changes"

int mw_mysql_binlog_init(mw_mysql_binlog *reader, mw_host *host, const mw_mysql_options *options, const char *where,
                         uint32_t server_id, mw_error *err) {
    *reader = (mw_mysql_binlog){
        .host = host, .options = options, .where = where, .server_id = server_id, .socket = -1, .stop_fd = -1};
    reader->hint_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    reader->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&reader->lock, NULL);
    if (reader->hint_fd >= 0 && reader->stop_fd >= 0)
        return MW_OK;
    int status = mw_fail(err, MW_EIO, "eventfd: %s", strerror(errno));
    mw_mysql_binlog_release(reader);
    return status;
}

void mw_mysql_binlog_release(mw_mysql_binlog *reader) {
    mw_mysql_binlog_stop(reader);
    if (reader->hint_fd >= 0)
        close(reader->hint_fd);
    if (reader->stop_fd >= 0)
        close(reader->stop_fd);
    reader->hint_fd = reader->stop_fd = -1;
    pthread_mutex_destroy(&reader->lock);
}

/* ---- What the log says */

/* Once per change of mind. */
static void tell(mw_mysql_binlog *reader, const char *how) {
    char line[512];
    if (strcmp(reader->told, how) == 0)
        return;
    snprintf(reader->told, sizeof reader->told, "%s", how);
    snprintf(line, sizeof line, "%s: changes are noticed by %s", reader->where, how);
    reader->host->ops->log(reader->host, MW_LOG_INFO, "mysql", line);
}

void mw_mysql_binlog_absent(mw_mysql_binlog *reader, const char *why) {
    char how[96];
    snprintf(how, sizeof how, "polling (%s)", why);
    tell(reader, how);
}

/* ---- The dump */

/* Owned by the thread. */
typedef struct dump {
    mw_mysql_binlog *reader;
    MYSQL *mysql;
    MARIADB_RPL *rpl;
    char file[512]; /* MySQL: where to begin */
    unsigned long long position;
    char gtid[1024]; /* MariaDB: the same */
    bool touched;    /* the present transaction wrote to the change log */
} dump;

static void read_gtid(void *arg, MYSQL_ROW cells, unsigned count) {
    dump *to = arg;
    snprintf(to->gtid, sizeof to->gtid, "%s", cells[0] ? cells[0] : "");
}

static void read_position(void *arg, MYSQL_ROW cells, unsigned count) {
    dump *to = arg;
    if (count < 2 || !cells[0] || !cells[1])
        return;
    snprintf(to->file, sizeof to->file, "%s", cells[0]);
    sscanf(cells[1], "%llu", &to->position);
}

/* MariaDB tells where it is to anybody; MySQL to those with REPLICATION CLIENT. */
static int find_start(dump *to, mw_error *err) {
    char text[1280];
    int status;
    to->position = 4;
    if (!mariadb_connection(to->mysql))
        return mw_mysql_ask(to->mysql, "binary log",
                            "SET @master_heartbeat_period = " HEARTBEAT_NS
                            ", @master_binlog_checksum = @@GLOBAL.binlog_checksum; SHOW MASTER STATUS",
                            read_position, to, err);
    status = mw_mysql_ask(to->mysql, "binary log", "SELECT @@GLOBAL.gtid_binlog_pos", read_gtid, to, err);
    if (status)
        return status;
    snprintf(text, sizeof text,
             "SET @mariadb_slave_capability = 4, @master_heartbeat_period = " HEARTBEAT_NS
             ", @master_binlog_checksum = @@GLOBAL.binlog_checksum, @slave_gtid_strict_mode = 0, "
             "@slave_gtid_ignore_duplicates = 0, @slave_connect_state = '%.1000s'",
             to->gtid);
    return mw_mysql_ask(to->mysql, "binary log", text, NULL, NULL, err);
}

static int open_dump(dump *to, mw_error *err) {
    mw_mysql_binlog *reader = to->reader;
    int status = MW_OK;
    to->mysql = mw_mysql_dial(reader->options, reader->where, SILENCE_S, reader->stop_fd, &status, err);
    if (!to->mysql)
        return status;
    pthread_mutex_lock(&reader->lock);
    reader->socket = (int)mysql_get_socket(to->mysql);
    pthread_mutex_unlock(&reader->lock);
    if (mw_mysql_interrupted(reader->stop_fd))
        return MW_EDISCONNECTED;
    status = find_start(to, err);
    if (status)
        return status;
    to->rpl = mariadb_rpl_init(to->mysql);
    if (!to->rpl)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory");
    mariadb_rpl_optionsv(to->rpl, MARIADB_RPL_SERVER_ID, reader->server_id);
    mariadb_rpl_optionsv(to->rpl, MARIADB_RPL_FILENAME, to->file, strlen(to->file));
    mariadb_rpl_optionsv(to->rpl, MARIADB_RPL_START, (unsigned long)to->position);
    mariadb_rpl_optionsv(to->rpl, MARIADB_RPL_FLAGS, 0);
    if (mariadb_rpl_open(to->rpl) != 0)
        return mw_fail(err, MW_EDISCONNECTED, "%s (%u)", mysql_error(to->mysql), mysql_errno(to->mysql));
    return MW_OK;
}

static void close_dump(dump *to) {
    mw_mysql_binlog *reader = to->reader;
    atomic_store(&reader->live, false);
    pthread_mutex_lock(&reader->lock);
    reader->socket = -1;
    pthread_mutex_unlock(&reader->lock);
    if (to->rpl)
        mariadb_rpl_close(to->rpl);
    if (to->mysql)
        mysql_close(to->mysql);
}

/* ---- Events */

static bool same(MARIADB_STRING text, const char *name) {
    return text.length == strlen(name) && strncasecmp(text.str, name, text.length) == 0;
}

static bool mentions(MARIADB_STRING text, const char *word) {
    return memmem(text.str, text.length, word, strlen(word)) != NULL;
}

/* Does this event end a transaction that wrote to the change log? */
static bool is_hint(dump *to, const MARIADB_RPL_EVENT *event) {
    bool ended = false;
    switch (event->event_type) {
    case GTID_EVENT:
        to->touched = false;
        break;
    case TABLE_MAP_EVENT:
        to->touched = to->touched || (same(event->event.table_map.table, CHANGE_LOG) &&
                                      same(event->event.table_map.database, to->reader->options->database));
        break;
    case QUERY_EVENT:
        to->touched = to->touched || mentions(event->event.query.statement, CHANGE_LOG);
        ended = same(event->event.query.statement, "COMMIT");
        break;
    case QUERY_COMPRESSED_EVENT:
        to->touched = true;
        break;
    case XID_EVENT:
        ended = true;
        break;
    default:
        break;
    }
    bool hint = ended && to->touched;
    to->touched = to->touched && !ended;
    return hint;
}

static void read_events(dump *to, mw_error *err) {
    mw_mysql_binlog *reader = to->reader;
    MARIADB_RPL_EVENT *event = NULL;
    for (;;) {
        MARIADB_RPL_EVENT *next = mariadb_rpl_fetch(to->rpl, event);
        if (!next)
            break;
        event = next;
        /* The first event shows that we have the right to any. */
        if (!atomic_exchange(&reader->live, true)) {
            tell(reader, "the binary log, and by polling less often");
            (void)eventfd_write(reader->hint_fd, 1);
        }
        if (is_hint(to, event)) {
            atomic_fetch_add(&reader->hints, 1);
            (void)eventfd_write(reader->hint_fd, 1);
        }
    }
    mw_fail(err, MW_EDISCONNECTED, "%s (%u)", mysql_error(to->mysql), mysql_errno(to->mysql));
}

/* ---- The thread */

/* Is it of use to try again? */
static bool is_final(unsigned number) {
    return number == ER_SPECIFIC_ACCESS_DENIED_ERROR || number == ER_ACCESS_DENIED_ERROR ||
           number == ER_UNKNOWN_COM_ERROR || number == ER_NOT_SUPPORTED_YET;
}

/* One connection, from its start to its end. False: do not try again. */
static bool read_once(mw_mysql_binlog *reader, bool *ret_read) {
    dump to = {.reader = reader};
    mw_error err = {0};
    int status = open_dump(&to, &err);
    if (!status)
        read_events(&to, &err);
    bool again = status != MW_EDENIED && !(to.mysql && is_final(mysql_errno(to.mysql)));
    *ret_read = atomic_load(&reader->live);
    close_dump(&to);
    if (!mw_mysql_interrupted(reader->stop_fd))
        tell(reader, again ? "polling (the binary log's connection is gone; trying again)"
                           : "polling (the account lacks REPLICATION SLAVE)");
    return again;
}

static void *read_all(void *arg) {
    mw_mysql_binlog *reader = arg;
    bool read = false;
    int pause = FIRST_PAUSE_MS;
    while (!mw_mysql_interrupted(reader->stop_fd) && read_once(reader, &read)) {
        struct pollfd stop = {.fd = reader->stop_fd, .events = POLLIN};
        pause = read ? FIRST_PAUSE_MS : pause * 2 < LONGEST_PAUSE_MS ? pause * 2 : LONGEST_PAUSE_MS;
        (void)poll(&stop, 1, pause);
    }
    atomic_store(&reader->ended, true);
    return NULL;
}

void mw_mysql_binlog_start(mw_mysql_binlog *reader) {
    /* One that ended for want of a right gets another chance with each new connection. */
    if (reader->running && atomic_load(&reader->ended))
        mw_mysql_binlog_stop(reader);
    if (reader->running)
        return;
    atomic_store(&reader->ended, false);
    reader->running = pthread_create(&reader->thread, NULL, read_all, reader) == 0;
    if (!reader->running)
        tell(reader, "polling (no thread for the binary log)");
}

void mw_mysql_binlog_stop(mw_mysql_binlog *reader) {
    eventfd_t ignored;
    if (!reader->running)
        return;
    (void)eventfd_write(reader->stop_fd, 1);
    pthread_mutex_lock(&reader->lock);
    if (reader->socket >= 0)
        (void)shutdown(reader->socket, SHUT_RDWR);
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    (void)eventfd_read(reader->stop_fd, &ignored);
    reader->running = false;
}

int mw_mysql_binlog_fd(mw_mysql_binlog *reader) {
    return atomic_load(&reader->live) ? reader->hint_fd : -1;
}

void mw_mysql_binlog_clear(mw_mysql_binlog *reader) {
    eventfd_t ignored;
    (void)eventfd_read(reader->hint_fd, &ignored);
}
