local T = require "moongate.test"

local function gateway(conf)
  return T.new { policies = { { fault = conf } }, upstreams = { api = { body = "ok" } } }
end

local function failed(t, n)
  local count = 0
  for _ = 1, n do count = count + (t:request("/").status == 503 and 1 or 0) end
  return count
end

describe("fault", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ abort = 503, share = 1 }, T.validate(require "fault", { abort = 503 }))
    end)

    it("names the path of a bad field", function()
      local function fails(conf, what)
        local ok, err = T.validate(require "fault", conf)
        assert.is_nil(ok)
        assert.matches(what, tostring(err), 1, true)
      end
      fails({}, "fault: needs 'delay', 'abort' or both")
      fails({ abort = 200 }, "fault.abort")
      fails({ abort = 503, share = "101%" }, "fault.share: must be from 0% to 100%")
      fails({ abort = 503, share = "1.2.3%" }, "fault.share: must be from 0% to 100%")
      fails({ abort = 503, share = 2 }, "fault.share")
      fails({ delay = 1, body = "x" }, "fault.body: needs 'abort'")
    end)
  end)

  it("answers with an error", function()
    local t = gateway { abort = 503 }
    assert.problem(t:request "/", 503, "fault-injected")
    assert.called("api", 0)
    assert.equal("boom", (gateway({ abort = 500, body = "boom" }):request "/"):text())
    assert.equal("Client Error", (gateway({ abort = 418 }):request "/"):json().title) -- it has no phrase of its own
  end)

  it("delays", function()
    local t = gateway { delay = "500ms" }
    assert.status(t:request "/", 200)
    assert.near(0.5, t:now(), 1e-6)
    t = gateway { delay = "500ms", abort = 500 }
    assert.status(t:request "/", 500)
    assert.near(0.5, t:now(), 1e-6)
  end)

  it("befalls its share of requests", function()
    assert.equal(0, failed(gateway { abort = 503, share = "0%" }, 50))
    assert.equal(50, failed(gateway { abort = 503, share = "100%" }, 50))
    for _, share in ipairs { "30%", 0.3 } do
      local count = failed(gateway { abort = 503, share = share }, 500)
      assert.is_true(count > 88 and count < 212) -- six standard deviations
    end
  end)

  it("befalls those who ask for it", function()
    local t = gateway { abort = 503, header = "X-Fault" }
    assert.status(t:request "/", 200)
    assert.status(t:request { headers = { ["x-fault"] = "1" } }, 503)
  end)
end)
