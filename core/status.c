/* Words, meanings and the one way to report a failure. */
#include <moonwatch/status.h>

#include <stdarg.h>
#include <stdio.h>

const char *mw_status_text(int status) {
    switch (status) {
    case MW_OK:
        return "ok";
#define MW__STATUS_CASE(name, value, text, retryable, meaning)                                                         \
    case MW_E##name:                                                                                                   \
        return text;
        MW_STATUS_MAP(MW__STATUS_CASE)
#undef MW__STATUS_CASE
    default:
        return "internal";
    }
}

const char *mw_status_meaning(int status) {
    switch (status) {
    case MW_OK:
        return "done";
#define MW__STATUS_CASE(name, value, text, retryable, meaning)                                                         \
    case MW_E##name:                                                                                                   \
        return meaning;
        MW_STATUS_MAP(MW__STATUS_CASE)
#undef MW__STATUS_CASE
    default:
        return "a number that is no status";
    }
}

bool mw_status_retryable(int status) {
    switch (status) {
#define MW__STATUS_CASE(name, value, text, retryable, meaning)                                                         \
    case MW_E##name:                                                                                                   \
        return retryable;
        MW_STATUS_MAP(MW__STATUS_CASE)
#undef MW__STATUS_CASE
    default:
        return false;
    }
}

int mw_fail(mw_error *err, int status, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = status;
        (void)vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}
