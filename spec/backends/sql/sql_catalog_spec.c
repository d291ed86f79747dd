/* The catalogue of SQL, filled in for a dialect; options as text. */
#include "sql/statements.h"
#include "support/check.h"

static mw_sql_driver dialect_of(size_t rows) {
    return (mw_sql_driver){
        .name = "spec",
        .dialect = {.now = "NOW",
                    .wall = "WALL",
                    .boot = "BOOT",
                    .ignore = "IGNORE",
                    .upsert = "UPSERT",
                    .fresh_before = "VALUES(",
                    .fresh_after = ")",
                    .share = "SHARE",
                    .take = "TAKE",
                    .first_token = "FIRST",
                    .path_type = "PATH",
                    .bytes_type = "BYTES",
                    .short_type = "SHORT",
                    .int_type = "INT",
                    .table_end = "END",
                    .online = " ONLINE"},
        .rows_per_statement = rows,
    };
}

/* Every text of the catalogue, or of the DDL, for which `bad` holds. */
static void each_text(size_t rows, bool (*bad)(const mw_sql_statement *statement)) {
    mw_sql_statement *statements = NULL;
    mw_sql_driver driver = dialect_of(rows);
    CHECK_INT(mw__sql_catalog_new(&driver, &statements, NULL), MW_OK);
    const char *first_bad = "";
    for (size_t i = 0; i < MW__SQL_STATEMENT_COUNT; i++)
        if (!statements[i].text || bad(&statements[i]))
            first_bad = statements[i].name;
    char name[64];
    (void)snprintf(name, sizeof name, "%s", first_bad);
    mw__sql_catalog_free(statements);
    CHECK_TEXT(name, "");
}

static bool has_brace(const mw_sql_statement *statement) {
    return strchr(statement->text, '{') != NULL;
}

static bool lacks_its_rows(const mw_sql_statement *statement) {
    const char *rows = strstr(statement->text, "{rows}");
    bool once = rows && !strstr(rows + 1, "{rows}");
    return statement->columns[0] ? !once : rows != NULL;
}

static bool lacks_a_column(const mw_sql_statement *statement) {
    for (size_t i = 0; statement->columns[i]; i++) {
        char cell[64];
        (void)snprintf(cell, sizeof cell, "?%zu AS %s", 11 + i, statement->columns[i]);
        if (!strstr(statement->text, cell))
            return true;
    }
    return false;
}

static void fills_every_fragment(void) {
    each_text(1, has_brace);
}

static void writes_the_row_source_for_one_row(void) {
    each_text(1, lacks_a_column);
}

static void leaves_the_row_source_to_a_driver_of_many_rows(void) {
    each_text(100, lacks_its_rows);
}

static void reads_whole_numbers_only(void) {
    static const char *const bad[] = {"", " ", "1x", "1.5", "-1", "11", "99999999999999999999", "0x1"};
    int64_t value = 7;
    mw_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mw_option options[] = {{"key", bad[i]}, {0}};
        CHECK_INT(mw_sql_option_int(options, "key", 5, 0, 10, &value, &err), MW_EINVALID);
        CHECK(strncmp(err.message, "key: ", 5) == 0);
        CHECK_INT(value, 7);
    }
    mw_option options[] = {{"key", "3"}, {"key", "10"}, {0}};
    CHECK_INT(mw_sql_option_int(options, "key", 5, 0, 10, &value, &err), MW_OK);
    CHECK_INT(value, 10); /* the last one wins */
    CHECK_INT(mw_sql_option_int(options, "other", 5, 0, 10, &value, &err), MW_OK);
    CHECK_INT(value, 5);
}

static const spec_case cases[] = {
    {"fills every fragment", fills_every_fragment},
    {"writes the row source for one row", writes_the_row_source_for_one_row},
    {"leaves the row source to a driver of many rows", leaves_the_row_source_to_a_driver_of_many_rows},
    {"reads whole numbers only", reads_whole_numbers_only},
};
SPEC_MAIN(cases)
