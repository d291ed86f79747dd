/* Jobs: a group, and whose the terminal is. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

/* Who is not in the foreground and touches the terminal is stopped by SIGTTOU, unless that is blocked. */
static bool give(int terminal, pid_t group) {
    sigset_t block, before;
    (void)sigemptyset(&block);
    (void)sigaddset(&block, SIGTTOU);
    (void)pthread_sigmask(SIG_BLOCK, &block, &before);
    bool given = tcsetpgrp(terminal, group) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return given;
}

static bool is_foreground(const mw_job *job, pid_t group) {
    return job->terminal >= 0 && tcgetpgrp(job->terminal) == group;
}

/* Where others may share the terminal with it, as in `... | less`, it gets that only when it asks for it. */
static bool wants_terminal(const mw_job *job) {
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && is_foreground(job, getpgrp());
}

static void prepare(const mw_job *job, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes) {
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setpgroup(attributes, 0);
    (void)posix_spawnattr_setsigmask(attributes, &none);
    (void)posix_spawnattr_setsigdefault(attributes, &all);
    if (wants_terminal(job))
        (void)posix_spawn_file_actions_addtcsetpgrp_np(actions, job->terminal);
}

int mw__job_start(mw_job *job, char **argv, char **environment) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    *job = (mw_job){.terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
    if (job->terminal >= 0)
        (void)tcgetattr(job->terminal, &job->modes);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    prepare(job, &actions, &attributes);
    bool ours = is_foreground(job, getpgrp());
    int error = posix_spawnp(&job->pid, argv[0], &actions, &attributes, argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        job->pid = 0;
        if (ours) /* it may have had the terminal for as long as it was there */
            (void)give(job->terminal, getpgrp());
        mw__job_release(job);
    }
    return error;
}

bool mw__job_to_foreground(const mw_job *job) {
    return is_foreground(job, getpgrp()) && give(job->terminal, job->pid);
}

static void set_modes(const mw_job *job) {
    while (tcsetattr(job->terminal, TCSADRAIN, &job->modes) != 0 && errno == EINTR) {
    }
}

/* It has it, or had, and whom it has handed it to is no more. */
static bool has_terminal(const mw_job *job) {
    pid_t group = job->terminal >= 0 ? tcgetpgrp(job->terminal) : -1;
    return group == job->pid || (group > 1 && group != getpgrp() && kill(-group, 0) != 0 && errno == ESRCH);
}

bool mw__job_to_background(const mw_job *job, bool mend) {
    if (job->pid == 0 || !has_terminal(job))
        return false;
    bool ours = give(job->terminal, getpgrp());
    if (ours && mend)
        set_modes(job);
    (void)kill(0, SIGCONT); /* who shares it with us, and has been stopped for asking */
    return ours;
}

void mw__job_release(mw_job *job) {
    if (job->terminal >= 0)
        (void)close(job->terminal);
    job->terminal = -1;
}
