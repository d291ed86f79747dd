/* The servers of a world, and the proxies before them. */
#define SPEC_HELPER
#include "world.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

const char *world_servers(void) {
    const char *servers = getenv("ZK_SERVERS");
    if (!servers) {
        printf("Bail out! ZK_SERVERS is not set; run me with spec/support/zookeeper_server.sh run COUNT\n");
        exit(EXIT_FAILURE);
    }
    return servers;
}

int world_port(int server) {
    const char *p = world_servers();
    while (--server > 0 && (p = strchr(p, ',')))
        p++;
    return p ? atoi(strchr(p, ':') + 1) : 0;
}

int servers_tell(const char *format, ...) {
    char words[256], command[640];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    const char *space = strchr(words, ' ');
    snprintf(command, sizeof command, "%s %.*s %s %s", getenv("ZK_CTL"),
             space ? (int)(space - words) : (int)strlen(words), words, getenv("ZK_DIR"), space ? space + 1 : "");
    return system(command);
}

static bool has_ended(void *arg) {
    int status = 0;
    pid_t *pid = arg;
    if (waitpid(*pid, &status, WNOHANG) != *pid)
        return false;
    *pid = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
    return true;
}

bool servers_wait(world *w) {
    pid_t pid = fork();
    if (pid == 0) {
        execl(getenv("ZK_CTL"), getenv("ZK_CTL"), "wait", getenv("ZK_DIR"), (char *)NULL);
        _exit(127);
    }
    return world_until(w, has_ended, &pid) && pid == 0;
}

/* The number that zookeeper_server.sh prints; 0 when it prints none. */
static int number_of(const char *what, const char *server) {
    char command[256], line[16] = "";
    snprintf(command, sizeof command, "%s %s %s %s", getenv("ZK_CTL"), what, getenv("ZK_DIR"), server);
    FILE *pipe = popen(command, "r");
    if (!pipe || !fgets(line, sizeof line, pipe))
        line[0] = 0;
    if (pipe)
        pclose(pipe);
    return atoi(line);
}

int servers_leader(void) {
    return number_of("leader", "");
}

int servers_proposals(int leader) {
    char server[12];
    snprintf(server, sizeof server, "%d", leader);
    return number_of("proposals", server);
}

void proxy_start(proxy *p, int target_port) {
    int in[2], out[2];
    char port[16], line[32];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        abort();
    snprintf(port, sizeof port, "%d", target_port);
    p->pid = fork();
    if (p->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(getenv("TCP_PROXY"), "tcp_proxy", port, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = fdopen(out[0], "r");
    p->port = p->out && fgets(line, sizeof line, p->out) ? atoi(line) : 0;
    CHECK(p->port > 0);
}

static void proxy_ask(proxy *p, const char *command, char *answer, int size) {
    size_t len = strlen(command);
    CHECK(write(p->in, command, len) == (ssize_t)len && write(p->in, "\n", 1) == 1);
    CHECK(fgets(answer, size, p->out) && strncmp(answer, "ok", 2) == 0);
}

void proxy_tell(proxy *p, const char *format, ...) {
    char command[128], answer[256];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    proxy_ask(p, command, answer, sizeof answer);
}

unsigned long proxy_stat(proxy *p, const char *what) {
    char answer[256];
    proxy_ask(p, "stats", answer, sizeof answer);
    const char *at = strstr(answer, what);
    return at ? strtoul(at + strlen(what), NULL, 10) : 0;
}

unsigned long proxy_number(proxy *p, const char *command) {
    char answer[256];
    proxy_ask(p, command, answer, sizeof answer);
    return strtoul(answer + strlen("ok"), NULL, 10);
}

void proxy_stop(proxy *p) {
    close(p->in);
    fclose(p->out);
    waitpid(p->pid, NULL, 0);
}
