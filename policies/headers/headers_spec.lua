local T = require "moongate.test"

local function gateway(conf, answer)
  return T.new { policies = { { headers = conf } }, upstreams = { api = answer or { body = "ok" } } }
end

describe("headers", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "headers", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants something to do", function() refuses({}, "needs 'request' or 'response'") end)

    it("names the path of a bad field", function()
      refuses({ request = { sett = {} } }, "headers.request.sett: unknown field, did you mean 'set'?")
      refuses({ request = { set = { ["a b"] = "x" } } }, "expected header name as key")
      refuses({ response = { add = { A = {} } } }, "headers.response.add.A")
    end)

    it("refuses what would split a message", function()
      refuses({ request = { set = { A = "x\r\nB: y" } } }, "headers.request.set.A")
    end)

    it("refuses the connection's own fields", function()
      for _, name in ipairs {
        "Connection", "content-length", "HTTP2-Settings", "Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding",
        "Upgrade",
      } do
        local text = (": '%s' is written by the gateway itself"):format(name)
        refuses({ request = { set = { [name] = "x" } } }, "headers.request.set" .. text)
        refuses({ request = { add = { [name] = "x" } } }, "headers.request.add" .. text)
        refuses({ response = { remove = name } }, "headers.response.remove" .. text)
      end
    end)

    it("takes 1 to 100 values for a name", function()
      local values = {}
      for i = 1, 100 do values[i] = i end
      assert.truthy(T.validate(require "headers", { request = { set = { A = values } } }))
      values[101] = 101
      refuses({ request = { set = { A = values } } }, "headers.request.set.A")
    end)

    it("refuses to set and remove the same", function()
      refuses({ request = { set = { ["X-A"] = "1" }, remove = "x-a" } },
        "headers.request.remove: 'x-a' is in 'set' too")
    end)

    it("may add what it removes", function()
      assert.truthy(T.validate(require "headers", { request = { add = { ["X-A"] = "1" }, remove = "X-A" } }))
    end)

    it("knows the names in expressions", function()
      refuses({ request = { set = { A = "${auht.subject}" } } }, "unknown name 'auht.subject'")
    end)
  end)

  describe("request", function()
    local function sent(conf, headers)
      local t = gateway({ request = conf })
      assert.status(t:request { headers = headers }, 200)
      local _, last = t:seen "api"
      return last
    end

    it("sets in place of the client's", function()
      local last = sent({ set = { ["X-A"] = "ours" } }, { ["x-a"] = "theirs" })
      assert.same({ "ours" }, last:header_values "x-a")
    end)

    it("adds beside the client's", function()
      local last = sent({ add = { ["X-A"] = "ours" } }, { ["X-A"] = "theirs" })
      assert.same({ "theirs", "ours" }, last:header_values "x-a")
    end)

    it("removes, whatever the case", function()
      local last = sent({ remove = { "x-a", "X-B" } }, { ["X-A"] = "1", ["x-b"] = "2", ["X-C"] = "3" })
      assert.is_nil(last:header "x-a")
      assert.is_nil(last:header "x-b")
      assert.equal("3", last:header "x-c")
    end)

    it("writes numbers, booleans and lists", function()
      local last = sent { set = { N = 7, F = 1.5, B = true, L = { "a", 2 } }, add = { L = { "c" } } }
      assert.equal("7", last:header "n")
      assert.equal("1.5", last:header "f")
      assert.equal("true", last:header "b")
      assert.same({ "a", "2", "c" }, last:header_values "l")
    end)

    it("sets a constant even when it is empty", function()
      assert.equal("", sent({ set = { ["X-A"] = "" } }):header "x-a")
    end)

    it("writes the names in their order", function()
      local set, wanted, found = {}, {}, {}
      for i = 1, 26 do
        wanted[i] = "X-" .. string.char(64 + i)
        set[wanted[i]] = "v"
      end
      for name in sent({ set = set }):headers() do
        if set[name] then found[#found + 1] = name end
      end
      assert.same(wanted, found)
    end)

    it("fills in expressions", function()
      local last = sent({ set = { ["X-A"] = "${method} ${header.x-b}!" } }, { ["X-B"] = "b" })
      assert.equal("GET b!", last:header "x-a")
    end)

    it("renames", function()
      local last = sent({ set = { ["X-New"] = "${header.x-old}" }, remove = "X-Old" }, { ["X-Old"] = "v" })
      assert.equal("v", last:header "x-new")
      assert.is_nil(last:header "x-old")
    end)

    it("drops the client's copy when an expression gives nothing", function()
      local last = sent({ set = { ["X-User"] = "${auth.subject}" }, add = { ["X-Role"] = "${claims.role}" } },
        { ["X-User"] = "evil" })
      assert.is_nil(last:header "x-user")
      assert.is_nil(last:header "x-role")
    end)

    it("leaves out what a client made unfit for a header", function()
      local t = gateway { request = { set = { ["X-A"] = "${arg.a}" } } }
      assert.status(t:request "/?a=x%0d%0aX-Evil:+1", 200)
      local _, last = t:seen "api"
      assert.is_nil(last:header "x-a")
      assert.is_nil(last:header "x-evil")
    end)
  end)

  describe("response", function()
    it("sets, adds and removes", function()
      local t = gateway({ response = { set = { A = "${status} ${res.header.b}" }, add = { C = "2" }, remove = "D" } },
        { headers = { A = "1", B = "b", C = "1", D = "1" }, body = "ok" })
      local res = t:request "/"
      assert.header(res, "A", "200 b")
      assert.same({ "1", "2" }, res:header_values "C")
      assert.is_nil(res:header "D")
      assert.untouched(res)
    end)

    it("can tell of HSTS where it is heeded: by HTTPS, on every answer", function()
      local hsts = "max-age=31536000; includeSubDomains"
      local t = T.new {
        policies = {
          { headers = { response = { set = { ["Strict-Transport-Security"] = hsts } } },
            when = 'req.scheme == "https"' },
          { ["request-limit"] = { methods = "GET" } },
        },
        upstreams = { api = { headers = { ["Strict-Transport-Security"] = "max-age=0" } } },
        config = { trusted_proxies = "10.0.0.0/8" },
      }
      assert.header(t:request { tls = {} }, "Strict-Transport-Security", hsts)
      assert.header(t:request { tls = {}, method = "PUT" }, "Strict-Transport-Security", hsts)
      assert.header(t:request { client_ip = "10.0.0.1", headers = { ["X-Forwarded-Proto"] = "https" } },
        "Strict-Transport-Security", hsts)
      assert.is_nil(t:request { method = "PUT" }:header "Strict-Transport-Security")
    end)

    it("also on answers of inner steps", function()
      local t = T.new { policies = {
        { headers = { response = { set = { A = "1" } } } },
        { respond = { status = 403, body = "no" } },
      } }
      local res = t:request "/"
      assert.status(res, 403)
      assert.header(res, "A", "1")
    end)

    it("also on upstream failures", function()
      local t = gateway({ response = { set = { A = "${status}" } } }, { error = "refused" })
      local res = t:request "/"
      assert.status(res, 503)
      assert.header(res, "A", "503")
    end)
  end)
end)
