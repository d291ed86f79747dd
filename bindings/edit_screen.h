/* The screen that a line is typed on: how wide it is, and where the line stands, so that something else can be written
 * there. In a prompt, what stands between two \1 takes no room. */
#ifndef MOONWATCH_BINDINGS_EDIT_SCREEN_H
#define MOONWATCH_BINDINGS_EDIT_SCREEN_H

#include <histedit.h>
#include <stdbool.h>
#include <stddef.h>

/* Columns, as they are now; 80 where there is no terminal. */
int mw__edit_screen_width(void);

/* Past all buffers; what cannot be written is dropped. */
void mw__edit_put(const char *text, size_t len);

/* To where the prompt begins, which may be rows above the cursor; nothing is left of it and of the line. */
void mw__edit_clear_line(EditLine *el, const char *prompt);

/* Behind all that is typed, wherever the cursor is in it. */
void mw__edit_go_behind(EditLine *el, const char *prompt);

/* Ask the terminal to mark what is pasted, so that a pasted tab is none that was typed; or to leave that. */
void mw__edit_ask_for_brackets(bool on);

#endif
