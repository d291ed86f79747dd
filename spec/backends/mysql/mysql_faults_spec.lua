-- A swarm of clients while the server suffers; the history checker judges what they were told (DESIGN, section 2).
local swarm = require "support.swarm_run"

describe("the promises hold while MySQL", function()
  local first, last = swarm.seeds()
  for seed = first, last do
    it("crashes, cuts, locks, deadlocks, runs full, is read-only and freezes, seed " .. seed, function()
      swarm.run(seed, { "storm", "storm", "calm" }, { chaos = true, rounds = 14 })
    end)

    it("suffers all that, and clients are killed and stopped, seed " .. seed, function()
      swarm.run(seed + 1000, { "storm", "stall", "storm", "resume", "kill", "calm" }, { chaos = true, rounds = 24 })
    end)
  end
end)
