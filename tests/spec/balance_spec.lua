-- Which backend of a service gets a request: by turns, load, key and session, by priority and zone.

local T = require "moongate.test"

-- A gateway with three backends, a to c, each of which says who it is. `own` is what single ones have beside their
-- address, or answer instead; `more` may have the gateway's zone, secrets and policies.
local function served(service, own, more)
  own, more = own or {}, more or {}
  local upstreams, backends = {}, {}
  for i, name in ipairs { "a", "b", "c" } do
    local this = own[name] or {}
    upstreams[name .. ":81"] = this.answer or { body = name }
    backends[i] = { address = name .. ":81", zone = this.zone, priority = this.priority }
  end
  service.backends = backends
  return T.new {
    upstreams = upstreams, service = "users", policies = more.policies, secrets = more.secrets,
    config = { services = { users = service }, zone = more.zone },
  }
end

-- Who answers n requests, one after the other.
local function ask(t, n, request)
  local said = {}
  for i = 1, n do said[i] = t:request(request or "/"):text() end
  return table.concat(said)
end

local function count(text, letter) return select(2, text:gsub(letter, "")) end

local DOWN = { answer = { error = "refused" } }

describe("turns", function()
  it("go round, and past who refuses", function()
    assert.equal("abcabc", ask(served {}, 6))
    local said = ask(served({}, { b = DOWN }), 30)
    assert.equal(0, count(said, "b"))
    assert.equal(30, count(said, "a") + count(said, "c"))
  end)
end)

describe("load", function()
  for _, way in ipairs { "least-requests", "two-choices" } do
    it("counts: " .. way, function()
      local t = served({ balance = way, timeouts = { first_byte = "60s" } },
        { a = { answer = { body = "a", delay = 20 } } })
      for _ = 1, 30 do t:start "/" end
      t:advance(1)
      local said = ask(t, 30)
      assert.equal(0, count(said, "a"))
      assert.is_true(count(said, "b") > 0 and count(said, "c") > 0, said)
      t:settle()
    end)
  end

  it("is latency where that is asked for", function()
    local t = served({ balance = "latency" }, {
      a = { answer = { body = "a", delay = 0.3 } }, b = { answer = { body = "b", delay = 0.02 } },
      c = { answer = { body = "c", delay = 0.03 } },
    })
    ask(t, 10) -- each was asked once at least
    assert.equal(0, count(ask(t, 60), "a"))
  end)
end)

describe("a key", function()
  local function stays(t, request, other)
    local first = ask(t, 1, request)
    assert.equal(first:rep(20), ask(t, 20, request))
    local seen = {}
    for i = 1, 40 do seen[ask(t, 1, other(i))] = true end
    assert.same({ a = true, b = true, c = true }, seen)
  end

  it("may be a header, a cookie, an argument, or several", function()
    for expression, request in pairs {
      ["${header.x-user}"] = function(i) return { headers = { ["X-User"] = "u" .. i } } end,
      ["${cookie.session}"] = function(i) return { headers = { Cookie = "a=b; session=s" .. i } } end,
      ["${arg.page}-${method}"] = function(i) return { path = "/?page=" .. i } end,
      ["${path}"] = function(i) return { path = "/" .. i } end,
    } do
      stays(served { balance = { hash = expression } }, request(0), request)
    end
  end)

  it("may be what a step found out", function()
    local policies = { function(req, next)
      req.ctx.tenant = req:header "x-tenant"
      return next(req)
    end }
    local function of_tenant(name) return { headers = { ["X-Tenant"] = "t" .. name } } end
    stays(served({ balance = { hash = "${ctx.tenant}" } }, {}, { policies = policies }), of_tenant(0), of_tenant)
  end)

  it("that is not there leaves it to turns", function()
    assert.equal("abcabc", ask(served { balance = { hash = "${header.x-user}" } }, 6))
  end)

  it("moves when its backend cannot be reached, and only then", function()
    local function owners(own)
      local t, out = served({ balance = { hash = "${path}" } }, own), {}
      for i = 1, 60 do out[i] = ask(t, 1, "/" .. i) end
      return out
    end
    local before, after = owners {}, owners { b = DOWN }
    for i = 1, 60 do
      if before[i] ~= "b" then assert.equal(before[i], after[i]) end
      assert.is_true(after[i] ~= "b" and after[i] ~= "")
    end
  end)

  it("of a step's own call is the client's", function()
    local t = T.new {
      upstreams = { ["a:81"] = { body = "a" }, ["b:81"] = { body = "b" } },
      config = { services = { users = { backends = { "a:81", "b:81" }, balance = { hash = "${header.x-user}" } } } },
      policies = { function()
        local mg = require "moongate"
        return mg.reply(200, mg.fetch("users", { path = "/" }):text())
      end },
    }
    local first = ask(t, 1, { headers = { ["X-User"] = "ann" } })
    assert.equal(first:rep(10), ask(t, 10, { headers = { ["X-User"] = "ann" } }))
  end)
end)

describe("a session", function()
  local function sticky(own, more)
    local service = { sticky = { cookie = "at" } }
    for key, value in pairs(more or {}) do service.sticky[key] = value end
    return served(service, own)
  end

  it("stays at the backend that its cookie names, and gets no other cookie", function()
    local t = sticky()
    local res = t:request "/"
    local cookie, rest = res:header("set-cookie"):match "^(at=%x+)(.*)$"
    assert.equal(#"at=" + 32, #cookie)
    assert.equal("; Path=/; HttpOnly; SameSite=Lax", rest)
    local name = res:text()
    for _ = 1, 10 do
      res = t:request { headers = { Cookie = "x=1; " .. cookie } }
      assert.equal(name, res:text())
      assert.is_nil(res:header "set-cookie")
    end
  end)

  it("says how long, where, and over what", function()
    local res = sticky({}, { ttl = "1h", path = "/shop", secure = true }):request "/"
    assert.matches("; Path=/shop; Max%-Age=3600; HttpOnly; SameSite=Lax; Secure$", res:header "set-cookie")
  end)

  it("goes elsewhere when its backend cannot be reached, with a new cookie", function()
    local res = sticky():request "/"
    local cookie = res:header("set-cookie"):match "^at=%x+"
    assert.equal("a", res:text())
    local gone = sticky({ a = DOWN }):request { headers = { Cookie = cookie } }
    assert.is_true(gone:text() ~= "a" and gone:text() ~= "")
    assert.matches("^at=%x+;", gone:header "set-cookie")
    assert.is_true(gone:header("set-cookie"):match "^at=%x+" ~= cookie)
  end)

  it("is named by a secret, where there is one", function()
    local function token(secret)
      local t = served({ sticky = { cookie = "at", secret = "sessions" } }, {}, { secrets = { sessions = secret } })
      return t:request("/"):header("set-cookie"):match "^at=(%x+)"
    end
    assert.equal(token "one", token "one")
    assert.is_true(token "one" ~= token "another")
    assert.is_true(token "one" ~= sticky():request("/"):header("set-cookie"):match "^at=(%x+)")
  end)

  it("is not believed when nobody made it", function()
    for _, value in ipairs { "", "a", ("0"):rep(32), ("f"):rep(1000) } do
      local res = sticky():request { headers = { Cookie = "at=" .. value } }
      assert.equal("a", res:text())
      assert.matches("^at=%x+;", res:header "set-cookie")
    end
  end)
end)

describe("priority", function()
  it("is for when those before cannot be reached", function()
    local order = { a = { priority = 1 }, c = { priority = 2 } }
    assert.equal("bbbb", ask(served({}, order), 4))
    order.b = DOWN
    assert.equal("aaaa", ask(served({}, order), 4))
    order.a = { priority = 1, answer = DOWN.answer }
    assert.equal("cccc", ask(served({}, order), 4))
  end)
end)

describe("a zone", function()
  it("comes before others", function()
    local zones = { a = { zone = "us" }, b = { zone = "eu" }, c = { zone = "eu" } }
    assert.equal("bcbc", ask(served({}, zones, { zone = "eu" }), 4))
    assert.equal("aaaa", ask(served({}, zones, { zone = "us" }), 4))
    zones.a.answer = DOWN.answer
    assert.equal(4, #ask(served({}, zones, { zone = "us" }), 4))
  end)

  it("that is required is not left", function()
    local zones = { a = { zone = "us", answer = DOWN.answer }, b = { zone = "eu" }, c = {} }
    local t = served({ require_zone = true }, zones, { zone = "us" })
    assert.status(t:request "/", 503)
    assert.equal(0, (t:seen "b:81"))
    assert.equal(0, (t:seen "c:81"))
  end)
end)
