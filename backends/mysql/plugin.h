/* The one symbol of the loadable module, for specs that link the backend. */
#ifndef MOONWATCH_BACKENDS_MYSQL_PLUGIN_H
#define MOONWATCH_BACKENDS_MYSQL_PLUGIN_H

#include <moonwatch/backend.h>

#pragma GCC visibility push(default)
mw_backend_plugin_fn mw_backend_plugin;
#pragma GCC visibility pop

#endif
