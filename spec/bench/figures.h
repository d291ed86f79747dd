/* What all benchmarks in C share: a clock, a median, and the lines that report.lua reads. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double bench_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline int bench_ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts `values`. */
static inline double bench_median(double *values, size_t count) {
    qsort(values, count, sizeof *values, bench_ascending);
    return values[count / 2];
}

/* One line of the table. `target`: "at least N", "at most N", or "-" where it only informs. */
static inline void bench_row(const char *what, double figure, const char *unit, const char *target) {
    double limit;
    const char *verdict = "-";
    if (sscanf(target, "at least %lf", &limit) == 1)
        verdict = figure >= limit ? "met" : "missed";
    else if (sscanf(target, "at most %lf", &limit) == 1)
        verdict = figure <= limit ? "met" : "missed";
    printf("%s | %.*f | %s | %s | %s\n", what, figure < 100 ? 3 : 0, figure, unit, target, verdict);
    (void)fflush(stdout);
}

#endif
