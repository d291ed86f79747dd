#include "value.h"

#include <stdlib.h>
#include <string.h>

static bool has_text(const mw_value *value) {
    return value->kind == MW_VALUE_STRING || value->kind == MW_VALUE_JSON;
}

int mw__values_copy(mw__values *values, const mw_value *list, size_t count, mw_error *err) {
    if (count == 0)
        return MW_OK;
    mw_value *grown = realloc(values->list, (values->count + count) * sizeof *grown);
    if (!grown)
        return mw_fail(err, MW_ENO_MEMORY, "no memory for values");
    values->list = grown;
    for (size_t i = 0; i < count; i++) {
        mw_value *copy = &grown[values->count];
        *copy = list[i];
        if (has_text(copy)) {
            char *text = malloc(copy->text.len + 1);
            if (!text)
                return mw_fail(err, MW_ENO_MEMORY, "no memory for values");
            if (copy->text.len)
                memcpy(text, copy->text.data, copy->text.len);
            copy->text.data = text;
        }
        values->count++;
    }
    return MW_OK;
}

void mw__values_release(mw__values *values) {
    for (size_t i = 0; i < values->count; i++) {
        if (has_text(&values->list[i]))
            free((char *)values->list[i].text.data);
    }
    free(values->list);
    values->list = NULL;
    values->count = 0;
}

char *mw__values_kinds(const mw_value *list, size_t count) {
    char *kinds = malloc(count + 1);
    for (size_t i = 0; kinds && i < count; i++)
        kinds[i] = list[i].kind == MW_VALUE_JSON ? 'j' : 'v';
    if (kinds)
        kinds[count] = '\0';
    return kinds;
}

void mw__value_push(lua_State *L, const mw_value *value) {
    switch (value->kind) {
    case MW_VALUE_BOOLEAN:
        lua_pushboolean(L, value->boolean);
        break;
    case MW_VALUE_INTEGER:
        lua_pushinteger(L, value->integer);
        break;
    case MW_VALUE_NUMBER:
        lua_pushnumber(L, value->number);
        break;
    case MW_VALUE_STRING:
    case MW_VALUE_JSON:
        (void)lua_pushlstring(L, value->text.data ? value->text.data : "", value->text.len);
        break;
    default:
        lua_pushnil(L);
    }
}

static bool read_value(lua_State *L, int index, bool json, mw_value *ret_value) {
    mw_value value = {.kind = MW_VALUE_NIL};
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        break;
    case LUA_TBOOLEAN:
        value.kind = MW_VALUE_BOOLEAN;
        value.boolean = lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        value.kind = lua_isinteger(L, index) ? MW_VALUE_INTEGER : MW_VALUE_NUMBER;
        value.integer = lua_tointeger(L, index);
        value.number = lua_tonumber(L, index);
        break;
    case LUA_TSTRING:
        value.kind = json ? MW_VALUE_JSON : MW_VALUE_STRING;
        value.text.data = lua_tolstring(L, index, &value.text.len);
        break;
    default:
        return false;
    }
    *ret_value = value;
    return true;
}

int mw__values_read(mw__values *values, lua_State *L, int count, mw_error *err) {
    if (count < 1)
        return MW_OK;
    int base = lua_gettop(L) - count + 1; /* the kinds */
    const char *kinds = lua_tostring(L, base);
    if (count == 1)
        return MW_OK;
    values->list = calloc((size_t)count - 1, sizeof *values->list);
    if (!values->list)
        return mw_fail(err, MW_ENO_MEMORY, "no memory for values");
    for (int i = 0; i < count - 1; i++) {
        if (!read_value(L, base + 1 + i, kinds && kinds[i] == 'j', &values->list[i]))
            return mw_fail(err, MW_EINVALID, "value %d is a %s, which cannot leave Lua", i + 1,
                           lua_typename(L, lua_type(L, base + 1 + i)));
        values->count++;
    }
    return MW_OK;
}
