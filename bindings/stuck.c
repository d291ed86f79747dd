#include "stuck.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The same request may come twice: from the terminal, and from a parent that passes on what it got. */
#define ONE_REQUEST 0.3

/* A loop that comes round notices a signal within this. */
#define A_MOMENT 0.05

/* A signal handler is handed nothing, and there is one program to a process. */
static struct sigaction libuv;
static volatile sig_atomic_t asked, unlimited, to_the_end;
static int taken;
static struct timespec first;
static struct itimerval patience = {.it_value = {.tv_sec = 10}};

static void end(int number, const char *why) {
    (void)!write(STDERR_FILENO, why, strlen(why));
    _exit(128 + number);
}

static void too_late(int number) {
    end(asked, "moonwatch: a script does not come back from a call of C: ended; what it holds goes with its session\n");
}

static double since_first(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - first.tv_sec) + (double)(now.tv_nsec - first.tv_nsec) / 1e9;
}

static void on_signal(int number) {
    int before = errno;
    if (!unlimited && asked && since_first() > ONE_REQUEST)
        end(number, "moonwatch: ended at the second signal; what it holds goes with its session\n");
    if (!unlimited && !asked)
        (void)setitimer(ITIMER_REAL, &patience, NULL);
    if (!asked)
        (void)clock_gettime(CLOCK_MONOTONIC, &first);
    asked = number;
    libuv.sa_handler(number);
    errno = before;
}

void mw_stuck_listen(int number) {
    struct sigaction alarm = {.sa_handler = too_late}, ours;
    (void)sigaction(SIGALRM, &alarm, NULL);
    (void)sigaction(number, NULL, &libuv); /* the same for each signal */
    ours = libuv;
    ours.sa_handler = on_signal;
    (void)sigaction(number, &ours, NULL);
}

void mw_stuck_patience(double seconds, bool until_the_end) {
    unlimited = seconds <= 0;
    to_the_end = until_the_end;
    asked = 0;
    patience.it_value.tv_sec = (time_t)seconds;
    patience.it_value.tv_usec = (suseconds_t)((seconds - (double)patience.it_value.tv_sec) * 1e6) + 1;
}

void mw_stuck_noticed(void) {
    static const struct itimerval never = {0};
    if (unlimited)
        asked = 0;
    if (!to_the_end)
        (void)setitimer(ITIMER_REAL, &never, NULL);
}

bool mw_stuck_take(void) {
    if (!unlimited || asked != SIGINT || since_first() < A_MOMENT)
        return false;
    asked = 0;
    taken++;
    return true;
}

bool mw_stuck_was_taken(void) {
    if (taken == 0)
        return false;
    taken--;
    return true;
}
