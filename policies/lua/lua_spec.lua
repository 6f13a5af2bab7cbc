local T = require "moongate.test"

local function gateway(text, answer)
  return T.new { policies = { { lua = text } }, upstreams = { api = answer or { body = "ok" } } }
end

describe("lua", function()
  describe("the text", function()
    local function refuses(text, what)
      local ok, err = pcall(gateway, text)
      assert.is_false(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("must be Lua", function() refuses("return function(", "policies[0].lua: Lua: ") end)
    it("must be text", function() refuses(7, "expected string (Lua text)") end)
    it("may not make globals", function() refuses("count = 0 return function() end", "count") end)
    it("sees no files", function() refuses("io.open('/etc/passwd') return function() end", "io") end)
  end)

  it("may be an onion", function()
    local t = gateway [[
      return function(req, next)
        local res = next(req)
        res:set_header("X-Path", req.path)
        return res
      end]]
    local res = t:request "/a"
    assert.status(res, 200)
    assert.header(res, "X-Path", "/a")
  end)

  it("may answer by itself", function()
    local t = gateway [[ return function(req) return mg.reply(403, "not " .. req.method) end ]]
    local res = t:request "/"
    assert.status(res, 403)
    assert.equal("not GET", res:text())
    assert.equal(0, (t:seen "api"))
  end)

  it("may be a table of phases", function()
    local t = gateway [[
      local seen = 0
      return {
        request = function() seen = seen + 1 end,
        response = function(_, res) res:set_header("X-Seen", seen) end,
      }]]
    t:request "/"
    assert.header(t:request "/", "X-Seen", "2")
  end)

  it("ends in a 500 when it raises", function()
    local t = gateway [[ return function() error("oh") end ]]
    assert.status(t:request "/", 500)
    assert.equal(0, (t:seen "api"))
  end)

  it("sees upstream failures", function()
    local t = gateway([[
      return { response = function(_, res)
        if res.source == "gateway" then res:set_header("X-Code", res.error.code) end
      end }]], { error = "refused" })
    local res = t:request "/"
    assert.status(res, 503)
    assert.header(res, "X-Code", "connect_failed")
  end)
end)
