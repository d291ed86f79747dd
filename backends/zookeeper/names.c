/* Host names to addresses, on a thread of their own: getaddrinfo blocks, and the client would call it on the loop at
 * every reconnect. The client is only ever given numbers, which it looks up without asking anyone. */
#include "zk.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

/* "host:port" taken apart; brackets around an IPv6 address are dropped: the client splits at the last colon. */
static bool split(const char *server, size_t len, char host[256], char port[8]) {
    const char *colon = memrchr(server, ':', len);
    size_t host_len = (size_t)(colon - server), port_len = len - host_len - 1;
    if (host_len > 1 && server[0] == '[' && server[host_len - 1] == ']') {
        server++;
        host_len -= 2;
    }
    if (host_len > 255 || port_len > 7)
        return false;
    memcpy(host, server, host_len);
    host[host_len] = 0;
    memcpy(port, colon + 1, port_len);
    port[port_len] = 0;
    return true;
}

bool zk_names_numeric(const char *servers) {
    char host[256], port[8];
    struct in6_addr address;
    for (const char *p = servers;; p++) {
        size_t len = strcspn(p, ",");
        if (!split(p, len, host, port) ||
            (inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1))
            return false;
        p += len;
        if (!*p)
            return true;
    }
}

/* FIRST, LINK and SECOND behind what is there, which is kept when there is no memory. */
static void append(char **list, const char *between, const char *first, const char *link, const char *second) {
    size_t len = *list ? strlen(*list) : 0;
    size_t more = strlen(between) + strlen(first) + strlen(link) + strlen(second) + 1;
    char *longer = realloc(*list, len + more);
    if (!longer)
        return;
    (void)snprintf(longer + len, more, "%s%s%s%s", len ? between : "", first, link, second);
    *list = longer;
}

static void lookup_one(char **list, const char *host, const char *port, char **ret_failures) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) {
        if (ret_failures)
            append(ret_failures, "\n", host, ": ", gai_strerror(rc));
        return;
    }
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            append(list, ",", text, ":", port);
    }
    freeaddrinfo(found);
}

char *zk_names_lookup(const char *servers, char **ret_failures) {
    char host[256], port[8], *list = NULL;
    for (const char *p = servers;; p++) {
        size_t len = strcspn(p, ",");
        if (split(p, len, host, port))
            lookup_one(&list, host, port, ret_failures);
        p += len;
        if (!*p)
            return list;
    }
}

static void job_free(zk_names_job *job) {
    free(job->servers);
    free(job->addresses);
    free(job->failures);
    free(job);
}

static void look_up(zk_thread *thread) {
    zk_names_job *job = mw_container(thread, zk_names_job, thread);
    job->addresses = zk_names_lookup(job->servers, &job->failures);
}

void zk_names_apply(mw_conn *conn) {
    if (!conn->moved || !conn->zh || conn->shaking)
        return;
    conn->moved = false;
    conn->inside++;
    (void)zoo_set_servers(conn->zh, conn->addresses);
    conn->inside--;
}

/* Whether LINE is one of those in TEXT, which may be NULL. */
static bool has_line(const char *text, const char *line, size_t len) {
    while (text && *text) {
        size_t here = strcspn(text, "\n");
        if (here == len && memcmp(text, line, len) == 0)
            return true;
        text += here + (text[here] == '\n');
    }
    return false;
}

/* What fails is looked up again several times a second, for as long as it does: said when it begins to, or changes. */
static void tell(mw_conn *conn, const char *failures) {
    for (const char *line = failures; line && *line;) {
        size_t len = strcspn(line, "\n");
        if (!has_line(conn->unresolved, line, len))
            zk_log(conn, MW_LOG_WARN, "%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

static void arrived(zk_thread *thread) {
    zk_names_job *job = mw_container(thread, zk_names_job, thread);
    mw_conn *conn = job->conn;
    conn->names = NULL;
    tell(conn, job->failures);
    free(conn->unresolved);
    conn->unresolved = job->failures;
    job->failures = NULL;
    if (job->addresses) {
        free(conn->addresses);
        conn->addresses = job->addresses;
        job->addresses = NULL;
        conn->moved = true;
        zk_names_apply(conn);
    } else if (!conn->addresses) {
        zk_retry(conn);
    }
    zk_kick(conn);
    job_free(job);
}

static void discard(zk_thread *thread) {
    job_free(mw_container(thread, zk_names_job, thread));
}

int zk_names_start(mw_conn *conn) {
    if (conn->names)
        return MW_OK;
    zk_names_job *job = calloc(1, sizeof *job);
    if (!job)
        return MW_ENO_MEMORY;
    *job = (zk_names_job){.thread = {.work = look_up, .done = arrived, .discard = discard}, .conn = conn};
    job->servers = strdup(conn->options.servers);
    if (!job->servers || zk_thread_start(&job->thread, conn->host) != MW_OK) {
        job_free(job);
        return MW_ENO_MEMORY;
    }
    conn->names = job;
    return MW_OK;
}

bool zk_names_leave(mw_conn *conn) {
    if (conn->names && zk_thread_leave(&conn->names->thread))
        conn->names = NULL;
    return !conn->names;
}
