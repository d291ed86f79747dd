/* The path rule: what is accepted, what is refused and why. */
#include <moonwatch/registry.h>

#include "support/check.h"

static int validate(const char *path, mw_error *err) {
    return mw_path_validate(mw_str_of(path), err);
}

static void accepts_ordinary_paths(void) {
    static const char *const good[] = {"/",           "/a",           "/a/b-c/d.e", "/a ",
                                       "/zookeeper2", "/a/zookeeper", "/\xC3\xA9",  "/..."};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_INT(validate(good[i], NULL), MW_OK);
}

static void refuses_what_some_backend_refuses(void) {
    static const char *const bad[] = {"",
                                      "a",
                                      "//",
                                      "/a/",
                                      "/a//b",
                                      "/.",
                                      "/a/../b",
                                      "/a\x01",
                                      "/a\x7F",
                                      "/\xC2\x85",
                                      "/\xEE\x80\x80",
                                      "/\xEF\xBF\xBF",
                                      "/\xFF",
                                      "/\xC3",
                                      "/\xF0\x9F\x98\x80",
                                      "/\xED\xA0\x80",
                                      "/zookeeper",
                                      "/zookeeper/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(validate(bad[i], NULL), MW_EINVALID);
}

static void refuses_nul_bytes(void) {
    CHECK_INT(mw_path_validate((mw_str){"/a\0b", 4}, NULL), MW_EINVALID);
}

static void bounds_the_length(void) {
    char path[MW_PATH_MAX + 2];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    CHECK_INT(mw_path_validate((mw_str){path, MW_PATH_MAX}, NULL), MW_OK);
    CHECK_INT(mw_path_validate((mw_str){path, MW_PATH_MAX + 1}, NULL), MW_EINVALID);
}

static void says_where(void) {
    mw_error err;
    CHECK_INT(validate("/a//b", &err), MW_EINVALID);
    CHECK_TEXT(err.message, "path: empty segment at byte 4 (doubled or trailing '/')");
}

static void takes_paths_apart(void) {
    CHECK(mw_str_equal(mw_path_parent(mw_str_of("/a/b")), mw_str_of("/a")));
    CHECK(mw_str_equal(mw_path_parent(mw_str_of("/a")), mw_str_of("/")));
    CHECK(mw_str_equal(mw_path_parent(mw_str_of("/")), mw_str_of("/")));
    CHECK(mw_str_equal(mw_path_name(mw_str_of("/a/b")), mw_str_of("b")));
    CHECK_INT(mw_path_depth(mw_str_of("/")), 0);
    CHECK_INT(mw_path_depth(mw_str_of("/a/b")), 2);
}

static void siblings_with_a_common_prefix_are_not_below(void) {
    CHECK(!mw_path_below(mw_str_of("/ab"), mw_str_of("/a")));
    CHECK(mw_path_below(mw_str_of("/a/b"), mw_str_of("/a")));
    CHECK(!mw_path_below(mw_str_of("/a"), mw_str_of("/a")));
    CHECK(mw_path_below(mw_str_of("/a"), mw_str_of("/")));
    CHECK(!mw_path_covers(mw_str_of("/a"), MW_DEPTH_CHILDREN, mw_str_of("/a/b/c")));
    CHECK(mw_path_covers(mw_str_of("/a"), MW_DEPTH_SUBTREE, mw_str_of("/a/b/c")));
    CHECK(mw_path_covers(mw_str_of("/"), MW_DEPTH_CHILDREN, mw_str_of("/a")));
}

static const spec_case cases[] = {
    {"accepts ordinary paths", accepts_ordinary_paths},
    {"refuses what some backend refuses", refuses_what_some_backend_refuses},
    {"refuses NUL bytes", refuses_nul_bytes},
    {"bounds the length", bounds_the_length},
    {"says where", says_where},
    {"takes paths apart", takes_paths_apart},
    {"siblings with a common prefix are not below", siblings_with_a_common_prefix_are_not_below},
};
SPEC_MAIN(cases)
