/* The floor: the C client in a poll loop. */
#ifndef BENCH_ZOOKEEPER_BARE_H
#define BENCH_ZOOKEEPER_BARE_H

#include <stdbool.h>
#include <zookeeper/zookeeper.h>

#include "bench/figures.h"

typedef struct bare {
    zhandle_t *zh;
    int left;
} bare;

void bare_open(bare *b, const char *servers);
void bare_run(bare *b, bool (*done)(const bare *b));
void bare_step(bare *b, int wait_ms); /* one look at the connection, which waits for `wait_ms` at most */
bool bare_done(const bare *b);        /* `left` is 0 */

/* A program that reacts to the changes of /bench/change, made here one after another while it runs; the number that it
 * prints: the median from the write to its reaction, in seconds. 0 when it fails. */
double react_peer(const char *servers, const char *command);
/* The floor of that, as such a program: zoo_awget with a watcher that gets again. */
int react_bare(const char *servers);

#endif
