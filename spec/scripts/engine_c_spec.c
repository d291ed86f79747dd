/* What moonwatch/engine.h promises: every end is reported once and from the loop, misuse is refused with a reason, and
 * nothing is left. */
#include <moonwatch/engine.h>

#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <support/check.h>

static const char memory[] = "mw.backend { 'memory' }\n";

typedef struct end {
    int count, status;
    char message[384], text[256];
    size_t values;
    mw_value first;
} end;

static void done(void *arg, int status, const mw_error *error) {
    end *self = arg;
    self->count++;
    self->status = status;
    snprintf(self->message, sizeof self->message, "%s", error->message);
}

static void answered(void *arg, int status, const mw_error *error, const mw_value *values, size_t count) {
    end *self = arg;
    done(self, status, error);
    self->values = count;
    if (count == 0)
        return;
    self->first = values[0];
    if (values[0].kind == MW_VALUE_STRING || values[0].kind == MW_VALUE_JSON)
        snprintf(self->text, sizeof self->text, "%.*s", MW_STR_FMT(values[0].text));
}

static void closed(void *arg) {
    ++*(int *)arg;
}

static void finish(mw_engine *engine) {
    int ends = 0;
    mw_engine_close(engine, 5 * MW_SECOND, closed, &ends);
    CHECK(ends == 0);
    while (!ends && mw_engine_step(engine, true)) {
    }
    CHECK(ends == 1);
    mw_engine_free(engine);
}

static mw_engine *open_engine(void) {
    mw_engine *engine = NULL;
    mw_error err = {0};
    CHECK(mw_engine_new(NULL, &engine, &err) == MW_OK);
    return engine;
}

static void run_until(mw_engine *engine, const int *count) {
    while (!*count && mw_engine_step(engine, true)) {
    }
    CHECK(*count == 1);
}

static end load(mw_engine *engine, const char *text) {
    end ended = {0};
    mw_error err = {0};
    CHECK(mw_engine_load_text(engine, "spec.lua", mw_str_of(text), done, &ended, &err) == MW_OK);
    CHECK(ended.count == 0);
    run_until(engine, &ended.count);
    return ended;
}

static end start(mw_engine *engine) {
    end ended = {0};
    mw_error err = {0};
    CHECK(mw_engine_start(engine, done, &ended, &err) == MW_OK);
    CHECK(ended.count == 0);
    run_until(engine, &ended.count);
    return ended;
}

static end call(mw_engine *engine, const char *name, const mw_value *values, size_t count) {
    end ended = {0};
    mw_error err = {0};
    CHECK(mw_engine_call(engine, name, values, count, answered, &ended, &err) == MW_OK);
    CHECK(ended.count == 0);
    run_until(engine, &ended.count);
    return ended;
}

static void refuses_scripts_and_configurations(void) {
    mw_engine *engine = open_engine();
    mw_error err = {0};
    CHECK(mw_engine_configure(engine, "/no/such.yaml", &err) == MW_EINVALID);
    CHECK(strstr(err.message, "/no/such.yaml") != NULL);
    end ended = load(engine, "x = = 1");
    CHECK(ended.status == MW_EINVALID);
    CHECK(strstr(ended.message, "spec.lua:1: ") != NULL);
    ended = load(engine, "\nerror 'boom'");
    CHECK(ended.status == MW_EINVALID);
    CHECK(strstr(ended.message, "spec.lua:2: boom") != NULL);
    CHECK(load(engine, "mw.backend 'nosuch' function left() end error 'boom'").status == MW_EINVALID);
    CHECK(call(engine, "left", NULL, 0).status == MW_ENOT_FOUND);
    CHECK(load(engine, memory).status == MW_OK); /* which the one before has not chosen against */
    CHECK(mw_engine_configure(engine, "/no/such.yaml", &err) == MW_EINVALID);
    CHECK(strstr(err.message, "comes before") != NULL);
    finish(engine);
}

static void passes_values_both_ways(void) {
    mw_engine *engine = open_engine();
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(load(engine, "function echo(...) return ... end\n"
                       "function kind(v) return math.type(v) or type(v) end\n"
                       "function fail() error 'boom' end\n"
                       "function missing() error(select(2, mw.registry:get '/nosuch'), 0) end\n"
                       "function odd() return print end\n"
                       "function none() end\n")
              .status == MW_OK);
    CHECK(start(engine).status == MW_OK);
    const mw_value integer = {.kind = MW_VALUE_INTEGER, .integer = INT64_MIN};
    end ended = call(engine, "echo", &integer, 1);
    CHECK(ended.first.kind == MW_VALUE_INTEGER && ended.first.integer == INT64_MIN);
    const mw_value number = {.kind = MW_VALUE_NUMBER, .number = 0.5};
    CHECK(call(engine, "echo", &number, 1).first.number == 0.5);
    const mw_value yes = {.kind = MW_VALUE_BOOLEAN, .boolean = true};
    CHECK(call(engine, "echo", &yes, 1).first.boolean);
    const mw_value bytes = {.kind = MW_VALUE_STRING, .text = {"a\0b", 3}};
    CHECK(call(engine, "echo", &bytes, 1).first.text.len == 3);
    const mw_value nothing = {.kind = MW_VALUE_NIL};
    CHECK(call(engine, "echo", &nothing, 1).first.kind == MW_VALUE_NIL);
    const mw_value json = {.kind = MW_VALUE_JSON, .text = mw_str_of("[1,{\"a\":true}]")};
    ended = call(engine, "echo", &json, 1);
    CHECK(ended.first.kind == MW_VALUE_JSON);
    CHECK_TEXT(ended.text, "[1,{\"a\":true}]");
    CHECK_TEXT(call(engine, "kind", &integer, 1).text, "integer");
    CHECK(call(engine, "none", NULL, 0).values == 0);
    finish(engine);
}

static void reports_calls_that_fail(void) {
    mw_engine *engine = open_engine();
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(load(engine, "function fail() error 'boom' end\n"
                       "function missing() error(select(2, mw.registry:get '/nosuch'), 0) end\n"
                       "function odd() return print end\n")
              .status == MW_OK);
    CHECK(start(engine).status == MW_OK);
    CHECK(call(engine, "nosuch", NULL, 0).status == MW_ENOT_FOUND);
    end ended = call(engine, "fail", NULL, 0);
    CHECK(ended.status == MW_EINTERNAL);
    CHECK(strstr(ended.message, "spec.lua:1: boom") != NULL);
    CHECK(call(engine, "missing", NULL, 0).status == MW_ENOT_FOUND);
    CHECK(call(engine, "odd", NULL, 0).status == MW_EINVALID);
    const mw_value bad = {.kind = MW_VALUE_JSON, .text = mw_str_of("{")};
    CHECK(call(engine, "fail", &bad, 1).status == MW_EINVALID);
    finish(engine);
}

typedef struct heard {
    int count;
    char last[128];
} heard;

static void hear(void *arg, const mw_engine_event *event) {
    heard *self = arg;
    self->count++;
    snprintf(self->last, sizeof self->last, "%s %.*s=%.*s<%.*s v%d", event->type, MW_STR_FMT(event->path),
             MW_STR_FMT(event->value), MW_STR_FMT(event->previous), (int)event->version);
}

static void listens_and_stops_listening(void) {
    mw_engine *engine = open_engine();
    mw_error err = {0};
    heard all = {0}, some = {0};
    mw_engine_listener *listener = NULL;
    CHECK(mw_engine_on(engine, "added", "a", hear, &all, NULL, &err) == MW_EINVALID);
    CHECK(strstr(err.message, "at byte 1") != NULL);
    CHECK(mw_engine_on(engine, "nosuch", "/a", hear, &all, NULL, &err) == MW_EINVALID);
    CHECK(mw_engine_on(engine, NULL, "/a", hear, &all, NULL, &err) == MW_EINVALID);
    CHECK(mw_engine_on(engine, "added", NULL, hear, &all, NULL, &err) == MW_EINVALID);
    CHECK(mw_engine_on(engine, "added", "/a", NULL, NULL, NULL, &err) == MW_EINVALID);
    CHECK(mw_engine_on(engine, "change", "/a/*", hear, &all, NULL, &err) == MW_OK);
    CHECK(mw_engine_on(engine, "change", "/a/*", hear, &some, &listener, &err) == MW_OK);
    CHECK(mw_engine_registry(engine) == NULL);
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(load(engine, "function put(v) assert(mw.registry:put('/a/b', v)) mw.sleep '5ms' end").status == MW_OK);
    CHECK(start(engine).status == MW_OK);
    CHECK(mw_engine_registry(engine) != NULL);
    CHECK(mw_registry_state(mw_engine_registry(engine)) == MW_CONNECTED);
    const mw_value one = {.kind = MW_VALUE_STRING, .text = mw_str_of("1")};
    const mw_value two = {.kind = MW_VALUE_STRING, .text = mw_str_of("2")};
    CHECK(call(engine, "put", &one, 1).status == MW_OK);
    while (!all.count || !some.count)
        CHECK(mw_engine_step(engine, true));
    CHECK_TEXT(all.last, "added /a/b=1< v0");
    mw_engine_off(listener);
    mw_engine_off(NULL);
    CHECK(call(engine, "put", &two, 1).status == MW_OK);
    while (all.count < 2)
        CHECK(mw_engine_step(engine, true));
    CHECK_TEXT(all.last, "updated /a/b=2<1 v1");
    CHECK(some.count == 1);
    finish(engine);
    CHECK(all.count == 2);
}

/* 20,000 of some 100 bytes would be 2 MB; Lua's own garbage comes and goes. */
static void keeps_nothing_of_those_who_stopped_listening(void) {
    mw_engine *engine = open_engine();
    mw_error err = {0};
    heard none = {0};
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(start(engine).status == MW_OK);
    size_t before = 0;
    for (int i = 0; i < 22000; i++) {
        mw_engine_listener *listener = NULL;
        CHECK(mw_engine_on(engine, "added", "/a", hear, &none, &listener, &err) == MW_OK);
        mw_engine_off(listener);
        if (i % 100 == 0)
            mw_engine_step(engine, false);
        if (i == 2000)
            before = mallinfo2().uordblks;
    }
    CHECK(mallinfo2().uordblks < before + 1000000);
    finish(engine);
}

static void runs_beside_a_loop_of_another_kind(void) {
    mw_engine *engine = open_engine();
    mw_error err = {0};
    end ended = {0};
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(mw_engine_start(engine, done, &ended, &err) == MW_OK);
    while (!ended.count) {
        struct pollfd ready = {.fd = mw_engine_fd(engine), .events = POLLIN};
        CHECK(poll(&ready, 1, mw_engine_timeout(engine)) >= 0);
        mw_engine_step(engine, false);
    }
    CHECK(ended.status == MW_OK);
    finish(engine);
}

static void two_engines_live_in_one_process(void) {
    mw_engine *engines[] = {open_engine(), open_engine()};
    for (int i = 0; i < 2; i++) {
        CHECK(load(engines[i], memory).status == MW_OK);
        CHECK(load(engines[i], i ? "function who() return 'b' end" : "function who() return 'a' end").status == MW_OK);
        CHECK(start(engines[i]).status == MW_OK);
    }
    CHECK_TEXT(call(engines[0], "who", NULL, 0).text, "a");
    CHECK_TEXT(call(engines[1], "who", NULL, 0).text, "b");
    finish(engines[1]);
    CHECK_TEXT(call(engines[0], "who", NULL, 0).text, "a");
    finish(engines[0]);
}

static void refuses_calls_that_are_none(void) {
    mw_engine *engine = open_engine();
    mw_error err = {0};
    end ended = {0};
    CHECK(mw_engine_call(engine, NULL, NULL, 0, answered, &ended, &err) == MW_EINVALID);
    CHECK(mw_engine_call(engine, "f", NULL, 0, NULL, NULL, &err) == MW_EINVALID);
    CHECK(mw_engine_call(engine, "f", NULL, 1, answered, &ended, &err) == MW_EINVALID);
    CHECK_TEXT(err.message, "call: values is NULL");
    CHECK(ended.count == 0);
    finish(engine);
}

static void closes_while_a_call_waits(void) {
    mw_engine *engine = open_engine();
    mw_error err = {0};
    end ended = {0};
    int ends = 0;
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(load(engine, "function wait() mw.sleep(math.huge) end").status == MW_OK);
    CHECK(start(engine).status == MW_OK);
    CHECK(mw_engine_call(engine, "wait", NULL, 0, answered, &ended, &err) == MW_OK);
    mw_engine_close(engine, 5 * MW_SECOND, closed, &ends);
    CHECK(mw_engine_call(engine, "wait", NULL, 0, answered, &ended, &err) == MW_ECLOSED);
    CHECK(mw_engine_on(engine, "added", "/a", hear, NULL, NULL, &err) == MW_ECLOSED);
    while (!ends && mw_engine_step(engine, true)) {
    }
    CHECK(ends == 1 && ended.count == 1);
    CHECK(ended.status == MW_ECANCELLED);
    mw_engine_free(engine);
    mw_engine_free(NULL);
}

static void count_rounds(void *arg, mw_log_level level, const char *component, const char *line) {
    if (strcmp(line, "round") == 0)
        ++*(int *)arg;
}

/* A script that will not end goes round every 10 ms: 500 times in the 5 s of stop_timeout, 10 in what is given here. */
static void closes_within_the_patience_that_it_is_given(void) {
    int rounds = 0, ends = 0;
    const mw_engine_config config = {.log = count_rounds, .log_arg = &rounds};
    mw_engine *engine = NULL;
    mw_error err = {0};
    CHECK(mw_engine_new(&config, &engine, &err) == MW_OK);
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(
        load(engine, "mw.spawn(function() while true do pcall(mw.sleep, '10ms') mw.log.info 'round' end end)").status ==
        MW_OK);
    CHECK(start(engine).status == MW_OK);
    rounds = 0;
    mw_engine_close(engine, 100 * MW_MS, closed, &ends);
    while (!ends && mw_engine_step(engine, true)) {
    }
    CHECK(ends == 1);
    CHECK(rounds <= 50);
    mw_engine_free(engine);
}

static void starts_once(void) {
    mw_engine *engine = open_engine();
    CHECK(load(engine, memory).status == MW_OK);
    CHECK(start(engine).status == MW_OK);
    const mw_registry *registry = mw_engine_registry(engine);
    end again = start(engine);
    CHECK(again.status == MW_EINVALID);
    CHECK(strstr(again.message, "started already") != NULL);
    CHECK(mw_engine_registry(engine) == registry);
    finish(engine);
}

static void frees_what_was_never_started(void) {
    mw_engine_free(open_engine());
    const mw_engine_config nowhere = {.scripts = "/no/such"};
    mw_engine *engine = NULL;
    mw_error err = {0};
    CHECK(mw_engine_new(&nowhere, &engine, &err) == MW_EIO);
    CHECK(engine == NULL && strstr(err.message, "/no/such") != NULL);
}

static const spec_case cases[] = {
    {"refuses scripts and configurations", refuses_scripts_and_configurations},
    {"passes values both ways", passes_values_both_ways},
    {"reports calls that fail", reports_calls_that_fail},
    {"listens and stops listening", listens_and_stops_listening},
    {"keeps nothing of those who stopped listening", keeps_nothing_of_those_who_stopped_listening},
    {"runs beside a loop of another kind", runs_beside_a_loop_of_another_kind},
    {"two engines live in one process", two_engines_live_in_one_process},
    {"refuses calls that are none", refuses_calls_that_are_none},
    {"closes while a call waits", closes_while_a_call_waits},
    {"closes within the patience that it is given", closes_within_the_patience_that_it_is_given},
    {"starts once", starts_once},
    {"frees what was never started", frees_what_was_never_started},
};
SPEC_MAIN(cases)
