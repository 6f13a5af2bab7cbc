-- Paths into JSON: `a.b` is the field `b` of the object in the field `a`, `items[].id` the field `id` of each item of a
-- list. A backslash takes what follows for a part of a name: `a\.b`.

local M = {}

-- Stands for "each item" among the names of a path.
M.EACH = setmetatable({}, { __name = "moongate.transform.Each" })

local MAX_LENGTH, MAX_PARTS = 1024, 24

-- The name at byte `at`, and where it ends.
local function read_name(text, at)
  local out = {}
  while at <= #text do
    local c = text:sub(at, at)
    if c == "." or c == "[" then break end
    if c == "\\" then
      at = at + 1
      c = text:sub(at, at)
      if c == "" then return nil end
    end
    out[#out + 1] = c
    at = at + 1
  end
  if #out == 0 then return nil end
  return table.concat(out), at
end

-- "items[].id" -> { "items", EACH, "id" }, or nil and what is wrong.
function M.parse(text)
  if #text > MAX_LENGTH then return nil, ("a path may have %d bytes"):format(MAX_LENGTH) end
  local fault = ("'%s' is no path like a.b or items[].id"):format(text)
  local out, at = {}, 1
  while at <= #text do
    if text:sub(at, at + 1) == "[]" then
      out[#out + 1] = M.EACH
      at = at + 2
    else
      if at > 1 then
        if text:sub(at, at) ~= "." then return nil, fault end
        at = at + 1
      end
      local name, after = read_name(text, at)
      if not name then return nil, fault end
      out[#out + 1] = name
      at = after
    end
  end
  if #out == 0 then return nil, fault end
  if #out > MAX_PARTS then return nil, ("'%s' is deeper than %d"):format(text, MAX_PARTS) end
  return out
end

return M
