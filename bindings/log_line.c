#include "log_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *const mw_log_level_names[] = {"debug", "info", "warn", "error", NULL};

/* "2026-11-22T20:07:34.761+0100" (ISO 8601), or only its time of day. */
static void write_time(char *out, size_t size, bool dated) {
    char seconds[32], offset[8] = "";
    struct timespec now;
    struct tm local;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)localtime_r(&now.tv_sec, &local);
    (void)strftime(seconds, sizeof seconds, dated ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &local);
    if (dated)
        (void)strftime(offset, sizeof offset, "%z", &local);
    (void)snprintf(out, size, "%s.%03ld%s", seconds, now.tv_nsec / 1000000, offset);
}

/* The bytes of the character of UTF-8 that `text` begins with; 0 when it begins with none. */
static size_t character(const char *text) {
    unsigned char first = (unsigned char)*text;
    size_t len = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return 0;
    }
    return len;
}

/* Append `text` as the inside of a JSON string, as much as there is room for. */
static size_t escape(char *out, size_t room, const char *text) {
    size_t used = 0;
    while (*text && used + 6 < room) {
        size_t len = character(text);
        unsigned char byte = (unsigned char)*text;
        if (len == 0)
            used += (size_t)sprintf(out + used, "\\ufffd");
        else if (byte < 0x20 || byte == 0x7F)
            used += (size_t)sprintf(out + used, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            used += (size_t)sprintf(out + used, "\\%c", byte);
        else
            used += (size_t)sprintf(out + used, "%.*s", (int)len, text);
        text += len ? len : 1;
    }
    return used;
}

static size_t json_line(char *out, const char *when, const char *level, const char *component, const char *text) {
    size_t used = (size_t)sprintf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":\"", when, level);
    used += escape(out + used, 512, component);
    used += (size_t)sprintf(out + used, "\",\"message\":\"");
    used += escape(out + used, MW_LOG_LINE_MAX - used - 4, text);
    return used + (size_t)sprintf(out + used, "\"}\n");
}

size_t mw_log_line(char *out, mw_log_style style, mw_log_level level, const char *component, const char *text) {
    char when[64];
    const char *name = mw_log_level_names[level];
    write_time(when, sizeof when, style != MW_LOG_SHORT);
    if (style == MW_LOG_JSON)
        return json_line(out, when, name, component, text);
    int n = snprintf(out, MW_LOG_LINE_MAX, "%s %-5s %s: %s", when, name, component, text);
    size_t used = (size_t)n < MW_LOG_LINE_MAX ? (size_t)n : MW_LOG_LINE_MAX - 1;
    out[used] = '\n'; /* in the place of the terminator */
    return used + 1;
}
