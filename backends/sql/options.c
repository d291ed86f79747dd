/* Options as text. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>

const char *mw_sql_option(const mw_option *options, const char *key) {
    const char *value = NULL;
    for (; options && options->key; options++)
        if (strcmp(options->key, key) == 0)
            value = options->value;
    return value;
}

int mw_sql_option_int(const mw_option *options, const char *key, int64_t initial, int64_t least, int64_t most,
                      int64_t *ret_value, mw_error *err) {
    const char *text = mw_sql_option(options, key);
    if (!text) {
        *ret_value = initial;
        return MW_OK;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least || value > most)
        return mw_fail(err, MW_EINVALID, "%s: '%.40s' is not a whole number from %lld to %lld", key, text,
                       (long long)least, (long long)most);
    *ret_value = value;
    return MW_OK;
}

static bool known(const mw_requirement *accepted, const char *key) {
    for (; accepted && accepted->key; accepted++)
        if (strcmp(accepted->key, key) == 0)
            return true;
    return false;
}

int mw__sql_options_check(const mw_backend *backend, const mw_option *options, mw_error *err) {
    for (const mw_option *option = options; option && option->key; option++)
        if (!known(backend->options, option->key))
            return mw_fail(err, MW_EINVALID, "%.60s: not an option of %s", option->key, backend->name);
    for (const mw_requirement *need = backend->options; need && need->key; need++)
        if (need->required && !mw_sql_option(options, need->key))
            return mw_fail(err, MW_EINVALID, "%s: required by %s (%s)", need->key, backend->name, need->help);
    return MW_OK;
}
