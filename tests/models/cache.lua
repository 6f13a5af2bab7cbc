-- A model of what a cache may give to whom, and random requests to hold it to that.
--
-- Most resources are also sent in parts, and who asks for a part gets the very bytes that he asked for, or the whole.
--
-- Nobody may get an answer that was made for somebody else's request, unless the two are alike in all that the answer
-- depends on. The origin of a run tells what it saw; the run knows of each answer what it depends on, and whether it
-- may be shared at all.
--
--     run = model.new(seed)
--     req = run:request()                    a request to be sent: method, path, headers, body, client_ip, delay
--     run:answer(service, r, target, at)     what the origin of that service says to it, as upstreams of both kits do
--     run:check(req, res)                    raises what is wrong with the response

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

local TRUSTED = "127.0.0.9"
local CLIENTS = { TRUSTED, "127.0.0.1", "127.0.0.2" }
local HOSTS = { "a.example", "A.Example", "a.example:80", "b.example", "a.example:8080" }

local VALUES = {
  ["Accept-Language"] = { "de", "fr", "de, fr;q=0.5", "fr;q=0.5,de", "DE", "fr, de;q=0", "*", "en-GB", "de;q=x", "" },
  ["Accept-Encoding"] = { "gzip", "br", "gzip, br", "GZIP;q=1.0", "br;q=0.1, gzip;q=0.9", "identity", "gzip;q=0", "" },
  ["X-Plan"] = { "a", "b", "a,b", "a , b", "b, a", "1:a", "-", "", "a\tb", "a:b" },
  ["X-Tenant"] = { "a", "b", "a,b", "1:a", "-", "", "1:a1:b", "b:a" },
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
  ["Range"] = { "bytes=0-3", "bytes=00-3", "bytes=2-3", "bytes=-2", "bytes=4-", "bytes=6-9", "bytes=900-",
    "bytes=0-1,4-5", "x=0-3" },
  ["If-Range"] = { '"none"', "Thu, 01 Jan 1970 00:00:00 GMT" },
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
local function as_received(r, service, target)
  local function first(name) return r:header_values(name)[1] end
  return {
    service = service,
    target = target,
    ["forwarded-host"] = ((first "X-Forwarded-Host" or ""):lower():gsub(":80$", "")),
    ["forwarded-proto"] = first "X-Forwarded-Proto",
    ["forwarded-prefix"] = first "X-Forwarded-Prefix" or "-",
  }
end

-- ------------------------------------------------------------------------------------------------ the origin

local LONG = { ["Cache-Control"] = "max-age=60" }

-- What an origin makes of a Range: the first byte and the last; "none" of its bytes; or nil, the whole.
local function range_of(value, length)
  local first, last = (value or ""):match "^bytes=(%d*)%-(%d*)$"
  if not first then return nil end
  if first == "" then first, last = math.max(length - last, 0), length - 1 end
  first, last = tonumber(first), math.min(tonumber(last) or length, length - 1)
  if first > last then return "none" end
  return first, last
end

local function etag_of(text)
  return '"' .. text:gsub("%W", function(c) return ("%02x"):format(c:byte()) end) .. '"'
end

local function fresh(headers)
  headers["Cache-Control"] = "max-age=60"
  return headers
end

local function many_names()
  local names = {}
  for i = 1, 40 do names[i] = "X-" .. i end
  return table.concat(names, ",")
end

local function refused(fields) return tonumber(joined(fields, "X-Fail")) end

-- What each resource depends on beside its URL, what it says of that, and whether others may have it: nil is yes. With
-- `undivided` it is sent as a whole, whatever is asked for.
-- A function is asked with what the origin sees, and the request as the client wrote it.
local RESOURCES = {
  plain = {},
  absolute = { on = { "forwarded-host", "forwarded-proto", "forwarded-prefix" } },
  language = { undivided = true, on = { "language" }, headers = fresh { Vary = "Accept-Language" } },
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
  limit = { status = refused, own = function(_, fields) return refused(fields) ~= nil end },
  gone = { status = function() return 404 end },
  validated = { on = { "language" }, etag = true,
    headers = { ["Cache-Control"] = "max-age=1", Vary = "Accept-Language" } },
  refreshed = { on = { "X-Plan" }, etag = true,
    headers = { ["Cache-Control"] = "max-age=1, stale-while-revalidate=30", Vary = "X-Plan" } },
  dated = { headers = fresh { ["Last-Modified"] = "Thu, 01 Jan 1970 00:00:00 GMT" } },
  changing = { on = { "X-Plan" }, etag = true, by_time = true,
    headers = { ["Cache-Control"] = "max-age=3, stale-if-error=9", Vary = "X-Plan" } },
}

-- The fields that are of interest for a resource.
local FORWARDED = { "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-For", "Forwarded" }
local PLANS = { "X-Plan", "X-Tenant" }
local INTERESTING = {
  absolute = FORWARDED, address = FORWARDED, language = { "Accept-Language" }, coding = { "Accept-Encoding" },
  both = { "Accept-Language", "Accept-Encoding" }, validated = { "Accept-Language" }, cookie = { "Cookie" },
  account = { "Authorization" }, limit = { "X-Fail" },
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

local Run = {}
Run.__index = Run

-- Of what somebody gets who asks for a part, others may have that part, or the whole.
local function is_about_range(r, status)
  return r:header "Range" ~= nil and status ~= 200 and status ~= 206 or r:header "If-Range" ~= nil
end

local function is_own(resource, asked, r, status)
  return value_of(resource.own, asked.see, asked.headers) or r.method ~= "GET" or r.body ~= ""
    or is_about_range(r, status) or joined(asked.headers, "Cache-Control") == "no-store"
end

-- The status and body of an answer to a request with Range, if it gets another one than others.
local function in_part(resource, r, made, headers)
  local asked, only = r:header_values "Range", r:header "If-Range"
  if resource.undivided or r.method ~= "GET" or made.status ~= 200 or #asked ~= 1 then return nil end
  if only and only ~= headers.ETag and only ~= headers["Last-Modified"] then return nil end
  local first, last = range_of(asked[1], #made.text)
  if not first then return nil end
  headers["Content-Range"] = first == "none" and ("bytes */%d"):format(#made.text)
    or ("bytes %d-%d/%d"):format(first, last, #made.text)
  if first == "none" then return 416, "" end
  return 206, made.text:sub(first + 1, last + 1)
end

-- All that is made is in run.made; the field X-Made tells which it is.
function Run:answer(service, r, target, at)
  local asked = self.asked[tonumber(r:header "X-Number")]
  local see, resource = asked.see, RESOURCES[asked.kind]
  for name, value in pairs(as_received(r, service, target)) do
    assert(see[name] == value, ("the origin sees '%s' of %s, not '%s'"):format(value, name, see[name]))
  end
  assert(r.body == (asked.body or ""), "the request's body is another one")
  local names = value_of(resource.on, see, at) or {}
  local more = resource.by_time and "t" .. at // 10 or nil
  local status = resource.status and resource.status(asked.headers) or 200
  local text = content(asked.kind, see, names, more)
  if r.body ~= "" then text = text .. "|body=" .. r.body end
  if r.method ~= "GET" and r.method ~= "HEAD" then text = text .. "|" .. r.method end
  local made = { by = asked, names = names, more = more, text = text, status = status, breaks = asked.breaks }
  self.made[#self.made + 1] = made
  local headers = { ["X-Made"] = #self.made, ["X-Made-For"] = asked.number }
  for name, value in pairs(value_of(resource.headers, see, at) or LONG) do headers[name] = value end
  if resource.etag then headers.ETag = etag_of(text) end
  if resource.etag and r:header "If-None-Match" == headers.ETag then
    status, text = 304, ""
  else
    local part, bytes = in_part(resource, r, made, headers)
    status, text = part or status, bytes or text
  end
  made.own = is_own(resource, asked, r, status == 304 and 200 or status)
  if r.method == "HEAD" then text = "" end
  made.breaks = asked.breaks and text ~= ""
  return { status = status, headers = headers, body = text, delay = asked.delay,
    close = made.breaks and "mid-body" or nil }
end

-- ------------------------------------------------------------------------------------------------ requests, verdicts

-- A few of each list, so that requests are alike often enough.
local function some(random, list, n)
  local out = {}
  for i = 1, n do out[i] = pick(random, list) end
  return out
end

local function random_focus(random)
  return { kinds = some(random, KINDS, 3), paths = some(random, PATHS, 2), queries = some(random, QUERIES, 2),
    hosts = some(random, HOSTS, 2), names = some(random, NAMES, 5) }
end

local function random_headers(random, names, kind)
  local out = {}
  for _ = 1, random(4) - 1 do
    local name = pick(random, chance(random, 2) and INTERESTING[kind] or chance(random, 2) and PLANS or names)
    for _ = 1, chance(random, 6) and 2 or 1 do out[#out + 1] = { name, pick(random, VALUES[name]) } end
  end
  return out
end

-- That of the representation itself, where it is known beforehand.
local function random_validator(random, req)
  local resource = RESOURCES[req.kind]
  if not resource.etag or resource.by_time or chance(random, 3) then return pick(random, VALUES["If-Range"]) end
  return etag_of(content(req.kind, req.see, resource.on))
end

local function random_request(random, focus)
  local kind = pick(random, focus.kinds)
  local path = "/" .. kind .. pick(random, focus.paths)
  if chance(random, 4) then path = respell(path, random) end
  local req = {
    path = path .. pick(random, focus.queries), host = pick(random, focus.hosts), client_ip = pick(random, CLIENTS),
    headers = random_headers(random, focus.names, kind), method = chance(random, 8) and "HEAD" or "GET", kind = kind,
  }
  if chance(random, 3) then req.headers[#req.headers + 1] = { "Range", pick(random, VALUES.Range) } end
  if chance(random, 15) then req.body = "fat" end
  if chance(random, 15) then req.method = pick(random, { "POST", "PUT", "BREW", "OPTIONS" }) end
  req.delay = chance(random, 3) and random(20) / 10 or nil
  req.breaks = chance(random, 15)
  req.see = seen(req)
  if chance(random, 8) then req.headers[#req.headers + 1] = { "If-Range", random_validator(random, req) } end
  return req
end

-- The next one. `wire` is what a client sends of it.
function Run:request()
  local req = random_request(self.random, self.focus)
  self.asked[#self.asked + 1] = req
  req.number = #self.asked
  local headers = { { "Host", req.host }, { "X-Number", req.number } }
  for _, field in ipairs(req.headers) do headers[#headers + 1] = field end
  req.wire = { method = req.method, path = req.path, headers = headers, body = req.body }
  return req
end

-- Why the answer must not have come to this request; nil when it may.
local function wrong_for(req, made, res)
  if made.by == req then
    return not res:header "X-Made-For" and "the field that was for it alone is missing" or nil
  end
  if made.own then return "it was for one request alone" end
  if req.kind == "named" and res:header "X-Made-For" then return "it has a field that was for one request alone" end
  local wanted = content(req.kind, req.see, made.names, made.more)
  if made.status ~= 200 or wanted == made.text then return nil end
  return ("it differs in what it depends on: '%s'"):format(wanted)
end

-- It has to be what was asked for, of a representation that the client wants it of.
local function wrong_part(req, made, res)
  local first, last = range_of(joined(req.headers, "Range"), #made.text)
  if not first or req.method ~= "GET" then return "nobody asked for a part" end
  if (first == "none") ~= (res.status == 416) then return "it is, or is not, within what there is" end
  if first == "none" then return nil end
  if res:header "Content-Range" ~= ("bytes %d-%d/%d"):format(first, last, #made.text) then
    return "it is not the part that was asked for"
  end
  local only = joined(req.headers, "If-Range")
  if only and only ~= res:header "ETag" and only ~= (res:header "Last-Modified" or ""):gsub(", ", ",") then
    return "it is a part of something else than the client has"
  end
  return made.text:sub(first + 1, last + 1) ~= res.body and "its bytes are others" or nil
end

-- What is wrong with its bytes.
local function wrong_body(req, made, res)
  if req.method == "HEAD" or res.status == 304 then return res.body ~= "" and "it has a body" or nil end
  if made.breaks then return not res.broken and "the origin broke off, and it seems whole" or nil end
  if res.broken then return "it is broken, and the origin did not break off" end
  if res.status == 206 or res.status == 416 then return wrong_part(req, made, res) end
  return res.body ~= made.text and "its body is another one's" or nil
end

local function described(req)
  local lines = { ("%s %s host=%s from=%s"):format(req.method, req.path, req.host, req.client_ip) }
  for _, field in ipairs(req.headers) do lines[#lines + 1] = ("  %s: %s"):format(field[1], field[2]) end
  return table.concat(lines, "\n")
end

function Run:check(req, res)
  if res.status == 504 and joined(req.headers, "Cache-Control") then return end -- only-if-cached
  local made = self.made[tonumber(res.status and res:header "X-Made")]
  local why = not made and "nobody made it" or wrong_for(req, made, res) or wrong_body(req, made, res)
  if not why then return end
  error(("seed %d: %s\nstatus %s, made: %s\nbody: %s\n%s\n%s"):format(self.seed, why, res.status,
    made and made.text, res.body, described(req), made and described(made.by) or ""), 0)
end

-- ------------------------------------------------------------------------------------------------

local M = {}

-- What a gateway is configured by.
M.config = {
  trusted_proxies = { TRUSTED },
  routes = {
    { match = { path = "/*", headers = { ["X-Beta"] = "1" } }, service = "beta", policies = { { cache = {} } } },
    { match = "/*", service = "api", policies = { { cache = {} } } },
  },
}

function M.new(seed)
  local random = generator(seed)
  return setmetatable({ seed = seed, random = random, focus = random_focus(random), asked = {}, made = {} }, Run)
end

return M
