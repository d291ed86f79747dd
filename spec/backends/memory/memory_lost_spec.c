/* Messages and sessions of the memory backend that are lost: what was done is found out, and told once. */
#include "cluster.h"

#define TIMEOUT (6 * MW_SECOND)

static size_t members(spi_client *client, const char *path) {
    static spi_op op;
    CHECK_INT(spi_read(client, &op, MW_READ_QUEUE, path), MW_OK);
    return (size_t)op.entries;
}

static void a_lost_reply_is_found_out(void) {
    spi_client *a = cluster_client(&on.a);
    CHECK_INT(mw_memory_lose_next_reply(on.server, a->session.id), MW_OK);
    mw_write write = spi_step(MW_CREATE, "/a", "once", 0);
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    CHECK_INT(a->disconnected, 1);
    CHECK(a->session.resumed);
    int64_t revision = op.written[0].revision;
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/a"), MW_OK);
    CHECK_INT(op.last.revision, revision);
    CHECK_INT(op.last.version, 0);
}

static void a_lost_refusal_is_found_out(void) {
    spi_client *a = cluster_client(&on.a);
    CHECK_INT(spi_write(a, MW_CREATE, "/a", "", 0), MW_OK);
    CHECK_INT(mw_memory_lose_next_reply(on.server, a->session.id), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, "/a", "", 0), MW_EEXISTS);
    CHECK_INT(a->disconnected, 1);
}

static void a_lost_request_was_not_applied(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_op op;
    CHECK_INT(mw_memory_lose_next_request(on.server, a->session.id), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, "/a", "", 0), MW_EDISCONNECTED);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/a"), MW_ENOT_FOUND);
}

static void each_of_many_lost_replies_is_found_out(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_op ops[5];
    static mw_write writes[5];
    static const char *const paths[] = {"/0", "/1", "/2", "/3", "/4"};
    CHECK_INT(mw_memory_lose_next_reply(on.server, a->session.id), MW_OK);
    for (int i = 0; i < 5; i++) {
        writes[i] = spi_step(MW_CREATE, paths[i], "", 0);
        spi_submit_writes(a, &ops[i], &writes[i], 1);
    }
    CHECK_INT(spi_end(a, &ops[4]), MW_EDISCONNECTED);
    CHECK_INT(ops[0].status, MW_OK); /* its reply was lost, and with it what was behind */
    for (int i = 1; i < 5; i++)
        CHECK_INT(ops[i].status, MW_EDISCONNECTED);
    static spi_op list;
    CHECK_INT(spi_read(a, &list, MW_READ_LIST, "/"), MW_OK);
    CHECK_INT(list.entries, 1);
}

static bool three_revisions(void *arg) {
    return mw_memory_revision(on.server) >= 3;
}

static void replies_lost_on_the_way_are_told_again(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_op ops[3];
    static mw_write writes[3];
    static const char *const paths[] = {"/0", "/1", "/2"};
    const mw_memory_faults slow = {.latency_min = 50 * MW_MS, .latency_max = 50 * MW_MS};
    CHECK_INT(mw_memory_set_faults(on.server, a->session.id, &slow), MW_OK);
    for (int i = 0; i < 3; i++) {
        writes[i] = spi_step(MW_CREATE, paths[i], "", 0);
        spi_submit_writes(a, &ops[i], &writes[i], 1);
    }
    CHECK(cluster_run(three_revisions, NULL));
    CHECK_INT(ops[0].ends + ops[1].ends + ops[2].ends, 0);
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, 0), MW_OK);
    CHECK_INT(spi_end(a, &ops[2]), MW_OK);
    CHECK(ops[0].status == MW_OK && ops[1].status == MW_OK);
    CHECK_INT(ops[1].written[0].revision, 2);
}

static void what_the_server_forgot_is_unknown(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_op op;
    const mw_memory_faults faults = {.forget = 1};
    CHECK_INT(mw_memory_set_faults(on.server, a->session.id, &faults), MW_OK);
    CHECK_INT(mw_memory_lose_next_reply(on.server, a->session.id), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, "/a", "", 0), MW_EUNKNOWN);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/a"), MW_OK);
}

static void a_write_whose_session_is_gone_is_unknown(void) {
    spi_client *a = cluster_client(&on.a);
    CHECK_INT(mw_memory_lose_next_reply(on.server, a->session.id), MW_OK);
    mw_write write = spi_step(MW_CREATE, "/a", "", 0);
    static spi_op op;
    spi_submit_writes(a, &op, &write, 1);
    CHECK(spi_await(a, &a->disconnected, 1));
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, 2 * TIMEOUT), MW_OK);
    CHECK_INT(spi_end(a, &op), MW_EUNKNOWN);
    CHECK(spi_await(a, &a->expired, 1));
}

static void a_lost_grant_is_told_again(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_ticket ticket;
    CHECK_INT(mw_memory_lose_next_reply(on.server, a->session.id), MW_OK);
    spi_lock(a, &ticket, "/lock", false);
    CHECK(spi_await(a, &ticket.grants, 1));
    CHECK_INT(a->disconnected, 1);
    CHECK_INT(members(a, "/lock"), 1);
    mw_write write = {.kind = MW_CHECK_LOCK, .lock = &ticket.ticket};
    static spi_op op;
    CHECK_INT(spi_txn(a, &op, &write, 1), MW_OK);
    spi_unlock(a, &ticket);
    CHECK_INT(ticket.grants, 1);
}

static void a_lost_release_is_done_again(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_ticket ticket;
    spi_lock(a, &ticket, "/lock", false);
    CHECK(spi_await(a, &ticket.grants, 1));
    CHECK_INT(mw_memory_lose_next_request(on.server, a->session.id), MW_OK);
    spi_unlock(a, &ticket);
    CHECK_INT(ticket.status, MW_OK);
    CHECK_INT(members(a, "/lock"), 0);
}

static void a_ticket_withdrawn_while_away_leaves_nothing(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_ticket one, two;
    spi_lock(a, &one, "/lock", false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, "/lock", false);
    CHECK_INT(members(b, "/lock"), 2);
    CHECK_INT(mw_memory_disconnect(on.server, b->session.id, MW_SECOND), MW_OK);
    CHECK(spi_await(b, &b->disconnected, 1));
    b->backend->unlock(b->conn, &two.ticket);
    spi_unlock(a, &one); /* two becomes the holder, but nobody is there to hear it */
    CHECK(spi_await(b, &two.ends, 1));
    CHECK_INT(two.grants, 0);
    CHECK_INT(members(a, "/lock"), 0);
}

static void a_lost_goodbye_is_said_again(void) {
    spi_client *a = cluster_client(&on.a);
    mw_memory_counts counts;
    CHECK_INT(mw_memory_lose_next_request(on.server, a->session.id), MW_OK);
    spi_close(a);
    mw_memory_count(on.server, &counts);
    CHECK_INT(counts.sessions, 0);
}

/* It holds, and stands in the same queue once more: that place goes before the lock becomes free. */
static void a_session_that_ends_is_granted_nothing(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_ticket one, two, three;
    spi_lock(a, &one, "/lock", false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(a, &two, "/lock", false);
    CHECK_INT(members(a, "/lock"), 2);
    spi_lock(b, &three, "/lock", false);
    CHECK_INT(members(b, "/lock"), 3);
    int64_t before = mw_memory_revision(on.server);
    CHECK_INT(mw_memory_expire(on.server, a->session.id), MW_OK);
    CHECK(spi_await(b, &three.grants, 1));
    CHECK_INT(three.ticket.token, before + 1);
    CHECK_INT(two.grants, 0);
}

static const spec_case cases[] = {
    {"a lost reply is found out", a_lost_reply_is_found_out},
    {"a lost refusal is found out", a_lost_refusal_is_found_out},
    {"a lost request was not applied", a_lost_request_was_not_applied},
    {"each of many lost replies is found out", each_of_many_lost_replies_is_found_out},
    {"replies lost on the way are told again", replies_lost_on_the_way_are_told_again},
    {"what the server forgot is unknown", what_the_server_forgot_is_unknown},
    {"a write whose session is gone is unknown", a_write_whose_session_is_gone_is_unknown},
    {"a lost grant is told again", a_lost_grant_is_told_again},
    {"a lost release is done again", a_lost_release_is_done_again},
    {"a lost goodbye is said again", a_lost_goodbye_is_said_again},
    {"a ticket withdrawn while away leaves nothing", a_ticket_withdrawn_while_away_leaves_nothing},
    {"a session that ends is granted nothing", a_session_that_ends_is_granted_nothing},
};

int main(int argc, char **argv) {
    on.seed = 7;
    spec.before = cluster_start;
    spec.after = cluster_stop;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
