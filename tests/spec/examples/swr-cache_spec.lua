local T = require "moongate.test"

-- An origin whose body is the number of the request.
local function gateway(answer)
  local count = 0
  return T.new { policies = { { ["swr-cache"] = {} } }, upstreams = { api = function(req)
    count = count + 1
    local made = answer and answer(req, count) or {}
    made.body = made.body or tostring(count)
    return made
  end } }
end

describe("swr-cache", function()
  it("answers from the store, with Age and Cache-Status", function()
    local t = gateway()
    assert.header(t:request "/a", "Cache-Status", "moongate; fwd=uri-miss; stored")
    t:advance(10)
    local res = t:request "/a"
    assert.equal("1", res:text())
    assert.header(res, "Age", "10")
    assert.header(res, "Cache-Status", "moongate;hit;ttl=50")
    assert.called("api", 1)
  end)

  it("gives what is stale at once, and refreshes it behind the client's back, once", function()
    local t = gateway(function() return { delay = 1 } end)
    t:request "/a"
    t:advance(70)
    local before = t:now()
    local handles = {}
    for i = 1, 20 do handles[i] = t:start "/a" end
    assert.equal("1", t:request("/a"):text())
    assert.near(before, t:now(), 0.01)
    t:settle()
    for _, h in ipairs(handles) do assert.equal("1", h.res:text()) end
    assert.called("api", 2)
    local res = t:request "/a"
    assert.equal("2", res:text())
    assert.matches("hit", res:header "Cache-Status")
    assert.called("api", 2)
  end)

  it("asks again when what it has is older than that", function()
    local t = gateway()
    t:request "/a"
    t:advance(91)
    assert.equal("2", t:request("/a"):text())
  end)

  it("passes what a cache has no business with", function()
    local t = gateway()
    t:request { method = "POST", path = "/a", body = "x" }
    local res = t:request { method = "POST", path = "/a", body = "x" }
    assert.equal("2", res:text())
    assert.is_nil(res:header "Cache-Status")
  end)

  it("stores nothing that its origin forbids", function()
    local t = gateway(function() return { headers = { ["Cache-Control"] = "no-store" } } end)
    assert.header(t:request "/a", "Cache-Status", "moongate; fwd=uri-miss")
    assert.equal("2", t:request("/a"):text())
  end)

  it("lets the stale one be when the refresh fails", function()
    local t = gateway(function(_, count) return count == 2 and { status = 503 } or {} end)
    t:request "/a"
    t:advance(70)
    t:request "/a"
    t:settle()
    assert.equal("1", t:request("/a"):text())
    t:settle()
    assert.equal("3", t:request("/a"):text())
  end)
end)
