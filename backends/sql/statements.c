/* Filling a dialect into the catalogue. */
#include "catalog.h"

#include <stdio.h>
#include <stdlib.h>

/* ?1 .. ?9 are parameters; the columns of a row source follow from ?11 on (driver.h). */
#define FIRST_COLUMN 11

typedef struct expansion {
    const mw_sql_dialect *dialect;
    const mw_sql_statement *statement; /* whose columns {rows} names; NULL in a schema */
    bool rows_inline;
    FILE *out;
} expansion;

typedef struct fragment {
    const char *name;
    const char *text;
} fragment;

static bool write_special(const expansion *to, mw_str name);

static void write_rows(const expansion *to) {
    (void)fputs("(SELECT ", to->out);
    for (size_t i = 0; to->statement->columns[i]; i++)
        (void)fprintf(to->out, "%s?%zu AS %s", i ? ", " : "", FIRST_COLUMN + i, to->statement->columns[i]);
    (void)fputc(')', to->out);
}

static const char *joinable(const mw_sql_dialect *dialect) {
    return dialect->joins ? ", (SELECT 1) one" : "";
}

/* {of_rows:table}: what follows DELETE, for the rows of `table` whose path is in the row source. MySQL would look at
 * each row of the table for an IN, and has a join instead. */
static void write_of_rows(const expansion *to, mw_str table) {
    if (!to->dialect->joins) {
        (void)fprintf(to->out, "FROM %.*s WHERE path IN (SELECT s.path FROM ", MW_STR_FMT(table));
        (void)write_special(to, mw_str_of("rows"));
        (void)fputs(" s)", to->out);
        return;
    }
    (void)fprintf(to->out, "%.*s FROM ", MW_STR_FMT(table));
    (void)write_special(to, mw_str_of("rows"));
    (void)fprintf(to->out, " s JOIN %.*s ON %.*s.path = s.path WHERE 1 = 1", MW_STR_FMT(table), MW_STR_FMT(table));
}

/* {from:table}: what follows DELETE. As {joinable} after the table of an UPDATE, it makes of the statement one of
 * several tables, where MySQL and MariaDB turn an IN into a join: with one, they look at each row of the table, and
 * lock it. */
static void write_from(const expansion *to, mw_str table) {
    if (to->dialect->joins)
        (void)fprintf(to->out, "%.*s ", MW_STR_FMT(table));
    (void)fprintf(to->out, "FROM %.*s%s", MW_STR_FMT(table), joinable(to->dialect));
}

/* {drop_index:table.index}. MariaDB takes no options after DROP INDEX. */
static void write_drop_index(const expansion *to, mw_str name) {
    const char *dot = memchr(name.data, '.', name.len);
    mw_str table = {name.data, (size_t)(dot - name.data)}, index = {dot + 1, name.len - table.len - 1};
    if (to->dialect->drop_index)
        (void)fprintf(to->out, "ALTER TABLE %.*s DROP INDEX %.*s%s", MW_STR_FMT(table), MW_STR_FMT(index),
                      to->dialect->drop_index);
    else
        (void)fprintf(to->out, "DROP INDEX %.*s", MW_STR_FMT(index));
}

/* {new:column}: the value that an upsert wanted to insert. */
static bool write_special(const expansion *to, mw_str name) {
    if (mw_str_equal(name, mw_str_of("rows"))) {
        if (to->rows_inline)
            write_rows(to);
        else
            (void)fputs("{rows}", to->out);
        return true;
    }
    if (name.len > 4 && memcmp(name.data, "new:", 4) == 0) {
        (void)fprintf(to->out, "%s%.*s%s", to->dialect->fresh_before, (int)name.len - 4, name.data + 4,
                      to->dialect->fresh_after);
        return true;
    }
    if (name.len > 8 && memcmp(name.data, "of_rows:", 8) == 0) {
        write_of_rows(to, (mw_str){name.data + 8, name.len - 8});
        return true;
    }
    if (name.len > 5 && memcmp(name.data, "from:", 5) == 0) {
        write_from(to, (mw_str){name.data + 5, name.len - 5});
        return true;
    }
    if (name.len > 11 && memcmp(name.data, "drop_index:", 11) == 0) {
        write_drop_index(to, (mw_str){name.data + 11, name.len - 11});
        return true;
    }
    return false;
}

static bool write_fragment(const expansion *to, mw_str name) {
    const mw_sql_dialect *d = to->dialect;
    const fragment known[] = {
        {"now", d->now},
        {"wall", d->wall},
        {"boot", d->boot},
        {"ignore", d->ignore},
        {"upsert", d->upsert},
        {"share", d->share},
        {"take", d->take},
        {"beat", d->beat ? d->beat : ""},
        {"first_token", d->first_token},
        {"path", d->path_type},
        {"bytes", d->bytes_type},
        {"short", d->short_type},
        {"int", d->int_type},
        {"table_end", d->table_end},
        {"joinable", joinable(d)},
        {"online", d->online},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!mw_str_equal(name, mw_str_of(known[i].name)))
            continue;
        (void)fputs(known[i].text, to->out);
        return true;
    }
    return write_special(to, name);
}

static bool write_text(const expansion *to, const char *text) {
    for (const char *open; (open = strchr(text, '{')); text = strchr(open, '}') + 1) {
        (void)fwrite(text, 1, (size_t)(open - text), to->out);
        mw_str name = {open + 1, strcspn(open + 1, "}")};
        if (!write_fragment(to, name))
            return false;
    }
    (void)fputs(text, to->out);
    return true;
}

static int expand(expansion *to, const char *text, const char **ret_text, mw_error *err) {
    char *bytes = NULL;
    size_t size = 0;
    to->out = open_memstream(&bytes, &size);
    if (!to->out)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory preparing SQL");
    bool known = write_text(to, text);
    bool failed = fclose(to->out) != 0;
    if (failed || !known) {
        free(bytes);
        return failed ? mw_fail(err, MW_ENO_MEMORY, "out of memory preparing SQL")
                      : mw_fail(err, MW_EINTERNAL, "a fragment that no dialect has in: %s", text);
    }
    *ret_text = bytes;
    return MW_OK;
}

/* The names between blanks; they live as long as the statement, in one allocation that starts at columns[0]. */
static int split_columns(mw_sql_statement *statement, const char *names, mw_error *err) {
    if (!*names)
        return MW_OK;
    char *copy = strdup(names);
    if (!copy)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory preparing SQL");
    size_t count = 0;
    statement->columns[count++] = copy;
    for (char *blank = copy; (blank = strchr(blank, ' '));) {
        *blank++ = '\0';
        statement->columns[count++] = blank;
    }
    return MW_OK;
}

static int expand_statements(const mw_sql_driver *driver, mw_sql_statement *statements, mw_error *err) {
    static const char *const names[] = {
#define MW__SQL_NAME(name) #name,
        MW__SQL_STATEMENTS(MW__SQL_NAME)
#undef MW__SQL_NAME
    };
    int status = MW_OK;
    for (size_t i = 0; status == MW_OK && i < MW__SQL_STATEMENT_COUNT; i++) {
        statements[i].name = names[i];
        status = split_columns(&statements[i], mw__sql_templates[i].columns, err);
        if (status != MW_OK)
            break;
        expansion to = {&driver->dialect, &statements[i], driver->rows_per_statement == 1, NULL};
        status = expand(&to, mw__sql_templates[i].text, &statements[i].text, err);
    }
    return status;
}

int mw__sql_expand(const mw_sql_dialect *dialect, const char *text, const char **ret_text, mw_error *err) {
    expansion to = {dialect, NULL, false, NULL};
    return expand(&to, text, ret_text, err);
}

int mw__sql_catalog_new(const mw_sql_driver *driver, mw_sql_statement **ret_statements, mw_error *err) {
    mw_sql_statement *statements = calloc(MW__SQL_STATEMENT_COUNT, sizeof *statements);
    if (!statements)
        return mw_fail(err, MW_ENO_MEMORY, "out of memory preparing SQL");
    int status = expand_statements(driver, statements, err);
    if (status != MW_OK) {
        mw__sql_catalog_free(statements);
        return status;
    }
    *ret_statements = statements;
    return MW_OK;
}

void mw__sql_catalog_free(mw_sql_statement *statements) {
    for (size_t i = 0; statements && i < MW__SQL_STATEMENT_COUNT; i++) {
        free((char *)statements[i].text);
        free((char *)statements[i].columns[0]);
    }
    free(statements);
}
