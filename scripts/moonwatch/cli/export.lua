local client = require "moonwatch.cli.client"
local json = require "moonwatch.json"
local show = require "moonwatch.cli.show"

local M = {
    summary = "Print everything below a path as JSON lines, for import.",
    description = "One entry a line: {\"path\": ..., \"value\": ...}, with \"value_base64\" for what is no UTF-8. "
        .. "Ephemerals belong to their sessions and are left out; how many, standard error says. No snapshot: entries "
        .. "that change meanwhile are there as they were when they were read.",
}

function M.configure(command)
    command:argument("path", "Default: /"):args "?"
    client.options(command)
end

local lot = 100 -- lines written at once

--- A line of the export, without its end.
---@param entry moonwatch.Entry
---@return string
function M.line(entry)
    local path = json.encode(entry.path)
    if utf8.len(entry.value) then
        return ('{"path":%s,"value":%s}'):format(path, json.encode(entry.value))
    end
    return ('{"path":%s,"value_base64":"%s"}'):format(path, require("moonwatch.console.base64").encode(entry.value))
end

-- The path itself, where it is an entry, and all below it.
local function entries(registry, path)
    local list = client.need(registry:list(path, { fresh = true }))
    if path ~= "/" then
        table.insert(list, 1, (client.need(registry:get(path))))
    end
    return list
end

function M.run(args)
    return client.with(args, nil, function(registry)
        local list = entries(registry, client.path(args.path))
        local progress, finish = show.progress(args, "exported", #list)
        local written, skipped, lines = 0, 0, {}
        for i, entry in ipairs(list) do
            if entry.owner then
                skipped = skipped + 1
            else
                written = written + 1
                lines[#lines + 1] = M.line(entry) .. "\n"
            end
            if #lines == lot or i == #list then
                show.write(table.concat(lines))
                lines = {}
                progress(i)
            end
        end
        finish()
        show.remark(args, "%d entries; %d ephemerals left out", written, skipped)
    end)
end

return M
