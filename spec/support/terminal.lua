-- A real terminal: tmux types the keys and captures the screen.
local Program = require "support.program"

---@class support.Terminal
---@field p support.Program     whose folder the program runs in
local Terminal = {}
Terminal.__index = Terminal

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

---@param p support.Program
---@param name string?         of a second terminal beside the first
---@return support.Terminal
function Terminal.new(p, name)
  return setmetatable({ p = p, socket = p.folder .. "/" .. (name or "tmux") }, Terminal)
end

-- tmux itself does not survive a preloaded AddressSanitizer; what it starts gets it again (see start).
local function tmux(self, arguments)
  local command = ("cd %s && env -u LD_PRELOAD tmux -S %s -f /dev/null %s 2>&1"):format(self.p.folder, self.socket,
    arguments)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

--- Run a shell command in a screen of 100 by 40, in the program's folder and with its registry.
---@param command string     "moonwatch shell"
function Terminal:start(command)
  local preload = os.getenv "LD_PRELOAD"
  local folder = self.p.folder
  local script = ("export HOME=%s MOONWATCH_HISTORY=%s/history XDG_RUNTIME_DIR=%s MOONWATCH_REGISTRY=%s TERM=screen; "
    .. "unset NO_COLOR; %s%s; echo $? >code; exec sleep 1000"):format(folder, folder, folder, quote(self.p.registry),
    preload and ("export LD_PRELOAD=%s; "):format(quote(preload)) or "", command)
  tmux(self, ("new-session -d -s main -x 100 -y 40 %s"):format(quote(script)))
end

--- Everything that appears from now on goes into the file `name` as well: also what is overwritten at once.
function Terminal:record(name) tmux(self, ("pipe-pane -t main %s"):format(quote("cat >" .. name))) end

--- Text as it is; `key` for those with names: Enter, Tab, C-c, C-d, Up.
function Terminal:type(text) tmux(self, "send-keys -t main -l " .. quote(text)) end
function Terminal:key(name) tmux(self, "send-keys -t main " .. name) end

function Terminal:line(text)
  self:type(text)
  self:key "Enter"
end

--- As from the clipboard: all at once.
function Terminal:paste(text)
  self.p:write("paste", text)
  tmux(self, "load-buffer paste")
  tmux(self, "paste-buffer -p -t main")
end

function Terminal:resize(columns, rows)
  tmux(self, ("resize-window -t main -x %d -y %d"):format(columns, rows))
end

--- What is on the screen; `options` of tmux's capture-pane: "-e" = with colours.
function Terminal:screen(options) return (tmux(self, "capture-pane -p -J -t main " .. (options or ""))) end

--- Waits until the screen holds `text` `times` times (default once).
function Terminal:sees(text, times)
  local last
  local ok = pcall(Program.eventually, text, function()
    last = self:screen()
    local count, at = 0, 1
    repeat
      local from, to = last:find(text, at, true)
      count, at = count + (from and 1 or 0), to and to + 1
    until not from
    return count >= (times or 1)
  end)
  assert(ok, ("the screen does not show %q:\n%s"):format(text, last))
end

--- Waits for the end of what was started: its exit code, and the last screen.
function Terminal:over()
  local code
  local ok = pcall(Program.eventually, "the end", function()
    code = self.p:read("code"):match "^(%d+)\n"
    return code
  end)
  local screen = self:screen()
  assert(ok, "the program in the terminal has not ended:\n" .. screen)
  self.p:write("code", "")
  tmux(self, "kill-session -t main")
  Program.eventually("tmux's end", function() -- the next start must not meet a server that is about to leave
    local told = tmux(self, "list-sessions")
    return told:find "no server" or told:find "error connecting"
  end)
  return tonumber(code), screen
end

function Terminal:finish() tmux(self, "kill-server") end
Terminal.__close = Terminal.finish

return Terminal
