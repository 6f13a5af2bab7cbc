local T = require "moongate.test"

local function gateway(conf, answer, config)
  return T.new {
    policies = { { ["request-id"] = conf or {} } },
    upstreams = { api = answer or { body = "ok" } },
    config = config,
  }
end

-- The id that client and backend got, after seeing that it is one.
local function id_of(t, request, header)
  header = header or "X-Request-ID"
  local res = t:request(request)
  local _, last = t:seen "api"
  local id = res:header(header)
  assert.equal(id, last:header(header))
  assert.same({ id }, last:header_values(header))
  return id
end

local function sends(id, header) return { headers = { [header or "X-Request-ID"] = id } } end

describe("request-id", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ header = "X-Request-ID", trust = "peers" }, T.validate(require "request-id", {}))
    end)

    it("names the path of a bad field", function()
      local ok, err = T.validate(require "request-id", { trust = "sometimes" })
      assert.is_nil(ok)
      assert.matches("request-id.trust: must be one of", tostring(err), 1, true)
    end)
  end)

  it("makes a new id for each request", function()
    local t = gateway()
    local first, second = id_of(t, "/"), id_of(t, "/")
    assert.matches("^%x+$", first)
    assert.equal(32, #first)
    assert.not_equal(first, second)
  end)

  it("does not believe strangers", function()
    assert.not_equal("theirs", id_of(gateway(), sends "theirs"))
  end)

  it("believes trusted peers, but only what is an id", function()
    local t = gateway(nil, nil, { trusted_proxies = { "0.0.0.0/0", "::/0" } })
    assert.equal("theirs", id_of(t, sends "theirs"))
    assert.equal(32, #id_of(t, sends "not an id"))
  end)

  it("believes trusted peers also in another header", function()
    local t = gateway({ header = "X-Trace" }, nil, { trusted_proxies = { "0.0.0.0/0", "::/0" } })
    assert.equal("theirs", id_of(t, sends("theirs", "X-Trace"), "X-Trace"))
  end)

  it("uses the header it is told to", function()
    local t = gateway { header = "X-Trace" }
    assert.equal(32, #id_of(t, sends("theirs", "X-Trace"), "X-Trace"))
  end)

  describe("trust: always", function()
    it("keeps what is an id", function()
      local t = gateway { trust = "always" }
      for _, id in ipairs { "a", "A-1_b.c", ("x"):rep(128) } do assert.equal(id, id_of(t, sends(id))) end
    end)

    it("keeps nothing else", function()
      local t = gateway { trust = "always" }
      for _, id in ipairs { "", "a b", "a\"b", "<x>", "\u{fc}", ("x"):rep(129) } do
        assert.equal(32, #id_of(t, sends(id)))
      end
    end)

    it("has the same id in errors", function()
      local t = gateway({ trust = "always" }, { error = "refused" })
      local res = t:request(sends "theirs")
      assert.status(res, 503)
      assert.header(res, "X-Request-ID", "theirs")
      assert.equal("theirs", res:json().request_id)
    end)
  end)

  it("trust: never makes a new id even for trusted peers", function()
    local config = { trusted_proxies = { "0.0.0.0/0", "::/0" } }
    local t = gateway({ trust = "never" }, nil, config)
    local id = id_of(t, sends "theirs")
    assert.not_equal("theirs", id)
    assert.equal(32, #id)
  end)

  it("trust: never keeps an id that is the gateway's own", function()
    local before
    local t = T.new { upstreams = { api = {} }, policies = {
      function(req, next)
        before = req.id
        return next(req)
      end,
      { ["request-id"] = { trust = "never" } },
    } }
    local id = id_of(t, sends "theirs")
    assert.equal(before, id)
  end)

  it("is on upstream failures and on refusals of inner steps", function()
    local res = gateway(nil, { error = "refused" }):request "/"
    assert.status(res, 503)
    assert.equal(res:header "X-Request-ID", res:json().request_id)

    local t = T.new { policies = { "request-id", { respond = { status = 403, body = "no" } } } }
    assert.matches("^%x+$", t:request("/"):header "X-Request-ID")
  end)
end)
