/* Formatting of log lines; where they go is the host's business. */
#include <moonwatch/host.h>

#include <stdarg.h>
#include <stdio.h>

void mw_log(mw_host *host, mw_log_level level, const char *component, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    host->ops->log(host, level, component, line);
}
