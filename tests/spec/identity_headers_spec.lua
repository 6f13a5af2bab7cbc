-- A backend believes the headers that tell who the client is. Whatever a client sends itself, in any spelling, order,
-- number or place, none of it may get there: neither as header nor as trailer, which many servers make headers of.

local T = require "moongate.test"

local EVIL = "evil"

-- A generator of its own, so that a failure can be repeated.
local function generator(seed)
  local state = seed
  return function(n)
    state = (state * 6364136223846793005 + 1442695040888963407) & math.maxinteger
    return (state >> 33) % n + 1
  end
end

local function pick(random, list) return list[random(#list)] end

local function respell(name, random)
  return (name:gsub(".", function(c)
    if c == "-" then return pick(random, { "-", "-", "_", ".", "~", "!" }) end
    return random(2) == 1 and c:upper() or c:lower()
  end))
end

-- Lines in any order: some are the attack, some innocent.
local function lines_of(names, random)
  local lines = {}
  for _ = 1, random(8) do
    local innocent = random(4) == 1
    local line = innocent and "X-Plain: fine" or respell(pick(random, names), random) .. ": " .. EVIL
    table.insert(lines, random(#lines + 1), line)
  end
  return table.concat(lines, "\r\n") .. "\r\n"
end

local function chunk(text) return ("%x\r\n%s\r\n"):format(#text, text) end

-- A request as pieces of bytes; the body may come late, and its trailers later.
local function request_of(names, random)
  local headers = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
  if random(3) > 1 then headers = headers .. lines_of(names, random) end
  if random(4) == 1 then return { headers .. "Content-Length: 3\r\n\r\n", "abc" } end
  local pieces = { headers .. "Transfer-Encoding: chunked\r\n\r\n" }
  for _ = 1, random(4) - 1 do pieces[#pieces + 1] = chunk(("x"):rep(random(5000))) end
  pieces[#pieces + 1] = "0\r\n" .. lines_of(names, random) .. "\r\n"
  return pieces
end

-- Sends the pieces in as many writes as chance wants.
local function send(t, pieces, random)
  local client, held, said = t:connect(), "", ""
  for _, piece in ipairs(pieces) do
    held = held .. piece
    if random(2) == 1 then
      said, held = said .. client:send(held), ""
      if random(2) == 1 then t:advance(0.01) end
    end
  end
  return said .. client:send(held) .. client:receive()
end

local function evil_in(list)
  for i = 2, #(list or {}), 2 do
    if list[i]:find(EVIL, 1, true) then return list[i - 1] end
  end
end

-- Attacks the names in many ways; how many innocent trailers came through.
local function attack(policies, names, more)
  local options = { policies = policies, upstreams = { api = { body = "ok" } } }
  for key, value in pairs(more or {}) do options[key] = value end
  local t = T.new(options)
  local plain = 0
  for seed = 1, 150 do
    local random = generator(seed)
    assert.matches("^HTTP/1.1 200 ", send(t, request_of(names, random), random), nil, "seed " .. seed)
    local _, last = t:seen "api"
    assert.is_nil(evil_in(last.fields), "header, seed " .. seed)
    assert.is_nil(evil_in(last.trailers), "trailer, seed " .. seed)
    if last:trailer "X-Plain" then plain = plain + 1 end
  end
  return plain, t
end

local function who(auth)
  return function(req, next)
    req.auth = auth
    return next(req)
  end
end

local function buffers(req, next)
  req:text()
  return next(req)
end

local function transforms(req, next)
  req:transform(function(bytes) return bytes end)
  return next(req)
end

local ANN = { subject = "ann", claims = { role = "" } }
local NAMES = { "X-User-Id", "X-User-Role" }

describe("identity headers of the client's own", function()
  for what, between in pairs { plain = false, ["a step that buffers"] = buffers, ["a transform"] = transforms } do
    local function around(...)
      local list = { ... }
      if between then table.insert(list, 2, between) end
      return list
    end

    it("do not pass claim-to-header, with " .. what, function()
      local step = { ["claim-to-header"] = { claims = { sub = "X-User-Id", role = "X-User-Role" } } }
      local _, t = attack(around(who(ANN), step), NAMES)
      assert.same({ "ann" }, select(2, t:seen "api"):header_values "X-User-Id")
      attack(around(who(nil), step), NAMES)
    end)

    it("do not pass the headers policy, with " .. what, function()
      attack(around(who(ANN), { headers = {
        request = { set = { ["X-User-Id"] = "${auth.subject}" }, remove = { "X-User-Role" } },
      } }), NAMES)
    end)
  end

  it("do not pass a step of one's own", function()
    attack({ function(req, next)
      req:set_header("X-User-Id", "ann")
      req:del_header "x-user-role"
      return next(req)
    end }, NAMES)
  end)

  it("do not pass forward-auth", function()
    attack({ { ["forward-auth"] = { service = "who", response_headers = NAMES } } }, NAMES,
      { service = "api", upstreams = { api = { body = "ok" }, who = { headers = { ["X-User-Id"] = "ann" } } } })
  end)

  it("do not pass client-cert", function()
    attack({ { ["client-cert"] = { optional = true } } }, { "Client-Cert", "Client-Cert-Chain" })
  end)

  it("do not pass as what the gateway itself tells of the client", function()
    attack({}, { "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
      "X-Real-IP", "Forwarded" })
  end)

  it("do not pass when Connection names them", function()
    local t = T.new { upstreams = { api = { body = "ok" } } }
    t:raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close, X-User-Id\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "0\r\nx_user_id: evil\r\nX-Sum: 7\r\n\r\n")
    local _, last = t:seen "api"
    assert.same({ "X-Sum", "7" }, last.trailers)
  end)
end)

describe("trailers", function()
  it("that nobody has decided on pass", function()
    local plain = attack({ who(ANN), { ["claim-to-header"] = { claims = { sub = "X-User-Id" } } } }, { "X-User-Id" })
    assert.is_true(plain > 0)
  end)

  it("of requests pass none that must be known before the body", function()
    local t = T.new { upstreams = { api = { body = "ok" } } }
    local forbidden = { "Authorization", "Cookie", "Content-Type", "Content_Type", "Host", "Content-Length", "If-Match",
      "Range", "Pragma", "Accept", "X-HTTP-Method-Override", "X-Original-URL", "x_forwarded_for", "Transfer_Encoding" }
    t:raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
      .. table.concat(forbidden, ": evil\r\n") .. ": evil\r\nX-Sum: 7\r\n\r\n")
    local _, last = t:seen "api"
    assert.same({ "X-Sum", "7" }, last.trailers)
  end)

  it("of responses pass none that a step has removed", function()
    local t = T.new {
      policies = { { headers = { response = { remove = { "X-Internal" }, set = { ["X-Own"] = "1" } } } } },
      upstreams = {
        api = { chunks = { "a" }, trailers = { ["x_internal"] = EVIL, ["X-Own"] = EVIL, ["X-Sum"] = "7" } },
      },
    }
    local said = t:raw "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert.matches("\r\nX%-Own: 1\r\n", said)
    assert.matches("\r\n0\r\nX%-Sum: 7\r\n\r\n$", said)
  end)
end)

describe("another spelling in a request", function()
  local function sees(step)
    local t = T.new { policies = { step }, upstreams = { api = { body = "ok" } } }
    t:request { headers = { ["X_User_Id"] = "1", ["X-User-Id"] = "2", ["X-User"] = "3" } }
    local _, last = t:seen "api"
    return { last:header "X_User_Id" or "", last:header "X-User-Id" or "", last:header "X-User" or "" }
  end

  it("goes with what a step sets or removes", function()
    assert.same({ "", "4", "3" }, sees(function(req, next)
      req:set_header("X-User-Id", 4)
      return next(req)
    end))
    assert.same({ "", "", "3" }, sees(function(req, next)
      req:del_header "X-User-Id"
      return next(req)
    end))
    assert.same({ "", "4, 5", "3" }, sees(function(req, next)
      req:set_header("X-User-Id", { 4, 5 })
      return next(req)
    end))
  end)

  it("stays beside what a step adds, and in responses", function()
    assert.same({ "1", "2, 4", "3" }, sees(function(req, next)
      req:add_header("X-User-Id", 4)
      return next(req)
    end))
    local t = T.new {
      policies = { { headers = { response = { remove = { "X-A" } } } } },
      upstreams = { api = { headers = { ["X_A"] = "1", ["X-A"] = "2" } } },
    }
    local res = t:request "/"
    assert.equal("1", res:header "X_A")
    assert.is_nil(res:header "X-A")
  end)
end)
