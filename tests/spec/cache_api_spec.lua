-- mg.cache: what policies store, look up, refresh and purge.

local T = require "moongate.test"

-- A step of the text, which sees `c`, a cache.
local function step(text)
  return { lua = "local c = mg.cache 'pages'\nreturn function(req, next)\n" .. text .. "\nend" }
end

-- Answers from the cache, else stores; X-Stored tells what store said.
local CACHING = [[
  local hit, key = c:lookup(req)
  if hit then return hit:response() end
  local res = next(req)
  if key then
    local stored, why = c:store(key, res, { ttl = 60, stale = 30 })
    res:set_header("X-Stored", tostring(stored) .. (why and " " .. why or ""))
  end
  return res]]

-- An origin whose body is the number of the request.
local function counting(answer)
  local count = 0
  return function(req)
    count = count + 1
    local made = {}
    for k, v in pairs(type(answer) == "function" and answer(req, count) or answer or {}) do made[k] = v end
    if not made.chunks then made.body = made.body or tostring(count) end
    return made
  end
end

local function gateway(steps, answer, more)
  if type(steps) == "string" then steps = { step(steps) } end
  local opts = { policies = steps, upstreams = { api = counting(answer) }, service = "api" }
  for k, v in pairs(more or {}) do opts[k] = v end
  return T.new(opts)
end

local function control(value, more)
  local answer = { headers = { ["Cache-Control"] = value } }
  for k, v in pairs(more or {}) do answer[k] = v end
  return answer
end

local function stored(res) return res:header "X-Stored" end

describe("a cache", function()
  it("goes by what the origin says, and by the policy's times where that is silent", function()
    for value, expected in pairs {
      ["max-age=10"] = "true", ["no-store"] = "false no-store", private = "false private",
    } do
      assert.equal(expected, stored(gateway(CACHING, control(value)):request "/a"), value)
    end
    local t = gateway(CACHING, control "max-age=10")
    t:request "/a"
    t:advance(11)
    assert.equal("1", t:request("/a"):text()) -- within `stale`
    t:advance(30)
    assert.equal("2", t:request("/a"):text())
  end)

  it("keeps what is not the origin's own answer out", function()
    local t = gateway(CACHING, nil, { upstreams = { api = { error = "refused" } } })
    assert.equal("false status", stored(t:request "/a"))
    assert.equal("false no-lifetime", stored(gateway(CACHING, { status = 404 }):request "/a"))
    assert.equal("true", stored(gateway(CACHING, control("max-age=5", { status = 404 })):request "/a"))
  end)

  it("tells variants apart", function()
    local t = gateway(CACHING, { headers = { ["Cache-Control"] = "max-age=60", Vary = "X-Plan" } })
    local function ask(plan) return t:request({ path = "/a", headers = { ["X-Plan"] = plan } }):text() end
    assert.same({ "1", "2", "1", "2" }, { ask "a", ask "b", ask "a", ask "b" })
  end)

  it("goes by the request as it was looked up, whatever steps do to it then", function()
    local text = CACHING:gsub("local res = next", 'req:set_header("X-Plan", "mine")\n  local res = next')
    local t = gateway(text, { headers = { ["Cache-Control"] = "max-age=60", Vary = "X-Plan" } })
    t:request { path = "/a", headers = { ["X-Plan"] = "a" } }
    assert.equal("1", t:request({ path = "/a", headers = { ["X-Plan"] = "a" } }):text())
    assert.equal("2", t:request({ path = "/a", headers = { ["X-Plan"] = "mine" } }):text())
  end)

  it("has entries of one URL for each key", function()
    local t = gateway((CACHING:gsub("lookup%(req%)", 'lookup(req, { key = req:header "X-User" })')))
    local function ask(user) return t:request({ path = "/a", headers = { ["X-User"] = user } }):text() end
    assert.same({ "1", "2", "1" }, { ask "ann", ask "bob", ask "ann" })
  end)

  it("gives conditions, ranges and HEAD their answers from what is stored", function()
    local t = gateway(CACHING, { headers = { ["Cache-Control"] = "max-age=60", ETag = '"v"' }, body = "0123456789" })
    t:request "/a"
    assert.status(t:request { path = "/a", headers = { ["If-None-Match"] = '"v"' } }, 304)
    local part = t:request { path = "/a", headers = { Range = "bytes=2-4" } }
    assert.status(part, 206)
    assert.equal("234", part:text())
    assert.header(t:request { path = "/a", method = "HEAD" }, "Content-Length", "10")
    assert.called("api", 1)
  end)

  it("has no key for what cannot be stored", function()
    local t = gateway([[
      local hit, key = c:lookup(req)
      return mg.reply(200, tostring(hit) .. " " .. type(key))]])
    assert.equal("nil userdata", t:request("/a"):text())
    assert.equal("nil nil", t:request({ path = "/a", headers = { Range = "bytes=0-1" } }):text())
    assert.equal("nil nil", t:request({ path = "/a", headers = { ["If-Match"] = '"v"' } }):text())
    assert.equal("nil nil", t:request({ path = "/a", method = "POST" }):text())
    assert.equal("nil nil", t:request({ path = "/a?" .. ("x"):rep(5000) }):text())
  end)

  it("answers itself who takes only what is stored", function()
    local t = gateway(CACHING)
    assert.status(t:request { path = "/a", headers = { ["Cache-Control"] = "only-if-cached" } }, 504)
    t:request "/a"
    assert.status(t:request { path = "/a", headers = { ["Cache-Control"] = "only-if-cached" } }, 200)
    assert.called("api", 1)
  end)

  it("drops what an unsafe request changes, when it succeeds", function()
    local status = 409
    local t = gateway(CACHING, function(req) return req.method == "POST" and { status = status } or {} end)
    t:request "/a"
    t:request { path = "/a", method = "POST" }
    assert.equal("1", t:request("/a"):text())
    status = 200
    t:request { path = "/a", method = "POST" }
    assert.equal("4", t:request("/a"):text())
  end)

  it("stores what streams by, for all who come when it is complete", function()
    local t = gateway(CACHING, { chunks = { "one ", "two ", "three" }, delay = 0.1, trickle = { 4, 0.5 } })
    local first = t:start "/a"
    t:advance(0.8)
    local second = t:start "/a" -- the first is not complete yet
    t:settle()
    assert.equal("one two three", first.res:text())
    assert.equal("one two three", second.res:text())
    assert.called("api", 2)
    assert.equal("one two three", t:request("/a"):text())
    assert.called("api", 2)
  end)

  it("lets a body go by that is too large, or breaks off", function()
    local caches = { caches = { pages = { size = "1MiB", max_object = 1024 } } }
    local t = gateway(CACHING, { chunks = { ("a"):rep(600), ("b"):rep(600) } }, { config = caches })
    for _ = 1, 2 do assert.equal(("a"):rep(600) .. ("b"):rep(600), t:request("/a"):text()) end
    assert.called("api", 2)
    t = gateway(CACHING, function(_, count)
      return { body = ("x"):rep(100), close = count == 1 and "mid-body" or nil }
    end)
    assert.is_truthy(t:request("/a").broken)
    assert.equal(("x"):rep(100), t:request("/a"):text())
    assert.called("api", 2)
  end)

  it("stores what policies make, and what others behind it put together", function()
    local t = gateway { step(CACHING), { lua = [[local n = 0
      return function() n = n + 1 return mg.reply(200, 'made ' .. n) end]] } }
    t:request "/a"
    assert.equal("made 1", t:request("/a"):text())
    t = gateway { step(CACHING), { lua = [[local n = 0
      return function()
        n = n + 1
        return mg.stream(200, nil, function(write) write "a" mg.sleep(1) write(tostring(n)) end)
      end]] } }
    assert.equal("a1", t:request("/a"):text())
    assert.equal("a1", t:request("/a"):text())
    t = T.new { policies = { step(CACHING), { aggregate = { parts = { p = { service = "p", path = "/p" } } } } },
      upstreams = { p = counting(function(_, n) return { json = { n = n } } end) } }
    t:request "/a"
    assert.json(t:request "/a", { p = { n = 1 } })
    assert.called("p", 1)
  end)

  it("stores a body that the policy has read", function()
    local t = gateway { step(CACHING), { lua = "return { response = function(_, res) res:text() end }" } }
    t:request "/a"
    assert.equal("1", t:request("/a"):text())
    local reading = CACHING:gsub("if key then", "for _ in res:chunks() do break end if key then")
    t = gateway(reading, { chunks = { "a", "b" } })
    assert.status(t:request "/a", 500)
    assert.matches("the body has been read already, in pieces", t:log()[1].error)
  end)

  it("hands a stored body on to those who change it", function()
    local changing = { lua = "return { response = function(_, res) res:set_body(res:text() .. '!') end }" }
    local t = gateway { changing, step(CACHING) }
    assert.equal("1!", t:request("/a"):text())
    assert.equal("1!", t:request("/a"):text())
    assert.called("api", 1)
  end)

  it("does not store what was fetched before a purge", function()
    local t = gateway({ step([[
      if req.path == "/purge" then return mg.reply(200, tostring(c:purge "all")) end]] .. CACHING) },
      control("max-age=60", { delay = 2 }))
    local slow = t:start "/a"
    t:advance(1)
    t:request "/purge"
    t:settle()
    assert.equal("false busy", stored(slow.res))
    assert.equal("true", stored(t:request "/a"))
  end)

  it("purges by key and by tag, softly too", function()
    local t = gateway({ step([[
      local how = req:arg "purge"
      if how == "key" then
        req.query = nil
        local _, key = c:lookup(req)
        return mg.reply(200, tostring(c:purge(key)))
      elseif how then
        return mg.reply(200, tostring(c:purge(how, { soft = req:arg "soft" ~= nil })))
      end]] .. CACHING:gsub("stale = 30", "stale = 30, tags = { 'mine', req.path }")) },
      { headers = { ["Surrogate-Key"] = "one two", ETag = '"v"', Vary = "X-Plan" } })
    local function ask(path, plan) return t:request({ path = path, headers = { ["X-Plan"] = plan } }):text() end
    local function fill() ask("/a", "x") ask("/a", "y") ask "/b" end
    for query, dropped in pairs { two = "3", mine = "3", ["%2Fb"] = "1", none = "0", ["one&soft=1"] = "3" } do
      fill()
      assert.equal(dropped, ask("/a?purge=" .. query), query)
    end
    fill()
    assert.equal("3", ask "/a?purge=key") -- two variants, and what tells of them
    local before = select(1, t:seen "api")
    fill()
    assert.called("api", before + 2)
  end)

  it("can be opened in new alone", function()
    local t = gateway { { lua = "return function() return mg.cache 'late' end" } }
    assert.status(t:request "/a", 500)
    assert.matches("call mg.cache in new", t:log()[1].error)
  end)
end)

describe("a refresh", function()
  local REFRESHING = [[
    local hit, key = c:lookup(req)
    if hit then
      local again = req:copy()
      c:refresh(key, function() c:store(key, next(again), { ttl = 60 }) end)
      return hit:response()
    end
    local res = next(req)
    c:store(key, res, { ttl = 60 })
    return res]]

  it("goes the rest of the way, with what is known of the request", function()
    local t = gateway({ step(REFRESHING), { lua = [[return function(req, next)
      req:set_header("X-Who", req.auth and req.auth.subject .. req.params.id)
      return next(req)
    end]] } }, nil, { match = "/things/{id}" })
    t:request "/things/7"
    t:request { path = "/things/7", auth = { subject = "ann", claims = {} } }
    t:settle()
    assert.equal("ann7", select(2, t:seen "api"):header "X-Who")
    assert.equal("2", t:request("/things/7"):text())
  end)

  it("stores a body that streams, and is done when it is complete", function()
    local t = gateway(REFRESHING, function(_, count)
      return { chunks = { "part ", "of ", tostring(count) }, trickle = { 3, 1 } }
    end)
    t:request "/a"
    assert.equal("part of 1", t:request("/a"):text())
    t:settle()
    assert.equal("part of 2", t:request("/a"):text())
  end)

  it("is one at a time, and the next one comes when it has ended, even without a word", function()
    local t = gateway [[
      local hit, key = c:lookup(req)
      if not hit then
        local res = next(req)
        c:store(key, res, { ttl = 60 })
        return res
      end
      local started = c:refresh(key, function()
        mg.sleep(1)
        if req.path == "/error" then error "no" end
      end)
      return mg.reply(200, tostring(started))]]
    for _, path in ipairs { "/a", "/error" } do
      t:request(path)
      for _ = 1, 2 do
        assert.equal("true", t:request(path):text())
        assert.equal("false", t:request(path):text())
        t:settle()
      end
    end
  end)

  it("ends with the time of its request, and lets the next one begin", function()
    local t = gateway(REFRESHING, function(_, count) return { delay = count == 2 and 100 or 0 } end, { timeout = 5 })
    t:request "/a"
    t:request "/a"
    t:advance(6)
    t:request "/a"
    t:settle()
    assert.equal("3", t:request("/a"):text())
  end)

  it("begins in the background as well, and outlives the request that began that", function()
    local t = gateway [[
      local hit, key = c:lookup(req)
      if hit then return hit:response() end
      local again = req:copy()
      mg.background(function()
        mg.sleep(1)
        local res = mg.fetch("api", { path = "/b", stream = true })
        mg.log.info("stored", { stored = c:store(key, res, { ttl = 1, stale = 60 }) })
        mg.sleep(2)
        local late, place = c:lookup(again)
        local started = c:refresh(place, function() c:store(place, mg.reply(200, "anew"), { ttl = 60 }) end)
        mg.log.info("refreshed", { late = late.stale, started = started })
      end)
      return mg.reply(202)]]
    assert.status(t:request "/a", 202)
    t:settle()
    assert.is_true(t:log("stored")[1].stored)
    assert.same({ true, true }, { t:log("refreshed")[1].late, t:log("refreshed")[1].started })
    assert.equal("anew", t:request("/a"):text())
  end)

  it("refuses the request that may end before it does", function()
    local t = gateway [[
      local hit, key = c:lookup(req)
      if not hit then
        local res = next(req)
        c:store(key, res, { ttl = 60 })
        return res
      end
      c:refresh(key, function() next(req) end)
      return hit:response()]]
    t:request "/a"
    t:request "/a"
    t:settle()
    assert.matches("take req:copy()", t:log()[1].error, 1, true)
    assert.called("api", 1)
  end)

  it("works inside of groups, where the rest lies behind the group", function()
    local t = gateway { { ["any-of"] = { { step(REFRESHING) } } }, { lua = [[return function(req, next)
      local res = next(req)
      res:add_header("X-Behind", "yes")
      return res
    end]] } }
    t:request "/a"
    t:request "/a"
    t:settle()
    local res = t:request "/a"
    assert.equal("2", res:text())
    assert.header(res, "X-Behind", "yes")
  end)
end)
