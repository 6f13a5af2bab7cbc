-- Who the client is, by a signature of its request (RFC 9421) with a secret that it shares with the gateway.
--
-- Of what the RFC leaves open only the plain forms are taken: one signature, canonical text, no parameters of
-- components. So what was signed is what came, byte for byte, and nothing has two readings.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "hmac-auth", version = "1.0.0",
  summary = "Lets clients in by a signature of their request, and knows them by it",
  provides = { "identity" }, guard = true, body = { request = "buffer" },
}

local SECRET_BYTES_MIN = 16
local NONCE_MAX = 128
local COMPONENTS_MAX = 32
local ALGORITHM = "hmac-sha256"

-- ------------------------------------------------------------------------------------------------ components

-- RFC 9421 2.2.3: lower case, without the scheme's own port.
local function authority(req)
  local host = (req:header "Host" or ""):lower()
  return (host:gsub(req.scheme == "https" and ":443$" or ":80$", ""))
end

-- Path and query, as the request line has them.
local function target(req)
  return req.raw_path .. (req.query and "?" .. req.query or "")
end

local DERIVED = {
  ["@method"] = function(req) return req.method end,
  ["@authority"] = authority,
  ["@scheme"] = function(req) return req.scheme end,
  ["@path"] = function(req) return req.raw_path end,
  ["@query"] = function(req) return "?" .. (req.query or "") end,
  ["@request-target"] = target,
  ["@target-uri"] = function(req) return req.scheme .. "://" .. authority(req) .. target(req) end,
}

local function is_component(name)
  return DERIVED[name] ~= nil or name:find "^[a-z0-9!#$%%&'*+.^_`|~-]+$" ~= nil
end

M.schema = s.record {
  consumers = s.list(s.string { len = { 1, 128 } }, { single = true, len = { 1, 10000 },
    help = "names of those who may come in; all that have a secret when left out" }),
  components = s.list(s.string { len = { 1, 128 } }, { single = true, len = { 0, COMPONENTS_MAX },
    default = { "@method", "@authority", "@path", "@query" },
    help = "what a signature must cover: fields, @method, @authority, @scheme, @path, @query, @request-target, "
      .. "@target-uri" }),
  digest = s.boolean { default = true, help = "bodies must be covered, by content-digest" },
  max_age = s.duration { default = "5m", gt = 0, le = 86400, help = "how old a signature may be" },
  leeway = s.duration { default = "5s", le = 60, help = "by how much clocks may differ" },
  replay = s.boolean { default = false, help = "take the same nonce, or signature without one, again and again" },
  realm = s.string { default = "moongate", match = "^[^%c\"\\\127-\255]+$", help = "what WWW-Authenticate says" },
  optional = s.boolean { default = false, help = "true: requests without a signature go on, unknown" },
}:check(function(conf)
  for _, name in ipairs(conf.components) do
    if not is_component(name) then return ("'%s' is no component"):format(name), "components" end
  end
end)

-- ------------------------------------------------------------------------------------------------ what is signed

-- RFC 9421 2.1; nil: there is no such field.
local function field(req, name)
  local values = req:header_values(name)
  if #values == 0 then return nil end
  for i, value in ipairs(values) do values[i] = value:match "^[ \t]*(.-)[ \t]*$" end
  return table.concat(values, ", ")
end

-- RFC 9421 2.5; nil and what is wrong.
local function base_of(req, input)
  local lines = {}
  for i, name in ipairs(input.components) do
    local derive = DERIVED[name] or field
    local value = derive(req, name)
    if not value then return nil, "it covers what is not there" end
    lines[i] = ('"%s": %s'):format(name, value)
  end
  lines[#lines + 1] = '"@signature-params": ' .. input.text
  return table.concat(lines, "\n")
end

-- ------------------------------------------------------------------------------------------------ the two fields

local function integer(text)
  return #text <= 15 and text:find "^%d+$" and math.tointeger(tonumber(text)) or nil
end

-- RFC 9651 3.3.3 without escapes.
local function text_value(text)
  return text:match '^"([^"\\%c\128-\255]*)"$'
end

local PARAMETERS = {
  created = integer, expires = integer, nonce = text_value, alg = text_value, keyid = text_value, tag = text_value,
}

-- Text in quotes may have semicolons, and nothing else does.
local function parameters(text)
  local found, at = {}, 1
  while at <= #text do
    local name, value, after = text:match('^;([a-z]+)=("[^"]*")()', at)
    if not name then name, value, after = text:match("^;([a-z]+)=(%d+)()", at) end
    local read = name and PARAMETERS[name]
    if not read or found[name] ~= nil then return nil end
    found[name] = read(value)
    if found[name] == nil then return nil end
    at = after
  end
  return found
end

-- The names in `"a" "b"`; nil when there is anything else in it, or one stands there twice (RFC 9421 2).
local function components(text)
  local names, at = {}, 1
  while at <= #text do
    local name, after = text:match('^"([^"]+)"()', at)
    if not name or names[name] or not is_component(name) or #names == COMPONENTS_MAX then return nil end
    names[#names + 1], names[name] = name, true
    if after <= #text then
      if text:sub(after, after) ~= " " or after == #text then return nil end
      after = after + 1
    end
    at = after
  end
  return names
end

local LABEL = "^([a-z*][a-z0-9_.*-]*)="

-- { label, text, components, and the parameters }, or nil.
local function read_input(value)
  local label, at = value:match(LABEL .. "()")
  local text = label and value:sub(at)
  local list, rest = (text or ""):match "^%(([^()]*)%)(.*)$"
  local input = rest and parameters(rest)
  if not input then return nil end
  input.components = components(list)
  input.label, input.text = label, text
  return input.components and input or nil
end

local function read_signature(value, label)
  local name, encoded = value:match(LABEL .. ":([%w+/=]*):$")
  return name == label and mg.crypto.base64.decode(encoded) or nil
end

-- ------------------------------------------------------------------------------------------------ the body

local DIGESTS = { ["sha-256"] = mg.crypto.sha256, ["sha-512"] = mg.crypto.sha512 }

-- Whether Content-Digest (RFC 9530 2) is the body's: one algorithm at least that we know, and all of these.
local function digest_fits(value, body)
  local known = 0
  for member in (value .. ","):gmatch "[ \t]*([^,]-)[ \t]*," do
    local name, encoded = member:match "^([a-z0-9-]+)=:([%w+/=]*):$"
    if not name then return false end
    local digest = DIGESTS[name]
    if digest then
      known = known + 1
      if mg.crypto.base64.decode(encoded) ~= digest(body, "raw") then return false end
    end
  end
  return known > 0
end

-- ------------------------------------------------------------------------------------------------ consumers

local function secrets_of(conf)
  local by_name, count, wanted = {}, 0, nil
  if conf.consumers then
    wanted = {}
    for _, name in ipairs(conf.consumers) do wanted[name] = true end
  end
  for _, consumer in ipairs(mg.consumers()) do
    if wanted and wanted[consumer.name] and not consumer.secret then
      error(("consumer '%s' has no secret"):format(consumer.name), 0)
    end
    if consumer.secret and (not wanted or wanted[consumer.name]) then
      consumer.key = mg.secret(consumer.secret)
      if #consumer.key < SECRET_BYTES_MIN then
        error(("the secret of '%s' has less than %d bytes"):format(consumer.name, SECRET_BYTES_MIN), 0)
      end
      by_name[consumer.name], count = consumer, count + 1
    end
  end
  for _, name in ipairs(conf.consumers or {}) do
    if not by_name[name] then error(("unknown consumer '%s'"):format(name), 0) end
  end
  if count == 0 then error("no consumer has a secret", 0) end
  return by_name
end

local function copy(list)
  return table.move(list, 1, #list, 1, {})
end

local function identity(consumer)
  return {
    scheme = "hmac", subject = consumer.name, scopes = {}, roles = copy(consumer.roles),
    claims = { groups = copy(consumer.groups) },
  }
end

-- ------------------------------------------------------------------------------------------------ rules

-- What is wrong with the times; nil: nothing.
local function time_fault(conf, input, now)
  if not input.created then return "it has no 'created'" end
  if input.created > now + conf.leeway then return "it is of the future" end
  if input.created + conf.max_age + conf.leeway <= now then return "it is too old" end
  if input.expires and input.expires + conf.leeway <= now then return "it has expired" end
end

local function coverage_fault(conf, input, body)
  for _, name in ipairs(conf.components) do
    if not input.components[name] then return ("it does not cover '%s'"):format(name) end
  end
  if conf.digest and body ~= "" and not input.components["content-digest"] then
    return "it does not cover the body"
  end
end

local function body_fault(req, body)
  local value = req:header "Content-Digest"
  if value and not digest_fits(field(req, "Content-Digest"), body) then return "the body is another one" end
end

local function form_fault(input)
  if input.alg and input.alg ~= ALGORITHM then return "its algorithm is another one" end
  if not input.keyid then return "it has no 'keyid'" end
  if input.nonce and (input.nonce == "" or #input.nonce > NONCE_MAX) then return "its nonce is empty or too long" end
end

-- ------------------------------------------------------------------------------------------------ the step

function M.new(conf)
  local by_name, seen = secrets_of(conf), mg.shared "hmac-auth"
  local nobody = { key = mg.crypto.random(32) } -- for names that nobody has: as much work as for the others
  local challenge = ('Signature realm="%s"'):format(conf.realm)

  local function refuse(status, slug, detail)
    return mg.problem(status, slug, detail, { headers = { ["WWW-Authenticate"] = challenge } })
  end

  local function invalid(reason)
    mg.log.info("signature refused", { reason = reason })
    return refuse(401, "signature-invalid", "The signature is not accepted here: " .. reason)
  end

  local function is_replay(consumer, input, signature)
    if conf.replay then return false end
    local left = input.created + conf.max_age + conf.leeway - mg.now()
    return not seen:add(mg.key(consumer.name, input.nonce and "n" or "s", input.nonce or signature), true, left + 1)
  end

  -- The consumer; or nil and what is wrong.
  local function verify(req, input, signature, body)
    local fault = form_fault(input) or time_fault(conf, input, mg.now()) or coverage_fault(conf, input, body)
    if fault then return nil, fault end
    local base, missing = base_of(req, input)
    if not base then return nil, missing end
    local consumer = by_name[input.keyid] or nobody
    local same = mg.crypto.equal(mg.crypto.hmac_sha256(consumer.key, base, "raw"), signature)
    if not same or consumer == nobody then return nil, "it is not that of its 'keyid'" end
    fault = body_fault(req, body)
    if fault then return nil, fault end
    if is_replay(consumer, input, signature) then return nil, "it was used before" end
    return consumer
  end

  return { request = function(req)
    local input_text, signature_text = req:header "Signature-Input", req:header "Signature"
    if not input_text and not signature_text then
      if conf.optional then return end
      return refuse(401, "signature-required", "A signature is required here")
    end
    local input = input_text and read_input(input_text)
    local signature = input and signature_text and read_signature(signature_text, input.label)
    if not signature then return refuse(400, "signature-malformed", "The signature cannot be read") end
    local body, err = req:text()
    if not body then
      if err.code == "too_large" then
        return mg.problem(413, "body-too-large", "The body is too large to be verified")
      end
      return mg.problem(400, "body-incomplete", "The body cannot be read")
    end
    local consumer, reason = verify(req, input, signature, body)
    if not consumer then return invalid(reason) end
    req.auth = identity(consumer)
  end }
end

return M
