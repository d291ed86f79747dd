/* A connection's life: it says hello, renews its session, and comes back after every break until it is closed.
 *
 * Whatever the core calls, nothing is reported inline: the `work` defer does it on the next turn. */
#include "conn.h"

#include <stdlib.h>

#define RETRY_FIRST (10 * MW_MS)
#define RETRY_LAST (500 * MW_MS)
#define HELLO_PATIENCE MW_SECOND

/* ---- Small steps */

static void tick_in(mw_conn *conn, mw_time delay) {
    (void)mw_timer_start(conn->host, &conn->tick, delay); /* MW_ENO_MEMORY: the core's own deadline remains */
}

static void soon(mw_conn *conn) {
    mw_defer_run(conn->host, &conn->work);
}

/* Later each time, and never all clients at once. */
static mw_time retry_delay(mw_conn *conn) {
    mw_time delay = RETRY_FIRST << (conn->attempts < 6 ? conn->attempts : 6);
    if (delay > RETRY_LAST)
        delay = RETRY_LAST;
    conn->attempts++;
    uint16_t dice = 0;
    mw_host_random(conn->host, &dice, sizeof dice);
    return delay / 2 + delay / 2 * dice / UINT16_MAX;
}

static void disconnect(mw_conn *conn) {
    mwm_wire_close(&conn->wire);
    mw_timer_stop(conn->host, &conn->tick);
    conn->state = MWM_CONN_IDLE;
    conn->renewal_sent = 0;
}

static void finish(mw_conn *conn) {
    disconnect(conn);
    conn->state = MWM_CONN_CLOSED;
    conn->gone = true;
    soon(conn);
}

void mwm_conn_send(mw_conn *conn, void *msg) {
    if (msg) {
        conn->stats.statements++;
        mwm_wire_ask(&conn->wire, msg);
    } else {
        mwm_wire_cut(&conn->wire); /* heard of through MWM_RESET, not inline */
    }
}

/* ---- Connecting */

static void say_hello(mw_conn *conn) {
    mwm_hello *hello = mwm_hello_new(MWM_HELLO, 0, (mw_str){conn->name, conn->name_len});
    if (!hello || !mwm_wire_open(&conn->wire)) {
        mwm_msg_free(hello ? &hello->msg : NULL);
        tick_in(conn, retry_delay(conn));
        return;
    }
    hello->session = conn->session.id;
    memcpy(hello->secret, conn->session.secret, MW_SECRET_SIZE);
    hello->timeout = conn->timeout;
    hello->registry = conn->registry;
    hello->msg.number = conn->revision;
    conn->state = MWM_CONN_HELLO;
    conn->hello_sent = mw_host_now(conn->host);
    conn->stats.round_trips++;
    mwm_conn_send(conn, hello);
    tick_in(conn, HELLO_PATIENCE);
}

static void broken(mw_conn *conn, const char *why) {
    bool connected = conn->state == MWM_CONN_CONNECTED;
    disconnect(conn);
    tick_in(conn, retry_delay(conn));
    if (!connected)
        return;
    mw_error detail;
    (void)mwm_fail(&detail, MW_EDISCONNECTED, "memory: %s", why);
    if (!conn->closing)
        conn->events->disconnected(conn->events_arg, &detail);
    mwm_calls_suspend(conn);
}

static void say_goodbye(mw_conn *conn) {
    conn->state = MWM_CONN_LEAVING;
    conn->stats.round_trips++;
    mwm_conn_send(conn, mwm_msg_new(MWM_BYE, 0, sizeof(mwm_msg)));
}

static void welcomed(mw_conn *conn, const mwm_hello *hello) {
    bool resumed = hello->resumed;
    if (resumed)
        conn->stats.reconnects++;
    conn->session = (mw_session_info){
        .id = hello->session, .timeout = hello->timeout, .resumed = resumed, .server = mw_str_of("memory")};
    memcpy(conn->session.secret, hello->secret, MW_SECRET_SIZE);
    conn->registry = hello->registry;
    conn->state = MWM_CONN_CONNECTED;
    conn->attempts = 0;
    tick_in(conn, conn->session.timeout / 3);
    if (conn->closing) {
        say_goodbye(conn);
        return;
    }
    mwm_calls_resume(conn);
    conn->events->confirmed(conn->events_arg, conn->hello_sent);
    conn->events->connected(conn->events_arg, &conn->session);
}

/* The session is over, by the server's word or by the core's. */
static void session_over(mw_conn *conn, const char *why) {
    mw_error detail;
    (void)mwm_fail(&detail, MW_ESESSION_LOST, "memory: %s", why);
    disconnect(conn);
    conn->session = (mw_session_info){0};
    if (conn->closing) {
        finish(conn);
        return;
    }
    mwm_calls_end(conn, MW_ESESSION_LOST, &detail);
    if (!conn->closing)
        conn->events->expired(conn->events_arg, &detail);
    soon(conn);
}

/* ---- Staying alive */

/* Three times per timeout. An answer that is not there by the next time will not come. */
static void renew(mw_conn *conn) {
    if (conn->renewal_sent) {
        broken(conn, "the server does not answer");
        return;
    }
    conn->renewal_sent = mw_host_now(conn->host);
    mwm_msg *msg = mwm_msg_new(MWM_RENEW, 0, sizeof *msg);
    if (msg)
        msg->number = (int64_t)conn->renewal_sent;
    conn->stats.renewals++;
    conn->stats.round_trips++;
    mwm_conn_send(conn, msg);
    tick_in(conn, conn->session.timeout / 3);
}

static void renewed(mw_conn *conn, const mwm_msg *msg) {
    conn->renewal_sent = 0;
    if (msg->status == MW_OK && !conn->closing)
        conn->events->confirmed(conn->events_arg, (mw_time)msg->number);
}

static void ticked(mw_timer *timer) {
    mw_conn *conn = mw_container(timer, mw_conn, tick);
    if (conn->state == MWM_CONN_IDLE)
        say_hello(conn);
    else if (conn->state == MWM_CONN_HELLO)
        broken(conn, "no welcome");
    else if (conn->state == MWM_CONN_CONNECTED)
        renew(conn);
}

static void deliver(mwm_wire *wire, mwm_msg *msg) {
    mw_conn *conn = mw_container(wire, mw_conn, wire);
    if (msg->kind != MWM_RENEWED && msg->number > conn->revision)
        conn->revision = msg->number;
    switch (msg->kind) {
    case MWM_WELCOME:
        welcomed(conn, (const mwm_hello *)(const void *)msg);
        return;
    case MWM_EXPIRED:
        session_over(conn, "the session has expired");
        return;
    case MWM_RENEWED:
        renewed(conn, msg);
        return;
    case MWM_GOODBYE:
        finish(conn);
        return;
    case MWM_RESET:
        broken(conn, "the connection was cut");
        return;
    default:
        mwm_calls_answer(conn, msg);
        return;
    }
}

/* ---- Closing */

static void conn_free(mw_conn *conn) {
    mw_timer_stop(conn->host, &conn->tick);
    mw_timer_stop(conn->host, &conn->patience);
    mw_defer_cancel(conn->host, &conn->work);
    mwm_server_unplug(&conn->wire);
    mwm_calls_release(conn);
    mw_memory_server *server = conn->private_server ? conn->server : NULL;
    free(conn);
    mw_memory_server_free(server);
}

void mwm_conn_discard(mwm_wire *wire) {
    mw_conn *conn = mw_container(wire, mw_conn, wire);
    conn->private_server = false;
    conn_free(conn);
}

static void report_closed(mw_conn *conn) {
    mw_error detail;
    (void)mwm_fail(&detail, MW_ECLOSED, "memory: the connection was closed");
    mwm_calls_end(conn, MW_ECLOSED, &detail);
    mwm_calls_refuse(conn); /* what came meanwhile */
    void (*closed)(void *arg) = conn->events->closed;
    void *arg = conn->events_arg;
    conn_free(conn);
    closed(arg);
}

static void work(mw_defer *defer) {
    mw_conn *conn = mw_container(defer, mw_conn, work);
    mwm_calls_refuse(conn);
    if (conn->gone) {
        report_closed(conn);
    } else if (conn->giving_up) {
        conn->giving_up = false;
        session_over(conn, "the session was given up");
    } else if (conn->state == MWM_CONN_IDLE && !mw_timer_armed(&conn->tick)) {
        say_hello(conn);
    }
}

static void patience_ended(mw_timer *timer) {
    finish(mw_container(timer, mw_conn, patience));
}

/* The goodbye ends the session; while it cannot be said, or nobody heard it, the connection goes on trying. */
static void mwm_close(mw_conn *conn, mw_time patience) {
    conn->closing = true;
    bool no_session = conn->session.id == 0 && conn->state != MWM_CONN_HELLO;
    if (no_session || conn->giving_up || mw_timer_start(conn->host, &conn->patience, patience) != MW_OK)
        finish(conn);
    else if (conn->state == MWM_CONN_CONNECTED)
        say_goodbye(conn);
}

static void mwm_abandon(mw_conn *conn) {
    conn->closing = true;
    finish(conn);
}

static void mwm_expire(mw_conn *conn) {
    if (conn->session.id == 0 || conn->closing)
        return;
    disconnect(conn);
    conn->giving_up = true;
    soon(conn);
}

/* ---- Opening */

static int read_options(const mw_option *options, mw_time *ret_timeout, mw_error *err) {
    for (; options && options->key; options++) {
        if (strcmp(options->key, "session_timeout_ms") != 0)
            return mwm_fail(err, MW_EINVALID, "memory: unknown option '%s'; known: session_timeout_ms", options->key);
        char *end = NULL;
        unsigned long long ms = strtoull(options->value, &end, 10);
        if (options->value[0] < '0' || options->value[0] > '9' || *end || ms < 3 || ms > 86400000)
            return mwm_fail(err, MW_EINVALID, "memory: session_timeout_ms '%s' is not a number from 3 to 86400000",
                            options->value);
        *ret_timeout = ms * MW_MS;
    }
    return MW_OK;
}

static int open_on(mw_memory_server *server, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    mw_time timeout = 0;
    int status = read_options(config->options, &timeout, err);
    if (status != MW_OK)
        return status;
    mw_conn *conn = calloc(1, sizeof *conn + config->name.len);
    if (!conn)
        return mwm_fail(err, MW_ENO_MEMORY, "memory: no memory for a connection");
    conn->host = config->host;
    conn->server = server;
    conn->events = config->events;
    conn->events_arg = config->events_arg;
    conn->timeout = timeout;
    conn->tick.fire = ticked;
    conn->patience.fire = patience_ended;
    conn->work.run = work;
    conn->name_len = config->name.len;
    if (config->name.len)
        memcpy(conn->name, config->name.data, config->name.len);
    mwm_calls_init(conn);
    mwm_server_plug(server, &conn->wire, conn->host, deliver);
    soon(conn);
    *ret_conn = conn;
    return MW_OK;
}

int mwm_open_shared(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    return open_on(mw_container(backend, mw_memory_server, table), config, ret_conn, err);
}

static int open_private(const mw_backend *backend, const mw_conn_config *config, mw_conn **ret_conn, mw_error *err) {
    mw_memory_server *server = NULL;
    int status = mw_memory_server_new(config->host, NULL, &server, err);
    if (status == MW_OK)
        status = open_on(server, config, ret_conn, err);
    if (status == MW_OK)
        (*ret_conn)->private_server = true;
    else
        mw_memory_server_free(server);
    return status;
}

static void mwm_stats(mw_conn *conn, mw_backend_stats *ret_stats) {
    *ret_stats = conn->stats;
    ret_stats->wakeups = conn->wire.wakeups;
}

static const mw_requirement requirements[] = {
    {"session_timeout_ms", "duration", "6000", false, "how long the session outlives its last sign of life"},
    {0},
};

const mw_backend mw_backend_memory = {
    .size = sizeof(mw_backend),
    .abi = MW_BACKEND_ABI,
    .name = "memory",
    .library = "built in",
    .caps = MW_CAP_SESSIONS | MW_CAP_EXACT_PUT,
    .options = requirements,
    .open = open_private,
    .close = mwm_close,
    .abandon = mwm_abandon,
    .expire = mwm_expire,
    .submit = mwm_submit,
    .cancel = mwm_cancel,
    .watch = mwm_watch,
    .unwatch = mwm_unwatch,
    .lock = mwm_lock,
    .unlock = mwm_unlock,
    .end_session = mwm_end_session,
    .stats = mwm_stats,
};
