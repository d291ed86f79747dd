/* What `open` accepts for MySQL and MariaDB: separate keys, or a URL as JDBC and most tools write it. */
#ifndef MOONWATCH_BACKENDS_MYSQL_OPTIONS_H
#define MOONWATCH_BACKENDS_MYSQL_OPTIONS_H

#include <moonwatch/backend.h>

typedef enum mw_mysql_tls {
    MW_MYSQL_TLS_OFF,
    MW_MYSQL_TLS_PREFERRED, /* when the server offers it; nothing is verified */
    MW_MYSQL_TLS_REQUIRED,  /* encrypted, nothing is verified */
    MW_MYSQL_TLS_VERIFY     /* the certificate and the name in it */
} mw_mysql_tls;

/* All text belongs to the structure. */
typedef struct mw_mysql_options {
    char *host;
    char *socket; /* a local socket instead of host and port, or NULL */
    unsigned port;
    char *database;
    char *username;
    char *password; /* wiped by release */
    mw_mysql_tls tls;
    char *tls_ca, *tls_cert, *tls_key; /* files, or NULL */
    bool binlog;                       /* use the binary log as a wake-up where server and account allow it */
    unsigned connect_timeout_ms;
} mw_mysql_options;

/* The table for people and for `open`; ended by a NULL key. */
extern const mw_requirement mw_mysql_requirements[];

/* Read `options` (ended by a NULL key). Separate keys win over the URL, whatever their order. Reads `password_file`.
 * MW_EINVALID (the message names the option and never holds a password), MW_ENO_MEMORY. On failure nothing is kept. */
int mw_mysql_options_read(const mw_option *options, mw_mysql_options *ret_options, mw_error *err);

/* Wipe and free; zeroed options are allowed. */
void mw_mysql_options_release(mw_mysql_options *options);

/* The parts of a URL `[jdbc:](mysql|mariadb)://[user[:password]@][host][:port][/database][?key=value&...]`, percent
 * signs decoded. `param` is called for each parameter in order; a negative result ends the parsing and is returned. */
typedef struct mw_mysql_url {
    char *host, *database, *username, *password; /* NULL when absent; allocated */
    unsigned port;                               /* 0 when absent */
} mw_mysql_url;
int mw_mysql_url_parse(const char *text, mw_mysql_url *ret_url,
                       int (*param)(void *arg, const char *key, const char *value, mw_error *err), void *arg,
                       mw_error *err);
void mw_mysql_url_release(mw_mysql_url *url);

#endif
