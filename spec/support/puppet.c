/* A backend on strings. */
#define SPEC_HELPER
#include "support/puppet.h"

#include "support/check.h"

static spec_puppet *of(mw_conn *conn) {
    spec_puppet *puppet = (spec_puppet *)(void *)conn;
    puppet->calls++;
    return puppet;
}

static int open_conn(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    spec_puppet *puppet = mw_container(backend, spec_puppet, table);
    puppet->events = config->events;
    puppet->events_arg = config->events_arg;
    *ret_conn = (mw_conn *)(void *)puppet;
    return MW_OK;
}

static void close_conn(mw_conn *conn, mw_time patience) {
    spec_puppet *puppet = of(conn);
    puppet->closing = true;
    puppet->patience = patience;
}

static void abandon(mw_conn *conn) {
    of(conn)->closing = true;
}

static void expire(mw_conn *conn) {
    of(conn)->given_up++;
}

static void submit(mw_conn *conn, mw_request *request) {
    spec_puppet *puppet = of(conn);
    CHECK(puppet->request_count < PUPPET_ROOM);
    puppet->requests[puppet->request_count++] = request;
}

static mw_request *take_request(spec_puppet *puppet, size_t at) {
    mw_request *request = puppet->requests[at];
    puppet->request_count--;
    memmove(&puppet->requests[at], &puppet->requests[at + 1], (puppet->request_count - at) * sizeof request);
    return request;
}

static bool cancel(mw_conn *conn, mw_request *request) {
    spec_puppet *puppet = of(conn);
    for (size_t i = 0; i < puppet->request_count; i++) {
        if (puppet->requests[i] == request) {
            (void)take_request(puppet, i);
            return false;
        }
    }
    puppet->stray_cancels++;
    return true;
}

static int watch(mw_conn *conn, mw_feed *feed) {
    of(conn)->feed = feed;
    return MW_OK;
}

static void unwatch(mw_conn *conn, mw_feed *feed) {
    (void)of(conn);
}

static void lock(mw_conn *conn, mw_ticket *ticket) {
    spec_puppet *puppet = of(conn);
    CHECK(puppet->ticket_count < PUPPET_ROOM);
    puppet->tickets[puppet->ticket_count++] = ticket;
}

static void unlock(mw_conn *conn, mw_ticket *ticket) {
    spec_puppet *puppet = of(conn);
    puppet->unlocks++;
    puppet->requests_at_unlock = puppet->request_count;
}

static void end_session(mw_conn *conn, mw_session_id id, const unsigned char secret[MW_SECRET_SIZE],
                        void (*done)(void *arg, int status, const mw_error *detail), void *arg) {
    spec_puppet *puppet = of(conn);
    puppet->ended = done;
    puppet->ended_arg = arg;
}

static const mw_requirement no_options[] = {{0}};

static const mw_backend puppet_table = {.size = sizeof(mw_backend),
                                        .abi = MW_BACKEND_ABI,
                                        .name = "puppet",
                                        .library = "none",
                                        .options = no_options,
                                        .open = open_conn,
                                        .close = close_conn,
                                        .abandon = abandon,
                                        .expire = expire,
                                        .submit = submit,
                                        .cancel = cancel,
                                        .watch = watch,
                                        .unwatch = unwatch,
                                        .lock = lock,
                                        .unlock = unlock,
                                        .end_session = end_session};

void puppet_open(spec_puppet *puppet, const char *name_space) {
    *puppet = (spec_puppet){.table = puppet_table};
    CHECK_INT(mw_world_new(1, &puppet->world, NULL), MW_OK);
    CHECK_INT(mw_world_host(puppet->world, NULL, NULL, &puppet->host, NULL), MW_OK);
    mw_registry_config config = {.host = puppet->host, .backend = &puppet->table, .name_space = name_space};
    CHECK_INT(mw_registry_open(&config, &puppet->registry, NULL), MW_OK);
}

void puppet_connect(spec_puppet *puppet, mw_session_id id, bool resumed) {
    mw_session_info info = {.id = id, .timeout = 10 * MW_SECOND, .resumed = resumed, .server = mw_str_of("here")};
    puppet->session = id;
    puppet->events->connected(puppet->events_arg, &info);
}

void puppet_answer(spec_puppet *puppet, int status, const char *message) {
    CHECK(puppet->request_count > 0);
    mw_request *request = take_request(puppet, 0);
    for (size_t i = 0; status == MW_OK && i < request->write_count; i++)
        request->written[i] = (mw_written){.revision = 1, .created = 1, .owner = puppet->session};
    mw_error why = {0};
    if (message)
        (void)mw_fail(&why, status, "%s", message);
    request->done(request, status, message ? &why : NULL);
}

void puppet_end_ticket(spec_puppet *puppet, int status) {
    CHECK(puppet->ticket_count > 0);
    mw_ticket *ticket = puppet->tickets[0];
    puppet->ticket_count--;
    memmove(puppet->tickets, puppet->tickets + 1, puppet->ticket_count * sizeof *puppet->tickets);
    ticket->ended(ticket, status, NULL);
}

void puppet_expect(const spec_puppet *puppet, mw_request_kind kind, mw_write_kind write) {
    CHECK(puppet->request_count > 0);
    CHECK_INT(puppet->requests[0]->kind, kind);
    if (kind == MW_WRITE)
        CHECK_INT(puppet->requests[0]->writes[0].kind, write);
}

void puppet_grant(spec_puppet *puppet, int64_t token) {
    CHECK(puppet->ticket_count > 0);
    puppet->tickets[0]->granted(puppet->tickets[0], token);
}

void puppet_row(spec_puppet *puppet, const char *path, mw_session_id owner) {
    CHECK(puppet->request_count > 0);
    mw_entry entry = {.path = mw_str_of(path), .revision = 1, .created = 1, .owner = owner};
    puppet->requests[0]->entry(puppet->requests[0], &entry);
}

void puppet_note_closed(void *arg) {
    ((spec_puppet *)arg)->closed = true;
}

void puppet_begin_close(spec_puppet *puppet) {
    mw_registry_close(puppet->registry, MW_SECOND, puppet_note_closed, puppet);
    while (!puppet->closing)
        CHECK(mw_world_step(puppet->world));
}

void puppet_finish_close(spec_puppet *puppet) {
    while (puppet->request_count)
        puppet_answer(puppet, MW_EDISCONNECTED, NULL);
    while (puppet->ticket_count)
        puppet_end_ticket(puppet, MW_ECLOSED);
    if (puppet->ended)
        puppet->ended(puppet->ended_arg, MW_ECLOSED, NULL);
    puppet->ended = NULL;
    puppet->events->closed(puppet->events_arg);
    CHECK(puppet->closed);
}

void puppet_release(spec_puppet *puppet) {
    CHECK_INT(mw_virtual_pending(puppet->host), 0);
    mw_world_free(puppet->world);
}
