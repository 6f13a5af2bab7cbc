-- The stubs for editors say what the gateway and the test kit have: no more and no less. tests/e2e/stubs_spec.lua does
-- the same for moongate.e2e.

local T = require "moongate.test"
local mg = require "moongate"
local namespaces = require "luassert.namespaces"
local schema = require "moongate.schema"
local stubs = require "lint.stubs"

local FILES = { "lua/stubs/moongate.lua", "lua/stubs/moongate.schema.lua", "lua/stubs/moongate.test.lua" }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- All classes of the files, and what is wrong within these. `doctor(path, text)` may give another text.
local function classes_of(doctor)
  local classes, findings = {}, {}
  for _, path in ipairs(FILES) do
    local text = read(path)
    local _, found = stubs.read(doctor and doctor(path, text) or text, classes)
    for _, finding in ipairs(found) do findings[#findings + 1] = path .. ": " .. finding end
  end
  return classes, findings
end

-- ------------------------------------------------------------------------------------------------ what there is

-- What a step has made in `new`, and what it is told at the end, for the spec to see.
local STEP = [[
  local dict, inside, regex = mg.shared "counts", mg.ip.matcher { "10.0.0.0/8" }, mg.regex "a"
  local editor = mg.json.editor {}
  local cache = mg.cache "pages"
  local limiter, adaptive = dict:limiter { { algorithm = "fixed-window", limit = 1 } }, dict:adaptive {}
  return {
    request = function(req)
      req.ctx.dict, req.ctx.inside, req.ctx.regex, req.ctx.copy = dict, inside, regex, req:copy()
      req.ctx.editor = editor
      req.ctx.limiter, req.ctx.adaptive, req.ctx.cache = limiter, adaptive, cache
    end,
    finish = function(req, _, info) req.ctx.info = info end,
  }]]

-- { [class] = what really has its name }
local live = {}

local function see_objects(req, res)
  live["moongate.Request"] = stubs.describe(req:copy()) -- fields are written to
  live["moongate.Response"] = stubs.describe(res:copy())
  live["moongate.SharedDict"] = stubs.describe(req.ctx.dict)
  live["moongate.Limiter"] = stubs.describe(req.ctx.limiter)
  live["moongate.AdaptiveLimiter"] = stubs.describe(req.ctx.adaptive)
  live["moongate.Cache"] = stubs.describe(req.ctx.cache)
  local _, key = req.ctx.cache:lookup(req)
  req.ctx.cache:store(key, mg.reply(200), { ttl = 1 })
  live["moongate.CacheHit"] = stubs.describe((req.ctx.cache:lookup(req)))
  live["moongate.JsonTemplate"] = stubs.describe(mg.json.template { "", "" })
  live["moongate.IpMatcher"] = stubs.describe(req.ctx.inside)
  live["moongate.Regex"] = stubs.describe(req.ctx.regex)
  live["moongate.JsonEditor"] = stubs.describe(req.ctx.editor)
  live["moongate.Task"] = stubs.describe(mg.spawn(mg.sleep, 0))
end

local NAMES = { dns = { "a" }, email = { "b@c" }, uri = { "d:e" }, ip = { "::1" } }

-- tests/e2e/tls_edge_spec.lua looks at real ones.
local function see_tls(tls)
  live["moongate.Tls"] = stubs.sample(tls)
  live["moongate.Certificate"] = stubs.sample(tls.client_cert)
  live["moongate.CertificateNames"] = stubs.sample(tls.client_cert.sans)
end

local function see_tables(req, res)
  local _, failed = mg.fetch_all { a = { "down" } }
  local _, fault = mg.json.decode "?"
  live["moongate.Error"] = stubs.sample(fault)
  live["moongate.FetchAllError"] = stubs.sample(failed)
  live["moongate.Grant"] = stubs.sample(req.ctx.dict:take("k", 1, 1))
  live["moongate.LeakyGrant"] = stubs.sample(req.ctx.dict:leaky("l", 1, 1))
  live["moongate.Route"] = stubs.sample(req.route)
  live["moongate.Upstream"] = stubs.sample(res.upstream)
  live["moongate.Url"] = stubs.sample(mg.url.parse "http://a/b?c")
end

setup(function()
  local t = T.new {
    upstreams = { api = { body = "ok" }, down = { error = "refused" } },
    service = "api",
    policies = { { lua = STEP }, { probe = {} }, function(req, next)
      if req.path == "/down" then req.service = "down" end
      local res = next(req)
      local _ = res:text()
      if res.error then
        live["moongate.ResponseError"] = stubs.sample(res.error)
      else
        see_objects(req, res)
        see_tables(req, res)
        if req.tls then see_tls(req.tls) end
      end
      return res
    end },
  }
  local res, req = t:request "/"
  assert.status(res, 200)
  t:request "/down"
  live["moongate.Env"] = stubs.sample(t:request("/env"):json().env)
  live["moongate.FinishInfo"] = stubs.sample(req.ctx.info)
  t:request { tls = { sni = "a", alpn = "http/1.1", client_cert = { common_name = "ann", sans = NAMES } } }
  live["moongate"] = stubs.describe(mg)
  live["moongate.schema"] = stubs.describe(schema)
  live["moongate.Schema"] = stubs.describe(schema.string())
  local handle, connection = t:start "/", t:connect()
  handle:wait()
  live["moongate.test"] = stubs.describe(T)
  live["moongate.test.Gateway"] = stubs.describe(t)
  live["moongate.test.Handle"] = stubs.describe(handle)
  live["moongate.test.Connection"] = stubs.describe(connection)
  live["moongate.test.Response"] = stubs.describe(handle.res)
  live["moongate.test.Request"] = stubs.describe(handle.req)
end)

-- ------------------------------------------------------------------------------------------------ the stubs

local CLASSES = {
  "moongate", "moongate.Request", "moongate.Response", "moongate.Cache", "moongate.CacheHit",
  "moongate.SharedDict", "moongate.Task", "moongate.IpMatcher",
  "moongate.Regex", "moongate.JsonEditor", "moongate.JsonTemplate",
  "moongate.Error", "moongate.FetchAllError", "moongate.ResponseError", "moongate.Route", "moongate.Upstream",
  "moongate.Grant", "moongate.LeakyGrant", "moongate.Limiter", "moongate.AdaptiveLimiter",
  "moongate.Url", "moongate.Env", "moongate.FinishInfo",
  "moongate.Tls", "moongate.Certificate", "moongate.CertificateNames",
  "moongate.schema", "moongate.Schema",
  "moongate.test", "moongate.test.Gateway", "moongate.test.Handle", "moongate.test.Connection",
  "moongate.test.Request", "moongate.test.Response",
}

describe("the stubs", function()
  it("can be read, and each parameter has its line", function()
    local _, findings = classes_of()
    assert.same({}, findings)
  end)

  it("lie where .luarc.json says", function()
    assert.equal("lua/stubs", assert(mg.json.decode(read ".luarc.json"))["workspace.library"][1])
  end)

  for _, name in ipairs(CLASSES) do
    it("of " .. name, function() assert.same({}, stubs.compare(classes_of(), name, live[name])) end)
  end

  it("of the kit's matchers", function()
    local matchers = { members = {} }
    for name, assertion in pairs(namespaces.assertion) do
      if debug.getinfo(assertion.callback, "S").source:find("moongate/test/matchers", 1, true) then
        matchers.members[name] = { kind = "function" }
      end
    end
    assert.same({}, stubs.compare(classes_of(), "luassert.internal", matchers))
  end)
end)

-- ------------------------------------------------------------------------------------------------ options

-- Names of the fields of a class, in order.
local function fields_of(name)
  local names = {}
  for key in pairs(stubs.members(classes_of(), name)) do names[#names + 1] = key end
  table.sort(names)
  return names
end

-- The fault of `use` when it is given an option.
local function complaint(use, name, value)
  local options = { [name] = value }
  local ok, fault = pcall(use, options)
  return ok and "" or tostring(fault)
end

describe("options in the stubs", function()
  -- Each in a step's words: a call that has these options.
  local calls = {
    ["moongate.FetchOptions"] = "mg.fetch('api', options)",
    ["moongate.FetchAllOptions"] = "mg.fetch_all({}, options)",
    ["moongate.RaceOptions"] = "mg.race({ { 'api' } }, options)",
    ["moongate.EveryOptions"] = "mg.every(1, print, options)",
    ["moongate.JsonDecodeOptions"] = "mg.json.decode('1', options)",
    ["moongate.JsonEncodeOptions"] = "mg.json.encode(1, options)",
  }
  for class, call in pairs(calls) do
    it("of " .. call:match "^[%w._]+" .. " are known to it", function()
      local t = T.new {
        upstreams = { api = { body = "ok" } },
        policies = { { lua = ([[
          return { request = function(req)
            local options = { [req:arg "name"] = false }
            local ok, fault = pcall(function() return %s end)
            return mg.reply(200, ok and "" or tostring(fault))
          end }]]):format(call) } },
      }
      local function said(name) return t:request({ query = { name = name } }):text() end
      assert.matches("unknown option 'bogus'", said "bogus", 1, true)
      for _, name in ipairs(fields_of(class)) do assert.not_matches("unknown option", said(name), 1, true) end
    end)
  end

  -- The kit tells all names that it knows.
  local t = { new = T.new, load = function(options) return T.load("x.yaml", options) end }
  function t.request(options) return T.new { upstreams = { a = {} } }:request(options) end
  function t.tls(options) return t.request { tls = options } end
  function t.certificate(options) return t.tls { client_cert = options } end
  function t.connect(options) return T.new { upstreams = { a = {} } }:connect(options) end
  function t.answer(options) return T.new { upstreams = { a = options } } end
  for call, class in pairs {
    new = "moongate.test.NewOptions", load = "moongate.test.LoadOptions", request = "moongate.test.RequestOptions",
    connect = "moongate.test.ConnectOptions", answer = "moongate.test.Answer",
    tls = "moongate.test.TlsOptions", certificate = "moongate.test.CertificateOptions",
  } do
    it("of the kit's " .. call .. " are those it knows", function()
      local list = complaint(t[call], "bogus", 1):match "it may have ([^\n]*)"
      assert.equal(list, table.concat(fields_of(class), ", "))
    end)
  end

  for _, case in ipairs {
    { "string", "Text" }, { "header_name", "Text" }, { "expr", "Text" }, { "number", "Range" }, { "duration", "Range" },
    { "status", "Range" }, { "boolean", "Options" }, { "cidr", "Options" }, { "any", "Options" },
  } do
    it("of s." .. case[1] .. " are known to it", function()
      assert.matches("unknown option 'bogus'", complaint(schema[case[1]], "bogus", 1), 1, true)
      for _, name in ipairs(fields_of("moongate.schema." .. case[2])) do
        assert.not_matches("unknown option", complaint(schema[case[1]], name, nil), 1, true)
      end
    end)
  end
end)

-- ------------------------------------------------------------------------------------------------ the check itself

-- What is found when a part of a stub file is replaced.
local function found(path, from, to, name)
  local hits = 0
  local classes, findings = classes_of(function(this, text)
    if this ~= path then return text end
    local at, last = text:find(from, 1, true)
    assert.is_truthy(at, ("%s has no '%s'"):format(path, from))
    hits = hits + 1
    return text:sub(1, at - 1) .. to .. text:sub(last + 1)
  end)
  assert.equal(1, hits)
  for _, finding in ipairs(stubs.compare(classes, name, live[name])) do findings[#findings + 1] = finding end
  return findings
end

describe("the check of the stubs finds", function()
  local MG, SCHEMA, KIT = FILES[1], FILES[2], FILES[3]
  local cases = {
    { "a function that is missing", MG, "function mg.race(calls, options) end", "", "moongate",
      "moongate.race is not in the stubs" },
    { "a function that does not exist", MG, "return mg", "function mg.bogus() end\nreturn mg", "moongate",
      "moongate.bogus is in the stubs alone" },
    { "one that is missing below", MG, "function log.warn(message, fields) end", "", "moongate",
      "moongate.log.warn is not in the stubs" },
    { "one too many below", MG, "function Coding.encode(data) end",
      "---@param data string\nfunction Coding.pack(data) end", "moongate",
      "moongate.crypto.hex.pack is in the stubs alone" },
    { "a module that cannot be called", MG, "---@class moongate.ip\n", "---@class moongate.ip\n---@overload fun()\n",
      "moongate", "moongate.ip cannot be called, as the stubs say" },
    { "a module that can be called", MG, "---@overload fun(template:", "---@see (template:", "moongate",
      "moongate.url can be called; the stubs lack its @overload" },
    { "a method that is missing", MG, "function Request:cookie(name) end", "", "moongate.Request",
      "moongate.Request.cookie is not in the stubs" },
    { "an inherited one", MG, "function Message:chunks() end", "", "moongate.Response",
      "moongate.Response.chunks is not in the stubs" },
    { "a method that does not exist", MG, "function Task:cancel() end", "function Task:stop() end", "moongate.Task",
      "moongate.Task.stop is in the stubs alone" },
    { "a field that is missing", MG, "---@field raw_path", "-- raw_path", "moongate.Request",
      "moongate.Request.raw_path is not in the stubs" },
    { "a field that does not exist", MG, "---@field raw_path", "---@field raw_query string\n---@field raw_path",
      "moongate.Request", "moongate.Request.raw_query is in the stubs alone" },
    { "a method that is a field", MG, "function IpMatcher:has(text) end",
      "---@class moongate.IpMatcher\n---@field has fun()\nlocal Again = {}", "moongate.IpMatcher",
      "moongate.IpMatcher.has is a function, in the stubs a field" },
    { "a field that can be set", MG, "---@field status integer (settable)", "---@field status integer",
      "moongate.Response", "moongate.Response.status can be set; the stubs lack '(settable)'" },
    { "one that cannot", MG, "---@field version string", "---@field version string (settable)", "moongate.Request",
      "moongate.Request.version cannot be set, as the stubs say" },
    { "a field of a table", MG, "---@field retry_after number", "---@field later number", "moongate.Grant",
      "moongate.Grant.retry_after is not in the stubs" },
    { "a kind of schema", SCHEMA, "function s.cidr(options) end", "", "moongate.schema",
      "moongate.schema.cidr is not in the stubs" },
    { "a call of the kit", KIT, "function Gateway:settle() end", "function Gateway:quiesce() end",
      "moongate.test.Gateway", "moongate.test.Gateway.quiesce is in the stubs alone" },
    { "parameters without a line", MG, "---@param cost? number default 1\n", "", "moongate.SharedDict",
      "its @param lines say (key, rate, burst)" },
    { "what is declared twice", MG, "function mg.now() end", "function mg.now() end\nfunction mg.now() end", "moongate",
      "moongate.now is declared twice" },
    { "code", MG, "return mg", "mg.now()\nreturn mg", "moongate", "'mg.now()' is nothing that a stub has" },
  }
  for _, case in ipairs(cases) do
    local what, path, from, to, name, finding = table.unpack(case)
    it(what, function()
      assert.matches(finding, table.concat(found(path, from, to, name), "\n"), 1, true)
    end)
  end

  it("nothing else", function() assert.same({}, found(MG, "return mg", "return mg", "moongate")) end)
end)
