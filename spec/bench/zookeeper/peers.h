/* The peers: programs beside this file that do the same work and print one number. */
#ifndef BENCH_ZOOKEEPER_PEERS_H
#define BENCH_ZOOKEEPER_PEERS_H

#include "backends/zookeeper/world.h"

/* The number; 0 when it fails. */
double peer(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds that the work takes us. */
typedef double our_work(world *w, const char *servers);

/* How many times as long the peer takes; we work before and after it, so that what else the machine does meets both. */
double speed_to(const char *program, const char *its_work, our_work *ours, world *w, const char *servers);

#define CURATOR                                                                                                        \
    "java -Xmx512m -cp /usr/share/java/curator-recipes.jar:/usr/share/java/curator-framework.jar:"                     \
    "/usr/share/java/curator-client.jar:/usr/share/java/zookeeper.jar:/usr/share/java/guava.jar:"                      \
    "/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar " SPEC_FOLDER "/bench/zookeeper/CuratorBench.java"
#define KAZOO "/usr/bin/python3 " SPEC_FOLDER "/bench/zookeeper/kazoo_bench.py"

/* A peer's command; it takes the work and the servers. */
#define PEER(program) program " %s %s /bench 2>/dev/null"

#endif
