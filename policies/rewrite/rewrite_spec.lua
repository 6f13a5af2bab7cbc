local T = require "moongate.test"

local function sent(conf, request, match)
  local t = T.new { match = match or "/{id}/{rest+}", policies = { { rewrite = conf } }, upstreams = { api = {} },
    service = "api" }
  local res = t:request(request or "/7/x?a=1&b=2")
  return select(2, t:seen "api"), res
end

local function refuses(what, conf)
  local ok, err = T.validate(require "rewrite", conf)
  assert.is_nil(ok)
  assert.matches(what, tostring(err), 1, true)
end

describe("rewrite", function()
  it("wants something to do, and texts that fit", function()
    refuses("needs 'path', 'query' or 'method'", {})
    refuses("path: must begin with '/'", { path = "${params.id}" })
    refuses("path: has '?' in it", { path = "/x?a=1" })
    refuses("path: has ' ' in it", { path = "/a b" })
    refuses("query: must be percent-encoded", { query = "a=b c" })
    refuses("path: '/${nobody}': unknown name 'nobody'", { path = "/${nobody}" })
    refuses("rewrite.method: expected method in upper case", { method = "post" })
  end)

  it("changes the path, and nothing else", function()
    local last = sent { path = "/v2/users/${params.id}" }
    assert.same({ "GET", "/v2/users/7", "a=1&b=2" }, { last.method, last.path, last.query })
  end)

  it("changes the query, by name or as a text", function()
    assert.equal("id=7&x=a%20b", sent({ query = { id = "${params.id}", x = "a b", none = "${arg.none}" } }).query)
    assert.equal("id=7&q=1%262", sent({ query = "id=7&q=${arg.q}" }, "/7/x?q=1%262").query)
    assert.is_nil(sent({ query = "" }).query)
    assert.is_nil(sent({ query = { none = "${arg.none}" } }).query)
  end)

  it("changes the method", function()
    assert.equal("POST", sent({ method = "POST" }).method)
  end)

  it("encodes values, and keeps what the pattern captured", function()
    for path, expected in pairs {
      ["/a%2Fb/c/d%20e"] = "/x/a%2Fb/c/d%20e", ["/7/%3Fx/%23"] = "/x/7/%3Fx/%23", ["/%C3%A4/%25"] = "/x/%C3%A4/%25",
    } do
      assert.equal(expected, sent({ path = "/x/${params.id}/${params.rest}" }, path).raw_path)
    end
    assert.equal("/x/a%2Fb%3Fc", sent({ path = "/x/${arg.q}" }, "/7/x?q=a/b%3Fc").raw_path)
  end)

  it("answers 400 where a path lacks a value, or gets one that leads elsewhere", function()
    for _, query in ipairs { "", "?q=", "?q=..", "?q=." } do
      local last, res = sent({ path = "/x/${arg.q}/y", method = "POST" }, "/7/x" .. query)
      assert.is_nil(last)
      assert.problem(res, 400, "bad-request")
    end
  end)

  it("is seen by the steps behind it", function()
    local t = T.new { match = "/{id}", upstreams = { api = {} }, service = "api", policies = {
      { rewrite = { path = "/x", query = "y=1" } },
      { lua = "return { request = function(req) req:set_header('X-Seen', req.path .. '?' .. req.query) end }" },
    } }
    t:request "/7"
    assert.header(select(2, t:seen "api"), "X-Seen", "/x?y=1")
  end)
end)
