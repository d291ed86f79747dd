/* Backends that must be refused when they are loaded: BROKEN says what is wrong with this one. */
#include "backends/memory/memory.h"

__attribute__((visibility("default"))) const mw_backend *mw_backend_plugin(void);

static mw_backend table;

const mw_backend *mw_backend_plugin(void) {
    table = mw_backend_memory;
    table.name = "broken";
#if defined(BROKEN_SIZE)
    table.size = 64;
#elif defined(BROKEN_ABI)
    table.abi = MW_BACKEND_ABI + 1;
#elif defined(BROKEN_SLOT)
    table.unlock = NULL;
#endif
    return &table;
}
