#include "broken_disk.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct broken_file {
    sqlite3_file base;
    sqlite3_file *inner; /* follows this */
} broken_file;

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *inner;
    atomic_int countdown; /* 0 = works; 1 = fails */
    atomic_int code;
    atomic_bool armed, struck;
} disk;

static sqlite3_file *inner(sqlite3_file *file) {
    return ((broken_file *)file)->inner;
}

/* SQLITE_OK, or how this operation fails. */
static int trouble(void) {
    if (!atomic_load(&disk.armed))
        return SQLITE_OK;
    if (atomic_load(&disk.countdown) > 1) {
        atomic_fetch_sub(&disk.countdown, 1);
        return SQLITE_OK;
    }
    atomic_store(&disk.struck, true);
    return atomic_load(&disk.code);
}

static int on_close(sqlite3_file *file) {
    return inner(file)->pMethods->xClose(inner(file));
}
static int on_read(sqlite3_file *file, void *to, int count, sqlite3_int64 offset) {
    return inner(file)->pMethods->xRead(inner(file), to, count, offset);
}
static int on_write(sqlite3_file *file, const void *from, int count, sqlite3_int64 offset) {
    int code = trouble();
    return code ? code : inner(file)->pMethods->xWrite(inner(file), from, count, offset);
}
static int on_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int code = trouble();
    return code ? code : inner(file)->pMethods->xTruncate(inner(file), size);
}
static int on_sync(sqlite3_file *file, int flags) {
    int code = trouble();
    return code ? code : inner(file)->pMethods->xSync(inner(file), flags);
}
static int on_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
    return inner(file)->pMethods->xFileSize(inner(file), ret_size);
}
static int on_lock(sqlite3_file *file, int level) {
    return inner(file)->pMethods->xLock(inner(file), level);
}
static int on_unlock(sqlite3_file *file, int level) {
    return inner(file)->pMethods->xUnlock(inner(file), level);
}
static int on_reserved(sqlite3_file *file, int *ret_reserved) {
    return inner(file)->pMethods->xCheckReservedLock(inner(file), ret_reserved);
}
static int on_control(sqlite3_file *file, int operation, void *arg) {
    return inner(file)->pMethods->xFileControl(inner(file), operation, arg);
}
static int on_sector(sqlite3_file *file) {
    return inner(file)->pMethods->xSectorSize(inner(file));
}
static int on_traits(sqlite3_file *file) {
    return inner(file)->pMethods->xDeviceCharacteristics(inner(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_traits,
};

static int on_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags) {
    broken_file *broken = (broken_file *)file;
    broken->inner = (sqlite3_file *)(broken + 1);
    broken->base.pMethods = NULL;
    int code = disk.inner->xOpen(disk.inner, name, broken->inner, flags, ret_flags);
    if (code == SQLITE_OK)
        broken->base.pMethods = &methods;
    return code;
}

void broken_disk_install(void) {
    disk.inner = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.inner;
    disk.vfs.zName = "broken";
    disk.vfs.szOsFile = (int)sizeof(broken_file) + disk.inner->szOsFile;
    disk.vfs.xOpen = on_open;
    if (sqlite3_vfs_register(&disk.vfs, 1) != SQLITE_OK)
        abort();
}

void broken_disk_fail(int nth, int code) {
    atomic_store(&disk.struck, false);
    atomic_store(&disk.code, code);
    atomic_store(&disk.countdown, nth);
    atomic_store(&disk.armed, true);
}

bool broken_disk_struck(void) {
    return atomic_load(&disk.struck);
}

void broken_disk_mend(void) {
    atomic_store(&disk.armed, false);
}
