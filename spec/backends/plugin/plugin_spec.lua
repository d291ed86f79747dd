-- Backends as plug-ins, in a stock lua5.4: one that works, and those that are refused with a reason.
local mw = require "moonwatch"

describe("a plug-in", function()
  it("is found by its name and does the work of a backend", function()
    local registry <close> = assert(mw.open { backend = "shelf" })
    assert(registry:put("/a", "1"))
    assert.equal("1", registry:get("/a").value)
    local lock <close> = registry:lock("/l")
    assert.is_truthy(lock:acquire())
    assert.is_truthy(registry:txn():check(lock):put("/a", "2"):commit())
  end)

  local function refusal(name)
    local registry, err = mw.open { backend = name }
    assert.is_nil(registry)
    assert.equal("unsupported", err.code)
    return err.message
  end

  it("with too short a table is refused", function()
    assert.is_truthy(refusal("broken_size"):find("its table has 64 bytes", 1, true))
  end)

  it("made for another interface is refused", function()
    assert.is_truthy(refusal("broken_abi"):find("rebuild it", 1, true))
  end)

  it("without a slot is refused, and the slot is named", function()
    assert.is_truthy(refusal("broken_slot"):find("lacks 'unlock'", 1, true))
  end)

  it("that is no backend at all is refused", function()
    assert.is_truthy(refusal("broken_symbol"):find("mw_backend_plugin", 1, true))
  end)

  it("that is not there is refused, saying where it was looked for", function()
    assert.is_truthy(refusal("nowhere"):find("mw_backend_nowhere.so", 1, true))
  end)

  it("has a plain name", function()
    assert.is_truthy(refusal("../shelf"):find("no name of a backend", 1, true))
  end)
end)
