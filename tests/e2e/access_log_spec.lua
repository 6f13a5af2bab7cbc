-- One line for each request: what is in it, in which form, and where it goes.

local E = require "moongate.e2e"
local json = require "dkjson"

local REPLY = { { lua = "return function(req) return mg.reply(201, 'hello') end" } }

local function read(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

local function wait_lines(path, count)
  local lines
  E.until_true(function()
    lines = {}
    for line in read(path):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    return #lines >= count
  end)
  assert.equal(count, #lines)
  return lines
end

local function start(access, more)
  local config = { routes = { { name = "r", match = "/*", policies = REPLY } }, log = { access = access } }
  for key, value in pairs(more or {}) do config[key] = value end
  return E.start { config = config }
end

describe("the combined format", function()
  it("is Apache's", function()
    local g = start { format = "combined", to = "access.log" }
    g:get("/a/../b?c=d", { headers = { Referer = "http://from/", ["User-Agent"] = "agent/1.0" } })
    local line = wait_lines(g.folder .. "/access.log", 1)[1]
    assert.match('^127%.0%.0%.1 %- %- %[%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d %+0000%] '
      .. '"GET /a/%.%./b%?c=d HTTP/1%.1" 201 5 "http://from/" "agent/1%.0"$', line)
  end)

  it("says who it was, and has a dash for what is not there", function()
    local g = start({ format = "combined", to = "access.log" }, {
      routes = { { match = "/*", policies = { { lua = [[return function(req)
        req.auth = { subject = "ann" }
        return mg.reply(204)
      end]] } } } },
    })
    g:get "/"
    assert.match('^127%.0%.0%.1 %- ann %[.*%] "GET / HTTP/1%.1" 204 0 "%-" "%-"$',
      wait_lines(g.folder .. "/access.log", 1)[1])
  end)

  it("cannot be forged by a client", function()
    local g = start { format = "combined", to = "access.log" }
    g:get("/", { headers = { ["User-Agent"] = [[x" 200 "\ y]] } })
    assert.match([["x\x22 200 \x22\x5c y"]], wait_lines(g.folder .. "/access.log", 1)[1], 1, true)
  end)
end)

describe("header fields with secrets", function()
  local HEADERS = { Authorization = "Bearer hush", Cookie = "a=hush", ["X-Session"] = "hush", ["X-Tenant"] = "blue" }

  it("are not shown by a template", function()
    local g = start { to = "access.log",
      format = "${header.authorization} ${header.cookie} ${header.x_session} ${header.x-tenant}",
    }
    g:get("/", { headers = HEADERS })
    assert.equal("[redacted] [redacted] - blue", wait_lines(g.folder .. "/access.log", 1)[1])
  end)

  it("are those that the config names, too", function()
    local g = E.start { config = {
      routes = { { match = "/*", policies = REPLY } },
      log = { redact = { "X-Session", "user-agent" },
        access = { to = "access.log", fields = { s = "s:${header.x-session}", t = "t:${header.x-tenant}" } } },
    } }
    g:get("/", { headers = HEADERS })
    local line = json.decode(wait_lines(g.folder .. "/access.log", 1)[1])
    assert.same({ "s:[redacted]", "t:blue", "[redacted]" }, { line.s, line.t, line.user_agent })
  end)
end)

describe("JSON lines", function()
  it("tell of route, service, backend, attempts, times and bytes", function()
    local up = E.upstream { body = "hello" }
    local g = start({ to = "access.log", fields = { tenant = "t-${header.x-tenant}" } }, {
      services = { up = { backends = { "127.0.0.1:" .. E.refused(), up.address } } },
      routes = { { name = "r", match = "/*", service = "up" } },
    })
    local res = g:get("/x?y=1", { headers = { ["X-Tenant"] = "blue" } })
    assert.status(res, 200)
    local line = json.decode(wait_lines(g.folder .. "/access.log", 1)[1])
    assert.equal("r", line.route)
    assert.equal("up", line.service)
    assert.equal(up.address, line.backend)
    assert.equal(2, line.attempts)
    assert.equal(200, line.status)
    assert.equal(5, line.bytes)
    assert.equal("/x?y=1", line.url)
    assert.equal("upstream", line.source)
    assert.equal("t-blue", line.tenant)
    assert.match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", line.time)
    assert.is_true(line.duration_ms >= line.first_byte_ms)
    assert.equal(32, #line.request_id)
  end)

  it("say who made the response", function()
    local up = E.upstream { body = "hello", headers = { ["Cache-Control"] = "max-age=60" } }
    local g = start({ to = "access.log", format = "${url} ${source} ${error}" }, {
      services = { up = { backends = { up.address } } },
      routes = {
        { match = "/up", service = "up" }, { match = "/kept", service = "up", policies = { { cache = {} } } },
        { match = "/own", policies = REPLY },
      },
    })
    for _, path in ipairs { "/up", "/kept", "/kept", "/own", "/none" } do g:get(path) end
    local seen = {}
    for _, line in ipairs(wait_lines(g.folder .. "/access.log", 5)) do seen[line] = true end
    for _, line in ipairs { "/up upstream -", "/kept cache -", "/own policy -", "/none gateway no_route" } do
      assert.is_true(seen[line], line)
    end
  end)

  it("say why a request ended early", function()
    local up = E.upstream(function() E.sleep(5) end)
    local g = start({ to = "access.log" }, {
      services = { up = { backends = { up.address } } }, routes = { { match = "/*", service = "up" } },
    })
    local client = g:connect()
    client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    E.eventually(function() assert.called(up, 1) end)
    client:close()
    local line = json.decode(wait_lines(g.folder .. "/access.log", 1)[1])
    assert.is_nil(line.status)
    assert.is_string(line.reason)
  end)

  it("are UTF-8, whatever the client sent", function()
    local g = start { to = "access.log" }
    g:raw "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\r\nConnection: close\r\n\r\n"
    assert.equal("\u{ff}\u{fe}", json.decode(wait_lines(g.folder .. "/access.log", 1)[1]).user_agent)
  end)
end)

describe("the access log", function()
  it("is off unless the config wants it", function()
    local g = start(nil)
    g:get "/"
    g:stop()
    assert.not_match("HTTP", g.process:stdout())
    assert.not_match('"status"', g.process:stdout())
  end)

  it("goes to standard output, all of it before the process ends", function()
    local g = start { format = "${method} ${url} ${status}" }
    for i = 1, 50 do g:get("/" .. i) end
    g:stop()
    local _, count = g.process:stdout():gsub("GET /%d+ 201\n", "")
    assert.equal(50, count)
  end)

  it("has the lines of all workers, each whole", function()
    local g = start({ format = "${url} end", to = "access.log" }, { workers = 4 })
    E.times(8, function(n)
      for i = 1, 25 do g:get(("/%s/%d"):format(n, i)) end
    end)
    for _, line in ipairs(wait_lines(g.folder .. "/access.log", 200)) do assert.match("^/%S+ end$", line) end
  end)

  it("is opened anew on SIGUSR1", function()
    local g = start { format = "${url}", to = "access.log" }
    local path = g.folder .. "/access.log"
    g:get "/one"
    wait_lines(path, 1)
    assert(os.rename(path, path .. ".1"))
    g:get "/two"
    wait_lines(path .. ".1", 2)
    g.process:signal "USR1"
    E.eventually(function() -- once it is there, the next line may still go to the old one
      g:get "/three"
      assert.matches("^/three\n", read(path))
    end)
    assert.not_matches("/one", read(path), 1, true)
  end)

  it("follows a reload", function()
    local routes = { { match = "/*", policies = REPLY } }
    local g = E.start { config = { routes = routes, log = { access = { format = "a ${url}", to = "a.log" } } } }
    g:get "/1"
    assert.same({ "a /1" }, wait_lines(g.folder .. "/a.log", 1))
    assert.is_true(g:reload { routes = routes, log = { access = { format = "b ${url}", to = "b.log" } } })
    E.eventually(function()
      g:get "/2"
      assert.not_equal("", read(g.folder .. "/b.log"))
    end)
    assert.match("^b /2\n", read(g.folder .. "/b.log"))
  end)

  it("must be writable at the start", function()
    local result = E.run { config = "listen: 127.0.0.1:0\nlog: { access: { to: none/access.log } }\nroutes: []",
      args = { "run", "-c", "CONFIG" } }
    assert.equal(1, result.status)
    assert.match("log.access: cannot write to 'none/access.log': No such file", result.stderr, 1, true)
  end)
end)
