#define _GNU_SOURCE 1 /* dladdr */
#include "alloc_fail.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);
void __wrap_free(void *memory);

/* Live allocations of the run: an open hash of addresses. */
#define SLOTS (1u << 17)

typedef struct live_block {
    uintptr_t hidden; /* the complement of the address: LeakSanitizer must not find its way through this table */
    void *caller;
    size_t nth;
} live_block;

/* One per program, as the allocator is. */
static struct {
    pthread_mutex_t lock;
    bool counting, from_then_on;
    size_t nth, seen, live;
    live_block blocks[SLOTS];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t slot_of(uintptr_t hidden) {
    return (size_t)((hidden >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 47) % SLOTS;
}

static void remember(const void *memory, void *caller) {
    uintptr_t hidden = ~(uintptr_t)memory;
    size_t i = slot_of(hidden);
    while (state.blocks[i].hidden)
        i = (i + 1) % SLOTS;
    state.blocks[i] = (live_block){hidden, caller, state.seen};
    if (++state.live > SLOTS / 2) {
        (void)fputs("alloc_fail: the scenario is too large\n", stderr);
        abort();
    }
}

static void forget(const void *memory) {
    uintptr_t hidden = ~(uintptr_t)memory;
    size_t i = slot_of(hidden);
    while (state.blocks[i].hidden && state.blocks[i].hidden != hidden)
        i = (i + 1) % SLOTS;
    if (!state.blocks[i].hidden)
        return; /* from before the run, or from a library */
    state.live--;
    state.blocks[i].hidden = 0;
    /* Close the gap for those that were pushed past it. */
    for (size_t j = (i + 1) % SLOTS; state.blocks[j].hidden; j = (j + 1) % SLOTS) {
        size_t home = slot_of(state.blocks[j].hidden);
        if ((j - home) % SLOTS >= (j - i) % SLOTS) {
            state.blocks[i] = state.blocks[j];
            state.blocks[j].hidden = 0;
            i = j;
        }
    }
}

/* Under the lock: does this allocation fail? */
static bool refuse(void) {
    if (!state.counting)
        return false;
    state.seen++;
    return state.nth && (state.from_then_on ? state.seen >= state.nth : state.seen == state.nth);
}

static void *allocate(size_t count, size_t size, bool zero, void *caller) {
    (void)pthread_mutex_lock(&state.lock);
    void *memory = refuse() ? NULL : zero ? __real_calloc(count, size) : __real_malloc(size);
    if (memory && state.counting)
        remember(memory, caller);
    (void)pthread_mutex_unlock(&state.lock);
    return memory;
}

void *__wrap_malloc(size_t size) {
    return allocate(1, size, false, __builtin_return_address(0));
}

void *__wrap_calloc(size_t count, size_t size) {
    return allocate(count, size, true, __builtin_return_address(0));
}

void *__wrap_realloc(void *old, size_t size) {
    (void)pthread_mutex_lock(&state.lock);
    void *memory = NULL;
    if (!refuse()) {
        forget(old);
        memory = __real_realloc(old, size);
        if (memory && state.counting)
            remember(memory, __builtin_return_address(0));
    }
    (void)pthread_mutex_unlock(&state.lock);
    return memory;
}

static char *duplicate(const char *text, size_t len, void *caller) {
    char *copy = allocate(1, len + 1, false, caller);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *text) {
    return duplicate(text, strlen(text), __builtin_return_address(0));
}

char *__wrap_strndup(const char *text, size_t max) {
    return duplicate(text, strnlen(text, max), __builtin_return_address(0));
}

void __wrap_free(void *memory) {
    if (memory) {
        (void)pthread_mutex_lock(&state.lock);
        forget(memory);
        (void)pthread_mutex_unlock(&state.lock);
    }
    __real_free(memory);
}

void alloc_fail_at(size_t nth, bool from_then_on) {
    (void)pthread_mutex_lock(&state.lock);
    memset(state.blocks, 0, sizeof state.blocks);
    state.seen = state.live = 0;
    state.nth = nth;
    state.from_then_on = from_then_on;
    state.counting = true;
    (void)pthread_mutex_unlock(&state.lock);
}

size_t alloc_fail_stop(void) {
    (void)pthread_mutex_lock(&state.lock);
    state.counting = false;
    size_t seen = state.seen;
    (void)pthread_mutex_unlock(&state.lock);
    return seen;
}

/* Where the oldest block that is still there came from, for addr2line. */
static void describe_leak(char *why, size_t why_size) {
    const live_block *oldest = NULL;
    for (size_t i = 0; i < SLOTS; i++)
        if (state.blocks[i].hidden && (!oldest || state.blocks[i].nth < oldest->nth))
            oldest = &state.blocks[i];
    Dl_info where = {0};
    if (!oldest)
        return;
    (void)dladdr(oldest->caller, &where);
    (void)snprintf(why, why_size, "allocation %zu failed%s: %zu blocks leaked, the first is allocation %zu (%s+0x%zx)",
                   state.nth, state.from_then_on ? " and all after it" : "", state.live, oldest->nth,
                   where.dli_fname ? where.dli_fname : "?", (size_t)((char *)oldest->caller - (char *)where.dli_fbase));
}

static void name_the_crash(int signal_number) {
    char text[96];
    int len = snprintf(text, sizeof text, "# crashed: allocation %zu failed%s\n", state.nth,
                       state.from_then_on ? " and all after it" : "");
    ssize_t written = write(STDERR_FILENO, text, (size_t)len);
    (void)written;
    (void)raise(signal_number); /* with the default action: SA_RESETHAND */
}

/* A check that failed left the scenario by longjmp, and still counts. */
static void name_the_escape(void) {
    if (state.counting)
        (void)fprintf(stderr, "# it was allocation %zu that failed%s\n", state.nth,
                      state.from_then_on ? ", and all after it" : "");
    state.counting = false;
}

static void watch_crashes(void) {
    name_the_escape();
    (void)atexit(name_the_escape);
    struct sigaction action = {.sa_handler = name_the_crash, .sa_flags = SA_RESETHAND | SA_NODEFER};
    (void)sigaction(SIGABRT, &action, NULL);
#ifndef __SANITIZE_ADDRESS__ /* ASan tells more, and exits by itself */
    (void)sigaction(SIGSEGV, &action, NULL);
#endif
}

static size_t fail_each(alloc_scenario *scenario, void *arg, bool from_then_on, char *why, size_t why_size) {
    for (size_t nth = 1;; nth++) {
        alloc_fail_at(nth, from_then_on);
        bool through = scenario(arg);
        size_t seen = alloc_fail_stop();
        if (state.live > 0) {
            describe_leak(why, why_size);
            return 0;
        }
        if (seen < nth) {
            if (!through || nth == 1)
                (void)snprintf(why, why_size, "the scenario %s", through ? "allocates nothing" : "fails by itself");
            return through && nth > 1 ? nth : 0;
        }
    }
}

size_t alloc_fail_each(alloc_scenario *scenario, void *arg, char *why, size_t why_size) {
    watch_crashes();
    size_t single = fail_each(scenario, arg, false, why, why_size);
    size_t lasting = single ? fail_each(scenario, arg, true, why, why_size) : 0;
    return lasting ? single + lasting - 2 : 0;
}
