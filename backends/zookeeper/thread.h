/* A call that may block, on a thread of its own: names, the end of a session. It holds the host until it is done or
 * left. */
#ifndef MW_ZOOKEEPER_THREAD_H
#define MW_ZOOKEEPER_THREAD_H

#include <moonwatch/host.h>
#include <moonwatch/status.h>

#include <stdatomic.h>

typedef struct zk_thread zk_thread;
struct zk_thread {
    void (*work)(zk_thread *thread);    /* on the thread */
    void (*done)(zk_thread *thread);    /* then on the loop; owns the memory again */
    void (*discard)(zk_thread *thread); /* on the thread, instead of `done`, when it was left: frees the memory */
    mw_host *host;
    mw_defer defer;
    atomic_int turn; /* of the two who come by, the first leaves it to the second */
};

int zk_thread_start(zk_thread *thread, mw_host *host); /* 0, or MW_ENO_MEMORY: nothing was started */

/* Wait for it no more. True: it is no longer ours, and `done` is not called. False: `done` is on the way. */
bool zk_thread_leave(zk_thread *thread);

#endif
