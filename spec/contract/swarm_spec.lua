-- Clients that write, append, lock and watch while some are killed and stopped; the history checker judges each run.
local swarm = require "support.swarm_run"

describe("a swarm of clients keeps every promise", function()
  local first, last = swarm.seeds()
  for seed = first, last do
    it("in peace, seed " .. seed, function()
      swarm.run(seed, { "nothing" })
    end)

    it("while processes are killed and stopped, seed " .. seed, function()
      swarm.run(seed, { "nothing", "kill", "stall", "stall", "resume", "resume" })
    end)
  end
end)
