-- Nobody may get an answer that was made for somebody else's request, unless the two are alike in all that the answer
-- depends on. Random requests against an origin that tells what it saw, and a model that knows what each of its
-- answers depends on and whether it may be shared at all.
--
-- `moongate test --seed=N` repeats a run; CACHE_RUNS=500 makes it longer.

local T = require "moongate.test"

local RUNS = tonumber(os.getenv "CACHE_RUNS") or 30
local ROUNDS, AT_ONCE = 60, 6

-- A generator of its own, so that a failure can be repeated.
local function generator(seed)
  local state = seed
  return function(n)
    state = (state * 6364136223846793005 + 1442695040888963407) & math.maxinteger
    return (state >> 33) % n + 1
  end
end

local function pick(random, list) return list[random(#list)] end

local function chance(random, one_in) return random(one_in) == 1 end

-- ------------------------------------------------------------------------------------------------ what requests have

local TRUSTED = "10.0.0.9"
local CLIENTS = { TRUSTED, "192.0.2.1", "192.0.2.2" }
local HOSTS = { "a.example", "A.Example", "a.example:80", "b.example", "a.example:8080" }

local VALUES = {
  ["Accept-Language"] = { "de", "fr", "de, fr;q=0.5", "fr;q=0.5,de", "DE", "fr, de;q=0", "*", "en-GB", "de;q=x", "" },
  ["Accept-Encoding"] = { "gzip", "br", "gzip, br", "GZIP;q=1.0", "br;q=0.1, gzip;q=0.9", "identity", "gzip;q=0", "" },
  ["X-Plan"] = { "a", "b", "a,b", "a , b", "b, a", "1:a", "-", "", "a\tb", "=1:a" },
  ["X-Tenant"] = { "a", "b", "a,b", "1:a", "-", "", "1:a1:b" },
  ["X-Beta"] = { "1", "0" },
  ["Cookie"] = { "s=a", "s=b", "s=a; t=b" },
  ["Authorization"] = { "Basic YTph", "Basic YjpiCg==" },
  ["X-Fail"] = { "428", "429", "431", "511" },
  ["X-Forwarded-Host"] = { "evil.example", "a.example" },
  ["X-Forwarded-Proto"] = { "https", "gopher", "http" },
  ["X-Forwarded-Prefix"] = { "/evil" },
  ["X-Forwarded-For"] = { "192.0.2.7", "junk" },
  ["Forwarded"] = { "for=192.0.2.7;host=evil.example;proto=https", 'for="[2001:db8::1]"' },
  ["X-Real-IP"] = { "192.0.2.8" },
  ["X-Original-URL"] = { "/evil" },
  ["Range"] = { "bytes=0-3", "bytes=-2", "bytes=4-", "bytes=900-" },
  ["If-None-Match"] = { '"none"', "*" },
  ["If-Modified-Since"] = { "Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 1990 00:00:00 GMT" },
  ["Cache-Control"] = { "no-cache", "no-store", "max-age=0", "max-stale", "min-fresh=5", "only-if-cached" },
}

local NAMES = {}
for name in pairs(VALUES) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

-- Paths below each resource, as they are written where nothing is odd, and queries.
local PATHS = { "", "/x", "/x/y", "/x%2Fy", "/~u", "/x;p", "/x%3Bp", "/x%253F", "/x%3Fq", "/%C3%A9", "/x.y", "/a+b" }
local QUERIES = { "", "?", "?q", "?a=1&b=2", "?b=2&a=1", "?a=1", "?A=1", "?a=%31", "?a=1&", "?a=1&a=2", "?a=1%26b=2" }

-- Another way to write a path, which normalises to the same.
local function respell(path, random)
  local out = path:gsub("/", function()
    local way = random(12)
    return way == 1 and "//" or way == 2 and "/./" or way == 3 and "/zz/../" or way == 4 and "/%2e/" or "/"
  end)
  return (out:gsub("()(%%?)(%w)", function(at, percent, c)
    if percent ~= "" or out:sub(1, at - 1):find "%%%x?$" or not chance(random, 15) then return nil end
    return ((chance(random, 2) and "%%%02x" or "%%%02X"):format(c:byte()))
  end))
end

-- ------------------------------------------------------------------------------------------------ the model

local function joined(fields, name)
  local values = {}
  for _, field in ipairs(fields) do
    if field[1]:lower() == name:lower() then values[#values + 1] = field[2] end
  end
  if not values[1] then return nil end
  return (table.concat(values, ","):gsub("%s*,%s*", ","):match "^%s*(.-)%s*$")
end

-- The one of `offered` that the field likes best, the earlier of two alike.
local function choose(value, offered)
  if not value then return offered[1] end
  local best, most = offered[1], 0
  for _, one in ipairs(offered) do
    local weight = 0
    for item in value:lower():gmatch "[^,]+" do
      local name, rest = item:match "^%s*([%w*-]+)%s*(.*)$"
      local q = rest == "" and 1 or rest and tonumber(rest:match "^;q=([%d.]+)$")
      if name == one and q then weight = math.max(weight, q) end
    end
    if weight > most then best, most = one, weight end
  end
  return best
end

-- What an origin would see of the request, were it asked.
local function seen(req)
  local trusted = req.client_ip == TRUSTED
  local function relayed(name, own)
    local value
    for _, field in ipairs(req.headers) do
      if field[1] == name then value = value or field[2] end
    end
    return trusted and value or own
  end
  local see = {
    service = joined(req.headers, "X-Beta") == "1" and "beta" or "api",
    host = req.host:lower():gsub(":80$", ""),
    target = req.path,
    ["forwarded-host"] = (relayed("X-Forwarded-Host", req.host):lower():gsub(":80$", "")),
    ["forwarded-proto"] = relayed("X-Forwarded-Proto", "http"),
    ["forwarded-prefix"] = relayed("X-Forwarded-Prefix", "-"),
    ["forwarded-for"] = (trusted and joined(req.headers, "X-Forwarded-For") or "") .. "/" .. req.client_ip,
    language = choose(joined(req.headers, "Accept-Language"), { "en", "de", "fr" }),
    coding = choose(joined(req.headers, "Accept-Encoding"), { "identity", "gzip", "br" }),
  }
  for _, name in ipairs { "X-Plan", "X-Tenant", "Cookie", "Authorization" } do
    see[name] = joined(req.headers, name) or "(none)"
  end
  return see
end

-- The forwarding fields come from the gateway, so what the origin got stands beside what the model says it would.
local function as_received(r, service)
  local function first(name) return r:header_values(name)[1] end
  return {
    service = service,
    target = r.raw_path .. (r.query and "?" .. r.query or ""),
    ["forwarded-host"] = ((first "X-Forwarded-Host" or ""):lower():gsub(":80$", "")),
    ["forwarded-proto"] = first "X-Forwarded-Proto",
    ["forwarded-prefix"] = first "X-Forwarded-Prefix" or "-",
  }
end

-- ------------------------------------------------------------------------------------------------ the origin

local LONG = { ["Cache-Control"] = "max-age=60" }

local function fresh(headers)
  headers["Cache-Control"] = "max-age=60"
  return headers
end

local function many_names()
  local names = {}
  for i = 1, 40 do names[i] = "X-" .. i end
  return table.concat(names, ",")
end

-- What each resource depends on beside its URL, what it says of that, and whether others may have it: nil is yes.
-- A function is asked with what the origin sees, and the request as the client wrote it.
local RESOURCES = {
  plain = {},
  absolute = { on = { "forwarded-host", "forwarded-proto", "forwarded-prefix" } },
  language = { on = { "language" }, headers = fresh { Vary = "Accept-Language" } },
  coding = { on = { "coding" }, headers = fresh { Vary = "accept-ENCODING" } },
  both = { on = { "language", "coding" }, headers = fresh { Vary = { "Accept-Language", "Accept-Encoding" } } },
  plan = { on = { "X-Plan" }, headers = fresh { Vary = "X-Plan" } },
  cookie = { on = { "Cookie" }, headers = fresh { Vary = "Cookie" } },
  lines = { on = { "X-Plan", "X-Tenant" }, headers = fresh { Vary = { "X-Plan", ",", "X-Tenant ,,   X-Plan" } } },
  -- What it varies by changes with the request ...
  branch = {
    on = function(see) return see["X-Plan"]:find "a" and { "X-Plan", "X-Tenant" } or { "X-Plan" } end,
    headers = function(see) return fresh { Vary = see["X-Plan"]:find "a" and "X-Tenant, X-Plan" or "X-Plan" } end,
  },
  -- ... and with time.
  turns = {
    on = function(_, at) return { at // 20 % 2 == 0 and "X-Plan" or "X-Tenant" } end,
    headers = function(_, at) return fresh { Vary = at // 20 % 2 == 0 and "X-Plan" or "X-Tenant" } end,
  },
  star = { headers = fresh { Vary = "*" }, own = true },
  starred = { headers = fresh { Vary = { "X-Plan", "Accept, *" } }, own = true },
  many = { on = { "X-Plan" }, headers = fresh { Vary = many_names() .. ", X-Plan" } },
  long = { on = { "X-Plan" }, headers = fresh { Vary = ("X-Y"):rep(1000) .. ", X-Plan" } },
  address = { on = { "forwarded-for" }, headers = fresh { Vary = "X-Forwarded-For" } },
  private = { headers = { ["Cache-Control"] = "private, max-age=60" }, own = true },
  secret = { headers = { ["Cache-Control"] = { "max-age=60", "no-store" } }, own = true },
  quoted = { headers = { ["Cache-Control"] = 'max-age=60, x="y, no-store' }, own = true },
  account = { own = function(see) return see.Authorization ~= "(none)" end },
  public = { headers = { ["Cache-Control"] = "public, max-age=60" } },
  session = { headers = { ["Set-Cookie"] = "s=new", ["Last-Modified"] = "Thu, 01 Jan 1970 00:00:00 GMT" }, own = true },
  named = { headers = { ["Cache-Control"] = 'max-age=60, private="X-Made-For", no-cache="Set-Cookie"' } },
  limit = { status = function(fields) return tonumber(joined(fields, "X-Fail")) end,
    own = function(_, fields) return joined(fields, "X-Fail") ~= nil end },
  gone = { status = function() return 404 end },
  validated = { on = { "language" }, etag = true,
    headers = { ["Cache-Control"] = "max-age=1", Vary = "Accept-Language" } },
  refreshed = { on = { "X-Plan" }, etag = true,
    headers = { ["Cache-Control"] = "max-age=1, stale-while-revalidate=30", Vary = "X-Plan" } },
  changing = { on = { "X-Plan" }, etag = true, by_time = true,
    headers = { ["Cache-Control"] = "max-age=3, stale-if-error=9", Vary = "X-Plan" } },
}

local KINDS = {}
for name in pairs(RESOURCES) do KINDS[#KINDS + 1] = name end
table.sort(KINDS)

local function value_of(what, ...)
  if type(what) == "function" then return what(...) end
  return what
end

-- The words of an answer: what it depends on.
local function content(kind, see, names, more)
  local words = { kind, see.service, see.host, see.target }
  for _, name in ipairs(names) do words[#words + 1] = name .. "=" .. see[name] end
  words[#words + 1] = more
  return table.concat(words, "|")
end

-- All that is made, by number; the test looks it up by the field X-Made.
local function origin(run, service)
  return function(r)
    local asked = run.asked[tonumber(r:header "X-Number")]
    local see, kind = asked.see, r.raw_path and asked.kind
    for name, value in pairs(as_received(r, service)) do
      assert(see[name] == value, ("the origin sees '%s' of %s, not '%s'"):format(value, name, see[name]))
    end
    local resource, at = RESOURCES[kind], r.at
    local names = value_of(resource.on, see, at) or {}
    local more = resource.by_time and "t" .. at // 10 or nil
    local status = resource.status and resource.status(asked.headers) or 200
    local text = content(kind, see, names, more)
    if r.body ~= "" then text = text .. "|body=" .. r.body end
    if r.method ~= "GET" and r.method ~= "HEAD" then text = text .. "|" .. r.method end
    local made = { by = asked, names = names, more = more, text = text, status = status,
      own = value_of(resource.own, see, asked.headers) or r.method ~= "GET" or r.body ~= ""
        or r:header "Range" ~= nil or joined(asked.headers, "Cache-Control") == "no-store" }
    run.made[#run.made + 1] = made
    local headers = { ["X-Made"] = #run.made, ["X-Made-For"] = asked.number }
    for name, value in pairs(value_of(resource.headers, see, at) or LONG) do headers[name] = value end
    if resource.etag then
      headers.ETag = '"' .. text:gsub('[^%w]', function(c) return ("%02x"):format(c:byte()) end) .. '"'
      if r:header "If-None-Match" == headers.ETag then status, text = 304, "" end
    end
    if r.method == "HEAD" then text = "" end
    return { status = status, headers = headers, body = text, delay = asked.delay }
  end
end

-- ------------------------------------------------------------------------------------------------ requests, verdicts

local function random_request(random, number)
  local kind = pick(random, KINDS)
  local path = "/" .. kind .. pick(random, PATHS)
  if chance(random, 4) then path = respell(path, random) end
  local req = {
    path = path .. (chance(random, 3) and pick(random, QUERIES) or ""), host = pick(random, HOSTS), headers = {},
    client_ip = pick(random, CLIENTS), method = chance(random, 8) and "HEAD" or "GET",
  }
  for _ = 1, random(5) - 1 do
    local name = pick(random, NAMES)
    for _ = 1, chance(random, 6) and 2 or 1 do
      table.insert(req.headers, { name, pick(random, VALUES[name]) })
    end
  end
  if chance(random, 15) then req.body = "fat" end
  if chance(random, 15) then req.method = pick(random, { "POST", "PUT", "BREW", "OPTIONS" }) end
  req.kind, req.number, req.see = kind, number, seen(req)
  req.delay = chance(random, 3) and random(20) / 10 or nil
  return req
end

local function as_sent(req)
  local headers = { { "Host", req.host }, { "X-Number", req.number } }
  for _, field in ipairs(req.headers) do headers[#headers + 1] = field end
  return { method = req.method, path = req.path, headers = headers, body = req.body, client_ip = req.client_ip }
end

-- Why the answer must not have come to this request; nil when it may.
local function fault(req, made, res)
  if made.by ~= req then
    if made.own then return "it was for one request alone" end
    if res:header "X-Made-For" and RESOURCES[req.kind].headers == RESOURCES.named.headers then
      return "it has a field that was for one request alone"
    end
    if made.status ~= 304 and made.status == 200 and content(req.kind, req.see, made.names, made.more) ~= made.text then
      return ("it differs in what it depends on: '%s'"):format(content(req.kind, req.see, made.names, made.more))
    end
  end
  if req.method == "HEAD" or res.status == 304 then return res.body ~= "" and "it has a body" or nil end
  if res.status == 206 then
    local first, last, whole = (res:header "Content-Range" or ""):match "^bytes (%d+)%-(%d+)/(%d+)$"
    local part = tonumber(whole) == #made.text and made.text:sub(first + 1, last + 1)
    if part ~= res.body then return "it is another part" end
  elseif res.status ~= 416 and res.body ~= made.text then
    return "its body is another one's"
  end
end

local function check(run, req, res)
  if res.status == 504 and joined(req.headers, "Cache-Control") then return end -- only-if-cached
  local made = run.made[tonumber(res:header "X-Made")]
  local why = res.broken or not made and "nobody made it" or fault(req, made, res)
  if not why then return end
  local lines = {}
  for _, one in ipairs { req, made and made.by or nil } do
    lines[#lines + 1] = ("%s %s host=%s from=%s"):format(one.method, one.path, one.host, one.client_ip)
    for _, field in ipairs(one.headers) do lines[#lines + 1] = ("  %s: %s"):format(field[1], field[2]) end
  end
  error(("%s\nstatus %s, made: %s\nbody: %s\n%s"):format(why, res.status, made and made.text, res.body,
    table.concat(lines, "\n")), 0)
end

local function gateway(run)
  return T.new { seed = run.seed, upstreams = { api = origin(run, "api"), beta = origin(run, "beta") }, config = {
    trusted_proxies = { "10.0.0.0/8" },
    routes = {
      { match = { path = "/*", headers = { ["X-Beta"] = "1" } }, service = "beta", policies = { { cache = {} } } },
      { match = "/*", service = "api", policies = { { cache = {} } } },
    } } }
end

describe("cache", function()
  it("never serves one client's answer to another", function()
    for i = 1, RUNS do
      local run = { seed = T.seed + i - 1, asked = {}, made = {} }
      local random, t = generator(run.seed), gateway(run)
      local ok, why = pcall(function()
        for _ = 1, ROUNDS do
          local handles = {}
          for _ = 1, random(AT_ONCE) do
            local req = random_request(random, #run.asked + 1)
            run.asked[req.number] = req
            handles[#handles + 1] = { req, t:start(as_sent(req)) }
          end
          t:settle()
          for _, pair in ipairs(handles) do check(run, pair[1], pair[2].res) end
          if chance(random, 4) then t:advance(random(12)) end
        end
      end)
      if not ok then error(("seed %d: %s"):format(run.seed, why), 0) end
    end
  end)
end)
