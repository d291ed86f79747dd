local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"
local json = require "moonwatch.json"
local show = require "moonwatch.cli.show"

local M = {
    summary = "Write the entries of an export, into any backend.",
    description = "All lines are checked before anything is written. What is there with the same value is left "
        .. "alone; what is there with another one is a conflict: it is replaced when you agree (or with --yes), or "
        .. "kept with --keep. Ephemerals that are there are never touched. Exit code 5 when conflicts were left.",
}

function M.configure(command)
    command:argument("file", "Default: standard input, also \"-\"."):args "?"
    command:option("--under", "Put before every path of the file."):argname "PATH"
    command:flag("--dry-run", "Say what would be done, and do nothing."):target "dry_run"
    command:flag("--keep", "Keep what is there, and import the rest.")
    client.options(command, { yes = "Replace what is there without asking." })
end

-- ---- Reading --------------------------------------------------------------------------------------------------------

local function parse_line(line)
    local item, err = json.decode(line)
    if type(item) ~= "table" or type(item.path) ~= "string" then
        return nil, err and "no JSON: " .. err or "a JSON object with \"path\" was expected"
    end
    local value = item.value
    if item.value_base64 then
        value, err = require("moonwatch.console.base64").decode(item.value_base64)
    end
    if type(value) ~= "string" then
        return nil, err or "\"value\" or \"value_base64\" is needed"
    end
    return { path = item.path, value = value }
end

--- The entries of an export, sorted by path, or nil, what is wrong in which line.
---@param lines fun(): string?
---@param under string?
---@return {path: string, value: string}[]?
---@return string? err
function M.read(lines, under)
    local items, seen, number = {}, {}, 0
    for line in lines do
        number = number + 1
        if line:find "%S" then
            local item, err = parse_line(line)
            if not item then
                return nil, ("line %d: %s"):format(number, err)
            end
            item.path = under and client.path(under .. item.path) or item.path
            local wrong = core.path_error(item.path)
            if wrong then
                return nil, ("line %d: %s"):format(number, wrong)
            end
            if seen[item.path] then
                return nil, ("line %d: %s is in line %d already"):format(number, item.path, seen[item.path])
            end
            seen[item.path], items[#items + 1] = number, item
        end
    end
    table.sort(items, function(a, b) return a.path < b.path end)
    return items
end

-- ---- Planning -------------------------------------------------------------------------------------------------------

---@class moonwatch.ImportPlan
---@field create table[]       what is not there yet
---@field replace table[]      what is there with another value; `version` as it was seen
---@field same integer
---@field refused table[]      what is there as an ephemeral

---@return moonwatch.ImportPlan
local function plan(registry, items)
    local present = {}
    for _, entry in ipairs(client.need(registry:list("/", { fresh = true }))) do
        present[entry.path] = entry
    end
    local result = { create = {}, replace = {}, refused = {}, same = 0 }
    for _, item in ipairs(items) do
        local entry = present[item.path]
        if not entry then
            table.insert(result.create, item)
        elseif entry.owner then
            table.insert(result.refused, item)
        elseif entry.value == item.value then
            result.same = result.same + 1
        else
            item.version = entry.version
            table.insert(result.replace, item)
        end
    end
    return result
end

local function name_some(args, list, what)
    for i = 1, math.min(#list, 10) do
        show.remark(args, "%s: %s", list[i].path, what)
    end
    if #list > 10 then
        show.remark(args, "... and %d more", #list - 10)
    end
end

-- ---- Writing --------------------------------------------------------------------------------------------------------

local most, largest = 200, 256 * 1024 -- of one txn: steps, bytes

-- Parents before children, and never in one txn with them: a txn finds its parents there.
local function batches(list)
    local by_depth, depths = {}, {}
    for _, item in ipairs(list) do
        local _, depth = item.path:gsub("/", "")
        if not by_depth[depth] then
            by_depth[depth], depths[#depths + 1] = {}, depth
        end
        table.insert(by_depth[depth], item)
    end
    table.sort(depths)
    return coroutine.wrap(function()
        for _, depth in ipairs(depths) do
            local batch, bytes = {}, 0
            for _, item in ipairs(by_depth[depth]) do
                local size = #item.path + #item.value
                if #batch == most or #batch > 0 and bytes + size > largest then
                    coroutine.yield(batch)
                    batch, bytes = {}, 0
                end
                batch[#batch + 1], bytes = item, bytes + size
            end
            coroutine.yield(batch)
        end
    end)
end

-- All of the plan, guarded by what was seen: whoever writes meanwhile is not overwritten.
local function write(registry, list, progress)
    local done = 0
    for batch in batches(list) do
        local txn = registry:txn()
        for _, item in ipairs(batch) do
            if item.version then
                txn:set(item.path, item.value, { version = item.version })
            else
                txn:create(item.path, item.value)
            end
        end
        local ok, err = txn:commit()
        if not ok then
            return nil, err, done
        end
        done = done + #batch
        progress(done)
    end
    return done
end

local function agreed(args, replace)
    if args.keep or #replace == 0 then
        return true
    end
    name_some(args, replace, "is there with another value")
    return show.confirm(args, ("replace %d entr%s that %s there"):format(#replace, #replace == 1 and "y" or "ies",
        #replace == 1 and "is" or "are"))
end

local function carry_out(args, registry, what)
    local list = table.move(what.create, 1, #what.create, 1, {})
    if not args.keep then
        table.move(what.replace, 1, #what.replace, #list + 1, list)
    end
    local progress, finish = show.progress(args, "imported", #list)
    local done, err, before = write(registry, list, progress)
    finish()
    if not done then
        return client.fail(err, ("stopped after %d of %d entries"):format(before, #list))
    end
    name_some(args, what.refused, "is an ephemeral there; not touched")
    show.remark(args, "%d created, %d replaced, %d the same already, %d left alone", #what.create,
        args.keep and 0 or #what.replace, what.same, #what.refused + (args.keep and #what.replace or 0))
    return (#what.refused > 0 or args.keep and #what.replace > 0) and cli.exit.conflict or cli.exit.ok
end

function M.run(args)
    return client.guarded(function()
        local items, err = M.read(show.input(args.file):gmatch "[^\n]*", args.under)
        if not items then
            cli.complain("%s: %s; nothing was written", args.file or "standard input", err)
            return cli.exit.usage
        end
        return client.with(args, { creates = true }, function(registry)
            local what = plan(registry, items)
            if args.dry_run then
                name_some(args, what.replace, "would be replaced")
                name_some(args, what.refused, "is an ephemeral there; it would not be touched")
                show.write(("%d would be created, %d replaced, %d are the same already, %d left alone\n"):format(
                    #what.create, #what.replace, what.same, #what.refused))
                return (#what.replace > 0 or #what.refused > 0) and cli.exit.conflict or cli.exit.ok
            elseif not agreed(args, what.replace) then
                return cli.exit.conflict
            end
            return carry_out(args, registry, what)
        end)
    end)
end

return M
