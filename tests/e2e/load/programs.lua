-- Load from programs beside the spec, so that it is steady whatever the spec does: see requests.lua and tunnels.lua.

local loop = require "moongate.e2e.loop"
local process = require "moongate.e2e.process"
local scope = require "moongate.e2e.scope"

local M = {}

local HERE = debug.getinfo(1, "S").source:match "^@(.*)programs.lua$"

local Load = {}
Load.__index = Load

-- Each connection is a descriptor, and shells begin with few.
local SHELL = 'ulimit -n "$(ulimit -H -n)"; exec lua5.4 "$@"'

local function start(script, ...)
  local self = setmetatable({ folder = process.folder() }, Load)
  self.file = self.folder .. "/stop"
  self.process = process.start(self.folder, "bash", { "-c", SHELL, "load", HERE .. script, self.file, ... })
  return scope.add(self)
end

-- Waits until it has said something that matches; gives the match.
function Load:wait_for(pattern, seconds)
  local said = loop.until_true(function()
    return self.process:stdout():match(pattern) or self.process:status() and "ended"
  end, seconds)
  if not said or said == "ended" then error("the load does not run: " .. self.process:stderr(), 2) end
  return said
end

-- Ends the load. Gives { requests =, failed =, faults = text }.
function Load:stop(seconds)
  process.write(self.file, "")
  local status = self.process:wait(seconds or 60)
  local said = self.process:stdout()
  if status ~= 0 then error("the load has fallen: " .. self.process:stderr(), 2) end
  local out = { faults = said:match "fault:.*" or "" }
  for name, value in said:gmatch "(%w+)=(%d+)" do out[name] = tonumber(value) end
  return out
end

function Load:close()
  self.process:kill()
  process.remove_folder(self.folder)
end

-- options: connections, rate (requests a second on them), new (connections a second with one request each).
function M.requests(port, options)
  local self = start("requests.lua", port, options.connections, options.rate, options.new)
  self:wait_for "running"
  return self
end

-- options: count, rate (times a second that one of them is used). Member: address, of the backend of the tunnels. They
-- open with load:open(port).
function M.tunnels(options)
  local self = start("tunnels.lua", options.count, options.rate)
  self.address = "127.0.0.1:" .. self:wait_for "listening on (%d+)"
  return self
end

function Load:open(port)
  process.write(self.file .. ".new", tostring(port))
  assert(os.rename(self.file .. ".new", self.file .. ".port"))
  self:wait_for("running", 60)
end

return M
