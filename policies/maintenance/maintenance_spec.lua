local T = require "moongate.test"

local function gateway(conf)
  return T.new { policies = { { maintenance = conf } }, upstreams = { api = { body = "ok" } } }
end

describe("maintenance", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ retry_after = 300, status = 503 }, T.validate(require "maintenance", {}))
    end)

    it("names the path of a bad field", function()
      local bad = { retry_after = 0, status = 200, allow = "nowhere", allow_headers = { ["a b"] = "c" } }
      for field, value in pairs(bad) do
        local ok, err = T.validate(require "maintenance", { [field] = value })
        assert.is_nil(ok)
        assert.matches("maintenance." .. field, tostring(err), 1, true)
      end
    end)
  end)

  it("answers for the service", function()
    local res = gateway({ retry_after = "30m" }):request "/"
    assert.problem(res, 503, "maintenance")
    assert.header(res, "Retry-After", "1800")
    assert.header(res, "Cache-Control", "no-store")
    assert.called("api", 0)
  end)

  it("has a body of one's own", function()
    local kinds = { ["Back at noon"] = "text/plain; charset=utf-8", ["<h1>noon</h1>"] = "text/html; charset=utf-8",
      ['{"noon":1}'] = "application/json", ["[1]"] = "application/json" }
    for body, kind in pairs(kinds) do
      local res = gateway({ body = body, status = 500 }):request "/"
      assert.status(res, 500)
      assert.equal(body, res:text())
      assert.header(res, "Content-Type", kind)
    end
  end)

  it("lets some in", function()
    local t = gateway { allow = "10.0.0.0/8", allow_headers = { ["X-Preview"] = "sesame" } }
    assert.status(t:request { client_ip = "10.1.2.3" }, 200)
    assert.status(t:request { headers = { ["x-preview"] = "sesame" } }, 200)
  end)

  it("and nobody else", function()
    local t = gateway { allow = "10.0.0.0/8", allow_headers = { ["X-Preview"] = "sesame" } }
    for _, value in ipairs { "", "sesam", "Sesame", "sesame, sesame", { "sesame", "x" } } do
      assert.status(t:request { headers = { ["X-Preview"] = value } }, 503)
    end
    assert.status(t:request { headers = { ["X-Forwarded-For"] = "10.1.2.3" } }, 503)
  end)
end)
