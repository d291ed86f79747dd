/* Which version answers: the client's protocol does not say. The four-letter word `srvr`, which servers allow unless
 * their 4lw.commands.whitelist leaves it out, does, on a connection of its own that the server closes after its answer.
 * A server that says nothing costs what the request's deadline allows, and nobody waits in it. */
#include "zk.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTION "srvr"
#define INTRODUCTION "Zookeeper version: "

struct zk_inquiry {
    zk_op *op;
    mw_poll poll;
    int fd;
    bool asked;
    char server[80];
    size_t len;
    char answer[256]; /* what we look for stands first */
};

void zk_inquiry_free(zk_inquiry *inquiry) {
    if (!inquiry)
        return;
    mw_poll_stop(inquiry->op->conn->host, &inquiry->poll);
    if (inquiry->fd >= 0)
        (void)close(inquiry->fd);
    free(inquiry);
}

/* "Zookeeper version: 3.8.0-5a02a05, built on ..." as "3.8.0". */
static mw_str version_in(const char *answer) {
    if (strncmp(answer, INTRODUCTION, strlen(INTRODUCTION)) != 0)
        return (mw_str){0};
    answer += strlen(INTRODUCTION);
    return (mw_str){answer, strcspn(answer, "-, \n")};
}

static void told(zk_op *op, mw_str version) {
    mw_entry entry = {.path = op->request->path, .value = version};
    op->request->entry(op->request, &entry);
    zk_op_end(op, MW_OK, NULL);
}

static void not_told(zk_inquiry *inquiry, int status, const char *why) {
    mw_error err;
    zk_fail(&err, status, "zookeeper: `" QUESTION "` to %s: %s", inquiry->server, why);
    zk_op_end(inquiry->op, status, &err);
}

static void over(zk_inquiry *inquiry) {
    zk_op *op = inquiry->op;
    inquiry->answer[inquiry->len] = '\0';
    mw_str version = version_in(inquiry->answer);
    mw_poll_stop(op->conn->host, &inquiry->poll);
    if (version.len > 0)
        told(op, version);
    else if (inquiry->len > 0)
        not_told(inquiry, MW_EUNSUPPORTED, "its 4lw.commands.whitelist does not allow it");
    else
        not_told(inquiry, MW_EIO, "no answer");
}

static void ready(mw_poll *poll, unsigned events) {
    zk_inquiry *inquiry = mw_container(poll, zk_inquiry, poll);
    ssize_t n = 0;
    (void)events;
    if (!inquiry->asked) {
        n = send(inquiry->fd, QUESTION, strlen(QUESTION), MSG_NOSIGNAL);
        inquiry->asked = true;
        if (n == (ssize_t)strlen(QUESTION) &&
            mw_poll_start(inquiry->op->conn->host, poll, inquiry->fd, MW_READABLE) == MW_OK)
            return;
        over(inquiry);
        return;
    }
    n = recv(inquiry->fd, inquiry->answer + inquiry->len, sizeof inquiry->answer - 1 - inquiry->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    inquiry->len += n > 0 ? (size_t)n : 0;
    if (n <= 0 || inquiry->len == sizeof inquiry->answer - 1 || memchr(inquiry->answer, '\n', inquiry->len))
        over(inquiry);
}

/* The client names the server that it is connected to by its numbers: nothing is looked up. */
static int begin_connecting(const char *server) {
    char host[64];
    const char *colon = strrchr(server, ':');
    if (!colon || (size_t)(colon - server) >= sizeof host)
        return -1;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - server), server);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int zk_inquiry_start(zk_op *op) {
    if (op->conn->options.tls) {
        zk_fail(&op->err, MW_EUNSUPPORTED, "zookeeper: `" QUESTION "` is asked without TLS only");
        zk_op_refuse(op, MW_EUNSUPPORTED);
        return ZOK;
    }
    zk_inquiry *inquiry = calloc(1, sizeof *inquiry);
    if (!inquiry)
        return ZSYSTEMERROR;
    *inquiry = (zk_inquiry){.op = op, .poll = {.ready = ready}, .fd = -1};
    op->inquiry = inquiry;
    (void)snprintf(inquiry->server, sizeof inquiry->server, "%s", zoo_get_current_server(op->conn->zh));
    inquiry->fd = begin_connecting(inquiry->server);
    if (inquiry->fd < 0 || mw_poll_start(op->conn->host, &inquiry->poll, inquiry->fd, MW_WRITABLE) != MW_OK)
        return ZAPIERROR; /* not a lost connection: the session's own is there */
    return ZOK;
}
