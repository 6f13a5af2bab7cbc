-- `moongate convert`, as the program that people run.
local E = require "moongate.e2e"

local function convert(name, text)
  return E.run { args = { "convert", "CONFIG" }, config = text, name = name }
end

describe("convert", function()
  it("prints the native file", function()
    local res = convert("routes.json",
      '{"routes": [{"path_pattern": "/a/*", "service": "a", "version": "v1", "backends": ["a-1:80", "a-2"]}]}')
    assert.same({ 0, "" }, { res.status, res.stderr })
    assert.equal([[
# From routes.json, a file of routes JSON.
services:
  a-v1: { backends: [a-1:80, a-2], label: a }
routes:
  - { match: /a/*, service: a-v1, version: v1 }
]], res.stdout)
    local checked = E.run { args = { "check", "CONFIG" }, config = res.stdout }
    assert.same({ 0, "moongate.yaml: ok\n" }, { checked.status, checked.stdout })
  end)

  it("needs no variables", function()
    local res = convert("gateway.config.js", [[
module.exports = {
  http: { port: process.env.NOWHERE_SET },
  apiEndpoints: { a: {} }, serviceEndpoints: { s: { url: 'http://s' } },
  pipelines: { p: { apiEndpoints: ['a'], policies: [{ proxy: { action: { serviceEndpoint: 's' } } }] } },
}]])
    assert.same({ 0, "" }, { res.status, res.stderr })
    assert.matches('listen: "${NOWHERE_SET}"', res.stdout, 1, true)
  end)

  it("tells what is wrong with the lines of the file", function()
    local res = convert("config.yml", "routes:\n  - { path_prefix: /a, backend: b }\nbackends: []\n")
    assert.equal(1, res.status)
    assert.matches("config.yml:2:33: routes[0].backend: unknown backend 'b'", res.stderr, 1, true)
    assert.equal("", res.stdout)
    res = convert("gateway.yml", "serviceEndpoints: {}\npipelines: { p: { apiEndpoints: [a] } }\n")
    assert.equal(1, res.status)
    assert.matches("gateway.yml:1:1: apiEndpoints: is required (map)\nserviceEndpoints:", res.stderr, 1, true)
    res = convert("a.yaml", "listen: 80\nroutes: [\n")
    assert.equal(1, res.status)
    assert.matches("a.yaml:3:1: did not find expected node content", res.stderr, 1, true)
    assert.matches("a.yaml:1:1: expected map, got list\n- a\n^\n", convert("a.yaml", "- a\n").stderr, 1, true)
  end)

  it("takes one file", function()
    for _, args in ipairs { { "convert" }, { "convert", "a", "b" }, { "convert", "-x" } } do
      assert.equal(2, E.run { args = args }.status)
    end
    assert.equal(1, E.run { args = { "convert", "/nowhere/at/all" } }.status)
  end)
end)
