/* `require "moonwatch.edit"` in the executable: line editing on libedit, in the engine's loop, so that tasks, watches
 * and completions go on while somebody types. libedit's own interface is used, not its imitation of readline: it has no
 * globals. */
#include "internal.h"
#include "lua_modules.h"

#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLASS "moonwatch.Editor"
#define PROMPT_MAX 256

typedef struct line_reading line_reading;

typedef struct editor {
    EditLine *el;
    History *history;
    mw_lua *lua;
    mw_host *host;
    mw_poll keys;
    line_reading *reading; /* who waits for the line; NULL = the terminal is not ours */
    int complete;          /* reference of the function that Tab calls */
    bool at_end;           /* Ctrl-D on an empty line */
    char prompt[PROMPT_MAX];
    char *history_file;
} editor;

struct line_reading {
    mw_await await;
    editor *editor;
    char *line; /* NULL = end of input, or interrupted */
    bool interrupted;
};

static editor *check_editor(lua_State *L, const char *function) {
    editor *self = mw__lua_check_self(L, CLASS, function);
    if (!self->el)
        luaL_error(L, "'%s': the editor is closed", function);
    return self;
}

/* ---- Reading a line ------------------------------------------------------------------------------------------------
 */

static char *give_prompt(EditLine *el) {
    void *self = NULL;
    (void)el_get(el, EL_CLIENTDATA, &self);
    return ((editor *)self)->prompt;
}

/* The terminal goes back to how its owner had it, so that what a line starts prints as usual. */
static void leave(editor *self) {
    mw_poll_stop(self->host, &self->keys);
    if (self->reading)
        (void)el_set(self->el, EL_UNBUFFERED, 0);
    self->reading = NULL;
}

static void complete_reading(editor *self, const char *line, size_t len, bool interrupted) {
    line_reading *reading = self->reading;
    leave(self);
    self->at_end = false;
    reading->interrupted = interrupted;
    if (line && (reading->line = malloc(len + 1))) {
        memcpy(reading->line, line, len);
        reading->line[len] = '\0';
    }
    mw__lua_await_done(&reading->await);
}

/* One key; libedit gives the whole line when it is complete. */
static void on_keys(mw_poll *poll, unsigned events) {
    editor *self = mw_container(poll, editor, keys);
    int count = 0, waiting = 0;
    (void)events;
    if (ioctl(STDIN_FILENO, FIONREAD, &waiting) != 0 || waiting == 0) { /* readable without a byte: a hang-up */
        complete_reading(self, NULL, 0, false);
        return;
    }
    const char *line = el_gets(self->el, &count); /* an empty line gives NULL and -1, which is no error */
    if (self->at_end)
        complete_reading(self, NULL, 0, false);
    else if (line && count > 0 && (line[count - 1] == '\n' || line[count - 1] == '\r'))
        complete_reading(self, line, (size_t)count - 1, false);
}

static int finish_reading(lua_State *L, mw_await *await) {
    line_reading *self = (line_reading *)await;
    if (self->line)
        lua_pushstring(L, self->line);
    else
        luaL_pushfail(L);
    lua_pushstring(L, self->line ? NULL : self->interrupted ? "interrupt" : "end");
    mw__lua_await_free(await);
    return 2;
}

static void drop_reading(mw_await *await) {
    line_reading *self = (line_reading *)await;
    if (self->editor && self->editor->reading == self)
        leave(self->editor);
    mw__lua_await_free(await);
}

static void release_reading(mw_await *await) {
    free(((line_reading *)await)->line);
}

/* editor:read(prompt) -> line | nil, "end"|"interrupt". Waits. */
static int editor_read(lua_State *L) {
    editor *self = check_editor(L, "read");
    mw_str prompt = mw__lua_check_string(L, 2, "read", "prompt");
    if (self->reading)
        return luaL_error(L, "'read': a line is being read already");
    mw__lua_must_be_able_to_wait(L, "read");
    line_reading *started = mw__lua_await_new(self->lua, sizeof *started, finish_reading, drop_reading);
    if (!started)
        return luaL_error(L, "out of memory");
    started->await.release = release_reading;
    started->editor = self;
    self->reading = started;
    size_t len = prompt.len < PROMPT_MAX ? prompt.len : PROMPT_MAX - 1;
    memcpy(self->prompt, prompt.data, len);
    self->prompt[len] = '\0';
    (void)el_set(self->el, EL_UNBUFFERED, 1);
    int status = mw_poll_start(self->host, &self->keys, STDIN_FILENO, MW_READABLE);
    if (status != MW_OK)
        complete_reading(self, NULL, 0, false);
    return mw__lua_wait(L, mw__lua_process_real(L), &started->await);
}

/* editor:interrupt(): what is typed is thrown away; read returns nil, "interrupt". Whether a line was being read. */
static int editor_interrupt(lua_State *L) {
    editor *self = check_editor(L, "interrupt");
    bool reading = self->reading != NULL;
    if (reading) {
        (void)!write(STDOUT_FILENO, "^C\r\n", 4);
        el_reset(self->el);
        complete_reading(self, NULL, 0, true);
    }
    lua_pushboolean(L, reading);
    return 1;
}

/* ---- Beside the line -----------------------------------------------------------------------------------------------
 */

/* editor:print(text): above the line that is being typed, if one is. */
static int editor_print(lua_State *L) {
    editor *self = check_editor(L, "print");
    mw_str text = mw__lua_check_string(L, 2, "print", "text");
    (void)fflush(stdout);
    if (self->reading)
        (void)!write(STDOUT_FILENO, "\r\033[K", 4);
    for (size_t at = 0; at < text.len; at++) /* raw mode does not turn \n into \r\n */
        (void)!write(STDOUT_FILENO, text.data[at] == '\n' ? "\r\n" : text.data + at, text.data[at] == '\n' ? 2 : 1);
    (void)!write(STDOUT_FILENO, "\r\n", 2);
    if (self->reading)
        (void)el_set(self->el, EL_REFRESH);
    return 0;
}

/* editor:insert(text): at the cursor, as if typed. */
static int editor_insert(lua_State *L) {
    editor *self = check_editor(L, "insert");
    const char *text = luaL_checkstring(L, 2);
    if (self->reading && el_insertstr(self->el, text) == 0) {
        (void)!write(STDOUT_FILENO, "\r\033[K", 4);
        (void)el_set(self->el, EL_REFRESH);
    }
    return 0;
}

/* editor:buffer() -> text, bytes before the cursor; what is typed so far. */
static int editor_buffer(lua_State *L) {
    editor *self = check_editor(L, "buffer");
    const LineInfo *line = el_line(self->el);
    lua_pushlstring(L, line->buffer, (size_t)(line->lastchar - line->buffer));
    lua_pushinteger(L, line->cursor - line->buffer);
    return 2;
}

/* editor:prompt(text): from now on, also for the line that is being typed. */
static int editor_prompt(lua_State *L) {
    editor *self = check_editor(L, "prompt");
    mw_str prompt = mw__lua_check_string(L, 2, "prompt", "text");
    size_t len = prompt.len < PROMPT_MAX ? prompt.len : PROMPT_MAX - 1;
    memcpy(self->prompt, prompt.data, len);
    self->prompt[len] = '\0';
    if (self->reading) {
        (void)!write(STDOUT_FILENO, "\r\033[K", 4);
        (void)el_set(self->el, EL_REFRESH);
    }
    return 0;
}

/* editor:remember(line): into the history, and its file. */
static int editor_remember(lua_State *L) {
    editor *self = check_editor(L, "remember");
    HistEvent event;
    (void)history(self->history, &event, H_ENTER, luaL_checkstring(L, 2));
    if (self->history_file)
        (void)history(self->history, &event, H_SAVE, self->history_file);
    return 0;
}

/* editor:width() -> columns of the terminal */
static int editor_width(lua_State *L) {
    editor *self = check_editor(L, "width");
    int columns = 0;
    (void)el_get(self->el, EL_GETTC, "co", &columns, (void *)NULL);
    lua_pushinteger(L, columns > 0 ? columns : 80);
    return 1;
}

/* Tab: what to insert may have to be read from the registry, so a task finds it out and inserts it when it is there. */
static unsigned char on_tab(EditLine *el, int key) {
    void *data = NULL;
    (void)el_get(el, EL_CLIENTDATA, &data);
    editor *self = data;
    lua_State *L = self->lua->main;
    (void)key;
    if (self->complete == LUA_NOREF || !lua_checkstack(L, 2))
        return CC_NORM;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->complete);
    (void)mw_lua_spawn(L, 0, "completion", NULL, NULL, NULL, NULL);
    return CC_NORM;
}

/* Ctrl-D: the end on an empty line, else it deletes. */
static unsigned char on_end(EditLine *el, int key) {
    void *data = NULL;
    const LineInfo *line = el_line(el);
    (void)key;
    if (line->lastchar == line->buffer) {
        (void)el_get(el, EL_CLIENTDATA, &data);
        ((editor *)data)->at_end = true;
        return CC_NORM;
    }
    if (line->cursor == line->lastchar)
        return CC_ERROR;
    (void)el_cursor(el, 1);
    el_deletestr(el, 1);
    return CC_REFRESH;
}

/* ---- Opening and closing -------------------------------------------------------------------------------------------
 */

static int editor_close(lua_State *L) {
    editor *self = mw__lua_check_self(L, CLASS, "close");
    if (!self->el)
        return 0;
    if (self->reading)
        complete_reading(self, NULL, 0, true);
    el_end(self->el);
    self->el = NULL;
    history_end(self->history);
    free(self->history_file);
    self->history_file = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, self->complete);
    self->complete = LUA_NOREF;
    return 0;
}

static void bind_keys(editor *self) {
    (void)el_set(self->el, EL_ADDFN, "moonwatch-complete", "complete Lua names and registry paths", on_tab);
    (void)el_set(self->el, EL_BIND, "^I", "moonwatch-complete", NULL);
    (void)el_set(self->el, EL_ADDFN, "moonwatch-end", "leave on an empty line, else delete", on_end);
    (void)el_set(self->el, EL_BIND, "^D", "moonwatch-end", NULL);
    (void)el_set(self->el, EL_BIND, "^@", "moonwatch-end",
                 NULL); /* typed while a line still ran: Linux makes it a NUL */
    (void)el_set(self->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_set(self->el, EL_BIND, "\\e[A", "ed-prev-history", NULL);
    (void)el_set(self->el, EL_BIND, "\\e[B", "ed-next-history", NULL);
    (void)el_set(self->el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    (void)el_set(self->el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
}

/* edit.open{history = FILE or nil, history_size = N, complete = function or nil} -> editor */
static int edit_open(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    (void)lua_getfield(L, 1, "history");
    const char *file = luaL_optstring(L, -1, NULL);
    (void)lua_getfield(L, 1, "history_size");
    int size = (int)luaL_optinteger(L, -1, 2000);
    (void)lua_getfield(L, 1, "complete");
    editor *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (editor){.complete = LUA_NOREF, .keys = {.ready = on_keys}};
    luaL_setmetatable(L, CLASS);
    self->lua = mw__lua_context(L);
    self->host = mw__lua_process_real(L)->host;
    HistEvent event;
    if (!(self->history = history_init()) || !(self->el = el_init("moonwatch", stdin, stdout, stderr)))
        return luaL_error(L, "no line editing on this terminal");
    (void)history(self->history, &event, H_SETSIZE, size);
    (void)history(self->history, &event, H_SETUNIQUE, 1);
    if (file && (self->history_file = strdup(file)))
        (void)history(self->history, &event, H_LOAD, file);
    (void)el_set(self->el, EL_CLIENTDATA, self);
    (void)el_set(self->el, EL_PROMPT_ESC, give_prompt, '\1');
    (void)el_set(self->el, EL_EDITOR, "emacs");
    (void)el_set(self->el, EL_SIGNAL, 0);
    (void)el_set(self->el, EL_HIST, history, self->history);
    bind_keys(self);
    if (lua_isfunction(L, -2)) {
        lua_pushvalue(L, -2);
        self->complete = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 1;
}

/* edit.is_terminal() -> whether input and output are one, whether output is, whether standard error is */
static int edit_is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
    lua_pushboolean(L, isatty(STDOUT_FILENO));
    lua_pushboolean(L, isatty(STDERR_FILENO));
    return 3;
}

int luaopen_moonwatch_edit(lua_State *L) {
    static const luaL_Reg methods[] = {{"read", editor_read},     {"interrupt", editor_interrupt},
                                       {"print", editor_print},   {"insert", editor_insert},
                                       {"buffer", editor_buffer}, {"prompt", editor_prompt},
                                       {"width", editor_width},   {"remember", editor_remember},
                                       {"close", editor_close},   {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", editor_close}, {"__close", editor_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", edit_open}, {"is_terminal", edit_is_terminal}, {NULL, NULL}};
    if (luaL_newmetatable(L, CLASS)) {
        luaL_setfuncs(L, meta, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
