-- One limit of requests under way for all workers, over real connections, whatever becomes of the requests.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local WORKERS, MAX, CLIENTS = 4, 5, 24

-- A backend that answers when it is told to, and knows how many it has had at a time.
local function new_backend()
  local b = { open = false, inside = 0, peak = 0, asked = {} }
  b.up = E.upstream(function(req)
    b.asked[req.path] = true
    b.inside = b.inside + 1
    b.peak = math.max(b.peak, b.inside)
    E.until_true(function() return b.open end)
    b.inside = b.inside - 1
    return { body = "ok" }
  end)
  return b
end

local function config(b, conf)
  conf.max, conf.by = MAX, "route"
  return {
    workers = WORKERS,
    services = { api = { backends = { b.up.address } } },
    routes = { { match = "/*", service = "api", policies = { { concurrency = conf } } } },
  }
end

-- n requests at once, over connections of their own, as the kernel spreads those over the workers. Counts the answers
-- by status as they come.
local function ask(g, n)
  local count, tasks = {}, {}
  for i = 1, n do
    tasks[i] = E.spawn(function()
      local status = g:get("/").status
      count[status] = (count[status] or 0) + 1
    end)
  end
  count.wait = function()
    for _, task in ipairs(tasks) do task:wait() end
    count.wait = nil
    return count
  end
  return count
end

-- As many as may are at the backend, and all others have been told.
local function until_full(b, count)
  E.until_true(function() return b.inside == MAX and count[503] == CLIENTS - MAX end)
end

describe("concurrency of all workers", function()
  it("is exact, and every place comes back", function()
    local b = new_backend()
    local g = E.start { config = config(b, {}) }
    for _ = 1, 3 do
      b.open = false
      local count = ask(g, CLIENTS)
      until_full(b, count)
      b.open = true
      assert.same({ [200] = MAX, [503] = CLIENTS - MAX }, count:wait())
    end
    assert.equal(MAX, b.peak)
  end)

  it("lets all wait for their turn", function()
    local b = new_backend()
    local g = E.start { config = config(b, { queue = CLIENTS, timeout = "60s" }) }
    local count = ask(g, CLIENTS)
    E.until_true(function() return b.inside == MAX end)
    b.open = true
    assert.same({ [200] = CLIENTS }, count:wait())
    assert.equal(MAX, b.peak)
  end)

  it("has the places again of clients that leave, and of those that waited", function()
    local b = new_backend()
    local whole = config(b, { queue = CLIENTS, timeout = "60s" })
    whole.log = { access = { to = "access.log", format = "${url}" } }
    local g = E.start { config = whole }
    local clients = {}
    for i = 1, CLIENTS do
      local path = "/" .. i
      clients[path] = g:connect()
      clients[path]:send_request { path = path }
    end
    E.until_true(function() return b.inside == MAX end)
    -- First those that wait: who has not been seen to leave gets a place that comes free.
    for path, client in pairs(clients) do
      if not b.asked[path] then client:close() end
    end
    E.eventually(function()
      local _, gone = (process.read(g.folder .. "/access.log") or ""):gsub("\n", "")
      assert.equal(CLIENTS - MAX, gone)
    end)
    for path in pairs(b.asked) do clients[path]:close() end
    -- The backend is still at those that nobody waits for any more.
    local count = ask(g, MAX)
    E.until_true(function() return b.inside == 2 * MAX end)
    b.open = true
    assert.same({ [200] = MAX }, count:wait())
    assert.equal(2 * MAX, b.peak)
  end)

  it("counts on through a reload", function()
    local b = new_backend()
    local g = E.start { config = config(b, {}) }
    local count = ask(g, CLIENTS)
    until_full(b, count)
    local after = config(b, {})
    after.routes[1].timeout = "50s"
    assert.is_true(g:reload(after))
    for _ = 1, WORKERS do assert.status(g:get "/", 503) end
    b.open = true
    assert.same({ [200] = MAX, [503] = CLIENTS - MAX }, count:wait())
    b.open = false
    count = ask(g, CLIENTS)
    until_full(b, count)
    b.open = true
    assert.same({ [200] = MAX, [503] = CLIENTS - MAX }, count:wait())
  end)

  it("keeps a place for a tunnel as long as that lasts", function()
    local up = E.upstream(nil, { serve = function(s)
      repeat local line = s:line() until not line or line == ""
      s:send "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
      s:until_close(600)
      s:close()
    end })
    local g = E.start { config = config({ up = up }, {}) }
    local clients = {}
    for i = 1, MAX do
      clients[i] = g:connect()
      clients[i]:send "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
      assert.status(clients[i]:response(), 101)
    end
    for _ = 1, WORKERS do assert.status(g:get "/", 503) end
    for _, client in ipairs(clients) do client:close() end
    E.eventually(function()
      local client = g:connect()
      client:send "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
      assert.status(client:response(), 101)
      client:close()
    end)
  end)
end)
