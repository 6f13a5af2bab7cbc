-- What was opened in a block of a spec is closed at its end: in `it` at the end of that test, else at the end of the
-- `describe` or file.
--
-- Works by busted's events. `before_each` cannot be told from `setup`: what it opens lives as long as the block.

local busted = require "busted"

local M = {}

local scopes = { {} } -- innermost last

local function close_all(scope)
  local faults = {}
  for i = #scope, 1, -1 do
    local ok, fault = pcall(scope[i].close, scope[i])
    if not ok then faults[#faults + 1] = tostring(fault) end
    scope[i] = nil
  end
  if #faults > 0 then error(table.concat(faults, "\n"), 0) end
end

local function leave()
  local scope = table.remove(scopes)
  close_all(scope)
end

-- Enters `item`, which has a method `close`, into the block that is running.
function M.add(item)
  local scope = scopes[#scopes]
  scope[#scope + 1] = item
  return item
end

-- A test's end is too late for a failure: its result stands by then. `finally` is not.
local function enter_test(element)
  local scope = {}
  scopes[#scopes + 1] = scope
  local of_spec
  element.env.finally(function()
    if of_spec then of_spec() end
    close_all(scope)
  end)
  element.env.finally = function(fn) of_spec = fn end
end

-- The logs of what runs, when something failed: the cause is often there.
local function show_logs(_, _, message)
  for _, scope in ipairs(scopes) do
    for _, item in ipairs(scope) do
      if item.on_failure then item:on_failure(message) end
    end
  end
  return nil, true
end

local function on(channel, fn)
  busted.subscribe(channel, function(...)
    fn(...)
    return nil, true
  end)
end

for _, block in ipairs { "file", "describe" } do
  on({ block, "start" }, function() scopes[#scopes + 1] = {} end)
  on({ block, "end" }, leave)
end
-- Pending tests have no environment of their own, and open nothing.
on({ "test", "start" }, function(element)
  if element.env and rawget(element.env, "finally") then enter_test(element) else scopes[#scopes + 1] = {} end
end)
on({ "test", "end" }, leave)
busted.subscribe({ "failure" }, show_logs)
busted.subscribe({ "error" }, show_logs)

return M
