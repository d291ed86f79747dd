/* The lines that were typed, in a file that several shells may write to. */
#ifndef MOONWATCH_BINDINGS_EDIT_HISTORY_H
#define MOONWATCH_BINDINGS_EDIT_HISTORY_H

#include <histedit.h>

typedef struct mw__edit_history {
    History *lines;
    char *file; /* NULL = they are kept in memory only */
} mw__edit_history;

/* The last `size` lines of `file` (NULL = none). 0, or -1 when there is no memory. */
int mw__edit_history_open(mw__edit_history *self, const char *file, int size);

/* The newest line, and behind what the file holds. */
void mw__edit_history_add(mw__edit_history *self, const char *line);

/* Harmless on a zeroed one. */
void mw__edit_history_close(mw__edit_history *self);

#endif
