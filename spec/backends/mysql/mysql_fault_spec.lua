-- One fault of the server at a time; after each the history checker judges what the clients were told.
local swarm = require "support.swarm_run"

describe("the promises hold while MySQL", function()
  local faults = {
    { "crash", "is killed in the middle of transactions, and restarted" },
    { "cut", "cuts every connection" },
    { "lost_answers", "commits, and the answer gets lost" },
    { "deadlock", "finds deadlocks (1213)" },
    { "lock_wait", "lets waits for locks time out (1205)" },
    { "full", "has no connection left" },
    { "read_only", "is read-only" },
    { "outage", "stands still for two session timeouts" },
    { "clock", "has its clock set by an hour" },
  }
  for _, fault in ipairs(faults) do
    it(fault[2], function()
      swarm.run(7, { "storm", "storm", "calm" }, { chaos = true, rounds = 5, storm = fault[1] })
    end)
  end
end)
