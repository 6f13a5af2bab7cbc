-- Files as `moongate test` looks at them. Forks are in tests/e2e/test_options_spec.lua.

local files = require "moongate.test.files"
local process = require "moongate.process"

local function with_file(fn)
  local path = os.tmpname()
  local ok, fault = pcall(fn, path)
  os.remove(path)
  if not ok then error(fault, 0) end
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

describe("process", function()
  it("tells files and their states apart", function()
    with_file(function(path)
      local id, state = process.stat(path)
      assert.same({ id, state }, { process.stat(path) })
      write(path, "x")
      local same, now = process.stat(path)
      assert.equal(id, same)
      assert.not_equal(state, now)
      assert.equal(id, (process.stat("/tmp/.." .. path)))
      assert.is_nil(process.stat(path .. "/none"))
    end)
  end)

  it("knows the machine", function()
    assert.is_true(process.cpus() >= 1)
    local before = process.clock()
    assert.is_true(process.clock() >= before)
  end)
end)

describe("files", function()
  it("have short names", function()
    local folder = require "lfs".currentdir()
    for path, short in pairs {
      ["a.lua"] = "a.lua", ["./a.lua"] = "a.lua", ["a/../b/./c.lua"] = "b/c.lua", ["../a"] = "../a",
      ["a/../../b"] = "../b", ["a//b"] = "a/b", ["/x/../y"] = "/y", [folder .. "/a/b"] = "a/b", ["/a"] = "/a",
    } do
      assert.equal(short, files.tidy(path))
    end
  end)

  it("are found below folders, in order", function()
    local found = {}
    files.each("policies/cors", function(path) found[#found + 1] = path end)
    assert.same({ "policies/cors/README.md", "policies/cors/cors.lua", "policies/cors/cors_spec.lua" }, found)
    found = {}
    files.each("policies/cors/cors.lua", function(path) found[#found + 1] = path end)
    files.each("no/such/folder", function(path) found[#found + 1] = path end)
    assert.same({ "policies/cors/cors.lua" }, found)
  end)

  it("are read whole", function()
    with_file(function(path)
      write(path, "a\0b\r\n")
      assert.equal("a\0b\r\n", files.read(path))
      assert.is_true(files.exists(path))
    end)
    local text, why = files.read "/no/such/file"
    assert.is_nil(text)
    assert.matches("No such file", why)
    assert.is_false(files.exists "/tmp")
  end)
end)
