-- Active health checks of real backends.
local E = require "moongate.e2e"

local CHECK = { path = "/health", every = "100ms", healthy = 1, unhealthy = 2, timeout = "30s" }

describe("health checks", function()
  local function backend(name)
    local up
    up = E.upstream(function(req)
      if req.path == "/health" then return { status = up.ill and 503 or 200 } end
      return { body = name }
    end)
    return up
  end

  local function config(backends, health, more)
    local api = { backends = backends, health = health }
    for key, value in pairs(more or {}) do api[key] = value end
    return { workers = 2, services = { api = api }, routes = { { match = "/*", service = "api" } } }
  end

  local function answering(g)
    local out = {}
    for _ = 1, 8 do out[g:get("/"):text()] = true end
    return out
  end

  it("keep requests from one that is ill, in all workers, and bring it back", function()
    local a, b = backend "a", backend "b"
    local g = E.start { config = config({ a.address, b.address }, CHECK) }
    assert.same({ a = true, b = true }, answering(g))
    a.ill = true
    g:wait_log "backend is down"
    assert.same({ b = true }, answering(g))
    a.ill = false
    g:wait_log "backend is up again"
    assert.same({ a = true, b = true }, answering(g))
  end)

  it("keep their verdict over a reload, and forget it when there are no checks any more", function()
    local a, b = backend "a", backend "b"
    local g = E.start { config = config({ a.address, b.address }, CHECK) }
    a.ill = true
    g:wait_log "backend is down"
    assert.is_true(g:reload(config({ a.address, b.address }, CHECK)))
    assert.same({ b = true }, answering(g))
    assert.equal(1, #g:log "backend is down")
    assert.is_true(g:reload(config({ a.address, b.address })))
    assert.same({ a = true, b = true }, answering(g))
  end)

  it("follow members that are given by name", function()
    local up = backend "a"
    local g = E.start { config = config({ "localhost:" .. up.port }, CHECK) }
    E.eventually(function() assert.equal("/health", up.seen[1].path) end)
    assert.equal("localhost:" .. up.port, up.seen[1]:header "Host")
    up.ill = true
    g:wait_log "backend is down"
  end)

  it("go over TLS where the service does", function()
    local ca, other = E.authority(), E.authority()
    local leaf = ca:issue { names = { "127.0.0.1" } }
    local up = E.upstream({ body = "ok" }, { tls = { cert = leaf.cert, key = leaf.key } })
    local over_tls = { protocol = "https", tls = { ca = ca.cert } }
    E.start { config = config({ up.address }, CHECK, over_tls) }
    E.eventually(function() assert.equal("/health", up.seen[1].path) end)
    over_tls.tls = { ca = other.cert }
    local g = E.start { config = config({ up.address }, CHECK, over_tls) }
    assert.matches("tls: unknown issuer", g:wait_log("backend is down")[1], 1, true)
  end)
end)
