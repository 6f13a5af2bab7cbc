-- A program that a spec runs: started, signalled and waited for through a shell, for Lua itself can do none of these.
--
-- The shell closes what the program should not inherit (the spec's own sockets), forwards the signals it is told on its
-- standard input, and leaves the exit status in a file. When the spec ends, however it ends, the program is killed.

local loop = require "moongate.e2e.loop"

local M = {}

local KEEPER = [[
dir=$1; shift
for fd in /proc/self/fd/*; do
  fd=${fd##*/}
  [ "$fd" -le 2 ] || eval "exec $fd>&-"
done 2>/dev/null
exec 3<&0
"$@" </dev/null >"$dir/stdout" 2>"$dir/stderr" 3<&- &
pid=$!
{ while read -r sig; do kill -s "$sig" $pid; done; kill -s KILL $pid; } <&3 >/dev/null 2>&1 &
keeper=$!
exec 3<&-
echo $pid >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
wait $pid; status=$?
echo $status >"$dir/status.new" && mv "$dir/status.new" "$dir/status"
kill $keeper 2>/dev/null
exit 0
]]

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

M.read = read

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function quote(text)
  return "'" .. tostring(text):gsub("'", [['\'']]) .. "'"
end

-- A new empty folder.
function M.folder()
  local pipe = assert(io.popen("mktemp -d", "r"))
  local path = pipe:read("l")
  pipe:close()
  return assert(path, "no temporary folder")
end

function M.make_folder(path)
  assert(os.execute("mkdir -p " .. quote(path)))
end

function M.remove_folder(path)
  os.execute("rm -rf " .. quote(path))
end

function M.signal(pid, name)
  assert(os.execute(("kill -s %s %d"):format(name, pid)))
end

-- One that has ended, and waits for its parent, does not.
function M.lives(pid)
  local state = (read(("/proc/%d/stat"):format(pid)) or ""):match "%) (%a)"
  return state ~= nil and state ~= "Z" and state ~= "X"
end

-- How much time of processors it has taken so far, in seconds: what a busy machine does not change.
function M.cpu_seconds(pid)
  local stat = assert(read(("/proc/%d/stat"):format(pid)), "no such process")
  local user, system = stat:match("^.*%) %a" .. (" %-?%d+"):rep(10) .. " (%d+) (%d+)")
  return (user + system) / 100 -- USER_HZ
end

-- How many descriptors a process has open.
function M.descriptors(pid)
  local pipe = assert(io.popen(("ls /proc/%d/fd | wc -l"):format(pid)))
  local count = tonumber(pipe:read "a")
  pipe:close()
  return count
end

local Process = {}
Process.__index = Process

-- Starts a program; its output and status are kept in `folder`. `env` is added to the environment.
function M.start(folder, program, args, env)
  local words = { "exec bash -c", quote(KEEPER), "keeper", quote(folder) }
  if env and next(env) then
    words[#words + 1] = "env"
    for name, value in pairs(env) do words[#words + 1] = quote(name .. "=" .. value) end
  end
  words[#words + 1] = quote(program)
  for _, arg in ipairs(args) do words[#words + 1] = quote(arg) end
  local self = setmetatable({ folder = folder }, Process)
  self.pipe = assert(io.popen(table.concat(words, " "), "w"))
  self.pipe:setvbuf("no")
  self.pid = loop.until_true(function()
    return tonumber(read(folder .. "/pid") or "")
  end) or error("cannot start " .. program)
  return self
end

function Process:stdout()
  return read(self.folder .. "/stdout") or ""
end

function Process:stderr()
  return read(self.folder .. "/stderr") or ""
end

-- Its exit status, 128 and the number for a signal; nil while it runs.
function Process:status()
  self.known_status = self.known_status or math.tointeger(tonumber(read(self.folder .. "/status") or ""))
  return self.known_status
end

function Process:signal(name)
  if not self:status() then self.pipe:write(name, "\n") end
end

-- Waits for its end; nil when it does not come in time.
function Process:wait(seconds)
  return loop.until_true(function() return self:status() end, seconds) or nil
end

function Process:kill()
  if not self:status() then
    self:signal("KILL")
    self:wait()
  end
  self.pipe:close()
end

return M
