-- Lua steps: the forms they have, the order they run in, and what happens when they fail.

local assert = require "luassert"
local expect = ...

local function lua(text, more)
  local step = { lua = text }
  for key, value in pairs(more or {}) do step[key] = value end
  return step
end

-- Leaves its mark on the way in, on the way out, and after that.
local function marker(name)
  return lua(([[return {
    request = function(req) req:add_header("X-In", "%s") end,
    response = function(_, res) res:add_header("X-Out", "%s") end,
    finish = function(_, res, info)
      mg.log.info("finish %s", { status = res and res.status or 0, bytes = info.bytes, reason = info.reason or "none" })
    end,
  }]]):format(name, name, name))
end

local function route(path, ...)
  return { name = path, match = path, service = "api", policies = { ... } }
end

local function failure(g, text)
  local lines = g:log "policy failed"
  assert.equal(1, #lines)
  assert.matches(text, lines[1].error, 1, true)
  return lines[1]
end

return {
  {
    name = "forms",
    upstreams = { api = function(req)
      return { body = "hello " .. (req.body or ""), headers = { ["X-Api"] = req.method } }
    end },
    config = { routes = {
      route("/request", lua [[return { request = function(req) req:set_header("X-Method", req.method) end }]]),
      route("/answer", lua [[return { request = function()
        return mg.reply(418, "tea", { ["X-A"] = { "1", "2" } })
      end }]]),
      route("/return", lua [[return { request = function(req)
        local path = req.path
        return function(res) res:set_header("X-Path", path) end
      end }]]),
      route("/response", lua [[return { response = function(req, res)
        res:set_header("X-Source", res.source .. " " .. res.upstream.service)
        if req:arg "other" then return mg.reply(202, "other") end
      end }]]),
      route("/onion", lua [[return function(req, next)
        req:set_header("X-In", "1")
        local res = next(req)
        res:set_header("X-Out", res:header "X-Api")
        return res
      end]]),
      route("/twice", lua [[return function(req, next)
        local first = next(req)
        local second = next(req)
        second:set_header("X-Both", first.status .. " " .. second.status)
        return second
      end]]),
      route("/never", lua [[return function() return mg.reply_json(200, { list = { true, mg.json.null } }) end]]),
      route("/redirect", lua [[return { request = function() return mg.redirect("/elsewhere", 302) end }]]),
      route("/stream", lua [[return { request = function(req)
        return mg.stream(200, { ["Content-Type"] = "text/event-stream" }, function(write)
          for i = 1, 3 do write("data: " .. i .. "\n\n") mg.sleep(0.002) end
        end)
      end }]]),
      route("/transform", lua [[return { response = function(_, res)
        res:transform(function(piece, eof) return eof and "!" or piece:upper() end)
      end }]]),
      route("/transform/request", lua [[return { request = function(req)
        req:transform(function(piece) return piece:upper() end)
      end }]]),
      route("/text", lua [[return { request = function(req) req:set_body(req:text():reverse()) end,
        response = function(_, res) res:set_body("<" .. res:text() .. ">") end }]]),
      route("/set", lua [[return { request = function(req)
        req.method, req.path, req.query = "PUT", "/set/elsewhere", "a=1"
        req:set_json { n = 1 }
      end }]]),
      route("/sleep", lua [[return { request = function() mg.sleep(0.01) end,
        response = function() mg.sleep(0.01) end }]]),
      route("/pieces", lua [[return { request = function(req)
        local n = 0
        for piece in req:chunks() do n = n + #piece end
        return mg.reply(200, tostring(n))
      end }]]),
    } },
    { "a request function looks, or answers", function(g)
      expect(g:request "/request", 200, { body = "hello " })
      assert.equal("GET", g:seen "api"[1]:header "X-Method")
      local res = g:request "/answer"
      expect(res, 418, { body = "tea", ["X-A"] = "1, 2", ["Content-Type"] = "text/plain; charset=utf-8" })
      assert.equal(1, #g:seen "api")
    end },
    { "it may return a function for the way back", function(g)
      expect(g:request "/return", 200, { ["X-Path"] = "/return" })
    end },
    { "a response function changes the response, or gives another", function(g)
      expect(g:request "/response", 200, { ["X-Source"] = "upstream api", body = "hello " })
      expect(g:request "/response?other=1", 202, { body = "other" })
    end },
    { "an onion is around the rest", function(g)
      expect(g:request "/onion", 200, { ["X-Out"] = "GET" })
      assert.equal("1", g:seen "api"[1]:header "X-In")
      expect(g:request "/twice", 200, { ["X-Both"] = "200 200" })
      assert.equal(3, #g:seen "api")
      expect(g:request "/never", 200, { body = '{"list":[true,null]}', ["Content-Type"] = "application/json" })
      expect(g:request "/redirect", 302, { Location = "/elsewhere", body = "" })
    end },
    { "streams are written piece by piece", function(g)
      local res = g:request "/stream"
      expect(res, 200, { body = "data: 1\n\ndata: 2\n\ndata: 3\n\n", ["Content-Type"] = "text/event-stream" })
      assert.equal("chunked", res.framing)
    end },
    { "transforms rewrite what streams, both ways", function(g)
      expect(g:request { method = "POST", path = "/transform", chunks = { "a", "b" } }, 200,
        { body = "HELLO AB!", ["Content-Length"] = expect.none })
      expect(g:request { method = "POST", path = "/transform/request", body = "abc" }, 200, { body = "hello ABC" })
    end },
    { "bodies can be read whole, replaced, and read in pieces", function(g)
      expect(g:request { method = "POST", path = "/text", chunks = { "ab", "c" } }, 200,
        { body = "<hello cba>", ["Content-Length"] = "11" })
      expect(g:request { method = "POST", path = "/pieces", chunks = { ("x"):rep(40000), "yz" } }, 200,
        { body = "40002" })
    end },
    { "a request can become another", function(g)
      expect(g:request { path = "/set" }, 200, { body = 'hello {"n":1}' })
      local seen = g:seen "api"[1]
      assert.same({ "PUT", "/set/elsewhere?a=1", "7", "application/json" },
        { seen.method, seen.target, seen.length, seen:header "Content-Type" })
    end },
    { "they may wait anywhere", function(g)
      expect(g:request "/sleep", 200, { body = "hello " })
    end },
  },
  {
    name = "order",
    upstreams = { api = { body = "ok" } },
    config = {
      policies = { marker "a", { use = "one" } },
      pipelines = { one = { marker "b" } },
      routes = {
        route("/all", marker "c", marker "d"),
        route("/stop", marker "c", lua [[return { request = function() return mg.reply(403, "no") end }]], marker "d"),
        { name = "own", match = "/own", service = "api", inherit = false, policies = { marker "c" } },
      },
    },
    { "is the file's, pipelines in place, the route's; and inside out on the way back", function(g)
      expect(g:request "/all", 200, { ["X-Out"] = "d, c, b, a" })
      assert.equal("a, b, c, d", g:seen "api"[1]:header "X-In")
      local names = {}
      for i, line in ipairs(g:log("finish ", 4)) do names[i] = line.msg end
      assert.same({ "finish a", "finish b", "finish c", "finish d" }, names)
    end },
    { "leaves out what lies behind an answer", function(g)
      expect(g:request "/stop", 403, { ["X-Out"] = "c, b, a" })
      assert.equal(0, #g:seen "api")
      assert.equal(3, #g:log("finish ", 3))
    end },
    { "may leave out the file's", function(g)
      expect(g:request "/own", 200, { ["X-Out"] = "c" })
      g:log "finish c"
    end },
    { "is that of the file where no route takes the request", function(g)
      local res = g:request "/none"
      expect.problem(res, 404, "no-route")
      expect(res, 404, { ["X-Out"] = "b, a" })
      g:log("finish ", 2)
    end },
  },
  {
    name = "finish",
    upstreams = { api = function(req) return { body = "hello", delay = req.path == "/slow" and 3 or nil } end },
    config = { routes = { route("/*", marker "x") } },
    { "comes after the last byte", function(g)
      expect(g:request "/", 200)
      local line = g:log "finish x"[1]
      assert.same({ 200, 5, "none" }, { line.status, line.bytes, line.reason })
    end },
    { "comes without a response when the client has left before", function(g)
      local client = g:connect()
      client:send "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
      g:seen("api", 1)
      client:reset()
      local line = g:log "finish x"[1]
      assert.same({ 0, 0, "client-reset" }, { line.status, line.bytes, line.reason })
    end },
  },
  {
    name = "when",
    upstreams = { api = function(req) return { status = req.path == "/bad" and 404 or 200 } end },
    config = { routes = {
      route("/post", lua([[return { request = function(req) req:set_header("X-In", "1") end,
        response = function(_, res) res:set_header("X-Out", "1") end }]], { when = "req.method == 'POST'" })),
      route("/*", lua([[return { response = function(_, res) res:set_header("X-Bad", "1") end }]],
        { when = "res.status >= 400" })),
      route("/broken", lua([[return { request = function() end }]], { when = "req.nothing.there", id = "asks" })),
      route("/waits", lua([[return { request = function() end }]], { when = "mg.sleep(1) or true" })),
      route("/left-out", lua([[return { request = function() return mg.reply(500) end }]],
        { when = "req.nothing.there", on_error = "continue" })),
    } },
    { "lets a step run or not", function(g)
      expect(g:request "/post", 200, { ["X-Out"] = expect.none })
      expect(g:request { method = "POST", path = "/post" }, 200, { ["X-Out"] = "1" })
      assert.is_nil(g:seen "api"[1]:header "X-In")
      assert.equal("1", g:seen "api"[2]:header "X-In")
    end },
    { "sees the response on the way back", function(g)
      expect(g:request "/good", 200, { ["X-Bad"] = expect.none })
      expect(g:request "/bad", 404, { ["X-Bad"] = "1" })
    end },
    { "fails closed", function(g)
      expect.problem(g:request "/broken", 500, "internal-error")
      assert.equal("asks", failure(g, "when: ").step)
    end },
    { "cannot wait", function(g)
      expect.problem(g:request "/waits", 500, "internal-error")
      failure(g, "mg.sleep")
    end },
    { "may fail open, when that is said", function(g)
      expect(g:request "/left-out", 200)
      failure(g, "when: ")
    end },
  },
  {
    name = "failures",
    upstreams = { api = { body = "one two" } },
    config = { policies = { marker "outer" }, routes = {
      route("/request", lua [[return { request = function() error "what a pity" end }]]),
      route("/response", lua [[return { response = function() error "what a pity" end }]]),
      route("/return", lua [[return { request = function() return function() error "what a pity" end end }]]),
      route("/onion", lua [[return function(req, next) next(req) error "what a pity" end]]),
      route("/table", lua [[return { request = function() error { code = "no_stock", message = "sold out" } end }]]),
      route("/result", lua [[return { request = function() return 42 end }]]),
      route("/nothing", lua [[return function(req, next) next(req) end]]),
      route("/global", lua [[return { request = function() count = 1 end }]]),
      route("/loop", lua [[return { request = function() while true do end end }]]),
      route("/continue", lua([[return { request = function() error "what a pity" end }]], { on_error = "continue" })),
      route("/finish", lua [[return { finish = function() error "what a pity" end }]]),
      route("/transform", lua [[return { response = function(_, res)
        res:transform(function() error "what a pity" end)
      end }]]),
      route("/late", lua [[return { response = function(_, res)
        res:transform(function(piece, eof) if eof then error "what a pity" end return piece end)
      end }]]),
      route("/stream", lua [[return { request = function()
        return mg.stream(200, {}, function(write) write "first" mg.sleep(0.02) error "what a pity" end)
      end }]]),
    } },
    { "are a 500 that the outer steps see, and a line in the log", function(g)
      for i, path in ipairs { "/request", "/response", "/return", "/onion" } do
        local res = g:request(path)
        expect.problem(res, 500, "internal-error")
        expect(res, 500, { ["X-Out"] = "outer" })
        assert.is_nil(res:json().detail)
        local line = g:log("policy failed", i)[i]
        assert.matches("what a pity", line.error, 1, true)
        assert.equal(path, line.route)
        assert.equal(res:json().request_id, line.request_id)
      end
    end },
    { "with a table tell what is in it", function(g)
      expect(g:request "/table", 500)
      failure(g, "no_stock: sold out")
    end },
    { "are also what is returned and is nothing", function(g)
      expect(g:request "/result", 500)
      failure(g, "the step returned a number")
    end },
    { "are also what is not returned", function(g)
      expect(g:request "/nothing", 500)
      failure(g, "the step returned nothing")
    end },
    { "are also globals that nobody declared", function(g)
      expect(g:request "/global", 500)
      failure(g, "assignment to undeclared global 'count'")
    end },
    { "leave the step out when that is said", function(g)
      expect(g:request "/continue", 200, { body = "one two" })
      failure(g, "what a pity")
    end },
    { "in finish harm nobody", function(g)
      expect(g:request "/finish", 200, { body = "one two" })
      assert.matches("what a pity", g:log("policy code failed")[1].error, 1, true)
    end },
    { "of a transform before the headers have left are a 500", function(g)
      expect.problem(g:request "/transform", 500, "internal-error")
      failure(g, "what a pity")
    end },
    { "later reset the connection", function(g)
      for _, path in ipairs { "/late", "/stream" } do
        local res, why = g:request(path)
        assert.is_nil(res)
        assert.equal("reset", why)
      end
      assert.equal(2, #g:log("policy failed", 2))
    end },
  },
  {
    name = "endless loops",
    config = { limits = { lua_run = "20ms" }, routes = {
      { name = "loop", match = "/loop", policies = { lua [[return { request = function()
        while true do pcall(function() while true do end end) end
      end }]] } },
      { match = "/fine", policies = { { respond = { body = "fine" } } } },
    } },
    { "end as 500", function(g)
      expect.problem(g:request "/loop", 500, "internal-error")
      failure(g, "ran longer than 20 ms without waiting")
      expect(g:request "/fine", 200, { body = "fine" })
    end },
  },
}
