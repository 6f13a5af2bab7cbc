-- Tells the backend in headers who the client is, and lets nobody else do so.

local mg, s = require "moongate", require "moongate.schema"
local headers, identity = require "moongate.auth.header", require "moongate.auth.identity"

local M = {
  name = "claim-to-header", version = "1.0.0", summary = "Tells the backend who the client is, in headers",
  needs = function(conf) return not conf.optional and { "identity" } or {} end,
}

local CLAIM = s.string { len = { 1, 256 } }

M.schema = s.record {
  claim = s.string { len = { 1, 256 }, help = "the claim; inside of others with dots: address.country; default: sub" },
  header = s.header_name { help = "that gets it; default: X-User-Id" },
  claims = s.map(s.header_name(), { keys = CLAIM, len = { 1, 100 },
    help = "several at once: each claim and its header" }),
  required = s.any_of { s.boolean(), s.list(CLAIM, { single = true }),
    default = false, help = "true: refuse who lacks one of them; or a list of those that must be there" },
  optional = s.boolean { default = false,
    help = "true: also where nobody has verified the client: then its own headers go, and none come" },
}:check(function(conf)
  if conf.optional and conf.required then return "has no meaning beside 'required'", "optional" end
  if conf.claims and conf.claim then return "is in 'claims', or alone, but not both", "claim" end
  if conf.claims and conf.header then return "stands in 'claims' beside its claim", "header" end
  local names = {}
  for _, header in pairs(conf.claims or { conf.header }) do
    local field = conf.claims and "claims" or "header"
    if headers.is_reserved(header) then return ("'%s' is written by the gateway itself"):format(header), field end
    for other in pairs(names) do
      if headers.is_same(header, other) then return ("'%s' comes twice"):format(header), field end
    end
    names[header] = true -- mutate: equal, only the key is looked at
  end
  for _, claim in ipairs(type(conf.required) == "table" and conf.required or {}) do
    local known = conf.claims and conf.claims[claim] or claim == (not conf.claims and (conf.claim or "sub"))
    if not known then return ("'%s' goes to no header"):format(claim), "required" end
  end
end)

-- ------------------------------------------------------------------------------------------------ values

-- What would not arrive as it is: control characters split messages, and blanks at the ends get lost, so that "ann "
-- would be "ann" for the backend.
local function is_safe(text)
  return not text:find("[\0-\8\10-\31\127]") and not text:find("^[ \t]") and not text:find("[ \t]$")
end

-- JSON has one kind of number: 42.0 is 42 as well.
local function scalar(value)
  local kind = type(value)
  if kind == "string" then return is_safe(value) and value or nil end
  if kind == "number" then return tostring(math.tointeger(value) or value) end
  if kind == "boolean" then return tostring(value) end
end

-- Items with a comma would look like two.
local function joined(list)
  local items = {}
  for i = 1, #list do
    local text = scalar(list[i])
    -- mutate: equal, a comma is no magic
    if not text or text == "" or text:find(",", 1, true) then return nil end
    items[i] = text
  end
  return table.concat(items, ", ")
end

-- The text for a header; nil when the value cannot stand in one.
local function text_of(value)
  if type(value) ~= "table" then return scalar(value) end
  if next(value) ~= nil and #value == 0 then return nil end
  return joined(value)
end

-- ------------------------------------------------------------------------------------------------ the step

local function is_required(required, claim)
  if type(required) ~= "table" then return required end
  for _, name in ipairs(required) do
    if name == claim then return true end
  end
  return false -- mutate: equal, nil is no either
end

local function compile(conf)
  local list = {}
  for claim, header in pairs(conf.claims or { [conf.claim or "sub"] = conf.header or "X-User-Id" }) do
    list[#list + 1] = {
      claim = claim, header = header, read = identity.reader(claim), required = is_required(conf.required, claim),
    }
  end
  table.sort(list, function(a, b) return a.claim < b.claim end) -- mutate: equal, no two are the same
  return list
end

local function missing(entry)
  return mg.problem(403, "missing-claim", "The identity has no claim '" .. entry.claim .. "'")
end

local function unusable(entry)
  mg.log.warn("a claim cannot stand in a header", { claim = entry.claim, header = entry.header })
  return mg.problem(403, "unusable-claim", "The claim '" .. entry.claim .. "' cannot be passed on")
end

function M.new(conf)
  local list = compile(conf)
  local any_required = conf.required == true or type(conf.required) == "table" and #conf.required > 0

  return { request = function(req)
    for i = 1, #list do req:del_header(list[i].header) end
    local auth = req.auth
    if not auth then
      if any_required then return identity.unauthenticated() end
      return
    end
    for i = 1, #list do
      local entry = list[i]
      local value = entry.read(auth)
      local text = value ~= nil and text_of(value)
      if text == nil then return unusable(entry) end
      if text and text ~= "" then
        req:set_header(entry.header, text)
      elseif entry.required then
        return missing(entry)
      end
    end
  end }
end

return M
