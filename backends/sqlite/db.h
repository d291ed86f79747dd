/* The SQLite driver's connection, shared by its files. */
#ifndef MOONWATCH_SQLITE_DB_H
#define MOONWATCH_SQLITE_DB_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "sql/driver.h"

/* In each file: a registry of ours. "MwRg" */
#define MW__SQLITE_APPLICATION_ID 1299665511
#define MW__SQLITE_TEXT(number) MW__SQLITE_TEXT_OF(number)
#define MW__SQLITE_TEXT_OF(number) #number

struct mw_sql_db {
    mw_host *host; /* for its log */
    char *path;
    const mw_sql_statement *catalog;
    size_t catalog_size;
    mw_time busy_timeout;
    char boot[64]; /* the kernel's boot id */

    sqlite3 *handle;
    sqlite3_stmt **prepared; /* one per statement of the catalogue, made on first use */
    sqlite3_stmt *begin_write, *begin_read, *commit, *rollback, *data_version;
    struct stat file; /* which file we opened: it may be replaced behind our back */
    int watch_fd;     /* inotify, or -1 */
    int64_t version;  /* of the data, as last looked at */
    mw_time busy_since;
    mw_time contended_at; /* when we last had to wait for another process */
    uint64_t random;
    atomic_bool interrupted;
};

/* driver.c: what the plug-in is made of */
extern const mw_sql_driver mw__sqlite_driver;
extern const mw_requirement mw__sqlite_options[];

/* file.c: opening, telling others */
mw_sql_connect_fn mw__sqlite_connect;
mw_sql_disconnect_fn mw__sqlite_disconnect;
int mw__sqlite_execute(mw_sql_db *db, const char *text, mw_error *err); /* no parameters, no rows */
int mw__sqlite_check_size(mw_sql_db *db, mw_error *err);                /* MW_ECORRUPT when its end is missing */
int mw__sqlite_counter(mw_sql_db *db, uint32_t *ret_counter); /* of commits to this file; within a transaction */
int mw__sqlite_same_file(const mw_sql_db *db, mw_error *err);
void mw__sqlite_announce(mw_sql_db *db);

/* schema.c: the tables, and the mark that says what they are */
mw_sql_schema_fn mw__sqlite_schema;
void mw__sqlite_mark(char *text, size_t size, const mw_sql_mark *mark); /* the statements that set it */

/* run.c: statements and errors */
mw_sql_run_fn mw__sqlite_run;
mw_sql_changed_fn mw__sqlite_changed;
int mw__sqlite_fail(const mw_sql_db *db, int code, mw_error *err);
void mw__sqlite_finalize(mw_sql_db *db);

/* busy.c: waiting for other processes, and the functions that SQL calls */
int mw__sqlite_add_functions(mw_sql_db *db);
mw_time mw__sqlite_now(void);
void mw__sqlite_yield(mw_sql_db *db);

#endif
