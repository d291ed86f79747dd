-- One run of a swarm as a spec asserts it.
local Harness = require "support.harness"
local Swarm = require "support.swarm"

--- The seeds to run: MOONWATCH_SPEC_SEEDS of them (1), from MOONWATCH_SPEC_SEED (1) on.
local function seeds()
  local first = tonumber(os.getenv "MOONWATCH_SPEC_SEED") or 1
  return first, first + (tonumber(os.getenv "MOONWATCH_SPEC_SEEDS") or 1) - 1
end

---@param faults string[]  methods of support.Swarm that are drawn from
---@param options table?   more for it; `storm`: the one fault of the server that is meant
local function run(seed, faults, options)
  local h = Harness.start { seed = seed, storm = options and options.storm }
  local all = { seed = seed, clients = 4, rounds = h.rounds, faults = faults, file = os.tmpname() }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  local swarm = Swarm.new(h, all)
  swarm:run()
  local problems, writes = swarm:judge()
  os.remove(all.file)
  assert(#problems == 0, ("seed %d:\n%s"):format(seed, table.concat(problems, "\n")))
  assert(writes > 10, "nothing was done")
  h:finish()
end

return { run = run, seeds = seeds }
