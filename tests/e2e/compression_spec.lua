-- Content codings between the running gateway and other people's programs: curl and gzip.
local E = require "moongate.e2e"

local TEXT = ("All work and no play makes Jack a dull boy. "):rep(20000)

-- A gateway before a backend that answers with the text, or with what it got.
local function start()
  local up = E.upstream(function(req)
    if req.method == "POST" then return { body = req.body, headers = { ["Content-Type"] = "text/plain" } } end
    return { headers = { ["Content-Type"] = "text/plain", ETag = '"1"' }, chunks = { TEXT:sub(1, 5), TEXT:sub(6) } }
  end)
  local g = E.start { config = {
    services = { api = { backends = { up.address } } },
    routes = {
      { match = "/gzip/*", service = "api", policies = { { compress = { codings = "gzip" } } } },
      { match = "/deflate/*", service = "api", policies = { { compress = { codings = "deflate" } } } },
      { match = "/*", service = "api", policies = { "compress", "decompress" } },
    },
  } }
  return g, up
end

local function curl(g, path, ...)
  local done = E.command { "curl", "-sS", "--fail", ("http://127.0.0.1:%d%s"):format(g.port, path), ... }
  assert.equal("", done.stderr)
  assert.equal(0, done.status)
  return done.stdout
end

describe("compress", function()
  it("is understood by curl, in each coding", function()
    local g = start()
    for path, codings in pairs { ["/"] = "br", ["/gzip/"] = "gzip", ["/deflate/"] = "deflate" } do
      local head = curl(g, path, "--compressed", "-H", "Accept-Encoding: " .. codings, "-o", "/dev/null", "-D", "-")
      assert.matches("\ncontent%-encoding: " .. codings, head:lower())
      assert.is_true(curl(g, path, "--compressed", "-H", "Accept-Encoding: " .. codings) == TEXT)
    end
    assert.is_true(curl(g, "/") == TEXT)
  end)

  it("is understood by gzip", function()
    local g = start()
    local file = g.folder .. "/answer.gz"
    curl(g, "/gzip/", "-H", "Accept-Encoding: gzip", "-o", file)
    assert.is_true(E.command({ "gzip", "-dc", file }).stdout == TEXT)
  end)

end)

describe("decompress", function()
  it("understands gzip", function()
    local g, up = start()
    local plain = g.folder .. "/body"
    local file = assert(io.open(plain, "wb"))
    file:write(TEXT)
    file:close()
    assert.equal(0, E.command({ "gzip", "-9", plain }).status)
    local got = curl(g, "/", "-H", "Content-Encoding: gzip", "--data-binary", "@" .. plain .. ".gz")
    assert.is_true(got == TEXT)
    assert.is_nil(up.seen[1]:header "Content-Encoding")
  end)
end)
