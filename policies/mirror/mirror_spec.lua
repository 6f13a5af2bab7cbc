local T = require "moongate.test"

local function gateway(conf, shadow)
  conf = conf or {}
  conf.service = "shadow"
  return T.new {
    policies = { { mirror = conf } }, service = "api",
    upstreams = { api = { body = "ok" }, shadow = shadow or { status = 500, body = ("x"):rep(10000) } },
  }
end

describe("mirror", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ service = "a", sample = 1, max_body = 65536, timeout = 10 },
        T.validate(require "mirror", { service = "a" }))
    end)

    it("names the path of a bad field", function()
      for field, value in pairs { sample = "120%", max_body = "1GiB", timeout = 0 } do
        local ok, err = T.validate(require "mirror", { service = "a", [field] = value })
        assert.is_nil(ok)
        assert.matches("mirror." .. field, tostring(err), 1, true)
      end
    end)
  end)

  it("sends a copy, and the client sees nothing of it", function()
    local t = gateway()
    local res = t:request { path = "/a%20b?c=d", method = "DELETE", headers = { ["X-A"] = { "1", "2" } } }
    assert.status(res, 200)
    assert.equal("ok", res:text())
    t:settle()
    local count, copy = t:seen "shadow"
    assert.equal(1, count)
    assert.same({ "DELETE", "/a%20b", "c=d", "1, 2" }, { copy.method, copy.raw_path, copy.query, copy:header "X-A" })
  end)

  it("copies bodies, of known and of unknown length", function()
    local t = gateway()
    for _, request in ipairs { { method = "POST", body = "abc" }, { method = "PUT", chunks = { "a", "bc" } } } do
      assert.status(t:request(request), 200)
      t:settle()
      local _, sent = t:seen "api"
      local _, copy = t:seen "shadow"
      assert.same({ request.method, "abc", "abc" }, { copy.method, copy:text(), sent:text() })
      assert.equal(request.body and "3", sent:header "Content-Length")
    end
  end)

  it("does not copy what is too large", function()
    local t = gateway { max_body = 4 }
    assert.status(t:request { method = "POST", body = "abcde" }, 200)
    assert.status(t:request { method = "POST", chunks = { "abc", "de" } }, 200)
    t:settle()
    assert.equal(0, (t:seen "shadow"))
    assert.equal("abcde", select(2, t:seen "api"):text())
  end)

  it("costs the client no time, whatever becomes of the copy", function()
    for _, shadow in ipairs { { delay = 60 }, { error = "refused" }, { error = "timeout" }, { close = "mid-body" } } do
      local t = gateway({}, shadow)
      local handle = t:start { method = "POST", body = "abc" }
      assert.status(handle:wait(), 200)
      assert.equal(0, t:now())
      t:settle()
      assert.equal(0, #t:log "policy failed")
    end
  end)

  it("copies its share", function()
    local t = gateway { sample = "20%" }
    for _ = 1, 300 do t:request "/" end
    t:settle()
    local count = t:seen "shadow"
    assert.is_true(count > 25 and count < 100)
    t = gateway { sample = 0 }
    t:request "/"
    t:settle()
    assert.equal(0, (t:seen "shadow"))
  end)
end)
