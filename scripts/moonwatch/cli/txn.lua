local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = {
    summary = "Check and write several entries, all or nothing.",
    description = "A step is an argument, or a line of standard input: \"check PATH [version=N|absent]\", \"create "
        .. "PATH [VALUE]\", \"put PATH [VALUE]\", \"set PATH [version=N] [VALUE]\", \"delete PATH [version=N]\"; "
        .. "VALUE is the rest of the step. Or a JSON object: {\"op\": \"put\", \"path\": \"/a\", \"value\": \"b\"}, "
        .. "with \"version\", \"absent\" and \"value_base64\".",
}

function M.configure(command)
    command:argument("step", "Default: the lines of standard input."):args "*"
    client.options(command, { output = true })
end

local ops = { check = true, create = true, put = true, set = true, delete = true }

-- "version=3 rest" -> 3, "rest"
local function take_version(text)
    local version, rest = text:match "^version=(%d+)%s?(.*)$"
    return math.tointeger(version), rest or text
end

local function from_words(text)
    local op, path, rest = text:match "^%s*(%a+)%s+(%S+)%s?(.*)$"
    if not op then
        return nil, "expected an operation and a path"
    end
    local step = { op = op, path = path }
    if op ~= "create" and op ~= "put" then
        step.version, rest = take_version(rest)
    end
    if op == "check" and rest:find "^absent%s*$" then
        step.absent, rest = true, ""
    end
    if (op == "check" or op == "delete") and rest:find "%S" then
        return nil, ("'%s' takes no '%s'"):format(op, rest)
    end
    step.value = rest
    return step
end

local function from_json(text)
    local step, err = require("moonwatch.json").decode(text)
    if type(step) ~= "table" then
        return nil, "no JSON object: " .. tostring(err)
    elseif type(step.path) ~= "string" or type(step.op) ~= "string" then
        return nil, "\"op\" and \"path\" are needed"
    end
    step.version = math.tointeger(step.version)
    if step.value_base64 then
        step.value, err = require("moonwatch.console.base64").decode(step.value_base64)
    end
    return not err and step, err
end

--- A step of its text, or nil, what is wrong.
function M.parse(text)
    local step, err
    if text:find "^%s*{" then
        step, err = from_json(text)
    else
        step, err = from_words(text)
    end
    if step and not ops[step.op] then
        local hint = require("moonwatch.suggest").hint(step.op, { "check", "create", "put", "set", "delete" })
        return nil, ("no operation '%s'%s"):format(step.op, hint)
    end
    return step or nil, err
end

local function steps_of(args)
    local texts, steps = args.step, {}
    if #texts == 0 then
        for line in show.input():gmatch "[^\n]+" do
            if line:find "%S" and not line:find "^%s*#" then
                texts[#texts + 1] = line
            end
        end
    end
    for i, text in ipairs(texts) do
        local step, err = M.parse(text)
        if not step then
            cli.complain("step %d: %s", i, err)
            client.leave(cli.exit.usage)
        end
        step.path, step.text = client.path(step.path), text
        steps[i] = step
    end
    return steps
end

local function add(txn, step)
    if step.op == "check" then
        txn:check(step.path, { version = step.version, absent = step.absent })
    elseif step.op == "delete" then
        txn:delete(step.path, { version = step.version })
    elseif step.op == "set" then
        txn:set(step.path, step.value or "", { version = step.version })
    else
        txn[step.op](txn, step.path, step.value or "")
    end
end

function M.run(args)
    return client.guarded(function()
        local steps = steps_of(args)
        return client.with(args, { creates = true }, function(registry)
            local txn = registry:txn()
            for _, step in ipairs(steps) do
                add(txn, step)
            end
            local done, err = txn:commit()
            if not done then
                return client.fail(err, err.step and ("step %d (%s)"):format(err.step, steps[err.step].text))
            elseif args.output then
                show.rows(args, done, views.written)
            elseif not args.quiet then
                show.write(("%d step%s, revision %d\n"):format(#steps, #steps == 1 and "" or "s", done.revision))
            end
        end)
    end)
end

return M
