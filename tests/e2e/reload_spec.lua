-- SIGHUP: the config changes while the gateway serves, in all workers or in none.

local E = require "moongate.e2e"

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
    local up = E.upstream(function(req)
      if req.path == "/slow" then E.sleep(0.3) end
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
    ["without its certificate"] = { listen = { { address = "127.0.0.1:0",
      tls = { certificates = { cert = "none.pem", key = "none.key" } } } } },
  } do
    it(what .. " changes nothing, and says why", function()
      local g = E.start { config = answer("one", { workers = 2 }) }
      local file = assert(io.open(g.folder .. "/moongate.lua", "r"))
      local before = file:read "a"
      file:close()
      local ok, why = g:reload(broken)
      assert.is_nil(ok)
      assert.matches("the config before it stays in force", why, 1, true)
      assert.same({ one = true }, asked(g))
      assert.is_true(g:reload(before))
      assert.same({ one = true }, asked(g))
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
    assert.is_nil(g:connect { unix = g.folder .. "/a.sock" })
    assert.is_nil(io.open(g.folder .. "/a.sock"))
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
end)
