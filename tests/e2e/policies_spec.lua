-- Lua policies in the running gateway: what their tests in simulation cannot show.
local E = require "moongate.e2e"

-- One gateway with a route for each text of `steps`, { [path] = text or list of texts }, and services.
local function start(steps, services, more)
  local routes = {}
  for path, texts in pairs(steps) do
    local policies = {}
    for i, text in ipairs(type(texts) == "table" and texts or { texts }) do policies[i] = { lua = text } end
    routes[#routes + 1] = { match = path, service = services and services.api and "api" or nil, policies = policies }
  end
  local config = { routes = routes, services = {} }
  for name, up in pairs(services or {}) do config.services[name] = { backends = { up.address } } end
  for key, value in pairs(more or {}) do config[key] = value end
  return E.start { config = config }
end

describe("a policy file of one's own", function()
  it("changes headers both ways", function()
    local up = E.upstream { headers = { Server = "secret", ["X-Left"] = "1" } }
    local g = E.start {
      files = { ["policies/stamp/stamp.lua"] = [[
        local mg, s = require "moongate", require "moongate.schema"
        local M = { name = "stamp", version = "1.0.0", summary = "marks requests" }
        M.schema = s.record { mark = s.string { required = true }, times = s.integer { default = 1 } }
        function M.new(conf, env)
          local text = conf.mark:rep(conf.times)
          return {
            request = function(req)
              req:set_header("X-Mark", text)
              req:del_header("Cookie")
              req:add_header("X-Multi", "b")
              req.path = "/marked" .. req.path
            end,
            response = function(req, res)
              res:del_header("Server")
              res:set_header("X-Route", env.route)
              res:add_header("X-Left", "2")
              res.status = 201
            end,
          }
        end
        return M]] },
      config = {
        services = { api = { backends = { up.address } } },
        routes = { { name = "the-route", match = "/*", service = "api",
          policies = { { stamp = { mark = "ab", times = 2 } } } } },
      },
    }
    local res = g:get("/x", { headers = { Cookie = "a=b", ["X-Multi"] = "a" } })
    assert.status(res, 201)
    assert.no_header(res, "Server")
    assert.header(res, "X-Route", "the-route")
    assert.same({ "1", "2" }, res:header_values("X-Left"))
    local seen = up.seen[1]
    assert.equal("/marked/x", seen.target)
    assert.equal("abab", seen:header("X-Mark"))
    assert.is_nil(seen:header("Cookie"))
    assert.equal("a, b", seen:header("X-Multi"))
  end)
end)

describe("steps", function()
  it("run in order, and backwards on the way back", function()
    local function step(name)
      return ([[return function(req, next)
        req:add_header("X-Way", "%s")
        local res = next(req)
        res:add_header("X-Back", "%s")
        return res
      end]]):format(name, name)
    end
    local up = E.upstream {}
    local g = start({ ["/*"] = { step "a", step "b", step "c" } }, { api = up })
    local res = g:get("/")
    assert.equal("a, b, c", up.seen[1]:header("X-Way"))
    assert.header(res, "X-Back", "c, b, a")
  end)

  it("may ask the backend more than once, or not at all", function()
    local up
    up = E.upstream(function() return { status = #up.seen < 3 and 503 or 200, body = "got" } end)
    local g = start({
      ["/none"] = [[return function(req, next) return mg.reply(204) end]],
      ["/third"] = [[return function(req, next)
        local res
        for _ = 1, 5 do
          res = next(req)
          if res.status < 500 then return res end
        end
        return res
      end]],
    }, { api = up })
    assert.status(g:get("/none"), 204)
    assert.called(up, 0)
    assert.equal("got", g:get("/third").body)
    assert.called(up, 3)
  end)

  it("see gateway errors as responses", function()
    local g = E.start { config = {
      services = { api = { backends = { "127.0.0.1:" .. E.refused() } } },
      routes = { { match = "/*", service = "api", policies = { { lua = [[return { response = function(req, res)
        return mg.reply_json(200, { source = res.source, code = res.error.code, status = res.status })
      end }]] } } } },
    } }
    assert.json(g:get("/"), { source = "gateway", code = "connect_failed", status = 503 })
  end)

  it("read and change bodies", function()
    local up = E.upstream(function(req) return { json = { got = req.body }, headers = { ETag = '"x"' } } end)
    local g = start({ ["/*"] = [[return {
      request = function(req)
        local doc = assert(req:json())
        doc.seen = true
        req:set_json(doc)
      end,
      response = function(req, res)
        local doc = res:json()
        res:set_json { wrapped = doc.got }
      end,
    }]] }, { api = up })
    local res = g:request { method = "POST", json = { a = 1 } }
    assert.no_header(res, "ETag")
    local inner = require("dkjson").decode(res:json().wrapped)
    assert.same({ a = 1, seen = true }, inner)
  end)

  it("answer 413 to a body that is too large to hold, and go on", function()
    local up = E.upstream {}
    local g = start({ ["/*"] = [[return { request = function(req)
      local text, err = req:text()
      if not text then return mg.problem(413, "too-much", tostring(err)) end
    end }]] }, { api = up }, { limits = { buffered_body_bytes = 1000 } })
    assert.status(g:request { method = "POST", body = ("x"):rep(2000) }, 413)
    assert.status(g:request { method = "POST", chunks = { ("x"):rep(600), ("x"):rep(600) } }, 413)
    assert.called(up, 0)
    assert.status(g:request { method = "POST", body = ("x"):rep(900) }, 200)
    assert.equal(900, #up.seen[1].body)
  end)

  it("transform bodies while they stream", function()
    local up = E.upstream(function(req) return { chunks = { req.body, "Hello, ", "World" } } end)
    local g = start({ ["/*"] = [[return {
      request = function(req) req:transform(function(chunk, eof) return chunk and chunk:upper() end) end,
      response = function(req, res) res:transform(function(chunk, eof)
        return (chunk or ""):lower() .. (eof and "!" or "")
      end) end,
    }]] }, { api = up })
    assert.equal("abc" .. "hello, world!", g:request { method = "POST", body = "aBc" } .body:lower())
    assert.equal("ABC", up.seen[1].body)
  end)

  it("stream what they make, piece by piece", function()
    local g = start { ["/*"] = [[return { request = function()
      return mg.stream(200, { ["Content-Type"] = "text/event-stream" }, function(write)
        for i = 1, 3 do
          write("data: " .. i .. "\n\n")
          mg.sleep(0.03)
        end
      end)
    end }]] }
    local client = g:connect()
    client:send_request { path = "/" }
    repeat until client:line() == ""
    assert.equal("9", client:line()) -- the first, alone
    assert.equal("data: 1\n\n\r\n", client:receive(11))
    assert.equal("9", client:line())
    local res = g:get("/")
    assert.equal("data: 1\n\ndata: 2\n\ndata: 3\n\n", res.body)
    assert.equal("chunked", res.framing)
  end)

  it("fetch from several services at once", function()
    local a, b
    local function when_both_are_asked() return E.until_true(function() return #a.seen + #b.seen == 2 end) end
    a = E.upstream(function() return { status = when_both_are_asked() and 200, json = { id = 7 } } end)
    b = E.upstream(function() return { status = when_both_are_asked() and 200, json = { n = 3 } } end)
    local c = E.upstream { status = 500 }
    local g = start({ ["/item/{id}"] = [[return { request = function(req)
      local got, failed = mg.fetch_all({
        a = { "a", path = "/a/" .. req.params.id, headers = { ["X-Own"] = "1" } },
        b = { "b", path = "/b", pass = { "authorization" } },
        c = { "c", path = "/c", optional = true },
      }, { timeout = 20 })
      if not got then return mg.problem(502, "upstream-failed", failed.name .. ": " .. failed.reason) end
      return mg.reply_json(200, { a = got.a:json(), b = got.b:json(), c = got.c and "there" or mg.json.null })
    end }]] }, { a = a, b = b, c = c })
    local res = g:get("/item/7", { headers = { Authorization = "token", Cookie = "no" } })
    assert.json(res, { a = { id = 7 }, b = { n = 3 }, c = E.null })
    assert.equal("/a/7", a.seen[1].path)
    assert.equal("1", a.seen[1]:header("X-Own"))
    assert.equal("token", b.seen[1]:header("Authorization"))
    assert.is_nil(b.seen[1]:header("Cookie"))
    assert.is_nil(a.seen[1]:header("Authorization"))
  end)

  it("cancel the others when a required fetch fails", function()
    local slow, bad = E.upstream { hang = true }, E.upstream { status = 503 }
    local g = start({ ["/*"] = [[return { request = function(req)
      local got, failed = mg.fetch_all { slow = { "slow", path = "/" }, bad = { "bad", path = "/" } }
      return mg.reply(502, failed.name)
    end }]] }, { slow = slow, bad = bad })
    assert.equal("bad", g:get("/").body)
    E.eventually(function() assert.equal(0, slow:open_connections()) end)
  end)

  it("are cancelled with their fetches when the client goes", function()
    local up = E.upstream { hang = true }
    local g = start({ ["/*"] = [[return { request = function(req)
      local guard <close> = setmetatable({}, { __close = function() mg.log.info("guard closed") end })
      mg.fetch("up", { path = "/" })
      mg.log.info("never here")
    end }]] }, { up = up })
    local client = g:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.called(up, 1) end)
    client:reset()
    E.eventually(function() assert.equal(0, up:open_connections()) end)
    g:wait_log("guard closed")
    assert.equal(0, #g:log("never here"))
  end)

  it("go on in the background when the client has its answer", function()
    local up = E.upstream {}
    local g = start({ ["/*"] = [[return { request = function(req)
      local path = req.path
      mg.background(function()
        mg.sleep(0.02)
        mg.fetch("up", { path = "/after" .. path })
      end)
      return mg.reply(202)
    end }]] }, { up = up })
    assert.status(g:get("/x"), 202)
    E.eventually(function() assert.called(up, 1) end)
    assert.equal("/after/x", up.seen[1].path)
  end)

  it("finish after the last byte", function()
    local up = E.upstream { body = "hello" }
    local g = start({ ["/*"] = [[return { finish = function(req, res, info)
      mg.log.info("finished", { status = res.status, path = req.path })
    end }]] }, { api = up })
    g:get("/f")
    g:wait_log('"finished".*"status":200')
  end)

  it("run only where `when` holds", function()
    local g = E.start { config = { routes = { { match = "/*", policies = {
      { lua = "return { request = function() return mg.reply(200, 'posted') end }", when = 'req.method == "POST"' },
      { respond = { body = "other" } },
    } } } } }
    assert.equal("posted", g:request { method = "POST" }.body)
    assert.equal("other", g:get("/").body)
  end)

  it("of on_error see what the gateway made", function()
    local g = E.start { config = {
      services = { api = { backends = { "127.0.0.1:" .. E.refused() } } },
      routes = { { match = "/*", service = "api", on_error = { { respond = { status = 503, body = "sorry" } } } } },
    } }
    local res = g:get("/")
    assert.status(res, 503)
    assert.equal("sorry", res.body)
  end)
end)

describe("shared dictionaries", function()
  local function count_ok(g, n)
    local ok = 0
    local statuses = E.times(n, function() return g:get("/").status end)
    for _, status in ipairs(statuses) do
      if status == 200 then ok = ok + 1 end
    end
    return ok
  end

  it("count exactly over all workers", function()
    local g = start({ ["/*"] = [[
      local limits = mg.shared "limits"
      return { request = function(req)
        local taken = limits:window("all", 50, 600)
        if not taken.ok then return mg.problem(429, "quota-exceeded") end
        return mg.reply(200)
      end }]] }, nil, { workers = 2, shared = { limits = "1MiB" } })
    assert.equal(50, count_ok(g, 100))
    assert.equal(0, count_ok(g, 10))
  end)

  it("are one truth for all workers", function()
    local g = E.start {
      files = { ["policies/counter.lua"] = [[
        local mg, s = require "moongate", require "moongate.schema"
        local M = { name = "counter", version = "1.0.0", schema = s.record {} }
        function M.new(_, env)
          local d = mg.shared "d"
          return { request = function(req)
            if req.path == "/who" then return mg.reply(200, env.worker .. " " .. tostring(d:get "n")) end
            return mg.reply(200, tostring(d:incr("n", 1, 0)))
          end }
        end
        return M]] },
      config = { workers = 2, shared = { d = "1MiB" }, routes = { { match = "/*", policies = { "counter" } } } },
    }
    local seen = {}
    for _, n in ipairs(E.times(60, function() return tonumber(g:get("/incr").body) end)) do seen[n] = true end
    for i = 1, 60 do assert.is_true(seen[i], "no answer " .. i) end
    local workers = {}
    E.eventually(function()
      workers[g:get("/who").body] = true
      assert.same({ ["0 60"] = true, ["1 60"] = true }, workers)
    end)
  end)
end)
