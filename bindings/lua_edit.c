/* `require "moonwatch.edit"` in the executable: line editing on libedit, in the engine's loop, so that tasks, watches
 * and completions go on while somebody types. libedit's own interface is used, not its imitation of readline: it has no
 * globals. */
#include "edit_history.h"
#include "edit_keys.h"
#include "edit_screen.h"
#include "internal.h"
#include "lua_modules.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uv.h>

#define CLASS "moonwatch.Editor"
#define PROMPT_MAX 256

typedef struct line_reading line_reading;
typedef struct resizes resizes;

typedef struct editor {
    EditLine *el;
    mw__edit_history history;
    mw__edit_keys keys;
    mw_lua *lua;
    mw_host *host;
    mw_poll input;
    line_reading *reading; /* who waits for the line; NULL = the terminal is not ours */
    int complete;          /* reference of the function that Tab calls */
    char prompt[PROMPT_MAX];
    resizes *resizes;
} editor;

/* Of its own, since libuv closes it later than the editor goes. */
struct resizes {
    uv_signal_t signal;
    editor *editor;
};

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

/* ---- The size of the terminal */

static void on_resize(uv_signal_t *handle, int number) {
    editor *self = ((resizes *)handle->data)->editor;
    (void)number;
    if (!self)
        return;
    if (self->reading)
        mw__edit_clear_line(self->el, self->prompt);
    el_resize(self->el);
    if (self->reading)
        (void)el_set(self->el, EL_REFRESH);
}

static void free_resizes(uv_handle_t *handle) {
    free(handle->data);
}

static void listen_for_resizes(editor *self) {
    resizes *started = calloc(1, sizeof *started);
    if (!started)
        return;
    started->editor = self;
    started->signal.data = started;
    (void)uv_signal_init(mw_uv_host_loop(self->host), &started->signal);
    (void)uv_signal_start(&started->signal, on_resize, SIGWINCH);
    uv_unref((uv_handle_t *)&started->signal);
    self->resizes = started;
}

/* ---- Reading a line */

static char *give_prompt(EditLine *el) {
    void *keys = NULL;
    (void)el_get(el, EL_CLIENTDATA, &keys);
    return mw_container(keys, editor, keys)->prompt;
}

/* The terminal goes back to how its owner had it, so that what a line starts prints as usual. */
static void leave(editor *self) {
    mw_poll_stop(self->host, &self->input);
    if (self->reading) {
        mw__edit_ask_for_brackets(false);
        (void)el_set(self->el, EL_UNBUFFERED, 0);
    }
    self->reading = NULL;
}

static void complete_reading(editor *self, const char *line, size_t len, bool interrupted) {
    line_reading *reading = self->reading;
    leave(self);
    self->keys.at_end = false;
    reading->interrupted = interrupted;
    if (line && (reading->line = malloc(len + 1))) {
        memcpy(reading->line, line, len);
        reading->line[len] = '\0';
    }
    mw__lua_await_done(&reading->await);
}

/* One key; libedit gives the whole line when it is complete. */
static void on_keys(mw_poll *poll, unsigned events) {
    editor *self = mw_container(poll, editor, input);
    int count = 0, waiting = 0;
    (void)events;
    if (ioctl(STDIN_FILENO, FIONREAD, &waiting) != 0 || waiting == 0) { /* readable without a byte: a hang-up */
        complete_reading(self, NULL, 0, false);
        return;
    }
    const char *line = el_gets(self->el, &count); /* an empty line gives NULL and -1, which is no error */
    if (self->keys.at_end)
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
    mw__edit_ask_for_brackets(true);
    (void)el_set(self->el, EL_UNBUFFERED, 1);
    int status = mw_poll_start(self->host, &self->input, STDIN_FILENO, MW_READABLE);
    if (status != MW_OK)
        complete_reading(self, NULL, 0, false);
    return mw__lua_wait(L, mw__lua_process_real(L), &started->await);
}

/* editor:interrupt(): what is typed is thrown away; read returns nil, "interrupt". Whether a line was being read. */
static int editor_interrupt(lua_State *L) {
    editor *self = check_editor(L, "interrupt");
    bool reading = self->reading != NULL;
    if (reading) {
        self->keys.pasting = false; /* with the signal the terminal has dropped its end */
        mw__edit_go_behind(self->el, self->prompt);
        mw__edit_put("^C\r\n", 4);
        el_reset(self->el);
        complete_reading(self, NULL, 0, true);
    }
    lua_pushboolean(L, reading);
    return 1;
}

/* ---- Beside the line */

/* editor:print(text): above the line that is being typed, if one is. */
static int editor_print(lua_State *L) {
    editor *self = check_editor(L, "print");
    mw_str text = mw__lua_check_string(L, 2, "print", "text");
    (void)fflush(stdout);
    if (self->reading)
        mw__edit_clear_line(self->el, self->prompt);
    while (text.len > 0) { /* raw mode does not turn \n into \r\n */
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        mw__edit_put(text.data, len);
        mw__edit_put("\r\n", end ? 2 : 0);
        text = (mw_str){text.data + len + (end ? 1 : 0), text.len - len - (end ? 1 : 0)};
    }
    mw__edit_put("\r\n", 2);
    if (self->reading)
        (void)el_set(self->el, EL_REFRESH);
    return 0;
}

/* editor:insert(text): at the cursor, as if typed. */
static int editor_insert(lua_State *L) {
    editor *self = check_editor(L, "insert");
    const char *text = luaL_checkstring(L, 2);
    if (self->reading) {
        mw__edit_clear_line(self->el, self->prompt);
        (void)el_insertstr(self->el, text);
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
    if (self->reading)
        mw__edit_clear_line(self->el, self->prompt);
    size_t len = prompt.len < PROMPT_MAX ? prompt.len : PROMPT_MAX - 1;
    memcpy(self->prompt, prompt.data, len);
    self->prompt[len] = '\0';
    if (self->reading)
        (void)el_set(self->el, EL_REFRESH);
    return 0;
}

/* editor:remember(line): into the history. */
static int editor_remember(lua_State *L) {
    editor *self = check_editor(L, "remember");
    mw__edit_history_add(&self->history, luaL_checkstring(L, 2));
    return 0;
}

/* What to insert may have to be read from the registry, so a task finds it out and inserts it when it is there. */
static void complete(mw__edit_keys *keys) {
    const editor *self = mw_container(keys, editor, keys);
    lua_State *L = self->lua->main;
    if (self->complete == LUA_NOREF || !lua_checkstack(L, 2))
        return;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, self->complete);
    (void)mw_lua_spawn(L, 0, "completion", NULL, NULL, NULL, NULL);
}

/* ---- Opening and closing */

static int editor_close(lua_State *L) {
    editor *self = mw__lua_check_self(L, CLASS, "close");
    if (!self->el)
        return 0;
    if (self->reading)
        complete_reading(self, NULL, 0, true);
    if (self->resizes) {
        self->resizes->editor = NULL;
        uv_close((uv_handle_t *)&self->resizes->signal, free_resizes);
    }
    self->resizes = NULL;
    el_end(self->el);
    self->el = NULL;
    mw__edit_history_close(&self->history);
    luaL_unref(L, LUA_REGISTRYINDEX, self->complete);
    self->complete = LUA_NOREF;
    return 0;
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
    *self = (editor){.complete = LUA_NOREF, .keys = {.complete = complete}, .input = {.ready = on_keys}};
    luaL_setmetatable(L, CLASS);
    self->lua = mw__lua_context(L);
    self->host = mw__lua_process_real(L)->host;
    if (mw__edit_history_open(&self->history, file, size) != 0 ||
        !(self->el = el_init("moonwatch", stdin, stdout, stderr))) {
        mw__edit_history_close(&self->history);
        return luaL_error(L, "no line editing on this terminal");
    }
    (void)el_set(self->el, EL_PROMPT_ESC, give_prompt, '\1');
    (void)el_set(self->el, EL_EDITOR, "emacs");
    (void)el_set(self->el, EL_SIGNAL, 0);
    (void)el_set(self->el, EL_HIST, history, self->history.lines);
    mw__edit_keys_bind(self->el, &self->keys);
    listen_for_resizes(self);
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

/* edit.width() -> columns of the terminal, as it is now; 80 where there is none */
static int edit_width(lua_State *L) {
    lua_pushinteger(L, mw__edit_screen_width());
    return 1;
}

int luaopen_moonwatch_edit(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"read", editor_read},         {"interrupt", editor_interrupt}, {"print", editor_print},
        {"insert", editor_insert},     {"buffer", editor_buffer},       {"prompt", editor_prompt},
        {"remember", editor_remember}, {"close", editor_close},         {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", editor_close}, {"__close", editor_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"open", edit_open}, {"is_terminal", edit_is_terminal}, {"width", edit_width}, {NULL, NULL}};
    if (luaL_newmetatable(L, CLASS)) {
        luaL_setfuncs(L, meta, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
