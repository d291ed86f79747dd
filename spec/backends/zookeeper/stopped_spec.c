/* A process that is stopped past its session, and goes on. The holder is this program again, as a process of its own;
 * both write one history. */
#define SPEC_SHARED
#include "world.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 6000

/* ---- The holder: writes under its lock again and again, until it hears that it lost it */

#define WORKS 3000

static char history[64];

typedef struct writer {
    mw_timer timer;
    node node;
    holder holder;
    work works[WORKS];
    size_t count;
} writer;

/* Whoever goes on after a wait asks first whether the session is still there, as the scheduler of tasks does. */
static void write_on(mw_timer *timer) {
    writer *w = mw_container(timer, writer, timer);
    mw_registry_check_session(w->node.registry);
    if (!w->holder.held || w->count == WORKS)
        return;
    work_txn(&w->node, &w->works[w->count++], w->holder.lock);
    CHECK_INT(mw_timer_start(w->node.world->host, timer, 20 * MW_MS), MW_OK);
}

static void hold_until_lost(void) {
    static world space;
    static writer w = {.timer = {.fire = write_on}};
    world_join(&space, history);
    node_open(&space, &w.node, "stopped", world_servers(), TIMEOUT_MS);
    holder_ask(&w.node, &w.holder, "/lock", false);
    CHECK(world_until(&space, holder_has, &w.holder));
    write_on(&w.timer);
    CHECK(world_until(&space, holder_lost, &w.holder));
    mw_timer_stop(space.host, &w.timer);
    work_set set = {w.works, w.count};
    CHECK(world_until(&space, works_done, &set));
    CHECK_INT(w.holder.lost, 1);
    mw_lock_free(w.holder.lock);
    node_close(&w.node);
    world_leave(&space);
}

/* ---- The rival, who stops it */

typedef struct process {
    pid_t pid;
    int status;
} process;

static bool has_ended(void *arg) {
    process *p = arg;
    return waitpid(p->pid, &p->status, WNOHANG) == p->pid;
}

static process start_holder(const world *w) {
    process p = {.pid = fork()};
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* stopped or not */
        dup2(2, 1);                       /* its report is not ours */
        execl("/proc/self/exe", "stopped_spec", "--holder", w->history_path, (char *)NULL);
        _exit(127);
    }
    return p;
}

static bool has_written(void *arg) {
    return ((observer *)arg)->present >= 5;
}

static void hears_lost_before_it_writes_again(void) {
    static world w;
    node n;
    observer o;
    holder h;
    work guarded;
    world_begin(&w);
    world_share(&w);
    node_open(&w, &n, "rival", world_servers(), TIMEOUT_MS);
    observer_start(&n, &o, "o", "/w", MW_DEPTH_CHILDREN);
    process p = start_holder(&w);
    CHECK(world_until(&w, has_written, &o));
    holder_ask(&n, &h, "/lock", false);
    CHECK_INT(kill(p.pid, SIGSTOP), 0);
    CHECK_INT(waitpid(p.pid, &p.status, WUNTRACED), p.pid);
    world_note(&w, "stalled stopped");
    CHECK(world_until(&w, holder_has, &h));
    work_txn(&n, &guarded, h.lock);
    CHECK(world_until(&w, work_done, &guarded));
    CHECK_INT(guarded.status, MW_OK);
    CHECK_INT(kill(p.pid, SIGCONT), 0);
    CHECK(world_until(&w, has_ended, &p));
    CHECK(WIFEXITED(p.status));
    CHECK_INT(WEXITSTATUS(p.status), 0);
    holder_release(&h);
    world_find_writes(&n);
    o.expected = world_final(&n, "/w");
    CHECK(world_until(&w, observer_caught_up, &o));
    mw_unsubscribe(o.subscription);
    node_close(&n);
    world_end(&w);
}

static const spec_case cases[] = {
    {"who was stopped hears lost before it writes again", hears_lost_before_it_writes_again},
};

static const spec_case holder_cases[] = {{"holds until it is lost", hold_until_lost}};

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "--holder") != 0)
        return spec_run(cases, sizeof cases / sizeof *cases, argc, argv);
    snprintf(history, sizeof history, "%s", argv[2]);
    return spec_run(holder_cases, 1, 1, argv);
}
