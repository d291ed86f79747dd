/* The options of a connection, from separate keys and from a URL. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sql/driver.h"

const mw_requirement mw_mysql_requirements[] = {
    {"url", "string", NULL, false, "jdbc:mysql://host:port/database?parameters, or mysql://user@host:port/database"},
    {"host", "string", "127.0.0.1", false, "the server's name or address"},
    {"port", "integer", "3306", false, "the server's port"},
    {"socket", "path", NULL, false, "a local socket instead of host and port"},
    {"database", "string", NULL, false, "the database that holds the registry's tables (required, here or in the URL)"},
    {"username", "string", NULL, false, "the account"},
    {"password", "secret", NULL, false, "its password"},
    {"password_file", "path", NULL, false, "a file whose first line is the password"},
    {"tls", "string", "preferred", false, "off, preferred, required, or verify (certificate and name)"},
    {"tls_ca", "path", NULL, false, "certificates that are trusted, PEM; the system's otherwise"},
    {"tls_cert", "path", NULL, false, "our certificate, PEM"},
    {"tls_key", "path", NULL, false, "its key, PEM"},
    {"binlog", "boolean", "true", false, "let the server's binary log wake us (needs REPLICATION SLAVE); else polling"},
    {"connect_timeout_ms", "duration", "5000", false, "how long one attempt to connect may take"},
    {"heartbeat_ms", "duration", "3000", false, "how often the session is renewed; a third of session_timeout at most"},
    MW_SQL_OPTIONS("10000"),
    {NULL, NULL, NULL, false, NULL},
};

/* ---- One key */

static int no_memory(mw_error *err) {
    return mw_fail(err, MW_ENO_MEMORY, "out of memory");
}

static int replace(char **member, const char *value, mw_error *err) {
    char *copy = strdup(value);
    if (!copy)
        return no_memory(err);
    free(*member);
    *member = copy;
    return MW_OK;
}

static int replace_secret(char **member, const char *value, mw_error *err) {
    if (*member)
        explicit_bzero(*member, strlen(*member));
    return replace(member, value, err);
}

static int read_tls(mw_mysql_tls *ret_tls, const char *value, mw_error *err) {
    static const struct {
        const char *text;
        mw_mysql_tls tls;
    } modes[] = {{"off", MW_MYSQL_TLS_OFF},
                 {"preferred", MW_MYSQL_TLS_PREFERRED},
                 {"required", MW_MYSQL_TLS_REQUIRED},
                 {"verify", MW_MYSQL_TLS_VERIFY}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(value, modes[i].text) == 0) {
            *ret_tls = modes[i].tls;
            return MW_OK;
        }
    }
    return mw_fail(err, MW_EINVALID, "tls: '%s' is none of off, preferred, required, verify", value);
}

static int read_bool(bool *ret_value, const char *key, const char *value, mw_error *err) {
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "on") == 0;
    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "off") != 0)
        return mw_fail(err, MW_EINVALID, "%s: '%s' is neither true nor false", key, value);
    *ret_value = yes;
    return MW_OK;
}

/* The first line of the file. */
static int read_password_file(char **member, const char *path, mw_error *err) {
    FILE *file = fopen(path, "re");
    if (!file)
        return mw_fail(err, MW_EINVALID, "password_file: %s: %s", path, strerror(errno));
    char line[1024];
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    if (!read)
        return mw_fail(err, MW_EINVALID, "password_file: %s is empty or cannot be read", path);
    line[strcspn(line, "\r\n")] = '\0';
    int status = replace_secret(member, line, err);
    explicit_bzero(line, sizeof line);
    return status;
}

/* ---- Parameters of a URL */

typedef struct url_context {
    mw_mysql_options *options;
    bool jdbc;
    bool secret; /* its parameters hold a password, or seem to */
} url_context;

/* What Connector/J and MariaDB's connector call their TLS modes. */
static bool read_jdbc_ssl_mode(mw_mysql_tls *ret_tls, const char *value) {
    static const struct {
        const char *text;
        mw_mysql_tls tls;
    } modes[] = {{"DISABLED", MW_MYSQL_TLS_OFF},        {"disable", MW_MYSQL_TLS_OFF},
                 {"PREFERRED", MW_MYSQL_TLS_PREFERRED}, {"REQUIRED", MW_MYSQL_TLS_REQUIRED},
                 {"trust", MW_MYSQL_TLS_REQUIRED},      {"VERIFY_CA", MW_MYSQL_TLS_VERIFY},
                 {"verify-ca", MW_MYSQL_TLS_VERIFY},    {"VERIFY_IDENTITY", MW_MYSQL_TLS_VERIFY},
                 {"verify-full", MW_MYSQL_TLS_VERIFY}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcasecmp(value, modes[i].text) == 0) {
            *ret_tls = modes[i].tls;
            return true;
        }
    }
    return false;
}

/* JDBC's parameters speak to JDBC: character sets, time zones, fetch sizes. We take what means something to us. */
static int read_jdbc_param(mw_mysql_options *options, const char *key, const char *value, mw_error *err) {
    if (strcmp(key, "user") == 0)
        return options->username ? MW_OK : replace(&options->username, value, err);
    if (strcmp(key, "password") == 0)
        return options->password ? MW_OK : replace_secret(&options->password, value, err);
    if (strcmp(key, "sslMode") == 0 && !read_jdbc_ssl_mode(&options->tls, value))
        return mw_fail(err, MW_EINVALID, "url: sslMode=%s is not known", value);
    if (strcmp(key, "useSSL") == 0 && strcmp(value, "false") == 0)
        options->tls = MW_MYSQL_TLS_OFF;
    bool wanted = strcmp(value, "true") == 0;
    if (strcmp(key, "requireSSL") == 0 && wanted && options->tls != MW_MYSQL_TLS_VERIFY)
        options->tls = MW_MYSQL_TLS_REQUIRED;
    if (strcmp(key, "verifyServerCertificate") == 0 && wanted)
        options->tls = MW_MYSQL_TLS_VERIFY;
    return MW_OK;
}

static int read_plain(mw_mysql_options *options, const char *key, const char *value, mw_error *err);

static int read_param(void *arg, const char *key, const char *value, mw_error *err) {
    url_context *context = arg;
    if (context->jdbc)
        return read_jdbc_param(context->options, key, value, err);
    int status = read_plain(context->options, key, value, err);
    if (status != MW_ENOT_FOUND)
        return status;
    /* What was taken for a parameter may be the rest of the password. */
    if (context->secret)
        return mw_fail(err, MW_EINVALID,
                       "url: it has an unknown parameter (in a password, '?' is %%3F and '&' is %%26)");
    return mw_fail(err, MW_EINVALID, "url: unknown parameter '%s'", key);
}

static int read_url(mw_mysql_options *options, const char *text, mw_error *err) {
    const char *query = text + strcspn(text, "?");
    url_context context = {options, strncmp(text, "jdbc:", 5) == 0, strchr(query, '@') || strstr(query, "password=")};
    mw_mysql_url url = {0};
    int status = mw_mysql_url_parse(text, &url, read_param, &context, err);
    if (status)
        return status;
    if (url.host)
        status = replace(&options->host, url.host, err);
    if (!status && url.database)
        status = replace(&options->database, url.database, err);
    if (!status && url.username)
        status = replace(&options->username, url.username, err);
    if (!status && url.password)
        status = replace_secret(&options->password, url.password, err);
    if (url.port)
        options->port = url.port;
    mw_mysql_url_release(&url);
    return status;
}

/* ---- All of them */

/* Keys that are text, or that name a mode. MW_ENOT_FOUND: it is none of these. */
static int read_plain(mw_mysql_options *options, const char *key, const char *value, mw_error *err) {
    const struct {
        const char *key;
        char **member;
    } texts[] = {{"host", &options->host},         {"socket", &options->socket}, {"database", &options->database},
                 {"username", &options->username}, {"tls_ca", &options->tls_ca}, {"tls_cert", &options->tls_cert},
                 {"tls_key", &options->tls_key}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(key, texts[i].key) == 0)
            return replace(texts[i].member, value, err);
    if (strcmp(key, "password") == 0)
        return replace_secret(&options->password, value, err);
    if (strcmp(key, "tls") == 0)
        return read_tls(&options->tls, value, err);
    if (strcmp(key, "binlog") == 0)
        return read_bool(&options->binlog, key, value, err);
    return MW_ENOT_FOUND;
}

static int read_numbers(const mw_option *list, mw_mysql_options *options, mw_error *err) {
    int64_t port = 0, connect_ms = 0;
    int status = mw_sql_option_int(list, "port", options->port, 1, 65535, &port, err);
    if (!status)
        status = mw_sql_option_int(list, "connect_timeout_ms", 5000, 1, 3600000, &connect_ms, err);
    if (status)
        return status;
    options->port = (unsigned)port;
    options->connect_timeout_ms = (unsigned)connect_ms;
    return MW_OK;
}

/* The library's own word for a file that it cannot read is "system lib". */
static int check_tls_files(const mw_mysql_options *options, mw_error *err) {
    const struct {
        const char *key, *path;
    } files[] = {{"tls_ca", options->tls_ca}, {"tls_cert", options->tls_cert}, {"tls_key", options->tls_key}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].path && access(files[i].path, R_OK) != 0)
            return mw_fail(err, MW_EINVALID, "%s: %s: %s", files[i].key, files[i].path, strerror(errno));
    return MW_OK;
}

static int check(const mw_option *list, const mw_mysql_options *options, mw_error *err) {
    if (mw_sql_option(list, "password") && mw_sql_option(list, "password_file"))
        return mw_fail(err, MW_EINVALID, "password and password_file: give one of them");
    if (!options->database || !*options->database)
        return mw_fail(err, MW_EINVALID, "database: name it, or write it into the url (mysql://host:port/database)");
    if (!options->username || !*options->username)
        return mw_fail(err, MW_EINVALID, "username: the account is missing");
    if (!options->tls_cert != !options->tls_key)
        return mw_fail(err, MW_EINVALID, "tls_cert and tls_key: each needs the other");
    return options->tls == MW_MYSQL_TLS_OFF ? MW_OK : check_tls_files(options, err);
}

static int read_all(const mw_option *list, mw_mysql_options *options, mw_error *err) {
    int status = replace(&options->host, "127.0.0.1", err);
    const char *url = mw_sql_option(list, "url");
    if (!status && url)
        status = read_url(options, url, err);
    for (const mw_option *option = list; !status && option && option->key; option++) {
        status = read_plain(options, option->key, option->value, err);
        if (status == MW_ENOT_FOUND)
            status = MW_OK;
    }
    const char *file = mw_sql_option(list, "password_file");
    if (!status && file)
        status = read_password_file(&options->password, file, err);
    if (!status)
        status = read_numbers(list, options, err);
    return status ? status : check(list, options, err);
}

int mw_mysql_options_read(const mw_option *list, mw_mysql_options *ret_options, mw_error *err) {
    mw_mysql_options options = {.port = 3306, .tls = MW_MYSQL_TLS_PREFERRED, .binlog = true};
    int status = read_all(list, &options, err);
    if (status) {
        mw_mysql_options_release(&options);
        return status;
    }
    *ret_options = options;
    return MW_OK;
}

void mw_mysql_options_release(mw_mysql_options *options) {
    if (options->password)
        explicit_bzero(options->password, strlen(options->password));
    char *texts[] = {options->host,     options->socket, options->database, options->username,
                     options->password, options->tls_ca, options->tls_cert, options->tls_key};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    memset(options, 0, sizeof *options);
}
