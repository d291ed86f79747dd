/* The parts of the benchmark that have files of their own. `w` has a server, with 10,000 members in /bench/view. */
#ifndef BENCH_ZOOKEEPER_PARTS_H
#define BENCH_ZOOKEEPER_PARTS_H

#include "backends/zookeeper/world.h"

void bench_view(world *w);
/* In a process of its own: prints the seconds until it was ready, or what memory it takes. */
void view_alone(bool memory);

void bench_ephemerals(world *w);
void bench_far_ephemerals(world *w);

/* How late a timer of 1 ms is in the loop of a registry that works, and in the poll loop of the bare client that does
 * the same. The server is stopped for moments at the end. */
void bench_lag(world *w);

#endif
