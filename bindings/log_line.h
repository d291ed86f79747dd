/* A line of the log as the programs write it to standard error. */
#ifndef MOONWATCH_LOG_LINE_H
#define MOONWATCH_LOG_LINE_H

#include <moonwatch/host.h>

typedef enum mw_log_style {
    MW_LOG_SHORT, /* "20:07:34.761 info  engine: text": for who sits before it */
    MW_LOG_DATED, /* the same with date and offset from UTC, for a file that is read days later */
    MW_LOG_JSON   /* {"time", "level", "component", "message"} */
} mw_log_style;

/* Enough for the longest line of mw_log, in any style. */
#define MW_LOG_LINE_MAX 8192

/* "debug", "info", "warn", "error", NULL */
extern const char *const mw_log_level_names[];

/* Write the line of now, with its newline, into `out` (MW_LOG_LINE_MAX bytes, not terminated); its length. Any thread.
 */
size_t mw_log_line(char *out, mw_log_style style, mw_log_level level, const char *component, const char *text);

#endif
