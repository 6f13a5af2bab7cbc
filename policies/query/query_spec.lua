local T = require "moongate.test"

-- The query that the backend got.
local function sent(conf, request)
  local t = T.new { policies = { { query = conf } }, upstreams = { api = { body = "ok" } } }
  assert.status(t:request(request), 200)
  local _, last = t:seen "api"
  return last.query
end

describe("query", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "query", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants something to do", function() refuses({}, "needs 'set', 'rename' or 'remove'") end)

    it("refuses two orders for one argument", function()
      refuses({ set = { a = "1" }, remove = "a" }, "query.remove: 'a' is in 'set' too")
      refuses({ rename = { a = "b" }, remove = { "a" } }, "query.remove: 'a' is in 'rename' too")
      refuses({ set = { a = "1" }, rename = { a = "b" } }, "query.rename: 'a' is in 'set' too")
    end)

    it("names the path of a bad field", function()
      refuses({ ste = {} }, "query.ste: unknown field, did you mean 'set'?")
      refuses({ rename = { a = 1 } }, "query.rename.a: expected string")
    end)

    it("takes names of 1 to 256 bytes", function()
      assert.truthy(T.validate(require "query", { remove = { "a", ("a"):rep(256) } }))
      refuses({ remove = "" }, "query.remove")
      refuses({ remove = ("a"):rep(257) }, "query.remove")
    end)
  end)

  it("sets at the end, in place of the client's", function()
    assert.equal("b=2&a=x%20y&c=1", sent({ set = { a = "x y", c = 1 } }, "/?a=1&b=2&a=3&%63=9"))
    assert.equal("a=true", sent({ set = { a = true } }, "/"))
    assert.equal("a=", sent({ set = { a = "" } }, "/"))
  end)

  it("sets in the order of the names", function()
    local set, wanted = {}, {}
    for i = 1, 26 do
      local name = string.char(96 + i)
      set[name], wanted[i] = i, name .. "=" .. i
    end
    assert.equal(table.concat(wanted, "&"), sent({ set = set }, "/"))
  end)

  it("renames each one where it stands", function()
    assert.equal("x=1&userId=7&y&userId", sent({ rename = { user_id = "userId" } }, "/?x=1&user_id=7&y&user%5Fid"))
    assert.equal("a%26b=1", sent({ rename = { ["a b"] = "a&b" } }, "/?a+b=1"))
  end)

  it("removes all of a name", function()
    assert.equal("b=2", sent({ remove = "a" }, "/?a=1&b=2&a"))
    assert.is_nil(sent({ remove = { "a", "b" } }, "/?a=1&b=2"))
    assert.is_nil(sent({ remove = "a" }, "/"))
  end)

  it("leaves all else as it was written", function()
    assert.equal("%41=+&x=%2f&=&y", sent({ remove = "a" }, "/?%41=+&a=1&x=%2f&=&y"))
  end)

  it("fills in expressions, and leaves out what gives nothing", function()
    local conf = { set = { new = "${arg.old}", m = "${method}", none = "${claims.x}" }, remove = "old" }
    assert.equal("m=GET&new=1%26", sent(conf, "/?old=1%26"))
    assert.is_nil(sent({ set = { a = "${arg.b}" } }, "/?a=1"))
  end)

  it("lets upstream failures pass", function()
    local t = T.new { policies = { { query = { remove = "a" } } }, upstreams = { api = { error = "refused" } } }
    assert.status(t:request "/?a=1", 503)
  end)
end)
