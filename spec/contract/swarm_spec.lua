-- Clients that write, append, lock and watch while some are killed and stopped; the history checker judges each run.
local Harness = require "support.harness"
local Swarm = require "support.swarm"

describe("a swarm of clients", function()
  local first = tonumber(os.getenv "MOONWATCH_SPEC_SEED") or 1
  local seeds = tonumber(os.getenv "MOONWATCH_SPEC_SEEDS") or 1

  local function run(seed, faults)
    local h = Harness.start { seed = seed, faults = faults }
    local swarm = Swarm.new(h, {
      seed = seed, clients = 4, rounds = h.rounds, faults = faults, file = os.tmpname(),
    })
    swarm:run()
    local problems, writes = swarm:judge()
    assert.same({}, problems, "seed " .. seed)
    assert.is_true(writes > 10, "nothing was done")
    h:finish()
  end

  for seed = first, first + seeds - 1 do
    it("keeps every promise in peace, seed " .. seed, function()
      run(seed, { "nothing" })
    end)

    it("keeps every promise while processes are killed and stopped, seed " .. seed, function()
      run(seed, { "nothing", "kill", "stall", "stall", "resume", "resume" })
    end)
  end
end)
