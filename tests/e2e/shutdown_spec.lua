-- SIGTERM: no new connections, what is under way is finished, then status 0.
local E = require "moongate.e2e"

local function start(answer, more)
  local up = E.upstream(answer)
  local config = { services = { api = { backends = { up.address } } }, routes = { { match = "/*", service = "api" } } }
  for key, value in pairs(more or {}) do config[key] = value end
  return E.start { config = config }, up
end

describe("SIGTERM", function()
  it("ends an idle gateway at once, also with connections open", function()
    local g = start { body = "ok" }
    local client, silent = g:connect(), g:connect()
    assert.status(client:request("/"), 200)
    local took, status = E.timed(function() return g:stop() end)
    assert.equal(0, status)
    assert.is_true(took < E.limit(20), took) -- it waits 30 s for requests
    assert.equal("", (client:until_close()))
    assert.equal("", (silent:until_close()))
  end)

  it("lets a request finish, and refuses new connections meanwhile", function()
    local may_answer = false
    local g, up = start(function()
      E.until_true(function() return may_answer end)
      return { body = "finished" }
    end, { workers = 2 })
    local client = g:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.called(up, 1) end)
    g:terminate()
    E.eventually(function() assert.is_nil((g:connect())) end)
    assert.is_true(g:is_running())
    may_answer = true
    local res = client:response()
    assert.equal("finished", res.body)
    assert.header(res, "Connection", "close")
    assert.equal(0, g:wait())
  end)

  it("lets a body finish, both ways", function()
    local g, up = start(function(req) return { body = req.body } end)
    local client = g:connect()
    client:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    E.eventually(function() assert.called(up, 1) end)
    g:terminate()
    E.eventually(function() assert.is_nil((g:connect())) end)
    client:send("def")
    assert.equal("abcdef", client:response().body)
    assert.equal(0, g:wait())
  end)

  it("lets a Lua step finish", function()
    local g = E.start { config = { routes = { { match = "/*", policies = {
      { lua = "return { request = function() mg.log.info 'asleep' mg.sleep(0.2) return mg.reply(200, 'slept') end }" },
    } } } } }
    local client = g:connect()
    client:send_request { path = "/" }
    g:wait_log "asleep"
    g:terminate()
    assert.equal("slept", client:response().body)
    assert.equal(0, g:wait())
  end)

  it("lets background tasks finish, then closes the policies", function()
    local up = E.upstream {}
    local g = E.start { config = {
      services = { api = { backends = { up.address } } },
      routes = { { match = "/*", policies = { { lua = [[
        mg.every(0.01, function() end) -- does not hold it up
        return {
          request = function()
            mg.background(function()
              mg.sleep(0.3)
              mg.fetch("api", { path = "/after" })
              mg.log.info("background done")
            end)
            return mg.reply(202)
          end,
          close = function() mg.log.info("policy closed") end,
        }]] } } } },
    } }
    assert.status(g:get("/"), 202)
    g:terminate()
    assert.equal(0, g:wait())
    assert.called(up, 1)
    assert.equal(1, #g:log("background done"))
    assert.is_true(#g:log("policy closed") >= 1)
  end)

  it("a second time cuts background tasks too", function()
    local g = E.start { config = { routes = { { match = "/*", policies = { { lua = [[return { request = function()
      mg.background(function() mg.sleep(60) end)
      return mg.reply(202)
    end }]] } } } } } }
    assert.status(g:get("/"), 202)
    g:terminate()
    g:wait_log('"stopping"')
    E.sleep(0.1)
    assert.is_true(g:is_running())
    g:terminate()
    assert.equal(0, g:wait())
  end)

  it("a second time cuts what is left", function()
    local g, up = start { hang = true }
    local client = g:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.called(up, 1) end)
    g:terminate()
    g:wait_log('"stopping"')
    g:terminate()
    assert.equal(0, g:wait())
    assert.is_nil((client:response()))
  end)
end)

describe("SIGINT", function()
  it("does the same", function()
    local g = start { body = "ok" }
    g.process:signal("INT")
    assert.equal(0, g:wait())
  end)
end)
