-- Secrets that a spec gives as texts. A config has none (it only says where they are), so for as long as a gateway is
-- being made they lie in files that nobody else can read.

local M = {}

local function write(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text, "\n") -- which ends a file of a secret, and is no part of it
  file:close()
  return path
end

-- Calls fn(places), which gives the `secrets` of a config for these texts by name; removes the files, whatever becomes
-- of it. Gives what fn gives.
function M.with(texts, fn)
  local places, paths = {}, {}
  local results = table.pack(pcall(function()
    for name, text in pairs(texts) do
      if type(text) ~= "string" then error(("secrets: '%s': expected a text, got a %s"):format(name, type(text)), 0) end
      paths[#paths + 1] = write(text)
      places[name] = { file = paths[#paths] }
    end
    return fn(places)
  end))
  for _, path in ipairs(paths) do os.remove(path) end
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return M
