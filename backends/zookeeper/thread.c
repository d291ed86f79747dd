/* Threads for calls that may block. */
#include "thread.h"

#include <pthread.h>

static void back(mw_defer *defer) {
    zk_thread *thread = mw_container(defer, zk_thread, defer);
    mw_host_release(thread->host);
    thread->done(thread);
}

static void *run(void *arg) {
    zk_thread *thread = arg;
    thread->work(thread);
    if (atomic_fetch_add(&thread->turn, 1) == 0)
        mw_host_post(thread->host, &thread->defer);
    else
        thread->discard(thread); /* the host may be gone */
    return NULL;
}

int zk_thread_start(zk_thread *thread, mw_host *host) {
    pthread_t id;
    pthread_attr_t attr;
    thread->host = host;
    thread->defer.run = back;
    mw_host_hold(host);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&id, &attr, run, thread);
    (void)pthread_attr_destroy(&attr);
    if (rc == 0)
        return MW_OK;
    mw_host_release(host);
    return MW_ENO_MEMORY;
}

bool zk_thread_leave(zk_thread *thread) {
    mw_host *host = thread->host;
    if (atomic_fetch_add(&thread->turn, 1) != 0)
        return false;
    mw_host_release(host);
    return true;
}
