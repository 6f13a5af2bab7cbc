-- What `moongate test` does in its Lua state: finds busted, runs it with the given arguments, gives the exit status.
-- The chunk is called `moongate test`; its arguments are those of the command line.

local parser = require "moongate.test.options"
local options, misuse = parser.parse { ... }
if not options then
  io.stderr:write("moongate test: ", misuse, "\n")
  return 2
end

local found, run = pcall(require, "busted.runner")
if not found then
  if not tostring(run):find("module 'busted.runner' not found", 1, true) then error(run, 0) end
  io.stderr:write("moongate test: busted is not installed for Lua 5.4 (Debian: apt install lua-busted)\n")
  return 1
end

-- os.exit ends the run, not the process: what is open must be closed. In a spec it is an error of that spec.
local Exit = { __tostring = function(e) return ("os.exit(%d) was called"):format(e.status) end }

local stock_exit = os.exit
os.exit = function(status) -- luacheck: ignore
  if status == nil or status == true then status = 0 elseif status == false then status = 1 end
  error(setmetatable({ status = status }, Exit), 0)
end

-- Runs specs, as busted does with these arguments. Gives the exit status.
local function run_specs(args)
  -- It is Lua 5.4 that runs, whatever `.busted` asks for.
  _G.arg = { [0] = "moongate test", "--ignore-lua", table.unpack(args) }
  -- Loaded before the specs, so that busted does not load it anew for each file.
  require "moongate.test"
  local ok, fault = xpcall(function()
    run { standalone = false }
    return nil -- no tail call: busted asks who has called it
  end, function(e)
    return getmetatable(e) == Exit and e or debug.traceback(tostring(e), 2)
  end)
  if ok then return 0 end
  if getmetatable(fault) ~= Exit then
    io.stderr:write("moongate test: ", tostring(fault), "\n")
    return 1
  end
  return fault.status
end

-- ------------------------------------------------------------------------------------------------ options of our own

local coverage = require "moongate.test.coverage"
coverage.offer(options)

local function run_measured()
  local status = run_specs(options.rest)
  return not coverage.report() and status == 0 and 1 or status
end

-- Gives the exit status.
local function run_wanted()
  if options.help then
    local status = run_specs(options.rest)
    io.stderr:write("\n", parser.help)
    return status
  end
  if not options.mutate and not options.watch then return run_measured() end
  for _, folder in ipairs(options.folders) do assert(require "lfs".chdir(folder)) end
  if options.watch then return require "moongate.test.watch"(options, run_measured, stock_exit) end
  return require "moongate.test.mutate"(options, run_specs, stock_exit)
end

local status = run_wanted()
os.exit = stock_exit -- luacheck: ignore
return status
