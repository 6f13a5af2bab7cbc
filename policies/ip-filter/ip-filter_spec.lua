local T = require "moongate.test"

local function gateway(conf, answer)
  return T.new { policies = { { ["ip-filter"] = conf } }, upstreams = { api = answer or { body = "ok" } } }
end

describe("ip-filter", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "ip-filter", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants a list", function() refuses({}, "needs 'allow' or 'deny'") end)

    it("names the path of a bad field", function()
      refuses({ allow = { "10.0.0.0/33" } }, "ip-filter.allow[0]: expected address or network")
      refuses({ deny = "example.com" }, "ip-filter.deny")
      refuses({ deny = "::1", status = 200 }, "ip-filter.status: must be >= 400")
    end)
  end)

  local cases = {
    { conf = { allow = "10.0.0.0/8" }, allowed = { "10.0.0.0", "10.255.255.255" }, refused = { "11.0.0.0", "::1" } },
    { conf = { deny = { "10.0.0.0/8" } }, allowed = { "9.255.255.255", "::1" }, refused = { "10.1.2.3" } },
    {
      conf = { allow = { "10.0.0.0/8", "2001:db8::/32" }, deny = { "10.66.0.0/16", "2001:db8::bad" } },
      allowed = { "10.1.0.1", "2001:db8::1" },
      refused = { "10.66.0.1", "2001:db8::bad", "192.0.2.1", "2001:db9::1" },
    },
    { conf = { allow = {} }, allowed = {}, refused = { "10.0.0.1", "::1" } },
  }

  for i, case in ipairs(cases) do
    for _, ip in ipairs(case.allowed) do
      it(("lets %s in, case %d"):format(ip, i), function()
        assert.status(gateway(case.conf):request { client_ip = ip }, 200)
      end)
    end
    for _, ip in ipairs(case.refused) do
      it(("refuses %s, case %d"):format(ip, i), function()
        local t = gateway(case.conf)
        assert.problem(t:request { client_ip = ip }, 403, "address-refused")
        assert.equal(0, (t:seen "api"))
      end)
    end
  end

  it("answers with the status it is told to", function()
    assert.status(gateway({ deny = "10.0.0.1", status = 404 }):request { client_ip = "10.0.0.1" }, 404)
  end)

  it("lets upstream failures pass", function()
    assert.status(gateway({ deny = "192.0.2.1" }, { error = "refused" }):request { client_ip = "10.0.0.1" }, 503)
  end)
end)
