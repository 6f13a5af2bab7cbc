-- What lies around a spec: its policies, and the modules that these use. Loading it lets `require` find them.

local SEARCHES = "moongate.test.around" -- in the registry, for busted loads modules anew for each file

local M = {}

-- The folders where policies of the spec that runs are looked for: beside it, below it, next to its folder; ./policies.
function M.folders()
  local out = {}
  for level = 2, 50 do
    local info = debug.getinfo(level, "S")
    if not info then break end
    local folder = info.source:match "^@(.*)_spec%.lua$"
    if folder then
      folder = folder:match "^(.*)/" or "."
      for _, more in ipairs { "", "/..", "/policies", "/../policies" } do out[#out + 1] = folder .. more end
      break
    end
  end
  out[#out + 1] = "policies"
  return out
end

local function readable(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- A searcher: require "x" in a spec, or in a policy that a spec requires.
local function search(name)
  if not name:find "^[%w_-][%w_.-]*$" or name:find "^moongate%f[.%z]" then return nil end
  local file = name:gsub("%.", "/")
  for _, folder in ipairs(M.folders()) do
    for _, path in ipairs { ("%s/%s.lua"):format(folder, file), ("%s/%s/%s.lua"):format(folder, file, file) } do
      if readable(path) then return assert(loadfile(path, "t")), path end
    end
  end
  return ("no policy or module '%s' around the spec"):format(name)
end

local registry = debug.getregistry()
if not registry[SEARCHES] then
  registry[SEARCHES] = true
  table.insert(package.searchers, #package.searchers, search) -- before the built-in policies, which come last
end

return M
