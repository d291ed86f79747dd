/* What `open` reads: StreamPark's JDBC URL as it stands, mysql:// URLs, separate keys; and what it refuses. */
#include "backends/mysql/options.h"

#include <unistd.h>

#include "support/check.h"

static mw_mysql_options options;
static mw_error err;

static int read_options(const mw_option *list) {
    mw_mysql_options_release(&options);
    err.message[0] = '\0';
    return mw_mysql_options_read(list, &options, &err);
}

static int read_url(const char *url) {
    return read_options((mw_option[]){{"url", url}, {"username", "root"}, {"password", "streampark"}, {NULL, NULL}});
}

static void reads_streamparks_url_as_it_stands(void) {
    CHECK_INT(read_url("jdbc:mysql://db.example:3307/streampark?useUnicode=true&characterEncoding=UTF-8&"
                       "useJDBCCompliantTimezoneShift=true&useLegacyDatetimeCode=false&serverTimezone=GMT%2B8&"
                       "useSSL=false"),
              MW_OK);
    CHECK_TEXT(options.host, "db.example");
    CHECK_INT(options.port, 3307);
    CHECK_TEXT(options.database, "streampark");
    CHECK_TEXT(options.username, "root");
    CHECK_TEXT(options.password, "streampark");
    CHECK_INT(options.tls, MW_MYSQL_TLS_OFF);
}

static void reads_a_mysql_url(void) {
    CHECK_INT(
        read_options((mw_option[]){{"url", "mysql://mw:p%40ss@[::1]/reg?tls=verify&tls_ca=/dev/null"}, {NULL, NULL}}),
        MW_OK);
    CHECK_TEXT(options.host, "::1");
    CHECK_INT(options.port, 3306);
    CHECK_TEXT(options.username, "mw");
    CHECK_TEXT(options.password, "p@ss");
    CHECK_TEXT(options.database, "reg");
    CHECK_INT(options.tls, MW_MYSQL_TLS_VERIFY);
    CHECK_TEXT(options.tls_ca, "/dev/null");
}

/* As MySQL's Connector/J does: to it a plus is a blank, wherever it stands. */
static void reads_a_plus_as_jdbc_does(void) {
    static const struct {
        const char *url, *username, *password;
    } rows[] = {{"jdbc:mysql://h/db?user=a+b&password=c%2Bd+e%20f", "a b", "c+d e f"},
                {"jdbc:mysql://a+b:c+d%2b@h/db", "a b", "c d+"},
                {"mysql://a+b:c+d%2b@h/db", "a+b", "c+d+"},
                {"jdbc:mariadb://a+b:c+d%2b@h/db", "a+b", "c+d+"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(read_options((mw_option[]){{"url", rows[i].url}, {NULL, NULL}}), MW_OK);
        CHECK_TEXT(options.username, rows[i].username);
        CHECK_TEXT(options.password, rows[i].password);
        CHECK_TEXT(options.host, "h");
    }
}

static void separate_keys_win_over_the_url(void) {
    CHECK_INT(read_options((mw_option[]){{"host", "other"},
                                         {"port", "4000"},
                                         {"url", "mysql://mw@first:3310/reg?tls=off"},
                                         {"tls", "required"},
                                         {"binlog", "off"},
                                         {NULL, NULL}}),
              MW_OK);
    CHECK_TEXT(options.host, "other");
    CHECK_INT(options.port, 4000);
    CHECK_INT(options.tls, MW_MYSQL_TLS_REQUIRED);
    CHECK(!options.binlog);
}

static void knows_jdbcs_tls_words(void) {
    static const struct {
        const char *params;
        mw_mysql_tls tls;
    } rows[] = {{"", MW_MYSQL_TLS_PREFERRED},
                {"?sslMode=VERIFY_IDENTITY", MW_MYSQL_TLS_VERIFY},
                {"?sslMode=REQUIRED", MW_MYSQL_TLS_REQUIRED},
                {"?useSSL=true&requireSSL=true", MW_MYSQL_TLS_REQUIRED},
                {"?useSSL=true&verifyServerCertificate=true", MW_MYSQL_TLS_VERIFY},
                {"?useSSL=true", MW_MYSQL_TLS_PREFERRED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char url[128];
        snprintf(url, sizeof url, "jdbc:mysql://h/db%s", rows[i].params);
        CHECK_INT(read_url(url), MW_OK);
        CHECK_INT(options.tls, rows[i].tls);
    }
}

static void refuses_with_the_name_of_the_option(void) {
    static const struct {
        const char *url, *says;
    } rows[] = {{"postgres://h/db", "url: it must begin with"},
                {"mysql://h:0/db", "url: the port is no number"},
                {"mysql://h:70000/db", "url: the port is no number"},
                {"mysql://h:x/db", "url: the port is no number"},
                {"jdbc:mysql://a:1,b:2/db", "url: it names several servers"},
                {"mysql://[::1/db", "url: the IPv6 address"},
                {"mysql://h/d%zzb", "url: the database has a '%'"},
                {"mysql://h/d%00b", "url: the database has a '%'"},
                {"mysql://h/db?tlss=off", "url: unknown parameter 'tlss'"},
                {"mysql://h/db?tls=maybe", "tls: 'maybe' is none of"},
                {"jdbc:mysql://h/db?sslMode=perhaps", "url: sslMode=perhaps"},
                {"mysql://h:3306", "database: name it"},
                {"mysql://h/db?binlog=sometimes", "binlog: 'sometimes'"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(read_url(rows[i].url), MW_EINVALID);
        if (strncmp(err.message, rows[i].says, strlen(rows[i].says)) != 0)
            CHECK_TEXT(err.message, rows[i].says);
    }
}

static void needs_an_account(void) {
    CHECK_INT(read_options((mw_option[]){{"database", "reg"}, {NULL, NULL}}), MW_EINVALID);
    CHECK_TEXT(err.message, "username: the account is missing");
}

static void reads_a_password_from_a_file(void) {
    char path[] = "/tmp/moonwatch-password-XXXXXX";
    int fd = mkstemp(path);
    CHECK_INT(write(fd, "from file\nsecond line\n", 22), 22);
    close(fd);
    mw_option list[] = {{"database", "d"}, {"username", "u"}, {"password_file", path}, {NULL, NULL}, {NULL, NULL}};
    int status = read_options(list);
    list[3] = (mw_option){"password", "too"};
    int both = mw_mysql_options_read(list, &options, &err);
    unlink(path);
    CHECK_INT(status, MW_OK);
    CHECK_TEXT(options.password, "from file");
    CHECK_INT(both, MW_EINVALID);
    list[3].key = NULL;
    CHECK_INT(read_options(list), MW_EINVALID);
}

/* Whatever a character in it that should have been encoded makes of the rest. */
static void a_complaint_never_holds_the_password(void) {
    static const char *const urls[] = {
        "mysql://mw:hunter2@h:x/db",           "mysql://mw:hunter2%@h/db",           "mysql://mw:hunter2/db",
        "mysql://mw:12?hunter2@h/db",          "mysql://mw:12/hunter2@h/db",         "jdbc:mysql://mw:12/hunter2@h/db",
        "mysql://mw@h/db?password=1&hunter2=", "mysql://mw@h/db?password=1?&hunter2"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        CHECK_INT(read_options((mw_option[]){{"url", urls[i]}, {"username", "mw"}, {NULL, NULL}}), MW_EINVALID);
        CHECK(!strstr(err.message, "hunter2"));
    }
}

static const spec_case cases[] = {
    {"reads StreamPark's URL as it stands", reads_streamparks_url_as_it_stands},
    {"reads a mysql:// URL", reads_a_mysql_url},
    {"reads a plus as JDBC does", reads_a_plus_as_jdbc_does},
    {"separate keys win over the URL", separate_keys_win_over_the_url},
    {"knows JDBC's words for TLS", knows_jdbcs_tls_words},
    {"refuses with the name of the option", refuses_with_the_name_of_the_option},
    {"needs an account", needs_an_account},
    {"reads a password from a file", reads_a_password_from_a_file},
    {"a complaint never holds the password", a_complaint_never_holds_the_password},
};

int main(int argc, char **argv) {
    int status = spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
    mw_mysql_options_release(&options);
    return status;
}
