/* The order of what one connection submits: a later read sees an earlier write, whatever that took. Over the bare SPI,
 * on a real server. */
#include "rig.h"

static void keeps_the_order_of_submission(void) {
    rig r;
    ask a[4];
    rig_open(&r);
    memset(a, 0, sizeof a);
    ask_write(&a[0], MW_PUT, "/ops/order/x", "1", 0, false);
    ask_write(&a[1], MW_PUT, "/ops/order/x", "2", 0, false);
    a[2].request.kind = MW_READ_GET;
    a[2].request.path = mw_str_of("/ops/order/x");
    ask_write(&a[3], MW_DELETE, "/ops/order/x", "", MW_VERSION_ANY, false);
    for (size_t i = 0; i < 4; i++)
        ask_start(&r, &a[i]);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(ask_wait(&r, &a[i]), MW_OK);
    CHECK_TEXT(a[2].entries[0].value, "2");
    rig_clear(&r, "/ops");
    rig_close(&r);
}

/* The put trusts what it wrote last; another wrote since, so it is refused, looks, and goes again. */
static void a_read_waits_for_the_put_before_it(void) {
    rig r, other;
    ask a, put, get;
    rig_open(&r);
    rig_open_with(&other, r.host, rig_servers(), RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&r, &a, MW_PUT, "/ops/contested", "1", 0, false), MW_OK);
    CHECK_INT(rig_write(&other, &a, MW_PUT, "/ops/contested", "2", 0, false), MW_OK);
    memset(&put, 0, sizeof put);
    memset(&get, 0, sizeof get);
    ask_write(&put, MW_PUT, "/ops/contested", "3", 0, false);
    get.request.kind = MW_READ_GET;
    get.request.path = mw_str_of("/ops/contested");
    ask_start(&r, &put);
    ask_start(&r, &get);
    CHECK_INT(ask_wait(&r, &get), MW_OK);
    CHECK_TEXT(get.entries[0].value, "3");
    CHECK_INT(ask_wait(&r, &put), MW_OK);
    rig_end(&other);
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static void start_read(rig *r, ask *a, mw_request_kind kind, const char *path) {
    memset(a, 0, sizeof *a);
    a->request.kind = kind;
    a->request.path = mw_str_of(path);
    ask_start(r, a);
}

static bool shows(const ask *a, const char *path) {
    for (size_t i = 0; i < a->count && i < RIG_ENTRIES; i++)
        if (strcmp(a->entries[i].path, path) == 0)
            return true;
    return false;
}

/* And so does a read of what is above it; what has another name is read at once. */
static void listing_waits(rig *r, rig *other, mw_request_kind kind, const char *path, const char *top) {
    static ask a, put, aside, listing;
    CHECK_INT(rig_write(r, &a, MW_PUT, path, "1", 0, false), MW_OK);
    CHECK_INT(rig_write(other, &a, MW_DELETE, path, "", MW_VERSION_ANY, false), MW_OK);
    memset(&put, 0, sizeof put);
    ask_write(&put, MW_PUT, path, "2", 0, false);
    ask_start(r, &put);
    start_read(r, &aside, kind, "/ops/di");
    start_read(r, &listing, kind, top);
    CHECK_INT(ask_wait(r, &aside), MW_OK);
    CHECK_INT(put.status, 1);
    CHECK_INT(ask_wait(r, &listing), MW_OK);
    CHECK_INT(put.status, MW_OK);
    CHECK(shows(&listing, path));
}

static void a_listing_waits_for_the_put_before_it(void) {
    rig r, other;
    ask a;
    rig_open(&r);
    rig_open_with(&other, r.host, rig_servers(), RIG_TIMEOUT_MS);
    CHECK_INT(rig_write(&r, &a, MW_CREATE, "/ops/di", "", 0, false), MW_OK);
    listing_waits(&r, &other, MW_READ_CHILDREN, "/ops/dir/x", "/ops/dir");
    listing_waits(&r, &other, MW_READ_LIST, "/ops/dir/x", "/ops/dir");
    listing_waits(&r, &other, MW_READ_LIST, "/ops/dir/x", "/ops");
    listing_waits(&r, &other, MW_READ_CHILDREN, "/order", "/");
    rig_end(&other);
    rig_clear(&r, "/order");
    rig_clear(&r, "/ops");
    rig_close(&r);
}

static const spec_case cases[] = {
    {"keeps the order of submission", keeps_the_order_of_submission},
    {"a read waits for the put before it", a_read_waits_for_the_put_before_it},
    {"a listing waits for the put before it", a_listing_waits_for_the_put_before_it},
};
SPEC_MAIN(cases)
