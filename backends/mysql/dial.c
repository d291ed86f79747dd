#define _GNU_SOURCE /* asprintf */
#include "dial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

/* Wait for what the library asks for. An interruption looks to it as if its time had run out. */
static int await(MYSQL *mysql, int wanted, int interrupt_fd) {
    struct pollfd fds[2] = {{.fd = interrupt_fd, .events = POLLIN}, {.fd = (int)mysql_get_socket(mysql)}};
    if (wanted & MYSQL_WAIT_READ)
        fds[1].events |= POLLIN;
    if (wanted & MYSQL_WAIT_WRITE)
        fds[1].events |= POLLOUT;
    if (wanted & MYSQL_WAIT_EXCEPT)
        fds[1].events |= POLLPRI;
    int limit = wanted & MYSQL_WAIT_TIMEOUT ? (int)mysql_get_timeout_value_ms(mysql) : -1;
    int ready = poll(fds, 2, limit);
    if (ready < 0 && errno == EINTR)
        return await(mysql, wanted, interrupt_fd);
    if (ready <= 0 || fds[0].revents)
        return MYSQL_WAIT_TIMEOUT;
    int status = 0;
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
        status |= wanted & MYSQL_WAIT_READ;
    if (fds[1].revents & (POLLOUT | POLLHUP | POLLERR))
        status |= wanted & MYSQL_WAIT_WRITE;
    if (fds[1].revents & POLLPRI)
        status |= wanted & MYSQL_WAIT_EXCEPT;
    return status ? status : wanted & ~MYSQL_WAIT_TIMEOUT;
}

static void set_tls(MYSQL *mysql, const mw_mysql_options *options) {
    my_bool yes = 1, verify = options->tls == MW_MYSQL_TLS_VERIFY;
    if (options->tls != MW_MYSQL_TLS_OFF) {
        mysql_ssl_set(mysql, options->tls_key, options->tls_cert, options->tls_ca, NULL, NULL);
        mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
        mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    }
    /* An unverified server must not talk us into sending the password as it stands. */
    if (!verify)
        mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                       "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password");
}

static void set_options(MYSQL *mysql, const mw_mysql_options *options, unsigned read_timeout_s) {
    unsigned connect_s = (options->connect_timeout_ms + 999) / 1000, no = 0;
    mysql_optionsv(mysql, MYSQL_OPT_NONBLOCK, 0);
    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_optionsv(mysql, MYSQL_OPT_READ_TIMEOUT, &read_timeout_s);
    mysql_optionsv(mysql, MYSQL_OPT_WRITE_TIMEOUT, &read_timeout_s);
    /* A server may otherwise ask for any file of ours. */
    mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
    /* Values are bytes; no character set stands between us and the tables. */
    mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "binary");
    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "moonwatch");
    /* To the library `localhost` is a local socket, whatever the port; to JDBC, and to us, it is a name. */
    unsigned tcp = MYSQL_PROTOCOL_TCP;
    if (!options->socket)
        mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &tcp);
    set_tls(mysql, options);
}

bool mw_mysql_interrupted(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

MYSQL *mw_mysql_dial(const mw_mysql_options *options, const char *where, unsigned read_timeout_s, int interrupt_fd,
                     int *ret_status, mw_error *err) {
    MYSQL *mysql = mysql_init(NULL), *connected = NULL;
    if (!mysql) {
        *ret_status = mw_fail(err, MW_ENO_MEMORY, "out of memory");
        return NULL;
    }
    set_options(mysql, options, read_timeout_s);
    const char *host = options->socket ? "localhost" : options->host;
    int waiting = mysql_real_connect_start(&connected, mysql, host, options->username, options->password,
                                           options->database, options->socket ? 0 : options->port, options->socket,
                                           CLIENT_MULTI_STATEMENTS | CLIENT_FOUND_ROWS);
    while (waiting)
        waiting = mysql_real_connect_cont(&connected, mysql, await(mysql, waiting, interrupt_fd));
    if (connected && options->tls >= MW_MYSQL_TLS_REQUIRED && !mysql_get_ssl_cipher(mysql)) {
        *ret_status = mw_fail(err, MW_EUNSUPPORTED, "%s: TLS is required, and the server offers none", where);
    } else if (connected) {
        return mysql;
    } else if (mw_mysql_interrupted(interrupt_fd)) {
        *ret_status = mw_fail(err, MW_EDISCONNECTED, "%s: interrupted while connecting", where);
    } else {
        *ret_status = mw_mysql_connect_error(mysql, where, options->username, err);
    }
    mysql_close(mysql);
    return NULL;
}

static void take_rows(MYSQL_RES *result, void (*row)(void *, MYSQL_ROW, unsigned), void *arg) {
    for (MYSQL_ROW cells; row && (cells = mysql_fetch_row(result));)
        row(arg, cells, mysql_num_fields(result));
    mysql_free_result(result);
}

int mw_mysql_ask(MYSQL *mysql, const char *what, const char *text, void (*row)(void *, MYSQL_ROW, unsigned), void *arg,
                 mw_error *err) {
    int more = mysql_real_query(mysql, text, strlen(text)) ? 1 : 0;
    for (; more == 0; more = mysql_next_result(mysql)) {
        MYSQL_RES *result = mysql_store_result(mysql);
        if (result)
            take_rows(result, row, arg);
        else if (mysql_field_count(mysql))
            return mw_mysql_statement_error(mysql, what, err);
    }
    return more > 0 ? mw_mysql_statement_error(mysql, what, err) : MW_OK;
}

int mw_mysql_ask_patiently(MYSQL *mysql, int interrupt_fd, const char *what, const char *text, mw_error *err) {
    char *whole = NULL;
    int failed = 0;
    if (asprintf(&whole, "%s%s", mariadb_connection(mysql) ? "SET STATEMENT max_statement_time = 0 FOR " : "", text) <
        0)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory");
    int waiting = mysql_real_query_start(&failed, mysql, whole, strlen(whole));
    while (waiting)
        waiting = mysql_real_query_cont(&failed, mysql, await(mysql, waiting & ~MYSQL_WAIT_TIMEOUT, interrupt_fd));
    free(whole);
    return failed ? mw_mysql_statement_error(mysql, what, err) : MW_OK;
}
