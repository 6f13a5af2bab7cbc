-- Services: which backend, by which connection, and what happens when it is not there.
local E = require "moongate.e2e"

local function start(service, route, more)
  local whole = { match = "/*", service = "api" }
  for key, value in pairs(route or {}) do whole[key] = value end
  local config = { services = { api = service }, routes = { whole } }
  for key, value in pairs(more or {}) do config[key] = value end
  return E.start { config = config }
end

local function named(name)
  return E.upstream { body = name }
end

local function ask(g, n)
  local out = {}
  for i = 1, n do out[i] = g:get("/").body end
  return table.concat(out)
end

local function count(text, letter)
  return select(2, text:gsub(letter, ""))
end

describe("choosing a backend", function()
  it("goes round, from the first", function()
    local a, b, c = named "a", named "b", named "c"
    assert.equal("abcabca", ask(start { backends = { a.address, b.address, c.address } }, 7))
  end)

  it("goes round over all workers together", function()
    local a, b = named "a", named "b"
    local g = start({ backends = { a.address, b.address } }, nil, { workers = 2 })
    local text = ask(g, 20)
    assert.same({ 10, 10 }, { count(text, "a"), count(text, "b") })
  end)

  it("follows weights, evenly spread", function()
    local a, b = named "a", named "b"
    assert.equal("aabaaaba", ask(start { backends = { { address = a.address, weight = 3 }, b.address } }, 8))
  end)

  it("takes all at random", function()
    local a, b = named "a", named "b"
    local text = ask(start { backends = { a.address, b.address }, balance = "random" }, 100)
    assert.is_true(count(text, "a") > 15 and count(text, "b") > 15, text)
  end)

  it("follows weights at random", function()
    local a, b = named "a", named "b"
    local text = ask(start { backends = { { address = a.address, weight = 9 }, b.address }, balance = "random" }, 200)
    assert.is_true(count(text, "a") > 140 and count(text, "b") > 1, text)
  end)

  it("keeps to a key, over all workers, and to a session's cookie", function()
    local backends = { named("a").address, named("b").address, named("c").address }
    local g = start({ backends = backends, balance = { hash = "${arg.user}" } }, nil, { workers = 2 })
    local seen = {}
    for user = 1, 100 do -- with ports that are others each time, so many leave nobody out
      local first = g:get("/?user=" .. user).body
      seen[first] = true
      for _ = 1, 2 do assert.equal(first, g:get("/?user=" .. user).body) end
    end
    assert.same({ a = true, b = true, c = true }, seen)
    g = start({ backends = backends, sticky = { cookie = "at" } }, nil, { workers = 2 })
    local res = g:get("/")
    local cookie = res:header("set-cookie"):match "^at=%x+"
    for _ = 1, 8 do assert.equal(res.body, g:get("/", { headers = { Cookie = cookie } }).body) end
  end)

  it("goes to the next priority when the first cannot be reached", function()
    local a = named "a"
    local g = start { backends = { { address = a.address, priority = 1 }, "127.0.0.1:" .. E.refused() } }
    assert.equal("aaa", ask(g, 3))
  end)

  it("splits a route by weight", function()
    local a, b = named "a", named "b"
    local g = E.start { config = {
      services = { v1 = { backends = { a.address } }, v2 = { backends = { b.address } } },
      routes = { { match = "/*", split = { { service = "v1", weight = 80 }, { service = "v2", weight = 20 } } } },
    } }
    local text = ask(g, 200)
    assert.is_true(count(text, "b") > 12 and count(text, "b") < 80, text)
  end)

  it("resolves names", function()
    local a = named "a"
    assert.equal("a", ask(start { backends = { "localhost:" .. a.port } }, 1))
    assert.equal("a", ask(start { dns = { name = "localhost", port = a.port } }, 1))
  end)
end)

describe("a backend that is not there", function()
  it("is 503 when it refuses, without its address", function()
    local port = E.refused()
    local g = start { backends = { "127.0.0.1:" .. port } }
    local res = g:get("/")
    assert.problem(res, 503, "service-unavailable")
    assert.is_nil(res.body:find(tostring(port), 1, true))
    g:wait_log('"upstream failed".*"backend":"127.0.0.1:' .. port .. '".*"reason":"connection%-refused"')
  end)

  it("has the status that the service says", function()
    local res = start({ backends = { "127.0.0.1:" .. E.refused() }, status_when_down = 404 }):get("/")
    assert.status(res, 404)
  end)

  it("is left out: the next one gets the request, body and all", function()
    local a = E.upstream(function(req) return { body = req.body } end)
    local g = start { backends = { "127.0.0.1:" .. E.refused(), a.address } }
    for _ = 1, 4 do assert.equal("all", g:request { method = "POST", body = "all" }.body) end
    assert.called(a, 4)
  end)

  it("is 503 when its name is unknown", function()
    local g = start { backends = { "no-such-host.invalid:80" } }
    assert.problem(g:get("/"), 503, "service-unavailable")
  end)

  it("is 504 when it does not answer", function()
    local up = E.upstream { hang = true }
    local g = start { backends = { up.address }, timeouts = { first_byte = "50ms" } }
    assert.problem(g:get("/"), 504, "gateway-timeout")
    E.eventually(function() assert.called(up, 1) end)
    E.eventually(function() assert.equal(0, up:open_connections()) end)
  end)

  it("is cut off when it stops in the middle", function()
    local up = E.upstream(nil, { serve = function(s)
      repeat until s:line() == ""
      s:send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
      s:until_close()
    end })
    local g = start { backends = { up.address }, timeouts = { idle = "50ms" } }
    local client = g:connect()
    local res, _, part = client:request("/")
    assert.is_nil(res)
    assert.equal("abc", part.body)
    g:wait_log("response cut short")
  end)

  it("is 502 when it closes without an answer", function()
    local up = E.upstream { close = "at-once" }
    local g = start { backends = { up.address } }
    assert.problem(g:get("/"), 502, "bad-gateway")
    g:wait_log('"upstream failed"')
    assert.called(up, 1)
  end)

  it("is no concern of others", function()
    local hung, good = E.upstream { hang = true }, named "good"
    local g = E.start { config = {
      services = {
        a = { backends = { hung.address }, timeouts = { first_byte = "1h" } }, b = { backends = { good.address } },
      },
      routes = { { match = "/a", service = "a", timeout = "1h" }, { match = "/b", service = "b" } },
    } }
    local task = E.spawn(function()
      local client = g:connect()
      return (client:request("/a"))
    end)
    E.eventually(function() assert.called(hung, 1) end)
    for _ = 1, 20 do assert.equal("good", g:get("/b").body) end
    assert.is_falsy(task.done)
    task:cancel()
  end)
end)

describe("pooled connections", function()
  it("are replaced when the backend has closed them", function()
    local up = E.upstream { body = "ok", close = "after" }
    local g = start { backends = { up.address } }
    for _ = 1, 20 do assert.status(g:get("/"), 200) end
    assert.called(up, 20)
  end)

  it("are replaced when the backend closes on reuse, for what may be sent twice", function()
    local up = E.upstream(nil, { serve = function(s)
      repeat
        local line = s:line()
        if not line then return end
      until line == ""
      s:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      s:receive(1) -- the next request has come: away
      s:close()
    end })
    local g = start { backends = { up.address } }
    for _ = 1, 10 do assert.equal("ok", g:get("/").body) end
    assert.equal(10, up:connections())
  end)

  it("never send a POST twice", function()
    local bodies = 0
    local up = E.upstream(nil, { serve = function(s, n)
      while true do
        local line
        repeat
          line = s:line()
          if not line then return end
        until line == ""
        if n > 1 or bodies > 0 then s:receive(4) end
        bodies = bodies + 1
        if bodies == 2 then
          s:close()
          return
        end
        s:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      end
    end })
    local g = start { backends = { up.address } }
    assert.status(g:get("/"), 200)
    assert.problem(g:request { method = "POST", body = "once" }, 502, "bad-gateway")
    assert.equal(2, bodies)
  end)

  it("are not used for what the backend said to close", function()
    local up = E.upstream { body = "ok", close = "said" }
    local g = start { backends = { up.address } }
    local res
    for _ = 1, 3 do res = g:get("/") end
    assert.no_header(res, "Connection")
    assert.equal(3, up:connections())
  end)

  it("are dropped with bytes that nobody asked for", function()
    local up = E.upstream { raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" ..
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" }
    local g = start { backends = { up.address } }
    for _ = 1, 5 do assert.equal("ok", g:get("/").body) end
  end)

  it("are kept as many and as long as the service says", function()
    local up
    up = E.upstream(function()
      E.until_true(function() return #up.seen >= 3 end)
      return { body = "ok" }
    end)
    local one = start { backends = { up.address }, keepalive = { max = 1, idle = "1h" } }
    E.times(3, function() return one:get("/") end)
    assert.equal(3, up:connections())
    E.eventually(function() assert.equal(1, up:open_connections()) end)
    for _, keepalive in ipairs { { idle = "100ms" }, { max = 0 } } do
      start({ backends = { up.address }, keepalive = keepalive }):get("/")
      E.eventually(function() assert.equal(1, up:open_connections()) end)
    end
    one:get("/")
    assert.equal(5, up:connections())
  end)

  it("go when the client goes", function()
    local up = E.upstream { hang = true }
    local g = start { backends = { up.address } }
    local client = g:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.called(up, 1) end)
    client:reset()
    E.eventually(function() assert.equal(0, up:open_connections()) end)
  end)
end)

describe("what the backend sees", function()
  local up

  before_each(function() up = E.upstream {} end)

  local function target(service, route, path, headers)
    service.backends = not service.url and { up.address } or nil
    start(service, route):get(path, { headers = headers })
    return up.seen[#up.seen]
  end

  for _, case in ipairs {
    { "/a/*", "/a/b/c?d=e", { strip_prefix = true }, "/b/c?d=e" },
    { "/a/*", "/a/", { strip_prefix = true }, "/" },
    { "/a/{id}", "/a/7", { strip_prefix = true }, "/7" },
    { "/a/b/*", "/a/b/c", { strip_prefix = "/a" }, "/b/c" },
    { "/a/*", "/a/x%2Fy%20z", { strip_prefix = true }, "/x%2Fy%20z" },
    { "/a/*", "/a/b?q", { rewrite = "/internal/{*}" }, "/internal/b?q" },
    { "/u/{id}/o/{rest+}", "/u/7/o/x/y?q=1", { rewrite = "/o/{rest}/of/{id}" }, "/o/x/y/of/7?q=1" },
    { "~^/v(\\d+)/(.*)$", "/v2/cats", { rewrite = "/{2}?v={1}" }, "/cats?v=2" },
    { "/a/*", "/a//b/../c", {}, "/a//b/../c" },
    { "/*", "/x", {}, "/x" },
  } do
    it(("%s with %s is %s"):format(case[2], next(case[3]) or "nothing", case[4]), function()
      case[3].match = case[1]
      assert.equal(case[4], target({}, case[3], case[2]).target)
    end)
  end

  it("puts a URL's path in front", function()
    assert.equal("/base/x?y=1", target({ url = up.url .. "/base" }, nil, "/x?y=1").target)
    local stripped = target({ url = up.url .. "/base/" }, { match = "/p/*", strip_prefix = true }, "/p/x")
    assert.equal("/base/x", stripped.target)
  end)

  it("keeps the Host", function()
    assert.equal("shop.example", target({}, nil, "/", { Host = "shop.example" }):header("Host"))
  end)

  it("gets its own address as Host", function()
    local req = target({ host = "backend" }, nil, "/", { Host = "shop.example" })
    assert.equal(up.address, req:header("Host"))
    assert.equal("shop.example", req:header("X-Forwarded-Host"))
  end)

  it("gets a Host by name", function()
    assert.equal("users.internal", target({ host = "users.internal" }, nil, "/", { Host = "x" }):header("Host"))
  end)

  it("has base_path before every route", function()
    local g = start({ backends = { up.address } }, { match = "/a/*", strip_prefix = true }, { base_path = "/prod" })
    assert.status(g:get("/prod/a/b"), 200)
    assert.equal("/b", up.seen[1].target)
    assert.status(g:get("/a/b"), 404)
  end)
end)
