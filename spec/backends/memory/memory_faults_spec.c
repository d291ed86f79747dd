/* What the memory backend does when things go wrong: each fault, and the truth that comes out of it. Lost messages are
 * in memory_lost_spec.c. */
#include "cluster.h"

#define TIMEOUT (6 * MW_SECOND)

static void advance(mw_time span) {
    mw_world_advance(on.world, span);
}

static size_t members(spi_client *client, const char *path) {
    static spi_op op;
    CHECK_INT(spi_read(client, &op, MW_READ_QUEUE, path), MW_OK);
    return (size_t)op.entries;
}

/* ---- Disconnects and feeds */

static void a_short_disconnect_keeps_the_session(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    mw_session_id before = a->session.id;
    CHECK_INT(spi_write(a, MW_CREATE, "/e", "~x", 0), MW_OK);
    CHECK_INT(mw_memory_disconnect(on.server, before, 2 * MW_SECOND), MW_OK);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK(a->session.resumed && a->session.id == before && a->expired == 0);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, "/e"), MW_OK);
}

static void an_idle_session_lives_on(void) {
    spi_client *a = cluster_client(&on.a);
    advance(20 * TIMEOUT);
    CHECK_INT(a->expired + a->disconnected, 0);
    CHECK(a->confirmed > 50);
}

static void reads_under_way_end_with_the_connection(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_op op;
    spi_submit_read(a, &op, MW_READ_GET, "/a");
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, 0), MW_OK);
    CHECK_INT(spi_end(a, &op), MW_EDISCONNECTED);
    CHECK_INT(a->disconnected, 1); /* told first, so that the core does not submit again at once */
}

static void a_feed_that_was_away_gets_the_difference(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_feed feed;
    CHECK_INT(spi_write(b, MW_CREATE, "/d/old", "1", 0), MW_OK);
    CHECK_INT(spi_write(b, MW_CREATE, "/d/gone", "1", 0), MW_OK);
    spi_watch(a, &feed, "/d", MW_DEPTH_CHILDREN);
    CHECK(spi_await(a, &feed.synced, 1));
    feed.seen[0] = '\0';
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, MW_SECOND), MW_OK);
    CHECK_INT(spi_write(b, MW_PUT, "/d/old", "2", 0), MW_OK);
    CHECK_INT(spi_write(b, MW_DELETE, "/d/gone", NULL, 0), MW_OK);
    CHECK_INT(spi_write(b, MW_CREATE, "/elsewhere", "", 0), MW_OK);
    CHECK_INT(spi_write(b, MW_CREATE, "/d/new", "1", 0), MW_OK);
    CHECK(spi_await_text(a, feed.seen, "/d/new=1"));
    CHECK_TEXT(feed.seen, "/d/old=2 -/d/gone /d/new=1 ");
    a->backend->unwatch(a->conn, &feed.feed);
}

static void a_feed_behind_the_log_gets_a_snapshot(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_feed feed;
    CHECK_INT(spi_write(b, MW_CREATE, "/d/gone", "1", 0), MW_OK);
    spi_watch(a, &feed, "/d", MW_DEPTH_CHILDREN);
    CHECK(spi_await(a, &feed.synced, 1));
    feed.seen[0] = '\0';
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, MW_SECOND), MW_OK);
    CHECK_INT(spi_write(b, MW_DELETE, "/d/gone", NULL, 0), MW_OK);
    CHECK_INT(spi_write(b, MW_CREATE, "/d/new", "1", 0), MW_OK);
    mw_memory_compact(on.server);
    CHECK(spi_await(a, &feed.synced, 2));
    CHECK_TEXT(feed.seen, "begin /d/new=1 synced ");
    a->backend->unwatch(a->conn, &feed.feed);
}

static void a_feed_that_slept_past_the_log_gets_a_snapshot(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_feed feed;
    CHECK_INT(spi_write(b, MW_CREATE, "/d", "", 0), MW_OK);
    spi_watch(a, &feed, "/d", MW_DEPTH_CHILDREN);
    CHECK(spi_await(a, &feed.synced, 1));
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, MW_SECOND), MW_OK);
    CHECK_INT(spi_write(b, MW_CREATE, "/d/first", "1", 0), MW_OK);
    for (int i = 0; i < 1100; i++) /* more than the log remembers */
        CHECK_INT(spi_write(b, MW_PUT, "/elsewhere", "", 0), MW_OK);
    CHECK(spi_await_text(a, feed.seen, "/d/first=1"));
    CHECK_INT(feed.begun, 2);
    a->backend->unwatch(a->conn, &feed.feed);
}

/* Messages are late by chance; the case goes on until one half of a txn has come without the other. */
static void a_txn_cut_in_two_is_told_whole(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_feed feed;
    static spi_op op;
    CHECK_INT(spi_write(b, MW_CREATE, "/d", "", 0), MW_OK);
    spi_watch(a, &feed, "/d", MW_DEPTH_CHILDREN);
    CHECK(spi_await(a, &feed.synced, 1));
    const mw_memory_faults slow = {.latency_min = 1 * MW_MS, .latency_max = 100 * MW_MS};
    CHECK_INT(mw_memory_set_faults(on.server, a->session.id, &slow), MW_OK);
    bool cut = false;
    for (int i = 0; i < 20 && !cut; i++) {
        mw_write writes[] = {spi_step(MW_PUT, "/d/1", "x", 0), spi_step(MW_PUT, "/d/2", "x", 0)};
        feed.seen[0] = '\0';
        CHECK_INT(spi_txn(b, &op, writes, 2), MW_OK);
        CHECK(spi_await_text(a, feed.seen, "/d/1=x"));
        cut = !strstr(feed.seen, "/d/2=x");
    }
    CHECK(cut);
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, 0), MW_OK);
    CHECK(spi_await_text(a, feed.seen, "/d/2=x"));
    a->backend->unwatch(a->conn, &feed.feed);
}

/* ---- Pauses, frozen and cut-off servers */

static void a_paused_client_hears_that_its_session_expired(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_ticket one, two;
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, "/e", "~x", 0), MW_OK);
    spi_lock(a, &one, "/lock", false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, "/lock", false);
    mw_virtual_pause(on.hosts[0]);
    CHECK(spi_await(b, &two.grants, 1));
    CHECK(two.ticket.token > one.ticket.token);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, "/e"), MW_ENOT_FOUND);
    CHECK_INT(a->expired, 0);
    mw_virtual_resume(on.hosts[0]);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK_INT(a->expired, 1);
    CHECK_INT(one.status, MW_ESESSION_LOST);
    spi_unlock(b, &two);
}

static void a_killed_client_is_freed_with_the_server(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, "/e", "~x", 0), MW_OK);
    mw_virtual_kill(on.hosts[0]);
    advance(2 * TIMEOUT);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, "/e"), MW_ENOT_FOUND);
    a->conn = NULL; /* nobody can close it */
}

static void a_frozen_server_is_left_and_expires_nobody(void) {
    spi_client *a = cluster_client(&on.a);
    mw_session_id before = a->session.id;
    mw_time since = mw_world_now(on.world);
    CHECK_INT(mw_memory_freeze(on.server, 0, true), MW_OK);
    CHECK(spi_await(a, &a->disconnected, 1));
    CHECK(mw_world_now(on.world) - since <= TIMEOUT * 2 / 3);
    advance(10 * TIMEOUT);
    CHECK_INT(mw_memory_freeze(on.server, 0, false), MW_OK);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK_INT(a->session.id, before);
    CHECK_INT(a->expired, 0);
}

static void closing_on_a_frozen_server_is_bounded(void) {
    spi_client *a = cluster_client(&on.a);
    CHECK_INT(mw_memory_freeze(on.server, 0, true), MW_OK);
    mw_time since = mw_world_now(on.world);
    spi_close(a);
    CHECK_INT(mw_world_now(on.world) - since, MW_SECOND);
    CHECK_INT(mw_memory_freeze(on.server, 0, false), MW_OK);
}

static void closing_while_away_comes_back_to_say_goodbye(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, "/e", "~x", 0), MW_OK);
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, MW_SECOND / 2), MW_OK);
    CHECK(spi_await(a, &a->disconnected, 1));
    a->backend->close(a->conn, 2 * MW_SECOND);
    CHECK(spi_await(a, &a->closed, 1));
    CHECK_INT(spi_read(b, &op, MW_READ_GET, "/e"), MW_ENOT_FOUND);
}

static void a_server_cut_off_answers_reads_but_confirms_nothing(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op op;
    CHECK_INT(spi_write(a, MW_CREATE, "/e", "~old", 0), MW_OK);
    CHECK(spi_await(a, &a->confirmed, 1));
    CHECK_INT(mw_memory_isolate(on.server, a->session.id, true), MW_OK);
    int confirmed = a->confirmed;
    advance(2 * TIMEOUT);
    CHECK_INT(a->confirmed, confirmed);
    CHECK_INT(a->disconnected + a->expired, 0);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, "/e"), MW_ENOT_FOUND); /* the authority has ended the session */
    CHECK_INT(spi_write(b, MW_CREATE, "/e", "new", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/e"), MW_OK); /* its replica does not know */
    CHECK(strstr(op.seen, "/e=old "));
    CHECK_INT(spi_read(a, &op, MW_READ_LIST, "/"), MW_OK);
    CHECK_TEXT(op.seen, "/e=old ");
    mw_write write = spi_step(MW_PUT, "/zombie", "", 0);
    spi_submit_writes(a, &op, &write, 1);
    advance(MW_SECOND);
    CHECK_INT(op.ends, 0); /* a write waits for the authority */
    CHECK_INT(mw_memory_isolate(on.server, a->session.id, false), MW_OK);
    CHECK(spi_await(a, &a->expired, 1));
    CHECK_INT(spi_end(a, &op), MW_EUNKNOWN);
    CHECK_INT(spi_read(b, &op, MW_READ_GET, "/zombie"), MW_ENOT_FOUND);
}

/* ---- The server as a whole */

static void sessions_outlive_a_restart(void) {
    spi_client *a = cluster_client(&on.a);
    mw_session_id before = a->session.id;
    static spi_ticket ticket;
    spi_lock(a, &ticket, "/lock", false);
    CHECK(spi_await(a, &ticket.grants, 1));
    mw_memory_restart(on.server, 5 * TIMEOUT);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK(a->session.resumed && a->session.id == before && a->expired == 0);
    CHECK_INT(ticket.ends, 0);
    spi_unlock(a, &ticket);
}

static void a_dropped_lock_fences_its_holder_also_while_away(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b), *c = cluster_client(&on.c);
    static spi_ticket one, two, three;
    spi_lock(a, &one, "/lock", false);
    CHECK(spi_await(a, &one.grants, 1));
    spi_lock(b, &two, "/lock", false);
    CHECK_INT(members(b, "/lock"), 2);
    CHECK_INT(mw_memory_disconnect(on.server, a->session.id, MW_SECOND), MW_OK);
    CHECK_INT(mw_memory_drop_lock(on.server, mw_str_of("/lock")), MW_OK);
    CHECK_INT(mw_memory_drop_lock(on.server, mw_str_of("/lock")), MW_ENOT_FOUND);
    CHECK(spi_await(b, &two.ends, 1));
    CHECK_INT(two.status, MW_EFENCED);
    CHECK_INT(two.grants, 0);
    CHECK(spi_await(a, &one.ends, 1));
    CHECK_INT(one.status, MW_EFENCED);
    spi_lock(c, &three, "/lock", true);
    CHECK(spi_await(c, &three.grants, 1));
    CHECK(three.ticket.token > one.ticket.token);
    spi_unlock(c, &three);
}

static void a_registry_that_went_back_loses_sessions_and_raises_tokens(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_ticket before, after, early;
    static spi_op op;
    mw_memory_copy *copy = NULL;
    CHECK_INT(spi_write(a, MW_CREATE, "/kept", "1", 0), MW_OK);
    CHECK_INT(mw_memory_copy_new(on.server, &copy, NULL), MW_OK);
    CHECK_INT(spi_write(a, MW_PUT, "/kept", "2", 0), MW_OK);
    for (int i = 0; i < 50; i++)
        CHECK_INT(spi_write(a, MW_PUT, "/later", "", 0), MW_OK);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/kept"), MW_OK);
    int64_t revision = op.last.revision;
    spi_lock(a, &before, "/lock", false);
    CHECK(spi_await(a, &before.grants, 1));
    mw_virtual_pause(on.hosts[0]); /* the one that knows how far it was comes last */
    CHECK_INT(mw_memory_restore(on.server, copy, NULL), MW_OK);
    mw_memory_copy_free(copy);
    CHECK(spi_await(b, &b->expired, 1));
    CHECK(spi_await(b, &b->connected, 2));
    spi_lock(b, &early, "/lock", false);
    CHECK(spi_await(b, &early.grants, 1));
    mw_virtual_resume(on.hosts[0]);
    CHECK(spi_await(a, &a->connected, 2));
    CHECK_INT(a->expired, 1);
    CHECK_INT(before.status, MW_ESESSION_LOST);
    CHECK(spi_await(b, &early.ends, 1));
    CHECK_INT(early.status, MW_ESESSION_LOST);
    spi_lock(a, &after, "/lock", false);
    CHECK(spi_await(a, &after.grants, 1));
    CHECK(after.ticket.token > before.ticket.token && after.ticket.token > early.ticket.token);
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/kept"), MW_OK);
    CHECK_TEXT(op.seen, "/kept=1 ");
    CHECK(op.last.revision > revision); /* or those who had seen the newer state would keep it */
    CHECK_INT(spi_read(a, &op, MW_READ_GET, "/later"), MW_ENOT_FOUND);
    spi_unlock(a, &after);
}

static void a_feed_sees_what_a_restore_took(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_feed feed;
    mw_memory_copy *copy = NULL;
    CHECK_INT(spi_write(a, MW_CREATE, "/d/kept", "1", 0), MW_OK);
    CHECK_INT(mw_memory_copy_new(on.server, &copy, NULL), MW_OK);
    CHECK_INT(spi_write(a, MW_CREATE, "/d/later", "1", 0), MW_OK);
    spi_watch(a, &feed, "/d", MW_DEPTH_CHILDREN);
    CHECK(spi_await(a, &feed.synced, 1));
    feed.seen[0] = '\0';
    CHECK_INT(mw_memory_restore(on.server, copy, NULL), MW_OK);
    mw_memory_copy_free(copy);
    CHECK(spi_await(a, &feed.synced, 2));
    CHECK_TEXT(feed.seen, "begin /d/kept=1 synced ");
    a->backend->unwatch(a->conn, &feed.feed);
}

static void latency_reorders_connections_but_no_connection(void) {
    spi_client *a = cluster_client(&on.a), *b = cluster_client(&on.b);
    static spi_op first, second, own;
    const mw_memory_faults slow = {.latency_min = 100 * MW_MS, .latency_max = 200 * MW_MS};
    CHECK_INT(mw_memory_set_faults(on.server, a->session.id, &slow), MW_OK);
    mw_write one = spi_step(MW_PUT, "/x", "slow", 0), two = spi_step(MW_PUT, "/x", "fast", 0);
    spi_submit_writes(a, &first, &one, 1);
    spi_submit_read(a, &own, MW_READ_GET, "/x");
    spi_submit_writes(b, &second, &two, 1);
    CHECK_INT(spi_end(b, &second), MW_OK);
    CHECK_INT(first.ends, 0);
    CHECK_INT(spi_end(a, &own), MW_OK);
    CHECK_INT(first.status, MW_OK);
    CHECK(first.written[0].revision > second.written[0].revision);
    CHECK_TEXT(own.seen, "/x=slow ");
    for (int i = 0; i < 10; i++) {
        spi_submit_writes(a, &first, &one, 1);
        spi_submit_read(a, &own, MW_READ_GET, "/x");
        CHECK_INT(spi_end(a, &own), MW_OK);
        CHECK_INT(first.ends, 1);
    }
}

static void unknown_connections_are_named(void) {
    CHECK_INT(mw_memory_disconnect(on.server, 12345, 0), MW_ENOT_FOUND);
    CHECK_INT(mw_memory_expire(on.server, 12345), MW_ENOT_FOUND);
    CHECK_INT(mw_memory_set_faults(on.server, 12345, NULL), MW_ENOT_FOUND);
}

static void counts_what_it_holds(void) {
    spi_client *a = cluster_client(&on.a);
    static spi_ticket ticket;
    static spi_feed feed;
    mw_memory_counts counts;
    CHECK_INT(spi_write(a, MW_CREATE, "/a/b", "", 0), MW_OK);
    spi_lock(a, &ticket, "/lock", false);
    CHECK(spi_await(a, &ticket.grants, 1));
    spi_watch(a, &feed, "/a", MW_DEPTH_SELF);
    CHECK(spi_await(a, &feed.synced, 1));
    mw_memory_count(on.server, &counts);
    CHECK(counts.entries == 2 && counts.sessions == 1 && counts.feeds == 1 && counts.tickets == 1 &&
          counts.connections == 1);
    spi_close(a);
    mw_memory_count(on.server, &counts);
    CHECK(counts.entries == 2 && counts.sessions + counts.feeds + counts.tickets + counts.connections == 0);
    CHECK_INT(mw_virtual_pending(on.host) + mw_virtual_pending(on.hosts[0]), 0);
}

static const spec_case cases[] = {
    {"a short disconnect keeps the session", a_short_disconnect_keeps_the_session},
    {"an idle session lives on", an_idle_session_lives_on},
    {"reads under way end with the connection", reads_under_way_end_with_the_connection},
    {"a feed that was away gets the difference", a_feed_that_was_away_gets_the_difference},
    {"a feed behind the log gets a snapshot", a_feed_behind_the_log_gets_a_snapshot},
    {"a feed that slept past the log gets a snapshot", a_feed_that_slept_past_the_log_gets_a_snapshot},
    {"a txn cut in two is told whole", a_txn_cut_in_two_is_told_whole},
    {"a paused client hears that its session expired", a_paused_client_hears_that_its_session_expired},
    {"a killed client is freed with the server", a_killed_client_is_freed_with_the_server},
    {"a frozen server is left and expires nobody", a_frozen_server_is_left_and_expires_nobody},
    {"closing on a frozen server is bounded", closing_on_a_frozen_server_is_bounded},
    {"closing while away comes back to say goodbye", closing_while_away_comes_back_to_say_goodbye},
    {"a server cut off answers reads but confirms nothing", a_server_cut_off_answers_reads_but_confirms_nothing},
    {"sessions outlive a restart", sessions_outlive_a_restart},
    {"a dropped lock fences its holder also while away", a_dropped_lock_fences_its_holder_also_while_away},
    {"a registry that went back loses sessions and raises tokens",
     a_registry_that_went_back_loses_sessions_and_raises_tokens},
    {"a feed sees what a restore took", a_feed_sees_what_a_restore_took},
    {"latency reorders connections but no connection", latency_reorders_connections_but_no_connection},
    {"unknown connections are named", unknown_connections_are_named},
    {"counts what it holds", counts_what_it_holds},
};

int main(int argc, char **argv) {
    on.seed = 7;
    spec.before = cluster_start;
    spec.after = cluster_stop;
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
