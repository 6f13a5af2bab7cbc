-- Services that fail, with real sockets, processes and several workers.
local E = require "moongate.e2e"

local function start(service, workers)
  return E.start { config = {
    workers = workers or 2,
    services = { api = service },
    routes = { { match = "/*", service = "api" } },
  } }
end

-- The statuses of `n` requests on each of `clients` connections, as { [status] = count }.
local function load(g, clients, n, between)
  local counts, tasks = {}, {}
  for i = 1, clients do
    tasks[i] = E.spawn(function()
      local client = g:connect()
      for _ = 1, n do
        local res = client:request { path = "/" }
        counts[res.status] = (counts[res.status] or 0) + 1
        if between then between() end
        if res:header "connection" == "close" then client = g:connect() end
      end
    end)
  end
  for _, task in ipairs(tasks) do task:wait(60) end
  return counts
end

describe("a backend that dies under load", function()
  it("costs no idempotent request", function()
    local a, b = E.upstream { body = "a", delay = 0.01 }, E.upstream { body = "b" }
    local g = start { backends = { a.address, b.address }, retries = { attempts = 2, on = { "connect", "reset" } } }
    local alive = true
    local counts = load(g, 8, 100, function()
      if alive then a:stop() end -- while the others' first requests are under way
      alive = false
    end)
    assert.same({ [200] = 800 }, counts)
  end)

  it("costs at most the one request of each connection that may not be sent twice", function()
    local a, b = E.upstream { body = "a", delay = 0.01 }, E.upstream { body = "b" }
    local g = start { backends = { a.address, b.address }, retries = { attempts = 2, on = { "connect", "reset" } } }
    local clients, ok, failed, tasks = 8, 0, 0, {}
    for i = 1, clients do
      tasks[i] = E.spawn(function()
        local client, mine = g:connect(), 0
        for n = 1, 100 do
          local res = client:request { method = "POST", path = "/", body = "x" }
          if n == 10 then a:stop() end
          if res.status == 200 then ok = ok + 1 else mine = mine + 1 end
          if res:header "connection" == "close" then client = g:connect() end
        end
        assert.is_true(mine <= 1, mine .. " requests of one client failed")
        failed = failed + mine
      end)
    end
    for _, task in ipairs(tasks) do task:wait(60) end
    assert.equal(clients * 100, ok + failed)
  end)
end)

describe("a circuit", function()
  it("is one for all workers, and stays over a reload", function()
    local up = E.upstream { status = 500, body = "mine" }
    local config = {
      workers = 2,
      services = { api = { backends = { up.address }, circuit_breaker = { failures = 5, open_for = "1h" } } },
      routes = { { match = "/*", service = "api" } },
    }
    local g = E.start { config = config }
    local counts = load(g, 4, 1)
    assert.same({ [500] = 4 }, counts)
    assert.same({ [500] = 1, [503] = 9 }, load(g, 1, 10))
    assert.same({ [503] = 8 }, load(g, 4, 2))
    assert.equal(5, #up.seen)
    config.routes[1].version = "v2"
    g:reload(config)
    assert.same({ [503] = 8 }, load(g, 4, 2))
    assert.equal(5, #up.seen)
    g:log "circuit opened"
  end)
end)

describe("max_requests", function()
  it("is exact over all workers, and the others wait", function()
    local inside, most = 0, 0
    local up = E.upstream(function()
      inside = inside + 1
      most = math.max(most, inside)
      E.sleep(0.005)
      inside = inside - 1
      return { body = "ok" }
    end)
    local g = start { backends = { up.address }, max_requests = 3, queue = { size = 100, timeout = "60s" } }
    assert.same({ [200] = 120 }, load(g, 12, 10))
    assert.is_true(most <= 3)
  end)
end)
