-- The swarm while messages, answers and connections get lost as well: backends whose harness can lose them.
local swarm = require "support.swarm_run"

describe("a swarm of clients keeps every promise", function()
  local first, last = swarm.seeds()
  for seed = first, last do
    it("while messages are lost, seed " .. seed, function()
      swarm.run(seed, { "storm", "storm", "calm", "forget" }, { chaos = true })
    end)

    it("while all goes wrong, seed " .. seed, function()
      swarm.run(seed, { "storm", "calm", "kill", "stall", "stall", "resume", "resume", "forget" }, { chaos = true })
    end)
  end
end)
