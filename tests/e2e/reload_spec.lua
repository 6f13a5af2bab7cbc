-- SIGHUP: the config changes while the gateway serves, in all workers or in none.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local function answer(text, more)
  local config = {
    routes = { { match = "/*", policies = {
      { lua = ("return function() return mg.reply(200, %q) end"):format(text) } } } },
  }
  for key, value in pairs(more or {}) do config[key] = value end
  return config
end

-- What each of several new connections gets: workers take turns.
local function asked(g, times)
  local seen = {}
  for _ = 1, times or 20 do seen[g:get("/"):text()] = true end
  return seen
end

-- A policy that only the first worker can build.
local PICKY = [[
  local M = { name = "picky", version = "1.0.0" }
  function M.new(_, env)
    if env.worker == 1 then error "not in the second worker" end
    return { request = function() return require "moongate".reply(200, "never") end }
  end
  return M]]

describe("a reload", function()
  it("is in force in every worker when it is said to be", function()
    local g = E.start { config = answer("one", { workers = 4 }) }
    assert.same({ one = true }, asked(g))
    assert.is_true(g:reload(answer("two", { workers = 4 })))
    assert.same({ two = true }, asked(g, 40))
    assert.is_true(g:reload(answer("three", { workers = 4 })))
    assert.same({ three = true }, asked(g, 40))
  end)

  it("sees edits of policies", function()
    local function policy(text)
      return { ["policies/mine.lua"] = ([[
        local mg = require "moongate"
        return { name = "mine", version = "1.0.0",
          new = function() return { request = function() return mg.reply(200, %q) end } end }]]):format(text) }
    end
    local config = { routes = { { match = "/*", policies = { "mine" } } } }
    local g = E.start { config = config, files = policy "old" }
    assert.equal("old", g:get("/"):text())
    local file = assert(io.open(g.folder .. "/policies/mine.lua", "w"))
    file:write(policy("new")["policies/mine.lua"])
    file:close()
    assert.is_true(g:reload())
    assert.equal("new", g:get("/"):text())
  end)

  it("lets requests under way finish as they began, and connections go on", function()
    local may_answer = false
    local up = E.upstream(function(req)
      if req.path == "/slow" then E.until_true(function() return may_answer end) end
      return { body = "slow" }
    end)
    local function config(header)
      return { services = { up = { backends = { up.address } } }, routes = { { match = "/*", service = "up",
        policies = { { headers = { response = { set = { ["X-Config"] = header } } } } } } } }
    end
    local g = E.start { config = config "one" }
    local connection = g:connect()
    connection:send "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    E.eventually(function() return #up.seen == 1 end)
    assert.is_true(g:reload(config "two"))
    may_answer = true
    assert.header(connection:response(), "X-Config", "one")
    connection:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.header(connection:response(), "X-Config", "two")
  end)

  for what, broken in pairs {
    ["with a mistake in the file"] = "listen: [",
    ["with an unknown field"] = { rotes = {} },
    ["whose Lua does not start"] = { routes = { { match = "/*", policies = { { lua = "error 'boom'" } } } } },
    ["whose Lua does not start in one worker"] = {
      workers = 2, shared = { once = "128KiB" },
      routes = { { match = "/*", policies = { { lua = [[
        local n = mg.shared("once"):incr("n", 1, 0)
        if n == 2 then error "not the second time" end
        return function() return mg.reply(200, "never") end]] } } } },
    },
    ["whose Lua does not start in the last worker"] = {
      workers = 2, routes = { { match = "/*", policies = { "picky" } } },
    },
    ["with an admin listener that cannot be"] = answer("never", { workers = 2, admin = { address = "192.0.2.1:1" } }),
    ["with a listener that cannot be"] = answer("never", { workers = 2, listen = { "127.0.0.1:0", "192.0.2.1:1" } }),
    ["with an access log that cannot be"] = answer("never", { workers = 2, log = { access = { to = "none/such" } } }),
    ["without its certificate"] = { listen = { { address = "127.0.0.1:0",
      tls = { certificates = { cert = "none.pem", key = "none.key" } } } } },
  } do
    it(what .. " changes nothing, and says why", function()
      local g = E.start { config = answer("one", { workers = 2 }), files = { ["policies/picky.lua"] = PICKY } }
      local before = process.read(g.folder .. "/moongate.lua")
      local addresses, admin = g.addresses, g.admin
      local ok, why = g:reload(broken)
      assert.is_nil(ok)
      assert.matches("the config before it stays in force", why, 1, true)
      assert.same({ one = true }, asked(g))
      assert.is_true(g:reload(before))
      assert.same({ one = true }, asked(g))
      assert.same(addresses, g.addresses)
      assert.equal(admin, g.admin)
    end)
  end

  it("opens and closes listeners; one that stays is never closed", function()
    local g = E.start { config = answer("one", { listen = { "127.0.0.1:0" } }) }
    local stays = g.port
    assert.is_true(g:reload(answer("two", { listen = { "unix:%{folder}/a.sock", "127.0.0.1:0" } })))
    assert.equal(2, #g.addresses)
    assert.equal(stays, g.ports[2])
    assert.equal("two", g:get("/", { port = stays }):text())
    assert.equal("two", g:get("/", { unix = g.folder .. "/a.sock" }):text())
    assert.is_true(g:reload(answer("three", { listen = { "127.0.0.1:0" } })))
    assert.equal("three", g:get("/", { port = stays }):text())
    E.eventually(function() assert.is_nil((g:connect { unix = g.folder .. "/a.sock" })) end)
    E.eventually(function() assert.is_nil(io.open(g.folder .. "/a.sock")) end)
  end)

  it("that runs out of descriptors half-way changes nothing and keeps none", function()
    local folder = process.folder()
    finally(function() process.remove_folder(folder) end)
    local few, program = folder .. "/few", require "moongate.e2e.gateway".program
    process.write(few, ('#!/bin/bash\nulimit -n 45\nexec "%s" run "$@"\n'):format(program))
    os.execute("chmod +x " .. few)
    local g = E.start { config = answer("one", { workers = 2 }), program = few }
    local listen = { "127.0.0.1:0" }
    for i = 2, 20 do listen[i] = "127.0.0.1:0" end
    local before = process.descriptors(g:serving_pid())
    for _ = 1, 3 do
      local ok, why = g:reload(answer("many", { workers = 2, listen = listen }))
      assert.is_nil(ok)
      assert.matches("Too many open files", why, 1, true)
      E.eventually(function() assert.is_true(process.descriptors(g:serving_pid()) <= before) end)
    end
    assert.same({ one = true }, asked(g))
    assert.is_true(g:reload(answer("two", { workers = 2, listen = { "127.0.0.1:0", "127.0.0.1:0" } })))
    assert.same({ two = true }, asked(g))
  end)

  it("leaves several listeners on any port where they are", function()
    local g = E.start { config = answer("one", { workers = 2, listen = { "127.0.0.1:0", "127.0.0.1:0" } }) }
    local ports = g.ports
    assert.is_true(g:reload(answer("two", { workers = 2, listen = { "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0" } })))
    assert.same(ports, { g.ports[1], g.ports[2] })
    for _, port in ipairs(g.ports) do assert.equal("two", g:get("/", { port = port }):text()) end
  end)

  it("says that another number of workers needs a restart", function()
    local g = E.start { config = answer("one", { workers = 2 }) }
    g.write_config(answer("two", { workers = 3 }))
    local res = g:ask_admin { method = "POST", path = "/reload" }
    assert.status(res, 200)
    assert.matches("workers: warning: there are 2 until the gateway is restarted, not 3", res:json().warnings, 1, true)
    assert.same({ two = true }, asked(g))
  end)

  it("is not lost when it is asked for before the gateway is ready", function()
    local asked_for
    local issuer = E.upstream(function(req)
      if not asked_for then
        asked_for = true
        local folder = req.path:match "^/keys(/.*)$"
        local text = process.read(folder .. "/moongate.lua"):gsub("one", "two")
        process.write(folder .. "/moongate.lua", text)
        os.execute("kill -HUP " .. process.read(folder .. "/pid"))
        E.sleep(0.1) -- the gateway waits for this answer
      end
      return { json = { keys = {} } }
    end)
    local g = E.start { config = answer("one", { keys = { main = { jwks = issuer.url .. "/keys%{folder}" } } }) }
    assert.is_true(asked_for)
    g:wait_log "config reloaded"
    assert.equal("two", g:get("/"):text())
  end)

  it("keeps what dictionaries hold, and connections to backends", function()
    local up = E.upstream { body = "ok" }
    local function config(text)
      return { shared = { counts = "128KiB" }, services = { up = { backends = { up.address } } }, routes = {
        { match = "/count", policies = { { lua = ([[
          local counts = mg.shared "counts"
          return function() return mg.reply(200, %q .. counts:incr("n", 1, 0)) end]]):format(text) } } },
        { match = "/*", service = "up" } } }
    end
    local g = E.start { config = config "a" }
    assert.equal("a1", g:get("/count"):text())
    assert.status(g:get "/", 200)
    assert.is_true(g:reload(config "b"))
    assert.equal("b2", g:get("/count"):text())
    assert.status(g:get "/", 200)
    assert.equal(1, up:connections())
  end)

  it("keeps connections to backends over TLS that are verified as before", function()
    local up = E.upstream({ body = "ok" }, { tls = true })
    local function config(text, name)
      return { services = { up = { url = up.url, tls = { ca = up.ca, name = name } } }, routes = {
        { match = "/*", service = "up",
          policies = { { headers = { response = { set = { ["X-Config"] = text } } } } } } } }
    end
    local g = E.start { config = config "a" }
    assert.status(g:get "/", 200)
    assert.is_true(g:reload(config "b"))
    assert.header(g:get "/", "X-Config", "b")
    assert.equal(1, up:connections())
    assert.is_true(g:reload(config("c", "localhost")))
    assert.header(g:get "/", "X-Config", "c")
    assert.equal(2, up:connections())
  end)

  it("keeps who was put aside for failing", function()
    local bad, good = E.upstream { status = 500 }, E.upstream { body = "ok" }
    local function config(text)
      return { services = { up = { backends = { bad.address, good.address },
        outliers = { errors = 1, eject_for = "1h" } } }, routes = { { match = "/*", service = "up",
          policies = { { headers = { response = { set = { ["X-Config"] = text } } } } } } } }
    end
    local g = E.start { config = config "a" }
    for _ = 1, 4 do g:get "/" end
    local failures = #bad.seen
    assert.is_true(g:reload(config "b"))
    for _ = 1, 4 do assert.status(g:get "/", 200) end
    assert.equal(failures, #bad.seen)
    g:log "ejected"
  end)

  it("keeps what caches hold", function()
    local up = E.upstream { body = "ok", headers = { ["Cache-Control"] = "max-age=3600" } }
    local function config(text, size)
      return { workers = 2, caches = { main = { size = size, max_object = "64KiB" } },
        services = { up = { backends = { up.address } } }, routes = { { match = "/*", service = "up", policies = {
          { headers = { response = { set = { ["X-Config"] = text } } } }, { cache = { store = "main" } } } } } }
    end
    local g = E.start { config = config("a", "8MiB") }
    for _ = 1, 4 do assert.status(g:get "/", 200) end
    assert.is_true(g:reload(config("b", "8MiB")))
    for _ = 1, 4 do assert.header(g:get "/", "X-Config", "b") end
    assert.equal(1, #up.seen)
    assert.is_true(g:reload(config("c", "16MiB")))
    assert.header(g:get "/", "X-Config", "c")
    assert.equal(2, #up.seen)
  end)

  it("lets requests pass while it builds a large config", function()
    local STEPS = 200
    local function config(steps)
      local routes = { { match = "/built", policies = { { lua = [[
        local counts = mg.shared "counts"
        return function() return mg.reply(200, tostring(counts:get "built" or 0)) end]] } } } }
      for i = 1, steps do
        routes[#routes + 1] = { match = "/" .. i, policies = { { lua = [[
          mg.shared("counts"):incr("built", 1, 0)
          local n = 0
          for i = 1, 200000 do n = n + i end
          return function() return mg.reply(200, tostring(n)) end]] } } }
      end
      return { shared = { counts = "128KiB" }, routes = routes }
    end
    local g = E.start { config = config(0) }
    local function built(connection) return tonumber(connection:request("/built"):text()) end
    E.eventually(function() -- the client has to get its turn on this machine meanwhile
      local connection = g:connect()
      local before, between = built(connection), 0
      local client = E.spawn(function()
        local now
        repeat
          now = built(connection) - before
          -- The control thread has built each once, to see whether it can be; then comes the worker.
          if now > STEPS and now < 2 * STEPS then between = between + 1 end
        until now == 2 * STEPS
      end)
      assert.is_true(g:reload(config(STEPS)))
      client:wait()
      assert.is_true(between > 0)
    end)
  end)

  it("says how large the heads of responses may be, where buffers are too small", function()
    local g = E.start { config = answer "one" }
    g.write_config(answer("two", { limits = { header_bytes = "64KiB" } }))
    local res = g:ask_admin { method = "POST", path = "/reload" }
    assert.matches("limits.header_bytes: warning: it is 32768 for responses", res:json().warnings, 1, true)
  end)

  it("frees what belonged to listeners that have gone", function()
    local g = E.start { config = answer("one", { workers = 2 }) }
    for i = 1, 5 do
      assert.is_true(g:reload(answer("with", { workers = 2, listen = { "127.0.0.1:0", "unix:%{folder}/a.sock" } })))
      assert.equal("with", g:get("/", { unix = g.folder .. "/a.sock" }):text())
      assert.is_true(g:reload(answer("without" .. i, { workers = 2 })))
      assert.same({ ["without" .. i] = true }, asked(g, 4))
    end
  end)

  it("can come again while one is under way", function()
    local g = E.start { config = answer("one", { workers = 2 }) }
    for i = 1, 20 do
      g.write_config(answer("n" .. i, { workers = 2 }))
      g.process:signal "HUP"
    end
    E.eventually(function() return g:get("/"):text() == "n20" end)
  end)

  it("ends what the config before it did by the clock", function()
    local function config(text)
      return { shared = { ticks = "128KiB" }, routes = { { match = "/*", policies = { { lua = ([[
        local ticks = mg.shared "ticks"
        mg.every(0.01, function() ticks:incr(%q, 1, 0) end)
        return function(req) return mg.reply(200, tostring(ticks:get(req:arg "of") or 0)) end]]):format(text) } } } } }
    end
    local g = E.start { config = config "old" }
    E.eventually(function() return tonumber(g:get("/?of=old"):text()) > 3 end)
    assert.is_true(g:reload(config "new"))
    local last = tonumber(g:get("/?of=old"):text())
    E.eventually(function() return tonumber(g:get("/?of=new"):text()) > 10 end)
    assert.is_true(tonumber(g:get("/?of=old"):text()) <= last + 1)
  end)

  describe("that a WebSocket outlives", function()
    local function config(up, text, steps)
      return { services = { up = { backends = { up } } }, routes = {
        { match = "/socket", service = "up", policies = steps },
        { match = "/*", policies = { { lua = ("return function() return mg.reply(200, %q) end"):format(text) } } } } }
    end

    local function generations(g)
      return g:ask_admin("/config"):json().generations
    end

    -- A tunnel to a backend that sends back what it gets.
    local function open(g)
      local client = g:connect()
      client:send "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
      assert.status(client:response(), 101)
      return client
    end

    local function echoes(client, text)
      client:send(text)
      return client:receive(#text) == text
    end

    local function backend()
      return E.upstream(nil, { serve = function(s)
        while s:line() ~= "" do end
        s:send "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        while not s.ended do s:send(s:receive() or "") end
        s:close()
      end })
    end

    it("leaves it the generation that it began with, without the Lua that it does not need", function()
      local up = backend()
      local g = E.start { config = config(up.address, "one") }
      local client = open(g)
      assert.is_true(g:reload(config(up.address, "two")))
      local all = E.eventually(function()
        local list = generations(g)
        assert.equal(0, list[1].lua_bytes)
        return list
      end)
      assert.equal(2, #all)
      assert.equal(1, all[1].exchanges)
      assert.is_true(all[2].lua_bytes > 0)
      assert.is_true(echoes(client, "still there"))
      assert.equal("two", g:get("/"):text())
      client:close()
      E.eventually(function() assert.equal(1, #generations(g)) end)
    end)

    it("still runs its finish step at its end", function()
      local up = backend()
      local steps = { { lua = "return { finish = function() mg.log.info 'the socket has ended' end }" } }
      local g = E.start { config = config(up.address, "one", steps) }
      local client = open(g)
      for i = 1, 3 do assert.is_true(g:reload(config(up.address, "again" .. i))) end
      assert.is_true(echoes(client, "still there"))
      E.eventually(function() assert.equal(2, #generations(g)) end)
      assert.is_true(generations(g)[1].lua_bytes > 0)
      client:close()
      g:wait_log "the socket has ended"
      E.eventually(function() assert.equal(1, #generations(g)) end)
    end)
  end)
end)
