/* Ending a session that is proved to be ours by its secret, and one that is not. The server gives the same answer to a
 * wrong secret as for a session that is over. */
#define SPEC_SHARED
#include "rig.h"
#include "world.h"

typedef struct scene {
    proxy proxy;
    rig near, far;            /* through the proxy; directly */
    mw_session_info leftover; /* far's first session */
} scene;

static void scene_begin(scene *s) {
    char servers[32];
    proxy_start(&s->proxy, world_port(1));
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->proxy.port);
    rig_open(&s->far);
    s->leftover = s->far.session;
    rig_open_with(&s->near, s->far.host, servers, RIG_TIMEOUT_MS);
}

static void scene_end(scene *s) {
    rig_end(&s->near);
    rig_close(&s->far);
    proxy_stop(&s->proxy);
}

static void noted(void *arg, int status, const mw_error *detail) {
    *(int *)arg = status;
}

static void start_end(scene *s, bool with_secret, int *ret_status) {
    static const unsigned char wrong[MW_SECRET_SIZE] = "no secret of it";
    *ret_status = 1;
    s->near.backend->end_session(s->near.conn, s->leftover.id, with_secret ? s->leftover.secret : wrong, noted,
                                 ret_status);
}

static int end_far(scene *s, bool with_secret) {
    int status = 1;
    start_end(s, with_secret, &status);
    RIG_UNTIL(&s->near, status != 1);
    return status;
}

/* Whoever asks for a session, even in vain, throws out the connection that it had. */
static void far_lives(scene *s) {
    RIG_UNTIL(&s->far, s->far.connected == s->far.disconnected + 1);
    CHECK_INT(s->far.resumed, s->far.disconnected);
    CHECK_INT(s->far.expired, 0);
}

static void takes_the_secret(void) {
    static scene s;
    scene_begin(&s);
    CHECK_INT(end_far(&s, false), MW_EDENIED);
    RIG_UNTIL(&s.far, s.far.resumed == 1);
    far_lives(&s);
    CHECK_INT(end_far(&s, true), MW_OK);
    RIG_UNTIL(&s.far, s.far.expired == 1);
    CHECK_INT(end_far(&s, true), MW_OK); /* there is no such session any more */
    scene_end(&s);
}

/* Whether a session that the server calls expired lives is looked up on our own connection. */
static void is_not_told_of_an_end_while_nobody_can_look(void) {
    static scene s;
    int status = 1;
    scene_begin(&s);
    proxy_tell(&s.proxy, "refuse"); /* connecting again */
    proxy_tell(&s.proxy, "reset");
    RIG_UNTIL(&s.near, s.near.disconnected == 1);
    unsigned long before = proxy_stat(&s.proxy, "accepted");
    proxy_tell(&s.proxy, "accept");
    start_end(&s, false, &status); /* on a thread: our own loop stands still */
    for (double end = rig_seconds() + RIG_DEADLINE; proxy_stat(&s.proxy, "accepted") == before;)
        CHECK(rig_seconds() < end);
    proxy_tell(&s.proxy, "refuse");
    RIG_UNTIL(&s.near, status != 1);
    CHECK_INT(status, MW_EDISCONNECTED);
    proxy_tell(&s.proxy, "accept");
    RIG_UNTIL(&s.near, s.near.connected == 2);
    CHECK_INT(end_far(&s, false), MW_EDENIED);
    RIG_UNTIL(&s.far, s.far.resumed > 0);
    far_lives(&s);
    scene_end(&s);
}

static const spec_case cases[] = {
    {"an end takes the secret", takes_the_secret},
    {"an end is not told while nobody can look", is_not_told_of_an_end_while_nobody_can_look},
};
SPEC_MAIN(cases)
