/* The path rule against a second, naive reading of it: whoever is right, they must agree. */
#include <moonwatch/registry.h>

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition) {
    if (!condition)
        abort();
}

/* The canonical UTF-8 of `code`; its length. */
static size_t encode(uint32_t code, uint8_t out[4]) {
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(len == 1 ? code : lead[len] | code);
    return len;
}

/* Reads leniently, encodes again, and takes only what comes out the same. 0 = not UTF-8. */
static size_t read_character(const uint8_t *at, size_t left, uint32_t *ret_code) {
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (len > left)
        return 0;
    uint32_t code = len == 1 ? at[0] : at[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3F);
    uint8_t again[4];
    if (encode(code, again) != len || memcmp(again, at, len) != 0)
        return 0;
    *ret_code = code;
    return len;
}

static bool in(uint32_t code, uint32_t first, uint32_t last) {
    return code >= first && code <= last;
}

static bool characters_allowed(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t n = read_character(data + i, size - i, &code);
        if (n == 0 || in(code, 0, 0x1F) || in(code, 0x7F, 0x9F) || in(code, 0xD800, 0xDFFF) ||
            in(code, 0xE000, 0xF8FF) || code >= 0xFFF0)
            return false;
        i += n;
    }
    return true;
}

static bool is(const uint8_t *segment, size_t len, const char *text) {
    return len == strlen(text) && memcmp(segment, text, len) == 0;
}

static bool naive(const uint8_t *data, size_t size) {
    if (size == 0 || size > MW_PATH_MAX || data[0] != '/' || !characters_allowed(data, size))
        return false;
    if (size == 1)
        return true;
    for (size_t start = 1, end; start <= size; start = end + 1) {
        for (end = start; end < size && data[end] != '/';)
            end++;
        if (end == start || is(data + start, end - start, ".") || is(data + start, end - start, "..") ||
            (start == 1 && is(data + start, end - start, "zookeeper")))
            return false;
    }
    return true;
}

static void take_apart(mw_str path) {
    mw_str parent = mw_path_parent(path), name = mw_path_name(path), root = mw_str_of("/");
    must(mw_path_validate(parent, NULL) == MW_OK);
    if (path.len == 1) {
        must(name.len == 0 && mw_path_depth(path) == 0);
        return;
    }
    size_t slashes = parent.len == 1 ? 0 : 1;
    must(name.len > 0 && parent.len + slashes + name.len == path.len);
    must(mw_path_depth(path) == mw_path_depth(parent) + 1);
    must(mw_path_below(path, parent) && mw_path_below(path, root) && !mw_path_below(parent, path));
    must(!mw_path_below(path, path) && mw_path_covers(path, MW_DEPTH_SELF, path));
    must(mw_path_covers(parent, MW_DEPTH_CHILDREN, path) && mw_path_covers(root, MW_DEPTH_SUBTREE, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mw_str path = {(const char *)data, size};
    mw_error err = {.code = 0};
    int status = mw_path_validate(path, &err);
    must(status == (naive(data, size) ? MW_OK : MW_EINVALID));
    must(err.code == status && (status == MW_OK || strncmp(err.message, "path: ", 6) == 0));
    if (status == MW_OK)
        take_apart(path);
    return 0;
}
