/* What an answer's code says of who gave it. */
#include "backends/zookeeper/zk.h"

#include "support/check.h"

static void only_the_leader_judges_a_write(void) {
    static const int judged[] = {ZOK, ZNONODE, ZNODEEXISTS, ZBADVERSION, ZNOTEMPTY, ZNOCHILDRENFOREPHEMERALS, ZNOAUTH};
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++)
        CHECK(zk_is_judged(judged[i]));
}

/* A server that is cut off from its leader may answer so: throttled, read-only, not known, moved. */
static void what_a_server_says_by_itself_confirms_nothing(void) {
    static const int own[] = {ZTHROTTLEDOP,    ZNOTREADONLY,    ZUNIMPLEMENTED,    ZSESSIONMOVED,
                              ZCONNECTIONLOSS, ZSESSIONEXPIRED, ZMARSHALLINGERROR, ZSESSIONCLOSEDREQUIRESASLAUTH};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        CHECK(!zk_is_judged(own[i]));
}

static const spec_case cases[] = {
    {"only the leader judges a write", only_the_leader_judges_a_write},
    {"what a server says by itself confirms nothing", what_a_server_says_by_itself_confirms_nothing},
};
SPEC_MAIN(cases)
