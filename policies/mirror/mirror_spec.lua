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

  it("is a key of routes as well, and then the last step", function()
    local t = T.load("moongate.yaml", { upstreams = { api = { body = "ok" }, next = { body = "x" } }, text = [[
services: { api: { backends: ["a:80"] }, next: { backends: ["b:80"] } }
routes:
  - match: /*
    service: api
    mirror: { service: next, sample: 100% }
    policies: [query: { set: { a: "1" } }]
  - match: /plain
    service: api
    mirror: { service: next }
]] })
    assert.equal("ok", (t:request "/"):text())
    t:settle()
    assert.equal("a=1", select(2, t:seen "next").query)
    t:request "/plain"
    t:settle()
    assert.equal(2, (t:seen "next"))
  end)

  it("as a key is told what is wrong with it", function()
    local function fails(more, what)
      local ok, err = pcall(T.load, "moongate.yaml", { upstreams = {}, text = [[
services: { api: { backends: ["a:80"] } }
routes: [{ match: /*, ]] .. more .. "}]" })
      assert.is_false(ok)
      assert.matches(what, tostring(err), 1, true)
    end
    fails("service: api, mirror: { service: nxt }", "routes[0].mirror.service: unknown service 'nxt'")
    fails("service: api, mirror: { sampel: 1, service: api }", "routes[0].mirror.sampel: unknown field, did you mean")
    fails("service: api, mirror: api", "routes[0].mirror: expected")
    fails("mirror: { service: api }", "routes[0]: nothing answers")
  end)
end)
