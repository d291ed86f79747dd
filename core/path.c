/* The one rule for paths, on every backend (DESIGN, section 2; the character set is what ZooKeeper accepts). */
#include <moonwatch/registry.h>

/* Decode one UTF-8 character of the basic plane; 0 = malformed. Surrogates and overlong forms are malformed. */
static size_t decode(const unsigned char *p, size_t left, unsigned *ret_code) {
    if (p[0] < 0x80) {
        *ret_code = p[0];
        return 1;
    }
    if (p[0] >= 0xC2 && p[0] <= 0xDF && left >= 2 && (p[1] & 0xC0) == 0x80) {
        *ret_code = (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
        return 2;
    }
    if ((p[0] & 0xF0) == 0xE0 && left >= 3 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80) {
        unsigned code = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
        if (code >= 0x800 && !(code >= 0xD800 && code <= 0xDFFF)) {
            *ret_code = code;
            return 3;
        }
    }
    return 0;
}

static bool refused(unsigned code) {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || (code >= 0xE000 && code <= 0xF8FF) || code >= 0xFFF0;
}

static int check_characters(mw_str path, mw_error *err) {
    const unsigned char *bytes = (const unsigned char *)path.data;
    for (size_t i = 0; i < path.len;) {
        unsigned code = 0;
        size_t n = decode(bytes + i, path.len - i, &code);
        if (n == 0)
            return mw_fail(err, MW_EINVALID, "path: byte %zu is not UTF-8 of the basic plane", i + 1);
        if (refused(code))
            return mw_fail(err, MW_EINVALID, "path: character U+%04X at byte %zu is not allowed", code, i + 1);
        i += n;
    }
    return MW_OK;
}

static int check_segment(mw_str segment, size_t start, mw_error *err) {
    if (segment.len == 0)
        return mw_fail(err, MW_EINVALID, "path: empty segment at byte %zu (doubled or trailing '/')", start + 1);
    if (mw_str_equal(segment, mw_str_of(".")) || mw_str_equal(segment, mw_str_of("..")))
        return mw_fail(err, MW_EINVALID, "path: segment '%.*s' at byte %zu; write the path in full",
                       MW_STR_FMT(segment), start + 1);
    if (start == 1 && mw_str_equal(segment, mw_str_of("zookeeper")))
        return mw_fail(err, MW_EINVALID, "path: '/zookeeper' is reserved; choose another root name");
    return MW_OK;
}

int mw_path_validate(mw_str path, mw_error *err) {
    if (path.len == 0 || path.data[0] != '/')
        return mw_fail(err, MW_EINVALID, "path: must start with '/'");
    if (path.len > MW_PATH_MAX)
        return mw_fail(err, MW_EINVALID, "path: %zu bytes long, at most %d are allowed", path.len, MW_PATH_MAX);
    if (path.len == 1)
        return MW_OK;
    int status = check_characters(path, err);
    for (size_t start = 1; status == MW_OK && start <= path.len;) {
        const char *slash = memchr(path.data + start, '/', path.len - start);
        size_t end = slash ? (size_t)(slash - path.data) : path.len;
        status = check_segment((mw_str){path.data + start, end - start}, start, err);
        start = end + 1;
    }
    return status;
}

mw_str mw_path_parent(mw_str path) {
    size_t end = path.len;
    while (end > 1 && path.data[end - 1] != '/')
        end--;
    return (mw_str){path.data, end > 1 ? end - 1 : 1};
}

mw_str mw_path_name(mw_str path) {
    size_t start = path.len;
    while (start > 0 && path.data[start - 1] != '/')
        start--;
    return (mw_str){path.data + start, path.len - start};
}

bool mw_path_below(mw_str path, mw_str ancestor) {
    if (ancestor.len == 1)
        return path.len > 1;
    return path.len > ancestor.len && path.data[ancestor.len] == '/' &&
           memcmp(path.data, ancestor.data, ancestor.len) == 0;
}

size_t mw_path_depth(mw_str path) {
    size_t depth = 0;
    for (size_t i = 0; path.len > 1 && i < path.len; i++)
        depth += path.data[i] == '/';
    return depth;
}

bool mw_path_covers(mw_str path, mw_depth depth, mw_str candidate) {
    switch (depth) {
    case MW_DEPTH_SELF:
        return mw_str_equal(path, candidate);
    case MW_DEPTH_CHILDREN:
        return mw_path_below(candidate, path) && mw_str_equal(mw_path_parent(candidate), path);
    case MW_DEPTH_SUBTREE:
        return mw_path_below(candidate, path);
    }
    return false;
}
