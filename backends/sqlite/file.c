/* The registry's file: opened, recognised, watched, and touched to tell the others. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "db.h"

/* Of SQLite's file format: where the header keeps what we compare with the file's size. */
#define HEADER_SIZE 100

static int check_path(mw_sql_db *db, mw_error *err) {
    struct stat file;
    if (stat(db->path, &file) == 0)
        return S_ISREG(file.st_mode) ? MW_OK : mw_fail(err, MW_EINVALID, "path: %s is not a regular file", db->path);
    if (errno == EACCES)
        return mw_fail(err, MW_EDENIED, "path: %s: %s", db->path, strerror(errno));
    if (errno != ENOENT)
        return mw_fail(err, MW_EINVALID, "path: %s: %s", db->path, strerror(errno));
    char *slash = strrchr(db->path, '/');
    if (!slash || slash == db->path)
        return MW_OK;
    *slash = '\0';
    bool there = stat(db->path, &file) == 0 && S_ISDIR(file.st_mode);
    int status = there ? MW_OK : mw_fail(err, MW_EINVALID, "path: there is no directory %s", db->path);
    *slash = '/';
    return status;
}

/* Sessions are compared within one boot of the machine only. */
static void read_boot_id(mw_sql_db *db) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, db->boot, sizeof db->boot - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    db->boot[got > 0 ? got : 0] = '\0';
    db->boot[strcspn(db->boot, "\n")] = '\0';
}

int mw__sqlite_execute(mw_sql_db *db, const char *text, mw_error *err) {
    int code = sqlite3_exec(db->handle, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? MW_OK : mw__sqlite_fail(db, code, err);
}

/* SQLite before 3.51.3 can corrupt a WAL shared by several processes; a rollback journal is safe, and its commit wakes
 * readers by the file itself. The journal stays (PERSIST): deleting it each time costs the directory's sync. */
static int configure(mw_sql_db *db, mw_error *err) {
    return mw__sqlite_execute(
        db,
        "PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL; PRAGMA journal_mode = PERSIST; "
        "PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;",
        err);
}

/* Only the file: watching its directory makes a process of root spin on its own journal. */
static void watch(mw_sql_db *db) {
    db->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (db->watch_fd < 0)
        return;
    if (inotify_add_watch(db->watch_fd, db->path, IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF) >= 0)
        return;
    (void)close(db->watch_fd);
    db->watch_fd = -1;
}

/* The system's own words for these speak of disks and files. */
static const char *why_no_events(int error) {
    if (error == ENOSPC)
        return "this user's watches are used up: raise fs.inotify.max_user_watches";
    return error == EMFILE ? "this user's watchers are used up: raise fs.inotify.max_user_instances" : strerror(error);
}

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Through SQLite's own descriptor: closing another would drop its locks. Its size 0: the file is empty. */
static int read_header(mw_sql_db *db, unsigned char header[HEADER_SIZE], sqlite3_int64 *ret_size) {
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code == SQLITE_OK && (!file || !file->pMethods))
        code = SQLITE_CANTOPEN;
    if (code == SQLITE_OK)
        code = file->pMethods->xFileSize(file, ret_size);
    if (code == SQLITE_OK && *ret_size > 0)
        code = file->pMethods->xRead(file, header, HEADER_SIZE, 0);
    return code;
}

int mw__sqlite_counter(mw_sql_db *db, uint32_t *ret_counter) {
    unsigned char header[HEADER_SIZE] = {0};
    sqlite3_int64 size = 0;
    int code = read_header(db, header, &size);
    *ret_counter = big_endian(header + 24);
    return code;
}

/* SQLite's own word for it is "malformed", and only when it needs what is missing. */
int mw__sqlite_check_size(mw_sql_db *db, mw_error *err) {
    unsigned char header[HEADER_SIZE] = {0};
    sqlite3_int64 size = 0;
    int code = read_header(db, header, &size);
    if (code == SQLITE_IOERR_SHORT_READ)
        return mw_fail(err, MW_ECORRUPT, "%s: not an SQLite database (too short); choose another path", db->path);
    if (code != SQLITE_OK)
        return mw__sqlite_fail(db, code, err);
    if (memcmp(header, "SQLite format 3", 16) != 0)
        return size > 0 ? mw__sqlite_fail(db, SQLITE_NOTADB, err) : MW_OK;
    uint32_t page = (uint32_t)header[16] << 8 | header[17];
    bool counted = big_endian(header + 24) == big_endian(header + 92);
    sqlite3_int64 expected = (sqlite3_int64)big_endian(header + 28) * (page == 1 ? 65536 : page);
    if (counted && size < expected)
        return mw_fail(err, MW_ECORRUPT, "%s: truncated (%lld of %lld bytes); restore it from a copy", db->path,
                       (long long)size, (long long)expected);
    return MW_OK;
}

/* Waiting mends none of these, and SQLite's own word for all of them is "unable to open". */
static int cannot_open(mw_sql_db *db, int code, mw_error *err) {
    size_t most = (size_t)sqlite3_vfs_find(NULL)->mxPathname;
    if ((code & 0xFF) == SQLITE_CANTOPEN && strlen(db->path) + strlen("-journal") > most)
        return mw_fail(err, MW_EINVALID, "path: SQLite takes no more than %zu bytes for a file and its journal: %s",
                       most, db->path);
    if (faccessat(AT_FDCWD, db->path, R_OK | W_OK, AT_EACCESS) == 0)
        return mw__sqlite_fail(db, code, err);
    if (errno != ENOENT)
        return mw_fail(err, MW_EDENIED, "%s: %s", db->path, strerror(errno));
    char *slash = strrchr(db->path, '/');
    *slash = '\0';
    const char *directory = slash == db->path ? "/" : db->path;
    bool may = faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0;
    int status =
        may ? MW_OK
            : mw_fail(err, MW_EDENIED, "path: this user may not create a file in %s: %s", directory, strerror(errno));
    *slash = '/';
    return may ? mw__sqlite_fail(db, code, err) : status;
}

int mw__sqlite_connect(mw_sql_db *db, mw_error *err) {
    int status = check_path(db, err);
    if (status != MW_OK)
        return status;
    read_boot_id(db);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(db->path, &db->handle, flags, NULL);
    if (code == SQLITE_OK)
        code = mw__sqlite_add_functions(db);
    if (code != SQLITE_OK)
        return cannot_open(db, code, err);
    status = configure(db, err);
    if (status == MW_ECORRUPT)
        (void)mw__sqlite_check_size(db, err);
    if (status != MW_OK)
        return status;
    if (sqlite3_db_readonly(db->handle, "main") == 1)
        return mw__sqlite_fail(db, SQLITE_READONLY, err);
    watch(db);
    if (db->watch_fd < 0)
        mw_log(db->host, MW_LOG_WARN, "sqlite", "%s: no file events (%s); changes are looked for instead", db->path,
               why_no_events(errno));
    if (stat(db->path, &db->file) != 0)
        return mw_fail(err, MW_EDISCONNECTED, "%s: %s", db->path, strerror(errno));
    return MW_OK;
}

void mw__sqlite_disconnect(mw_sql_db *db) {
    mw__sqlite_finalize(db);
    (void)sqlite3_close_v2(db->handle);
    db->handle = NULL;
    if (db->watch_fd >= 0)
        (void)close(db->watch_fd);
    db->watch_fd = -1;
    db->version = 0;
}

/* A file that was replaced (a restored copy) keeps living under our descriptor. */
int mw__sqlite_same_file(const mw_sql_db *db, mw_error *err) {
    struct stat now;
    if (stat(db->path, &now) == 0 && now.st_ino == db->file.st_ino && now.st_dev == db->file.st_dev)
        return MW_OK;
    return mw_fail(err, MW_EDISCONNECTED, "%s: the file was replaced or deleted", db->path);
}

/* By path: opening and closing the file would drop SQLite's locks on it. */
void mw__sqlite_announce(mw_sql_db *db) {
    (void)utimensat(AT_FDCWD, db->path, NULL, 0);
}
