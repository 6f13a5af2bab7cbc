-- `moongate new policy` and `moongate policy`, as the program that people run.

local E = require "moongate.e2e"
local gateway = require "moongate.e2e.gateway"
local json = require "moongate".json
local process = require "moongate.e2e.process"

local OWN = [[
local s = require "moongate.schema"
local M = {
  name = "own", version = "2.1.0", summary = "One of our own", needs = { "identity" }, provides = { "tenant" },
  body = { request = "stream", response = "buffer" },
}
M.schema = s.record {
  limit = s.integer { required = true, ge = 1, le = 9, help = "how many" },
  by = s.record { header = s.header_name { help = "which one" } },
  rules = s.list(s.record { path = s.string { required = true } }, { help = "in this order" }),
  costs = s.map(s.integer { gt = 0, help = "of one method" }),
}
function M.new() return {} end
return M
]]

-- The program runs in the folder, which is made with these files and removed at the end of the test.
local folder

local function quote(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

local function write(files)
  for name, text in pairs(files) do
    local path = folder .. "/" .. name
    process.make_folder(path:match "^(.*)/")
    process.write(path, text)
  end
end

local function read(name) return process.read(folder .. "/" .. name) end

local function program()
  local path = gateway.program
  if path:sub(1, 1) == "/" then return path end
  local pipe = assert(io.popen "pwd")
  local here = pipe:read "l"
  pipe:close()
  return here .. "/" .. path
end

-- { status, stdout, stderr } of the program with these arguments.
local function run(...)
  local words = { "cd", quote(folder), "&& exec", quote(program()) }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  local kept = process.folder()
  local p = process.start(kept, "/bin/sh", { "-c", table.concat(words, " ") })
  local done = { status = p:wait(), stdout = p:stdout(), stderr = p:stderr() }
  p:kill()
  process.remove_folder(kept)
  return done
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("'%s' is not in:\n%s"):format(part, text))
end

describe("moongate new policy", function()
  before_each(function() folder = process.folder() end)
  after_each(function() process.remove_folder(folder) end)

  it("makes a policy, its README and its spec, which passes at once", function()
    local done = run("new", "policy", "first-one")
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
    has(done.stdout, "policies/first-one/first-one.lua\n")
    has(done.stdout, "policies/first-one/README.md\n")
    has(done.stdout, "policies/first-one/first-one_spec.lua\n")
    has(done.stdout, "moongate test policies/first-one")
    has(done.stdout, "- first-one: { header: X-Tenant }")

    done = run("test", "policies/first-one")
    assert.equal(0, done.status, done.stdout .. done.stderr)
    has(done.stdout, "6 successes / 0 failures / 0 errors / 0 pending")
    has(run("policy").stdout, "first-one  ")
    has(run("policy", "first-one").stdout, "header  header name; default X-Tenant")
    assert.matches("^# first%-one\n", read "policies/first-one/README.md")
  end)

  it("makes one that a config can use", function()
    run("new", "policy", "first-one")
    write { ["moongate.yaml"] = "routes: [{ match: /*, policies: [first-one, respond] }]" }
    local done = run "check"
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
  end)

  for _, name in ipairs { "a", "9to5", ("long"):rep(16) } do
    it("makes one that luacheck has nothing against: " .. name, function()
      assert.equal(0, run("new", "policy", name).status)
      assert.equal(0, run("test", "policies").status)
      local at = quote(("%s/policies/%s/%s"):format(folder, name, name))
      assert.is_true(os.execute(("luacheck -q --no-config --std lua54 %s.lua >/dev/null"):format(at)))
      assert.is_true(os.execute(("luacheck -q --no-config --std lua54+busted %s_spec.lua >/dev/null"):format(at)))
    end)
  end

  it("makes it elsewhere", function()
    local done = run("new", "policy", "x", "--dir", "a/b/")
    assert.equal(0, done.status)
    has(done.stdout, "a/b/x/x_spec.lua\n")
    has(done.stdout, "lua: { path: [a/b] }")
    assert.equal(0, run("test", "a/b").status)
  end)

  it("never overwrites a file, and makes none of the others then", function()
    for _, existing in ipairs { "x/x.lua", "x/README.md", "x/x_spec.lua", "x.lua" } do
      write { ["policies/" .. existing] = "mine" }
      local done = run("new", "policy", "x")
      assert.equal(1, done.status)
      assert.equal(("moongate new: policies/%s: File exists; nothing was made\n"):format(existing), done.stderr)
      assert.equal("mine", read("policies/" .. existing))
      process.remove_folder(folder .. "/policies")
    end
    write { ["policies/x/README.md"] = "mine" }
    run("new", "policy", "x")
    assert.is_nil(read "policies/x/x.lua")
    write { policies2 = "a file" }
    assert.equal(1, run("new", "policy", "x", "--dir", "policies2").status)
  end)

  local refused = {
    { { "new" }, "what? There is `policy`" },
    { { "new", "polcy", "x" }, "unknown thing 'polcy', did you mean 'policy'?" },
    { { "new", "policy" }, "a name is missing" },
    { { "new", "policy", "a", "b" }, "'b' is one more" },
    { { "new", "policy", "a", "--dri", "b" }, "unknown option '--dri', did you mean '--dir'?" },
    { { "new", "policy", "a", "--dir" }, "--dir needs a value" },
    { { "new", "policy", "" }, "'' is no name" },
    { { "new", "policy", "My_Policy" }, "'My_Policy' is no name of a policy: lower case letters, digits and hyphens, "
      .. "at most 64, such as 'my-policy'" },
    { { "new", "policy", "../x" }, "'../x' is no name" },
    { { "new", "policy", ("a"):rep(65) }, "is no name" },
    { { "new", "policy", "cors" }, "'cors' is the name of a built-in policy" },
    { { "new", "policy", "lua" }, "'lua' is the name of a built-in policy" },
    { { "new", "policy", "use" }, "'use' has a meaning of its own" },
    { { "new", "policy", "string" }, "'string' is the name of a Lua module" },
    { { "new", "policy", "busted" }, "'busted' is the name of a Lua module" },
  }
  for _, case in ipairs(refused) do
    it("refuses: " .. table.concat(case[1], " "), function()
      local done = run(table.unpack(case[1]))
      assert.equal(2, done.status)
      assert.equal("", done.stdout)
      has(done.stderr, "moongate new: ")
      has(done.stderr, case[2])
      assert.is_nil(process.read(folder .. "/policies"))
    end)
  end
end)

it("the example of a policy of one's own passes the check", function()
  local done = E.run { args = { "check", "examples/custom-policy/moongate.yaml" } }
  assert.equal("", done.stderr)
  assert.equal(0, done.status)
  done = E.run { args = { "policy", "-c", "examples/custom-policy/moongate.yaml", "idempotency" } }
  assert.equal(0, done.status)
  has(done.stdout, "idempotency 1.0.0, from examples/custom-policy/policies\n")
end)

describe("moongate policy", function()
  setup(function()
    folder = process.folder()
    write {
      ["policies/own.lua"] = OWN,
      ["policies/broken/broken.lua"] = "return {\n  name = \n}",
      ["conf/gateway.yaml"] = "lua: { path: [more, missing] }\nroutes: nonsense",
      ["conf/more/other/other.lua"] = 'return { name = "other", new = function() end }',
      ["conf/gateway.json"] = '{ "lua": { "path": "more" } }',
      ["project/moongate.yaml"] = "lua: { path: here }",
      ["project/here/mine.lua"] = 'return { name = "mine", summary = "Mine", new = function() end }',
    }
  end)
  teardown(function() process.remove_folder(folder) end)

  it("lists the built-in ones and one's own, and what cannot be loaded", function()
    local done = run "policy"
    assert.equal(1, done.status)
    assert.matches("^NAME +VERSION  FROM +SUMMARY\n", done.stdout)
    assert.matches("\ncors +%d+%.%d+%.%d+ +built in  Cross%-origin", done.stdout)
    assert.matches("\nlua +%- +built in  A step written in the config itself\n", done.stdout)
    assert.matches("\nown +2%.1%.0 +policies  One of our own\n", done.stdout)
    assert.matches("\nbroken +%- +policies  cannot be loaded: policies/broken/broken%.lua:3: ", done.stdout)
    local at
    for line in done.stdout:gmatch "[^\n]+" do -- the third column is aligned
      local start = line:find "%f[%w]built in  " or line:find "%f[%w]policies  " or line:find "FROM "
      at = at or start
      assert.equal(at, start)
    end
  end)

  it("looks where the config says", function()
    for _, config in ipairs { "conf/gateway.yaml", "conf/gateway.json", folder .. "/conf/gateway.yaml" } do
      local done = run("policy", "-c", config)
      assert.equal(0, done.status)
      assert.matches("\nother +%- +%S*conf/more\n", done.stdout)
      assert.is_nil(done.stdout:find "\nown ")
    end
    folder = folder .. "/project"
    local done = run "policy"
    folder = folder:match "^(.*)/"
    assert.matches("\nmine +%- +here +Mine\n", done.stdout)
  end)

  it("complains of a config that is not there", function()
    local done = run("policy", "-c", "nothing.yaml")
    assert.equal(1, done.status)
    assert.equal("moongate policy: nothing.yaml: No such file or directory\n", done.stderr)
  end)

  it("describes one of one's own", function()
    local done = run("policy", "own")
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
    assert.equal([[
own 2.1.0, from policies
One of our own

  needs            identity
  provides         tenant
  reads bodies of  request (as a stream), response (whole)

Options:

  limit         integer; required; 1 to 9
                how many
  by            map
  by.header     header name
                which one
  costs         map of names to integers
  costs{name}   integer; more than 0
                of one method
  rules         list of maps
                in this order
  rules[].path  string; required

Example:

  - own:
      limit: 1
      by: { header: X-Name }
      costs: { name: 100 }
      rules: [{ path: text }]
]], done.stdout)
    assert.equal(done.stdout, run("policy", "help", "own").stdout)
  end)

  it("describes the built-in ones, the lua step too", function()
    for _, name in ipairs { "cors", "headers", "lua", "respond" } do
      local done = run("policy", name)
      assert.equal(0, done.status)
      has(done.stdout, ", built in\n")
      has(done.stdout, "\nExample:\n\n  - " .. name .. ":")
    end
    has(run("policy", "lua").stdout, "(itself)  string; required")
  end)

  it("gives JSON Schema and a list as data", function()
    local done = run("policy", "own", "--json")
    assert.equal(0, done.status)
    local schema = assert(json.decode(done.stdout))
    assert.equal("own", schema.title)
    assert.same({ "limit" }, schema.required)
    assert.same({ "integer", "string" }, schema.properties.limit.type)
    done = run("policy", "--json")
    assert.equal(1, done.status)
    local found = {}
    for _, item in ipairs(assert(json.decode(done.stdout))) do found[item.name] = item end
    assert.same({ name = "own", version = "2.1.0", summary = "One of our own", from = "policies" }, found.own)
    assert.equal("built in", found.cors.from)
    assert.is_string(found.broken.fault)
  end)

  it("tells why one cannot be loaded", function()
    local done = run("policy", "broken")
    assert.equal(1, done.status)
    assert.matches("^moongate policy: cannot load 'broken': policies/broken/broken%.lua:3: ", done.stderr)
    assert.equal("", done.stdout)
  end)

  it("asks whether another name was meant", function()
    local done = run("policy", "cros")
    assert.equal(2, done.status)
    assert.equal("moongate policy: unknown policy 'cros', did you mean 'cors'?\n", done.stderr)
    assert.equal("moongate policy: unknown policy 'owm', did you mean 'own'?\n", run("policy", "owm").stderr)
    assert.equal("moongate policy: unknown policy '../own'\n", run("policy", "../own").stderr)
  end)

  it("refuses what it does not know", function()
    for _, args in ipairs { { "--jsno" }, { "cors", "query" }, { "-c" } } do
      local done = run("policy", table.unpack(args))
      assert.equal(2, done.status)
      has(done.stderr, "usage: moongate policy")
    end
    local done = run("policy", "help")
    assert.equal(0, done.status)
    has(done.stdout, "usage: moongate policy")
  end)
end)
