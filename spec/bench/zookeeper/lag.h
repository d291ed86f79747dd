/* How late a timer of 1 ms is in the loop of a registry that works, and in the poll loop of the bare client that does
 * the same. `w` has a server with /bench/view, which is stopped for a moment at the end. */
#ifndef BENCH_ZOOKEEPER_LAG_H
#define BENCH_ZOOKEEPER_LAG_H

#include "backends/zookeeper/world.h"

void bench_lag(world *w);

#endif
