-- Pipelines that a policy's options hold: s.steps.

local T = require "moongate.test"

local function gateway(conf, more)
  more = more or {}
  return T.new {
    policies = { { ["holds-steps"] = conf }, more.after }, timeout = more.timeout,
    upstreams = more.upstreams or { api = { body = "ok" } }, service = "api",
    config = { lua = { path = { "tests/spec/policies" } }, pipelines = more.pipelines },
  }
end

local function marker(name, text)
  return { lua = ([[return {
    request = function(req) req:add_header("X-In", "%s") %s end,
    response = function(_, res) res:add_header("X-Out", "%s") end,
    finish = function() mg.log.info "finished %s" end,
  }]]):format(name, text or "", name, name) }
end

local function ask(t, part)
  return t:request { headers = { ["X-Part"] = part } }
end

describe("a policy's own steps", function()
  it("stand wherever the schema has them", function()
    local t = gateway({
      parts = { a = { marker "a1", marker "a2" }, b = { { use = "p" } }, c = {} },
      list = { marker "l1", { marker "l2" } },
    }, { pipelines = { p = { marker "p" } }, after = marker "z" })
    for part, marks in pairs { a = "a1, a2", b = "p", ["1"] = "l1", ["2"] = "l2" } do
      local res = ask(t, part)
      assert.header(res, "X-Out", marks == "a1, a2" and "z, a2, a1" or "z, " .. marks)
      assert.equal(marks .. ", z", select(2, t:seen "api"):header "X-In")
    end
    assert.header(ask(t, "c"), "X-Out", "z")
    t:settle()
    assert.same({ 1, 1, 5 }, { #t:log "finished a1", #t:log "finished p", #t:log "finished z" })
  end)

  it("may be all of the options", function()
    local t = T.new {
      policies = { { ["only-steps"] = { marker "a" } } }, upstreams = { api = {} },
      config = { lua = { path = { "tests/spec/policies" } } },
    }
    assert.header(t:request "/", "X-Out", "a")
  end)

  it("forward the request where no end is given", function()
    local t = gateway({ parts = { a = { marker "a" } }, run = [[
      local conf = ...
      return { request = function(req)
        local copy = req:copy()
        copy.service, copy.path = "other", "/x"
        local res = conf.parts.a(copy)
        res:set_header("X-Mine", tostring(req:header "X-In"))
        return res
      end }]] }, { upstreams = { api = {}, other = { status = 201, body = "from other" } } })
    local res = t:request "/"
    assert.status(res, 201)
    assert.equal("from other", res:text())
    assert.header(res, "X-Mine", "nil")
    assert.header(res, "X-Out", "a")
    assert.called("api", 0)
    local _, last = t:seen "other"
    assert.same({ "/x", "a" }, { last.path, last:header "X-In" })
  end)

  it("may wait, answer, fail, and go on twice", function()
    local t = gateway { parts = {
      waits = { marker("a", "mg.sleep(1)") },
      answers = { marker "a", { respond = { status = 418 } } },
      fails = { marker "a", { lua = "return { request = function() error 'x' end }" } },
      twice = { { lua = "return function(req, next) next(req) return next(req) end" }, marker("a", "mg.sleep(1)") },
      both = { { lua = [[return function(req, next)
        local first, second = mg.spawn(next, req:copy()), mg.spawn(next, req:copy())
        second:wait()
        return first:wait()
      end]] }, marker("a", "mg.sleep(1)") },
    } }
    assert.status(ask(t, "waits"), 200)
    assert.near(1, t:now(), 1e-6)
    assert.header(ask(t, "answers"), "X-Out", "a")
    assert.problem(ask(t, "fails"), 500)
    assert.called("api", 1)
    assert.header(ask(t, "twice"), "X-Out", "a")
    assert.called("api", 3)
    assert.near(3, t:now(), 1e-6)
    assert.header(ask(t, "both"), "X-Out", "a")
    assert.called("api", 5)
    assert.near(4, t:now(), 1e-6)
  end)

  it("run for a request alone", function()
    local t = gateway { parts = { a = {} }, run = [[
      local conf = ...
      local mg = require "moongate"
      local function try(name, ...)
        local ok, fault = pcall(conf.parts.a, ...)
        if not ok then mg.log.info("refused", { what = name, fault = tostring(fault) }) end
      end
      return { request = function(req)
        try("nothing") try("a number", req, 7)
        try("no response", req, function() return 7 end)
        mg.background(function(copy) try("background", copy) end, req:copy())
      end, finish = function(req) try("finish", req) end }]] }
    assert.status(t:request "/", 200)
    t:settle()
    local told = {}
    for _, line in ipairs(t:log "refused") do told[line.what] = line.fault end
    assert.matches("request expected", told["nothing"], 1, true)
    assert.matches("function expected", told["a number"], 1, true)
    assert.matches("the last function returned number; expected a response", told["no response"], 1, true)
    assert.matches("steps can only run for a request that waits", told.background, 1, true)
    assert.matches("steps cannot run when the response has left", told.finish, 1, true)
  end)

  it("end with the request", function()
    local t = gateway({ parts = { a = { marker("a", "mg.sleep(5)") } } }, { timeout = 1 })
    assert.status(ask(t, "a"), 504)
    t:settle()
    assert.near(1, t:now(), 1e-6)
    assert.equal(1, #t:log "finished a")
  end)

  it("keep their errors from the route's on_error steps", function()
    local t = T.new { upstreams = { api = {} }, config = {
      lua = { path = { "tests/spec/policies" } },
      routes = { { match = "/*", service = "api", policies = { { ["holds-steps"] = {
        parts = { a = { { lua = "return { request = function() error 'x' end }" } } }, run = [[
          local conf = ...
          return function(req, next)
            local res = conf.parts.a(req, next)
            return res.status == 500 and next(req) or res
          end]],
      } } }, on_error = { marker "handled" } } },
    } }
    local res = t:request "/"
    assert.status(res, 200)
    assert.is_nil(res:header "X-Out")
  end)
end)
