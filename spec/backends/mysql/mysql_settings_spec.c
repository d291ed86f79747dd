/* What an administrator set for everybody else does not reach the registry. */
#include "rig.h"

/* As a hurried my.cnf has it: texts of all clients are taken for GBK, where a backslash may be half a letter. */
static const char gbk[] = "--log-bin=bin --skip-character-set-client-handshake --character-set-server=gbk";

static const char strange[] = "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,"
                              "PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,IGNORE_SPACE,NO_UNSIGNED_SUBTRACTION';"
                              "SET GLOBAL autocommit = OFF;"
                              "SET GLOBAL tx_isolation = 'SERIALIZABLE';"
                              "SET GLOBAL tx_read_only = ON;"
                              "SET GLOBAL sql_select_limit = 2;"
                              "SET GLOBAL sql_safe_updates = ON;"
                              "SET GLOBAL sql_big_selects = OFF;"
                              "SET GLOBAL max_join_size = 2;"
                              "SET GLOBAL init_connect = 'SET NAMES gbk'";

static void value_is_kept(const char *bytes, size_t len) {
    static spi_op op;
    mw_write put = spi_step(MW_PUT, "/v", "", 0);
    put.value = (mw_str){bytes, len};
    CHECK_INT(spi_txn(&rig.a, &op, &put, 1), MW_OK);
    CHECK_INT(spi_read(&rig.a, &op, MW_READ_GET, "/v"), MW_OK);
    CHECK_INT((int64_t)op.value_len, (int64_t)len);
    CHECK(memcmp(op.value, bytes, len) == 0);
}

/* Each byte stands before each that is escaped: half of the bytes begin a letter of GBK that ends in it. */
static void values_are_kept(void) {
    for (int lead = 1; lead < 256; lead++) {
        char bytes[] = {(char)lead, '\'', (char)lead, '\\', '\'', (char)lead, '\0', '"', '\\', ' '};
        value_is_kept(bytes, sizeof bytes);
    }
}

static void a_life(void) {
    static spi_op op;
    static spi_ticket one, two;
    static spi_feed feed;
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/l/a", "1", 0), MW_OK);
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/l/b", "~2", 0), MW_OK);
    CHECK_INT(spi_write(&rig.a, MW_CREATE, "/l/c", "3", 0), MW_OK);
    CHECK_INT(spi_write(&rig.a, MW_SET, "/l/c", "33", 0), MW_OK);
    CHECK_INT(spi_read(&rig.b, &op, MW_READ_LIST, "/l"), MW_OK);
    CHECK_TEXT(op.seen, "/l/a=1 /l/b=2 /l/c=33 ");
    spi_watch(&rig.b, &feed, "/l", MW_DEPTH_CHILDREN);
    CHECK(spi_await_text(&rig.b, feed.seen, "synced"));
    spi_lock(&rig.a, &one, "/lock", false);
    CHECK(spi_await(&rig.a, &one.grants, 1));
    spi_lock(&rig.b, &two, "/lock", false);
    CHECK_INT(spi_write(&rig.b, MW_DELETE, "/l/c", NULL, 1), MW_OK);
    spi_unlock(&rig.a, &one);
    CHECK(spi_await(&rig.b, &two.grants, 1));
    CHECK(two.ticket.token > one.ticket.token);
    spi_close(&rig.a);
    CHECK(spi_await_text(&rig.b, feed.seen, "-/l/b"));
    spi_unlock(&rig.b, &two);
    rig.b.backend->unwatch(rig.b.conn, &feed.feed);
}

static void bytes_are_bytes_whatever_the_server_takes_texts_for(void) {
    rig_open(&rig.a, NULL);
    values_are_kept();
    spi_close(&rig.a);
}

static void nothing_that_is_set_for_all_sessions_is_for_ours(void) {
    spec_mysql_sql(&rig.server, "%s", strange);
    rig_open(&rig.a, NULL);
    rig_open(&rig.b, NULL);
    values_are_kept();
    a_life();
    spi_close(&rig.b);
}

static const spec_case cases[] = {
    {"bytes are bytes, whatever the server takes texts for", bytes_are_bytes_whatever_the_server_takes_texts_for},
    {"nothing that is set for all sessions is for ours", nothing_that_is_set_for_all_sessions_is_for_ours},
};

int main(int argc, char **argv) {
    return rig_main(gbk, cases, sizeof cases / sizeof *cases, argc, argv);
}
