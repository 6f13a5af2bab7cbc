-- How steps run: what `new` may return, in which order, what conditions and errors do.

local T = require "moongate.test"
local mg = require "moongate"

local function inline(text, more)
  local step = { lua = text }
  for key, value in pairs(more or {}) do step[key] = value end
  return step
end

local function gateway(policies, answer, more)
  local opts = { policies = policies, upstreams = { api = answer or { body = "ok" } } }
  for key, value in pairs(more or {}) do opts[key] = value end
  return T.new(opts)
end

local function refused(policies, what, more)
  local ok, fault = pcall(gateway, policies, nil, more)
  assert.is_false(ok)
  assert.matches(what, tostring(fault), 1, true)
end

-- The one log line of a policy that failed; it must have all that helps to find it.
local function failure(t, what)
  local lines = t:log "policy failed"
  assert.equal(1, #lines)
  assert.matches(what, lines[1].error, 1, true)
  for _, field in ipairs { "policy", "step", "path", "route", "request_id" } do
    assert.is_string(lines[1][field], field)
  end
  return lines[1]
end

-- A step that leaves its mark on its way in, and on its way out.
local function marker(name)
  return inline(([[ return {
    request = function(req) req:add_header("X-In", "%s") end,
    response = function(_, res) res:add_header("X-Out", "%s") end,
    finish = function() mg.log.info("finish %s") end,
  } ]]):format(name, name, name))
end

local function seen_header(t, name)
  local _, last = t:seen "api"
  return last:header(name)
end

describe("an instance", function()
  it("may only look at requests", function()
    local t = gateway { inline [[ return { request = function(req) req:set_header("X-A", req.method) end } ]] }
    assert.status(t:request "/", 200)
    assert.equal("GET", seen_header(t, "X-A"))
  end)

  it("may answer", function()
    local t = gateway { inline [[ return { request = function() return mg.reply(418, "tea") end } ]] }
    local res = t:request "/"
    assert.status(res, 418)
    assert.equal("tea", res:text())
    assert.called("api", 0)
  end)

  it("may return a function for the way back", function()
    local t = gateway { inline [[ return { request = function(req)
      local path = req.path
      return function(res, more)
        res:set_header("X-Path", path)
        res:set_header("X-More", tostring(more))
      end
    end } ]] }
    local res = t:request "/a"
    assert.header(res, "X-Path", "/a")
    assert.header(res, "X-More", "nil")
  end)

  it("may have that function and a response function, which run in this order", function()
    local t = gateway { inline [[ return {
      request = function() return function(res) res:add_header("X-Out", "returned") end end,
      response = function(req, res) res:add_header("X-Out", "response " .. req.method) end,
    } ]] }
    assert.header(t:request "/", "X-Out", "returned, response GET")
  end)

  it("may put another response in the place of one", function()
    local t = gateway({ inline [[ return { response = function(req, res)
      if res.status == 404 then return mg.reply(200, "found after all") end
    end } ]] }, { status = 404, body = "no" })
    local res = t:request "/"
    assert.status(res, 200)
    assert.equal("found after all", res:text())
  end)

  it("may do so in the function for the way back", function()
    local t = gateway { inline [[ return { request = function()
      return function() return mg.reply(202) end
    end } ]] }
    assert.status(t:request "/", 202)
  end)

  it("may finish, after the last byte", function()
    local t = gateway({ inline [[ return { finish = function(req, res, info)
      info.path, info.seen = req.path, res.status
      info.late = not pcall(res.set_header, res, "X-Late", "1") and not pcall(res.set_body, res, "x")
      mg.sleep(0.5)
      mg.log.info("finished", info)
    end } ]] }, { body = "hello", delay = 0.25 })
    local res = t:request "/f"
    assert.is_nil(res:header "X-Late")
    t:settle()
    local line = t:log "finished"[1]
    assert.same({ "/f", 200, 200, 5, true }, { line.path, line.seen, line.status, line.bytes, line.late })
    assert.near(0.25, line.duration, 1e-6)
    assert.is_nil(line.reason)
    assert.equal(0.75, t:now())
  end)

  it("may be an onion", function()
    local t = gateway { function(req, next)
      req:set_header("X-In", "1")
      local res = next(req)
      res:set_header("X-Out", res.status)
      return res
    end }
    assert.header(t:request "/", "X-Out", "200")
    assert.equal("1", seen_header(t, "X-In"))
  end)

  it("may be an onion that finishes", function()
    local t = gateway { inline [[ return {
      around = function(req, next) return next(req) end,
      finish = function(_, res) mg.log.info("finished", { status = res.status }) end,
    } ]] }
    t:request "/"
    assert.equal(200, t:log "finished"[1].status)
  end)

  it("must be one of these", function()
    refused({ inline "return 7" }, "'new' must return a table or a function, not a number")
    refused({ inline "local x = 1" }, "'new' must return a table or a function, not a nil")
    refused({ inline "return {}" }, "without request, response, finish or around")
    refused({ inline "return { request = 1 }" }, "'request' must be a function, not a number")
    refused({ inline "return { request = print, around = print }" }, "'around' stands for 'request' and 'response'")
  end)

  it("that cannot be made is told with its path, without a traceback", function()
    local ok, fault = pcall(gateway, { { probe = { text = "refuse" } } })
    assert.is_false(ok)
    assert.matches("routes[0].policies[0].probe: ", fault, 1, true)
    assert.matches("this text is refused", fault, 1, true)
    assert.is_nil(fault:find "traceback")
  end)

  describe("fails when", function()
    local function fails(text, what, status)
      local t = gateway { inline(text) }
      assert.status(t:request "/", status or 500)
      failure(t, what)
    end

    it("its request function returns something else", function()
      fails("return { request = function() return 7 end }",
        "returned a number; expected nothing, a response or a function")
      fails("return { request = function(req) return req end }", "returned a userdata; expected nothing, a response")
    end)

    it("its response function returns something else", function()
      fails("return { response = function() return 'x' end }", "returned a string; expected nothing or a response")
      fails("return { request = function() return function() return {} end end }",
        "returned a table; expected nothing or a response")
    end)

    it("its onion returns no response", function()
      fails("return function(req, next) next(req) end",
        "the step returned nothing; expected a response (return next(req))")
      fails("return function() return 7 end", "returned a number; expected a response (return next(req))")
    end)
  end)
end)

describe("next", function()
  it("need not be called", function()
    local t = gateway { function() return mg.reply(204) end }
    assert.status(t:request "/", 204)
    assert.called("api", 0)
  end)

  it("may be called many times", function()
    local n = 0
    local t = gateway({ function(req, next)
      local res
      repeat res = next(req) until res.status == 200
      return res
    end, marker "inner" }, function()
      n = n + 1
      return { status = n < 4 and 503 or 200, body = "x" .. n }
    end)
    local res = t:request "/"
    assert.equal("x4", res:text())
    assert.header(res, "X-Out", "inner")
    assert.called("api", 4)
  end)

  it("sends a body that is in memory as often as it is called", function()
    local t = gateway({ function(req, next)
      req:text()
      next(req)
      return next(req)
    end }, function(req) return { body = req:text() } end)
    assert.equal("abc", t:request { body = "abc" }:text())
    local _, _, all = t:seen "api"
    assert.equal("abc", all[1]:text())
    assert.equal("abc", all[2]:text())
  end)

  it("cannot send a stream twice", function()
    local t = gateway { function(req, next)
      next(req)
      return next(req)
    end }
    assert.status(t:request { chunks = { "a", "b" } }, 500)
    assert.called("api", 1)
  end)

  it("takes the request as it has become", function()
    local t = gateway { function(req, next)
      req.path = "/other"
      return next()
    end }
    t:request "/one"
    local _, last = t:seen "api"
    assert.equal("/other", last.path)
  end)

  it("takes another request", function()
    local t = gateway({ function(req, next)
      local other = req:copy()
      other.path = "/shadow"
      other:set_header("X-Shadow", "1")
      local shadow = next(other)
      local res = next(req)
      res:set_header("X-Both", shadow:text() .. " " .. res:text())
      return res
    end }, function(req) return { body = req.path .. (req:header "x-shadow" or "") } end)
    assert.header(t:request "/real", "X-Both", "/shadow1 /real")
  end)

  it("keeps another request as long as its response is under way", function()
    local t = gateway({ function(req, next) return next(req:copy()) end },
      { body = ("0123456789"):rep(10), trickle = { 10, 1 } })
    local call = t:start "/"
    for _ = 1, 20 do
      t:advance(1)
      collectgarbage()
    end
    assert.is_nil(call.res.broken)
    assert.equal(("0123456789"):rep(10), call.res:text())
  end)

  it("may be called by a task", function()
    local t = gateway({ function(req, next)
      local other = mg.spawn(function() return next(req:copy()) end)
      local first = next(req)
      local second = assert(other:wait())
      return mg.reply(200, first:text() .. second:text())
    end }, function() return { body = "x", delay = 1 } end)
    assert.equal("xx", t:request("/"):text())
    assert.equal(1, t:now())
  end)

  it("takes nothing else", function()
    local t = gateway { function(_, next) return next "x" end }
    assert.status(t:request "/", 500)
    failure(t, "request expected, got string")
  end)

  it("gives the failures of what lies behind as responses", function()
    local t = gateway { function(req, next)
      local res = next(req)
      return mg.reply_json(200, { source = res.source, status = res.status, error = res.error })
    end, inline([[ return { request = function() error("oh") end } ]], { id = "inner" }) }
    assert.json(t:request "/",
      { source = "gateway", status = 500, error = { code = "policy_error", message = "policy_error", policy = "lua" } })
    assert.equal("inner", failure(t, "oh").step)
  end)

  it("nests", function()
    local steps = {}
    for i = 1, 20 do
      steps[i] = function(req, next)
        req:add_header("X-Way", i)
        local res = next(req)
        res:add_header("X-Back", i)
        return res
      end
    end
    local t = gateway(steps)
    local res = t:request "/"
    local way, back = {}, {}
    for i = 1, 20 do way[i], back[i] = tostring(i), tostring(21 - i) end
    assert.equal(table.concat(way, ", "), seen_header(t, "X-Way"))
    assert.equal(table.concat(back, ", "), res:header "X-Back")
  end)

  it("ends with its request", function()
    local kept
    local t = gateway { function(req, next)
      kept = next
      return next(req)
    end }
    t:request "/"
    local ok, fault
    t = gateway { function()
      ok, fault = pcall(kept)
      return mg.reply(200)
    end }
    t:request "/"
    assert.is_false(ok)
    assert.matches("has ended", fault)
  end)

  it("ends with the task that called it, and with it all that lies behind", function()
    local working, closed = 0, 0
    local function slow()
      working = working + 1
      local _ <close> = setmetatable({}, { __close = function() working = working - 1 end })
      mg.sleep(30)
      return {}
    end
    local function waits(req, next)
      local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      return next(req)
    end
    local t = gateway({ function(req, next)
      local task = mg.spawn(next, req)
      if task:wait(1) then return mg.reply(500) end
      task:cancel()
      mg.sleep(5)
      return mg.reply(504, "late")
    end, waits, function(req, next)
      mg.sleep(0.1)
      return waits(req, next)
    end }, slow)
    local handle = t:start "/"
    t:advance(0.9)
    assert.same({ 1, 0 }, { working, closed })
    t:advance(0.2)
    assert.equal(2, closed)
    t:advance(1) -- a server gives a client that has closed its side one more second
    assert.equal(0, working)
    assert.status(handle:wait(), 504)
    assert.near(6, t:now(), 0.01)
  end)
end)

describe("the order", function()
  it("is inside out on the way back", function()
    local t = gateway { marker "a", marker "b", marker "c" }
    assert.header(t:request "/", "X-Out", "c, b, a")
    assert.equal("a, b, c", seen_header(t, "X-In"))
  end)

  it("of finish is that of the list", function()
    local t = gateway { marker "a", marker "b", marker "c" }
    t:request "/"
    local names = {}
    for i, line in ipairs(t:log "finish ") do names[i] = line.msg end
    assert.same({ "finish a", "finish b", "finish c" }, names)
  end)

  it("leaves out what lies behind a step that answers, and its own response", function()
    local t = gateway { marker "a", inline [[ return {
      request = function() return mg.reply(403) end,
      response = function(_, res) res:add_header("X-Out", "stop") end,
    } ]], marker "c" }
    local res = t:request "/"
    assert.status(res, 403)
    assert.header(res, "X-Out", "a")
    assert.equal(0, #t:log "finish c")
    assert.equal(1, #t:log "finish a")
  end)

  it("is the same behind an onion", function()
    local t = gateway { function(req, next) return next(req) end, inline [[ return {
      request = function() return mg.reply(403) end,
      finish = function() mg.log.info("finish stop") end,
    } ]], marker "c" }
    assert.status(t:request "/", 403)
    assert.equal(1, #t:log "finish stop")
    assert.equal(0, #t:log "finish c")
  end)

  it("is: the file's, pipelines in place, the route's", function()
    local t = gateway({ marker "c", { use = "pair" } }, nil, { config = {
      policies = { marker "a", { use = "one" } },
      pipelines = { one = { marker "b" }, pair = { marker "d", marker "e" } },
    } })
    t:request "/"
    assert.equal("a, b, c, d, e", seen_header(t, "X-In"))
  end)

  it("may leave out the file's", function()
    local t = T.new { upstreams = { api = {} }, config = {
      policies = { marker "a" },
      routes = { { match = "/*", service = "api", inherit = false, policies = { marker "b" } } },
    } }
    t:request "/"
    assert.equal("b", seen_header(t, "X-In"))
  end)

  it("of on_error comes before the way back", function()
    local t = T.new { upstreams = { api = { error = "refused" } }, config = { routes = { {
      match = "/*", service = "api", policies = { marker "a" },
      on_error = { inline [[ return { response = function(_, res)
        res:add_header("X-Out", "on_error " .. res.error.code)
        res:set_body("sorry")
      end } ]] },
    } } } }
    local res = t:request "/"
    assert.status(res, 503)
    assert.header(res, "X-Out", "on_error connect_failed, a")
    assert.equal("sorry", res:text())
  end)

  local function failing(policies, on_error)
    return T.new { upstreams = { api = { error = "refused" } }, config = { routes = { {
      match = "/*", service = "api", policies = policies, on_error = on_error,
    } } } }
  end

  it("of on_error is once for each error, onions among them", function()
    local onion = inline "return function(req, next) return next(req) end"
    local res = failing({ onion, onion }, { onion, inline [[ return function(req, next)
      local res = next(req)
      res:add_header("X-Out", res.error.code)
      return res
    end ]] }):request "/"
    assert.header(res, "X-Out", "connect_failed")
  end)

  it("of on_error is not for the errors of its own steps", function()
    local t = failing({}, { inline "return { response = function() error 'again' end }" })
    assert.problem(t:request "/", 500, "internal-error")
    assert.equal(1, #t:log "policy failed")
  end)
end)

describe("a step that fails", function()
  it("ends in a 500 that the outer steps see, and a log line", function()
    local t = gateway { marker "a", inline([[ return { request = function() error("oh dear") end } ]],
      { id = "mine" }), marker "c" }
    local res, req = t:request "/"
    assert.problem(res, 500, "internal-error")
    assert.header(res, "X-Out", "a")
    assert.is_nil(res:text():find "oh dear")
    assert.called("api", 0)
    local line = failure(t, "oh dear")
    assert.same({ "lua", "mine", "routes[0].policies[1]", "test", req.id },
      { line.policy, line.step, line.path, line.route, line.request_id })
    assert.matches("stack traceback", line.error)
  end)

  it("tells the client why only in development", function()
    local t = gateway({ inline [[ return { request = function() error("oh dear") end } ]] }, nil,
      { config = { dev = true } })
    assert.matches("oh dear", t:request("/"):json().detail)
  end)

  it("on the way back ends in a 500 too", function()
    for _, text in ipairs {
      [[ return { response = function() error("late") end } ]],
      [[ return { request = function() return function() error("late") end end } ]],
      [[ return function(req, next) next(req) error("late") end ]],
    } do
      local t = gateway({ marker "a", inline(text), marker "c" })
      local res = t:request "/"
      assert.problem(res, 500, "internal-error")
      assert.header(res, "X-Out", "a")
      assert.called(t, "api", 1)
      failure(t, "late")
    end
  end)

  it("with an error value that is no text is told all the same", function()
    for value, what in pairs { ["{}"] = "error value is {}", ["nil"] = "error value is a nil", ["7"] = "7",
      ["setmetatable({}, { __tostring = function() return 'own' end })"] = "own" } do
      local t = gateway { inline(("return { request = function() error(%s) end }"):format(value)) }
      assert.status(t:request "/", 500)
      failure(t, what)
    end
  end)

  it("in finish harms nobody", function()
    local t = gateway { inline [[ return { finish = function() error("too late") end } ]], marker "b" }
    local res, req = t:request "/"
    assert.status(res, 200)
    local line = t:log "policy code failed"[1]
    assert.matches("too late", line.error)
    assert.same({ "lua", "test", req.id }, { line.step, line.route, line.request_id })
    assert.equal(1, #t:log "finish b")
  end)

  it("by running for too long cannot catch that", function()
    local t = gateway({ marker "a", inline [[ return { request = function()
      while true do pcall(function() while true do end end) end
    end } ]] }, nil, { config = { limits = { lua_run = "10ms" } } })
    local res = t:request "/"
    assert.status(res, 500)
    assert.header(res, "X-Out", "a")
    failure(t, "ran longer than 10 ms without waiting")
  end)

  describe("with on_error: continue", function()
    local function continues(text, answer)
      local t = gateway({ marker "a", inline(text, { on_error = "continue" }), marker "c" }, answer)
      local res = t:request "/"
      failure(t, "oh")
      return res, t
    end

    it("is left out", function()
      local res, t = continues [[ return { request = function() error("oh") end } ]]
      assert.status(res, 200)
      assert.header(res, "X-Out", "c, a")
      assert.equal("a, c", seen_header(t, "X-In"))
    end)

    it("is left out as an onion that had not called next", function()
      local res, t = continues [[ return function(req, next) error("oh") end ]]
      assert.status(res, 200)
      assert.header(res, "X-Out", "c, a")
      assert.called(t, "api", 1)
    end)

    it("gives the response of what lies behind, when it had", function()
      local res, t = continues([[ return function(req, next) next(req) error("oh") end ]], { body = "kept" })
      assert.equal("kept", res:text())
      assert.header(res, "X-Out", "c, a")
      assert.called(t, "api", 1)
    end)

    it("leaves the response as it is", function()
      local res = continues([[ return { response = function(_, res) error("oh") end } ]], { body = "kept" })
      assert.status(res, 200)
      assert.equal("kept", res:text())
      assert.header(res, "X-Out", "c, a")
    end)

    it("is left out when it returns what is nothing", function()
      local t = gateway { inline("return { request = function() return 7 end }", { on_error = "continue" }) }
      assert.status(t:request "/", 200)
      failure(t, "returned a number")
    end)
  end)
end)

describe("when", function()
  local function post_only(more)
    local step = { lua = [[ return {
      request = function(req) req:add_header("X-In", "posted") end,
      response = function(_, res) res:add_header("X-Out", "posted") end,
      finish = function() mg.log.info("finish posted") end,
    } ]], when = 'req.method == "POST"' }
    for key, value in pairs(more or {}) do step[key] = value end
    return step
  end

  it("lets a step run or not, in all its phases", function()
    local t = gateway { post_only() }
    local res = t:request "/"
    assert.is_nil(res:header "X-Out")
    assert.is_nil(seen_header(t, "X-In"))
    assert.equal(0, #t:log "finish posted")
    res = t:request { method = "POST", body = "x" }
    assert.header(res, "X-Out", "posted")
    assert.equal("posted", seen_header(t, "X-In"))
    assert.equal(1, #t:log "finish posted")
  end)

  it("does so behind an onion", function()
    local t = gateway { function(req, next) return next(req) end, post_only() }
    assert.is_nil((t:request "/"):header "X-Out")
    assert.equal(0, #t:log "finish posted")
    assert.header(t:request { method = "POST" }, "X-Out", "posted")
    assert.equal(1, #t:log "finish posted")
  end)

  it("has held when it held once behind an onion", function()
    local t = gateway { function(req, next)
      req.method = "POST"
      next(req)
      req.method = "GET"
      return next(req)
    end, post_only() }
    t:request "/"
    assert.equal(1, #t:log "finish posted")
  end)

  it("is asked once, before the request phase", function()
    local t = gateway { post_only(), inline [[ return { request = function(req) req.method = "PUT" end } ]] }
    assert.header(t:request { method = "POST" }, "X-Out", "posted")
  end)

  it("of a step without a request phase sees the response", function()
    local t = gateway({ { lua = [[ return { response = function(_, res) res:set_header("X-Bad", "1") end } ]],
      when = 'res.status >= 400 and req.path ~= "/no"' } }, function(req) return { status = req.path == "/" and 200
        or 404 } end)
    assert.is_nil((t:request "/"):header "X-Bad")
    assert.is_nil((t:request "/no"):header "X-Bad")
    assert.header(t:request "/other", "X-Bad", "1")
  end)

  it("of a step that only finishes sees the response", function()
    local t = gateway({ { lua = [[ return { finish = function() mg.log.info("slow one") end } ]],
      when = "res.status == 404" } },
      function(req) return { status = req.path == "/" and 200 or 404 } end)
    t:request "/"
    assert.equal(0, #t:log "slow one")
    t:request "/other"
    assert.equal(1, #t:log "slow one")
  end)

  it("is false for false and nil", function()
    for text, runs in pairs { ["nil"] = false, ["false"] = false, ["0"] = true, ["''"] = true, ["req.auth"] = false } do
      local t = gateway { { lua = "return { request = function() return mg.reply(204) end }", when = text } }
      assert.status(t:request "/", runs and 204 or 200)
    end
  end)

  it("sees mg", function()
    local t = gateway { { lua = "return function() return mg.reply(204) end",
      when = "mg.ip.parse(req.client_ip) == '192.0.2.9'" } }
    assert.status(t:request "/", 200)
    assert.status(t:request { client_ip = "192.0.2.9" }, 204)
  end)

  it("that fails ends in a 500, or leaves the step out", function()
    local t = gateway { post_only { when = "req.nothing.there" } }
    assert.status(t:request "/", 500)
    failure(t, "when: ")
    t = gateway { post_only { when = "req.nothing.there", on_error = "continue" } }
    local res = t:request "/"
    assert.status(res, 200)
    assert.is_nil(res:header "X-Out")
    assert.equal(0, #t:log "finish posted")
    failure(t, "when: ")
  end)

  it("that fails at finish is told", function()
    local t = gateway { { lua = [[ return { finish = function() mg.log.info("finished") end } ]],
      when = "res.nothing.there" } }
    assert.status(t:request "/", 200)
    failure(t, "when: ")
    assert.equal(0, #t:log "finished")
  end)

  it("cannot wait", function()
    local t = gateway { post_only { when = "mg.sleep(1) or true" } }
    assert.status(t:request "/", 500)
    failure(t, "in a condition")
  end)

  it("is one expression", function()
    refused({ { lua = "return function() end", when = "local x = 1 return x" } }, "routes[0].policies[0].when: ")
    refused({ { lua = "return function() end", when = "true return false" } }, "routes[0].policies[0].when: ")
  end)
end)

describe("a step", function()
  it("may be switched off", function()
    local t = gateway { inline("return function() return mg.reply(204) end", { enabled = false }) }
    assert.status(t:request "/", 200)
  end)

  it("is told where it stands", function()
    local t = T.new { upstreams = { api = {} }, config = { routes = { {
      name = "users", match = "/*", service = "api",
      policies = { { probe = { text = "t" }, id = "who" } }, on_error = { { probe = {}, id = "late" } },
    } } } }
    assert.json(t:request "/env", { text = "t",
      env = { path = "routes[0].policies[0]", key = "routes[users].policies[0]", id = "who", route = "users",
        service = "api", worker = 0, on_error = false } })
  end)

  it("is called after its policy when it has no id", function()
    local t = T.new { policies = { "probe" } }
    assert.json(t:request "/env", { text = "none",
      env = { path = "routes[0].policies[0]", key = "routes[test].policies[0]", id = "probe", route = "test",
        worker = 0, on_error = false } })
  end)

  it("sees only its own config", function()
    local t = gateway { { probe = { text = "a" }, when = "req:arg 'n' == '1'" }, { probe = { text = "b" } } }
    assert.equal("b", t:request("/env"):json().text)
    assert.equal("a", t:request("/env?n=1"):json().text)
  end)

  it("finds its identity, or the config is refused", function()
    local function load(policies)
      return T.load("x.yaml", { upstreams = { api = {} }, text = ([[
services: { api: { backends: [a] } }
lua: { path: %s }
routes: [{ match: /*, service: api, policies: [%s] }]
]]):format(debug.getinfo(1, "S").source:match "^@(.*)/" .. "/policies", policies) })
    end
    local t = load "gives-identity, wants-identity"
    t:request "/"
    assert.equal("ann", seen_header(t, "X-Subject"))
    local ok, fault = pcall(load, "wants-identity, gives-identity")
    assert.is_false(ok)
    assert.matches('routes[0].policies[0].wants-identity: needs "identity"; the step that provides it (gives-identity, '
      .. "policies[1]", fault, 1, true)
    ok, fault = pcall(load, "wants-identity")
    assert.is_false(ok)
    assert.matches('needs "identity"; no step provides it', fault, 1, true)
  end)
end)

describe("requests that no route takes", function()
  local function strict(policies, more)
    local config = { policies = policies, routes = { { match = { path = "/a", methods = { "GET" } },
      service = "api" } } }
    for key, value in pairs(more or {}) do config[key] = value end
    return T.new { upstreams = { api = { body = "ok" } }, config = config }
  end

  it("pass the policies of the file", function()
    local t = strict { marker "a", { ["request-id"] = {} } }
    local res = t:request "/none"
    assert.problem(res, 404, "no-route")
    assert.header(res, "X-Out", "a")
    assert.equal(res:json().request_id, res:header "X-Request-ID")
    assert.equal(1, #t:log "finish a")
    res = t:request { method = "DELETE", path = "/a" }
    assert.problem(res, 405, "method-not-allowed")
    assert.header(res, "Allow", "GET, HEAD")
    assert.header(res, "X-Out", "a")
    assert.called("api", 0)
  end)

  it("may be preflights", function()
    local t = strict { { cors = { origins = { "https://app.example.com" } } } }
    local res = t:request { method = "OPTIONS", path = "/a",
      headers = { Origin = "https://app.example.com", ["Access-Control-Request-Method"] = "GET" } }
    assert.status(res, 204)
    assert.header(res, "Access-Control-Allow-Origin", "https://app.example.com")
    res = t:request { path = "/none", headers = { Origin = "https://app.example.com" } }
    assert.status(res, 404)
    assert.header(res, "Access-Control-Allow-Origin", "https://app.example.com")
  end)

  it("get the default response through them", function()
    local t = strict({ marker "a" }, { default_response = { status_code = 410, body = "gone",
      headers = { ["X-D"] = "1" } } })
    local res = t:request "/none"
    assert.status(res, 410)
    assert.equal("gone", res:text())
    assert.header(res, "X-D", "1")
    assert.header(res, "X-Out", "a")
  end)

  it("may be answered by one of them", function()
    local t = strict { inline [[ return function(req, next)
      local res = next(req)
      return res.status == 404 and mg.reply(200, "here: " .. req.path) or res
    end ]] }
    assert.equal("here: /none", t:request("/none"):text())
  end)

  it("have nothing of a route", function()
    local t = strict { inline [[ return { response = function(req, res)
      if res.source ~= "gateway" then return end
      return mg.reply_json(200, {
        route = tostring(req.route), service = tostring(req.service), params = next(req.params) == nil, path = req.path,
        expr = req:expr "${route}|${service}|${params.id}|${path}", code = res.error.code,
          deadline = req.deadline - req.started,
      })
    end } ]] }
    assert.json(t:request "/none", { route = "nil", service = "nil", params = true, path = "/none", expr = "|||/none",
      code = "no_route", deadline = 60 })
  end)

  it("are asked anew by each call of next, also with a copy", function()
    local t = strict { function(req, next)
      local copy = next(req:copy())
      copy:set_header("X-Copy", "1")
      next(req)
      local res = next(req)
      res:set_header("X-Codes", ("%d %d"):format(copy.status, res.status))
      return res
    end }
    local res = t:request { method = "PUT", path = "/a" }
    assert.header(res, "X-Codes", "405 405")
    assert.header(res, "Allow", "GET, HEAD")
    assert.is_nil(res:header "X-Copy")
  end)

  it("wait no longer than others", function()
    local t = strict({ inline [[ return { request = function() mg.sleep(100) end } ]] },
      { limits = { request_time = "2s" } })
    assert.status(t:request "/none", 504)
    assert.equal(2, t:now())
  end)

  it("end in a 500 when a policy fails, with a log line", function()
    local t = strict { inline [[ return { request = function(req) return req.route.name end } ]] }
    assert.problem(t:request "/none", 500, "internal-error")
    assert.equal("policies[0]", t:log "policy failed"[1].path)
  end)

  it("have their body read by who wants it", function()
    local t = strict { inline [[ return { request = function(req) req.ctx.n = #req:text() end,
      response = function(req, res) res:set_header("X-Length", req.ctx.n) end } ]], "buffer-reader" }
    assert.header(t:request { path = "/none", body = "12345" }, "X-Length", "5")
    assert.header(t:request { path = "/none", chunks = { "123", "45" } }, "X-Length", "5")
  end)

  it("pass none of the policies when they are no proper requests", function()
    local t = strict { marker "a" }
    for bytes, status in pairs {
      ["GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] = 400,
      ["GET /../../a HTTP/1.1\r\nHost: a\r\n\r\n"] = 400,
      ["GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"] = 400,
    } do
      local said = t:raw(bytes)
      assert.matches(("^HTTP/1%%.1 %d "):format(status), said)
      assert.is_nil(said:find("X-Out", 1, true))
    end
  end)
end)
