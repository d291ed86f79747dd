/* Entries, transactions, and the order of answers. */
#define SPEC_HELPER
#include "spi_cases.h"

static void creates_and_reads(void) {
    spi_client *a = client(&on.a);
    mw_write write = spi_step(MW_CREATE, at("/a"), "one", 0);
    static spi_op op, got;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    CHECK_INT(op.written[0].version, 0);
    CHECK(op.written[0].revision > 0);
    CHECK_INT(op.written[0].created, op.written[0].revision);
    CHECK_INT(spi_read(a, &got, MW_READ_GET, at("/a")), MW_OK);
    CHECK(strstr(got.seen, "/a=one "));
    CHECK_INT(got.last.revision, op.written[0].revision);
    CHECK_INT(got.last.owner, 0);
    CHECK(got.last.ctime > 0 && got.last.mtime == got.last.ctime);
    CHECK_INT(spi_read(a, &got, MW_READ_STAT, at("/a")), MW_OK);
    CHECK(strstr(got.seen, "/a= "));
}

static void counts_versions_per_incarnation(void) {
    spi_client *a = client(&on.a);
    static spi_op got;
    CHECK_INT(spi_write(a, MW_PUT, at("/a"), "1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, at("/a"), "2", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_SET, at("/a"), "3", 1), MW_OK);
    CHECK_INT(spi_read(a, &got, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(got.last.version, 2);
    int64_t created = got.last.created;
    CHECK_INT(spi_write(a, MW_DELETE, at("/a"), NULL, MW_VERSION_ANY), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "4", 0), MW_OK);
    CHECK_INT(spi_read(a, &got, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(got.last.version, 0);
    CHECK(got.last.created > created);
}

static void refuses_with_the_right_word(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/b"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_EEXISTS);
    CHECK_INT(spi_write(a, MW_SET, at("/x"), "", MW_VERSION_ANY), MW_ENOT_FOUND);
    CHECK_INT(spi_write(a, MW_SET, at("/a"), "", 7), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_DELETE, at("/x"), NULL, MW_VERSION_ANY), MW_ENOT_FOUND);
    CHECK_INT(spi_write(a, MW_DELETE, at("/a/b"), NULL, 7), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_DELETE, at("/a"), NULL, MW_VERSION_ANY), MW_ENOT_EMPTY);
    CHECK_INT(spi_write(a, MW_CHECK, at("/x"), NULL, MW_VERSION_ANY), MW_ENOT_FOUND);
    CHECK_INT(spi_write(a, MW_CHECK, at("/a"), NULL, 7), MW_ECONFLICT);
    CHECK_INT(spi_write(a, MW_CHECK, at("/a"), NULL, MW_VERSION_ABSENT), MW_EEXISTS);
    CHECK_INT(spi_write(a, MW_CHECK, at("/x"), NULL, MW_VERSION_ABSENT), MW_OK);
}

static void a_refused_txn_changes_nothing(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/old"), "old", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/gone"), "", 0), MW_OK);
    mw_write writes[] = {spi_step(MW_CREATE, at("/new"), "", 0), spi_step(MW_SET, at("/old"), "new", 0),
                         spi_step(MW_DELETE, at("/gone"), NULL, 0), spi_step(MW_SET, "/x", "", MW_VERSION_ANY)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 4), MW_ENOT_FOUND);
    CHECK_INT(op.request.failed_write, 3);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/new")), MW_ENOT_FOUND);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/gone")), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/old")), MW_OK);
    CHECK(strstr(op.seen, "=old ") && op.last.version == 0);
}

static void a_txn_is_one_revision(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/c"), "", 0), MW_OK);
    mw_write writes[] = {spi_step(MW_CHECK, at("/c"), NULL, 0), spi_step(MW_CREATE, at("/a"), "", 0),
                         spi_step(MW_CREATE, at("/a/b"), "", 0), spi_step(MW_DELETE, at("/c"), NULL, 0)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 4), MW_OK);
    for (int i = 1; i < 4; i++)
        CHECK_INT(op.written[i].revision, op.written[0].revision);
    CHECK_INT(op.written[2].created, op.written[0].revision);
}

static void deletes_children_before_their_parent_in_one_txn(void) {
    spi_client *a = client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/b"), "", 0), MW_OK);
    mw_write writes[] = {spi_step(MW_DELETE, at("/a/b"), NULL, 0), spi_step(MW_DELETE, at("/a"), NULL, 0)};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, writes, 2), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/a")), MW_ENOT_FOUND);
}

static void makes_missing_parents(void) {
    spi_client *a = client(&on.a);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, at("/p/q/r"), "x", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/p/q")), MW_OK);
    CHECK_INT(op.last.owner, 0);
    CHECK_INT(spi_write(a, MW_PUT, at("/s/t"), "~x", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/s")), MW_OK);
    CHECK_INT(op.last.owner, 0);
}

static void siblings_with_a_common_prefix_are_apart(void) {
    spi_client *a = client(&on.a);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, at("/a"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/ab"), "", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/x"), "1", 0), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, at("/a/x/y"), "2", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, at("/a")), MW_OK);
    CHECK_INT(op.entries, 1);
    CHECK_INT(spi_read(a, &op, MW_READ_LIST, at("/a")), MW_OK);
    CHECK_INT(op.entries, 2);
    CHECK(strstr(op.seen, "/a/x=1 ") && strstr(op.seen, "/a/x/y=2 "));
}

static void tells_an_absent_parent_from_an_empty_one(void) {
    spi_client *a = client(&on.a);
    static spi_op op;
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, at("/x")), MW_ENOT_FOUND);
    CHECK_INT(spi_read(a, &op, MW_READ_LIST, at("/x")), MW_OK);
    CHECK_INT(op.entries, 0);
    CHECK_INT(spi_read(a, &op, MW_READ_CHILDREN, "/"), MW_OK);
}

static void values_are_bytes(void) {
    spi_client *a = client(&on.a);
    mw_write write = spi_step(MW_CREATE, at("/a"), NULL, 0);
    write.value = (mw_str){"a\0b\xFF", 4};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, at("/a")), MW_OK);
    CHECK_INT(op.value_len, 4);
    CHECK(memcmp(op.value, "a\0b\xFF", 4) == 0);
}

static void answers_in_order_of_submission(void) {
    spi_client *a = client(&on.a);
    mw_write write = spi_step(MW_CREATE, at("/a"), "mine", 0);
    static spi_op one, two;
    spi_submit_writes(a, &one, &write, 1);
    spi_submit_read(a, &two, MW_READ_GET, at("/a"));
    CHECK_INT(one.ends + two.ends, 0); /* never inline */
    CHECK_INT(spi_end(a, &two), MW_OK);
    CHECK_INT(one.ends, 1);
}

static void a_cancelled_request_is_forgotten(void) {
    spi_client *a = client(&on.a);
    static spi_op one, two;
    spi_submit_read(a, &one, MW_READ_GET, at("/a"));
    a->backend->cancel(a->conn, &one.request);
    CHECK_INT(spi_read(a, &two, MW_READ_GET, at("/a")), MW_ENOT_FOUND);
    CHECK_INT(one.ends, 0);
}

const spec_case spi_entry_cases[] = {
    {"creates and reads", creates_and_reads},
    {"counts versions per incarnation", counts_versions_per_incarnation},
    {"refuses with the right word", refuses_with_the_right_word},
    {"a refused txn changes nothing", a_refused_txn_changes_nothing},
    {"a txn is one revision", a_txn_is_one_revision},
    {"deletes children before their parent in one txn", deletes_children_before_their_parent_in_one_txn},
    {"makes missing parents", makes_missing_parents},
    {"siblings with a common prefix are apart", siblings_with_a_common_prefix_are_apart},
    {"tells an absent parent from an empty one", tells_an_absent_parent_from_an_empty_one},
    {"values are bytes", values_are_bytes},
    {"answers in order of submission", answers_in_order_of_submission},
    {"a cancelled request is forgotten", a_cancelled_request_is_forgotten},
    {NULL, NULL},
};
