--- The keys of application.yaml, as moonwatch.schema reads them.
local M = {}

--- What every backend takes, beside its own options.
M.common = {
    namespace = { kind = "string", help = "what is put before every path" },
    name = { kind = "string", help = "who we are, for those who list sessions" },
    op_timeout = { kind = "duration", initial = "10s", min = "1ms", help = "default deadline of an operation" },
    wait = { kind = "duration", initial = "10s", help = "how long to wait for the first connection" },
    trace = { kind = "boolean", initial = false, help = "log every call of the backend" },
}

local share = { kind = "number", min = 0, max = 1000 }

--- The keys at the top, or below `moonwatch:` or `streampark:`, beside `registry`.
M.sections = {
    node = { kind = "map", keys = {
        role = { kind = "string" },
        address = { kind = "string", help = "host:port under which others reach us" },
        id = { kind = "string", help = "in place of the MAC address" },
        weight = { kind = "integer", min = 0, initial = 1 },
        period = { kind = "duration", initial = "10s", min = "100ms", help = "how often the record is written" },
        busy = { kind = "map", keys = { cpu = share, memory = share, disk = share, average = share },
            help = "busy above these; normal again below 0.9 of them" },
        identity = { kind = "path", help = "file that lets a restart end its predecessor's session" },
        meta = { kind = "free" },
    } },
    scripts = { kind = "list", of = { kind = "path" }, help = "run at start, in this order" },
    on_script_error = { kind = "choice", of = { "stop", "skip" }, initial = "stop" },
    stop_timeout = { kind = "duration", initial = "5s", help = "bound of the withdrawal at the end" },
    task_budget = { kind = "duration", initial = "5s", min = "10ms",
        help = "how long a task may run between two waits" },
    memory_limit = { kind = "size", initial = "256MiB", min = "16MiB", help = "of all scripts together" },
    log_level = { kind = "choice", of = { "debug", "info", "warn", "error" }, initial = "info" },
    log_format = { kind = "choice", of = { "text", "json" }, initial = "text" },
    attach = { kind = "string", help = "let `moonwatch shell --attach NAME` of the same user look inside" },
    backend_path = { kind = "string", help = "directories of loadable backends, colon-separated" },
    app = { kind = "free", help = "whatever the scripts want: mw.config.app" },
}

--- Backends that are known by name even where they cannot be loaded.
M.builtin = { "memory", "sqlite", "mysql", "zookeeper" }

return M
