/* Where the line that is typed stands on the screen, as libedit draws it. */
#include "edit_screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

typedef struct place {
    int columns, row, column;
} place;

int mw__edit_screen_width(void) {
    struct winsize size = {0};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

static void advance_by(place *at, int width) {
    if (at->column + width > at->columns) { /* a wide character does not hang over the edge */
        at->row++;
        at->column = 0;
    }
    at->column += width;
    if (at->column == at->columns) {
        at->row++;
        at->column = 0;
    }
}

/* As libedit draws it. */
static void advance(place *at, const char *text, size_t len) {
    mbstate_t state = {0};
    while (len > 0) {
        wchar_t wide = L'?';
        size_t used = mbrtowc(&wide, text, len, &state);
        if (used == 0 || used > len)
            used = 1;
        if (wide == L'\n') {
            at->row++;
            at->column = 0;
        } else if (wide == L'\t') {
            advance_by(at, 8 - at->column % 8);
        } else {
            int width = wcwidth(wide);
            advance_by(at, width >= 0 ? width : 2);
        }
        text += used;
        len -= used;
    }
}

/* What is between the marks takes no room. */
static place after_prompt(const char *prompt) {
    place at = {.columns = mw__edit_screen_width()};
    bool shown = true;
    for (const char *part = prompt; *part; shown = !shown) {
        size_t len = strcspn(part, "\1");
        if (shown)
            advance(&at, part, len);
        part += len + (part[len] ? 1 : 0);
    }
    return at;
}

void mw__edit_put(const char *text, size_t len) {
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, text, len);
        if (written <= 0)
            return;
        text += written;
        len -= (size_t)written;
    }
}

void mw__edit_clear_line(EditLine *el, const char *prompt) {
    place at = after_prompt(prompt);
    const LineInfo *line = el_line(el);
    advance(&at, line->buffer, (size_t)(line->cursor - line->buffer));
    char up[16];
    mw__edit_put(up, at.row > 0 ? (size_t)snprintf(up, sizeof up, "\033[%dA", at.row) : 0);
    mw__edit_put("\r\033[J", 4);
}

void mw__edit_go_behind(EditLine *el, const char *prompt) {
    place at = after_prompt(prompt);
    const LineInfo *line = el_line(el);
    advance(&at, line->buffer, (size_t)(line->cursor - line->buffer));
    int row = at.row;
    advance(&at, line->cursor, (size_t)(line->lastchar - line->cursor));
    char down[32];
    mw__edit_put(down, at.row > row ? (size_t)snprintf(down, sizeof down, "\033[%dB", at.row - row) : 0);
    mw__edit_put(down, (size_t)snprintf(down, sizeof down, "\033[%dG", at.column + 1));
}

void mw__edit_ask_for_brackets(bool on) {
    const char *terminal = getenv("TERM");
    if (terminal && strcmp(terminal, "dumb") != 0)
        mw__edit_put(on ? "\033[?2004h" : "\033[?2004l", 8);
}
