-- What every policy that comes with the gateway owes its users: a summary, help for each option, an example that is
-- right, and its line in the catalogue.

local core = require "moongate.core"
local describe_schema = require "moongate.tool.describe"
local example = require "moongate.tool.example"
local json = require "moongate".json
local json_schema = require "moongate.tool.json_schema"
local policies = require "moongate.tool.policies"
local yaml = require "moongate.yaml"

local CATALOGUE = "policies/README.md"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

for _, name in ipairs(core.policy_names {}) do
  describe("policy " .. name, function()
    local module = assert(core.policy(name, {}))

    it("has a version and a summary", function()
      assert.matches("^%d+%.%d+%.%d+$", module.version)
      assert.is_string(module.summary)
    end)

    it("explains every option", function()
      local silent = {}
      for _, row in ipairs(describe_schema.options(module.schema)) do
        local is_part = row.path:find "%]$" or row.path:find "}$"
        if not row.help and not is_part then silent[#silent + 1] = row.path end
      end
      assert.same({}, silent)
    end)

    it("has a JSON Schema", function()
      assert(json.encode(json_schema.of(module)))
    end)

    it("has an example that its schema takes", function()
      local text = example.yaml(name, module.schema)
      assert.is_string(text)
      local step = yaml.parse(text, "x.yaml")[1]
      if type(step) == "table" then
        local _, errors = module.schema:validate(step[name])
        assert.is_nil(errors and errors[1].message)
      end
    end)
  end)
end

it(CATALOGUE .. " lists all policies, and no others", function()
  local listed = {}
  for name, link in read(CATALOGUE):gmatch "\n| %[([%w-]+)%]%(([^)]+)%) |" do
    listed[#listed + 1] = name
    assert.equal(name .. "/README.md", link)
    assert.matches("^# " .. name:gsub("%-", "%%-") .. "\n", read("policies/" .. link))
  end
  assert.same(policies.names {}, listed)
end)
