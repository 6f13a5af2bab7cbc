-- What a condition (`when`) says to a request of which only the head is known: no step has run, no body is read, there
-- is no response yet.
--
--     local holds, reads, why = condition.ask(when, req, mg)
--
-- `when` is the compiled condition, a function of (req, res, mg). `holds` is true or false as long as the head alone
-- decides; else nil, and `why` tells. `reads` are the names that it looked at: { "req.method", "req:header" }. What
-- stands behind `and` and `or` is looked at only where it counts, so `req.method ~= "GET" and req.auth ...` is false
-- for a GET, whoever sends it.

local M = {}

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

local OF_THE_HEAD = set [[method scheme host port path raw_path query version client_ip client_port tls route params
service peer_trusted header header_values headers arg args cookie expr]]
local OF_STEPS = set "auth ctx"
local BODY = set "text json chunks form"
-- The same answer whenever they are asked.
local CONSTANT = set "json ip url regex key crypto"

local Untold = {}

local function untold(why)
  error(setmetatable({ why = why }, Untold), 0)
end

local function why_unknown(name)
  if OF_STEPS[name] then return ("req.%s is set by steps, which have not run"):format(name) end
  if BODY[name] then return ("req:%s reads the body, which is not known"):format(name) end
  return ("req.%s is not known before the request comes"):format(name)
end

-- `${auth.subject}` and its kin in a template are of steps, too.
local function check_template(template)
  for name in tostring(template):gmatch "%${%s*(%w+)" do
    if OF_STEPS[name] or name == "claims" then untold(("${%s} is set by steps, which have not run"):format(name)) end
  end
end

local function watched_request(req, note)
  return setmetatable({}, {
    __index = function(_, name)
      local value = OF_THE_HEAD[name] and req[name]
      note((type(value) == "function" and "req:" or "req.") .. tostring(name))
      if not OF_THE_HEAD[name] then untold(why_unknown(name)) end
      if type(value) ~= "function" then return value end
      return function(_, ...)
        if name == "expr" then check_template((...)) end
        return value(req, ...)
      end
    end,
  })
end

local function watched_module(mg, note)
  return setmetatable({}, {
    __index = function(_, name)
      note("mg." .. tostring(name))
      if not CONSTANT[name] then untold(("mg.%s may say something else each time"):format(tostring(name))) end
      return mg[name]
    end,
  })
end

local function no_response(note)
  return setmetatable({}, {
    __index = function(_, name)
      note("res." .. tostring(name))
      untold "there is no response yet"
    end,
  })
end

function M.ask(when, req, mg)
  local reads, seen = {}, {}
  local function note(name)
    if not seen[name] then reads[#reads + 1] = name end
    seen[name] = true
  end
  local ok, value = pcall(when, watched_request(req, note), no_response(note), watched_module(mg, note))
  if ok then return value and true or false, reads end
  if getmetatable(value) == Untold then return nil, reads, value.why end
  return nil, reads, "it fails: " .. tostring(value):match "^[^\n]*"
end

return M
