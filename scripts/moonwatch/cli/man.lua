local cli = require "moonwatch.cli"

local M = {
    summary = "Print the manual page: moonwatch man | man -l -",
    description = "In roff, from the same definitions as --help and the completion.",
}

function M.configure() end

local function escape(text)
    return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1"))
end

-- "-o FORMAT, --output FORMAT" in bold and italics.
local function label(element)
    local names = {}
    for _, text in ipairs(element:_get_label_lines()) do
        names[#names + 1] = escape(text:match "^%s*(.-),?$"):gsub("<([%w_ -]+)>", "\\fI%1\\fB")
    end
    return "\\fB" .. table.concat(names, ", ") .. "\\fR"
end

local function elements(out, list)
    for _, element in ipairs(list) do
        local text = element._description or ""
        if element._choices then
            text = text .. (text == "" and "" or " ") .. "One of " .. table.concat(element._choices, ", ") .. "."
        end
        out[#out + 1] = (".TP\n%s\n%s"):format(label(element), escape(text))
    end
end

local function command_section(out, command)
    local usage = command:get_usage():gsub("^Usage: ", ""):gsub("%s+", " ")
    out[#out + 1] = (".SS %s\n%s\n.PP\n.RS\n%s\n.RE"):format(command._name, escape(command._summary), escape(usage))
    if command._description ~= command._summary then
        out[#out + 1] = ".PP\n" .. escape(command._description)
    end
    elements(out, command._arguments)
    elements(out, command._options)
    local examples = require("moonwatch.cli.examples")[command._name]
    if examples then
        out[#out + 1] = ".PP\nExamples:\n.RS\n.nf\n" .. escape(table.concat(examples, "\n")) .. "\n.fi\n.RE"
    end
end

local environment = {
    { "MOONWATCH_REGISTRY", "The registry, as \\-\\-backend takes it, where the command line names none." },
    { "MOONWATCH_BACKENDS", "Directories of loadable backends, colon-separated." },
    { "MOONWATCH_HISTORY", "The file of the shell's history." },
    { "NO_COLOR", "When set: no colour." },
}

--- The manual page.
---@return string
function M.page()
    local parser = cli.parser(cli.commands)
    local out = {
        (".TH MOONWATCH 1 \"\" \"moonwatch %s\" \"Moonwatch\""):format(require("moonwatch").version),
        ".SH NAME\nmoonwatch \\- " .. escape(parser._description),
        ".SH SYNOPSIS\n.B moonwatch\n.I command\n[\\fIoptions\\fR] ...\n.br\n.B moonwatch\n.I script.lua",
        ".SH COMMANDS",
    }
    for _, command in ipairs(parser._commands) do
        command_section(out, command)
    end
    out[#out + 1] = ".SH EXIT STATUS"
    for _, meaning in ipairs(cli.exit_meanings) do
        out[#out + 1] = (".TP\n.B %d\n%s"):format(meaning[1], escape(meaning[2]))
    end
    out[#out + 1] = ".SH ENVIRONMENT"
    for _, variable in ipairs(environment) do
        out[#out + 1] = (".TP\n.B %s\n%s"):format(variable[1], variable[2])
    end
    return table.concat(out, "\n") .. "\n"
end

function M.run()
    io.write(M.page())
end

return M
