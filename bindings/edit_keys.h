/* The keys of the line editor: emacs' own of libedit, and Tab, Ctrl-D, what is pasted, the history's. */
#ifndef MOONWATCH_BINDINGS_EDIT_KEYS_H
#define MOONWATCH_BINDINGS_EDIT_KEYS_H

#include <histedit.h>
#include <stdbool.h>

typedef struct mw__edit_keys {
    void (*complete)(struct mw__edit_keys *keys); /* Tab was typed */
    bool at_end;                                  /* Ctrl-D was, on an empty line; whoever reads that resets it */
    bool pasting;                                 /* amid what is pasted, where a tab is a tab */
} mw__edit_keys;

/* `keys` becomes the editor's EL_CLIENTDATA, and lives as long as that. */
void mw__edit_keys_bind(EditLine *el, mw__edit_keys *keys);

#endif
