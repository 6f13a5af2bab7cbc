local T = require "moongate.test"

local function gateway(conf, more)
  local opts = { match = "/{id}", policies = { { template = conf } }, upstreams = { api = {} }, service = "api" }
  for key, value in pairs(more or {}) do opts[key] = value end
  return T.new(opts)
end

local function filled(conf, request)
  local t = gateway(conf)
  local res = t:request(request or "/7?q=a")
  assert.status(res, 200)
  assert.called(t, "api", 0)
  return res:text(), res
end

local function refuses(what, conf)
  local ok, err = T.validate(require "template", conf)
  assert.is_nil(ok)
  assert.matches(what, tostring(err), 1, true)
end

local EVIL = "/7?q=%22%27%3C%2Fscript%3E%26%0A%5C"
local VALUE = "\"'</script>&\n\\"

describe("template", function()
  it("wants a body, and one only", function()
    refuses("needs one of 'body' and 'file'", {})
    refuses("needs one of 'body' and 'file'", { body = "x", file = "x.html" })
    refuses("template.body: '${': expected a value, got the end", { body = "${" })
    refuses("body: '${product}': unknown name 'product'", { body = "${product}" })
    refuses("body: a map or list is JSON, not 'text/plain'", { body = { a = 1 }, content_type = "text/plain" })
    refuses("Content-Type is the option 'content_type'", { body = "x", headers = { ["content-type"] = "x" } })
  end)

  describe("answers", function()
    it("with a text", function()
      local text, res = filled { body = "Hello ${params.id}!", status = 200 }
      assert.equal("Hello 7!", text)
      assert.header(res, "Content-Type", "text/plain; charset=utf-8")
    end)

    it("with JSON", function()
      local text, res = filled { body = { id = "${params.id}", list = { "${1 + 1}", "x ${arg.q}" } } }
      assert.equal('{"id":"7","list":[2,"x a"]}', text)
      assert.header(res, "Content-Type", "application/json")
      text, res = filled { body = { a = 1 }, content_type = "application/vnd.x+json" }
      assert.equal('{"a":1}', text)
      assert.header(res, "Content-Type", "application/vnd.x+json")
    end)

    it("with a status and headers", function()
      local res = gateway({ body = "x", status = 404, headers = { ["X-Q"] = "${arg.q}", ["X-None"] = "${arg.none}",
        ["Cache-Control"] = "no-store" } }):request "/7?q=a"
      assert.status(res, 404)
      assert.header(res, "X-Q", "a")
      assert.header(res, "Cache-Control", "no-store")
      assert.is_nil(res:header "X-None")
      res = gateway({ body = "x", headers = { ["X-Q"] = "${arg.q}" } }):request "/7?q=a%0D%0AX-Evil:%201"
      assert.is_nil(res:header "X-Q")
      assert.is_nil(res:header "X-Evil")
    end)

    it("with what steps before have left", function()
      local t = gateway({ body = "${ctx.who.name} is ${auth.subject}, ${claims.role}" }, { policies = {
        { lua = "return { request = function(req) req.ctx.who = { name = 'Ann' } end }" },
        { template = { body = "${ctx.who.name} is ${auth.subject}, ${claims.role}" } },
      } })
      local res = t:request { path = "/7", auth = { subject = "ann", claims = { role = "admin" } } }
      assert.equal("Ann is ann, admin", res:text())
    end)

    it("with a file", function()
      local path = os.tmpname()
      local folder, name = path:match "^(.*/)(.*)$"
      local function load(text, more)
        local file = assert(io.open(path .. ".html", "wb"))
        file:write(text)
        file:close()
        local ok, t = pcall(T.load, folder .. "x.yaml", { upstreams = {}, text = ([[
          routes: [{ match: /*, policies: [{ template: { file: %s.html%s } }] }] ]]):format(name, more or "") })
        os.remove(path .. ".html")
        return t, ok
      end
      local res = load("<p>${arg.q}</p>"):request "/7?q=%3Cb%3E"
      os.remove(path)
      assert.equal("<p>&lt;b&gt;</p>", res:text())
      assert.header(res, "Content-Type", "text/html; charset=utf-8")
      for text, what in pairs {
        ["<script>${arg.q}</script>"] = name .. ".html: in <script> there is no escape", ["${nobody}"] = "unknown name",
      } do
        local fault, ok = load(text)
        assert.is_false(ok)
        assert.matches(what, tostring(fault), 1, true)
      end
      local fault, ok = load("x", ".not")
      assert.is_false(ok)
      assert.matches(".html.not", tostring(fault), 1, true)
    end)
  end)

  describe("keeps values harmless", function()
    it("in JSON, as a tree and as a text", function()
      local mg = require "moongate"
      for _, body in ipairs { { v = "${arg.q}", w = "<${arg.q}>" }, '{"v": "${arg.q}", "w": "<${arg.q}>"}' } do
        local text = filled({ body = body, content_type = "application/json" }, EVIL)
        assert.same({ v = VALUE, w = "<" .. VALUE .. ">" }, (mg.json.decode(text)))
      end
      local body = '{ "b\\"" : "x\\"y", "a": ["${number(arg.n)}", 1.50]}'
      local text = filled({ body = body, content_type = "application/json" }, "/7?n=3")
      assert.equal('{ "b\\"" : "x\\"y", "a": [3, 1.50]}', text)
      refuses("no JSON", { body = '{"v": ${arg.q}}', content_type = "application/json" })
      refuses("a name cannot have an expression", { body = '{"${arg.q}": 1}', content_type = "text/json" })
    end)

    local HTML = "text/html"
    it("in HTML, in text and attributes", function()
      local escaped = "&quot;&#39;&lt;/script&gt;&amp;\n\\"
      for body, expected in pairs {
        ["<p>${arg.q}</p>"] = "<p>" .. escaped .. "</p>",
        ["<p title=\"${arg.q}\" class='a ${arg.q}'>x"] = "<p title=\"" .. escaped .. "\" class='a " .. escaped .. "'>x",
        ["1 < 2 ${arg.q}"] = "1 < 2 " .. escaped,
        ["<script>1</script>${arg.q}"] = "<script>1</script>" .. escaped,
        ["<!-- x -->${arg.q}<!doctype html>"] = "<!-- x -->" .. escaped .. "<!doctype html>",
        ["<input disabled value = \"${arg.q}\"/>"] = "<input disabled value = \"" .. escaped .. "\"/>",
      } do
        assert.equal(expected, (filled({ body = body, content_type = HTML }, EVIL)))
        assert.equal(expected, (filled({ body = body, content_type = "application/xhtml+xml" }, EVIL)))
      end
    end)

    it("in addresses", function()
      local encoded = "%22%27%3C%2Fscript%3E%26%0A%5C"
      for body, expected in pairs {
        ['<a href="/x/${arg.q}?a=${arg.q}">'] = '<a href="/x/' .. encoded .. "?a=" .. encoded .. '">',
        ['<a HREF="${arg.q}">'] = '<a HREF="' .. encoded .. '">',
        ['<img src="https://x.example/${arg.q}">'] = '<img src="https://x.example/' .. encoded .. '">',
        ['<a href="mailto:${arg.q}">'] = '<a href="mailto:' .. encoded .. '">',
        ['<meta content="0; url=/${arg.q}">'] = '<meta content="0; url=/' .. encoded .. '">',
      } do
        assert.equal(expected, (filled({ body = body, content_type = HTML }, EVIL)))
      end
      assert.equal('<a href="javascript%3Aalert%281%29">',
        (filled({ body = '<a href="${arg.q}">', content_type = HTML }, "/7?q=javascript:alert(1)")))
    end)

    for body, what in pairs {
      ["<script>var x = '${arg.q}'</script>"] = "in <script> there is no escape",
      ["<SCRIPT >${arg.q}"] = "in <script> there is no escape", ["<style>${arg.q}</style>"] = "in <style>",
      ["<script></p>${arg.q}</script>"] = "in <script>", ["<!-- ${arg.q} -->"] = "in a comment",
      ["<p ${arg.q}>"] = "inside of a tag", ["<p a=${arg.q}>"] = "inside of a tag",
      ["<p a=b${arg.q}>"] = "inside of a tag",
      ["<${arg.q}>"] = "inside of a tag", ["</${arg.q}>"] = "inside of a tag",
      ["<p${arg.q}>"] = "inside of a tag",
      ["<p 'a'=\"x\" ${arg.q}"] = "inside of a tag", ["<p/${arg.q}"] = "inside of a tag",
      ['<p onclick="${arg.q}">'] = "in the attribute 'onclick'",
      ['<p STYLE="a: ${arg.q}">'] = "in the attribute 'style'",
      ['<iframe srcdoc="${arg.q}">'] = "in the attribute 'srcdoc'", ["<!doctype ${arg.q}>"] = "in a declaration",
      ['<a href="javascript:${arg.q}">'] = "in an address of the kind 'javascript:'",
      ['<a href=" data:text/html,${arg.q}">'] = "in an address of the kind 'data:'",
      ["<svg><script>${arg.q}</script></svg>"] = "in <script>",
    } do
      it("or refuses " .. body, function()
        refuses(what, { body = body, content_type = "text/html; charset=utf-8" })
        refuses(what, { body = body, content_type = "image/svg+xml" })
      end)
    end

    it("in forms, and nowhere else", function()
      assert.equal("a=%22%27%3C%2Fscript%3E%26%0A%5C&b=1",
        (filled({ body = "a=${arg.q}&b=1", content_type = "application/x-www-form-urlencoded" }, EVIL)))
      assert.equal(VALUE, (filled({ body = "${arg.q}" }, EVIL)))
      refuses("how values are made harmless in 'text/css' is not known",
        { body = "a ${arg.q}", content_type = "text/css" })
      assert.equal("a { }", (filled { body = "a { }", content_type = "text/css" }))
    end)
  end)
end)
