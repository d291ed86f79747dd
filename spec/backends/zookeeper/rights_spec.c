/* Who may do what: credentials, ACLs of what we create, and those who may not create. Over the bare SPI, on a real
 * server. */
#include "rig.h"

static void open_as(rig *r, mw_host *host, const char *digest, const char *acl) {
    mw_error err = {0};
    mw_option options[] = {{"servers", rig_servers()}, {"session_timeout_ms", RIG_TIMEOUT_MS}, {0}, {0}, {0}};
    size_t n = 2;
    if (digest)
        options[n++] = (mw_option){"digest", digest};
    if (acl)
        options[n++] = (mw_option){"acl", acl};
    CHECK_INT(rig_try_open(r, options, host, &err), MW_OK);
    RIG_UNTIL(r, r->connected == 1 || r->failed);
}

static void what_we_create_is_ours(void) {
    rig nobody, me;
    ask a;
    open_as(&nobody, rig_host(), NULL, NULL); /* creates the directory of marks for everyone */
    open_as(&me, nobody.host, "me:secret", NULL);
    CHECK_INT(rig_write(&me, &a, MW_CREATE, "/private", "v", 0, false), MW_OK);
    CHECK_INT(rig_read(&nobody, &a, MW_READ_GET, "/private"), MW_EDENIED);
    CHECK_INT(rig_write(&nobody, &a, MW_SET, "/private", "w", MW_VERSION_ANY, false), MW_EDENIED);
    CHECK_INT(rig_read(&me, &a, MW_READ_GET, "/private"), MW_OK);
    CHECK_INT(rig_write(&me, &a, MW_DELETE, "/private", "", MW_VERSION_ANY, false), MW_OK);
    rig_end(&me);
    open_as(&me, nobody.host, "me:secret", "read");
    CHECK_INT(rig_write(&me, &a, MW_CREATE, "/shown", "v", 0, false), MW_OK);
    CHECK_INT(rig_read(&nobody, &a, MW_READ_GET, "/shown"), MW_OK);
    CHECK_INT(rig_write(&nobody, &a, MW_SET, "/shown", "w", MW_VERSION_ANY, false), MW_EDENIED);
    CHECK_INT(rig_write(&nobody, &a, MW_CREATE, "/shown/below", "", 0, false), MW_EDENIED);
    CHECK_INT(rig_write(&me, &a, MW_CREATE, "/shown/below", "", 0, false), MW_OK);
    CHECK_INT(rig_write(&me, &a, MW_DELETE, "/shown/below", "", MW_VERSION_ANY, false), MW_OK);
    CHECK_INT(rig_write(&me, &a, MW_DELETE, "/shown", "", MW_VERSION_ANY, false), MW_OK);
    rig_end(&me);
    rig_close(&nobody);
}

/* What tells of our lost writes, and that we live, is nobody else's to write. */
static void our_marks_are_ours(void) {
    rig nobody, me;
    ask a;
    char servers[256], path[64];
    mw_host *host = rig_host();
    snprintf(servers, sizeof servers, "%s/.moonwatch", rig_servers());
    rig_open_with(&nobody, host, servers, RIG_TIMEOUT_MS);
    open_as(&me, host, "me:secret", "read");
    CHECK_INT(rig_write(&me, &a, MW_PUT, "/marked", "v", 0, false), MW_OK);
    for (int slot = 0; slot < 2; slot++) {
        snprintf(path, sizeof path, "/%016llx-%d", (unsigned long long)me.session.id, slot);
        CHECK_INT(rig_read(&nobody, &a, MW_READ_STAT, path), MW_OK);
        CHECK_INT(rig_write(&nobody, &a, MW_SET, path, "w", MW_VERSION_ANY, false), MW_EDENIED);
    }
    CHECK_INT(rig_write(&me, &a, MW_DELETE, "/marked", "", MW_VERSION_ANY, false), MW_OK);
    rig_end(&me);
    rig_end(&nobody);
    mw_uv_host_free(host);
}

/* Who may not write marks is served all the same. */
static void a_reader_without_rights_is_served(void) {
    rig owner, reader;
    ask a;
    char servers[256];
    mw_error err = {0};
    snprintf(servers, sizeof servers, "%s/tenant", rig_servers());
    mw_option mine[] = {{"servers", servers}, {"digest", "me:secret"}, {"acl", "read"}, {0}};
    mw_option theirs[] = {{"servers", servers}, {"session_timeout_ms", "10000"}, {0}};
    mw_host *host = rig_host();
    CHECK_INT(rig_try_open(&owner, mine, host, &err), MW_OK);
    RIG_UNTIL(&owner, owner.connected == 1);
    CHECK_INT(rig_write(&owner, &a, MW_CREATE, "/x", "v", 0, false), MW_OK);
    CHECK_INT(rig_try_open(&reader, theirs, host, &err), MW_OK);
    RIG_UNTIL(&reader, reader.connected == 1);
    CHECK_INT(rig_read(&reader, &a, MW_READ_GET, "/x"), MW_OK);
    CHECK_INT(rig_write(&reader, &a, MW_CREATE, "/y", "v", 0, false), MW_EDENIED);
    RIG_UNTIL(&reader, reader.confirmed > 1);
    rig_end(&reader);
    rig_end(&owner);
    mw_uv_host_free(host);
}

/* What is above our chroot may be somebody else's: there we may create nothing, and need not. */
static void a_chroot_below_what_others_own(void) {
    rig owner, tenant;
    ask a;
    char servers[256];
    mw_error err = {0};
    snprintf(servers, sizeof servers, "%s/fenced", rig_servers());
    mw_option closed[] = {{"servers", servers}, {"digest", "me:secret"}, {"acl", "read"}, {0}};
    mw_option open[] = {{"servers", servers}, {"digest", "me:secret"}, {"acl", "open"}, {0}};
    mw_host *host = rig_host();
    CHECK_INT(rig_try_open(&owner, closed, host, &err), MW_OK);
    RIG_UNTIL(&owner, owner.connected == 1);
    rig_end(&owner);
    CHECK_INT(rig_try_open(&owner, open, host, &err), MW_OK);
    RIG_UNTIL(&owner, owner.connected == 1);
    CHECK_INT(rig_write(&owner, &a, MW_CREATE, "/open/x", "v", 0, false), MW_OK);
    snprintf(servers, sizeof servers, "%s/fenced/open/tenant", rig_servers());
    rig_open_with(&tenant, host, servers, RIG_TIMEOUT_MS);
    CHECK_INT(rig_read(&tenant, &a, MW_READ_SESSIONS, "/"), MW_OK);
    CHECK_INT(a.count, 1); /* it has its mark */
    CHECK_INT(rig_write(&tenant, &a, MW_CREATE, "/deep/er/x", "v", 0, false), MW_OK);
    CHECK(a.written[0].created > 0);
    rig_end(&tenant);
    rig_end(&owner);
    mw_uv_host_free(host);
}

/* Creates of one turn, without a mark to tell their revision: each goes alone, and tells its own. So do other writes.
 */
static void a_writer_without_marks_hears_each_revision(void) {
    rig owner, writer;
    ask a, each[3];
    char servers[256], paths[3][32];
    mw_error err = {0};
    snprintf(servers, sizeof servers, "%s/markless", rig_servers());
    mw_option mine[] = {{"servers", servers}, {"digest", "me:secret"}, {"acl", "read"}, {0}};
    mw_option open[] = {{"servers", servers}, {"digest", "me:secret"}, {"acl", "open"}, {0}};
    mw_host *host = rig_host();
    CHECK_INT(rig_try_open(&owner, mine, host, &err), MW_OK);
    RIG_UNTIL(&owner, owner.connected == 1);
    rig_end(&owner);
    CHECK_INT(rig_try_open(&owner, open, host, &err), MW_OK);
    RIG_UNTIL(&owner, owner.connected == 1);
    CHECK_INT(rig_write(&owner, &a, MW_CREATE, "/open/x", "v", 0, false), MW_OK);
    mw_option theirs[] = {{"servers", servers}, {0}};
    CHECK_INT(rig_try_open(&writer, theirs, host, &err), MW_OK);
    RIG_UNTIL(&writer, writer.connected == 1);
    for (int i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "/open/%d", i);
        memset(&each[i], 0, sizeof each[i]);
        ask_write(&each[i], MW_CREATE, paths[i], "", 0, true);
        ask_start(&writer, &each[i]);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_INT(ask_wait(&writer, &each[i]), MW_OK);
        CHECK(each[i].written[0].revision > (i > 0 ? each[i - 1].written[0].revision : 0));
    }
    ask b;
    CHECK_INT(rig_write(&writer, &a, MW_PUT, "/open/kept", "v", 0, false), MW_OK);
    CHECK_INT(rig_read(&writer, &b, MW_READ_GET, "/open/kept"), MW_OK);
    CHECK_INT(a.written[0].created, b.entries[0].entry.created);
    CHECK_INT(rig_write(&writer, &b, MW_DELETE, "/open/kept", "", MW_VERSION_ANY, false), MW_OK);
    CHECK(b.written[0].revision > a.written[0].revision);
    memset(&a, 0, sizeof a);
    ask_write(&a, MW_DELETE, "/open/2", "", MW_VERSION_ANY, false);
    ask_write(&a, MW_CREATE, "/open/2nd", "", 0, false);
    ask_start(&writer, &a);
    CHECK_INT(ask_wait(&writer, &a), MW_OK);
    CHECK(a.written[0].revision > b.written[0].revision);
    CHECK_INT(a.written[1].created, a.written[0].revision);
    rig_end(&writer);
    rig_end(&owner);
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"what we create is ours", what_we_create_is_ours},
    {"our marks are ours", our_marks_are_ours},
    {"a reader without rights is served", a_reader_without_rights_is_served},
    {"a chroot below what others own", a_chroot_below_what_others_own},
    {"a writer without marks hears each revision", a_writer_without_marks_hears_each_revision},
};
SPEC_MAIN(cases)
