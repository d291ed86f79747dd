/* What the keys do that libedit has no meaning for. */
#include "edit_keys.h"

static mw__edit_keys *keys_of(EditLine *el) {
    void *keys = NULL;
    (void)el_get(el, EL_CLIENTDATA, &keys);
    return keys;
}

static unsigned char on_tab(EditLine *el, int key) {
    mw__edit_keys *self = keys_of(el);
    (void)key;
    if (self->pasting) {
        (void)el_insertstr(el, "\t");
        return CC_REFRESH;
    }
    self->complete(self);
    return CC_NORM;
}

/* The terminal brackets what is pasted, which may go over several lines. */
static unsigned char on_paste(EditLine *el, int key) {
    keys_of(el)->pasting = true;
    (void)key;
    return CC_NORM;
}

static unsigned char on_pasted(EditLine *el, int key) {
    keys_of(el)->pasting = false;
    (void)key;
    return CC_NORM;
}

/* Ctrl-D: the end on an empty line, else it deletes. */
static unsigned char on_end(EditLine *el, int key) {
    const LineInfo *line = el_line(el);
    (void)key;
    if (line->lastchar == line->buffer) {
        keys_of(el)->at_end = true;
        return CC_NORM;
    }
    if (line->cursor == line->lastchar)
        return CC_ERROR;
    (void)el_cursor(el, 1);
    el_deletestr(el, 1);
    return CC_REFRESH;
}

void mw__edit_keys_bind(EditLine *el, mw__edit_keys *keys) {
    (void)el_set(el, EL_CLIENTDATA, keys);
    (void)el_set(el, EL_ADDFN, "moonwatch-complete", "complete Lua names and registry paths", on_tab);
    (void)el_set(el, EL_BIND, "^I", "moonwatch-complete", NULL);
    (void)el_set(el, EL_ADDFN, "moonwatch-end", "leave on an empty line, else delete", on_end);
    (void)el_set(el, EL_ADDFN, "moonwatch-paste", "what follows is pasted", on_paste);
    (void)el_set(el, EL_BIND, "\\e[200~", "moonwatch-paste", NULL);
    (void)el_set(el, EL_ADDFN, "moonwatch-pasted", "and ends", on_pasted);
    (void)el_set(el, EL_BIND, "\\e[201~", "moonwatch-pasted", NULL);
    (void)el_set(el, EL_BIND, "^D", "moonwatch-end", NULL);
    (void)el_set(el, EL_BIND, "^@", "moonwatch-end", NULL); /* typed while a line still ran: Linux makes it a NUL */
    (void)el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_set(el, EL_BIND, "\\e[A", "ed-prev-history", NULL);
    (void)el_set(el, EL_BIND, "\\e[B", "ed-next-history", NULL);
    (void)el_set(el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    (void)el_set(el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
}
