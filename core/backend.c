/* Loading a backend by name, and refusing a table that is incomplete. */
#include <moonwatch/registry.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MOONWATCH_BACKEND_DIR
#define MOONWATCH_BACKEND_DIR "/usr/local/lib/moonwatch"
#endif

static const char *missing_slot(const mw_backend *backend) {
#define MW__NEED(slot)                                                                                                 \
    if (!backend->slot)                                                                                                \
        return #slot;
    MW__NEED(name)
    MW__NEED(options)
    MW__NEED(open)
    MW__NEED(close)
    MW__NEED(abandon)
    MW__NEED(expire)
    MW__NEED(submit)
    MW__NEED(cancel)
    MW__NEED(watch)
    MW__NEED(unwatch)
    MW__NEED(lock)
    MW__NEED(unlock)
    MW__NEED(end_session)
#undef MW__NEED
    return NULL;
}

int mw_backend_validate(const mw_backend *backend, mw_error *err) {
    if (!backend)
        return mw_fail(err, MW_EUNSUPPORTED, "backend: the module gave no table");
    if (backend->abi != MW_BACKEND_ABI)
        return mw_fail(err, MW_EUNSUPPORTED, "backend: made for interface %u, this Moonwatch has %u; rebuild it",
                       backend->abi, MW_BACKEND_ABI);
    if (backend->size < sizeof *backend)
        return mw_fail(err, MW_EUNSUPPORTED, "backend: its table has %zu bytes, %zu are needed; rebuild it",
                       backend->size, sizeof *backend);
    const char *missing = missing_slot(backend);
    if (missing)
        return mw_fail(err, MW_EUNSUPPORTED, "backend %s: its table lacks '%s'", backend->name ? backend->name : "?",
                       missing);
    return MW_OK;
}

static bool plain_name(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && len <= 32 && name[len] == '\0';
}

static int load(const char *file, const mw_backend **ret_backend, mw_error *err) {
    void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return mw_fail(err, MW_EUNSUPPORTED, "%s", dlerror());
    mw_backend_plugin_fn *plugin = NULL;
    void *symbol = dlsym(module, MW_BACKEND_PLUGIN_SYMBOL);
    memcpy(&plugin, &symbol, sizeof plugin); /* ISO C has no cast from object to function pointers */
    if (!plugin)
        return mw_fail(err, MW_EUNSUPPORTED, "%s: no symbol '%s': not a Moonwatch backend", file,
                       MW_BACKEND_PLUGIN_SYMBOL);
    const mw_backend *backend = plugin();
    mw_error why;
    if (mw_backend_validate(backend, &why) != MW_OK)
        return mw_fail(err, MW_EUNSUPPORTED, "%s: %s", file, why.message);
    *ret_backend = backend;
    return MW_OK;
}

/* Look in each directory of a colon-separated list. NOT_FOUND when none has such a file. */
static int search(const char *directories, const char *name, const mw_backend **ret_backend, mw_error *err) {
    while (directories && *directories) {
        size_t len = strcspn(directories, ":");
        char file[4096];
        int n = snprintf(file, sizeof file, "%.*s/mw_backend_%s.so", (int)len, directories, name);
        FILE *found = len && n > 0 && (size_t)n < sizeof file ? fopen(file, "r") : NULL;
        if (found) {
            (void)fclose(found);
            return load(file, ret_backend, err);
        }
        directories += len + (directories[len] == ':');
    }
    return MW_ENOT_FOUND;
}

int mw_backend_find(const char *name, const char *directories, const mw_backend **ret_backend, mw_error *err) {
    if (!plain_name(name))
        return mw_fail(err, MW_EUNSUPPORTED, "backend: '%.64s' is no name of a backend", name);
    const char *const places[] = {directories, getenv("MOONWATCH_BACKENDS"), MOONWATCH_BACKEND_DIR};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int status = search(places[i], name, ret_backend, err);
        if (status != MW_ENOT_FOUND)
            return status;
    }
    return mw_fail(err, MW_EUNSUPPORTED,
                   "backend '%s': no mw_backend_%s.so in $MOONWATCH_BACKENDS or %s; install it or choose another", name,
                   name, MOONWATCH_BACKEND_DIR);
}
