-- The judge is judged: good histories pass, and each kind of breach is named.
local History = require "support.history"

describe("the history checker", function()
  local history, now

  before_each(function()
    now = 0
    history = History.new { clock = function()
      now = now + 1
      return now
    end }
  end)

  local function names_only(rule)
    local problems = history:check()
    assert.equal(1, #problems, table.concat(problems, "\n"))
    assert.equal(rule, problems[1]:match("^(.-):"), problems[1])
  end

  local function passes()
    assert.same({}, history:check())
  end

  describe("of writes", function()
    it("passes acknowledged ones found once, unknown ones found or not, refused ones not found", function()
      history:write({ id = "a", client = "x" }):ok(1)
      history:write({ id = "b", client = "x" }):unknown()
      history:write({ id = "c", client = "y" }):unknown()
      history:write({ id = "d", client = "y" }):refused("exists")
      history:write { id = "e", client = "y" }
      history:present("a", 1)
      history:present("b", 2)
      passes()
    end)

    it("names an acknowledged one that is missing", function()
      history:write({ id = "a", client = "x" }):ok(1)
      names_only "lost write"
    end)

    it("names an acknowledged one that is there twice", function()
      history:write({ id = "a", client = "x" }):ok(1)
      history:present("a", 1)
      history:present("a", 2)
      names_only "doubled write"
    end)

    it("names an unknown one that is there twice", function()
      history:write({ id = "a", client = "x" }):unknown()
      history:present("a", 1)
      history:present("a", 2)
      names_only "doubled write"
    end)

    it("names an unanswered one that is there twice", function()
      history:write { id = "a", client = "x" }
      history:present("a")
      history:present("a")
      names_only "doubled write"
    end)

    it("names a refused one that happened", function()
      history:write({ id = "a", client = "x" }):refused("conflict")
      history:present("a", 1)
      names_only "refused write"
    end)

    it("names one that nobody wrote", function()
      history:present("a", 1)
      names_only "phantom"
    end)

    it("names one that was acknowledged with another revision than its own", function()
      history:write({ id = "a", client = "x" }):ok(1)
      history:present("a", 2)
      names_only "wrong revision"
    end)

    it("names one that was answered twice", function()
      local write = history:write { id = "a", client = "x" }
      write:ok(1)
      write:unknown()
      history:present("a", 1)
      names_only "answered twice"
    end)

    it("names one that was begun after a larger revision had been acknowledged", function()
      history:write({ id = "a", client = "x" }):ok(5)
      history:write({ id = "b", client = "y" }):ok(4)
      history:present("a", 5)
      history:present("b", 4)
      names_only "order of revisions"
    end)

    it("lets concurrent ones have any order", function()
      local a, b = history:write { id = "a", client = "x" }, history:write { id = "b", client = "y" }
      a:ok(5)
      b:ok(4)
      history:present("a", 5)
      history:present("b", 4)
      passes()
    end)

    it("names a txn of which only a part happened", function()
      history:write({ id = "a", client = "x", txn = "t" }):unknown()
      history:write({ id = "b", client = "x", txn = "t" }):unknown()
      passes()
      history:present("a", 1)
      names_only "torn txn"
      history:present("b", 1)
      passes()
    end)

    it("tells what a call returned apart", function()
      history:write({ id = "a", client = "x" }):returned({ revision = 3 })
      history:write({ id = "b", client = "x" }):returned(nil, { code = "unknown" })
      history:write({ id = "c", client = "x" }):returned(nil, { code = "conflict" })
      history:present("a", 3)
      history:present("b", 4)
      passes()
      history:present("c", 5)
      names_only "refused write"
    end)
  end)

  describe("of guarded writes", function()
    local function guarded(id, token, revision)
      history:write({ id = id, client = id, lock = "/l", token = token }):unknown()
      history:present(id, revision)
    end

    it("passes tokens that grow with the revision", function()
      guarded("b", 2, 20)
      guarded("a", 1, 10)
      guarded("c", 2, 30)
      passes()
    end)

    it("names an old holder's write after a new holder's", function()
      guarded("a", 2, 10)
      guarded("b", 1, 20)
      names_only "token order"
    end)
  end)

  describe("of holders", function()
    it("passes one after the other with growing tokens", function()
      history:hold({ client = "x", lock = "/l", token = 1 })()
      history:hold({ client = "y", lock = "/l", token = 5 })()
      history:hold { client = "z", lock = "/l", token = 6 }
      passes()
    end)

    it("names two at once", function()
      local ended = history:hold { client = "x", lock = "/l", token = 1 }
      history:hold({ client = "y", lock = "/l", token = 2 })()
      ended()
      names_only "overlap"
    end)

    it("names one that took over from a holder that goes on", function()
      history:hold { client = "x", lock = "/l", token = 1 }
      history:hold({ client = "y", lock = "/l", token = 2 })()
      names_only "overlap"
    end)

    it("lets two locks be held at once", function()
      history:hold { client = "x", lock = "/l", token = 1 }
      history:hold { client = "y", lock = "/m", token = 1 }
      passes()
    end)

    it("names a token that does not grow", function()
      history:hold({ client = "x", lock = "/l", token = 2 })()
      history:hold({ client = "y", lock = "/l", token = 2 })()
      names_only "token growth"
    end)

    it("does not count the time when a client was stopped", function()
      local ended = history:hold { client = "x", lock = "/l", token = 1 }
      history:stalled "x"
      local other = history:hold { client = "y", lock = "/l", token = 2 }
      other()
      ended()
      history:write { id = "a", client = "x" }
      passes()
    end)

    it("names a client that was stopped and acts as the holder afterwards", function()
      local ended = history:hold { client = "x", lock = "/l", token = 1 }
      history:stalled "x"
      local other = history:hold { client = "y", lock = "/l", token = 2 }
      history:write { id = "a", client = "x" }
      ended()
      other()
      names_only "overlap"
    end)

    it("ends with the process", function()
      history:hold { client = "x", lock = "/l", token = 1 }
      history:gone "x"
      history:hold { client = "y", lock = "/l", token = 2 }
      passes()
    end)
  end)

  describe("of reads", function()
    local function read(client, revision, fresh)
      history:read { client = client, session = 1, path = "/r", fresh = fresh or false } { revision = revision }
    end

    before_each(function()
      history:write({ id = "a", client = "x", path = "/r" }):ok(7)
      history:present("a", 7)
    end)

    it("passes stale ones of others and current ones", function()
      read("y", 3)
      read("x", 7)
      read("y", 7, true)
      passes()
    end)

    it("names one that goes back", function()
      read("y", 7)
      read("y", 6)
      names_only "read went back"
    end)

    it("names a fresh one that is stale", function()
      read("y", 6, true)
      names_only "stale read"
    end)

    it("names one that misses an own write", function()
      read("x", 6)
      names_only "stale read"
    end)
  end)

  describe("of views", function()
    local see

    local function event(kind, path, fields)
      local result = { type = kind, path = path, version = 0, revision = 1, created = 1, value = "v" }
      for key, value in pairs(fields or {}) do
        result[key] = value
      end
      see(result)
    end

    local function entry(path, fields)
      local result = { path = path, version = 0, revision = 1, created = 1, value = "v" }
      for key, value in pairs(fields or {}) do
        result[key] = value
      end
      return result
    end

    before_each(function()
      see = history:observer "s"
      event("added", "/a")
      see { type = "synced", revision = 1 }
    end)

    it("passes one that ends as the registry is", function()
      event("updated", "/a", { previous = "v", value = "w", version = 1, revision = 2 })
      event("added", "/b", { revision = 3, created = 3 })
      event("removed", "/b", { revision = 4 })
      event("removed", "/a", { value = "w", revision = 5 })
      event("added", "/a", { value = "x", revision = 6, created = 6 })
      history:final { entry("/a", { value = "x", revision = 6, created = 6 }) }
      passes()
    end)

    it("judges an observer by what it covers", function()
      history:observer("s", { covers = function(path) return path ~= "/b" end })
      history:final { entry "/a", entry "/b" }
      passes()
    end)

    it("names one that missed an entry", function()
      history:final { entry "/a", entry "/b" }
      names_only "view"
    end)

    it("names one that missed a removal", function()
      history:final {}
      names_only "view"
    end)

    for field, value in pairs { value = "w", version = 1, revision = 2, created = 2, owner = 9 } do
      it("names one with another " .. field, function()
        history:final { entry("/a", { [field] = value }) }
        names_only "view"
      end)
    end

    it("does not ask for the final state of a client that is gone", function()
      history:observer("t", { client = "x" }) {
        type = "added", path = "/b", value = "v", version = 0, revision = 1, created = 1,
      }
      history:gone "x"
      history:final { entry "/a" }
      passes()
    end)

    it("names one that was never complete", function()
      history:observer "t" { type = "added", path = "/a", value = "v", version = 0, revision = 1, created = 1 }
      names_only "view"
    end)

    for what, wrong in pairs {
      ["an entry added twice"] = { "added", "/a", { revision = 2 } },
      ["an update of what was not there"] = { "updated", "/b", { revision = 2 } },
      ["a removal of what was not there"] = { "removed", "/b", { revision = 2 } },
      ["an update across incarnations"] = { "updated", "/a", { revision = 2, created = 2, version = 1 } },
      ["an update with another value before"] = { "updated", "/a", { previous = "u", revision = 2, version = 1 } },
      ["an update without a new version"] = { "updated", "/a", { previous = "v", revision = 2 } },
      ["an update without a new revision"] = { "updated", "/a", { previous = "v", version = 1 } },
      ["a removal with another last value"] = { "removed", "/a", { value = "w", revision = 2 } },
      ["a removal older than what was seen"] = { "removed", "/a", { revision = 0 } },
    } do
      it("names " .. what, function()
        event(wrong[1], wrong[2], wrong[3])
        names_only "order of events"
      end)
    end
  end)
end)
