#define _GNU_SOURCE /* strcasestr */
#include "errors.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <string.h>

/* Numbers that one of the two families of servers lacks in its header. */
enum {
    SERVER_SHUTDOWN = 1053,
    READ_ONLY_OPTION = 1290,
    READ_ONLY_TRANSACTION = 1792,
    READ_ONLY_MODE = 1836,
    READ_ONLY_ENGINE = 1874,
    CONNECTION_KILLED = 1927,
    STATEMENT_TIMEOUT = 1969,
    MYSQL_STATEMENT_TIMEOUT = 3024,
    CLIENT_INTERACTION_TIMEOUT = 4031
};

bool mw_mysql_is_gone(unsigned number) {
    switch (number) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_HANDSHAKE_ERR:
    case CR_MALFORMED_PACKET:
    case CR_COMMANDS_OUT_OF_SYNC:
    case CR_OUT_OF_MEMORY:
    case CR_UNKNOWN_ERROR:
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_SSL_CONNECTION_ERROR:
    case CR_SERVER_LOST_EXTENDED:
    case ER_NEW_ABORTING_CONNECTION:
    case SERVER_SHUTDOWN:
    case CONNECTION_KILLED:
    case CLIENT_INTERACTION_TIMEOUT:
        return true;
    default:
        return false;
    }
}

/* One number for all that can be wrong with TLS; only the text tells what no retry mends. */
static int tls_error(MYSQL *mysql, const char *where, mw_error *err) {
    static const char *const of_our_key[] = {"key values mismatch", "no start line", "bad decrypt",
                                             "error: unsupported"};
    const char *text = mysql_error(mysql);
    for (size_t i = 0; i < sizeof of_our_key / sizeof *of_our_key; i++)
        if (strcasestr(text, of_our_key[i]) && !strcasestr(text, "protocol"))
            return mw_fail(err, MW_EINVALID, "%s: tls_cert and tls_key cannot be used (%s)", where, text);
    if (strcasestr(text, "certificate"))
        return mw_fail(err, MW_EDENIED,
                       "%s: the server's certificate is refused (%s): name who signed it as tls_ca, and the host as "
                       "the certificate does",
                       where, text);
    if (strcasestr(text, "does not support"))
        return mw_fail(err, MW_EUNSUPPORTED, "%s: TLS is required, and the server offers none", where);
    return mw_fail(err, MW_EDISCONNECTED, "%s: %s", where, text);
}

int mw_mysql_connect_error(MYSQL *mysql, const char *where, const char *user, mw_error *err) {
    unsigned number = mysql_errno(mysql);
    switch (number) {
    case ER_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
        return mw_fail(err, MW_EDENIED, "%s: the server refuses the account '%s' or its password", where, user);
    case ER_BAD_DB_ERROR:
        return mw_fail(err, MW_EINVALID, "%s: the database does not exist: create it, or correct its name", where);
    case ER_DBACCESS_DENIED_ERROR:
        return mw_fail(err, MW_EDENIED,
                       "%s: the account '%s' has no rights on the database, or it does not exist: GRANT SELECT, "
                       "INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX",
                       where, user);
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
        return mw_fail(err, MW_EBUSY, "%s: the server has no connection left (max_connections)", where);
    case ER_HOST_IS_BLOCKED:
    case ER_HOST_NOT_PRIVILEGED:
        return mw_fail(err, MW_EDENIED, "%s: the server admits no connection from this machine (%u)", where, number);
    case ER_MUST_CHANGE_PASSWORD_LOGIN:
    case ER_ACCOUNT_HAS_BEEN_LOCKED:
        return mw_fail(err, MW_EDENIED, "%s: the account '%s' is locked or its password has expired", where, user);
    case CR_SSL_CONNECTION_ERROR:
        return tls_error(mysql, where, err);
    case CR_AUTH_PLUGIN_CANNOT_LOAD:
        return mw_fail(err, MW_EUNSUPPORTED, "%s: %s", where, mysql_error(mysql));
    default:
        return mw_fail(err, MW_EDISCONNECTED, "%s: %s (%u)", where, mysql_error(mysql), number);
    }
}

int mw_mysql_statement_error(MYSQL *mysql, const char *name, mw_error *err) {
    unsigned number = mysql_errno(mysql);
    const char *text = mysql_error(mysql);
    switch (number) {
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_DEADLOCK:
    case ER_CHECKREAD:
    case ER_LOCK_TABLE_FULL:
    case ER_TOO_MANY_CONCURRENT_TRXS:
        return mw_fail(err, MW_EBUSY, "%s: %s (%u)", name, text, number);
    case READ_ONLY_OPTION:
    case READ_ONLY_TRANSACTION:
    case READ_ONLY_MODE:
    case READ_ONLY_ENGINE:
    case ER_OPEN_AS_READONLY:
        return mw_fail(err, MW_EDISCONNECTED, "the server has become read-only");
    case ER_NO_SUCH_TABLE:
    case ER_BAD_DB_ERROR:
    case ER_NO_DB_ERROR:
        return mw_fail(err, MW_EDISCONNECTED, "the registry's tables are gone: %s", text);
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
        return mw_fail(err, MW_EDENIED, "%s: a right is missing: %s", name, text);
    case ER_NET_PACKET_TOO_LARGE:
        return mw_fail(err, MW_ETOO_LARGE, "%s: %s", name, text);
    case STATEMENT_TIMEOUT:
    case MYSQL_STATEMENT_TIMEOUT:
    case ER_QUERY_INTERRUPTED:
        return mw_fail(err, MW_EBUSY, "%s: %s (%u)", name, text, number);
    case ER_RECORD_FILE_FULL:
    case ER_DISK_FULL:
    case ER_ERROR_ON_WRITE:
    case ER_ERROR_DURING_COMMIT:
    case ER_OUT_OF_RESOURCES:
    case ER_OUTOFMEMORY:
    case ER_GET_ERRNO:
    case ER_CANT_OPEN_FILE:
    case ER_USER_LIMIT_REACHED: /* so many statements an hour */
        return mw_fail(err, MW_EIO, "%s: %s (%u)", name, text, number);
    default:
        if (mw_mysql_is_gone(number))
            return mw_fail(err, MW_EDISCONNECTED, "%s (%u)", text, number);
        return mw_fail(err, MW_EINTERNAL, "%s: %s (%u)", name, text, number);
    }
}
