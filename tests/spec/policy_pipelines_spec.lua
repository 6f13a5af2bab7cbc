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

  describe("are cancelled with the task that runs them:", function()
    -- A step that waits for a minute; what it has open tells when it is closed.
    local WAITS = {
      { "in its request phase", "return { request = function() local _ <close> = open() mg.sleep(60) end }" },
      { "in its response phase", "return { response = function() local _ <close> = open() mg.sleep(60) end }",
        asks = "api" },
      { "around a fetch", "return function(req, next) local _ <close> = open() return next(req) end", asks = "slow" },
      { "around the way to the backend", "return function(req, next) local _ <close> = open() return next(req) end",
        forwards = "slow" },
      { "in a task of its own", [[return { request = function()
          mg.spawn(function() local _ <close> = open() mg.sleep(60) end)
          mg.sleep(60)
        end }]] },
      { "in a fetch of its own", [[return { request = function()
          local _ <close> = open()
          mg.fetch "slow"
        end }]] },
      { "in steps of its own", [[return { request = function(req)
          local _ <close> = open()
          return req.ctx.others(req:copy())
        end }]] },
    }
    for _, case in ipairs(WAITS) do
      local what, code = case[1], case[2]
      it(what, function()
        local working, asked = 0, 0
        local function slow()
          working, asked = working + 1, asked + 1
          local _ <close> = setmetatable({}, { __close = function() working = working - 1 end })
          require "moongate".sleep(60)
          return {}
        end
        local opens = "local function open() return setmetatable({}, { __close = function() "
          .. "mg.log.info 'closed' end }) end "
        local t = gateway({ parts = { a = { { lua = opens .. code } }, b = { { lua = opens .. WAITS[1][2] } } },
          run = ([[
            local conf = ...
            local mg = require "moongate"
            local asks, forwards = %q, %q
            return { request = function(req)
              local copy = req:copy()
              copy.ctx.others, copy.service = conf.parts.b, forwards
              local task = mg.spawn(conf.parts.a, copy, asks ~= "" and function() return mg.fetch(asks) end or nil)
              mg.sleep(1)
              mg.log.info("cancelled", { running = task:cancel() })
              mg.sleep(5)
              return mg.reply(200)
            end }]]):format(case.asks or "", case.forwards or "api"),
        }, { upstreams = { api = {}, slow = slow } })
        local handle = t:start "/"
        t:advance(0.5)
        assert.equal(asked, working)
        assert.equal(0, #t:log "closed")
        t:advance(1)
        assert.is_true(t:log("cancelled")[1].running)
        assert.equal(what == "in steps of its own" and 2 or 1, #t:log "closed")
        t:advance(1) -- a server gives a client that has closed its side one more second
        assert.equal(0, working)
        assert.status(handle:wait(), 200)
        assert.near(6, t:now(), 1e-6)
      end)
    end

    it("and when the last function fails", function()
      local t = gateway { parts = { a = { { lua = [[return function(req, next)
        local _ <close> = setmetatable({}, { __close = function() mg.log.info "closed" end })
        return next(req)
      end]] } } }, run = [[
        local conf = ...
        local mg = require "moongate"
        return { request = function(req)
          local ok = pcall(conf.parts.a, req:copy(), function() error "x" end)
          mg.sleep(1)
          return mg.reply(ok and 200 or 418)
        end }]] }
      local handle = t:start "/"
      t:advance(0.5)
      assert.equal(1, #t:log "closed")
      assert.status(handle:wait(), 418)
    end)
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
