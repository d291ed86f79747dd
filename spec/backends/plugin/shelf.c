/* A backend built out of tree: against the installed headers, loaded by name, with no symbol of Moonwatch's to call.
 * What it does is the memory backend's work; what matters is the way it comes in. */
#include "backends/memory/memory.h"

__attribute__((visibility("default"))) const mw_backend *mw_backend_plugin(void);

const mw_backend *mw_backend_plugin(void) {
    return &mw_backend_memory;
}
