/* A server that forgets what it acknowledged. */
#include "rig.h"

#define CTL(command) CHECK_INT(system(command), 0)
#define DATA "$ZK_DIR/1.data"

static void count_refusals(void *arg, mw_log_level level, const char *component, const char *line) {
    *(int *)arg += strstr(line, "went back") != NULL;
    rig_log(NULL, level, component, line);
}

static void end_noted(void *arg, int status, const mw_error *detail) {
    *(int *)arg = status;
}

/* The session from before still stands in the lock's queue. */
static void end_former(rig *r, const mw_session_info *former) {
    int status = 1;
    r->backend->end_session(r->conn, former->id, former->secret, end_noted, &status);
    RIG_UNTIL(r, status != 1);
    CHECK_INT(status, MW_OK);
}

static void write_much(rig *r) {
    ask a;
    for (int i = 0; i < 300; i++)
        CHECK_INT(rig_write(r, &a, MW_PUT, "/restored", "v", 0, false), MW_OK);
}

/* Its tokens would begin anew. It is left, again and again, until it knows what it had acknowledged. */
static void a_registry_that_went_back_is_not_used(void) {
    rig r;
    waiter before, after;
    mw_host *host = NULL;
    mw_error err;
    int refusals = 0;
    CHECK_INT(mw_uv_host_new(NULL, count_refusals, &refusals, &host, &err), MW_OK);
    rig_open_with(&r, host, rig_servers(), RIG_TIMEOUT_MS);
    write_much(&r);
    rig_lock(&r, &before, "/restored-lock");
    RIG_UNTIL(&r, before.granted == 1);
    mw_session_info former = r.session;
    CTL("$ZK_CTL kill $ZK_DIR 1 && mv " DATA " $ZK_DIR/kept && mkdir " DATA " && echo 1 >" DATA "/myid");
    CTL("$ZK_CTL up $ZK_DIR 1 && $ZK_CTL wait $ZK_DIR");
    RIG_UNTIL(&r, r.disconnected == 1);
    r.backend->expire(r.conn); /* the core's own deadline */
    RIG_UNTIL(&r, r.expired == 1);
    CHECK_INT(before.status, MW_ESESSION_LOST);
    RIG_UNTIL(&r, refusals >= 3 || r.connected > 1);
    CHECK_INT(r.connected, 1);
    CTL("$ZK_CTL kill $ZK_DIR 1 && rm -r " DATA " && mv $ZK_DIR/kept " DATA);
    CTL("$ZK_CTL up $ZK_DIR 1 && $ZK_CTL wait $ZK_DIR");
    RIG_UNTIL(&r, r.connected == 2);
    end_former(&r, &former);
    rig_lock(&r, &after, "/restored-lock");
    RIG_UNTIL(&r, after.granted == 1);
    CHECK(after.ticket.token > before.ticket.token);
    rig_clear(&r, "/restored");
    rig_close(&r);
}

static const spec_case cases[] = {
    {"a registry that went back is not used", a_registry_that_went_back_is_not_used},
};
SPEC_MAIN(cases)
