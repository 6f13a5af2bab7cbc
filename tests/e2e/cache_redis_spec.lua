-- The second tier of caches in a real Redis: what gateways have for each other, and what becomes of clients while it is
-- ill.
local E = require "moongate.e2e"

-- Commands have all the time that a busy machine may need; specs of a Redis that hangs say less.
local function config(redis, up, options)
  options = options or {}
  local main = { timeout = "30s", connect_timeout = "30s" }
  for name, value in pairs(options.redis or { address = redis.address }) do main[name] = value end
  local cache = { store = "pages", ttl = 60, legacy_headers = true }
  for name, value in pairs(options.step or {}) do cache[name] = value end
  return {
    redis = { main = main }, workers = options.workers or 2,
    admin = { address = "127.0.0.1:0" },
    caches = { pages = { size = "16MiB", redis = "main", redis_max_object = options.redis_max_object } },
    services = { api = { backends = { up.address } } },
    routes = { { name = "all", match = "/*", service = "api", policies = { { cache = cache } } } },
  }
end

local function start(...) return E.start { config = config(...) } end

local function ask(g, path, headers, method)
  headers = headers or {}
  headers.Host = "shop.example"
  return g:request { method = method or "GET", path = path, headers = headers }
end

local function tier(g)
  for _, cache in ipairs(g:ask_admin("/cache"):json().caches) do
    if cache.name == "pages" then return cache.redis end
  end
end

-- Until a gateway has left so much there.
local function left(g, count)
  E.eventually(function() assert.equal(count, tier(g).stores) end)
end

local function purge(g, query)
  assert.status(g:ask_admin { method = "POST", path = "/cache/purge?cache=pages&" .. query }, 200)
end

-- An origin that counts.
local function origin(answer)
  local count = 0
  return E.upstream(function(req)
    count = count + 1
    local made = answer and answer(req, count) or {}
    made.body = made.body or tostring(count)
    return made
  end)
end

describe("the second tier of a cache", function()
  local redis
  setup(function() redis = E.redis() end)
  before_each(function() redis:command "FLUSHALL" end)

  it("has for one gateway what another one has fetched", function()
    local up = origin(function()
      return { headers = { ETag = '"v1"', ["X-Own"] = "yes" }, body = ("b"):rep(200000) }
    end)
    local a, b = start(redis, up), start(redis, up)
    local began = math.floor(E.now()) -- ages are whole seconds
    assert.header(ask(a, "/page"), "X-Cache", "MISS")
    left(a, 1)
    local res = ask(b, "/page")
    assert.status(res, 200)
    assert.header(res, "X-Cache", "HIT")
    assert.header(res, "X-Own", "yes")
    assert.matches("^moongate;hit;ttl=%d+;detail=redis$", res:header "Cache-Status")
    assert.matches("^%d+$", res:header "Age")
    assert.equal(("b"):rep(200000), res:text())
    assert.is_nil((ask(b, "/page"):header "Cache-Status"):find "redis") -- its own by now
    assert.status(ask(b, "/page", { ["If-None-Match"] = '"v1"' }), 304)
    assert.called(up, 1)
    for _, key in ipairs(redis:command("KEYS", "moongate:pages:*")) do
      local left_ms = redis:command("PTTL", key)
      assert.is_true(left_ms > 60000 - 1000 * (E.now() - began) - 1 and left_ms <= 60000, key)
    end
  end)

  it("outlives the gateway that filled it", function()
    local up = origin()
    local a = start(redis, up)
    ask(a, "/page")
    left(a, 1)
    a:stop()
    assert.equal("1", ask(start(redis, up), "/page"):text())
    assert.called(up, 1)
  end)

  it("tells the age of what was fetched elsewhere", function()
    local up = origin(function() return { headers = { Age = "100", ["Cache-Control"] = "max-age=200" } } end)
    local a, b = start(redis, up), start(redis, up)
    local took, age = E.timed(function()
      ask(a, "/page")
      left(a, 1)
      return tonumber(ask(b, "/page"):header "Age")
    end)
    assert.is_true(age >= 100 and age <= 100 + math.ceil(took) + 1, age)
  end)

  it("keeps variants apart", function()
    local up = origin(function(req)
      return { headers = { Vary = "Accept-Language" }, body = req:header "Accept-Language" }
    end)
    local a, b = start(redis, up), start(redis, up)
    ask(a, "/page", { ["Accept-Language"] = "de" })
    ask(a, "/page", { ["Accept-Language"] = "fr" })
    left(a, 2)
    assert.equal("fr", ask(b, "/page", { ["Accept-Language"] = "fr" }):text())
    assert.equal("de", ask(b, "/page", { ["Accept-Language"] = "de" }):text())
    assert.called(up, 2)
    assert.equal("en", ask(b, "/page", { ["Accept-Language"] = "en" }):text())
    assert.called(up, 3)
  end)

  it("has parts for others, but for who asks for the same alone", function()
    local up = origin(function(req)
      local first, last = (req:header "Range" or ""):match "^bytes=(%d)%-(%d)$"
      if not first or req.path == "/undivided" then return { body = "0123456789" } end
      return { status = 206, headers = { ["Content-Range"] = ("bytes %d-%d/10"):format(first, last) },
        body = ("0123456789"):sub(first + 1, last + 1) }
    end)
    local a, b = start(redis, up), start(redis, up)
    assert.equal("234", ask(a, "/page", { Range = "bytes=2-4" }):text())
    left(a, 1)
    local res = ask(b, "/page", { Range = "bytes=2-4" })
    assert.status(res, 206)
    assert.equal("234", res:text())
    assert.header(res, "Content-Range", "bytes 2-4/10")
    assert.matches("detail=redis", res:header "Cache-Status")
    assert.called(up, 1)
    assert.equal("2345", ask(b, "/page", { Range = "bytes=2-5" }):text())
    assert.equal("0123456789", ask(b, "/page"):text())
    assert.called(up, 3)
    left(b, 2)
    purge(a, "key=http://shop.example/page")
    E.eventually(function() assert.matches("MISS", ask(b, "/page", { Range = "bytes=2-4" }):header "X-Cache") end)
    -- What came whole is its gateway's own.
    ask(a, "/undivided", { Range = "bytes=2-4" })
    assert.equal("0123456789", ask(a, "/undivided"):text())
    assert.equal("0123456789", ask(b, "/undivided"):text())
  end)

  it("makes one request of those that come to all gateways at once", function()
    local up = origin(function() return { delay = 0.5 } end)
    local gateways = { start(redis, up), start(redis, up), start(redis, up) }
    local fns = {}
    for i = 1, 60 do
      fns[i] = function() return ask(gateways[i % 3 + 1], "/slow") end
    end
    for _, res in ipairs(E.together(fns)) do
      assert.status(res, 200)
      assert.equal("1", res:text())
    end
    assert.called(up, 1)
  end)

  it("keeps the lock as long as the fetch takes", function()
    local up = origin(function() return { delay = 3 } end)
    local a, b = start(redis, up), start(redis, up)
    -- A lock lasts 2 s and is prolonged each second. It may lapse where the machine holds up a gateway for as long:
    -- then another try has to show it.
    E.eventually(function()
      local before = #up.seen
      local path = "/slow" .. before
      local first = E.spawn(function() return ask(a, path) end)
      E.until_true(function() return #up.seen == before + 1 end)
      assert.equal(tostring(before + 1), ask(b, path):text())
      assert.equal(tostring(before + 1), first:wait():text())
      assert.called(up, before + 1)
    end, 60)
  end)

  it("waits no longer for a gateway that is dead than its lock lasts", function()
    local up = origin(function(_, count) return { delay = count == 1 and 600 or 0 } end)
    local a, b = start(redis, up), start(redis, up)
    local lost = E.spawn(function() return pcall(ask, a, "/slow") end)
    E.eventually(function() assert.equal(1, #redis:command("KEYS", "*:lock")) end)
    E.eventually(function() assert.called(up, 1) end)
    a:kill()
    lost:wait()
    assert.equal("2", ask(b, "/slow"):text()) -- after 2 s, not after the 600 that the origin takes for the first
  end)

  it("does not make others wait for what is not for sharing", function()
    local up = origin(function() return { headers = { ["Cache-Control"] = "private" }, delay = 0.3 } end)
    local a, b = start(redis, up), start(redis, up)
    ask(a, "/mine")
    E.eventually(function() assert.equal("-", redis:command("GET", redis:command("KEYS", "*:lock")[1])) end)
    E.together { function() ask(b, "/mine") end, function() ask(b, "/mine") end }
    assert.called(up, 3)
    assert.equal(0, tier(b).waits)
  end)

  it("has what one gateway validated for another one", function()
    local up = origin(function(req, count)
      if req:header "If-None-Match" then
        return { status = 304, headers = { ETag = '"v"', ["Cache-Control"] = "max-age=60" }, body = "" }
      end
      return { headers = { ETag = '"v"', ["Cache-Control"] = "max-age=1" }, body = "body " .. count }
    end)
    local a, b = start(redis, up), start(redis, up)
    local path = "/page"
    E.eventually(function() -- while it is fresh, which is no more than a second
      path = path .. "x"
      local stores = tier(a).stores
      ask(a, path)
      left(a, stores + 1)
      assert.matches("hit", ask(b, path):header "Cache-Status")
    end)
    local asked, stores = #up.seen, tier(a).stores
    E.eventually(function() -- a second later it is stale
      assert.matches("fwd%-status=304", ask(a, path):header "Cache-Status")
    end)
    left(a, stores + 1)
    E.eventually(function() assert.matches("hit;ttl=[1-9]%d", ask(b, path):header "Cache-Status") end)
    assert.called(up, asked + 1)
  end)

  it("leaves out what is too large for it", function()
    local up = origin(function() return { body = ("x"):rep(5000) } end)
    local options = { redis_max_object = "4KiB" }
    local a, b = start(redis, up, options), start(redis, up, options)
    ask(a, "/large")
    assert.equal(5000, #ask(b, "/large"):text())
    assert.called(up, 2)
    assert.equal(0, tier(a).stores)
    assert.header(ask(a, "/large"), "X-Cache", "HIT")
  end)
end)

describe("the second tier of a cache in a cluster", function()
  it("has each entry with all that belongs to it on one server", function()
    local cluster = E.redis_cluster { nodes = 3 }
    local up = origin(function(req)
      return { headers = { Vary = "X-Plan", ["Cache-Control"] = "max-age=60" }, body = req.path .. req:header "X-Plan" }
    end)
    local options = { redis = { cluster = cluster.addresses } }
    local a, b = start(nil, up, options), start(nil, up, options)
    local paths = {}
    for i = 1, 12 do paths[i] = "/page" .. i end
    for _, path in ipairs(paths) do ask(a, path, { ["X-Plan"] = "free" }) end
    left(a, #paths)
    for _, path in ipairs(paths) do
      local res = ask(b, path, { ["X-Plan"] = "free" })
      assert.header(res, "X-Cache", "HIT")
      assert.equal(path .. "free", res:text())
    end
    purge(a, "prefix=http://shop.example/")
    for _, path in ipairs(paths) do
      E.eventually(function() assert.header(ask(b, path, { ["X-Plan"] = "free" }), "X-Cache", "MISS") end)
    end
    assert.equal(0, tier(a).failures)
  end)
end)

describe("a purge at one gateway", function()
  local redis, up, a, b
  setup(function()
    redis = E.redis()
    up = origin(function(req)
      return { headers = { ["Surrogate-Key"] = req:arg "tag" or "none", ["Cache-Control"] = "max-age=60",
        ETag = '"' .. req.path .. '"' } }
    end)
    a, b = start(redis, up), start(redis, up)
  end)

  -- Both have it, and Redis too.
  local function fill(path)
    ask(a, path)
    E.eventually(function() assert.header(ask(b, path), "X-Cache", "HIT") end)
  end

  -- Neither has it, nor does a third one find it.
  local function gone(path)
    local before = #up.seen
    E.eventually(function() assert.header(ask(b, path), "X-Cache", "MISS") end)
    assert.equal(before + 1, #up.seen)
  end

  it("is one at the other, by tag", function()
    fill "/tagged?tag=news"
    fill "/other?tag=sport"
    purge(a, "tag=news")
    gone "/tagged?tag=news"
    assert.header(ask(b, "/other?tag=sport"), "X-Cache", "HIT")
    assert.header(ask(start(redis, up), "/other?tag=sport"), "X-Cache", "HIT")
  end)

  it("is one of what lies in Redis, which nobody has read yet", function()
    local stores = tier(a).stores
    ask(a, "/unread?tag=unread")
    left(a, stores + 1)
    local function told() return tonumber(redis:command("HGET", "moongate:{pages}:purges", "seq")) or 0 end
    local told_before = told()
    purge(a, "tag=unread")
    E.eventually(function() assert.is_true(told() > told_before) end)
    local c = start(redis, up)
    E.eventually(function() assert.is_true(redis:command("ZCARD", "moongate:{pages}:said") > 0) end)
    local before = #up.seen
    assert.header(ask(c, "/unread?tag=unread"), "X-Cache", "MISS")
    assert.equal(before + 1, #up.seen)
  end)

  it("is one at the other, by prefix and by key", function()
    fill "/shop/a"
    fill "/shop/b"
    fill "/blog/a"
    purge(a, "prefix=http://shop.example/shop/")
    gone "/shop/a"
    gone "/shop/b"
    assert.header(ask(b, "/blog/a"), "X-Cache", "HIT")
    purge(b, "key=http://shop.example/blog/a")
    E.eventually(function() assert.header(ask(a, "/blog/a"), "X-Cache", "MISS") end)
  end)

  it("is one at the other when it is soft", function()
    fill "/soft?tag=soft"
    purge(a, "tag=soft&soft=true")
    E.eventually(function() assert.matches("fwd=stale", ask(b, "/soft?tag=soft"):header "Cache-Status") end)
    assert.equal('"/soft"', up.seen[#up.seen]:header "If-None-Match")
  end)

  it("is what a POST does to its URL", function()
    fill "/item"
    assert.status(ask(a, "/item", nil, "POST"), 200)
    gone "/item"
  end)

  it("is one at the other after both have read their configs again", function()
    for _, g in ipairs { a, b } do assert.is_true(g:reload(config(redis, up, { step = { ttl = 61 } }))) end
    fill "/again?tag=again"
    purge(a, "tag=again")
    gone "/again?tag=again"
  end)

  it("of everything is one of everything", function()
    fill "/x"
    purge(a, "soft=false")
    gone "/x"
  end)

  it("reaches who could not be reached for a while", function()
    fill "/late?tag=late"
    redis:pause()
    purge(a, "tag=late")
    assert.header(ask(b, "/late?tag=late"), "X-Cache", "HIT") -- it cannot know
    redis:resume()
    gone "/late?tag=late"
    for _, g in ipairs { a, b } do g:log "redis is down" g:log "cache error" end
  end)
end)

describe("a Redis that is ill", function()
  it("costs nobody more than a miss when it dies, and is used again when it is back", function()
    local redis = E.redis()
    local up = origin()
    local a, b = start(redis, up), start(redis, up)
    ask(a, "/before")
    left(a, 1)
    redis:kill()
    local took = E.timed(function()
      for i = 1, 20 do
        for _, g in ipairs { a, b } do
          local res = ask(g, "/down" .. i)
          assert.status(res, 200)
          assert.header(res, "X-Cache", "MISS")
        end
      end
    end)
    assert.header(ask(a, "/before"), "X-Cache", "HIT")
    assert.is_true(tier(a).failures > 0)
    local lines = 2 * (1 + math.ceil(took / 10)) -- few for many requests: of each worker one in 10 s
    assert.is_true(#a:log '"cache error"' <= lines)
    assert.is_true(#b:log '"cache error"' <= lines)
    redis:start()
    E.eventually(function()
      local path = "/back" .. #up.seen
      ask(a, path)
      assert.header(ask(b, path), "X-Cache", "HIT")
    end)
    for _, g in ipairs { a, b } do g:log "redis is" g:log "cache error" end
  end)

  it("is waited for no longer than its time-out", function()
    local redis = E.redis()
    local up = origin()
    local g = start(redis, up, { redis = { address = redis.address, timeout = "100ms" }, workers = 1 })
    E.eventually(function() -- a machine that has much to do may be later than that
      ask(g, "/warm" .. #up.seen)
      assert.is_true(tier(g).stores > 0)
    end)
    redis:pause()
    for i = 1, 10 do assert.status(ask(g, "/slow" .. i), 200) end -- it hangs as long as that takes
    redis:resume()
    g:log "cache error"
    g:log "redis is"
  end)

  it("may hold anything", function()
    local redis = E.redis()
    local up = origin()
    local a, b = start(redis, up), start(redis, up)
    local known = {}
    local bad = { "garbage", "", ("\0"):rep(4000), "MGC1" .. ("f"):rep(16) .. ("x"):rep(300) }
    for i, value in ipairs(bad) do
      local path, key = "/bad" .. i, nil
      ask(a, path)
      E.eventually(function()
        for _, name in ipairs(redis:command("KEYS", "moongate:pages:{*}")) do
          if not known[name] then key = name end
        end
        assert.is_string(key)
      end)
      known[key] = true
      if value == "" then
        redis:command("DEL", key)
        redis:command("RPUSH", key, "a list")
      else
        redis:command("SET", key, value)
      end
      local res = ask(b, path)
      assert.status(res, 200)
      assert.header(res, "X-Cache", "MISS")
    end
    assert.is_true(tier(b).failures + tier(b).refused >= 3)
    b:log "cache"
    a:log "cache"
  end)

  it("may be full", function()
    local redis = E.redis()
    local is_full = false
    local up = origin(function()
      E.until_true(function() return is_full end)
      return {}
    end)
    local a, b = start(redis, up), start(redis, up)
    local first = E.spawn(function() return ask(a, "/first") end)
    E.eventually(function() assert.equal(1, #redis:command("KEYS", "*:lock")) end)
    redis:command("CONFIG", "SET", "maxmemory", "1mb")
    is_full = true
    assert.equal("1", first:wait():text())
    E.eventually(function() assert.is_true(#a:log '"cache storage error"' > 0) end)
    assert.equal("1", ask(a, "/first"):text())
    assert.equal("2", ask(b, "/first"):text())
    assert.equal(0, tier(a).stores)
    E.eventually(function() assert.is_true(tier(b).failures > 0) end)
    b:log '"cache error"'
  end)

  it("may have lost everything: then nobody keeps what may have been purged", function()
    local redis = E.redis()
    local up = origin()
    local a = start(redis, up)
    ask(a, "/page")
    left(a, 1)
    redis:command "FLUSHALL"
    E.eventually(function() assert.header(ask(a, "/page"), "X-Cache", "MISS") end)
  end)
end)
