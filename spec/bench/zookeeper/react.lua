-- A Lua reaction to the changes of one entry. Its value is the time of its write in nanoseconds, twice: by
-- CLOCK_MONOTONIC, and by CLOCK_BOOTTIME, which is that of mw.now.
-- usage: react.lua SERVERS ROOT; prints the median of the delays, in seconds.
local mw = require "moonwatch"

local WARM, COUNT = 50, 200

local registry = assert(mw.open { backend = "zookeeper", servers = arg[1] })
local seen = {}
local subscription = registry:subscribe(arg[2] .. "/change", { depth = "self" }, function(event)
    if event.type == "updated" then
        seen[#seen + 1] = mw.now() - tonumber(event.value:match("%d+$")) / 1e9
    end
    if #seen == WARM + COUNT then
        local delays = table.move(seen, WARM + 1, WARM + COUNT, 1, {})
        table.sort(delays)
        print(delays[COUNT // 2])
        io.stdout:flush()
        os.exit(0, false)
    end
end)
mw.run(function()
    assert(subscription:synced())
    mw.sleep("20s")
end)
