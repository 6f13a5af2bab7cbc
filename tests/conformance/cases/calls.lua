-- What the library does for a step: calls to services, requests' parts, dictionaries.

local assert = require "luassert"
local expect = ...

local function route(path, text)
  return { match = path, policies = { { lua = "return { request = function(req) " .. text .. " end }" } } }
end

return {
  {
    name = "mg.fetch",
    upstreams = {
      users = function(req) return { json = { id = req:arg "id", header = req:header "x-a", body = req.body } } end,
      orders = { json = { 1, 2 }, delay = 0.01 },
      broken = { status = 500, body = "oh" },
      slow = { body = "late", delay = 60 },
      gone = { error = "refused" },
      cut = { body = ("x"):rep(100), close = "mid-body" },
      odd = { raw = "no HTTP at all\r\n\r\n" },
    },
    config = { services = { slow = { timeouts = { first_byte = "50ms" } } }, routes = {
      route("/one", [[
        local res = mg.fetch("users", { method = "POST", path = "/u", query = { id = "a b" }, json = { n = 1 },
          headers = { ["X-A"] = "1" }, pass = { "cookie", "x-none" } })
        return mg.reply(res.status, res:text() .. res.source, { ["Content-Type"] = res:header "content-type" })]]),
      route("/fails", [[
        local parts = {}
        for _, name in ipairs { "gone", "slow", "cut", "odd" } do
          local res, err = mg.fetch(name)
          parts[#parts + 1] = name .. "=" .. (res and "?" or err.code)
        end
        local _, err = mg.fetch("slow", { timeout = 0.001 })
        parts[#parts + 1] = "timeout=" .. err.code
        return mg.reply(200, table.concat(parts, " "))]]),
      route("/all", [[
        local got, failed = mg.fetch_all({
          user = { "users", path = "/u?id=7" }, orders = { "orders" },
          extra = { "broken", optional = true }, late = { "slow", optional = true, timeout = 0.02 },
        }, { timeout = 9 })
        if not got then return mg.problem(502, "upstream-failed", failed.name .. ": " .. failed.reason) end
        return mg.reply(200, mg.json.encode({ user = got.user:json(), orders = got.orders:json(),
          extra = got.extra ~= nil, late = got.late ~= nil }, { sort = true }))]]),
      route("/all/required", [[
        local got, failed = mg.fetch_all { user = { "users" }, extra = { "broken" } }
        return mg.reply(got and 200 or 502, failed and failed.name .. " " .. failed.code)]]),
      route("/race", [[
        local res, err = mg.race({ { "slow" }, { "users", path = "/u?id=1" } }, { delay = 0.01 })
        return res or mg.reply(502, err.code)]]),
      route("/wrong", [[mg.fetch("users", { path = "/../x" })]]),
      route("/stream", [[
        local res = mg.fetch("orders", { stream = true })
        local n = 0
        for piece in res:chunks() do n = n + #piece end
        return mg.reply(200, tostring(n))]]),
    } },
    { "asks a service", function(g)
      local res = g:request { path = "/one", headers = { Cookie = "a=1" } }
      expect(res, 200, { body = [[{"body":"{\"n\":1}","header":"1","id":"a b"}upstream]],
        ["Content-Type"] = "application/json" })
      local seen = g:seen "users"[1]
      assert.matches("^127%.0%.0%.1:%d+$", seen.host)
      assert.same({ "POST", "/u?id=a%20b", "a=1", "application/json" },
        { seen.method, seen.target, seen:header "Cookie", seen:header "Content-Type" })
    end },
    { "says by one word how it failed", function(g)
      expect(g:request "/fails", 200,
        { body = "gone=connect_failed slow=first_byte_timeout cut=reset odd=bad_response timeout=timeout" })
    end },
    { "asks several at a time", function(g)
      expect(g:request "/all", 200, { json = { user = { id = "7", body = "" }, orders = { 1, 2 }, extra = false,
        late = false } })
    end },
    { "ends all when one fails that is required", function(g)
      expect(g:request "/all/required", 502, { body = "extra status" })
    end },
    { "takes the first of several", function(g)
      expect(g:request "/race", 200, { json = { id = "1", body = "" } })
    end },
    { "refuses paths that lead elsewhere", function(g)
      expect.problem(g:request "/wrong", 500, "internal-error")
      assert.matches("path", g:log("policy failed")[1].error, 1, true)
    end },
    { "streams", function(g)
      expect(g:request "/stream", 200, { body = "5" })
    end },
  },
  {
    name = "requests",
    config = { trusted_proxies = { "127.0.0.2" }, routes = {
      route("/cookie", [[return mg.reply(200, (req:cookie "a" or "-") .. " " .. (req:cookie "b" or "-"))]]),
      route("/arg", [[
        local all = req:args()
        local list = type(all.x) == "table" and table.concat(all.x, "+") or tostring(all.x)
        req:set_arg("x", "new one")
        req:set_arg("y", nil)
        return mg.reply(200, (req:arg "x") .. "|" .. list .. "|" .. (req.query or "-"))]]),
      route("/form", [[
        local form, err = req:form()
        return mg.reply(form and 200 or 415, form and form.a .. "|" .. form["b c"] or err.code)]]),
      route("/json", [[
        local value, err = req:json()
        return mg.reply(value and 200 or 400, value and tostring(value.a) or err.code)]]),
      route("/expr/{id}", [[return mg.reply(200, req:expr(
        "${method} ${path} ${params.id} ${arg.q} ${header.x-a} ${cookie.c} ${host} ${scheme} ${client_ip} ${none}"))]]),
      route("/ip", [[return mg.reply(200, req.client_ip .. " " .. tostring(req.peer_trusted))]]),
      route("/fields", [[
        local parts = {}
        for name, value in req:headers() do parts[#parts + 1] = name .. "=" .. value end
        return mg.reply(200, table.concat(parts, ";"))]]),
      route("/copy", [[
        local copy = req:copy()
        copy.path, copy.method = "/other", "PUT"
        copy:set_header("X-A", "2")
        return mg.reply(200, req.path .. " " .. req.method .. " " .. req:header "x-a" .. " " .. copy.path)]]),
    } },
    { "have cookies", function(g)
      expect(g:request { path = "/cookie", headers = { { "Cookie", "a=1; b=x=y" } } }, 200, { body = "1 x=y" })
      expect(g:request { path = "/cookie", headers = { { "Cookie", "aa=1" }, { "Cookie", 'b="q"' } } }, 200)
      expect(g:request "/cookie", 200, { body = "- -" })
    end },
    { "have arguments", function(g)
      expect(g:request "/arg?x=1&y=2&x=%20b&z", 200, { body = "new one|1+ b|x=new%20one&z" })
    end },
    { "may be forms", function(g)
      expect(g:request { method = "POST", path = "/form", body = "a=1+2&b%20c=%C3%A9",
        headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } }, 200, { body = "1 2|\xC3\xA9" })
      expect(g:request { method = "POST", path = "/form", body = "a=1" }, 415, { body = "content_type" })
    end },
    { "may be JSON", function(g)
      expect(g:request { method = "POST", path = "/json", json = { a = 7 } }, 200, { body = "7" })
      expect(g:request { method = "POST", path = "/json", body = '{"a":1,"a":2}' }, 400, { body = "bad_json" })
    end },
    { "fill templates in", function(g)
      expect(g:request { path = "/expr/7?q=x%20y", host = "shop.example:81",
        headers = { ["X-A"] = "h", Cookie = "c=d" } }, 200,
        { body = "GET /expr/7 7 x y h d shop.example http 127.0.0.1 " })
    end },
    { "tell who the client is", function(g)
      expect(g:request { path = "/ip", headers = { ["X-Forwarded-For"] = "1.2.3.4" } }, 200,
        { body = "127.0.0.1 false" })
      expect(g:request { path = "/ip", from = "127.0.0.2", headers = { ["X-Forwarded-For"] = "1.2.3.4" } }, 200,
        { body = "1.2.3.4 true" })
    end },
    { "tell their fields in order", function(g)
      expect(g:request { path = "/fields", headers = { { "b", "1" }, { "A", "2" }, { "b", "3" } } }, 200,
        { body = "Host=gw.example;b=1;A=2;b=3" })
    end },
    { "can be copied", function(g)
      expect(g:request { path = "/copy", headers = { ["X-A"] = "1" } }, 200, { body = "/copy GET 1 /other" })
    end },
  },
  {
    name = "the library",
    config = { secrets = { hook = { env = "HOME" } }, shared = { limits = "1MiB" }, routes = {
      { match = "/count", policies = { { lua = [[
        local d = mg.shared "limits"
        return function(req)
          local got = d:window(req:arg "k", 2, 3600)
          return mg.reply(got.ok and 200 or 429, tostring(got.remaining))
        end]] } } },
      route("/crypto", [[return mg.reply(200, mg.crypto.hmac_sha256("k", "data"):sub(1, 16) .. " "
        .. mg.crypto.base64 "a?b" .. " " .. mg.crypto.base64url "a?b")]]),
      route("/url", [[return mg.reply(200, mg.url("/a/{id}?q={q}", { id = "x/y", q = "a b" }))]]),
      route("/json", [[return mg.reply(200, (mg.json.encode({ b = { 1, 2.5 }, a = mg.json.null }, { sort = true })))]]),
      route("/spawn", [[
        local parts = {}
        local tasks = {}
        for i = 1, 3 do
          tasks[i] = mg.spawn(function() mg.sleep(0.03 * (4 - i)) parts[#parts + 1] = i return i * i end)
        end
        local sum = 0
        for i = 1, 3 do sum = sum + tasks[i]:wait() end
        return mg.reply(200, table.concat(parts, ",") .. " " .. sum)]]),
      route("/log", [[mg.log.warn("told", { n = 1, authorization = "secret" }) return mg.reply(204)]]),
    } },
    { "counts for all", function(g)
      expect(g:request "/count?k=a", 200, { body = "1" })
      expect(g:request "/count?k=a", 200, { body = "0" })
      expect(g:request "/count?k=a", 429, { body = "0" })
      expect(g:request "/count?k=b", 200, { body = "1" })
    end },
    { "digests and encodes", function(g)
      expect(g:request "/crypto", 200, { body = "98755ce7a0d431b5 YT9i YT9i" })
      expect(g:request "/url", 200, { body = "/a/x%2Fy?q=a%20b" })
      expect(g:request "/json", 200, { body = '{"a":null,"b":[1,2.5]}' })
    end },
    { "runs tasks side by side", function(g)
      expect(g:request "/spawn", 200, { body = "3,2,1 14" })
    end },
    { "logs without secrets", function(g)
      expect(g:request "/log", 204)
      local line = g:log "told"[1]
      assert.same({ "warn", 1, "[redacted]" }, { line.level, line.n, line.authorization })
    end },
  },
}
