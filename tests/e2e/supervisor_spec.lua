-- The supervisor: starts the gateway process, again when it falls, and passes on what it is told.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local HELLO = { { match = "/*", policies = { { respond = { body = "hello" } } } } }

-- Sanitizers take a SIGSEGV for a fault of ours, and tell of it.
local FALLS = {}
for _, name in ipairs { "ASAN_OPTIONS", "TSAN_OPTIONS" } do
  FALLS[name] = (os.getenv(name) or "") .. ":handle_segv=0"
end

local function fell(g, times)
  return g:wait_log(("the gateway process fell.*\"crashes\":%d"):format(times))[1]
end

local function strike(g, signal)
  local pid = g:serving_pid()
  process.signal(pid, signal)
  return pid
end

-- Clients that each make new connections until the first result is called, which raises what went wrong: a connection
-- that was refused did. The second tells how many answers they got.
local function load(g, clients)
  local over, answers = false, 0
  local tasks = {}
  for i = 1, clients do
    tasks[i] = E.spawn(function()
      while not over do
        local client, why = g:connect()
        assert(client, why)
        local res = client:request "/"
        client:close()
        if res then answers = answers + 1 end
      end
    end)
  end
  return function()
    over = true
    for _, task in ipairs(tasks) do task:wait() end
  end, function() return answers end
end

describe("a gateway process that falls", function()
  it("is started again, and no new connection is refused meanwhile", function()
    local g = E.start { config = { workers = 2, routes = HELLO }, env = FALLS }
    local stop, answers = load(g, 4)
    E.until_true(function() return answers() > 20 end)
    local before = strike(g, "SEGV")
    local served = answers()
    assert.is_truthy(E.until_true(function() return answers() > served + 8 end))
    stop()
    assert.matches("killed by signal 11 %(SEGV%)", fell(g, 1))
    assert.is_true(g:serving_pid() ~= before)
  end)

  it("leaves the sockets of a reload to the next one", function()
    local g = E.start { config = { routes = HELLO } }
    local port = g.port
    assert.is_true(g:reload { listen = { "127.0.0.1:0", "unix:%{folder}/g.sock", "127.0.0.1:" .. port },
      routes = HELLO })
    local ports, path = g.ports, g.folder .. "/g.sock"
    strike(g, "KILL")
    fell(g, 1)
    for _, at in ipairs { { port = ports[1] }, { unix = path }, { port = port } } do
      assert.equal("hello", g:get("/", at).body)
    end
    assert.is_true(g:reload { listen = "127.0.0.1:" .. port, routes = HELLO })
    E.eventually(function() assert.is_nil((g:connect { port = ports[1] })) end)
    E.eventually(function() assert.is_nil((g:connect { unix = path })) end)
    strike(g, "KILL")
    fell(g, 2)
    assert.equal("hello", g:get("/", { port = port }).body)
    assert.is_nil((g:connect { port = ports[1] }))
  end)

  it("keeps the admin listener, too", function()
    local g = E.start { config = { routes = HELLO } }
    strike(g, "ABRT")
    assert.matches("killed by signal 6 %(ABRT%)", fell(g, 1))
    E.eventually(function() assert.equal("ready", g:ask_admin("/ready"):json().status) end)
  end)

  it("again and again is waited with, longer each time", function()
    local g = E.start { config = { routes = HELLO } }
    for i = 1, 4 do
      strike(g, "KILL")
      fell(g, i)
      E.until_true(function() return g:serving_pid() end)
    end
    local took = E.timed(function()
      strike(g, "KILL")
      fell(g, 5)
      assert.equal("hello", g:get("/").body)
    end)
    assert.is_true(took > 0.3, took) -- 400 ms; the first time at once
  end)

  it("comes back as soon as its config is right again", function()
    local g = E.start { config = { routes = HELLO } }
    local good = process.read(g.folder .. "/moongate.lua")
    process.write(g.folder .. "/moongate.lua", "return { rutes = {} }")
    strike(g, "KILL")
    assert.matches("exited with status 1", fell(g, 2))
    process.write(g.folder .. "/moongate.lua", good)
    assert.equal("hello", g:get("/").body)
    g:log "the gateway process fell"
  end)
end)

describe("the supervisor", function()
  it("passes on the status of a first start that fails, and does not try again", function()
    local res = E.run { args = { "run", "-c", "CONFIG" }, config = "rutes: []\n" }
    assert.equal(1, res.status)
    assert.matches("rutes: unknown field", res.stderr, 1, true)
    assert.is_nil(res.stderr:find "again")
  end)

  it("waits a moment for a port that its predecessor gives back", function()
    E.eventually(function() -- it is half a second, in which this has to get its turn
      local predecessor = E.listen(function() end)
      local start = E.spawn(function()
        return E.start { config = { listen = "127.0.0.1:" .. predecessor.port, routes = HELLO } }
      end)
      E.sleep(0.2) -- it has tried
      predecessor:stop()
      assert.equal("hello", start:wait():get("/").body)
    end)
  end)

  it("takes what it has started along when it is killed", function()
    local g = E.start { config = { routes = HELLO } }
    local pid = g:serving_pid()
    g.killed, g.stopping = true, true
    g.process:signal "KILL"
    E.eventually(function() assert.is_false(process.lives(pid)) end)
    E.eventually(function() assert.is_nil((g:connect())) end)
  end)

  it("stops when its gateway process is told to", function()
    local g = E.start { config = { routes = HELLO } }
    strike(g, "TERM")
    assert.equal(0, g:wait())
  end)

  it("takes a signal that all processes of a terminal get for one", function()
    local may_answer = false
    local up = E.upstream(function()
      E.until_true(function() return may_answer end)
      return { body = "whole" }
    end)
    local g = E.start { config = { services = { up = { backends = { up.address } } },
      routes = { { match = "/*", service = "up" } } } }
    local client = g:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.called(up, 1) end)
    strike(g, "INT")
    g.process:signal "INT"
    g:wait_log '"stopping"'
    E.eventually(function() assert.is_nil((g:connect())) end)
    may_answer = true
    assert.equal("whole", client:response().body)
    assert.equal(0, g:wait())
  end)

  it("writes its pid to a file, as long as it runs", function()
    local folder = process.folder()
    local g = E.start { config = { routes = HELLO }, args = { "--pid-file", folder .. "/pid" } }
    assert.equal(g.pid .. "\n", process.read(folder .. "/pid"))
    strike(g, "KILL")
    fell(g, 1)
    assert.equal("hello", g:get("/").body)
    assert.equal(g.pid .. "\n", process.read(folder .. "/pid"))
    g:stop()
    assert.is_nil(process.read(folder .. "/pid"))
    process.remove_folder(folder)
  end)

  it("can be done without", function()
    local g = E.start { config = { routes = HELLO }, args = { "--no-supervisor" } }
    assert.same({}, g:serving_pids())
    assert.equal("hello", g:get("/").body)
    assert.is_true(g:reload())
    assert.equal(0, g:stop())
  end)
end)
