/* The processes that stem from this one, as /proc shows them. */
#ifndef MOONWATCH_BINDINGS_DESCENDANTS_H
#define MOONWATCH_BINDINGS_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* From now on whoever loses its parent becomes our child instead of init's: nobody leaves the family. */
void mw__descendants_keep(void);

/* Call `each` (may be NULL) with every one of ours that lives, parents before their children; with `session_only` those
 * that have begun no session of their own. How many. One that is born meanwhile may be missed: look again. None where
 * /proc does not tell. */
size_t mw__descendants_each(bool session_only, void (*each)(void *arg, pid_t pid), void *arg);

#endif
