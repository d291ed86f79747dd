-- Small assertions that contract specs share.

local assert = require "luassert"

local expect = {}

local function describe(result)
  return type(result) == "table" and (result.path or "a table") or tostring(result)
end

--- A call failed with `code`: `expect.failure("not_found", client:get("/x"))`. Returns the error.
---@param code string
---@return moonwatch.Error
function expect.failure(code, result, err)
  assert.is_nil(result, ("succeeded with %s instead of failing with %s"):format(describe(result), code))
  assert.is_truthy(err, "nil without an error")
  assert.equal(code, err.code, tostring(err))
  assert.is_string(err.message)
  assert.is_boolean(err.retryable)
  assert.is_nil(tostring(err):find "\n", "an error is one line")
  return err
end

--- A call succeeded: `local entry = expect.ok(client:get("/x"))`.
function expect.ok(result, err, ...)
  assert.is_truthy(result, tostring(err))
  return result, err, ...
end

--- A call raises, with a message that holds `part` (plain text).
---@param part string
---@param call fun()
function expect.misuse(part, call)
  local ok, message = pcall(call)
  assert.is_false(ok, "no error was raised")
  assert.is_truthy(tostring(message):find(part, 1, true), ("%q is not in: %s"):format(part, tostring(message)))
end

--- The field of each, in order.
function expect.each(field, list)
  local result = {}
  for _, item in ipairs(list) do
    table.insert(result, item[field])
  end
  return result
end

return expect
