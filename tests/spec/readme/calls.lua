-- What lua/README.md has to tell and to show: every public member of the classes below, as the stubs declare them.
-- (tests/spec/stubs_spec.lua compares the stubs with the gateway.) Pure.
--
--     calls.all(classes)                  -> { { name = "mg.fetch", word = "fetch", patterns = { ... } }, ... }
--     calls.without_example(all, code)    -> names of those that no example's code has
--     calls.without_words(all, prose)     -> names of those that no inline code of the text has
--     calls.unknown(classes, prose)       -> calls in the text's inline code that do not exist

local stubs = require "lint.stubs"

local M = {}

-- What examples call objects of a class.
local HOLDERS = {
  ["moongate"] = { "mg" },
  ["moongate.Message"] = { "req", "res" }, ["moongate.Request"] = { "req" }, ["moongate.Response"] = { "res" },
  ["moongate.FinishInfo"] = { "info" },
  ["moongate.Task"] = { "task", "later" }, ["moongate.SharedDict"] = { "dict" }, ["moongate.IpMatcher"] = { "inside" },
  ["moongate.Cache"] = { "cache" }, ["moongate.CacheHit"] = { "hit" }, ["moongate.Regex"] = { "regex" },
  ["moongate.schema"] = { "s" }, ["moongate.Schema"] = { "}" },
  ["moongate.test"] = { "T" }, ["moongate.test.Gateway"] = { "t" }, ["moongate.test.Handle"] = { "second", "first" },
  ["luassert.internal"] = { "assert" },
}

-- Tables that authors write.
local OPTIONS = {
  "moongate.Policy", "moongate.PolicyBody", "moongate.Instance", "moongate.FetchOptions", "moongate.FetchAllOptions",
  "moongate.RaceOptions", "moongate.CacheLookupOptions", "moongate.CacheStoreOptions",
  "moongate.CachePurgeOptions", "moongate.EveryOptions", "moongate.ProblemOptions", "moongate.JsonDecodeOptions",
  "moongate.JsonEncodeOptions", "moongate.schema.Range", "moongate.schema.Text", "moongate.schema.List",
  "moongate.schema.Map", "moongate.schema.Options",
}

-- Members that the page does not have: of the kit, for rare use.
local LEFT_OUT = { ["T.seed"] = true, ["t.seed"] = true, ["t.close"] = true }

local function add(all, name, word, patterns)
  if not LEFT_OUT[name] then all[#all + 1] = { name = name, word = word, patterns = patterns } end
end

-- The members of a class, and of the modules in mg.
local function add_members(all, classes, class, holders)
  for key, member in pairs(classes[class].members) do
    if holders[1]:find "^mg" and classes[member.class] then
      add_members(all, classes, member.class, { holders[1] .. "." .. key })
    elseif not member.package then
      local patterns = {}
      for i, holder in ipairs(holders) do
        patterns[i] = ("%%f[%%w}]%s[.:]%s%%f[^%%w_]"):format(holder:gsub("%p", "%%%0"), key)
      end
      add(all, holders[1] .. "." .. key, key, patterns)
    end
  end
end

function M.all(classes)
  local all = {}
  for class, holders in pairs(HOLDERS) do add_members(all, classes, class, holders) end
  for _, class in ipairs(OPTIONS) do
    for key in pairs(classes[class].members) do
      add(all, ("%s (of %s)"):format(key, class), key,
        { ("%%f[%%w_]%s%%s*=[^=]"):format(key), ("function M%%.%s%%("):format(key) })
    end
  end
  table.sort(all, function(a, b) return a.name < b.name end)
  return all
end

local function has_any(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

function M.without_example(all, code)
  local out = {}
  for _, call in ipairs(all) do
    if not has_any(code, call.patterns) then out[#out + 1] = call.name end
  end
  return out
end

-- The text's inline code, a line each.
local function inline_code(prose)
  local spans = {}
  for span in prose:gsub("\n```.-\n```", ""):gmatch "`([^`\n]+)`" do spans[#spans + 1] = span end
  return table.concat(spans, "\n")
end

function M.without_words(all, prose)
  local out, spans = {}, inline_code(prose)
  for _, call in ipairs(all) do
    if not spans:find(("%%f[%%w_]%s%%f[^%%w_]"):format(call.word)) then out[#out + 1] = call.name end
  end
  return out
end

-- What the text calls objects of a class.
local NAMES = {
  mg = "moongate", req = "moongate.Request", res = "moongate.Response", x = "moongate.Message", s = "moongate.schema",
  d = "moongate.SharedDict", task = "moongate.Task", inside = "moongate.IpMatcher", err = "moongate.Error",
  info = "moongate.FinishInfo", env = "moongate.Env", T = "moongate.test", t = "moongate.test.Gateway",
  regex = "moongate.Regex", handle = "moongate.test.Handle", assert = "luassert.internal",
}

function M.unknown(classes, prose)
  local out = {}
  for name, rest in inline_code(prose):gmatch "%f[%w]([%w]+)([.:][%a_][%w_.:]*)" do
    local class, path = NAMES[name], name
    if rest:find "^%.lua%f[%W]" then class = nil end -- the name of a file
    for key in rest:gmatch "[%a_][%w_]*" do
      local member = class and stubs.members(classes, class)[key]
      path = path .. "." .. key
      if class and not member then out[#out + 1] = path end
      class = member and classes[member.class] and member.class
    end
  end
  return out
end

return M
