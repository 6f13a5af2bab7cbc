local T = require "moongate.test"

local function answer(conf, request)
  local t = T.new { policies = { { respond = conf } }, upstreams = { api = { body = "ok" } } }
  local res = t:request(request or "/")
  return res, t
end

-- Calls fn(file, base, config): file(text, ending) writes a file whose name begins with `base`, and gives the name; a
-- config called `config` is beside it.
local function with_files(fn)
  local base, written = os.tmpname(), {}
  written[1] = base
  local function file(text, ending)
    local path = base .. ending
    written[#written + 1] = path
    local handle = assert(io.open(path, "wb"))
    handle:write(text)
    handle:close()
    return path:match "[^/]+$"
  end
  local ok, fault = pcall(fn, file, base:match "[^/]+$", base:match "^.*/" .. "moongate.yaml")
  for _, path in ipairs(written) do os.remove(path) end
  if not ok then error(fault, 0) end
end

describe("respond", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "respond", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("takes a status from 200 on", function()
      assert.truthy(T.validate(require "respond", { status = 200 }))
      refuses({ status = 199 }, "respond.status")
    end)

    it("takes a template's name of 1 to 1024 bytes", function()
      assert.truthy(T.validate(require "respond", { template = "a" }))
      assert.truthy(T.validate(require "respond", { template = ("a"):rep(1024) }))
      refuses({ template = "" }, "respond.template: must have at least 1")
      refuses({ template = ("a"):rep(1025) }, "respond.template: must have at most 1024")
    end)

    it("tells what is wrong in JSON when it is loaded", function()
      local ok, err = pcall(answer, { json = { a = "${nonsense}" } })
      assert.is_false(ok)
      assert.matches(": json: unknown name 'nonsense'", err, 1, true)
      ok, err = pcall(answer, { json = { a = "\xff" } })
      assert.is_false(ok)
      assert.matches(": json: ", err, 1, true)
      assert.not_matches("respond.lua", err, 1, true)
    end)

    it("takes one body", function()
      refuses({ body = "a", json = {} }, "one of 'body', 'json' and 'template'")
      refuses({ body = "a", template = "x" }, "one of 'body', 'json' and 'template'")
    end)

    it("wants a body for keep", function() refuses({ status = "keep" }, "respond.status: needs 'body'") end)

    it("names the path of a bad field", function()
      refuses({ status = 99 }, "respond.status")
      refuses({ status = "stay" }, "respond.status")
      refuses({ body = "${nonsense}" }, "respond.body: unknown name 'nonsense'")
      refuses({ headers = { A = "x\r\ny" } }, "respond.headers.A")
      refuses({ delay = "soon" }, "respond.delay: expected duration")
    end)
  end)

  describe("answering", function()
    it("does not ask the backend", function()
      local res, t = answer { body = "hello" }
      assert.status(res, 200)
      assert.equal("hello", res:text())
      assert.header(res, "Content-Type", "text/plain; charset=utf-8")
      assert.equal(0, (t:seen "api"))
      assert.equal(0, t:now())
    end)

    it("sends a status alone", function()
      local res = answer { status = 204 }
      assert.status(res, 204)
      assert.equal("", res:text())
      assert.is_nil(res:header "Content-Type")
    end)

    it("sends JSON", function()
      local res = answer { status = 201, json = { a = { 1, 2 }, b = "x" } }
      assert.status(res, 201)
      assert.header(res, "Content-Type", "application/json")
      assert.equal('{"a":[1,2],"b":"x"}', res:text())
    end)

    it("sends the names of JSON in their order", function()
      local json, wanted = {}, {}
      for i = 1, 26 do
        local name = string.char(96 + i)
        json[name], wanted[i] = i, ('"%s":%d'):format(name, i)
      end
      assert.equal("{" .. table.concat(wanted, ",") .. "}", answer({ json = json }):text())
    end)

    it("sends the headers in their order, and the content type among them", function()
      local headers, wanted, found = { ["content-TYPE"] = "a/b" }, {}, {}
      for i = 1, 26 do
        wanted[i] = "X-" .. string.char(64 + i)
        headers[wanted[i]] = "v"
      end
      local res = answer { body = "x", headers = headers }
      for name in res:headers() do
        if headers[name] == "v" then found[#found + 1] = name end
      end
      assert.same(wanted, found)
      assert.same({ "a/b" }, res:header_values "Content-Type")
      assert.header(answer { body = "x", headers = { A = "a/b" } }, "Content-Type", "text/plain; charset=utf-8")
    end)

    it("fills in the content type", function()
      local conf = { body = "<${arg.a}>", headers = { ["Content-Type"] = "text/html; charset=${arg.c}" } }
      local res = answer(conf, "/?a=%3C&c=utf-8")
      assert.same({ "text/html; charset=utf-8" }, res:header_values "Content-Type")
      assert.equal("<&lt;>", res:text())
      assert.header(answer(conf, "/?c=%0d"), "Content-Type", "text/plain; charset=utf-8")
    end)

    it("fills in expressions", function()
      assert.equal("GET /a", answer({ body = "${method} ${path}" }, "/a"):text())
      local res = answer({ status = 302, headers = { Location = "https://x.example${path}" } }, "/a")
      assert.header(res, "Location", "https://x.example/a")
    end)

    it("escapes what clients send", function()
      local evil = { path = "/", headers = { x = '"}\\<b>&' } }
      assert.same({ v = '"}\\<b>&' }, answer({ json = { v = "${header.x}" } }, evil):json())
      local html = { body = "<p>${header.x}</p>", headers = { ["content-type"] = "text/html" } }
      assert.equal("<p>&quot;}\\&lt;b&gt;&amp;</p>", answer(html, evil):text())
      html.body = "<p>${header.y}</p>"
      assert.equal("<p>&#39;</p>", answer(html, { headers = { y = "'" } }):text())
      for kind, wanted in pairs { ["image/svg+xml"] = "&lt;", json = "<", ["text/html"] = "&lt;", ["a/b"] = "<" } do
        local conf = { body = "${arg.a}", headers = { ["Content-Type"] = kind } }
        assert.equal(wanted, answer(conf, "/?a=%3C"):text())
      end
      local conf = { body = "${arg.a}", headers = { ["Content-Type"] = "json" } }
      assert.equal('\\"', answer(conf, "/?a=%22"):text())
      assert.equal('"}\\<b>&', answer({ body = "${header.x}" }, evil):text())
      assert.same({ v = "?" }, answer({ json = { v = "${header.x}" } }, { headers = { x = "\xff" } }):json())
    end)

    it("leaves out a header that a client made unfit", function()
      local res = answer({ headers = { A = "${arg.a}" } }, "/?a=%0d%0aB:1")
      assert.status(res, 200)
      assert.is_nil(res:header "A")
      assert.is_nil(res:header "B")
    end)

    it("waits before it answers", function()
      for _, seconds in ipairs { 2, 1, 0.5 } do
        local _, t = answer { body = "late", delay = seconds }
        assert.near(seconds, t:now(), 1e-6)
      end
    end)
  end)

  describe("status: keep", function()
    local function page(conf, upstream)
      local t = T.new { policies = { { respond = conf } }, upstreams = { api = upstream } }
      return t:request "/"
    end

    it("replaces the body and keeps the rest", function()
      local res = page({ status = "keep", body = "sorry: ${status}" },
        { status = 429, headers = { ["Retry-After"] = "7" }, json = {} })
      assert.status(res, 429)
      assert.equal("sorry: 429", res:text())
      assert.header(res, "Retry-After", "7")
      assert.header(res, "Content-Type", "text/plain; charset=utf-8")
    end)

    it("waits, and sets headers", function()
      for _, seconds in ipairs { 1, 0.5, 0 } do
        local t = T.new {
          policies = { { respond = { status = "keep", body = "x", delay = seconds, headers = { A = "${status}" } } } },
          upstreams = { api = { status = 418 } },
        }
        assert.header(t:request "/", "A", "418")
        assert.near(seconds, t:now(), 1e-6)
      end
    end)

    it("is an error page on upstream failures", function()
      local res = page({ status = "keep", json = { error = "${status}" } }, { error = "refused" })
      assert.status(res, 503)
      assert.json(res, { error = "503" })
    end)

    it("stands in on_error, for the gateway's own answers", function()
      local function route(upstream)
        return T.new {
          upstreams = { api = upstream },
          config = { routes = { {
            match = "/*", service = "api",
            on_error = { { respond = { body = "page ${status}" } } },
          } } },
        }:request "/"
      end
      local res = route { error = "refused" }
      assert.status(res, 503)
      assert.equal("page 503", res:text())
      assert.equal("own page", route({ status = 500, body = "own page" }):text())
    end)
  end)

  describe("template", function()
    -- The answer of a route with this step, in a config whose folder has the files.
    local function load(file, where, conf, upstream)
      local config = ([[
        services: { api: { backends: ["10.0.0.1:80"] } }
        routes: [{ match: /*, service: api, %s: [{ respond: %s }] }]
      ]]):format(where, conf)
      return T.load(file, { text = config, upstreams = { api = upstream or { body = "own" } } })
    end

    local function refuses(file, where, conf, what)
      local ok, err = pcall(load, file, where, conf)
      assert.is_false(ok)
      assert.matches(what, err, 1, true)
      assert.not_matches("respond.lua", err, 1, true)
    end

    it("is a file beside the config, its type that of its ending", function()
      with_files(function(file, _, config)
        local types = {
          json = "application/json", html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8",
          xml = "application/xml", txt = "text/plain; charset=utf-8", other = "text/plain; charset=utf-8",
        }
        for ending, content_type in pairs(types) do
          local name = file("<${path}>", "." .. ending)
          local t = load(config, "policies", ("{ template: %s }"):format(name), { status = 404 })
          local res = t:request "/x"
          assert.equal(0, (t:seen "api"))
          assert.status(res, 200)
          assert.equal("</x>", res:text())
          assert.header(res, "Content-Type", content_type)
        end
      end)
    end)

    it("has a {status} in its name: that of the answer, when it is known", function()
      with_files(function(file, base, config)
        file("gone: ${path}", "-410.txt")
        local conf = ("{ status: 410, template: '%s-{status}.txt' }"):format(base)
        local res = load(config, "policies", conf):request "/"
        assert.status(res, 410)
        assert.equal("gone: /", res:text())
      end)
    end)

    it("has a {status} in its name: that of what comes back, if there is such a file", function()
      with_files(function(file, base, config)
        for _, status in ipairs { 199, 600 } do file("${nonsense}", "-" .. status .. ".txt") end -- not looked at
        for _, status in ipairs { 200, 404, 599 } do file("page ${status}", "-" .. status .. ".txt") end
        local conf = ("{ template: '%s-{status}.txt' }"):format(base)
        local function page(status, with)
          local t = load(config, "policies", with or conf, { status = status, body = "own" })
          local res = t:request "/"
          assert.status(res, status)
          return res:text()
        end
        assert.equal("page 200", page(200))
        assert.equal("page 404", page(404))
        assert.equal("page 599", page(599))
        assert.equal("own", page(500))
        assert.equal("page 404", page(404, ("{ status: keep, template: '%s-{status}.txt' }"):format(base)))
        assert.equal("page 500", page(500, ("{ status: keep, template: '%s-200.txt' }"):format(base)))
      end)
    end)

    it("is an error page in on_error", function()
      with_files(function(file, _, config)
        local name = file("page ${status}", ".txt")
        local t = load(config, "on_error", ("{ template: %s }"):format(name), { error = "refused" })
        local res = t:request "/"
        assert.status(res, 503)
        assert.equal("page 503", res:text())
      end)
    end)

    it("must be there, and right", function()
      with_files(function(file, base, config)
        local name = file("${nonsense}", "-404.txt")
        refuses(config, "policies", ("{ template: %s }"):format(name), name .. ": unknown name 'nonsense'")
        refuses(config, "policies", ("{ template: '%s-{status}.txt' }"):format(base), name .. ": unknown name")
        refuses(config, "policies", ("{ template: %s.none }"):format(base),
          (": cannot read '%s.none'"):format(base))
        refuses(config, "policies", ("{ template: '%s.{status}' }"):format(base),
          (": there is no file '%s.{status}' for any status"):format(base))
        name = file(("x"):rep(1048577), "-500.json")
        refuses(config, "policies", ("{ template: '%s-{status}.json' }"):format(base),
          (": cannot read '%s': not a file of at most 1 MiB"):format(name))
      end)
    end)
  end)
end)
