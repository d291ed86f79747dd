/* Locks that somebody else meddles with, through ZooKeeper's own command line. */
#include "rig.h"

/* One command of an administrator; `ret_answer` (may be NULL) gets the last line that begins with '['. */
static void administer(const char *words, char *ret_answer, size_t size) {
    char command[512], line[2048];
    snprintf(command, sizeof command,
             "java -Xmx128m -XX:TieredStopAtLevel=1 -cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar "
             "org.apache.zookeeper.ZooKeeperMain -server %s %s 2>&1",
             rig_servers(), words);
    FILE *pipe = popen(command, "r");
    CHECK(pipe);
    while (fgets(line, sizeof line, pipe))
        if (ret_answer && line[0] == '[')
            snprintf(ret_answer, size, "%s", line);
    CHECK_INT(pclose(pipe), 0);
}

/* The second in line is removed: who stood behind it now waits for the same node as it did. */
static void a_waiter_that_is_removed_stops_nobody(void) {
    static waiter first, second, third;
    static char members[2048];
    char words[256];
    rig holder, r;
    rig_open(&holder);
    rig_open_with(&r, holder.host, rig_servers(), "10000");
    rig_lock(&holder, &first, "/removed");
    RIG_UNTIL(&holder, first.granted);
    rig_lock(&r, &second, "/removed");
    rig_lock(&r, &third, "/removed");
    ask a;
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, "/removed"), MW_OK);
    CHECK_INT(a.count, 3);
    administer("ls /removed", members, sizeof members);
    const char *member = strstr(members, "-lock-0000000001");
    CHECK(member);
    while (member[-1] != '[' && member[-1] != ' ')
        member--;
    snprintf(words, sizeof words, "delete /removed/%.*s", (int)strcspn(member, ",]"), member);
    administer(words, NULL, 0);
    CHECK_INT(rig_read(&r, &a, MW_READ_QUEUE, "/removed"), MW_OK);
    CHECK_INT(a.count, 2);
    CHECK_INT(third.granted, 0); /* the holder still holds */
    holder.backend->unlock(holder.conn, &first.ticket);
    RIG_UNTIL(&r, third.granted);
    RIG_UNTIL(&r, second.ended);
    CHECK_INT(second.status, MW_EFENCED);
    CHECK_INT(third.ended, 0);
    r.backend->unlock(r.conn, &third.ticket);
    RIG_UNTIL(&r, third.ended);
    rig_end(&r);
    rig_close(&holder);
}

/* Who may not remove its member is not told that it did. */
static void a_release_that_is_refused_is_told(void) {
    static waiter w;
    rig r;
    administer("create /kept 'moonwatch:queue-of-a-lock' world:anyone:rc", NULL, 0);
    rig_open(&r);
    rig_lock(&r, &w, "/kept");
    RIG_UNTIL(&r, w.granted);
    r.backend->unlock(r.conn, &w.ticket);
    RIG_UNTIL(&r, w.ended);
    CHECK_INT(w.status, MW_EDENIED);
    rig_close(&r);
}

static void open_as(rig *r, mw_host *host, const char *digest) {
    mw_error err = {0};
    mw_option options[] = {{"servers", rig_servers()}, {"session_timeout_ms", RIG_TIMEOUT_MS}, {"digest", digest}, {0}};
    CHECK_INT(rig_try_open(r, options, host, &err), MW_OK);
    RIG_UNTIL(r, r->connected == 1);
}

/* Who may not look at the member before its own cannot wait for it, and must not stand in the way of others. */
static void who_may_not_wait_leaves_no_place_behind(void) {
    static waiter first, second, third;
    rig everyone, a, b;
    ask queue;
    rig_open(&everyone);
    rig_lock(&everyone, &first, "/mixed"); /* makes the lock's node, for all */
    RIG_UNTIL(&everyone, first.granted);
    everyone.backend->unlock(everyone.conn, &first.ticket);
    RIG_UNTIL(&everyone, first.ended);
    open_as(&a, everyone.host, "a:secret");
    open_as(&b, everyone.host, "b:secret");
    rig_lock(&a, &first, "/mixed");
    RIG_UNTIL(&a, first.granted);
    rig_lock(&b, &second, "/mixed");
    RIG_UNTIL(&b, second.ended);
    CHECK_INT(second.status, MW_EDENIED);
    CHECK(strstr(second.why, "/mixed"));
    CHECK_INT(rig_read(&a, &queue, MW_READ_QUEUE, "/mixed"), MW_OK);
    CHECK_INT(queue.count, 1);
    a.backend->unlock(a.conn, &first.ticket);
    rig_lock(&a, &third, "/mixed");
    RIG_UNTIL(&a, third.granted);
    rig_end(&b);
    rig_end(&a);
    rig_close(&everyone);
}

static const spec_case cases[] = {
    {"a waiter that is removed stops nobody", a_waiter_that_is_removed_stops_nobody},
    {"who may not wait leaves no place behind", who_may_not_wait_leaves_no_place_behind},
    {"a release that is refused is told", a_release_that_is_refused_is_told},
};
SPEC_MAIN(cases)
