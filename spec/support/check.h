/* The smallest runner for specs that only C can reach: named cases, one line each in TAP, exit status 1 on any failure.
 */
#ifndef SPEC_SUPPORT_CHECK_H
#define SPEC_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct spec_case {
    const char *name;
    void (*run)(void);
} spec_case;

typedef struct spec_state {
    jmp_buf escape;
    char why[512];
    void (*before)(void), (*after)(void); /* each case, or NULL; `after` also runs when the case failed, and may fail */
} spec_state;

/* One per program: a failed check leaves the case through it. Helpers in files of their own define SPEC_HELPER first,
 * and the file with the cases SPEC_SHARED. */
#if defined SPEC_HELPER
extern spec_state spec;
#elif defined SPEC_SHARED
spec_state spec;
#else
static spec_state spec;
#endif

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            snprintf(spec.why, sizeof spec.why, "%s:%d: %s", __FILE__, __LINE__, #condition);                          \
            longjmp(spec.escape, 1);                                                                                   \
        }                                                                                                              \
    } while (0)

#define CHECK_INT(actual, expected)                                                                                    \
    do {                                                                                                               \
        long long spec_actual = (long long)(actual), spec_expected = (long long)(expected);                            \
        if (spec_actual != spec_expected) {                                                                            \
            snprintf(spec.why, sizeof spec.why, "%s:%d: %s is %lld, not %lld", __FILE__, __LINE__, #actual,            \
                     spec_actual, spec_expected);                                                                      \
            longjmp(spec.escape, 1);                                                                                   \
        }                                                                                                              \
    } while (0)

#define CHECK_TEXT(actual, expected)                                                                                   \
    do {                                                                                                               \
        const char *spec_actual = (actual), *spec_expected = (expected);                                               \
        if (strcmp(spec_actual, spec_expected) != 0) {                                                                 \
            snprintf(spec.why, sizeof spec.why, "%s:%d: %s is '%.200s', not '%.200s'", __FILE__, __LINE__, #actual,    \
                     spec_actual, spec_expected);                                                                      \
            longjmp(spec.escape, 1);                                                                                   \
        }                                                                                                              \
    } while (0)

#ifndef SPEC_HELPER
/* Whether the case held. Apart from the loop, whose variables a longjmp might clobber. */
static bool spec_hold(const spec_case *one) {
    if (setjmp(spec.escape) != 0)
        return false;
    one->run();
    return true;
}

static bool spec_hold_between(const spec_case *one) {
    const spec_case before = {"", spec.before}, after = {"", spec.after};
    if (spec.before && !spec_hold(&before))
        return false;
    bool held = spec_hold(one);
    return (!spec.after || spec_hold(&after)) && held;
}

/* Runs every case, or those whose name holds argv[1]. */
static int spec_run(const spec_case *cases, size_t count, int argc, char **argv) {
    size_t ran = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && !strstr(cases[i].name, argv[1]))
            continue;
        ran++;
        if (spec_hold_between(&cases[i])) {
            printf("ok %zu - %s\n", ran, cases[i].name);
        } else {
            failed++;
            printf("not ok %zu - %s\n# %s\n", ran, cases[i].name, spec.why);
        }
        (void)fflush(stdout);
    }
    printf("1..%zu\n", ran);
    return failed || ran == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define SPEC_MAIN(cases)                                                                                               \
    int main(int argc, char **argv) {                                                                                  \
        return spec_run(cases, sizeof(cases) / sizeof *(cases), argc, argv);                                           \
    }
#endif

#endif
