/* A disk for SQLite that fails on demand. One per program. */
#ifndef SPEC_SQLITE_BROKEN_DISK_H
#define SPEC_SQLITE_BROKEN_DISK_H

#include <stdbool.h>

/* Every SQLite file of this process goes through it from now on. */
void broken_disk_install(void);

/* From the Nth write, sync or truncation on, all fail with `code`, until it is mended. */
void broken_disk_fail(int nth, int code);
bool broken_disk_struck(void);
void broken_disk_mend(void);

#endif
