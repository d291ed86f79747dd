/* The rules of a transaction, the same on every backend and checked before anything is sent. Private to core/. */
#ifndef MW_TXN_RULES_H
#define MW_TXN_RULES_H

#include "registry_impl.h"

/* The most that one txn may carry: ZooKeeper's packet of 1 MiB, less room for headers. A backend may allow less. */
#define MW__TXN_BYTES_MAX (1024u * 1024u - 8u * 1024u)
#define MW__TXN_STEP_OVERHEAD 64u

/* MW_EINVALID or MW_ETOO_LARGE, naming the step (1 = first; a lone step is not numbered). */
int mw__txn_check(const mw_registry *registry, const mw_step *steps, size_t count, mw_error *err);

#endif
