-- The command line of `moongate test`.

local options = require "moongate.test.options"

local function parse(line)
  local args = {}
  for word in line:gmatch "%S+" do args[#args + 1] = word end
  return options.parse(args)
end

local function rest(line)
  return table.concat(assert(parse(line)).rest, " ")
end

local function refuses(line, fault)
  local out, why = parse(line)
  assert.is_nil(out)
  assert.equal(fault, why)
end

describe("options", function()
  it("of busted go on as they are", function()
    for _, line in ipairs {
      "", "spec", "-o TAP spec", "-o=TAP spec/a_spec.lua", "--seed=7 --filter x y", "-Xoutput a b", "--no-coverage",
      "-- --watch", "-v -k -t a,b --list", "--no-such-option", "--output",
    } do
      assert.equal(line, rest(line))
    end
    assert.equal("-C a --directory=b -o TAP spec", rest "-o TAP -C a spec --directory=b")
  end)

  it("know the paths", function()
    for line, paths in pairs {
      ["a b"] = "a b", ["-o TAP a --seed 7 b"] = "a b", ["-o=TAP a"] = "a", ["-v a"] = "a", ["-- -v --"] = "-v --",
      ["-Xoutput x"] = "", ["--mutate f a"] = "a", ["--mutate=f a"] = "a", ["--watch a"] = "a", ["--coverage a"] = "a",
      ["-c a"] = "a",
    } do
      assert.equal(paths, table.concat(assert(parse(line)).paths, " "))
    end
  end)

  it("--coverage and -c are for busted too, which asks for ours", function()
    assert.is_nil(parse("spec").coverage)
    for line, file in pairs {
      ["-c"] = "lcov.info", ["--coverage"] = "lcov.info", ["--coverage=x.info"] = "x.info",
      ["--coverage=x.info -c"] = "x.info", ["-c --coverage=a=b"] = "a=b",
    } do
      local out = assert(parse(line))
      assert.equal(file, out.coverage)
      assert.same({ "--coverage" }, out.rest)
    end
    refuses("--coverage=", "--coverage= needs a file's name")
  end)

  it("--mutate wants a file", function()
    assert.equal("f.lua", parse("--mutate f.lua").mutate)
    assert.equal("f.lua", parse("--mutate=f.lua").mutate)
    refuses("--mutate", "--mutate needs a file's name")
    refuses("--mutate=", "--mutate needs a file's name")
    refuses("--mutate a --mutate b", "--mutate takes one file at a time, 'b' is one more")
  end)

  it("--watch stands alone", function()
    assert.is_true(parse("--watch").watch)
    refuses("--watch=a", "--watch does not take a value; name the paths after it")
  end)

  it("do not all go together", function()
    refuses("--mutate f --watch", "--mutate and --watch do not go together")
    refuses("--coverage --mutate f", "--mutate and --coverage do not go together")
    assert.truthy(parse "--watch --coverage")
  end)

  it("-C is done by whoever runs more than one time", function()
    for _, line in ipairs { "--watch -C a spec -C=b", "--mutate f --directory a --directory=b spec" } do
      local out = assert(parse(line))
      assert.same({ "a", "b" }, out.folders)
      assert.same({ "spec" }, out.rest)
    end
  end)

  it("--help and -h are for both", function()
    for _, line in ipairs { "-h", "--help" } do
      local out = assert(parse(line))
      assert.is_true(out.help)
      assert.same({ "--help" }, out.rest)
    end
    for _, name in ipairs { "--coverage", "--mutate", "--watch" } do
      assert.matches(name, options.help, 1, true)
    end
  end)
end)
