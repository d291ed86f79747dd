#include "mysql_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void give_up(const char *what, const char *why) {
    fprintf(stderr, "mysql_server: %s: %s\n", what, why);
    abort();
}

static void run(const char *command, char *ret_line, size_t size) {
    FILE *pipe = popen(command, "r");
    if (!pipe)
        give_up(command, "cannot be started");
    if (!fgets(ret_line, (int)size, pipe))
        *ret_line = '\0';
    if (pclose(pipe) != 0)
        give_up(command, "failed");
}

static void verb(const spec_mysql *server, const char *name, const char *rest, char *ret_line, size_t size) {
    char command[1024];
    const char *source = getenv("MOONWATCH_SOURCE");
    snprintf(command, sizeof command, "%s/spec/support/mysql_server %s %s %s", source ? source : SPEC_SOURCE, name,
             server->dir, rest);
    run(command, ret_line, size);
}

static void drop_root(spec_mysql *server) {
    if (server->root)
        mysql_close(server->root);
    server->root = NULL;
}

static void connect_root(spec_mysql *server, const char *line) {
    drop_root(server);
    if (sscanf(line, "%7s %159s", server->port, server->socket) != 2)
        give_up("start", line);
    server->root = mysql_init(NULL);
    if (!mysql_real_connect(server->root, NULL, "root", "", NULL, 0, server->socket, CLIENT_MULTI_STATEMENTS))
        give_up("root", mysql_error(server->root));
}

void spec_mysql_start(spec_mysql *server, const char *options) {
    char line[512], rest[512];
    const char *tmp = getenv("TMPDIR");
    memset(server, 0, sizeof *server);
    snprintf(server->dir, sizeof server->dir, "%s/moonwatch-mysql-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(server->dir))
        give_up(server->dir, "cannot be made");
    snprintf(rest, sizeof rest, "%ld %s", (long)getpid(), options);
    verb(server, "start", rest, line, sizeof line);
    connect_root(server, line);
}

void spec_mysql_restart(spec_mysql *server, const char *options) {
    char line[512];
    verb(server, "restart", options, line, sizeof line);
    connect_root(server, line);
}

void spec_mysql_do(spec_mysql *server, const char *name) {
    char line[512];
    if (strcmp(name, "stop") == 0 || strcmp(name, "kill") == 0)
        drop_root(server);
    verb(server, name, "", line, sizeof line);
}

void spec_mysql_remove(spec_mysql *server) {
    char line[512];
    drop_root(server);
    verb(server, "remove", "", line, sizeof line);
}

int64_t spec_mysql_sql(spec_mysql *server, const char *format, ...) {
    char text[16384];
    int64_t number = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int more = mysql_query(server->root, text) ? 1 : 0;
    for (; more == 0; more = mysql_next_result(server->root)) {
        MYSQL_RES *result = mysql_store_result(server->root);
        for (MYSQL_ROW row; result && (row = mysql_fetch_row(result));)
            number = row[0] ? strtoll(row[0], NULL, 10) : 0;
        mysql_free_result(result);
    }
    if (more > 0)
        give_up(text, mysql_error(server->root));
    return number;
}

void spec_mysql_empty(spec_mysql *server) {
    spec_mysql_sql(server, "DROP DATABASE IF EXISTS moonwatch; CREATE DATABASE moonwatch");
}

int64_t spec_mysql_status(spec_mysql *server, const char *name) {
    return spec_mysql_sql(
        server, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '%s'", name);
}
