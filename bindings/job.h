/* A command as a job, as under a shell with job control: a process group of its own on the terminal that we are on. It
 * has that to itself where we had it: from its first instruction on if our input and output are the terminal, else as
 * soon as it is stopped for touching it. */
#ifndef MOONWATCH_BINDINGS_JOB_H
#define MOONWATCH_BINDINGS_JOB_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

typedef struct mw_job {
    pid_t pid;            /* and the number of its group */
    int terminal;         /* -1 = there is none */
    struct termios modes; /* of the terminal, when the job began */
} mw_job;

/* Found in $PATH, with our standard descriptors, and with no signal blocked or ignored. 0, or an errno; then the job is
 * as released. */
int mw__job_start(mw_job *job, char **argv, char **environment);

/* Hand it the terminal, if that is ours to give; whether it was. */
bool mw__job_to_foreground(const mw_job *job);

/* Take the terminal back, if the job has it, or has handed it to who has gone; whether it had. `mend`: with the modes
 * that were set when the job began.
 */
bool mw__job_to_background(const mw_job *job, bool mend);

/* What is kept of the terminal; the group is told nothing. Harmless when it was done. */
void mw__job_release(mw_job *job);

#endif
