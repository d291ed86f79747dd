/* moonwatch.yaml: YAML into Lua tables, with the place of every key and value.
 *
 *   value, where = yaml.parse(text, name)
 *   nil, "name:line:column: what is wrong"
 *
 * A mapping becomes a table with string keys, a sequence a list, a plain scalar what YAML 1.2's core schema says
 * (`yaml.null`, boolean, number, else text), a quoted one text. `where[t]` of each table t is {here = "2:3", keys =
 * {k = "3:3"}, values = {k = "3:8"}}, in columns of characters from 1, and texts = {k = "007"} of what became a number,
 * as it was written. No document = an empty table.
 *
 * Bounded, because configuration is input too: at most 1 MiB and 64 levels; duplicate keys, a second document, tags and
 * anchors are refused.
 */
#include "lua_modules.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_BYTES (1u << 20)
#define MAX_DEPTH 64
#define READER "moonwatch.yaml.reader"

/* In a userdata: an error raised by Lua (memory) leaves it to the collector. */
struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool parser_open, event_open;
    const char *name;
    int where; /* stack index of the table of places */
};

static int reader_gc(lua_State *L) {
    struct reader *reader = luaL_checkudata(L, 1, READER);
    if (reader->event_open)
        yaml_event_delete(&reader->event);
    if (reader->parser_open)
        yaml_parser_delete(&reader->parser);
    reader->event_open = reader->parser_open = false;
    return 0;
}

#define MAX_COMPLAINT 400

/* A complaint may quote a key, which is any text of any length: keep the text on top of the stack to one short line. */
static void make_printable(lua_State *L) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    bool cut = len > MAX_COMPLAINT;
    for (len = cut ? MAX_COMPLAINT : len; cut && len > 0 && (text[len] & 0xC0) == 0x80;)
        len--; /* not in the middle of a character */
    luaL_Buffer line;
    luaL_buffinit(L, &line);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        char escaped[8];
        if (byte < 0x20 || byte == 0x7F)
            luaL_addlstring(&line, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\x%02x", byte));
        else
            luaL_addchar(&line, (char)byte);
    }
    if (cut)
        luaL_addstring(&line, "...");
    luaL_pushresult(&line);
    lua_remove(L, -2);
}

/* Push "name:line:column: why". Always false. */
static bool complain(lua_State *L, const struct reader *reader, yaml_mark_t at, const char *why) {
    lua_pushfstring(L, "%s:%d:%d: %s", reader->name, (int)at.line + 1, (int)at.column + 1, why);
    make_printable(L);
    return false;
}

/* Whether line `line`, from 0, is indented with a tab: the parser only says that the character cannot stand there. */
static bool has_tab_indent(const char *text, size_t line) {
    while (line > 0 && (text = strchr(text, '\n'))) {
        text++;
        line--;
    }
    return text && text[strspn(text, " ")] == '\t';
}

/* libyaml gives a byte offset where the input is no text at all, and a mark otherwise. */
static bool complain_parser(lua_State *L, const struct reader *reader, const char *text) {
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "out of memory";
    if (parser->error == YAML_SCANNER_ERROR && has_tab_indent(text, parser->problem_mark.line))
        return complain(L, reader, parser->problem_mark, "a tab; YAML is indented with spaces");
    if (parser->error != YAML_READER_ERROR)
        return complain(L, reader, parser->problem_mark, problem);
    yaml_mark_t at = {0};
    for (size_t i = 0; i < parser->problem_offset; i++) {
        at.column++;
        if (text[i] == '\n') {
            at.line++;
            at.column = 0;
        }
    }
    return complain(L, reader, at, problem);
}

static bool next_event(lua_State *L, struct reader *reader) {
    if (reader->event_open)
        yaml_event_delete(&reader->event);
    reader->event_open = false;
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return complain_parser(L, reader, lua_tostring(L, 1));
    reader->event_open = true;
    return true;
}

static void push_place(lua_State *L, yaml_mark_t at) {
    lua_pushfstring(L, "%d:%d", (int)at.line + 1, (int)at.column + 1);
}

static bool is_word(const char *text, size_t len, const char *const *words) {
    for (; *words; words++) {
        if (strlen(*words) == len && memcmp(text, *words, len) == 0)
            return true;
    }
    return false;
}

/* What YAML 1.2's core schema calls a number; Lua's own rules allow more ("0x1p4", " 5", "1e"). */
static bool looks_numeric(const char *text, size_t len) {
    if (len == 0 || len > 32)
        return false;
    if (len > 2 && text[0] == '0' && text[1] == 'x')
        return strspn(text + 2, "0123456789abcdefABCDEF") == len - 2;
    size_t sign = text[0] == '-' || text[0] == '+';
    return strspn(text + sign, "0123456789.eE+-") == len - sign && strpbrk(text, "0123456789");
}

static void push_plain(lua_State *L, const char *text, size_t len) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const truths[] = {"true", "True", "TRUE", NULL};
    static const char *const lies[] = {"false", "False", "FALSE", NULL};
    static const char *const infinite[] = {".inf", ".Inf", ".INF", "+.inf", "-.inf", NULL};
    if (is_word(text, len, nulls)) {
        lua_pushlightuserdata(L, NULL);
    } else if (is_word(text, len, truths) || is_word(text, len, lies)) {
        lua_pushboolean(L, is_word(text, len, truths));
    } else if (is_word(text, len, infinite)) {
        lua_pushnumber(L, text[0] == '-' ? -HUGE_VAL : HUGE_VAL);
    } else if (!looks_numeric(text, len) || lua_stringtonumber(L, text) != len + 1) {
        lua_pushlstring(L, text, len);
    }
}

static bool refuse_extras(lua_State *L, const struct reader *reader, const yaml_char_t *anchor,
                          const yaml_char_t *tag) {
    if (anchor)
        return complain(L, reader, reader->event.start_mark, "anchors are not read; repeat the value");
    if (tag)
        return complain(L, reader, reader->event.start_mark, "tags are not read; quote a text, write a number bare");
    return true;
}

static bool push_scalar(lua_State *L, struct reader *reader) {
    if (!refuse_extras(L, reader, reader->event.data.scalar.anchor, reader->event.data.scalar.tag))
        return false;
    const char *text = (const char *)reader->event.data.scalar.value;
    size_t len = reader->event.data.scalar.length;
    if (reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        push_plain(L, text, len);
    else
        lua_pushlstring(L, text, len);
    return true;
}

/* Push the new table, its `keys` and its `values`, and enter them in `where`. */
static void push_container(lua_State *L, struct reader *reader) {
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    push_place(L, reader->event.start_mark);
    lua_setfield(L, -2, "here");
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_setfield(L, -4, "keys");
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "values");
    lua_pushvalue(L, -4);
    lua_pushvalue(L, -4);
    lua_rawset(L, reader->where);
    lua_remove(L, -3);
}

static bool push_value(lua_State *L, struct reader *reader, int depth);

/* Read the key that the event holds: push it, and its place. */
static bool push_key(lua_State *L, struct reader *reader, int keys) {
    yaml_mark_t at = reader->event.start_mark;
    if (reader->event.type == YAML_ALIAS_EVENT)
        return complain(L, reader, at, "aliases are not read; repeat the value");
    if (reader->event.type != YAML_SCALAR_EVENT)
        return complain(L, reader, at, "a key is a text");
    if (!refuse_extras(L, reader, reader->event.data.scalar.anchor, reader->event.data.scalar.tag))
        return false;
    lua_pushlstring(L, (const char *)reader->event.data.scalar.value, reader->event.data.scalar.length);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, keys) != LUA_TNIL) {
        lua_pushfstring(L, "the key '%s' is already at %s", lua_tostring(L, -2), lua_tostring(L, -1));
        return complain(L, reader, at, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    push_place(L, at);
    lua_rawset(L, keys);
    return true;
}

/* The key and the number that the event is are on top: keep how it was written. */
static void keep_text(lua_State *L, const struct reader *reader, int table) {
    lua_pushvalue(L, table);
    lua_rawget(L, reader->where);
    if (lua_getfield(L, -1, "texts") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "texts");
    }
    lua_pushvalue(L, -4);
    lua_pushlstring(L, (const char *)reader->event.data.scalar.value, reader->event.data.scalar.length);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* Store the value that the event starts under the key on top of the stack, and where it stands. */
static bool store_value(lua_State *L, struct reader *reader, int table, int depth) {
    lua_pushvalue(L, -1);
    push_place(L, reader->event.start_mark);
    lua_rawset(L, table + 2);
    if (!push_value(L, reader, depth))
        return false;
    if (lua_type(L, -1) == LUA_TNUMBER)
        keep_text(L, reader, table);
    lua_rawset(L, table);
    return true;
}

static bool push_mapping(lua_State *L, struct reader *reader, int depth) {
    if (!refuse_extras(L, reader, reader->event.data.mapping_start.anchor, reader->event.data.mapping_start.tag))
        return false;
    push_container(L, reader);
    int table = lua_gettop(L) - 2;
    for (;;) {
        if (!next_event(L, reader))
            return false;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!push_key(L, reader, table + 1) || !next_event(L, reader) || !store_value(L, reader, table, depth))
            return false;
    }
    lua_settop(L, table);
    return true;
}

static bool push_sequence(lua_State *L, struct reader *reader, int depth) {
    if (!refuse_extras(L, reader, reader->event.data.sequence_start.anchor, reader->event.data.sequence_start.tag))
        return false;
    push_container(L, reader);
    int table = lua_gettop(L) - 2;
    for (lua_Integer i = 1;; i++) {
        if (!next_event(L, reader))
            return false;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        lua_pushinteger(L, i);
        if (!store_value(L, reader, table, depth))
            return false;
    }
    lua_settop(L, table);
    return true;
}

/* Push the value that the current event starts; on failure push the complaint instead. */
static bool push_value(lua_State *L, struct reader *reader, int depth) {
    luaL_checkstack(L, 16, "yaml");
    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        return push_scalar(L, reader);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        if (depth >= MAX_DEPTH)
            return complain(L, reader, reader->event.start_mark, "nested deeper than 64 levels");
        return reader->event.type == YAML_MAPPING_START_EVENT ? push_mapping(L, reader, depth + 1)
                                                              : push_sequence(L, reader, depth + 1);
    case YAML_ALIAS_EVENT:
        return complain(L, reader, reader->event.start_mark, "aliases are not read; repeat the value");
    default:
        return complain(L, reader, reader->event.start_mark, "a value was expected");
    }
}

static bool next_events(lua_State *L, struct reader *reader, int count) {
    while (count-- > 0) {
        if (!next_event(L, reader))
            return false;
    }
    return true;
}

/* The one document of the stream, or an empty table. */
static bool push_document(lua_State *L, struct reader *reader) {
    if (!next_events(L, reader, 2)) /* stream start, document start */
        return false;
    if (reader->event.type == YAML_STREAM_END_EVENT) {
        push_container(L, reader);
        lua_pop(L, 2);
        return true;
    }
    if (!next_event(L, reader) || !push_value(L, reader, 0))
        return false;
    if (!next_events(L, reader, 2)) /* document end */
        return false;
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return complain(L, reader, reader->event.start_mark, "a second document; one is read");
    return true;
}

static int yaml_parse(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, "yaml");
    lua_settop(L, 2);
    if (len > MAX_BYTES) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s:1:1: %I bytes; at most 1 MiB is read", name, (lua_Integer)len);
        return 2;
    }
    struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
    memset(reader, 0, sizeof *reader);
    luaL_setmetatable(L, READER);
    if (!yaml_parser_initialize(&reader->parser))
        return luaL_error(L, "not enough memory");
    reader->parser_open = true;
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, len);
    reader->name = name;
    lua_newtable(L);
    reader->where = lua_gettop(L);
    if (!push_document(L, reader)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, reader->where);
    return 2;
}

int luaopen_moonwatch_yaml(lua_State *L) {
    static const luaL_Reg functions[] = {{"parse", yaml_parse}, {NULL, NULL}};
    luaL_newmetatable(L, READER);
    lua_pushcfunction(L, reader_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
