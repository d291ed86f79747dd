---@meta moonwatch
-- The public Lua API: one source for editors, `help()` and the manual. A spec holds it against what the modules export.
-- What only scripts of `moonwatch run` and of an embedding host have is in scripts.lua.
--
-- Calls that wait suspend their task; in a plain `lua5.4` script, outside any task, they run the loop until they are done.
-- Misuse (a wrong type, an unknown option) raises. Outcomes are returned: the result, or `nil, err`.
-- Durations: a number of seconds (0.5), or text ("500ms", "5s", "1m30s", "2h"). Sizes: bytes, or "64KiB", "1MB".

---@class moonwatch.Error            an outcome that is not success; `tostring(err)` is one line
---@field code string                "not_found", "exists", "conflict", "timeout", "unknown" ... (see README, "Errors")
---@field message string             what, where, what to do
---@field path string?               the entry or lock concerned
---@field backend string?            "sqlite" ...
---@field retryable boolean          doing the same again later may succeed and cannot do harm
---@field step integer?              txn: the step (1 = first) that was refused

---@alias moonwatch.Duration number|string

---@class moonwatch.Entry
---@field path string
---@field value string               bytes
---@field version integer            0 at creation, +1 per change, of this incarnation
---@field revision integer           of the last change; monotonic over the registry
---@field created integer            revision of creation: names the incarnation
---@field owner integer?             session id; nil when persistent
---@field ctime number               seconds since 1970, server time
---@field mtime number

---@class moonwatch.Event
---@field type "added"|"updated"|"removed"|"synced"
---@field path string
---@field value string?              removed: the last one this subscriber observed
---@field previous string?           updated: the value before
---@field version integer?
---@field revision integer
---@field created integer?
---@field owner integer?

---@class moonwatch.CallOptions
---@field timeout moonwatch.Duration?  deadline of the call; default 10 s
---@field fail_fast boolean?           do not wait while disconnected: `disconnected` at once

---@class moonwatch.ReadOptions: moonwatch.CallOptions
---@field fresh boolean?               see what anyone was acknowledged before this call

---@class moonwatch.Registry          one client: a connection, its session, subscriptions and locks
local Registry = {}

---@param path string
---@param options moonwatch.ReadOptions?
---@return moonwatch.Entry? entry
---@return moonwatch.Error? err       not_found, invalid, timeout, disconnected ...
function Registry:get(path, options) end

--- Like get, with an empty value.
---@return moonwatch.Entry?, moonwatch.Error?
function Registry:stat(path, options) end

--- Names of the direct children, sorted.
---@return string[]?, moonwatch.Error?
function Registry:children(path, options) end

--- All entries strictly below `path`, sorted by path; no snapshot.
---@return moonwatch.Entry[]?, moonwatch.Error?
function Registry:list(path, options) end

---@class moonwatch.WriteOptions: moonwatch.CallOptions
---@field ephemeral boolean?           owned by the session: gone when it ends

---@class moonwatch.Written
---@field path string
---@field version integer
---@field revision integer
---@field created integer
---@field owner integer?

--- Fails with `exists` when present.
---@param path string
---@param value string?
---@param options moonwatch.WriteOptions?
---@return moonwatch.Written?, moonwatch.Error?
function Registry:create(path, value, options) end

--- Creates or replaces; `conflict` when the present entry has another owner or kind.
---@return moonwatch.Written?, moonwatch.Error?
function Registry:put(path, value, options) end

--- Replaces when `options.version` matches (without it: when present).
---@param options (moonwatch.CallOptions|{version: integer})?
---@return moonwatch.Written?, moonwatch.Error?
function Registry:set(path, value, options) end

--- `recursive`: with all below it, leaves first, not atomic.
---@param options (moonwatch.CallOptions|{version: integer, recursive: boolean})?
---@return true?, moonwatch.Error?
function Registry:delete(path, options) end

---@class moonwatch.Txn                steps are collected, then committed all or nothing in one round trip
local Txn = {}

---@return moonwatch.Txn
function Registry:txn() end

--- `what`: a path, with `{version=N}`, `{absent=true}` or nothing (it exists); or a held lock or election (its guard).
---@param what string|moonwatch.Lock|moonwatch.Election
---@param options {version: integer, absent: boolean}?
---@return moonwatch.Txn
function Txn:check(what, options) end
---@return moonwatch.Txn
function Txn:create(path, value, options) end
---@return moonwatch.Txn
function Txn:put(path, value, options) end
---@return moonwatch.Txn
function Txn:set(path, value, options) end
---@return moonwatch.Txn
function Txn:delete(path, options) end
---@param options moonwatch.CallOptions?
---@return {revision: integer, [integer]: moonwatch.Written}?, moonwatch.Error?
function Txn:commit(options) end

---@class moonwatch.SubscribeOptions
---@field depth "self"|"children"|"subtree"?   default "children"; both it and "subtree" leave the path itself out
---@field overlap "queue"|"latest"|"cancel"?   what happens to events while a reaction to the same path still runs
---@field limit integer?                       default 10,000 events that wait; beyond it, or beyond 16 MiB of values, those
---                                            of one path are merged, and its last state is never missed

--- First the present state as `added`, then `synced`, then changes. `reaction` runs as a task per event, in order per path.
---@param path string
---@param options moonwatch.SubscribeOptions?
---@param reaction fun(event: moonwatch.Event)?   without it, iterate: `for event in sub:events() do`
---@return moonwatch.Subscription
function Registry:subscribe(path, options, reaction) end

---@class moonwatch.Subscription
local Subscription = {}
--- Waits for the next event; ends (nil) when closed, with `nil, err` when it cannot go on (denied, too_large ...).
function Subscription:events() end
--- Waits until the present state has been delivered.
---@return true?, moonwatch.Error?
function Subscription:synced() end
--- The cached entries, sorted by path: no round trip.
---@return moonwatch.Entry[]
function Subscription:entries() end
function Subscription:close() end

---@class moonwatch.LockOptions
---@field value string?                shown to those who look at the queue; default: the name of the registry
---@field on_lost fun(lock: moonwatch.Lock, err: moonwatch.Error)?

--- A handle; takes nothing yet. Released on `<close>`.
---@param path string
---@param options moonwatch.LockOptions?
---@return moonwatch.Lock
function Registry:lock(path, options) end

---@class moonwatch.Lock
---@field path string
---@field token integer?               fencing token while held
---@field held boolean
local Lock = {}
--- Waits for the lock (counted when held already by this handle).
---@param options {timeout: moonwatch.Duration, try: boolean}?
---@return integer? token
---@return moonwatch.Error? err        busy, timeout, session_lost ...
function Lock:acquire(options) end
--- One level; not awaited.
---@return true?, moonwatch.Error?
function Lock:release() end
function Lock:close() end

--- Acquire, run `body(lock)` as a child task, release. The task is cancelled when the lock is lost: then, and when the lock
--- could not be had, `nil, err`. Raises what `body` raises.
---@param path string
---@param options (moonwatch.LockOptions|{timeout: moonwatch.Duration, try: boolean})?
---@param body fun(lock: moonwatch.Lock): ...
---@return any ...                     what body returned, or nil, err
function Registry:guard(path, options, body) end

---@class moonwatch.ElectOptions
---@field record string?               the leader's record, readable at `path`/leader
---@field on_deposed fun(election: moonwatch.Election, err: moonwatch.Error?)?   at the end of each term, once, before any
---                                     other task goes on; without an error when the leadership was resigned

--- Stand for election until closed. `lead(election)` runs as a task for each term and is cancelled at its end; when it
--- returns, the leadership is resigned; the next term begins no sooner than 100 ms after the one before.
---@param path string
---@param options moonwatch.ElectOptions?
---@param lead fun(election: moonwatch.Election)?
---@return moonwatch.Election
function Registry:elect(path, options, lead) end

---@class moonwatch.Election
---@field leading boolean
---@field token integer?
local Election = {}
--- Waits until leading.
---@return integer? token
---@return moonwatch.Error?
function Election:wait(options) end
--- The present leader's record.
---@return moonwatch.Entry?, moonwatch.Error?
function Election:leader() end
function Election:resign() end
function Election:close() end

--- An ephemeral as a desired state: written again with its current value in each new session.
---@param path string
---@param value string
---@param options {timeout: moonwatch.Duration}?  30 s: until it is visible, whatever the connection does; then `exists`
---where another's entry is in the way, else `timeout`, and nothing of it is left
---@return moonwatch.Registration?, moonwatch.Error?   when it is visible
function Registry:register(path, value, options) end

---@class moonwatch.Registration
---@field visible boolean
local Registration = {}
function Registration:set(value) end
function Registration:close() end

---@alias moonwatch.State "connecting"|"connected"|"suspended"|"reconnected"|"lost"|"closed"

---@class moonwatch.ConnectionEvent
---@field state moonwatch.State
---@field session integer?
---@field reason string?
---@field error moonwatch.Error?     of suspended, lost, and of a connection that has failed for good: why it is closed

--- Each state once and in order, the current one first, and before any other task goes on.
---@param reaction fun(event: moonwatch.ConnectionEvent)
---@return moonwatch.Listener?, moonwatch.Error?
function Registry:on_connection(reaction) end

---@class moonwatch.Listener
local Listener = {}
function Listener:close() end

---@return moonwatch.State
function Registry:state() end
---@return integer?
function Registry:session() end
--- Who serves the session: where, and what it calls itself where the backend knows; nil without a session.
---@return string?
function Registry:server() end
--- When, on the clock of `mw.now`, the session must be treated as lost unless it is renewed before; nil without one.
---@return number?
function Registry:deadline() end
--- The secret that proves to the server that the session is ours, in hexadecimal; for the identity file. Never log it.
---@return string?, moonwatch.Error?
function Registry:secret() end
--- A session of our predecessor, from the identity file: its leftovers count as ours.
---@param session integer
---@param secret string
---@return true?, moonwatch.Error?
function Registry:adopt(session, secret) end
--- Counters of the backend: round_trips, statements, write_transactions, renewals, polls, reconnects, wakeups.
---@return table<string, integer>
function Registry:stats() end
--- Open operations, subscriptions, locks, registrations, listeners.
---@return integer
function Registry:handles() end
--- Lock queue members at `path` (`{recursive=true}`: at and below): path, owner, token, value, ctime; holder first.
---@return table[]?, moonwatch.Error?
function Registry:queue(path, options) end
---@return {id: integer, name: string, opened: number, expires: number}[]?, moonwatch.Error?
function Registry:sessions(options) end
--- What the server of the session calls itself ("3.8.0"), where `server` does not end in it: asked of ZooKeeper by its
--- four-letter word `srvr`; "unsupported" where that is not allowed, and on other backends. Waits.
---@param options moonwatch.ReadOptions?
---@return string?, moonwatch.Error?
function Registry:server_version(options) end
--- Withdraw, release, end the session. Waits.
---@param options {patience: moonwatch.Duration}?
function Registry:close(options) end
--- Forget the session as a crash would (for specs).
function Registry:abandon() end

---@class moonwatch
local mw = {}

---@type string
mw.version = ""

--- Open a registry of one's own. `options.backend` names it ("memory", "sqlite", "mysql", "zookeeper"); the rest goes to
--- it (`path`, `servers`, `url`, `session_timeout` ...), apart from `namespace`, `name`, `op_timeout`, `trace` and
--- `wait` (default 10 s: how long to wait until connected; 0 = do not).
---@param options table
---@return moonwatch.Registry?, moonwatch.Error?
function mw.open(options) end

--- A task: a coroutine over the loop. Its children end with it.
---@class moonwatch.Task
---@field status "running"|"waiting"|"done"|"failed"|"cancelled"
local Task = {}
--- Waits for its end: `true, results...`, or `nil` and what it raised (an error of ours with code "cancelled" when it was
--- cancelled). With a timeout, `nil` and an error with code "timeout" when it has not ended by then; it goes on.
---@param options {timeout: moonwatch.Duration}?
function Task:join(options) end
--- Raises `cancelled` where it waits; its `<close>` variables run. Idempotent.
function Task:cancel() end

---@param body fun(...): ...
---@return moonwatch.Task
function mw.spawn(body, ...) end
---@param duration moonwatch.Duration
function mw.sleep(duration) end
--- Run `body` each `period` as a task, never overlapping itself, until cancelled. A run that fails is logged.
---@return moonwatch.Task
function mw.every(period, body) end
--- Run `body` as a child, and return its results; when `duration` passes first, it is cancelled: `nil, err` with code
--- "timeout". Raises what `body` raises.
function mw.timeout(duration, body, ...) end
--- Run the loop until `body` (a task) has ended; for plain scripts.
function mw.run(body, ...) end
--- Monotonic seconds.
---@return number
function mw.now() end

mw.log = {}
---@param format string                string.format
function mw.log.debug(format, ...) end
function mw.log.info(format, ...) end
function mw.log.warn(format, ...) end
function mw.log.error(format, ...) end

mw.json = {}
---@return string
function mw.json.encode(value) end
---@return any, string? err
function mw.json.decode(text) end

return mw
