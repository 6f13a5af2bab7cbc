-- Bodies that several tasks of a request want: who reads, who waits, and who is told that it cannot be.

local T = require "moongate.test"
local mg = require "moongate"

-- A gateway with one step, and a client whose body comes in three pieces, a second apart.
local function slow_client(step, more)
  local function api(req) return { body = "<" .. req:text() .. ">" } end
  local opts = { policies = { step }, upstreams = { api = api } }
  for key, value in pairs(more or {}) do opts[key] = value end
  local t = T.new(opts)
  local conn = t:connect()
  conn._conn:put "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\""
  t:advance(1)
  conn._conn:put ":  "
  t:advance(1)
  conn._conn:put "1}"
  t:settle()
  return t, (conn:receive(1))
end

-- The same with a response that comes slowly.
local function slow_backend(steps)
  local api = { chunks = { "ab", "cd", "ef" }, trickle = { 2, 1 } }
  local t = T.new { policies = type(steps) == "table" and steps or { steps }, upstreams = { api = api } }
  return t, t:request "/"
end

describe("a body that several tasks want", function()
  it("is read once, and given to all", function()
    local got = {}
    local t, answer = slow_client(function(req, next)
      local text = mg.spawn(function() got.text = req:text() end)
      local json = mg.spawn(function() got.json = req:json() end)
      got.main = req:content()
      text:wait()
      json:wait()
      return next(req)
    end)
    assert.same({ text = '{"a":  1}', json = { a = 1 }, main = '{"a":  1}' }, got)
    assert.matches("^HTTP/1.1 200 ", answer)
    assert.equal('{"a":  1}', (select(2, t:seen "api")):text())
  end)

  it("is read on by others when it is too large for one", function()
    local small, whole
    slow_client(function(req)
      local task = mg.spawn(function() return req:text(5) end)
      whole = req:text()
      small = select(2, task:wait())
      return mg.reply(200)
    end)
    assert.equal("too_large", small.code)
    assert.equal('{"a":  1}', whole)
  end)

  it("is not for tasks that outlive its request", function()
    local faults = {}
    slow_client(function(req)
      mg.background(function() faults[1] = select(2, pcall(req.text, req)) end)
      mg.background(function()
        faults[2] = select(2, pcall(function() for _ in req:chunks() do end end))
      end)
      mg.sleep(0.1)
      return mg.reply(200)
    end)
    assert.matches("text: only tasks of its own request may wait for the body", faults[1], 1, true)
    assert.matches("chunks: only tasks of its own request may wait for the body", faults[2], 1, true)
  end)

  it("stays whole when the task that reads it is cancelled", function()
    for _, waits in ipairs { true, false } do
      local second
      local t, answer = slow_client(function(req, next)
        local reader = mg.spawn(function() req:text() end)
        if waits then second = mg.spawn(function() return req:text() end) end
        mg.sleep(1.5)
        reader:cancel()
        if waits then assert.equal('{"a":  1}', second:wait()) end
        return next(req)
      end)
      assert.matches("^HTTP/1.1 200 ", answer)
      assert.equal('{"a":  1}', (select(2, t:seen "api")):text())
    end
  end)

  it("can be another one before it is read", function()
    local old, new
    local t = slow_client(function(req, next)
      local task = mg.spawn(function() return req:text() end)
      mg.sleep(0.5)
      req:set_body "new"
      old, new = task:wait(), req:text()
      return next(req)
    end)
    assert.same({ '{"a":  1}', "new" }, { old, new })
    assert.equal("new", (select(2, t:seen "api")):text())
  end)

  it("of a response, too", function()
    local first
    local _, res = slow_backend(function(req, next)
      local res = next(req)
      local task = mg.spawn(function() return res:text() end)
      mg.sleep(0.5)
      res:set_body(res:text():upper())
      first = task:wait()
      return res
    end)
    assert.same({ "abcdef", "ABCDEF" }, { first, res:text() })
  end)
end)

describe("a body that is being read", function()
  local function refused(how)
    local fault
    slow_client(function(req)
      local task = mg.spawn(function() return req:text() end)
      fault = select(2, pcall(how, req))
      task:wait()
      return mg.reply(200)
    end)
    assert.matches("other code is reading the body", tostring(fault), 1, true)
  end

  it("cannot be read in pieces beside that, nor rewritten", function()
    refused(function(req) req:transform(function(piece) return piece end) end)
    local fault
    slow_backend(function(req, next)
      local res = next(req)
      local piece = res:chunks()
      local task = mg.spawn(function() while piece() do end end)
      fault = select(2, pcall(piece))
      task:wait()
      return mg.reply(200)
    end)
    assert.matches("other code is reading the body", fault, 1, true)
  end)

  it("does not go on in part", function()
    local t, answer = slow_client(function(req, next)
      mg.spawn(function() req:text() end)
      return next(req)
    end)
    assert.matches("^HTTP/1.1 500 ", answer)
    assert.matches("a task of the step reads its body", t:log "policy failed"[1].error, 1, true)
    assert.called(t, "api", 0)

    local u, res = slow_backend(function(req, next)
      local res = next(req)
      mg.spawn(function() res:text() end)
      return res
    end)
    assert.problem(res, 500, "internal-error")
    assert.matches("a task reads its body", u:log "policy failed"[1].error, 1, true)
  end)

  it("is waited for by a later step that reads it", function()
    local reads = { lua = [[return { request = function(req) mg.spawn(function() req:text() end) end }]] }
    local t, answer = slow_client(nil, { policies = { reads, { validate = { body = { type = "object" } } } } })
    assert.matches("^HTTP/1.1 200 ", answer)
    assert.equal('{"a":  1}', (select(2, t:seen "api")):text())
  end)

  it("is not given in part to a later step that wants it in memory", function()
    local reads = { lua = [[return { request = function(req) mg.spawn(function() req:text() end) end }]] }
    local t, answer = slow_client(nil, { policies = { reads, "buffer-reader" } })
    assert.matches("^HTTP/1.1 500 ", answer)
    assert.matches("a task still reads the body of the request", t:log "policy failed"[1].error, 1, true)

    local u, res = slow_backend { "buffer-reader", function(req, next)
      local res = next(req)
      mg.spawn(function() res:text() end)
      return res
    end }
    assert.problem(res, 500, "internal-error")
    assert.matches("a task still reads the body of the response", u:log "policy failed"[1].error, 1, true)
  end)

  it("by its own transform would wait for itself", function()
    local t = T.new { policies = { function(req, next)
      local res = next(req)
      res:transform(function() return res:text() end)
      return res
    end }, upstreams = { api = { body = "x" } } }
    assert.problem(t:request "/", 500, "internal-error")
    assert.equal(0, t:now())
  end)
end)

describe("a request's transform that fails", function()
  it("is the gateway's fault, not the client's", function()
    for _, reads in ipairs { true, false } do
      local t = T.new { policies = { function(req, next)
        req:transform(function() error "no" end)
        if reads then
          local text, err = req:text()
          assert.is_nil(text)
          assert.equal("policy_error", err.code)
        end
        return next(req)
      end }, upstreams = { api = {} } }
      local res = t:request { body = "x" }
      assert.problem(res, 500, "internal-error")
      assert.is_nil(res:json().detail)
    end
  end)
end)

describe("write", function()
  local function stream(fn)
    local t = T.new { policies = { function() return mg.stream(200, nil, fn) end } }
    return t:request "/", t
  end

  it("takes the pieces of several tasks, in the order of the calls", function()
    local res = stream(function(write)
      local beat = mg.spawn(function()
        for i = 1, 3 do
          write("beat " .. i .. "\n")
          mg.sleep(1)
        end
      end)
      for i = 1, 3 do
        write("line " .. i .. ("x"):rep(20000) .. "\n")
        mg.sleep(1)
      end
      beat:wait()
    end)
    local seen = {}
    for word in res:text():gmatch "(%a+ %d)[^\n]*\n" do seen[#seen + 1] = word end
    assert.same({ "beat 1", "line 1", "beat 2", "line 2", "beat 3", "line 3" }, seen)
  end)

  it("sends what a task that is cancelled has written", function()
    local res = stream(function(write)
      local task = mg.spawn(function() write(("x"):rep(100000)) end)
      local other = mg.spawn(function() write "never" end)
      other:cancel()
      task:cancel()
      write "end"
    end)
    assert.equal(("x"):rep(100000) .. "end", res:text())
  end)

  it("sends what other tasks have written when its own function is done", function()
    local res = stream(function(write)
      for i = 1, 3 do
        mg.spawn(function() write("piece " .. i .. "\n") end)
      end
    end)
    assert.equal("piece 1\npiece 2\npiece 3\n", res:text())
  end)

  it("ends when a task is cancelled that still had to write", function()
    local res = stream(function(write)
      local first = mg.spawn(function() write "first" end)
      local last = mg.spawn(function() write "last" end)
      mg.spawn(function()
        first:wait()
        last:cancel()
      end)
    end)
    assert.equal("first", res:text():sub(1, 5))
  end)

  it("is of no use when its stream, or its request, is over", function()
    local old, faults = nil, {}
    local t = T.new { policies = { function()
      if old then
        faults[1] = select(2, pcall(old, "x"))
        return mg.reply(200)
      end
      local res = mg.stream(200, nil, function(write)
        old = write
        write "a"
      end)
      assert.equal("a", res:text())
      faults[2] = select(2, pcall(old, "b"))
      return res
    end } }
    assert.equal("a", t:request("/"):text())
    t:settle()
    t:request "/"
    assert.matches("stream has ended", faults[1], 1, true)
    assert.matches("the stream has ended", faults[2], 1, true)
  end)
end)

describe("a hit of a cache", function()
  it("is no request, nor a response", function()
    local faults = {}
    local caches = { pages = { size = "64MiB" } }
    local t = T.new { config = { caches = caches }, upstreams = { api = { body = "ok" } }, policies = {
      { lua = [[mg.cache "pages" return { request = function() end }]] },
      function(req, next)
        local cache = mg.cache "pages"
        local hit, key = cache:lookup(req)
        if not hit then
          local res = next(req)
          cache:store(key, res, { ttl = 60 })
          return res
        end
        local res = hit:response()
        for i, method in ipairs { req.header, res.text, res.set_body, req.headers } do
          faults[i] = select(2, pcall(method, hit, "x"))
        end
        return res
      end,
    } }
    t:request "/"
    t:settle()
    assert.status(t:request "/", 200)
    assert.equal(4, #faults)
    for _, fault in ipairs(faults) do assert.matches("request or response expected", fault, 1, true) end
  end)
end)
