/* Rows: entries copied out of a backend's callbacks, kept until an operation has been reported. */
#ifndef MW_ROWS_H
#define MW_ROWS_H

#include <moonwatch/types.h>

typedef struct mw__chunk mw__chunk;

/* Zero-initialised is empty. */
typedef struct mw__rows {
    mw_entry *items;
    size_t count;
    size_t room;
    mw__chunk *chunks; /* the bytes of paths and values */
} mw__rows;

/* Copy `entry` with its bytes. False when memory is short; the rows are unchanged then. */
bool mw__rows_add(mw__rows *rows, const mw_entry *entry);

void mw__rows_sort(mw__rows *rows); /* by path */
void mw__rows_release(mw__rows *rows);

#endif
