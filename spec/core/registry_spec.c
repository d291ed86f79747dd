/* The registry over the memory backend, in virtual time: what only C can see of operations, sessions and closing. The
 * rest of the contract is spec/contract. */
#include <moonwatch/registry.h>

#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"
#include "support/cluster.h"

#define S(text) mw_str_of(text)

static spec_cluster space;
static spec_client one, two;

static void open_one(void) {
    cluster_open(&space);
    client_open(&space, NULL, &one);
}

static void close_one(void) {
    CHECK_INT(mw_registry_handles(one.registry), 0);
    client_close(&space, &one);
    cluster_close(&space);
}

static spec_outcome put(spec_client *client, const char *path, const char *value) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_put(client->registry, S(path), S(value), false, &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    return result;
}

static spec_outcome get(spec_client *client, const char *path) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_get(client->registry, S(path), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    return result;
}

static void writes_and_reads(void) {
    open_one();
    CHECK_INT(put(&one, "/a/b", "1").status, MW_OK);
    spec_outcome read = get(&one, "/a/b");
    CHECK_INT(read.status, MW_OK);
    CHECK_TEXT(read.value, "1");
    CHECK_INT(get(&one, "/a").status, MW_OK); /* the missing parent */
    CHECK_INT(get(&one, "/nothing").status, MW_ENOT_FOUND);
    close_one();
}

static void never_completes_inline(void) {
    open_one();
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_get(one.registry, S("/a"), &call, NULL, NULL), MW_OK);
    CHECK_INT(result.times, 0);
    mw_op *op = NULL;
    spec_outcome cancelled;
    mw_call second = outcome_call(&cancelled);
    CHECK_INT(mw_get(one.registry, S("/a"), &second, &op, NULL), MW_OK);
    mw_op_cancel(op);
    CHECK_INT(cancelled.times, 0);
    cluster_await(&space, &cancelled);
    CHECK_INT(cancelled.status, MW_ECANCELLED);
    cluster_await(&space, &result);
    CHECK_INT(result.times, 1);
    close_one();
}

static void hides_the_namespace(void) {
    cluster_open(&space);
    client_open(&space, "/prod/app", &one);
    client_open(&space, NULL, &two);
    put(&one, "/a", "1");
    CHECK_TEXT(get(&one, "/a").first, "/a");
    CHECK_TEXT(get(&two, "/prod/app/a").value, "1");
    spec_outcome list;
    mw_call call = outcome_call(&list);
    CHECK_INT(mw_list(one.registry, S("/"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &list);
    CHECK_INT(list.entries, 1);
    CHECK_TEXT(list.first, "/a");
    client_close(&space, &two);
    close_one();
}

static void deletes_recursively_leaves_first(void) {
    open_one();
    char path[64];
    for (int i = 0; i < 600; i++) {
        snprintf(path, sizeof path, "/r/%d/x/y", i % 30 * 100 + i);
        put(&one, path, "v");
    }
    put(&one, "/rest", "stays");
    spec_outcome result;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_delete_recursive(one.registry, S("/r"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    CHECK_INT(result.status, MW_OK);
    CHECK_INT(get(&one, "/r").status, MW_ENOT_FOUND);
    CHECK_INT(get(&one, "/rest").status, MW_OK);
    call = outcome_call(&result);
    CHECK_INT(mw_delete_recursive(one.registry, S("/r"), &call, NULL, NULL), MW_OK);
    cluster_await(&space, &result);
    CHECK_INT(result.status, MW_ENOT_FOUND);
    close_one();
}

static void a_cancelled_recursive_delete_tells_that_it_may_have_happened(void) {
    open_one();
    put(&one, "/r/a", "v");
    spec_outcome result;
    mw_op *op = NULL;
    mw_call call = outcome_call(&result);
    CHECK_INT(mw_delete_recursive(one.registry, S("/r"), &call, &op, NULL), MW_OK);
    mw_op_cancel(op);
    cluster_await(&space, &result);
    CHECK_INT(result.status, MW_ECANCELLED); /* it was still listing */
    CHECK_INT(get(&one, "/r/a").status, MW_OK);
    close_one();
}

static int txn(const mw_step *steps, size_t count, mw_error *err) {
    spec_outcome result;
    mw_call call = outcome_call(&result);
    int status = mw_txn(one.registry, steps, count, &call, NULL, err);
    if (status != MW_OK)
        return status;
    cluster_await(&space, &result);
    (void)mw_fail(err, result.status, "%s", result.message);
    return result.status;
}

static void refuses_txns_that_backends_would_judge_differently(void) {
    open_one();
    mw_error err;
    mw_step twice[] = {{.kind = MW_PUT, .path = S("/a")}, {.kind = MW_DELETE, .path = S("/a"), .version = -1}};
    CHECK_INT(txn(twice, 2, &err), MW_EINVALID);
    CHECK(strstr(err.message, "step 2") && strstr(err.message, "/a"));
    mw_step late_check[] = {{.kind = MW_PUT, .path = S("/a")}, {.kind = MW_CHECK, .path = S("/b"), .version = -1}};
    CHECK_INT(txn(late_check, 2, &err), MW_EINVALID);
    mw_step child_first[] = {{.kind = MW_CREATE, .path = S("/a/b")}, {.kind = MW_CREATE, .path = S("/a")}};
    CHECK_INT(txn(child_first, 2, &err), MW_EINVALID);
    mw_step orphan[] = {{.kind = MW_DELETE, .path = S("/a"), .version = -1}, {.kind = MW_PUT, .path = S("/a/b")}};
    CHECK_INT(txn(orphan, 2, &err), MW_EINVALID);
    mw_step written_first[] = {{.kind = MW_PUT, .path = S("/a/b")},
                               {.kind = MW_DELETE, .path = S("/a"), .version = -1}};
    CHECK_INT(txn(written_first, 2, &err), MW_EINVALID);
    mw_step parent_first[] = {{.kind = MW_DELETE, .path = S("/a"), .version = -1},
                              {.kind = MW_DELETE, .path = S("/a/b"), .version = -1}};
    CHECK_INT(txn(parent_first, 2, &err), MW_EINVALID);
    mw_step no_version = {.kind = MW_SET, .path = S("/a"), .version = -2};
    CHECK_INT(txn(&no_version, 1, &err), MW_EINVALID);
    mw_step under_ephemeral[] = {{.kind = MW_CREATE, .path = S("/a"), .ephemeral = true},
                                 {.kind = MW_CREATE, .path = S("/a/b")}};
    CHECK_INT(txn(under_ephemeral, 2, &err), MW_EINVALID);
    CHECK_INT(txn(twice, 0, &err), MW_EINVALID);
    close_one();
}

static void refuses_what_is_too_large_before_sending(void) {
    open_one();
    size_t len = 1100000;
    char *value = calloc(1, len);
    mw_backend_stats before, after;
    mw_registry_stats(one.registry, &before);
    mw_step step = {.kind = MW_PUT, .path = S("/a"), .value = {value, len}};
    mw_error err;
    CHECK_INT(txn(&step, 1, &err), MW_ETOO_LARGE);
    mw_registry_stats(one.registry, &after);
    CHECK_INT(after.round_trips, before.round_trips);
    free(value);
    close_one();
}

static void fail_fast_does_not_wait_for_a_connection(void) {
    open_one();
    mw_virtual_pause(one.host);
    cluster_pass(&space, 60 * MW_SECOND); /* the server forgets the session meanwhile */
    mw_virtual_resume(one.host);
    mw_registry_check_session(one.registry);
    CHECK_INT(mw_registry_state(one.registry), MW_LOST);
    spec_outcome fast, patient;
    mw_call hurried = outcome_call(&fast), waiting = outcome_call(&patient);
    hurried.fail_fast = true;
    CHECK_INT(mw_put(one.registry, S("/a"), S("1"), false, &hurried, NULL, NULL), MW_OK);
    CHECK_INT(mw_put(one.registry, S("/b"), S("1"), false, &waiting, NULL, NULL), MW_OK);
    cluster_await(&space, &fast);
    cluster_await(&space, &patient);
    CHECK_INT(fast.status, MW_EDISCONNECTED);
    CHECK_INT(patient.status, MW_OK);
    close_one();
}

typedef struct spec_heard {
    mw_state states[16];
    size_t count;
} spec_heard;

static void hear(void *arg, const mw_connection_event *event) {
    spec_heard *heard = arg;
    CHECK(heard->count < 16);
    heard->states[heard->count++] = event->state;
}

static void each_state_is_heard_once_and_in_order(void) {
    open_one();
    spec_heard early = {0}, late = {0};
    mw_listener *first = mw_listen(one.registry, hear, &early);
    CHECK_INT(early.count, 0);
    mw_virtual_pause(one.host);
    cluster_pass(&space, 60 * MW_SECOND);
    mw_virtual_resume(one.host);
    mw_registry_check_session(one.registry);
    mw_listener *second = mw_listen(one.registry, hear, &late);
    cluster_pass(&space, 10 * MW_SECOND);
    CHECK_INT(early.count, 3);
    CHECK_INT(early.states[0], MW_CONNECTED);
    CHECK_INT(early.states[1], MW_LOST);
    CHECK_INT(early.states[2], MW_CONNECTED);
    CHECK_INT(late.count, 2);
    CHECK_INT(late.states[0], MW_LOST);
    CHECK_INT(late.states[1], MW_CONNECTED);
    mw_unlisten(first);
    mw_unlisten(second);
    close_one();
}

static void handles_may_be_freed_after_closing(void) {
    static const mw_lock_events no_events = {0};
    cluster_open(&space);
    client_open(&space, NULL, &one);
    mw_lock *lock = NULL;
    mw_subscription *sub = NULL;
    spec_heard states = {0};
    mw_listener *listener = mw_listen(one.registry, hear, &states);
    CHECK_INT(mw_lock_new(one.registry, S("/l"), S(""), &no_events, NULL, &lock, NULL), MW_OK);
    CHECK_INT(mw_subscribe(one.registry, S("/"), MW_DEPTH_SUBTREE, (void (*)(void *, const mw_event *))(void *)hear,
                           NULL, NULL, &sub, NULL),
              MW_OK);
    client_close(&space, &one);
    CHECK_INT(states.states[states.count - 1], MW_CLOSED);
    CHECK(!mw_lock_held(lock));
    mw_error err;
    CHECK_INT(mw_lock_acquire(lock, 0, false, &err), MW_ECLOSED);
    mw_lock_free(lock);
    mw_unsubscribe(sub);
    mw_unlisten(listener);
    cluster_close(&space);
}

static void a_forked_child_is_refused(void) {
    open_one();
    pid_t child = fork();
    if (child == 0) {
        spec_outcome result;
        mw_call call = outcome_call(&result);
        _exit(mw_get(one.registry, S("/a"), &call, NULL, NULL) == MW_ECLOSED ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    close_one();
}

static const spec_case cases[] = {
    {"writes and reads", writes_and_reads},
    {"never completes inline", never_completes_inline},
    {"hides the namespace", hides_the_namespace},
    {"deletes recursively, leaves first", deletes_recursively_leaves_first},
    {"a cancelled recursive delete tells the truth", a_cancelled_recursive_delete_tells_that_it_may_have_happened},
    {"refuses txns that backends would judge differently", refuses_txns_that_backends_would_judge_differently},
    {"refuses what is too large before sending", refuses_what_is_too_large_before_sending},
    {"fail_fast does not wait for a connection", fail_fast_does_not_wait_for_a_connection},
    {"each state is heard once and in order", each_state_is_heard_once_and_in_order},
    {"handles may be freed after closing", handles_may_be_freed_after_closing},
    {"a forked child is refused", a_forked_child_is_refused},
};
SPEC_MAIN(cases)
