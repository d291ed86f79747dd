/* History over libedit's, and its file. */
#include "edit_history.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that has grown to more than twice what is loaded of it is written anew. */
static void load(mw__edit_history *self, int size) {
    HistEvent event;
    char fresh[PATH_MAX];
    int lines = history(self->lines, &event, H_LOAD, self->file);
    if (lines <= 2 * size || snprintf(fresh, sizeof fresh, "%s.new", self->file) >= PATH_MAX)
        return;
    if (history(self->lines, &event, H_SAVE, fresh) < 0 || rename(fresh, self->file) != 0)
        (void)unlink(fresh);
}

int mw__edit_history_open(mw__edit_history *self, const char *file, int size) {
    HistEvent event;
    self->lines = history_init();
    if (!self->lines)
        return -1;
    (void)history(self->lines, &event, H_SETSIZE, size);
    (void)history(self->lines, &event, H_SETUNIQUE, 1);
    if (file && (self->file = strdup(file)))
        load(self, size);
    return 0;
}

void mw__edit_history_add(mw__edit_history *self, const char *line) {
    HistEvent event;
    (void)history(self->lines, &event, H_ENTER, line);
    FILE *file = self->file ? fopen(self->file, "ae") : NULL;
    if (!file)
        return;
    (void)fseek(file, 0, SEEK_END);
    (void)history(self->lines, &event, H_NSAVE_FP, (size_t)0, file); /* the newest, counted from 0 */
    (void)fclose(file);
}

void mw__edit_history_close(mw__edit_history *self) {
    if (self->lines)
        history_end(self->lines);
    free(self->file);
    *self = (mw__edit_history){0};
}
