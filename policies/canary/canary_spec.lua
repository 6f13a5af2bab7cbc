local T = require "moongate.test"

local function gateway(conf)
  conf.service = "next"
  return T.new {
    policies = { { canary = conf } }, service = "api", upstreams = { api = { body = "old" }, next = { body = "new" } },
  }
end

local function chosen(t, what)
  return (t:request(what or "/")):text() == "new"
end

-- The addresses of 200 clients that are chosen.
local function clients(t)
  local set, count = {}, 0
  for i = 1, 200 do
    local ip = ("192.0.2.%d"):format(i)
    if chosen(t, { client_ip = ip }) then set[ip], count = true, count + 1 end
  end
  return set, count
end

describe("canary", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ service = "next", weight = 0, by = "ip" }, T.validate(require "canary", { service = "next" }))
    end)

    it("names the path of a bad field", function()
      local function fails(conf, what)
        local ok, err = T.validate(require "canary", conf)
        assert.is_nil(ok)
        assert.matches(what, tostring(err), 1, true)
      end
      fails({}, "canary.service: is required")
      fails({ service = "a", weight = "200%" }, "canary.weight")
      fails({ service = "a", sticky = "1d" }, "canary.sticky: needs 'cookie'")
      fails({ service = "a", header_value = "x" }, "canary.header_value: needs 'header'")
      fails({ service = "a", cookie = "a b" }, "canary.cookie")
    end)
  end)

  it("chooses its share of clients, and all stay where they are", function()
    local t = gateway { weight = "25%", name = "x" }
    local set, count = clients(t)
    assert.is_true(count > 30 and count < 70)
    assert.same(set, (clients(t)))
    local more, greater = clients(gateway { weight = "50%", name = "x" })
    assert.is_true(greater > 70 and greater < 130)
    for ip in pairs(set) do assert.is_true(more[ip]) end
  end)

  it("chooses nobody, or everybody", function()
    assert.equal(0, select(2, clients(gateway {})))
    assert.equal(200, select(2, clients(gateway { weight = 1 })))
  end)

  it("listens to a header", function()
    local t = gateway { weight = 0, header = "X-Canary" }
    assert.is_true(chosen(t, { headers = { ["X-Canary"] = "always" } }))
    assert.is_false(chosen(t, { headers = { ["X-Canary"] = "yes" } }))
    t = gateway { weight = 1, header = "X-Canary" }
    assert.is_false(chosen(t, { headers = { ["X-Canary"] = "never" } }))
    t = gateway { weight = 0, header = "X-Canary", header_value = "me" }
    assert.is_true(chosen(t, { headers = { ["X-Canary"] = "me" } }))
    assert.is_false(chosen(t, { headers = { ["X-Canary"] = "always" } }))
  end)

  it("listens to a cookie, but to the header first", function()
    local t = gateway { weight = 0, header = "X-Canary", cookie = "c" }
    assert.is_true(chosen(t, { headers = { Cookie = "c=always" } }))
    assert.is_false(chosen(t, { headers = { Cookie = "c=always", ["X-Canary"] = "never" } }))
    assert.is_false(chosen(t, { headers = { Cookie = "c=1" } }))
  end)

  it("remembers what it has decided", function()
    local t = gateway { weight = 1, cookie = "c", sticky = "1d" }
    assert.header(t:request "/", "Set-Cookie", "c=always; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax")
    assert.is_nil((t:request { headers = { Cookie = "c=never" } }):header "Set-Cookie")
    assert.is_false(chosen(t, { headers = { Cookie = "c=never" } }))
    assert.matches("^c=never;", (gateway { cookie = "c", sticky = "1d" }):request("/"):header "Set-Cookie")
  end)
end)
