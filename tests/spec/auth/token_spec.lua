-- Where a token is looked for, and the exact words that say it is not there (RFC 6750 3).

local T = require "moongate.test"
local mg = require "moongate"
local token = require "moongate.auth.token"

local ALL = { header = "Authorization", cookie = "sid", query = "access_token" }

-- Asks one request for its token: what `find` gave, and the response.
local function find(where, what)
  local found, code
  local t = T.new {
    policies = { function(req)
      local text, refusal
      text, refusal, code = token.find(req, where)
      found = text
      return refusal or mg.reply(204)
    end },
  }
  local res = t:request(what)
  return found, code, res
end

local function headers(fields)
  return { headers = fields }
end

describe("a bearer token", function()
  local GOOD = {
    { "in the header", { Authorization = "Bearer abc" } },
    { "with a scheme in small letters", { Authorization = "bearer abc" } },
    { "with a scheme in capitals", { Authorization = "BEARER abc" } },
    { "behind several spaces", { Authorization = "Bearer \t abc" } },
    { "in a cookie", { Cookie = "a=1; sid=abc; b=2" } },
    { "in a cookie between quotes", { Cookie = 'sid="abc"' } },
    { "beside another scheme's credentials", { Authorization = "Basic YTpi", Cookie = "sid=abc" } },
  }
  for _, case in ipairs(GOOD) do
    it("is found " .. case[1], function() assert.equal("abc", (find(ALL, headers(case[2])))) end)
  end

  it("is found in the query", function()
    assert.equal("abc", (find(ALL, "/?a=1&access_token=abc")))
    assert.equal("abc", (find(ALL, "/?access%5ftoken=%61bc")))
  end)

  it("may have all that RFC 6750 allows", function()
    assert.equal("aZ0-._~+/==", (find(ALL, headers { Authorization = "Bearer aZ0-._~+/==" })))
  end)

  it("needs no scheme in a field of its own", function()
    local where = { header = "X-Token" }
    assert.equal("abc", (find(where, headers { ["X-Token"] = "abc" })))
    assert.equal("abc", (find(where, headers { ["X-Token"] = "Bearer abc" })))
    assert.is_nil((find({ header = "Proxy-Authorization" }, headers { ["Proxy-Authorization"] = "abc" })))
  end)

  it("is looked for only where it may be", function()
    assert.is_nil((find({ header = "Authorization" }, "/?access_token=abc")))
    assert.is_nil((find({ query = "access_token" }, headers { Authorization = "Bearer abc", Cookie = "sid=abc" })))
  end)

  local MISSING = {
    { "nothing", {} },
    { "another scheme", { Authorization = "Basic YTpi" } },
    { "a scheme that only begins so", { Authorization = "Bearerx abc" } },
    { "no scheme", { Authorization = "abc" } },
    { "the scheme alone", { Authorization = "Bearer" } },
    { "an empty field", { Authorization = "" } },
    { "an empty cookie", { Cookie = "sid=" } },
    { "a cookie of a longer name", { Cookie = "xsid=abc; sid2=abc" } },
  }
  for _, case in ipairs(MISSING) do
    it("is missing from " .. case[1], function()
      local text, code, res = find(ALL, headers(case[2]))
      assert.is_nil(text)
      assert.equal("missing", code)
      assert.problem(res, 401, "no-token")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
      assert.equal("No token provided", res:json().detail)
    end)
  end

  local MANY = {
    { "two fields", { Authorization = { "Bearer abc", "Bearer abc" } } },
    { "two fields, one of another scheme", { Authorization = { "Basic YTpi", "Bearer abc" } } },
    { "header and cookie", { Authorization = "Bearer abc", Cookie = "sid=abc" } },
    { "header and query", { Authorization = "Bearer abc" }, "/?access_token=abc" },
    { "cookie and query", { Cookie = "sid=abc" }, "/?access_token=abc" },
    { "the query twice", {}, "/?access_token=abc&access%5Ftoken=abc" },
    { "the query twice, once empty", {}, "/?access_token=&access_token=abc" },
    { "the cookie twice", { Cookie = "sid=abc; sid=abc" } },
    { "the cookie in two fields", { Cookie = { "sid=abc", "a=1; sid=abc" } } },
  }
  for _, case in ipairs(MANY) do
    it("is refused in " .. case[1], function()
      local text, code, res = find(ALL, { path = case[3] or "/", headers = case[2] })
      assert.is_nil(text)
      assert.equal("invalid_request", code)
      assert.problem(res, 400, "invalid-request")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate", error="invalid_request"')
    end)
  end

  it("is what RFC 6750 says", function()
    for _, text in ipairs { "a", "a==", "aZ09-._~+/" } do assert.is_true(token.is_written_right(text), text) end
    for _, text in ipairs { "", "a b", "abc,def", 'a"b', "a=b", "=", "a%41", "{}", "\u{e4}", "a\0" } do
      assert.is_false(token.is_written_right(text), text)
    end
  end)

  it("has a realm that can be chosen, and cannot break out of its quotes", function()
    local _, _, res = find({ realm = 'a"b\\c\nd' }, "/")
    assert.header(res, "WWW-Authenticate", [[Bearer realm="a\"b\\cd"]])
  end)

  it("is told what it lacks", function()
    assert.equal('Bearer realm="moongate", error="insufficient_scope", scope="a b"',
      token.challenge(nil, "insufficient_scope", nil, "a b"))
    assert.equal([[Bearer realm="x", error="invalid_token", error_description="'no' it's' "]],
      token.challenge("x", "invalid_token", '"no" it\\s\' ä\r\n'))
  end)
end)

describe("the way back", function()
  it("is private where a token stood in the query", function()
    for _, case in ipairs {
      { "/?access_token=a", {}, "private" }, { "/", {}, nil },
      { "/?access_token=a", { headers = { ["Cache-Control"] = "max-age=60" } }, "max-age=60, private" },
      { "/?access_token=a", { headers = { ["Cache-Control"] = "no-store" } }, "no-store" },
      { "/?access_token=a", { headers = { ["Cache-Control"] = "private, max-age=1" } }, "private, max-age=1" },
      { "/?access_token=a", { status = 404 }, nil },
    } do
      local t = T.new { policies = { function(req, next)
        local back, res = token.way_back(req, ALL), next(req)
        if back then back(res) end
        return res
      end }, upstreams = { api = case[2] } }
      assert.equal(case[3], t:request(case[1]):header "Cache-Control")
    end
  end)
end)

describe("removing a token", function()
  local function seen(what)
    local t = T.new { policies = { function(req, next)
      token.remove(req, ALL)
      return next(req)
    end }, upstreams = { api = { body = "ok" } } }
    assert.status(t:request(what), 200)
    return select(2, t:seen "api")
  end

  it("takes it from each place, and nothing else", function()
    local last = seen { path = "/?a=1&access_token=abc&b=2", headers = {
      Authorization = "Bearer abc", Cookie = { "a=1; sid=abc; b=2", "sid=abc" },
    } }
    assert.is_nil(last:header "Authorization")
    assert.equal("a=1&b=2", last.query)
    assert.same({ "a=1; b=2" }, last:header_values "Cookie")
  end)

  it("leaves what is for another scheme", function()
    local last = seen { path = "/?access_token=abc", headers = { Authorization = "Basic YW5uOg==" } }
    assert.equal("Basic YW5uOg==", last:header "Authorization")
    assert.is_nil(last.query)
  end)

  it("leaves requests without one as they are", function()
    local last = seen { path = "/?a=%31", headers = { Cookie = "a=1;b=2" } }
    assert.equal("a=%31", last.query)
    assert.equal("a=1;b=2", last:header "Cookie")
    assert.same({}, seen { headers = { Cookie = "sid=abc" } }:header_values "Cookie")
  end)
end)
