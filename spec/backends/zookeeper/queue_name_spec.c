/* Names of queue members, and their order over the wrap of the sequence. */
#include "backends/zookeeper/queue_name.h"

#include "support/check.h"

#define NAME "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-"

static void reads_curators_names(void) {
    int32_t seq = 0;
    CHECK(zk_queue_member(mw_str_of(NAME "0000000042"), &seq));
    CHECK_INT(seq, 42);
    CHECK(zk_queue_member(mw_str_of(NAME "2147483647"), &seq));
    CHECK_INT(seq, INT32_MAX);
    CHECK(zk_queue_member(mw_str_of(NAME "-2147483648"), &seq));
    CHECK_INT(seq, INT32_MIN);
}

static void takes_nothing_else_for_a_member(void) {
    static const char *const others[] = {"",
                                         "leader",
                                         "lock-0000000001",
                                         NAME,
                                         NAME "42",
                                         NAME "000000004x",
                                         NAME "9999999999",
                                         "_c_0f8fad5b-d9cb-469f-a165-70867728950e-latch-0000000001",
                                         "x" NAME "0000000042"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(!zk_queue_member(mw_str_of(others[i]), NULL));
}

static void orders_over_the_wrap(void) {
    CHECK(zk_queue_compare(1, 2) < 0);
    CHECK(zk_queue_compare(INT32_MAX, INT32_MIN) < 0); /* the next one after the largest */
    CHECK(zk_queue_compare(INT32_MIN + 5, INT32_MAX - 5) > 0);
    CHECK_INT(zk_queue_compare(-7, -7), 0);
}

static void makes_guids_that_are_found_again(void) {
    char guid[ZK_GUID_SIZE], name[96];
    const unsigned char random[16] = {0xFF, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    zk_queue_guid(random, guid);
    CHECK_TEXT(guid, "ff010203-0405-4607-8809-0a0b0c0d0e0f");
    snprintf(name, sizeof name, "_c_%s-lock-0000000003", guid);
    CHECK(zk_queue_member(mw_str_of(name), NULL));
    CHECK(zk_queue_is(mw_str_of(name), guid));
    CHECK(!zk_queue_is(mw_str_of(NAME "0000000003"), guid));
}

static const spec_case cases[] = {
    {"reads Curator's names", reads_curators_names},
    {"takes nothing else for a member", takes_nothing_else_for_a_member},
    {"orders over the wrap", orders_over_the_wrap},
    {"makes guids that are found again", makes_guids_that_are_found_again},
};
SPEC_MAIN(cases)
