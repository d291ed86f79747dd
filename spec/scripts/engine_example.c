/* An application that embeds Moonwatch on a libuv loop of its own: it loads a script, listens in C, calls one of the
 * script's functions, prints the answer, and closes. */
#include <moonwatch/engine.h>

#include <stdio.h>
#include <uv.h>

static const char script[] = "mw.backend { 'memory' }\n"
                             "function enrol(who, jobs)\n"
                             "  assert(mw.registry:put('/staff/' .. who, tostring(#jobs)))\n"
                             "  mw.sleep '10ms'\n"
                             "  return { name = who, jobs = jobs }, #jobs\n"
                             "end\n";

static int check(int status, const mw_error *error) {
    if (status != MW_OK)
        fprintf(stderr, "%s\n", error->message);
    return status;
}

static void heard(void *arg, const mw_engine_event *event) {
    printf("%s %.*s = %.*s\n", event->type, MW_STR_FMT(event->path), MW_STR_FMT(event->value));
}

static void closed(void *arg) {
    printf("closed\n");
}

static void answered(void *arg, int status, const mw_error *error, const mw_value *values, size_t count) {
    if (check(status, error) == MW_OK)
        printf("%.*s and %lld\n", MW_STR_FMT(values[0].text), (long long)values[1].integer);
    mw_engine_close(arg, 2 * MW_SECOND, closed, NULL);
}

static void started(void *arg, int status, const mw_error *error) {
    const mw_value values[] = {{.kind = MW_VALUE_STRING, .text = mw_str_of("ada")},
                               {.kind = MW_VALUE_JSON, .text = mw_str_of("[\"watch\",\"wake\"]")}};
    mw_error err;
    if (check(status, error) != MW_OK || check(mw_engine_call(arg, "enrol", values, 2, answered, arg, &err), &err))
        mw_engine_close(arg, 2 * MW_SECOND, closed, NULL);
}

int main(void) {
    uv_loop_t *loop = uv_default_loop();
    const mw_engine_config config = {.loop = loop};
    mw_engine *engine;
    mw_error err;
    if (check(mw_engine_new(&config, &engine, &err), &err) != MW_OK)
        return 1;
    if (check(mw_engine_load_text(engine, "staff.lua", mw_str_of(script), NULL, NULL, &err), &err) != MW_OK ||
        check(mw_engine_on(engine, "added", "/staff/*", heard, NULL, NULL, &err), &err) != MW_OK ||
        check(mw_engine_start(engine, started, engine, &err), &err) != MW_OK)
        return 1;
    uv_run(loop, UV_RUN_DEFAULT);
    mw_engine_free(engine);
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop);
}
