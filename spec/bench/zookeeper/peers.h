/* The peers: programs beside this file that do the same work and print one number. */
#ifndef BENCH_ZOOKEEPER_PEERS_H
#define BENCH_ZOOKEEPER_PEERS_H

/* The number; 0 when it fails. */
double peer(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Formats of the commands; they take the work and the servers. */
#define CURATOR                                                                                                        \
    "java -Xmx512m -cp /usr/share/java/curator-recipes.jar:/usr/share/java/curator-framework.jar:"                     \
    "/usr/share/java/curator-client.jar:/usr/share/java/zookeeper.jar:/usr/share/java/guava.jar:"                      \
    "/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar " SPEC_FOLDER                                         \
    "/bench/zookeeper/CuratorBench.java %s %s /bench 2>/dev/null"
#define KAZOO "/usr/bin/python3 " SPEC_FOLDER "/bench/zookeeper/kazoo_bench.py %s %s /bench 2>/dev/null"

#endif
