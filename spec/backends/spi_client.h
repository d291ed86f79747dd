/* A client of the SPI for specs: opens connections, waits for what it asked, and keeps what it was told as text. */
#ifndef SPEC_BACKENDS_SPI_CLIENT_H
#define SPEC_BACKENDS_SPI_CLIENT_H

#include "backends/spi_spec.h"
#include "support/check.h"

#include <stdarg.h>

typedef struct spi_client {
    const spi_bench *bench;
    mw_conn *conn;
    const mw_backend *backend;
    mw_host *host;
    mw_session_info session;
    int connected, disconnected, expired, confirmed, failed, closed;
    mw_time confirmed_at;
    bool dated;  /* confirmed since it was away */
    int undated; /* times that it was told to be connected and not since when */
} spi_client;

typedef struct spi_op {
    mw_request request;
    mw_written written[8];
    int ends, status;
    int entries;
    char seen[1024]; /* "path=value@version " per entry */
    mw_entry last;   /* numbers only */
    char value[64];  /* of the last */
    size_t value_len;
} spi_op;

typedef struct spi_feed {
    mw_feed feed;
    int begun, synced, failed;
    int64_t revision;
    char seen[2048]; /* "begin ", "path=value ", "-path ", "synced " */
} spi_feed;

typedef struct spi_ticket {
    mw_ticket ticket;
    int grants, ends, status;
} spi_ticket;

static inline void spi_append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static inline void spi_append(char *text, size_t size, const char *format, ...) {
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + len, size - len, format, args);
    va_end(args);
}

/* ---- Waiting */

typedef struct spi_count {
    const int *count;
    int wanted;
} spi_count;

static inline bool spi_reached(void *arg) {
    const spi_count *wait = arg;
    return *wait->count >= wait->wanted;
}

static inline bool spi_await(const spi_client *client, const int *count, int wanted) {
    return client->bench->run(spi_reached, &(spi_count){count, wanted});
}

typedef struct spi_text {
    const char *text, *wanted;
} spi_text;

static inline bool spi_found(void *arg) {
    const spi_text *wait = arg;
    return strstr(wait->text, wait->wanted) != NULL;
}

/* Until `text` holds `wanted`. */
static inline bool spi_await_text(const spi_client *client, const char *text, const char *wanted) {
    return client->bench->run(spi_found, &(spi_text){text, wanted});
}

/* ---- Connections */

static inline void spi_on_connected(void *arg, const mw_session_info *session) {
    spi_client *client = arg;
    client->session = *session;
    client->connected++;
    client->undated += !client->dated;
}
static inline void spi_on_disconnected(void *arg, const mw_error *why) {
    ((spi_client *)arg)->disconnected++;
    ((spi_client *)arg)->dated = false;
}
static inline void spi_on_expired(void *arg, const mw_error *why) {
    ((spi_client *)arg)->expired++;
    ((spi_client *)arg)->dated = false;
}
static inline void spi_on_confirmed(void *arg, mw_time sent_at) {
    ((spi_client *)arg)->confirmed++;
    ((spi_client *)arg)->confirmed_at = sent_at;
    ((spi_client *)arg)->dated = true;
}
static inline void spi_on_failed(void *arg, int status, const mw_error *why) {
    ((spi_client *)arg)->failed++;
    printf("# connecting failed: %s\n", why ? why->message : "");
}
static inline void spi_on_closed(void *arg) {
    ((spi_client *)arg)->closed++;
}

static inline int spi_start(spi_client *client, const spi_bench *bench, mw_host *host, const mw_backend *backend,
                            const mw_option *options, mw_error *err) {
    static const mw_conn_events events = {spi_on_connected, spi_on_disconnected, spi_on_expired,
                                          spi_on_confirmed, spi_on_failed,       spi_on_closed};
    *client = (spi_client){.bench = bench, .backend = backend, .host = host};
    mw_conn_config config = {
        .host = host, .options = options, .name = mw_str_of("spec"), .events = &events, .events_arg = client};
    return backend->open(backend, &config, &client->conn, err);
}

static inline void spi_open(spi_client *client, const spi_bench *bench, mw_host *host, const mw_backend *backend,
                            const mw_option *options) {
    CHECK_INT(spi_start(client, bench, host, backend, options, NULL), MW_OK);
    CHECK(spi_await(client, &client->connected, 1));
}

static inline void spi_close(spi_client *client) {
    client->backend->close(client->conn, MW_SECOND);
    CHECK(spi_await(client, &client->closed, 1));
}

/* ---- Requests */

static inline void spi_on_entry(mw_request *request, const mw_entry *entry) {
    spi_op *op = mw_container(request, spi_op, request);
    op->entries++;
    op->last = *entry;
    op->last.path = op->last.value = (mw_str){0};
    op->value_len = entry->value.len;
    if (entry->value.len && entry->value.len <= sizeof op->value)
        memcpy(op->value, entry->value.data, entry->value.len);
    spi_append(op->seen, sizeof op->seen, "%.*s=%.*s ", MW_STR_FMT(entry->path), MW_STR_FMT(entry->value));
}
static inline void spi_on_done(mw_request *request, int status, const mw_error *detail) {
    spi_op *op = mw_container(request, spi_op, request);
    op->ends++;
    op->status = status;
}

static inline void spi_submit(spi_client *client, spi_op *op) {
    op->request.entry = spi_on_entry;
    op->request.done = spi_on_done;
    op->request.written = op->written;
    client->backend->submit(client->conn, &op->request);
}

static inline void spi_submit_read(spi_client *client, spi_op *op, mw_request_kind kind, const char *path) {
    *op = (spi_op){.request = {.kind = kind, .path = mw_str_of(path)}};
    spi_submit(client, op);
}

static inline void spi_submit_writes(spi_client *client, spi_op *op, const mw_write *writes, size_t count) {
    *op = (spi_op){.request = {.kind = MW_WRITE, .writes = writes, .write_count = count}};
    spi_submit(client, op);
}

static inline int spi_end(spi_client *client, spi_op *op) {
    CHECK(spi_await(client, &op->ends, 1));
    return op->status;
}

static inline int spi_read(spi_client *client, spi_op *op, mw_request_kind kind, const char *path) {
    spi_submit_read(client, op, kind, path);
    return spi_end(client, op);
}

static inline int spi_txn(spi_client *client, spi_op *op, const mw_write *writes, size_t count) {
    spi_submit_writes(client, op, writes, count);
    return spi_end(client, op);
}

static inline mw_write spi_step(mw_write_kind kind, const char *path, const char *value, int64_t version) {
    return (mw_write){.kind = kind, .path = mw_str_of(path), .value = mw_str_of(value), .version = version};
}

/* One step; `value` starting with '~' makes it ephemeral (the mark is not stored). */
static inline int spi_write(spi_client *client, mw_write_kind kind, const char *path, const char *value,
                            int64_t version) {
    bool ephemeral = value && value[0] == '~';
    mw_write write = spi_step(kind, path, ephemeral ? value + 1 : value, version);
    write.ephemeral = ephemeral;
    spi_op op;
    return spi_txn(client, &op, &write, 1);
}

/* ---- Feeds and tickets */

static inline void spi_on_begin(mw_feed *feed) {
    spi_feed *self = mw_container(feed, spi_feed, feed);
    self->begun++;
    spi_append(self->seen, sizeof self->seen, "begin ");
}
static inline void spi_on_state(mw_feed *feed, const mw_entry *entry) {
    spi_feed *self = mw_container(feed, spi_feed, feed);
    spi_append(self->seen, sizeof self->seen, "%.*s=%.*s ", MW_STR_FMT(entry->path), MW_STR_FMT(entry->value));
    self->revision = entry->revision;
}
static inline void spi_on_gone(mw_feed *feed, mw_str path, int64_t revision) {
    spi_feed *self = mw_container(feed, spi_feed, feed);
    spi_append(self->seen, sizeof self->seen, "-%.*s ", MW_STR_FMT(path));
    self->revision = revision;
}
static inline void spi_on_synced(mw_feed *feed, int64_t revision) {
    spi_feed *self = mw_container(feed, spi_feed, feed);
    self->synced++;
    self->revision = revision;
    spi_append(self->seen, sizeof self->seen, "synced ");
}
static inline void spi_on_feed_failed(mw_feed *feed, int status, const mw_error *detail) {
    mw_container(feed, spi_feed, feed)->failed++;
}

static inline void spi_watch(spi_client *client, spi_feed *feed, const char *path, mw_depth depth) {
    *feed = (spi_feed){.feed = {.path = mw_str_of(path),
                                .depth = depth,
                                .begin = spi_on_begin,
                                .entry = spi_on_state,
                                .gone = spi_on_gone,
                                .synced = spi_on_synced,
                                .failed = spi_on_feed_failed}};
    CHECK_INT(client->backend->watch(client->conn, &feed->feed), MW_OK);
}

static inline void spi_on_granted(mw_ticket *ticket, int64_t token) {
    ticket->token = token;
    mw_container(ticket, spi_ticket, ticket)->grants++;
}
static inline void spi_on_ended(mw_ticket *ticket, int status, const mw_error *detail) {
    spi_ticket *self = mw_container(ticket, spi_ticket, ticket);
    self->ends++;
    self->status = status;
}

static inline void spi_lock(spi_client *client, spi_ticket *ticket, const char *path, bool try_only) {
    *ticket = (spi_ticket){.ticket = {.path = mw_str_of(path),
                                      .value = mw_str_of("who"),
                                      .try_only = try_only,
                                      .granted = spi_on_granted,
                                      .ended = spi_on_ended}};
    client->backend->lock(client->conn, &ticket->ticket);
}

static inline void spi_unlock(spi_client *client, spi_ticket *ticket) {
    client->backend->unlock(client->conn, &ticket->ticket);
    CHECK(spi_await(client, &ticket->ends, 1));
}

#endif
