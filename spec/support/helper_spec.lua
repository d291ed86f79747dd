describe("the spec helper", function()
  it("runs on Lua 5.4", function()
    assert.equal("Lua 5.4", _VERSION)
  end)

  it("does not let a spec end the run", function()
    assert.has_error(function() os.exit(0) end, "os.exit called from a spec")
  end)
end)
