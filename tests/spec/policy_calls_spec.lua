-- What policies call: services, tasks, clocks, shared dictionaries.

local T = require "moongate.test"
local mg = require "moongate"

-- A gateway with one step that answers by itself; what it returns is the answer, or its results as JSON.
local function gateway(fn, upstreams, more)
  local opts = { policies = { function(req, next)
    local res = fn(req, next)
    return type(res) == "userdata" and res or mg.reply_json(200, res == nil and mg.json.null or res)
  end }, upstreams = upstreams or {} }
  for key, value in pairs(more or {}) do opts[key] = value end
  return T.new(opts)
end

-- The results of fn for one request, as they are.
local function on_request(fn, upstreams, request, more)
  local results
  local t = gateway(function(req, next)
    results = table.pack(fn(req, next))
    return mg.reply(204)
  end, upstreams, more)
  assert.status(t:request(request or "/"), 204)
  return table.unpack(results, 1, results.n)
end

local function raises(what, fn, ...)
  local ok, fault = pcall(fn, ...)
  assert.is_false(ok, "nothing was raised")
  assert.matches(what, tostring(fault), 1, true)
end

local function is_error(value, err, code)
  assert.is_nil(value)
  assert.equal(code, err.code)
  assert.equal(err.message, tostring(err))
  assert.is_true(#tostring(err) > 0)
end

local function echo(req)
  local fields = {}
  for name, value in req:headers() do fields[name:lower()] = value end
  return { json = { method = req.method, path = req.raw_path, query = req.query, body = req:text(), fields = fields } }
end

describe("mg.fetch", function()
  it("asks a service", function()
    on_request(function()
      local res = mg.fetch "api"
      assert.same({ 201, "hello", "v" }, { res.status, res:text(), res:header "x-a" })
      assert.equal("upstream", res.source)
      assert.equal("api", res.upstream.service)
      local seen = mg.fetch("echo"):json()
      assert.same({ "GET", "/", "" }, { seen.method, seen.path, seen.body })
    end, { api = { status = 201, body = "hello", headers = { ["X-A"] = "v" } }, echo = echo })
  end)

  it("gives every status as a response", function()
    local statuses = on_request(function()
      local out = {}
      for _, status in ipairs { 204, 302, 404, 500, 503 } do out[#out + 1] = mg.fetch("api", { path = "/"
        .. status }).status end
      return out
    end, { api = function(req) return { status = tonumber(req.path:sub(2)) } end })
    assert.same({ 204, 302, 404, 500, 503 }, statuses)
  end)

  it("sends what the options say", function()
    on_request(function()
      local function ask(options) return mg.fetch("api", options):json() end
      assert.equal("/a%20b", ask({ path = "/a%20b" }).path)
      assert.equal("x=1", ask({ path = "/a?x=1" }).query)
      assert.equal("y=2", ask({ path = "/a?x=1", query = "y=2" }).query)
      assert.equal("a%20b=c%26d", ask({ query = { ["a b"] = "c&d" } }).query)
      assert.equal("n=7", ask({ query = { n = 7 } }).query)
      assert.equal("a=1&a=x%20y&b=2", ask({ query = { a = { 1, "x y" }, b = 2, c = {} } }).query)
      for _, bad in ipairs { { a = true }, { a = { {} } }, { "x" }, { a = { 1, print } } } do
        raises("mg.fetch: query: expected ", mg.fetch, "api", { query = bad })
      end
      assert.equal("a=1&b=2&c=x&d=y&e=z", ask({ query = { e = "z", b = 2, a = 1, d = "y", c = "x" } }).query)
      local sent = ask { method = "POST", body = "text", headers = { ["X-A"] = "1", ["X-B"] = { "2", "3" },
        Host = "other" } }
      assert.same({ "POST", "text", "1", "4", "other" },
        { sent.method, sent.body, sent.fields["x-a"], sent.fields["content-length"], sent.fields.host })
      sent = ask { method = "PUT", json = { a = 1 } }
      assert.same({ '{"a":1}', "application/json" }, { sent.body, sent.fields["content-type"] })
      sent = ask { method = "PUT", json = {}, headers = { ["Content-Type"] = "application/x+json" } }
      assert.equal("application/x+json", sent.fields["content-type"])
    end, { api = echo })
  end)

  it("sends none of the client's headers but those that are to pass", function()
    local fields = on_request(function()
      return mg.fetch("api", { pass = { "authorization", "x-none" } }):json().fields
    end, { api = echo }, { headers = { Authorization = "token", Cookie = "secret" } })
    assert.equal("token", fields.authorization)
    assert.is_nil(fields.cookie)
  end)

  it("refuses what would ask for something else", function()
    on_request(function()
      for _, bad in ipairs { "/a b", "/a\r\nX: y", "/a\0", "/a#b", "/../x", "/a/../b", "/a/%2e%2e/b", "/./a",
        "/%2E/", "/ä", "/a\\b", "/a%2", "/a\"b", "/a?b=\"" } do
        raises("mg.fetch: path must", mg.fetch, "api", { path = bad })
      end
      raises("path must begin with '/'", mg.fetch, "api", { path = "x" })
      raises("path must begin with '/'", mg.fetch, "api", { path = "" })
      for _, bad in ipairs { "http://api/a\\b", "http://api/a?\"" } do
        raises("bad URL: has a byte that must be percent-encoded", mg.fetch, bad)
      end
      raises("query must be percent-encoded", mg.fetch, "api", { query = "a b" })
      raises("query must be percent-encoded", mg.fetch, "api", { query = "a<b" })
      raises("line break", mg.fetch, "api", { headers = { ["X-A"] = "a\r\nb" } })
      raises("not a header name", mg.fetch, "api", { headers = { ["X A"] = "a" } })
      raises("headers: expected table, got number", mg.fetch, "api", { headers = 5 })
      raises("method: not a method", mg.fetch, "api", { method = "GET /\r\n" })
      raises("method cannot be CONNECT", mg.fetch, "api", { method = "CONNECT" })
    end, { api = {} })
  end)

  it("refuses wrong options", function()
    on_request(function()
      raises("there is no service 'apy'", mg.fetch, "apy")
      raises("expected the name of a service or a URL, got nil", mg.fetch)
      raises("unknown option 'pth'", mg.fetch, "api", { pth = "/" })
      raises("timeout must be a number of seconds above 0", mg.fetch, "api", { timeout = 0 })
      raises("timeout must be a number of seconds above 0", mg.fetch, "api", { timeout = "soon" })
      for _, bad in ipairs { 16, -1, 1.5, "x", {} } do
        raises("retries must be an integer from 0 to 15", mg.fetch, "api", { retries = bad })
      end
      raises("expected string, got table", mg.fetch, "api", { body = {} })
      raises("cannot encode", mg.fetch, "api", { json = { print } })
      raises("pass: expected a list", mg.fetch, "api", { pass = "authorization" })
      raises("expected { service, path = ... }", mg.fetch, "api", { "x", "y" })
      raises("table expected", mg.fetch, "api", 7)
    end, { api = {} })
  end)

  it("tells how it failed", function()
    local cases = {
      { { error = "refused" }, "connect_failed" }, { { error = "timeout" }, "connect_timeout" },
      { { delay = 100 }, "first_byte_timeout" }, { { error = "reset" }, "reset" }, { { close = "before-headers" },
        "reset" },
      { { body = "hello", close = "mid-body" }, "reset" }, { { body = "0123456789", trickle = { 5, 100 } },
        "idle_timeout" },
      { { body = ("x"):rep(5000) }, "too_large" },
    }
    for _, case in ipairs(cases) do
      local value, err = on_request(function() return mg.fetch "api" end, { api = case[1] }, "/", { config = {
        limits = { buffered_body_bytes = 4096, request_time = "1h" },
        services = { api = { backends = { "a" }, timeouts = { connect = "1s", first_byte = "5s", idle = "5s" } } },
      } })
      is_error(value, err, case[2])
    end
  end)

  it("has a time limit of its own, wherever it waits", function()
    local cases = { { error = "timeout" }, { delay = 100 }, { body = "0123456789", trickle = { 1, 0.4 } },
      { chunks = { "a" }, delay = 2 } }
    for _, answer in ipairs(cases) do
      local took, value, err = on_request(function()
        local began = mg.monotonic()
        local value, err = mg.fetch("api", { timeout = 0.5 })
        return mg.monotonic() - began, value, err
      end, { api = answer })
      assert.near(0.5, took, 1e-6)
      is_error(value, err, "timeout")
    end
  end)

  it("tries again", function()
    local n = 0
    local function flaky()
      n = n + 1
      return n % 3 == 0 and { body = "at last" } or { error = "reset" }
    end
    on_request(function() assert.equal("at last", mg.fetch("api", { retries = 2 }):text()) end, { api = flaky })
    assert.equal(3, n)
    on_request(function()
      local value, err = mg.fetch("api", { retries = 1 })
      is_error(value, err, "reset")
    end, { api = flaky })
    assert.equal(5, n)
  end)

  it("reads a stream piece by piece", function()
    local t = gateway(function()
      local res = assert(mg.fetch("api", { stream = true }))
      local pieces, at = {}, {}
      for piece in res:chunks() do
        pieces[#pieces + 1] = piece
        at[#at + 1] = mg.monotonic()
      end
      return { pieces, at[2] - at[1] >= 0.9 }
    end, { api = function() mg.sleep(0) return { body = "abcdef", trickle = { 3, 1 } } end })
    assert.json(t:request "/", { { "abc", "def" }, true })
  end)

  it("can pass its response on", function()
    local t = gateway(function() return mg.fetch("api", { stream = true }) end,
      { api = { status = 203, chunks = { "a", "b" }, headers = { ["X-A"] = "v" } } })
    local res = t:request "/"
    assert.status(res, 203)
    assert.header(res, "X-A", "v")
    assert.equal("ab", res:text())
  end)

  it("goes to a URL too", function()
    on_request(function()
      assert.equal("/token", mg.fetch("http://login.example.com/token"):json().path)
      assert.equal("/token", mg.fetch("https://login.example.com/token"):json().path)
      raises("bad URL", mg.fetch, "http://")
    end, { ["login.example.com"] = echo })
  end)

  it("goes to other backends when one is down, like a route", function()
    local t = T.new { upstreams = { api = { error = "refused" } }, policies = { function()
      local _, err = mg.fetch "api"
      return mg.reply(200, err.code)
    end }, config = { services = { api = { backends = { "a", "b" } } } } }
    assert.equal("connect_failed", t:request("/"):text())
  end)

  it("ends with its request", function()
    local late = false
    local t = gateway(function() mg.fetch "api" end, { api = function()
      mg.sleep(5)
      late = true
      return {}
    end })
    local conn = t:connect()
    conn._conn:put "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(1)
    assert.called(t, "api", 1)
    conn:reset()
    t:advance(60)
    assert.is_false(late)
  end)

  it("ends at the deadline", function()
    local t = gateway(function() mg.fetch "api" end, { api = { delay = 9 } }, { timeout = "2s" })
    assert.status(t:request "/", 504)
    assert.equal(2, t:now())
  end)

  it("needs a task", function()
    raises("mg.fetch can only be called while", mg.fetch, "api")
    local ok, fault = pcall(T.new, { upstreams = { api = {} },
      policies = { { lua = "mg.fetch('api') return function() end" } } })
    assert.is_false(ok)
    assert.matches("mg.fetch", fault, 1, true)
  end)

  it("cannot be called where nothing can wait", function()
    local t = gateway(function() return (("a"):gsub("a", function() return mg.fetch("api"):text() end)) end,
      { api = {} })
    assert.status(t:request "/", 500)
    assert.matches("mg.fetch cannot be called inside a callback", t:log "policy failed"[1].error, 1, true)
    t = gateway(function() return coroutine.wrap(function() return mg.fetch "api" end)() end, { api = {} })
    assert.status(t:request "/", 500)
    assert.matches("mg.fetch cannot be called inside a coroutine of your own", t:log "policy failed"[1].error, 1, true)
  end)
end)

describe("mg.fetch_all", function()
  local SLOW = { one = { body = "1", delay = 0.3 }, two = { body = "2", delay = 0.2 }, three = { body = "3",
    delay = 0.1 } }

  it("asks all at once", function()
    local t = gateway(function()
      local got = assert(mg.fetch_all { a = { "one" }, b = { "two" }, c = { "three", path = "/x" } })
      return { got.a:text(), got.b:text(), got.c:text() }
    end, SLOW)
    assert.json(t:request "/", { "1", "2", "3" })
    assert.near(0.3, t:now(), 1e-6)
    assert.same({}, on_request(function() return mg.fetch_all {} end))
  end)

  it("asks so many at a time", function()
    local running, most = 0, 0
    local t = gateway(function()
      local calls = {}
      for i = 1, 20 do calls["n" .. i] = { "api" } end
      assert(mg.fetch_all(calls, { max = 3 }))
      calls = {}
      local first = most
      for i = 1, 20 do calls["n" .. i] = { "api" } end
      assert(mg.fetch_all(calls))
      return { first, most }
    end, { api = function()
      running = running + 1
      most = math.max(most, running)
      mg.sleep(1)
      running = running - 1
      return {}
    end })
    assert.json(t:request "/", { 3, 8 })
    assert.equal(7 + 3, t:now())
  end)

  it("cancels the others when one fails that is required", function()
    local finished = 0
    local t = gateway(function()
      local got, failed = mg.fetch_all { slow = { "slow" }, bad = { "bad" }, other = { "slow", optional = true } }
      assert.is_nil(got)
      assert.equal(failed.message, tostring(failed))
      return { failed.name, failed.code, failed.reason }
    end, { bad = { status = 503, delay = 1 }, slow = function()
      mg.sleep(5)
      finished = finished + 1
      return {}
    end })
    assert.json(t:request "/", { "bad", "status", "status: status 503" })
    assert.equal(1, t:now())
    t:advance(60)
    assert.equal(0, finished)
  end)

  it("lives without those that are optional", function()
    for what, answer in pairs { late = { delay = 5 }, refused = { error = "refused" }, bad = { status = 500 },
      cut = { error = "reset" } } do
      local t = gateway(function()
        local got = mg.fetch_all { a = { "good" }, b = { "bad", optional = true, timeout = 0.5 } }
        return { got.a:text(), got.b == nil }
      end, { good = { body = "a" }, bad = answer })
      assert.json(t:request "/", { "a", true })
      assert.is_true(t:now() <= 0.5, what)
    end
  end)

  it("takes a status of 500 or more for a failure, unless told otherwise", function()
    on_request(function()
      assert.equal(404, mg.fetch_all({ a = { "api", path = "/404" } }).a.status)
      assert.equal("status", select(2, mg.fetch_all { a = { "api", path = "/500" } }).code)
      assert.equal(500, mg.fetch_all({ a = { "api", path = "/500", accept = "any" } }).a.status)
    end, { api = function(req) return { status = tonumber(req.path:sub(2)) } end })
  end)

  it("has one limit for all, beside their own", function()
    local t = gateway(function()
      local _, first = mg.fetch_all({ a = { "api" }, b = { "api", optional = true } }, { timeout = 0.5 })
      local _, second = mg.fetch_all({ a = { "api", timeout = 0.25 } }, { timeout = 0.5 })
      local got = mg.fetch_all({ b = { "api", optional = true } }, { timeout = 0.5 })
      return { first.code, second.code, next(got) == nil }
    end, { api = { delay = 5 } })
    assert.json(t:request "/", { "timeout", "timeout", true })
    assert.near(1.25, t:now(), 1e-6)
  end)

  it("refuses wrong use", function()
    on_request(function()
      raises("table expected", mg.fetch_all)
      raises("expected names as keys, got a number", mg.fetch_all, { { "api" } })
      raises("expected a table { service, path = ... } for each call", mg.fetch_all, { a = "api" })
      raises("mg.fetch_all: there is no service 'no'", mg.fetch_all, { a = { "no" } })
      raises("unknown option 'pth'", mg.fetch_all, { a = { "api", pth = "/" } })
      raises("max must be at least 1", mg.fetch_all, { a = { "api" } }, { max = 0 })
      raises("unknown option 'tmeout'", mg.fetch_all, { a = { "api" } }, { tmeout = 1 })
      local many = {}
      for i = 1, 257 do many["n" .. i] = { "api" } end
      raises("more than 256 calls", mg.fetch_all, many)
    end, { api = {} })
  end)
end)

describe("mg.race", function()
  it("takes the first", function()
    local t = gateway(function()
      return mg.race { { "slow" }, { "fast" } }
    end, { slow = { body = "slow", delay = 2 }, fast = { body = "fast", delay = 1 } })
    assert.equal("fast", t:request("/"):text())
    assert.equal(1, t:now())
  end)

  it("starts each a while after the one before", function()
    local t = gateway(function()
      return mg.race({ { "slow" }, { "slow" }, { "fast" } }, { delay = 0.5 })
    end, { slow = { body = "slow", delay = 5 }, fast = { body = "fast", delay = 0.25 } })
    assert.equal("fast", t:request("/"):text())
    assert.near(1.25, t:now(), 1e-6)
    assert.called(t, "slow", 2)
    t = gateway(function() return mg.race({ { "fast" }, { "fast" } }, { delay = 0.5 }) end, { fast = { delay = 0.25 } })
    t:request "/"
    assert.called(t, "fast", 1)
  end)

  it("starts the next at once when one has failed", function()
    local t = gateway(function()
      return mg.race({ { "bad" }, { "good" } }, { delay = 10 })
    end, { bad = { status = 500, delay = 0.5 }, good = { body = "good" } })
    assert.equal("good", t:request("/"):text())
    assert.equal(0.5, t:now())
  end)

  it("fails when all have", function()
    local value, err = on_request(function() return mg.race { { "a" }, { "b" } } end,
      { a = { error = "refused" }, b = { status = 503, delay = 1 } })
    is_error(value, err, "status")
  end)

  it("cancels those that lost", function()
    local finished = false
    local t = gateway(function() return mg.race { { "slow" }, { "fast" } } end, { fast = { delay = 1 },
      slow = function()
      mg.sleep(5)
      finished = true
      return {}
    end })
    t:request "/"
    t:advance(60)
    assert.is_false(finished)
  end)

  it("refuses wrong use", function()
    on_request(function()
      raises("expected a list of calls", mg.race, {})
      raises("table expected", mg.race)
      raises("expected a table", mg.race, { "api" })
      raises("delay must be a number of seconds", mg.race, { { "api" } }, { delay = -1 })
      raises("unknown option 'dely'", mg.race, { { "api" } }, { dely = 1 })
    end, { api = {} })
  end)
end)

describe("mg.spawn", function()
  it("runs beside its caller", function()
    local t = gateway(function()
      local order = {}
      local task = mg.spawn(function(a, b)
        order[#order + 1] = "task"
        mg.sleep(1)
        order[#order + 1] = "woken"
        return a, b, nil
      end, 1, "x")
      order[#order + 1] = "caller"
      assert.equal("task (running)", tostring(task))
      assert.same({ n = 3, 1, "x" }, table.pack(task:wait()))
      assert.same({ n = 3, 1, "x" }, table.pack(task:wait()))
      assert.equal("task (ended)", tostring(task))
      return order
    end)
    assert.json(t:request "/", { "task", "caller", "woken" })
    assert.equal(1, t:now())
  end)

  it("is waited for as long as one likes", function()
    on_request(function()
      local task = mg.spawn(function() mg.sleep(2) return "done" end)
      local value, err = task:wait(0.5)
      is_error(value, err, "timeout")
      assert.equal("done", task:wait(10))
      raises("seconds", task.wait, task, -1)
    end)
  end)

  it("gives its failure to who waits, and no log line", function()
    local t = gateway(function()
      local task = mg.spawn(function() mg.sleep(1) error("oh") end)
      local value, err = task:wait()
      is_error(value, err, "error")
      assert.matches("oh$", tostring(err))
      assert.equal("task (failed)", tostring(task))
    end)
    assert.status(t:request "/", 200)
    assert.equal(0, #t:log "policy code failed")
  end)

  it("that nobody waits for is logged when it fails, with the request's fields", function()
    local t = T.new { upstreams = { api = { delay = 2 } }, policies = { { id = "who",
      lua = [[ return { request = function()
      mg.spawn(function() mg.sleep(1) error("oh") end)
    end } ]] } } }
    local _, req = t:request "/"
    local line = t:log "policy code failed"[1]
    assert.same({ "error", "who", "test", req.id }, { line.level, line.step, line.route, line.request_id })
    assert.matches("oh", line.error)
    assert.matches("stack traceback", line.error)
  end)

  it("is cancelled at will", function()
    local closed, went_on = false, false
    on_request(function()
      local task = mg.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() closed = true end })
        mg.sleep(1)
        went_on = guard ~= nil
      end)
      assert.is_true(task:cancel())
      assert.is_true(closed)
      assert.is_false(task:cancel())
      is_error(nil, select(2, task:wait()), "cancelled")
      assert.equal("task (cancelled)", tostring(task))
      mg.sleep(2)
    end)
    assert.is_false(went_on)
  end)

  it("ends with its request", function()
    local went_on = false
    local t = gateway(function()
      mg.spawn(function()
        mg.sleep(5)
        went_on = true
      end)
      return "answered"
    end)
    t:request "/"
    t:advance(60)
    assert.is_false(went_on)
  end)

  it("ends when the client goes", function()
    local closed, went_on = 0, false
    local t = gateway(function()
      local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      mg.spawn(function()
        local inner <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        mg.sleep(5)
        went_on = inner ~= nil
      end)
      mg.sleep(5)
      went_on = guard ~= nil
    end)
    local conn = t:connect()
    conn._conn:put "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(1)
    conn:reset()
    assert.equal(2, closed)
    t:advance(60)
    assert.is_false(went_on)
  end)

  it("cannot wait for, or cancel, itself", function()
    on_request(function()
      local task
      task = mg.spawn(function()
        mg.sleep(0)
        raises("cannot wait for itself", task.wait, task)
        raises("cannot be cancelled from inside itself", task.cancel, task)
        return true
      end)
      assert.is_true(task:wait())
    end)
  end)

  it("refuses wrong use", function()
    on_request(function()
      raises("function expected", mg.spawn, "x")
      raises("number expected", mg.sleep, "x")
      raises("seconds from 0", mg.sleep, -1)
      raises("seconds from 0", mg.sleep, 0 / 0)
      raises("function expected", mg.after, 1)
    end)
    local ok, fault = pcall(T.new, { policies = { { lua = "mg.spawn(function() end) return function() end" } } })
    assert.is_false(ok)
    assert.matches("use mg.background", fault, 1, true)
  end)
end)

describe("mg.background", function()
  it("outlives the request", function()
    local result
    local t = gateway(function(req)
      local path = req.path
      mg.background(function(suffix)
        mg.sleep(1)
        local res = mg.fetch("api", { path = path .. suffix })
        mg.sleep(1)
        result = { res:text(), (pcall(function() return req.path end)) }
      end, "/more")
      return "answered"
    end, { api = function(req) return { body = req.path } end })
    t:request "/a"
    assert.equal(0, t:now())
    t:settle()
    assert.equal(2, t:now())
    assert.same({ "/a/more", false }, result)
  end)

  it("goes on when the client has gone", function()
    local done = false
    local t = gateway(function()
      mg.background(function()
        mg.sleep(3)
        done = true
      end)
      mg.sleep(10)
    end)
    local conn = t:connect()
    conn._conn:put "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(1)
    conn:reset()
    t:settle()
    assert.is_true(done)
  end)

  it("is logged when it fails", function()
    local t = T.new { policies = { { id = "who", lua = [[ return { request = function()
      mg.background(function() mg.sleep(1) error("oh") end)
      return mg.reply(202)
    end } ]] } } }
    t:request "/"
    t:settle()
    local line = t:log "policy code failed"[1]
    assert.equal("who", line.step)
    assert.matches("oh", line.error)
  end)

  it("is limited in number", function()
    local codes = on_request(function()
      local out = {}
      for _ = 1, 1001 do
        local task, err = mg.background(mg.sleep, 1)
        out[#out + 1] = task == nil and err.code or nil
      end
      return out
    end)
    assert.same({ "too_many_tasks" }, codes)
  end)

  it("has no client to answer", function()
    local faults = {}
    local t = gateway(function()
      mg.background(function()
        mg.sleep(1)
        for i, fn in ipairs {
          function() return mg.problem(400, "bad") end,
          function() return mg.fetch("api", { pass = { "x-a" } }).status end,
        } do
          local ok, value = pcall(fn)
          faults[i] = ok and value or tostring(value):match "mg%.[^\n]*"
        end
      end)
      return "answered"
    end, { api = {} })
    t:request "/"
    t:settle()
    assert.matches("can only be called while a request is served", faults[1])
    assert.equal(200, faults[2])
  end)
end)

describe("mg.after", function()
  it("calls later, for as long as the request lives", function()
    local at = {}
    local t = gateway(function()
      local began = mg.monotonic()
      mg.after(1, function(what) at[#at + 1] = { what, mg.monotonic() - began } end, "first")
      mg.after(50, function() at[#at + 1] = "never" end)
      local cancelled = mg.after(1, function() at[#at + 1] = "cancelled" end)
      cancelled:cancel()
      local third = mg.after(2, function(...) return select("#", ...), ... end, nil, 7)
      local n, _, value = third:wait()
      return { n, value }
    end)
    assert.json(t:request "/", { 2, 7 })
    t:advance(100)
    assert.same({ { "first", 1.0 } }, at)
  end)
end)

describe("mg.every", function()
  it("calls again and again", function()
    local t = T.new { policies = { { id = "ticker", lua = [[
      local n = 0
      mg.every(10, function()
        n = n + 1
        if n == 2 then error("this one fails") end
        mg.log.info("tick", { n = n })
      end)
      return function() return mg.reply(200, tostring(n)) end
    ]] } } }
    assert.equal("0", t:request("/"):text())
    t:advance(35)
    assert.equal("3", t:request("/"):text())
    assert.equal(2, #t:log "tick")
    assert.matches("this one fails", t:log "policy code failed"[1].error)
  end)

  it("waits for a call that takes longer, and leaves out what it missed", function()
    local t = T.new { policies = { { lua = [[
      local n = 0
      mg.every(1, function() n = n + 1 mg.sleep(2.5) end)
      return function() return mg.reply(200, tostring(n)) end
    ]] } } }
    t:advance(10.5)
    assert.equal("4", t:request("/"):text())
  end)

  it("of a request ends with it", function()
    local n = 0
    local t = gateway(function()
      mg.every(1, function() n = n + 1 end)
      mg.sleep(3.5)
    end)
    t:request "/"
    t:advance(60)
    assert.equal(3, n)
  end)

  it("may be for one worker, and at any time in a while", function()
    local t = T.new { policies = { { lua = [[
      local at = {}
      mg.every(10, function() at[#at + 1] = mg.monotonic() end, { jitter = 5, one_worker = true })
      return function() return mg.reply_json(200, at) end
    ]] } } }
    t:advance(100)
    local at = t:request("/"):json()
    assert.is_true(#at >= 8 and #at <= 10)
    for i, when in ipairs(at) do
      assert.is_true(when - 1 >= 10 * i and when - 1 <= 10 * i + 5, ("%d: %s"):format(i, when))
    end
  end)

  it("refuses wrong use", function()
    on_request(function()
      raises("at least 0.001 seconds", mg.every, 0, print)
      raises("unknown option 'jiter'", mg.every, 1, print, { jiter = 1 })
      raises("jitter must be seconds", mg.every, 1, print, { jitter = "x" })
    end)
  end)
end)

describe("clocks", function()
  it("tell the time", function()
    local t = gateway(function()
      local now, mono = mg.now(), mg.monotonic()
      mg.sleep(2.5)
      return { now, mg.now() - now, mg.monotonic() - mono, os.time() - now < 10 }
    end)
    assert.json(t:request "/", { 1767225600.0, 2.5, 2.5, false })
  end)
end)

describe("a shared dictionary", function()
  -- Inline steps, for dictionaries are opened in `new`.
  local function with(text, more)
    local opts = { policies = { { lua = "local d = mg.shared 'd'\nreturn function(req)\n" .. text .. "\nend" } } }
    for key, value in pairs(more or {}) do opts[key] = value end
    return T.new(opts)
  end

  local function gives(expected, text, more)
    local res = with(text, more):request "/"
    assert.status(res, 200)
    assert.json(res, expected)
  end

  it("holds values for all requests", function()
    local t = with [[
      d:incr("n", 1, 0)
      return mg.reply(200, tostring(d:get "n")) ]]
    t:request "/"
    assert.equal("2", t:request("/"):text())
  end)

  it("sets, adds, replaces and deletes", function()
    gives({ true, "a", false, 1.5, 7, true, "exists", "a", true, "absent", true, false, "nil" }, [[
      local out = {}
      local function add(value) out[#out + 1] = value == nil and "nil" or value end
      add(d:set("s", "a")) add(d:get "s")
      d:set("b", false) add(d:get "b")
      d:set("f", 1.5) add(d:get "f")
      d:set("i", 7) add(d:get "i")
      add(d:add("new", 1))
      add(select(2, d:add("s", "b")).code) add(d:get "s")
      add(d:replace("s", "c"))
      add(select(2, d:replace("none", 1)).code)
      add(d:delete "s") add(d:delete "s") add(d:get "s")
      return mg.reply_json(200, out) ]])
  end)

  it("forgets with time", function()
    local t = with [[
      if req.path == "/set" then
        d:set("k", 1, 10)
        d:set("ever", 1)
        return mg.reply_json(200, { d:ttl "k", d:ttl "ever" == math.huge })
      elseif req.path == "/keep" then
        return mg.reply_json(200, { d:expire("k", 100), select(2, d:expire("none", 1)).code, select(2,
          d:ttl "none").code })
      end
      return mg.reply_json(200, { d:get "k" or "gone", d:get "ever" }) ]]
    assert.json(t:request "/set", { 10, true })
    t:advance(9)
    assert.json(t:request "/", { 1, 1 })
    t:advance(2)
    assert.json(t:request "/", { "gone", 1 })
    t:request "/set"
    assert.json(t:request "/keep", { true, "absent", "absent" })
    t:advance(50)
    assert.json(t:request "/", { 1, 1 })
  end)

  it("counts and swaps in one step", function()
    gives({ "absent", 5, 3, 3.5, "type", true, "differs", true, "nil", "overflow" }, [[
      local out = {}
      local function add(value) out[#out + 1] = value == nil and "nil" or value end
      add(select(2, d:incr "n").code)
      add(d:incr("n", 2, 3)) add(d:incr("n", -2)) add(d:incr("n", 0.5))
      d:set("s", "x") add(select(2, d:incr "s").code)
      add(d:cas("c", nil, 1)) add(select(2, d:cas("c", 2, 3)).code) add(d:cas("c", 1, nil)) add(d:get "c")
      d:set("big", math.maxinteger) add(select(2, d:incr "big").code)
      return mg.reply_json(200, out) ]])
  end)

  it("refuses what it cannot hold", function()
    gives({ "key", "too_large", true }, [[
      local faults = {}
      for _, fn in ipairs {
        function() d:set("k", {}) end, function() d:set("k", nil) end, function() d:set(1, 1) end,
        function() d:set("k", 1, 0) end, function() d:set("k", 1, -1) end, function() d:incr("k", "x") end,
        function() d:get() end, function() mg.shared "other" end,
      } do faults[#faults + 1] = not pcall(fn) end
      return mg.reply_json(200, { select(2, d:set(("k"):rep(5000), 1)).code, select(2, d:set("k",
        ("v"):rep(1 << 20))).code, #faults == 8 }) ]])
  end)

  it("gives a token bucket", function()
    local t = with [[
      local b = d:take("k", 1, 3, tonumber(req:arg "cost"))
      return mg.reply_json(200, { b.ok, b.remaining, b.reset, b.retry_after }) ]]
    assert.json(t:request "/", { true, 2, 1, 0 })
    assert.json(t:request "/", { true, 1, 2, 0 })
    assert.json(t:request "/?cost=2", { false, 1, 2, 1 })
    assert.json(t:request "/", { true, 0, 3, 0 })
    assert.json(t:request "/", { false, 0, 3, 1 })
    t:advance(1)
    assert.json(t:request "/", { true, 0, 3, 0 })
    t:advance(100)
    assert.json(t:request "/", { true, 2, 1, 0 })
  end)

  it("gives a window", function()
    local t = with [[
      local w = d:window("k", 2, 10)
      return mg.reply_json(200, { w.ok, w.remaining, w.reset, w.retry_after }) ]]
    assert.json(t:request "/", { true, 1, 10, 0 })
    t:advance(4)
    assert.json(t:request "/", { true, 0, 6, 0 })
    assert.json(t:request "/", { false, 0, 6, 6 })
    t:advance(6)
    assert.json(t:request "/", { true, 1, 10, 0 })
  end)

  it("gives so many places at a time", function()
    local t = T.new { upstreams = { api = { delay = 1 } }, policies = { { lua = [[
      local d = mg.shared "d"
      return function(req, next)
        if not d:acquire("k", 2).ok then return mg.reply(503) end
        local place <close> = setmetatable({}, { __close = function() d:release "k" end })
        return next(req)
      end ]] } } }
    local calls = { t:start "/", t:start "/", t:start "/" }
    t:settle()
    local statuses = {}
    for i, call in ipairs(calls) do statuses[i] = call.res.status end
    table.sort(statuses)
    assert.same({ 200, 200, 503 }, statuses)
    assert.status(t:request "/", 200)
  end)

  it("has the size that the config says", function()
    gives({ true }, [[
      for i = 1, 1000 do d:set("k" .. i, ("v"):rep(1000)) end
      return mg.reply_json(200, { d:get "k1" == nil and d:get "k1000" ~= nil }) ]],
        { config = { shared = { d = "128KiB" } } })
    local ok, fault = pcall(with, "", { config = { shared = { d = "127KiB" } } })
    assert.is_false(ok)
    assert.matches("shared.d: must be >= 131072", fault, 1, true)
  end)

  it("joins keys so that they cannot be mixed up", function()
    assert.not_equal(mg.key("a", "bc"), mg.key("ab", "c"))
    assert.not_equal(mg.key("1"), mg.key(1))
    assert.not_equal(mg.key("a", nil), mg.key "a")
    assert.equal(mg.key("a", true, 2), mg.key("a", true, 2))
  end)
end)

describe("what a policy holds", function()
  it("does not grow with the requests", function()
    local t = T.new { upstreams = { api = function(req) return { body = req:text() } end }, policies = { { lua = [[
      return function(req, next)
        req:text()
        local task = mg.spawn(function() mg.sleep(0.001) return 1 end)
        local res = next(req)
        res:transform(function(piece) return piece end)
        assert(task:wait() == 1)
        assert(mg.fetch_all { a = { "api", method = "POST", body = "x" } })
        return res
      end ]] } } }
    local function run(n)
      for _ = 1, n do assert.status(t:request { body = "hello" }, 200) end
      t:settle()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    run(50)
    t._seen.api = {}
    local before = run(50)
    t._seen.api = {}
    local after = run(200)
    -- What grows are the kit's own notes and its log.
    assert.is_true(after - before < 600, ("%.0f KB"):format(after - before))
  end)
end)
