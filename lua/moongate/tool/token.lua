-- What `moongate token` does in its Lua state: a JSON Web Token signed with a key of the config, to try a route with.
-- The chunk's arguments are those of the command line after `token`; it gives the exit status: 1 when there is no key
-- to sign with, 2 for wrong use.

require "moongate.core"

local document = require "moongate.config.document"
local kinds = require "moongate.config.kinds"
local mg = require "moongate"
local suggest = require "moongate.config.suggest"
local walk = require "moongate.config.walk"
local commands = require "moongate.tool.command"

local USAGE = [[
usage: moongate token [-c FILE] [--key NAME] [OPTION]... [CLAIM=VALUE]...

  writes a token signed with a key of the config, such as `moongate token userId=42 role=ADMIN`. A value is JSON where
  it can be read as such: 42, true, '["a","b"]', '"42"'; else it is the text itself

  -c FILE             the config; default moongate.yaml
  --key NAME          which of its keys; needed where there are several
  --private-key FILE  PEM to sign with, for a key that only says how to verify
  --expires TIME      from now, such as 10m or 30d; default 1h
  --algorithm NAME    default: the first of the config's, or what the key is for
  --kid TEXT, --typ TEXT    for the token's header
]]

local EXPIRES = "1h"

-- What follows an option, and the member of `opts` that it becomes.
local OPTIONS = {
  ["-c"] = "config", ["--config"] = "config", ["--key"] = "key", ["--private-key"] = "private_key",
  ["--expires"] = "expires", ["--algorithm"] = "algorithm", ["--kid"] = "kid", ["--typ"] = "typ",
}

local command = commands.new("token", USAGE)

-- ------------------------------------------------------------------------------------------------ arguments

local function value_of(text)
  local value = mg.json.decode(text)
  if value == nil then return text end
  return value
end

local function parse(args)
  local opts, i = { config = "moongate.yaml", expires = EXPIRES, claims = {} }, 1
  while i <= #args do
    local word = args[i]
    if word == "-h" or word == "--help" then
      opts.help = true
    elseif word:sub(1, 1) == "-" then
      local field = OPTIONS[word]
      if not field then return nil, ("unknown option '%s'%s"):format(word, suggest.hint(word, OPTIONS)) end
      i = i + 1
      if (args[i] or "") == "" then return nil, word .. " needs a value" end
      opts[field] = args[i]
    else
      local name, text = word:match "^([^=]+)=(.*)$"
      if not name then return nil, ("expected CLAIM=VALUE, not '%s'"):format(word) end
      opts.claims[name] = value_of(text)
    end
    i = i + 1
  end
  opts.seconds = kinds.duration.parse(opts.expires)
  if not opts.seconds then return nil, "--expires must be a time such as 10m, 1h or 30d" end
  return opts
end

-- ------------------------------------------------------------------------------------------------ keys

local function table_at(value, key)
  local found = type(value) == "table" and value[key]
  return type(found) == "table" and found or {}
end

-- The keys and secrets of a config as they are written; what is wrong with it is for `moongate check` to tell.
local function read_config(name)
  local text, why = commands.read(name)
  if not text then return nil, why end
  local value = document.read(name, text, {}, {}).value
  return { name = name, keys = table_at(value, "keys"), secrets = table_at(value, "secrets") }
end

local function choose(config, wanted)
  local names = walk.sorted_keys(config.keys)
  if wanted and not config.keys[wanted] then
    return nil, ("%s has no key '%s'%s"):format(config.name, wanted, suggest.hint(wanted, names))
  end
  if wanted then return wanted end
  if #names == 1 then return names[1] end
  if #names == 0 then return nil, config.name .. " has no keys" end
  return nil, ("which key? %s has '%s'; say --key NAME"):format(config.name, table.concat(names, "', '"))
end

-- Beside the config, unless the path says more.
local function below(config, path)
  if path:sub(1, 1) == "/" then return path end
  return (config.name:match "^.*/" or "") .. path
end

-- As the gateway reads it: the last end of line is not part of a text. What is no text has bytes that no text has.
local function without_line_end(text)
  if text:find "[\0-\8\11\12\14-\31]" then return text end
  return (text:gsub("\r?\n$", ""))
end

local function read_secret(config, secret)
  if type(secret.env) == "string" then
    local value = os.getenv(secret.env) or ""
    if value == "" then return nil, ("environment variable '%s' is not set"):format(secret.env) end
    return value
  end
  if type(secret.file) ~= "string" then return nil, "the secret has neither 'env' nor 'file'" end
  local text, why = commands.read(below(config, secret.file))
  return text and without_line_end(text), why
end

-- What to sign with.
local function material(config, name, opts)
  if opts.private_key then return commands.read(opts.private_key) end
  local key = config.keys[name]
  if type(key) ~= "table" or type(key.secret) ~= "string" then
    return nil, ("key '%s' only says how to verify; give what signs with --private-key FILE"):format(name)
  end
  local secret = config.secrets[key.secret]
  if type(secret) ~= "table" then return key.secret end -- the secret itself
  return read_secret(config, secret)
end

local function algorithm_of(key, opts)
  local known = type(key) == "table" and key.algorithms
  return opts.algorithm or (type(known) == "table" and known[1] or known) or nil
end

-- ------------------------------------------------------------------------------------------------ main

local function sign(opts)
  local config, why = read_config(opts.config)
  if not config then return nil, why end
  local name, fault = choose(config, opts.key)
  if not name then return nil, fault end
  local key, missing = material(config, name, opts)
  if not key then return nil, missing end
  local now, claims = os.time(), opts.claims
  claims.iat = claims.iat or now
  claims.exp = claims.exp or now + math.ceil(opts.seconds)
  local ok, token = pcall(mg.jwt.sign, claims,
    { key = key, algorithm = algorithm_of(config.keys[name], opts), kid = opts.kid, typ = opts.typ })
  if not ok then return nil, (tostring(token):gsub("^.-mg%.jwt%.sign: ", "")) end
  return token
end

local opts, status = command:options(parse, { ... })
if not opts then return status end
local token, fault = sign(opts)
if not token then
  command:complain(fault)
  return 1
end
print(token)
return 0
