local T = require "moongate.test"

local APP = "https://app.example.com"

local function gateway(conf, answer)
  return T.new { policies = { { cors = conf or {} } }, upstreams = { api = answer or { body = "ok" } } }
end

local function from(origin) return { headers = { Origin = origin } } end

local function preflight(origin, method, headers)
  return {
    method = "OPTIONS",
    headers = {
      Origin = origin,
      ["Access-Control-Request-Method"] = method or "PUT",
      ["Access-Control-Request-Headers"] = headers,
    },
  }
end

-- All fields of a response that are about CORS, and Vary.
local function cors_fields(res)
  local found = {}
  for name, value in res:headers() do
    local short = name:lower():match "^access%-control%-(.*)$" or (name:lower() == "vary" and "vary")
    if short then found[short] = found[short] and found[short] .. ", " .. value or value end
  end
  return found
end

describe("cors", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "cors", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("has defaults that let everybody in", function()
      local conf = T.validate(require "cors", {})
      assert.same({ "*" }, conf.origins)
      assert.is_false(conf.credentials)
    end)

    it("never lets everybody in with credentials", function()
      refuses({ credentials = true }, "every origin must be named")
      refuses({ origins = { APP, "*" }, credentials = true },
        "cors.origins: with 'credentials' every origin must be named")
    end)

    it("refuses what no browser sends as origin", function()
      for _, origin in ipairs { "app.example.com", APP .. "/", APP .. "/x", "https://u@x.example", "https:// x" } do
        refuses({ origins = { origin } }, ("cors.origins: '%s' is no origin"):format(origin))
      end
      refuses({ origins = "https://*.*.example.com" }, "cors.origins: 'https://*.*.example.com' has more than one '*'")
    end)

    it("takes 1 to 1000 origins of 1 to 256 bytes", function()
      local origins = { "https://" .. ("a"):rep(248) }
      for i = 2, 1000 do origins[i] = "https://" .. i end
      assert.truthy(T.validate(require "cors", { origins = origins }))
      origins[1001] = APP
      refuses({ origins = origins }, "cors.origins: must have at most 1000")
      refuses({ origins = {} }, "cors.origins: must have at least 1")
      refuses({ origins = { "https://" .. ("a"):rep(249) } }, "cors.origins[0]: must have at most 256")
      refuses({ origins = { "" } }, "cors.origins[0]: must have at least 1")
    end)

    it("names the path of a bad field", function()
      refuses({ origin = APP }, "cors.origin: unknown field, did you mean 'origins'?")
      refuses({ methods = { "get" } }, "cors.methods[0]")
      refuses({ max_age = "long" }, "cors.max_age: expected duration")
    end)
  end)

  describe("by default", function()
    it("lets everybody read every answer", function()
      local t = gateway()
      assert.same({ ["allow-origin"] = "*" }, cors_fields(t:request "/"))
      assert.same({ ["allow-origin"] = "*" }, cors_fields(t:request(from(APP))))
    end)

    it("answers preflights itself", function()
      local t = gateway()
      local res = t:request(preflight(APP, "PUT", "X-A, content-type"))
      assert.status(res, 204)
      assert.same({
        ["allow-origin"] = "*",
        ["allow-methods"] = "GET,HEAD,PUT,PATCH,POST,DELETE",
        ["allow-headers"] = "X-A, content-type",
        vary = "Access-Control-Request-Headers",
      }, cors_fields(res))
      assert.equal(0, (t:seen "api"))
    end)

    it("lets a plain OPTIONS pass", function()
      local t = gateway()
      assert.status(t:request { method = "OPTIONS", headers = { Origin = APP } }, 200)
      assert.called("api", 1)
    end)
  end)

  describe("with a list of origins", function()
    local conf = {
      origins = { APP, "https://*.shop.example", "null" }, methods = { "GET", "POST", "PUT", "DELETE" },
      headers = { "Content-Type", "Authorization" }, expose = { "X-Request-ID", "ETag" }, credentials = true,
      max_age = "10m",
    }

    it("echoes an allowed one", function()
      local t = gateway(conf)
      for _, origin in ipairs { APP, "https://a.shop.example", "https://a.b.shop.example", "null" } do
        assert.same({
          ["allow-origin"] = origin, ["allow-credentials"] = "true", ["expose-headers"] = "X-Request-ID,ETag",
          vary = "Origin",
        }, cors_fields(t:request(from(origin))))
      end
    end)

    it("tells others nothing, and serves them", function()
      local t = gateway(conf)
      local others = {
        "https://evil.example", "http://app.example.com", APP .. ".evil.example", APP .. ":8443",
        "https://shop.example",
        "https://evilshop.example", "xhttps://a.shop.example",
        "https://a.shop.example.evil.example", "https://x/.shop.example", "*", "",
      }
      for _, origin in ipairs(others) do
        local res = t:request(from(origin))
        assert.status(res, 200)
        assert.same({ vary = "Origin" }, cors_fields(res))
      end
      assert.same({ vary = "Origin" }, cors_fields(t:request "/"))
    end)

    it("grants a preflight", function()
      local res = gateway(conf):request(preflight(APP, "PUT", "x-other"))
      assert.status(res, 204)
      assert.same({
        ["allow-origin"] = APP, ["allow-credentials"] = "true", ["allow-methods"] = "GET,POST,PUT,DELETE",
        ["allow-headers"] = "Content-Type,Authorization", ["max-age"] = "600", vary = "Origin",
      }, cors_fields(res))
    end)

    it("takes single names in place of lists", function()
      local one = { origins = APP, methods = "GET", headers = "X-A", expose = "X-B" }
      local t = gateway(one)
      assert.same({
        ["allow-origin"] = APP, ["allow-methods"] = "GET", ["allow-headers"] = "X-A", vary = "Origin",
      }, cors_fields(t:request(preflight(APP, "GET"))))
      assert.same({ ["allow-origin"] = APP, ["expose-headers"] = "X-B", vary = "Origin" },
        cors_fields(t:request(from(APP))))
    end)

    it("says nothing of what may be read or sent where that is nothing", function()
      local t = gateway { origins = APP, expose = {} }
      assert.same({ ["allow-origin"] = APP, vary = "Origin" }, cors_fields(t:request(from(APP))))
      assert.is_nil(cors_fields(t:request(preflight(APP, "GET", "")))["allow-headers"])
    end)

    it("grants others no preflight", function()
      local t = gateway(conf)
      local res = t:request(preflight "https://evil.example")
      assert.status(res, 204)
      assert.same({ vary = "Origin" }, cors_fields(res))
      assert.equal(0, (t:seen "api"))
    end)

    it("echoes the method when all are allowed, for `*` means none with credentials", function()
      local res = gateway({ origins = APP, methods = "*", credentials = true }):request(preflight(APP, "PURGE"))
      assert.header(res, "Access-Control-Allow-Methods", "PURGE")
      assert.equal("Origin, Access-Control-Request-Method, Access-Control-Request-Headers", cors_fields(res).vary)
    end)

    it("takes two Origin fields for none", function()
      local res = gateway(conf):request(from { APP, APP })
      assert.is_nil(res:header "Access-Control-Allow-Origin")
    end)
  end)

  describe("beside the backend's own fields", function()
    local own = { headers = {
      ["Access-Control-Allow-Origin"] = "*", ["Access-Control-Allow-Credentials"] = "true",
      ["Access-Control-Expose-Headers"] = "X-Secret", Vary = "Accept, origin",
    }, body = "ok" }

    it("ours count", function()
      local t = gateway({ origins = APP }, own)
      assert.same({ ["allow-origin"] = APP, vary = "Accept, origin" }, cors_fields(t:request(from(APP))))
      assert.same({ vary = "Accept, origin" }, cors_fields(t:request(from "https://evil.example")))
    end)

    it("Vary gets a name once, and that of another field is not it", function()
      local function vary_of(own_vary)
        local t = gateway({ origins = APP }, { headers = { Vary = own_vary }, body = "ok" })
        return cors_fields(t:request(from(APP))).vary
      end
      assert.equal("Origin", vary_of "Origin")
      assert.equal("X-Origin, Origin", vary_of "X-Origin")
      assert.equal("Origin-X, Origin", vary_of "Origin-X")
    end)

    it("Vary: * stays alone", function()
      local t = gateway({ origins = APP }, { headers = { Vary = "*" }, body = "ok" })
      assert.equal("*", cors_fields(t:request(from(APP))).vary)
    end)
  end)

  it("is on refusals of later steps", function()
    local t = T.new { policies = { { cors = { origins = APP } }, { respond = { status = 401, body = "no" } } } }
    local res = t:request(from(APP))
    assert.status(res, 401)
    assert.header(res, "Access-Control-Allow-Origin", APP)
  end)

  it("is on upstream failures", function()
    local res = gateway({ origins = APP }, { error = "refused" }):request(from(APP))
    assert.status(res, 503)
    assert.header(res, "Access-Control-Allow-Origin", APP)
    assert.header(res, "Vary", "Origin")
  end)
end)
