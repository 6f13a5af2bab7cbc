local T = require "moongate.test"

local DAY = 86400

local function gateway(conf)
  return T.new { policies = { { quota = conf } }, upstreams = { api = { body = "ok" } } }
end

local function admitted(t, n, what)
  local count = 0
  for _ = 1, n do count = count + (t:request(what or "/").status == 200 and 1 or 0) end
  return count
end

-- The kit's clock begins with 2026, a Thursday.
describe("quota", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ limit = 9, period = "day", by = "consumer", name = "quota", cost = 1, store = "local",
        when_down = "local", headers = true }, T.validate(require "quota", { limit = 9 }))
    end)

    it("names the path of a bad field", function()
      for field, value in pairs { limit = 0, period = "year", by = "x", name = 'a"', cost = -1, when_down = "never" } do
        local ok, err = T.validate(require "quota", { limit = field ~= "limit" and 1 or nil, [field] = value })
        assert.is_nil(ok)
        assert.matches("quota." .. field, tostring(err), 1, true)
      end
    end)
  end)

  it("begins anew with each day of the calendar", function()
    local t = gateway { limit = 3 }
    t:advance(DAY - 60)
    assert.equal(3, admitted(t, 5))
    t:advance(30)
    assert.equal(0, admitted(t, 5))
    t:advance(30)
    assert.equal(3, admitted(t, 5))
  end)

  local ENDS = { hour = { 3600 }, week = { 4 * DAY, 11 * DAY }, month = { 31 * DAY, 59 * DAY, 90 * DAY } }
  for period, ends in pairs(ENDS) do
    it("begins anew with each " .. period, function()
      local t = gateway { limit = 2, period = period }
      for _, at in ipairs(ends) do
        assert.equal(2, admitted(t, 3))
        t:advance(at - 1 - t:now())
        assert.equal(0, admitted(t, 3))
        t:advance(1)
      end
    end)
  end

  it("knows leap years", function()
    local t = gateway { limit = 1, period = "month" }
    t:advance((365 * 2 + 31) * DAY) -- 1 February 2028
    assert.header(t:request "/", "RateLimit", ('"quota";r=0;t=%d'):format(29 * DAY))
    t:advance((29 + 31 + 30 + 31 + 30 + 31 + 31 + 30 + 31 + 30) * DAY) -- 1 December
    assert.header(t:request "/", "RateLimit", ('"quota";r=0;t=%d'):format(31 * DAY))
  end)

  it("tells what is left, and when there is more", function()
    local t = gateway { limit = 2, name = "calls" }
    t:advance(3600)
    local res = t:request "/"
    assert.header(res, "RateLimit-Policy", '"calls";q=2;w=86400')
    assert.header(res, "RateLimit", '"calls";r=1;t=82800')
    t:request "/"
    res = t:request "/"
    assert.problem(res, 429, "quota-exceeded")
    assert.header(res, "Retry-After", "82800")
    assert.header(res, "RateLimit", '"calls";r=0;t=82800')
    assert.same({ "calls" }, res:json()["violated-policies"])
  end)

  it("says it in one's own words, or not", function()
    local t = gateway { limit = 1, headers = false, message = "Enough for today\n" }
    assert.is_nil((t:request "/"):header "RateLimit")
    assert.equal("Enough for today\n", (t:request "/"):text())
  end)

  it("counts clients apart, and costs", function()
    local t = gateway { limit = 10, cost = "${header.x-units}" }
    local function who(subject, units)
      return { auth = { subject = subject, claims = {} }, headers = { ["X-Units"] = units } }
    end
    assert.status(t:request(who("ann", "10")), 200)
    assert.status(t:request(who("ann", "1")), 429)
    assert.status(t:request(who("bob", "9")), 200)
    assert.status(t:request(who("bob", "-9")), 200)
    assert.status(t:request(who("bob", "0.5")), 429)
  end)

  it("counts in Redis, where the period is in the key", function()
    local t = T.new { policies = { { quota = { limit = 2, period = "month", store = "main", name = "calls" } } },
      redis = { main = true }, upstreams = { api = { body = "ok" } } }
    assert.header(t:request "/", "RateLimit", ('"calls";r=1;t=%d'):format(31 * DAY))
    assert.equal(1, admitted(t, 3))
    assert.equal("2", t:redis("main"):command("GET", "calls:2026-01:192.0.2.1"))
    t:advance(31 * DAY)
    assert.equal(2, admitted(t, 3))
    t:redis("main"):down()
    assert.equal(2, admitted(t, 3)) -- this gateway counts
  end)
end)
