--- What every parser promises of its complaints.
local M = {}

--- One printable line that starts by saying what was read.
function M.complaint(err, kind)
    assert(type(err) == "string", "a refusal without a reason")
    assert(err:find(kind, 1, true) == 1, "it does not say what was read: " .. err)
    assert(not err:find "%c", "control characters in a complaint")
    assert(utf8.len(err), "a complaint that is not UTF-8")
    assert(#err < 1000, "a complaint that is too long to read")
end

return M
