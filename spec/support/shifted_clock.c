/* A library to preload into a program: its wall clock is off by the seconds that the file $MOONWATCH_CLOCK_FILE holds,
 * as text, and follows them as they change. The file keeps its size (16 bytes at least) while it is in use.
 *
 * Only the wall clock: monotonic and boot time pass as ever, and so do waits that end at a time of the wall clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SIZE 16
/* A time beyond this is no monotonic clock's: no machine runs for thirty years. */
#define WALL_FROM 1000000000

static const char *text;

__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("MOONWATCH_CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        text = mapped;
    (void)close(fd);
}

static time_t shift(void) {
    return text ? (time_t)strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)clock_gettime(CLOCK_REALTIME, &precise);
    *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret_now) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec really = *until;
    if (really.tv_sec > WALL_FROM)
        really.tv_sec -= shift();
    return real(cond, mutex, &really);
}
