/* TLS: who is trusted, and what is said of who is not. */
#define SPEC_SHARED
#include "tls_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_connection(setting s) {
    rig r;
    open_tls(&r, s);
    RIG_UNTIL(&r, r.connected == 1);
    rig_close(&r);
}

/* It fails for good, and says why. */
static void expect_refusal(setting s, const char *says) {
    rig r;
    open_tls(&r, s);
    RIG_UNTIL(&r, r.failed != 0);
    CHECK_INT(r.failed, MW_EDENIED);
    if (!strstr(r.why.message, says))
        printf("# %s\n", r.why.message);
    CHECK(strstr(r.why.message, says) != NULL);
    CHECK_INT(r.connected, 0);
    CHECK_INT(warned.lines, 1);
    rig_close(&r);
}

/* ---- Who is trusted */

static void refuses_a_server_of_another_authority(void) {
    expect_refusal((setting){.ca = "stranger"}, "certificate verify failed");
}

/* The client library asks the system's authorities, too; we do not. */
static void refuses_who_is_trusted_by_the_system_only(void) {
    char file[160];
    snprintf(file, sizeof file, "%s/tls/ca.pem", getenv("ZK_DIR"));
    setenv("SSL_CERT_FILE", file, 1);
    expect_refusal((setting){.ca = "stranger"}, "not signed by tls_ca");
    unsetenv("SSL_CERT_FILE");
}

static void refuses_a_server_of_another_name(void) {
    expect_refusal((setting){.name = "elsewhere.example"}, "bears another name than elsewhere.example");
    expect_connection((setting){.name = "localhost"});
    expect_connection((setting){.name = "::1"});
}

static void reports_that_the_server_refuses_our_certificate(void) {
    expect_refusal((setting){.cert = "alien", .key = "alien-key"}, "certificate");
}

static void opens_an_encrypted_key(void) {
    expect_connection((setting){.key = "locked-key", .password = "open sesame"});
    expect_refusal((setting){.key = "locked-key", .password = "open barley"}, "TLS: ");
    expect_refusal((setting){.key = "locked-key"}, "TLS: "); /* and asks nobody at the terminal */
}

/* openssl as a server, with what a ZooKeeper server would not start with. */
typedef struct s_server {
    pid_t pid;
    int in; /* it ends with that */
    FILE *out;
    char address[32];
} s_server;

static void s_server_begin(s_server *s, const char *name, const char *more) {
    int in[2], out[2];
    char command[512], line[128] = "";
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    snprintf(command, sizeof command,
             "cd $ZK_DIR/tls && exec openssl s_server -accept 127.0.0.1:0 -cert %s.pem -key %s-key.pem %s", name, name,
             more);
    s->pid = fork();
    if (s->pid == 0) {
        dup2(open("/dev/null", O_RDWR), 2);
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    s->in = in[1];
    s->out = fdopen(out[0], "r");
    while (s->out && fgets(line, sizeof line, s->out) && strncmp(line, "ACCEPT ", 7) != 0) {
    }
    CHECK(strrchr(line, ':') != NULL);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%d", atoi(strrchr(line, ':') + 1));
}

static void s_server_end(s_server *s) {
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    close(s->in);
    fclose(s->out);
}

static void refuses_a_certificate_that_is_out_of_date(void) {
    s_server s;
    s_server_begin(&s, "expired", "");
    expect_refusal((setting){.servers = s.address}, "certificate verify failed");
    s_server_end(&s);
}

/* It ends with its input, as soon as somebody comes: we are still writing. */
static void survives_a_server_that_goes_in_the_handshake(void) {
    rig r;
    s_server s;
    s_server_begin(&s, "expired", "");
    close(s.in);
    open_tls(&r, (setting){.servers = s.address});
    RIG_UNTIL(&r, warned.lines == 1);
    CHECK_INT(r.connected + r.failed, 0);
    rig_close(&r);
    s.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s_server_end(&s);
}

/* In TLS 1.3 that comes after the handshake. */
static void reports_a_refusal_that_comes_late(void) {
    s_server s;
    s_server_begin(&s, "server", "-tls1_3 -Verify 2 -verify_return_error -CAfile ca.pem");
    expect_refusal((setting){.servers = s.address, .cert = "alien", .key = "alien-key"}, "alert");
    s_server_end(&s);
}

/* ---- The wrong port */

static void says_once_that_a_port_has_no_tls(void) {
    rig r;
    proxy p;
    char servers[32];
    proxy_start(&p, world_port(1));
    snprintf(servers, sizeof servers, "127.0.0.1:%d", p.port);
    open_tls(&r, (setting){.servers = servers});
    RIG_UNTIL(&r, proxy_stat(&p, "accepted ") >= 4);
    CHECK_INT(r.connected + r.failed, 0);
    CHECK_INT(warned.lines, 1);
    CHECK(strstr(warned.last, "is this its secure port?") != NULL);
    rig_close(&r);
    proxy_stop(&p);
}

static void gets_nowhere_without_tls_on_a_secure_port(void) {
    rig r;
    proxy p;
    mw_error err = {0};
    char servers[32];
    proxy_start(&p, secure_port());
    snprintf(servers, sizeof servers, "127.0.0.1:%d", p.port);
    mw_option options[] = {{"servers", servers}, {0}};
    CHECK_INT(rig_try_open(&r, options, rig_host(), &err), MW_OK);
    RIG_UNTIL(&r, proxy_stat(&p, "accepted ") >= 3);
    CHECK_INT(r.connected + r.failed, 0);
    rig_close(&r);
    proxy_stop(&p);
}

/* ---- Options */

static void refuses_options_that_do_not_fit(void) {
    static const struct {
        mw_option options[4];
        const char *says;
    } bad[] = {
        {{{"tls", "perhaps"}}, "neither true nor false"},
        {{{"tls", "true"}}, "tls_ca is missing"},
        {{{"tls", "true"}, {"tls_ca", "/etc/passwd"}}, "tls_cert is missing"},
        {{{"tls", "true"}, {"tls_ca", "/a,b"}}, "no comma"},
        {{{"tls", "true"}, {"tls_ca", "/no/such/file"}}, "tls_ca: /no/such/file: No such file"},
        {{{"tls_ca", "/etc/passwd"}}, "tls_ca: means nothing without tls"},
        {{{"tls_colour", "blue"}}, "no option 'tls_colour'"},
        {{{"tls_key_password_file", "/no/such/file"}}, "tls_key_password_file: /no/such/file"},
    };
    mw_host *host = rig_host();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rig r;
        mw_error err = {0};
        mw_option options[6] = {{"servers", "127.0.0.1:1"}};
        memcpy(options + 1, bad[i].options, sizeof bad[i].options);
        CHECK_INT(rig_try_open(&r, options, host, &err), MW_EINVALID);
        if (!strstr(err.message, bad[i].says))
            printf("# %s\n", err.message);
        CHECK(strstr(err.message, bad[i].says) != NULL);
    }
    mw_uv_host_free(host);
}

static const spec_case cases[] = {
    {"refuses a server of another authority", refuses_a_server_of_another_authority},
    {"refuses who is trusted by the system only", refuses_who_is_trusted_by_the_system_only},
    {"refuses a server of another name", refuses_a_server_of_another_name},
    {"refuses a certificate that is out of date", refuses_a_certificate_that_is_out_of_date},
    {"survives a server that goes in the handshake", survives_a_server_that_goes_in_the_handshake},
    {"reports that the server refuses our certificate", reports_that_the_server_refuses_our_certificate},
    {"reports a refusal that comes late", reports_a_refusal_that_comes_late},
    {"opens an encrypted key", opens_an_encrypted_key},
    {"says once that a port has no TLS", says_once_that_a_port_has_no_tls},
    {"gets nowhere without TLS on a secure port", gets_nowhere_without_tls_on_a_secure_port},
    {"refuses options that do not fit", refuses_options_that_do_not_fit},
};

int main(int argc, char **argv) {
    return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
}
