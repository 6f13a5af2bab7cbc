-- Policies that go wrong: that request gets its 500 or 504, others see nothing.
local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

-- A route for each step text, and one that is always fine.
local function start(steps, more)
  local routes = { { match = "/fine", policies = { { respond = { body = "fine" } } } } }
  for path, text in pairs(steps) do
    routes[#routes + 1] = { name = "route " .. path, match = path, policies = { { lua = text, id = "culprit" } } }
  end
  local config = { routes = routes }
  for key, value in pairs(more or {}) do config[key] = value end
  return E.start { config = config }
end

-- The 500, checked for silence, and the one line in the log that tells of it, as a table.
local function failed(g, path)
  local res = g:get(path)
  assert.problem(res, 500, "internal-error")
  assert.is_nil(res:json().detail)
  local lines = g:wait_log('"policy failed".*' .. res:json().request_id)
  assert.equal(1, #lines)
  return require("dkjson").decode(lines[1]), res
end

-- How much time of a processor the gateway took for it, and what fn gives. Limits of run time are in this time too: who
-- else is on the machine plays no part.
local function spent(g, fn)
  local pid = g:serving_pid()
  local before = process.cpu_seconds(pid)
  local results = table.pack(fn())
  return process.cpu_seconds(pid) - before, table.unpack(results, 1, results.n)
end

local THROWING = {
  ["/request"] = "return { request = function() error 'hush-hush' end }",
  ["/response"] = [[return function(req, next)
    mg.reply(200)
    error "hush-hush"
  end]],
  ["/return"] = "return { request = function() return function() error 'hush-hush' end end }",
  ["/table"] = "return { request = function() error { code = 'hush' } end }",
  ["/nil"] = "return { request = function() error() end }",
  ["/index"] = "return { request = function() local hush return hush.hush end }",
  ["/global"] = "return { request = function() undeclared = 1 end }",
  ["/result"] = "return { request = function() return 42 end }",
  ["/later"] = "return { request = function() mg.sleep(0.01) error 'hush-hush' end }",
  ["/onion"] = "return function(req, next) return nil end",
  ["/spawned"] = [[return { request = function()
    mg.spawn(function() error "hush-hush" end):wait()
    error "hush-hush"
  end }]],
  ["/pattern"] = "return { request = function() return string.rep('a', 100):find(('a*'):rep(60) .. 'b') end }",
}

describe("an error in a policy", function()
  local up, g

  setup(function()
    up = E.upstream { body = "up" }
    local routes, paths = {}, {}
    for path in pairs(THROWING) do paths[#paths + 1] = path end
    table.sort(paths)
    for _, path in ipairs(paths) do
      routes[#routes + 1] = { name = "route " .. path, match = path, service = "api",
        policies = { { lua = THROWING[path], id = "culprit" } } }
    end
    g = E.start { config = { services = { api = { backends = { up.address } } }, routes = routes } }
  end)

  for path in pairs(THROWING) do
    it("is a 500 without details, and a line in the log: " .. path, function()
      local line, res = failed(g, path)
      assert.equal("lua", line.policy)
      assert.equal("culprit", line.step)
      assert.equal("route " .. path, line.route)
      assert.matches("^routes%[%d+%]%.policies%[0%]$", line.path)
      assert.is_nil(res.body:find("hush", 1, true))
      assert.is_nil(res.body:find(".lua", 1, true))
      if THROWING[path]:find("hush-hush", 1, true) and path ~= "/nil" then assert.matches("hush%-hush", line.error) end
      if path == "/spawned" then g:wait_log('"policy code failed".*hush') end
      if path == "/request" then assert.matches("stack traceback:", line.error) end
    end)
  end
end)

describe("the traceback", function()
  local STEP = { ["/*"] = "return { request = function() error 'told' end }" }

  it("is shown with dev: true", function()
    local g = start(STEP, { dev = true })
    local res = g:get("/")
    assert.problem(res, 500, "internal-error")
    assert.matches("told", res:json().detail)
    assert.matches("stack traceback", res:json().detail)
    g:wait_log("policy failed")
  end)

  it("is shown with --dev", function()
    local g = E.start { args = { "--dev" }, config = { routes = {
      { match = "/*", policies = { { lua = STEP["/*"] } } },
    } } }
    assert.matches("told", g:get("/"):json().detail)
    g:wait_log("policy failed")
  end)
end)

describe("on_error: continue", function()
  it("goes on without the step", function()
    local up = E.upstream { body = "up" }
    local g = E.start { config = { services = { api = { backends = { up.address } } }, routes = { {
      match = "/*", service = "api", policies = { { lua = THROWING["/request"], on_error = "continue" } } } } } }
    assert.equal("up", g:get("/").body)
    g:wait_log("policy failed")
  end)
end)

describe("an error after the headers have left", function()
  it("resets the connection, never a clean end", function()
    local up = E.upstream { chunks = { "one", "two" } }
    local g = E.start { config = { services = { api = { backends = { up.address } } }, routes = { {
      match = "/t", service = "api", policies = { { lua = [[return { response = function(req, res)
        local n = 0
        res:transform(function(chunk, eof)
          n = n + #(chunk or "")
          if eof then error "at the end" end
          return chunk
        end)
      end }]] } } },
      { match = "/s", policies = { { lua = [[return { request = function()
        return mg.stream(200, {}, function(write)
          write "first"
          mg.sleep(0.01)
          error "in the middle"
        end)
      end }]] } } },
    } } }
    for _, path in ipairs { "/t", "/s" } do
      local client = g:connect()
      local res, why = client:request(path)
      assert.is_nil(res)
      assert.is_true(why == "reset" or why == "closed", why)
      g:wait_log(path == "/t" and "at the end" or "in the middle")
    end
  end)
end)

describe("endless loops", function()
  local LOOPS = {
    ["/plain"] = "while true do end",
    ["/pcall"] = "while true do pcall(function() while true do end end) end",
    ["/coroutine"] = "local co = coroutine.wrap(function() while true do end end) co()",
    ["/calls"] = "local function f() return f() end f()",
    ["/strings"] = "local n = 0 while true do n = n + #(('x'):rep(1000) .. n) end",
    ["/gsub"] = "while true do string.gsub(('x'):rep(1000), 'x', function() while true do end end) end",
    ["/sort"] = "table.sort({ 3, 2, 1 }, function() while true do end end)",
    ["/close"] = "local x <close> = setmetatable({}, { __close = function() while true do end end }) error 'x'",
    ["/after-wait"] = "mg.sleep(0.01) while true do end",
  }

  local g

  setup(function()
    local steps = {}
    for path, text in pairs(LOOPS) do steps[path] = "return { request = function(req) " .. text .. " end }" end
    g = start(steps)
  end)

  for path in pairs(LOOPS) do
    it("end as 500 within a second, and others go on: " .. path, function()
      local seconds, line = spent(g, function() return failed(g, path) end)
      assert.is_true(seconds < E.limit(1), seconds)
      assert.equal("route " .. path, line.route)
      assert.equal("fine", g:get("/fine").body)
    end)
  end

  it("hold up other requests no longer than the budget", function()
    local client = g:connect()
    client:send_request { path = "/plain" }
    local seconds, res = spent(g, function() return g:get("/fine") end)
    assert.equal("fine", res.body)
    assert.is_true(seconds < E.limit(0.7), seconds)
    assert.status(client:response(), 500)
    g:log("policy failed")
  end)
end)

describe("memory hogs", function()
  it("end as 500, and others go on", function()
    local g = start({
      ["/table"] = "return { request = function() local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end end }",
      ["/string"] = "return { request = function() local s = 'x' while true do s = s .. s end end }",
      ["/rep"] = "return { request = function() return mg.reply(200, ('x'):rep(1 << 33)) end }",
      ["/pcall"] = [[return { request = function()
        local t = {}
        while true do pcall(function() t[#t + 1] = ("x"):rep(1 << 20) .. #t end) end
      end }]],
    }, { limits = { lua_memory = "16MiB", lua_run = E.limit(1) > 1 and "3s" or "500ms" } })
    for _, path in ipairs { "/table", "/string", "/rep", "/pcall", "/table" } do
      local line = failed(g, path)
      if path == "/table" or path == "/string" then assert.matches("memory", line.error) end
      assert.equal("fine", g:get("/fine").body)
    end
    assert.equal(0, g:stop())
  end)
end)

describe("deep recursion", function()
  it("ends as 500, and others go on", function()
    local g = start {
      ["/pcall"] = "local function f() return pcall(f), 1 end return { request = function() f() error 'deep' end }",
      ["/metamethod"] = [[local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return s[k .. "x"] end
        return { request = function() return t.a end }]],
      ["/tostring"] = [[local t = setmetatable({}, { __tostring = function(s) return tostring(s) end })
        return { request = function() return tostring(t) end }]],
      ["/json"] = [[return { request = function()
        local t = {} for _ = 1, 100000 do t = { t } end
        local text, err = mg.json.encode(t)
        error(tostring(err))
      end }]],
      ["/gsub"] = [[local function f(s) return (s:gsub(".", f)) end return { request = function() return f "x" end }]],
    }
    for _, path in ipairs { "/pcall", "/metamethod", "/tostring", "/json", "/gsub" } do
      assert.problem(g:get(path), 500, "internal-error")
      assert.equal("fine", g:get("/fine").body)
    end
    assert.equal(5, #g:log("policy failed"))
  end)

  it("of plain Lua calls holds up other requests no longer than an endless loop does, however often", function()
    local g = start { ["/lua"] = [[local function f(n) return 1 + f(n + 1) end
      return { request = function() return f(1) end }]] }
    for _ = 1, 6 do
      local client = g:connect()
      client:send_request { path = "/lua" }
      local seconds, res = spent(g, function() return g:get("/fine") end)
      assert.equal("fine", res.body)
      assert.is_true(seconds < E.limit(0.7), seconds)
      assert.status(client:response(), 500)
    end
    assert.equal(6, #g:log("policy failed"))
  end)
end)

describe("a backend that hangs in a policy", function()
  it("is 504 at the route's time limit, and its connection is closed", function()
    local up = E.upstream { hang = true }
    local api = { backends = { up.address }, timeouts = { first_byte = "1h" } }
    local g = E.start { config = { services = { api = api }, routes = {
      { match = "/fetch", timeout = "100ms", policies = {
        { lua = "return { request = function() mg.fetch('api', { path = '/' }) end }" } } },
      { match = "/next", service = "api", timeout = "100ms", policies = {
        { lua = "return function(req, next) return next(req) end" } } },
      { match = "/sleep", timeout = "100ms", policies = {
        { lua = "return { request = function() mg.sleep(60) end }" } } },
      { match = "/fine", policies = { { respond = { body = "fine" } } } },
    } } }
    for _, path in ipairs { "/fetch", "/next", "/sleep" } do
      local took, res = E.timed(function() return g:get(path) end)
      assert.problem(res, 504, "gateway-timeout")
      assert.is_true(took > 0.08, took) -- and it does end, which nothing else would bring about
      assert.equal("fine", g:get("/fine").body)
    end
    E.eventually(function() assert.equal(0, up:open_connections()) end)
  end)

  it("is an error that the policy can handle, at its own time limit", function()
    local up = E.upstream { hang = true }
    local g = E.start { config = {
      services = { api = { backends = { up.address } } },
      routes = { { match = "/*", policies = { { lua = [[return { request = function()
        local res, err = mg.fetch("api", { path = "/", timeout = 0.05 })
        return mg.reply(200, tostring(res) .. " " .. err.code)
      end }]] } } } },
    } }
    assert.matches("^nil [%a_]+$", g:get("/").body)
    E.eventually(function() assert.equal(0, up:open_connections()) end)
  end)
end)

describe("mg.fetch", function()
  it("says by one word how it failed", function()
    local hang, cut = E.upstream { hang = true }, E.upstream { close = "at-once" }
    local half, slow = E.upstream { body = "whole", close = "mid-body" }, E.upstream { delay = 60 }
    local large, garbage = E.upstream { body = ("x"):rep(5000) }, E.upstream { raw = "no HTTP at all\r\n\r\n" }
    local function service(address, first_byte)
      return { backends = { address }, timeouts = { connect = "30s", first_byte = first_byte or "30s" } }
    end
    local g = E.start { config = {
      limits = { buffered_body_bytes = 4096 },
      services = {
        hang = service(hang.address, "300ms"), slow = service(slow.address, "300ms"),
        cut = service(cut.address), half = service(half.address),
        large = service(large.address), garbage = service(garbage.address),
        refused = service("127.0.0.1:" .. E.refused()),
      },
      routes = { { match = "/{name}", policies = { { lua = [[return { request = function(req)
        local res, err = mg.fetch(req.params.name, { timeout = tonumber(req:arg "timeout") })
        return mg.reply_json(200, { code = not res and err.code, same = not res and tostring(err) == err.message })
      end }]] } } } },
    } }
    for path, code in pairs {
      ["/refused"] = "connect_failed", ["/hang"] = "first_byte_timeout", ["/slow"] = "first_byte_timeout",
      ["/hang?timeout=0.05"] = "timeout", ["/cut"] = "reset", ["/half"] = "reset", ["/large"] = "too_large",
      ["/garbage"] = "bad_response",
    } do
      assert.same({ code = code, same = true }, g:get(path):json(), path)
    end
  end)
end)

describe("the sandbox", function()
  it("has nothing that reaches out of it", function()
    local g = start { ["/*"] = [[return { request = function()
      local found = {}
      for _, name in ipairs { "io", "debug", "package", "dofile", "loadfile" } do
        local ok, value = pcall(function() return _ENV[name] end)
        if ok and value ~= nil then found[#found + 1] = name end
      end
      for _, name in ipairs { "execute", "exit", "remove", "rename", "tmpname", "getenv", "setlocale" } do
        local ok, value = pcall(function() return os[name] end)
        if ok and value ~= nil then found[#found + 1] = "os." .. name end
      end
      local ok, chunk = pcall(load, string.dump and string.dump(function() end) or "\27Lua")
      if ok and chunk then found[#found + 1] = "bytecode" end
      if string.dump then found[#found + 1] = "string.dump" end
      local mt = getmetatable("")
      if type(mt) == "table" then found[#found + 1] = "string metatable" end
      return mg.reply(200, table.concat(found, " "))
    end }]] }
    assert.equal("", g:get("/").body)
  end)

  it("keeps handles from outliving their request", function()
    local g = start { ["/keep"] = [[local kept
      return { request = function(req)
        if kept then return mg.reply(200, kept.path) end
        kept = req
        return mg.reply(204)
      end }]] }
    assert.status(g:get("/keep"), 204)
    local line = failed(g, "/keep")
    assert.matches("request has ended", line.error)
  end)
end)

describe("many broken requests at once", function()
  it("leave the gateway as it was", function()
    local up = E.upstream(function(req)
      return req.path == "/hang" and { hang = true } or { body = "ok" }
    end)
    local g = E.start { config = { workers = 2, services = { api = { backends = { up.address } } }, routes = {
      { match = "/throw", policies = { { lua = THROWING["/later"] } } },
      { match = "/hang", service = "api", timeout = "50ms" },
      { match = "/leave", policies = {
        { lua = "return { request = function() mg.fetch('api', { path = '/hang' }) end }" } } },
      { match = "/ok", service = "api" },
    } } }
    E.times(60, function(i)
      if i % 4 == 0 then
        assert.status(g:get("/throw"), 500)
      elseif i % 4 == 1 then
        assert.status(g:get("/hang"), 504)
      elseif i % 4 == 2 then
        local client = g:connect()
        client:send_request { path = "/leave" }
        E.sleep(0.02)
        client:reset()
      else
        assert.status(g:get("/ok"), 200)
      end
    end)
    E.eventually(function() assert.equal(15, #g:log("policy failed")) end)
    assert.status(g:get("/ok"), 200)
    assert.equal(0, g:stop())
  end)
end)
