-- SIGUSR2: another program, on the same sockets. The program under test is a copy whose file a spec may replace.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local HELLO = { { match = "/*", policies = { { respond = { body = "hello" } } } } }
local UPGRADE = "GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

local function start(options)
  return E.start(setmetatable({ own_program = true }, { __index = options }))
end

-- The file of a process's program; one that was replaced is "(deleted)".
local function program_of(pid)
  return E.command({ "readlink", ("/proc/%d/exe"):format(pid) }).stdout:gsub("\n", "")
end

-- Puts a copy of the program in the place of the one that runs.
local function replace(g)
  assert.equal(0, E.command({ "cp", g.program, g.program .. ".new" }).status)
  assert(os.rename(g.program .. ".new", g.program))
end

local function upgrade(g)
  local before = g:serving_pid()
  g.process:signal "USR2"
  g:wait_log "the new program serves"
  assert.is_true(g:serving_pid() ~= before)
  return before
end

-- Calls fn beside the spec, again and again, until the first result is called. The second one waits until it was called
-- so many times more.
local function again_and_again(fn)
  local over, count = false, 0
  local task = E.spawn(function()
    while not over do
      fn()
      count = count + 1
    end
  end)
  return function()
    over = true
    task:wait()
  end, function(n)
    local enough = count + n
    E.until_true(function() return count >= enough or task.done end)
  end
end

-- A client that keeps its connection as long as the gateway lets it.
local function kept_alive(g)
  local client
  return function()
    client = client or assert(g:connect())
    local res = assert(client:request "/")
    assert.equal("hello", res.body)
    if res:header "Connection" == "close" then
      client:close()
      client = nil
    end
  end
end

describe("an upgrade", function()
  it("drops nothing: new connections, kept ones, a download, a tunnel", function()
    local go_on, downloads = false, 0
    local up = E.upstream(nil, { serve = function(s)
      local line = s:line()
      repeat until s:line() == ""
      if line:find "tunnel" then
        s:send "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        while true do
          local byte = s:receive(1)
          if not byte then return s:close() end
          s:send(byte)
        end
      end
      s:send "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"
      downloads = downloads + 1
      E.until_true(function() return go_on end)
      s:send "full"
    end })
    local g = start { config = { workers = 2, services = { up = { backends = { up.address } } }, routes = {
      { match = { path = { "/tunnel", "/download" } }, service = "up" }, HELLO[1] } } }
    local supervisor = g.pid
    local idle, download, tunnel = g:connect(), g:connect(), g:connect()
    assert.equal("hello", idle:request("/").body)
    download:send_request { path = "/download" }
    tunnel:send(UPGRADE)
    assert.status(tunnel:response(), 101)
    E.until_true(function() return downloads == 1 end)
    local stop_new, more_new = again_and_again(function() assert.equal("hello", g:get("/").body) end)
    local stop_kept, more_kept = again_and_again(kept_alive(g))
    more_new(5)
    more_kept(5)
    replace(g)
    local before = upgrade(g)
    assert.is_true(process.lives(before))

    tunnel:send "x"
    assert.equal("x", tunnel:receive(1))
    local res
    repeat -- the order to retire may be on its way
      res = assert(idle:request "/")
      assert.equal("hello", res.body)
    until res:header "Connection" == "close"
    go_on = true
    assert.equal("halffull", download:response().body)
    download:close() -- its head was written when the connection was to be kept
    more_new(5)
    more_kept(5)
    stop_new()
    stop_kept()
    tunnel:send "y"
    assert.equal("y", tunnel:receive(1))
    tunnel:close()
    E.eventually(function() assert.is_false(process.lives(before)) end)

    assert.equal(supervisor, g.pid)
    assert.equal(g.program, program_of(g:serving_pid()))
    E.eventually(function() assert.equal(g.program, program_of(supervisor)) end)
    assert.equal(0, g:stop())
  end)

  it("leaves a supervisor that still starts what falls, and upgrades again", function()
    local g = start { config = { routes = HELLO, log = { format = "plain" } } }
    local first = upgrade(g)
    E.eventually(function() assert.is_false(process.lives(first)) end)
    process.signal(g:serving_pid(), "KILL")
    assert.matches("crashes=1", g:wait_log("the gateway process fell")[1])
    assert.equal("hello", g:get("/").body)
    local second = g:serving_pid()
    g.process:signal "USR2"
    E.eventually(function() assert.equal(2, #g:log "the new program serves") end)
    E.eventually(function() assert.is_false(process.lives(second)) end)
    assert.equal("hello", g:get("/").body)
    assert.is_true(g:reload())
  end)

  it("to a program that does not start changes nothing", function()
    local g = start { config = { routes = HELLO } }
    for _, text in ipairs { "#!/bin/sh\nexit 3\n", "#!/bin/sh\nkill -ABRT $$\n", "no program at all\n" } do
      os.remove(g.program)
      process.write(g.program, text)
      assert.equal(0, E.command({ "chmod", "+x", g.program }).status)
      local tried = #g:log "the new program did not start"
      local serving = g:serving_pid()
      g.process:signal "USR2"
      E.eventually(function() assert.equal(tried + 1, #g:log "the new program did not start") end)
      assert.equal(serving, g:serving_pid())
      assert.equal("hello", g:get("/").body)
    end
    assert.equal(1, #g:log "exited with status 3")
    assert.equal(1, #g:log "killed by signal 6")
    assert.equal(1, #g:log "exited with status 127")
    process.signal(g:serving_pid(), "KILL")
    g:wait_log "the gateway process fell" -- and is started by what the supervisor runs, not by that file
    assert.equal("hello", g:get("/").body)
  end)

  it("to a config that is wrong changes nothing", function()
    local g = start { config = { routes = HELLO } }
    g.write_config { rutes = {} }
    g.process:signal "USR2"
    assert.matches("exited with status 1", g:wait_log("the new program did not start")[1])
    assert.equal("hello", g:get("/").body)
  end)

  it("may bring another number of workers, and other listeners", function()
    local g = start { config = { workers = 3, listen = { "127.0.0.1:0", "unix:%{folder}/old.sock" }, routes = HELLO } }
    local old, new = g.folder .. "/old.sock", g.folder .. "/new.sock"
    for _, workers in ipairs { 1, 4, 2 } do
      g.write_config { workers = workers, listen = { "unix:%{folder}/new.sock", "127.0.0.1:0" }, routes = HELLO }
      local upgrades = #g:log "the new program serves"
      g.process:signal "USR2"
      E.eventually(function() assert.equal(upgrades + 1, #g:log "the new program serves") end)
      E.times(24, function() assert.equal("hello", g:get("/").body) end)
      assert.equal("hello", g:get("/", { unix = new }).body)
      E.eventually(function() assert.is_nil((g:connect { unix = old })) end)
    end
    assert.equal(0, g:stop())
    assert.is_nil(io.open(new))
  end)

  it("takes the place of one that fell while the new program started", function()
    local may_start = false
    local issuer = E.upstream(function()
      E.until_true(function() return may_start end)
      return { json = { keys = {} } }
    end)
    local g = start { config = { routes = HELLO } }
    g.write_config { routes = HELLO, keys = { main = { jwks = issuer.url .. "/keys" } } } -- which it waits for
    g.process:signal "USR2"
    E.eventually(function() assert.called(issuer, 1) end)
    process.signal(g:serving_pids()[1], "KILL")
    g:wait_log "the gateway process fell"
    may_start = true
    assert.equal("hello", g:get("/").body)
    g:wait_log "the new program serves"
    assert.equal(1, #g:log "the gateway process fell")
    assert.equal(1, #g:serving_pids())
  end)
end)

describe("SIGTERM", function()
  it("ends what retires as well", function()
    local up = E.upstream { hang = true }
    local g = start { config = { services = { up = { backends = { up.address } } },
      routes = { { match = "/*", service = "up" } } } }
    local client = g:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.called(up, 1) end)
    local before = upgrade(g)
    g:terminate()
    g:wait_log '"stopping"'
    assert.is_true(process.lives(before))
    g:terminate()
    assert.equal(0, g:wait())
    assert.is_false(process.lives(before))
    assert.is_nil((client:response()))
  end)
end)
