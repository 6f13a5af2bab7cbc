-- The examples of the READMEs do what they say, and lua/README.md has one for each call. How examples are tested:
-- tests/spec/readme/examples.lua and blocks.lua.

require "moongate.test" -- from here on modules beside the spec are found

local blocks_of = require "readme.blocks"
local calls = require "readme.calls"
local examples = require "readme.examples"
local json = require "moongate".json
local stubs = require "lint.stubs"

local REFERENCE = "lua/README.md"
local FILES = { "README.md", REFERENCE, "policies/README.md" }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function lines_of(command)
  local pipe, out = assert(io.popen(command)), {}
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  return out
end

for _, path in ipairs(lines_of "ls policies/*/README.md") do FILES[#FILES + 1] = path end

-- Beside it lies what examples read.
local folder = lines_of "mktemp -d"[1]
os.execute(("mkdir %s/policies %s/errors"):format(folder, folder))
local page = assert(io.open(folder .. "/errors/404.html", "w"))
page:write "<h1>Nothing here</h1>\n"
page:close()
local key = assert(io.open(folder .. "/session.key", "w"))
key:write(("k"):rep(32))
key:close()

local blocks = {}
for _, path in ipairs(FILES) do
  blocks[path] = blocks_of(read(path))
  examples.write_modules(blocks[path], folder)
end

local function first_words(block)
  for _, line in ipairs(block) do
    local words = line:match "^%s*(.-)%s*$"
    if words ~= "" and not words:find "^%-%-" then return words:sub(1, 50) end
  end
  return ""
end

describe("the examples of", function()
  teardown(function() os.execute("rm -r " .. folder) end)

  for _, path in ipairs(FILES) do
    describe(path, function()
      it("are all tested, or it is said why not", function() assert.same({}, examples.untested(blocks[path])) end)

      for _, block in ipairs(blocks[path]) do
        local kind, name = block.note and block.note.kind, ("%d: %s"):format(block.line, first_words(block))
        if kind == "spec" then
          examples.spec(block, folder, _ENV)()
        elseif block.lang == "json" then
          it(name, function() assert(json.decode(block.text)) end)
        elseif kind or block.lang == "yaml" and not block.note then
          it(name, function() examples.run(block, path, folder, _ENV) end)
        end
      end
    end)
  end
end)

-- ------------------------------------------------------------------------------------------------ the reference

local function read_stubs()
  local classes = {}
  for _, name in ipairs { "moongate", "moongate.schema", "moongate.test" } do
    local _, findings = stubs.read(read(("lua/stubs/%s.lua"):format(name)), classes)
    assert.same({}, findings)
  end
  return classes
end

describe(REFERENCE, function()
  local classes, text = read_stubs(), read(REFERENCE)
  local all = calls.all(classes)

  it("has an example of each call", function()
    assert.same({}, calls.without_example(all, examples.code(blocks[REFERENCE])))
  end)

  it("tells of each call", function() assert.same({}, calls.without_words(all, text)) end)

  it("tells of no call that does not exist", function() assert.same({}, calls.unknown(classes, text)) end)

  it("has the options of mg.fetch in a table", function()
    local rows, names = {}, {}
    for cells in text:match("\n| option | type | |\n[^\n]*\n(.-)\n\n"):gmatch "| (`.-) |" do
      for name in cells:gmatch "`([%w_]+)`" do rows[name] = true end
    end
    for name in pairs(stubs.members(classes, "moongate.FetchOptions")) do names[name] = true end
    assert.same(names, rows)
  end)
end)

-- ------------------------------------------------------------------------------------------------ the checks

local function block_of(lines)
  return blocks_of(table.concat(lines, "\n"))[1]
end

local function fault_of(lines)
  local _, fault = pcall(examples.run, block_of(lines), "x.md", ".", _ENV)
  return tostring(fault)
end

describe("the check of examples finds", function()
  it("blocks that nobody runs", function()
    local found = examples.untested(blocks_of [[
```lua
x
```
<!-- test request -->
```lua
x
```
<!-- no test: it is about something else -->
```lua
x
```
<!-- test request -->
A note is for the block right below it.
```lua
x
```
```yaml
x: y
```
```sh
x
```
]])
    assert.equal(3, #found)
    for i, line in ipairs { 2, 15, 21 } do
      assert.matches(("line %d: nobody runs it"):format(line), found[i], 1, true)
    end
  end)

  it("notes that cannot be read", function()
    assert.has_error(function() blocks_of "<!-- test !? -->" end, "line 1: this note cannot be read")
  end)

  local cases = {
    { "another value", { "<!-- test request -->", "```lua", "1 + 1        --> 2", "1 + 2        --> 4", "```" },
      "line 4: --> 4\n  is: 3" },
    { "another value of a local", { "<!-- test new -->", "```lua", "local a, b = 1, {}   --> 1, []", "```" },
      "line 3: --> 1, []\n  is: 1, {}" },
    { "a line that is not reached",
      { "<!-- test request -->", "```lua", "if req.method == 'PUT' then", "1 --> 1", "end", "```" },
      "line 4: was not reached" },
    { "a step that fails", { "<!-- test response -->", "```lua", "res:no_such_method()", "```" },
      "attempt to call a nil value (method 'no_such_method')" },
    { "what the note expects",
      { "<!-- test request", "assert.status(t:request '/', 201)", "-->", "```lua", "local x = 1", "```" },
      "expected status 201" },
    { "a kind that does not exist", { "<!-- test reqest -->", "```lua", "local x = 1", "```" },
      "there is no kind of test 'reqest'" },
    { "a step that the check refuses", { "```yaml", "- cors: { orgins: '*' }", "```" },
      "cors.orgins: unknown field, did you mean 'origins'?" },
    { "a config that the check refuses", { "```yaml", "limit: { headers: 10 }", "```" },
      "limit: unknown field, did you mean 'limits'?" },
    { "what the note of a config expects",
      { "<!-- test: assert.status(t:request '/', 201) -->", "```yaml", "- respond: {}", "```" },
      "expected status 201" },
  }
  for _, case in ipairs(cases) do
    local what, lines, fault = table.unpack(case)
    it(what, function() assert.matches(fault, fault_of(lines), 1, true) end)
  end

  it("nothing else", function()
    assert.equal("nil", fault_of {
      "<!-- test request -->", "```lua", "local n = #req.id   --> 32", "{ n, 'a' }  --> [3…,…]", "```",
    })
  end)
end)

describe("the check of the reference finds", function()
  local classes = read_stubs()
  local all, code, text = calls.all(classes), examples.code(blocks[REFERENCE]), read(REFERENCE)

  for what, call in pairs {
    ["mg.race("] = "mg.race", ["mg.crypto.hex.encode"] = "mg.crypto.hex.encode", ["req.raw_path"] = "req.raw_path",
    ["dict:cas("] = "dict.cas", ["s.cidr"] = "s.cidr", ["t:settle"] = "t.settle",
    ["retries ="] = "retries (of moongate.FetchOptions)",
  } do
    it("that no example has " .. call, function()
      assert.same({ call }, calls.without_example(all, (code:gsub(what:gsub("%p", "%%%0"), "x"))))
    end)
  end

  it("that it does not tell of a call", function()
    assert.same({ "req.cookie" }, calls.without_words(all, (text:gsub("cookie", "biscuit"))))
  end)

  it("that it tells of a call that is not there", function()
    local prose = "`mg.saml.sign(x)`, `req:headr(name)`, `mg.crypto.md5`, `mg.url.parse`, `res.status`, `x.lua`"
    assert.same({ "mg.saml", "req.headr", "mg.crypto.md5" }, calls.unknown(classes, prose))
  end)
end)
