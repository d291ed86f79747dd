/* Clocks for SQL, and how to wait for a file that another process has locked. */
#include <time.h>

#include "db.h"

/* SQLite's own busy handler sleeps longer the longer it waits, so newcomers win and the oldest starve. Ours sleeps the
 * same short random time always: every waiter has the same chance. */
#define SHORTEST_NAP 100u
#define NAP_SPREAD 900u

/* Who had to wait lately leaves the others a gap before its next write, as long as a nap: else the process that has
 * just committed would win again, being the only one awake. */
#define CONTENDED (50 * MW_MS)

mw_time mw__sqlite_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (mw_time)now.tv_sec * MW_SECOND + (mw_time)now.tv_nsec;
}

static unsigned spread(mw_sql_db *db) {
    uint64_t x = db->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    db->random = x;
    return (unsigned)(x >> 33) % NAP_SPREAD;
}

static void nap(mw_sql_db *db) {
    struct timespec pause = {0, (long)(SHORTEST_NAP + spread(db)) * 1000};
    (void)nanosleep(&pause, NULL);
}

static int on_busy(void *arg, int count) {
    mw_sql_db *db = arg;
    mw_time now = mw__sqlite_now();
    db->contended_at = now;
    if (count == 0)
        db->busy_since = now;
    if (atomic_load(&db->interrupted) || now - db->busy_since > db->busy_timeout)
        return 0;
    nap(db);
    return 1;
}

void mw__sqlite_yield(mw_sql_db *db) {
    if (db->contended_at && mw__sqlite_now() - db->contended_at < CONTENDED)
        nap(db);
}

static void sql_now(sqlite3_context *context, int count, sqlite3_value **values) {
    sqlite3_result_int64(context, (sqlite3_int64)(mw__sqlite_now() / MW_MS));
}

static void sql_wall(sqlite3_context *context, int count, sqlite3_value **values) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    sqlite3_result_int64(context, (sqlite3_int64)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void sql_boot(sqlite3_context *context, int count, sqlite3_value **values) {
    const mw_sql_db *db = sqlite3_user_data(context);
    sqlite3_result_blob(context, db->boot, (int)strlen(db->boot), SQLITE_STATIC);
}

int mw__sqlite_add_functions(mw_sql_db *db) {
    const struct {
        const char *name;
        void (*call)(sqlite3_context *, int, sqlite3_value **);
        int flags;
    } functions[] = {
        {"mw_now", sql_now, 0},
        {"mw_wall", sql_wall, 0},
        {"mw_boot", sql_boot, SQLITE_DETERMINISTIC},
    };
    int code = sqlite3_busy_handler(db->handle, on_busy, db);
    for (size_t i = 0; code == SQLITE_OK && i < sizeof functions / sizeof *functions; i++)
        code = sqlite3_create_function(db->handle, functions[i].name, 0,
                                       SQLITE_UTF8 | SQLITE_DIRECTONLY | functions[i].flags, db, functions[i].call,
                                       NULL, NULL);
    return code;
}
