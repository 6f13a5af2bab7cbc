-- Keys of an issuer, over real sockets: rotation while requests come, an issuer that is away, slow or wrong.
local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local WELL_KNOWN = "/.well-known/openid-configuration"

-- Two P-256 keys, and what an issuer says of them.
local PEM = {
  one = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgh/9GnwFQlcaT/FO0
GLWC7gZ6a5BxTXK5mSsaBDNxJR6hRANCAAQOOaNBv+1roS/7AyqphrHJF8WRjXYN
/GRfYae6K0kqZoQf/DgZQoMj7j/HFX0HfOwpBz4Mz41w8RRzMUzOtbsn
-----END PRIVATE KEY-----
]],
  two = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHEcaso5CrSyB4JlA
88maadup6jRy1whwHMkyOXEY5fWhRANCAASIqBCsW0vo7MDUrTRAP4c5C72hDNnj
g/YHakEthA3uOFzeCddbvBiEHnF19OfUbXNmJKrV6iSprHHRwRLAlUQi
-----END PRIVATE KEY-----
]],
}
local JWK = {
  one = { kty = "EC", crv = "P-256", kid = "one", x = "DjmjQb_ta6Ev-wMqqYaxyRfFkY12DfxkX2GnuitJKmY",
    y = "hB_8OBlCgyPuP8cVfQd87CkHPgzPjXDxFHMxTM61uyc" },
  two = { kty = "EC", crv = "P-256", kid = "two", x = "iKgQrFtL6OzA1K00QD-HOQu9oQzZ44P2B2pBLYQN7jg",
    y = "XN4J11u8GIQecXX059Rtc2YkqtXqJKmscdHBEsCVRCI" },
}

local last = 0

-- Another one each time, so that none is remembered.
local function token(kid, issuer)
  last = last + 1
  return E.jwt({ sub = "ann", iss = issuer, jti = tostring(last) }, { algorithm = "ES256", key = PEM[kid], kid = kid })
end

local function keys(names)
  local out = {}
  for i, name in ipairs(names) do out[i] = JWK[name] end
  return { json = { keys = out } }
end

local function config(definition, more)
  local all = { workers = 2, keys = { main = definition }, routes = { { match = "/*", policies = {
    { jwt = { keys = "main" } }, { respond = { body = "in" } },
  } } } }
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

local function status(g, text)
  return g:request({ path = "/", headers = { Authorization = "Bearer " .. text } }).status
end

describe("keys of an issuer", function()
  it("are found by its document, over TLS", function()
    local ca = E.authority()
    local leaf = ca:issue { names = { "localhost" } }
    local up
    up = E.upstream(function(req)
      if req.path ~= WELL_KNOWN then return keys { "one" } end
      return { json = { issuer = up.issuer, jwks_uri = up.issuer .. "/jwks" } }
    end, { tls = { cert = leaf.cert, key = leaf.key } })
    up.issuer = "https://localhost:" .. up.port
    local g = E.start { config = config { issuer = up.issuer, tls = { ca = ca.cert } } }
    assert.equal(200, status(g, token("one", up.issuer)))
    assert.equal(401, status(g, token("one", "https://other.test")))
    assert.equal(WELL_KNOWN, up.seen[1].path)
    assert.equal("/jwks", up.seen[2].path)
    assert.is_nil(up.seen[1]:header "Authorization")
  end)

  it("are not taken from a server that nobody vouches for", function()
    local ca, other = E.authority(), E.authority()
    local leaf = ca:issue { names = { "localhost" } }
    local up = E.upstream(keys { "one" }, { tls = { cert = leaf.cert, key = leaf.key } })
    local url = ("https://localhost:%d/jwks"):format(up.port)
    local g = E.start { config = config { jwks = url, tls = { ca = other.cert } } }
    assert.equal(503, status(g, token "one"))
    assert.matches("tls: unknown issuer", g:log("cannot fetch keys of issuer")[1], 1, true)
    assert.equal(0, #up.seen)
  end)

  for url, why in pairs {
    ["http://login.example.com/jwks"] = "must begin with https://",
    ["http://127.0.0.1:1/jwks"] = false,
    ["https://login.example.com/jwks"] = false,
  } do
    it("may come from " .. url .. ": " .. tostring(not why), function()
      local res = E.run { config = config { jwks = url }, args = { "check", "CONFIG" } }
      assert.equal(why and 1 or 0, res.status)
      if why then assert.matches("keys.main: the URL '" .. url .. "' " .. why, res.stdout .. res.stderr, 1, true) end
    end)
  end

  it("rotate while requests come, and no verdict is wrong", function()
    local served, signs = { "one" }, "one"
    local up = E.upstream(function() return keys(served) end)
    local g = E.start { config = config { jwks = up.url .. "/jwks", refresh = "1s" } }
    local done, wrong, counts, under_way = false, {}, { one = 0, two = 0 }, { one = 0, two = 0 }
    local clients = {}
    for i = 1, 8 do
      clients[i] = E.spawn(function()
        while not done do
          local kid = signs
          under_way[kid] = under_way[kid] + 1
          local got = status(g, token(kid))
          under_way[kid] = under_way[kid] - 1
          if got ~= 200 then wrong[#wrong + 1] = kid .. " " .. got end
          counts[kid] = counts[kid] + 1
        end
      end)
    end
    local function made(kid, n) E.eventually(function() assert(counts[kid] >= n) end) end
    made("one", 50)
    served = { "one", "two" } -- published, and used at once: before any refresh
    signs = "two"
    made("two", 50)
    E.eventually(function() return under_way.one == 0 end)
    served = { "two" }
    made("two", 100)
    done = true
    for _, client in ipairs(clients) do client:wait() end
    assert.same({}, wrong)
    local asked = #up.seen -- the answer to the next two was given without the old key
    E.eventually(function() assert(#up.seen >= asked + 2) end)
    for _ = 1, 20 do assert.equal(401, status(g, token "one")) end
    for _ = 1, 20 do assert.equal(200, status(g, token "two")) end
  end)

  it("stay over a reload, also while the issuer is away", function()
    local up = E.upstream(keys { "one" })
    local definition = { jwks = up.url .. "/jwks", refresh = "1s" }
    local g = E.start { config = config(definition) }
    up:stop()
    g:wait_log "cannot fetch keys of issuer"
    local took, done = E.timed(function() return g:reload(config(definition, { errors = { format = "simple" } })) end)
    assert.is_true(done)
    assert.is_true(took < E.limit(4.5), took) -- it waits 5 s for keys of which it has none
    assert.equal(200, status(g, token "one"))
  end)

  it("come with a reload before it is in force", function()
    local one, two = E.upstream(keys { "one" }), E.upstream(keys { "two" })
    local g = E.start { config = config { jwks = one.url .. "/jwks" } }
    assert.equal(401, status(g, token "two"))
    assert.is_true(g:reload(config { jwks = two.url .. "/jwks" }))
    for _ = 1, 10 do assert.equal(200, status(g, token "two")) end
    assert.equal(401, status(g, token "one"))
  end)

  it("are missed at the start, until the issuer is there", function()
    local away = true
    local up = E.upstream(function() return away and { status = 500 } or keys { "one" } end)
    local g = E.start { config = config { jwks = up.url .. "/jwks" } }
    local res = g:request { path = "/", headers = { Authorization = "Bearer " .. token "one" } }
    assert.status(res, 503)
    assert.header(res, "Retry-After", "5")
    assert.is_true(#g:log "cannot fetch keys of issuer" >= 1) -- it tries again after a second
    away = false
    E.eventually(function() assert.equal(200, status(g, token "one")) end)
  end)

  for what, answer in pairs {
    ["a redirect"] = { status = 302, headers = { Location = "http://127.0.0.1:1/" } },
    ["no JSON"] = { body = "<html>" },
    ["too much"] = { body = (" "):rep(2 << 20) },
    ["half an answer"] = { raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" },
  } do
    it("are not replaced by " .. what, function()
      local now = keys { "one" }
      local up = E.upstream(function() return now end)
      local g = E.start { config = config { jwks = up.url .. "/jwks", refresh = "1s" } }
      now = answer
      g:wait_log "cannot fetch keys of issuer"
      assert.equal(200, status(g, token "one"))
    end)
  end

  it("outlive a gateway process that falls while the issuer is down", function()
    local up = E.upstream(keys { "one" })
    local g = E.start { config = config({ jwks = up.url .. "/jwks" }, { keys = {
      main = { jwks = up.url .. "/jwks" }, other = { jwks = up.url .. "/others" },
    } }) }
    assert.equal(200, status(g, token "one"))
    up:close()
    process.signal(g:serving_pid(), "KILL")
    g:wait_log "the gateway process fell"
    assert.equal(200, status(g, token "one"))
    assert.equal(401, status(g, token "two"))
    g:wait_log "cannot fetch keys of issuer"
  end)

  it("do not keep a gateway that stops", function()
    local slow = false
    local up = E.upstream(function()
      if slow then E.sleep(60) end
      return keys { "one" }
    end)
    local g = E.start { config = config { jwks = up.url .. "/jwks", refresh = "1s" } }
    slow = true
    E.eventually(function() assert.equal(2, #up.seen) end)
    local took = E.timed(function() g:stop() end)
    assert.is_true(took < E.limit(4.5), took) -- a fetch may take 5 s
  end)
end)
