/* Failing allocations on purpose: every malloc, calloc, realloc, strdup and strndup of the code that is linked into the
 * program (the linker's --wrap; shared libraries keep theirs), one after another, while a scenario runs again and
 * again. Use moonwatch_alloc_spec() of spec/core/CMakeLists.txt to link a spec with it. Works under ASan too. */
#ifndef SPEC_SUPPORT_ALLOC_FAIL_H
#define SPEC_SUPPORT_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* Build, use and release. True: it did all that it is there to do; false: it met a failed allocation, said so in the
 * way its contract promises, and released what it had. */
typedef bool alloc_scenario(void *arg);

/* Runs `scenario` with the first allocation failing, then the second, and so on until a run needs fewer: once with
 * single failures, once with all allocations failing from the Nth on. Fails when a run leaves memory behind, or when
 * the run without a failure returns false. Returns how many allocations were made to fail, 0 on failure with one line
 * in `why`. A crash names the allocation on standard error. */
size_t alloc_fail_each(alloc_scenario *scenario, void *arg, char *why, size_t why_size);

/* By hand: count from now on and fail the Nth (0 = none), or from the Nth on. */
void alloc_fail_at(size_t nth, bool from_then_on);

/* Stop; how many allocations were asked for since, failed ones included. */
size_t alloc_fail_stop(void);

#endif
