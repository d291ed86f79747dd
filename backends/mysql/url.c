/* URLs as JDBC writes them: jdbc:mysql://host:3306/db?useSSL=false. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static int hex(char c) {
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* A copy of [from, to) with %XX decoded; NULL = no memory or a zero byte, told apart by `ret_bad`. */
static char *decode(const char *from, const char *to, bool *ret_bad) {
    char *copy = malloc((size_t)(to - from) + 1), *end = copy;
    if (!copy)
        return NULL;
    while (from < to) {
        if (*from == '%') {
            int high = to - from > 2 ? hex(from[1]) : -1, low = high < 0 ? -1 : hex(from[2]);
            if (low < 0 || (high == 0 && low == 0)) {
                *ret_bad = true;
                free(copy);
                return NULL;
            }
            *end++ = (char)(high * 16 + low);
            from += 3;
        } else {
            *end++ = *from++;
        }
    }
    *end = '\0';
    return copy;
}

static int take(char **ret_part, const char *from, const char *to, const char *what, mw_error *err) {
    bool bad = false;
    char *part = decode(from, to, &bad);
    if (!part)
        return bad ? mw_fail(err, MW_EINVALID, "url: the %s has a '%%' that two hexadecimal digits do not follow", what)
                   : mw_fail(err, MW_ENO_MEMORY, "out of memory");
    *ret_part = part;
    return MW_OK;
}

static const char *find(const char *from, const char *to, char c) {
    const char *at = memchr(from, c, (size_t)(to - from));
    return at ? at : to;
}

/* The last of them: a password may hold '@', a host cannot. */
static const char *find_last(const char *from, const char *to, char c) {
    for (const char *at = to; at > from; at--)
        if (at[-1] == c)
            return at - 1;
    return NULL;
}

/* What stands there may be a password whose '@' was forgotten: it is not repeated. */
static int bad_port(mw_error *err) {
    return mw_fail(err, MW_EINVALID, "url: the port is no number from 1 to 65535");
}

static int parse_port(mw_mysql_url *url, const char *from, const char *to, mw_error *err) {
    unsigned long port = 0;
    for (const char *at = from; at < to; at++) {
        if (!isdigit((unsigned char)*at) || port > 65535)
            return bad_port(err);
        port = port * 10 + (unsigned long)(*at - '0');
    }
    if (from < to && (port == 0 || port > 65535))
        return bad_port(err);
    url->port = (unsigned)port;
    return MW_OK;
}

/* host, host:port, [v6], [v6]:port; empty = the default. */
static int parse_server(mw_mysql_url *url, const char *from, const char *to, mw_error *err) {
    const char *host_end;
    if (find(from, to, ',') != to)
        return mw_fail(err, MW_EINVALID,
                       "url: it names several servers; a registry has one (use a proxy or a name "
                       "that follows the primary)");
    if (from < to && *from == '[') {
        host_end = find(++from, to, ']');
        if (host_end == to || (host_end + 1 < to && host_end[1] != ':'))
            return mw_fail(err, MW_EINVALID, "url: the IPv6 address lacks its ']'");
        int status = host_end + 1 < to ? parse_port(url, host_end + 2, to, err) : MW_OK;
        return status ? status : take(&url->host, from, host_end, "host", err);
    }
    if (find(from, to, '(') != to)
        return mw_fail(err, MW_EINVALID, "url: write the server as host:port");
    host_end = find(from, to, ':');
    int status = host_end < to ? parse_port(url, host_end + 1, to, err) : MW_OK;
    if (status || host_end == from)
        return status;
    return take(&url->host, from, host_end, "host", err);
}

static int parse_authority(mw_mysql_url *url, const char *from, const char *to, mw_error *err) {
    const char *at = find_last(from, to, '@');
    if (!at)
        return parse_server(url, from, to, err);
    const char *colon = find(from, at, ':');
    int status = take(&url->username, from, colon, "user name", err);
    if (!status && colon < at)
        status = take(&url->password, colon + 1, at, "password", err);
    return status ? status : parse_server(url, at + 1, to, err);
}

static int parse_params(const char *from, int (*param)(void *, const char *, const char *, mw_error *), void *arg,
                        mw_error *err) {
    int status = MW_OK;
    for (const char *end = from + strlen(from); from < end && !status;) {
        const char *stop = find(from, end, '&'), *equals = find(from, stop, '=');
        char *key = NULL, *value = NULL;
        if (stop > from) {
            status = take(&key, from, equals, "name of a parameter", err);
            if (!status)
                status = take(&value, equals < stop ? equals + 1 : stop, stop, "value of a parameter", err);
            if (!status)
                status = param(arg, key, value, err);
        }
        free(key);
        free(value);
        from = stop + 1;
    }
    return status;
}

static const char *after_scheme(const char *text) {
    static const char *const schemes[] = {"mysql://", "mariadb://"};
    if (strncmp(text, "jdbc:", 5) == 0)
        text += 5;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return text + strlen(schemes[i]);
    return NULL;
}

static int parse(mw_mysql_url *url, const char *from,
                 int (*param)(void *arg, const char *key, const char *value, mw_error *err), void *arg, mw_error *err) {
    const char *query = find(from, from + strlen(from), '?'), *slash = find(from, query, '/');
    int status = parse_authority(url, from, slash, err);
    /* Then what stands before may be half of a password; the rest would be shown as the database. */
    if (!status && slash < query && (find(slash + 1, query, '/') < query || find(slash, query, '@') < query))
        status =
            mw_fail(err, MW_EINVALID, "url: the database holds '/' or '@' (in a password, they are %%2F and %%40)");
    if (!status && slash + 1 < query)
        status = take(&url->database, slash + 1, query, "database", err);
    return !status && *query ? parse_params(query + 1, param, arg, err) : status;
}

/* MySQL's Connector/J decodes all but the scheme as forms are: a plus is a blank. To others it is a plus. NULL = no
 * memory. */
static char *without_plus(const char *text, const char *rest) {
    char *copy = strdup(rest);
    if (copy && strncmp(text, "jdbc:mysql:", 11) == 0)
        for (char *at = copy; (at = strchr(at, '+'));)
            *at = ' ';
    return copy;
}

int mw_mysql_url_parse(const char *text, mw_mysql_url *ret_url,
                       int (*param)(void *arg, const char *key, const char *value, mw_error *err), void *arg,
                       mw_error *err) {
    mw_mysql_url url = {0};
    const char *rest = after_scheme(text);
    if (!rest)
        return mw_fail(err, MW_EINVALID, "url: it must begin with jdbc:mysql://, mysql:// or mariadb://");
    char *plain = without_plus(text, rest);
    int status = plain ? parse(&url, plain, param, arg, err) : mw_fail(err, MW_ENO_MEMORY, "out of memory");
    if (plain)
        explicit_bzero(plain, strlen(plain));
    free(plain);
    if (status) {
        mw_mysql_url_release(&url);
        return status;
    }
    *ret_url = url;
    return MW_OK;
}

void mw_mysql_url_release(mw_mysql_url *url) {
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->host);
    free(url->database);
    free(url->username);
    free(url->password);
    memset(url, 0, sizeof *url);
}
