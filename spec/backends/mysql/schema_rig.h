/* Tables of schema 1 on a server, for specs of what becomes of them. */
#ifndef SPEC_BACKENDS_MYSQL_SCHEMA_RIG_H
#define SPEC_BACKENDS_MYSQL_SCHEMA_RIG_H

#include "rig.h"

#define SQL(...) spec_mysql_sql(&rig.server, __VA_ARGS__)

/* The four rights of everyday work, and no others. */
static const mw_option four[] = {{"username", "four"}, {"binlog", "off"}, {NULL, NULL}};

static inline void run_file(const char *name) {
    char path[512], text[12000];
    const char *source = getenv("MOONWATCH_SOURCE");
    snprintf(path, sizeof path, "%s/spec/backends/sql/schema_1/%s", source ? source : SPEC_SOURCE, name);
    FILE *file = fopen(path, "r");
    CHECK(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    SQL("%s", text);
}

/* As their programs left them; with rows, in the middle of their work. */
static inline void make_schema_1(bool rows) {
    CHECK_INT(mysql_select_db(rig.server.root, "moonwatch"), 0);
    run_file("mysql.sql");
    if (rows)
        run_file("rows.sql");
    SQL("CREATE OR REPLACE USER four@'%%' IDENTIFIED BY 's3cret'; "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON moonwatch.* TO four@'%%'");
}

/* All that `query` gives, as one text. */
static inline const char *ask(const char *query) {
    static char text[2][8192];
    static int turn;
    char *to = text[turn ^= 1];
    *to = '\0';
    CHECK_INT(mysql_query(rig.server.root, query), 0);
    MYSQL_RES *result = mysql_store_result(rig.server.root);
    CHECK(result);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result)); spi_append(to, sizeof text[0], "\n"))
        for (unsigned i = 0; i < mysql_num_fields(result); i++)
            spi_append(to, sizeof text[0], "%s ", row[i] ? row[i] : "-");
    mysql_free_result(result);
    return to;
}

static inline const char *mark(void) {
    return ask("SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'moonwatch' "
               "AND TABLE_NAME = 'mw_meta'");
}

/* What a program of schema 1 does with the mark. */
static inline bool schema_1_comes(void) {
    return atoi(mark() + strlen("moonwatch schema ")) == 1;
}

static inline const char *columns_and_indexes(void) {
    return ask("SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS "
               "WHERE TABLE_SCHEMA = 'moonwatch' UNION ALL SELECT TABLE_NAME, INDEX_NAME, "
               "GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX), NON_UNIQUE FROM information_schema.STATISTICS "
               "WHERE TABLE_SCHEMA = 'moonwatch' GROUP BY 1, 2, 4 ORDER BY 1, 2, 3");
}

#endif
