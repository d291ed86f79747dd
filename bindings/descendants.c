/* Descendants: a walk over /proc/PID/task/TID/children. */
#include "descendants.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef struct walk {
    bool session_only;
    pid_t session; /* ours */
    void (*each)(void *arg, pid_t pid);
    void *arg;
    size_t count;
} walk;

static void walk_children(walk *self, pid_t parent);

void mw__descendants_keep(void) {
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL);
}

/* "PID (NAME) STATE PPID PGRP SESSION ...", where the name may hold anything. The dead who are not reaped yet count as
 * gone. */
static bool lives(pid_t pid, pid_t *ret_session) {
    char path[64], text[512], state = 'Z';
    int parent, group, session = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    const char *behind = strrchr(text, ')');
    /* NOLINTNEXTLINE(cert-err34-c): the kernel wrote them */
    if (!behind || sscanf(behind + 1, " %c %d %d %d", &state, &parent, &group, &session) != 4)
        return false;
    *ret_session = session;
    return state != 'Z' && state != 'X';
}

static void visit(walk *self, pid_t pid) {
    pid_t session;
    if (lives(pid, &session) && (!self->session_only || session == self->session)) {
        self->count++;
        if (self->each)
            self->each(self->arg, pid);
    }
    walk_children(self, pid);
}

static void walk_task(walk *self, pid_t pid, const char *task) {
    char path[320];
    int child;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, task);
    FILE *file = fopen(path, "re");
    /* NOLINTNEXTLINE(cert-err34-c): the kernel wrote them */
    while (file && fscanf(file, "%d", &child) == 1)
        visit(self, child);
    if (file)
        (void)fclose(file);
}

static void walk_children(walk *self, pid_t parent) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *tasks = opendir(path);
    for (const struct dirent *task; tasks && (task = readdir(tasks));)
        if (task->d_name[0] != '.')
            walk_task(self, parent, task->d_name);
    if (tasks)
        (void)closedir(tasks);
}

size_t mw__descendants_each(bool session_only, void (*each)(void *arg, pid_t pid), void *arg) {
    walk self = {.session_only = session_only, .session = getsid(0), .each = each, .arg = arg};
    walk_children(&self, getpid());
    return self.count;
}
