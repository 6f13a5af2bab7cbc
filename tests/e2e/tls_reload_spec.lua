-- A reload changes certificates, and who may come in, for new connections; old ones go on as they are.
local E = require "moongate.e2e"
local edge = require "tls.edge"
local process = require "moongate.e2e.process"

describe("a reload", function()
  local ca, first, second

  setup(function()
    ca = E.authority()
    first = ca:issue { names = { "a.test" }, name = "first" }
    second = ca:issue { names = { "a.test" }, name = "second" }
  end)

  local function config(listener)
    return { listen = { listener }, routes = { { match = "/*", policies = edge.TELL } } }
  end

  local function shown(g)
    return assert(g:connect()).tls.certificate.name
  end

  it("takes another certificate", function()
    local g = edge.start(edge.listener(first), { workers = 2 })
    local old = g:connect()
    assert.status(old:request "/", 200)
    assert.is_true(g:reload(config(edge.listener(second))))
    for _ = 1, 10 do assert.equal("second", shown(g)) end
    assert.status(old:request "/", 200)
    assert.equal("first", old.tls.certificate.name)
  end)

  it("reads the same files again", function()
    local place = { cert = ca.folder .. "/now.pem", key = ca.folder .. "/now.key" }
    local function put(leaf)
      process.write(place.cert, process.read(leaf.cert))
      process.write(place.key, process.read(leaf.key))
    end
    put(first)
    local g = edge.start(edge.listener(place))
    assert.equal("first", shown(g))
    put(second)
    assert.equal("first", shown(g))
    assert.is_true(g:reload())
    assert.equal("second", shown(g))
  end)

  it("is refused when the new certificate is not good", function()
    local g = edge.start(edge.listener(first))
    local done, why = g:reload(config(edge.listener { cert = second.cert, key = first.key }))
    assert.is_nil(done)
    assert.matches("it belongs to another certificate", why, 1, true)
    assert.equal("first", shown(g))
  end)

  it("fails no request", function()
    local g, stop = edge.start(edge.listener(first), { workers = 2 }), false
    local clients = {}
    for i = 1, 4 do
      clients[i] = E.spawn(function()
        local kept = assert(g:connect())
        while not stop do
          assert.status(assert(kept:request "/"), 200)
          assert.status(g:get "/", 200)
        end
      end)
    end
    for i = 1, 10 do assert.is_true(g:reload(config(edge.listener(i % 2 == 0 and first or second)))) end
    stop = true
    for _, client in ipairs(clients) do client:wait() end
  end)

  it("asks for certificates from then on, also of those who come with a ticket", function()
    local g, keep = edge.start(edge.listener(first)), ca.folder .. "/session"
    local function ask(how)
      return E.command { "openssl", "s_client", "-connect", "127.0.0.1:" .. g.port, how, keep, "-ign_eof",
        input = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" }.stdout
    end
    assert.matches("HTTP/1.1 200", ask "-sess_out", 1, true)
    assert.matches("Reused, TLSv1.2", ask "-sess_in", 1, true)
    assert.is_true(g:reload(config(edge.listener(second))))
    assert.matches("Reused, TLSv1.2", ask "-sess_in", 1, true)
    assert.is_true(g:reload(config(edge.listener(first, { client_auth = "require", client_ca = ca.cert }))))
    local said = ask "-sess_in"
    assert.is_nil(said:find("Reused, ", 1, true))
    assert.is_nil(said:find("HTTP/1.1 200", 1, true))
    local ann = ca:issue { name = "ann" }
    assert.equal("ann", edge.tell(g, { cert = ann.cert, key = ann.key }).client_cert.common_name)
    ca:revoke(ann)
    assert.is_true(g:reload(config(edge.listener(first,
      { client_auth = "require", client_ca = ca.cert, client_crl = ca:crl() }))))
    assert.equal("sslv3 alert certificate revoked", edge.failure(g, { cert = ann.cert, key = ann.key }))
  end)

  it("changes whom the gateway believes behind it", function()
    local up = E.upstream({ body = "ok" }, { tls = true })
    local function with(authority)
      return {
        services = { api = { url = up.url, tls = { ca = authority }, keepalive = { max = 0 } } },
        routes = { { match = "/*", service = "api" } },
      }
    end
    local g = E.start { config = with(ca.cert) }
    assert.problem(g:get "/", 502, "bad-gateway")
    assert.is_true(g:reload(with(up.ca)))
    assert.status(g:get "/", 200)
    assert.is_true(g:reload(with(ca.cert))) -- a session that was kept is worth nothing now
    assert.problem(g:get "/", 502, "bad-gateway")
    E.eventually(function() assert.equal(2, #g:log "unknown issuer") end)
  end)
end)
