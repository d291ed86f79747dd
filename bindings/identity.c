/* A session's secret for the identity file, and a predecessor's session from it. The secret is kept from the log and
 * from everything that prints. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

/* registry:secret(): of the present session, in hexadecimal; nil, err while there is none. */
static int registry_secret(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "secret");
    if (!registry->registry)
        return mw__lua_closed(L, "secret");
    unsigned char secret[MW_SECRET_SIZE];
    mw_str none = {0};
    int status = mw_registry_secret(registry->registry, secret);
    if (status != MW_OK)
        return mw__lua_failure(L, status, "there is no session", none, registry->backend);
    char text[2 * MW_SECRET_SIZE + 1];
    for (size_t i = 0; i < MW_SECRET_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", secret[i]);
    lua_pushlstring(L, text, sizeof text - 1);
    return 1;
}

static bool from_hex(mw_str text, unsigned char *out, size_t size) {
    if (text.len != 2 * size || strspn(text.data, "0123456789abcdef") < text.len)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        if (sscanf(text.data + 2 * i, "%2x", &byte) != 1)
            return false;
        out[i] = (unsigned char)byte;
    }
    return true;
}

/* registry:adopt(session, secret): what that session left behind counts as ours. */
static int registry_adopt(lua_State *L) {
    const mw_lua_registry *registry = mw__lua_check_registry(L, "adopt");
    lua_Integer session = luaL_checkinteger(L, 2);
    mw_str text = mw__lua_check_string(L, 3, "adopt", "secret");
    unsigned char secret[MW_SECRET_SIZE];
    if (!from_hex(text, secret, sizeof secret))
        return mw__lua_bad_argument(L, "adopt", "secret", "%d hexadecimal digits expected", 2 * MW_SECRET_SIZE);
    if (!registry->registry)
        return mw__lua_closed(L, "adopt");
    mw_str none = {0};
    int status = mw_registry_adopt(registry->registry, (mw_session_id)session, secret);
    if (status != MW_OK)
        return mw__lua_failure(L, status, mw_status_meaning(status), none, registry->backend);
    lua_pushboolean(L, 1);
    return 1;
}

void mw__lua_identity_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"secret", registry_secret}, {"adopt", registry_adopt}, {NULL, NULL}};
    mw__lua_registry_methods(L, methods);
}
