-- A part that comes in pages: asks for one after the other and makes one list of their items. Waits.
--
--     pages.new(conf) -> p                   from the `pages` of a part; raises faults (moongate.template.compile)
--     p:fetch(spec, ask, req) -> response whose body is the list; or nil and an error object
--
-- `ask(spec)` asks for one page, as mg.fetch would. Where the next page lies is what the service says, and the service
-- is asked for nothing but paths of its own. Items go into the list as they were written.

local compile = require "moongate.template.compile"
local mg = require "moongate"

local M = {}

local Pages = {}
Pages.__index = Pages

-- What the items are called in what the editor gives, and where they are then.
local LIST, IN_LIST = "list", '^%s*{%s*"list":%s*%[(.*)%]%s*}%s*$'

-- ------------------------------------------------------------------------------------------------ making

local function names_of(path)
  local names = {}
  for name in (path or ""):gmatch "[^.]+" do names[#names + 1] = name end
  return names
end

-- Takes the list out of a page, as it is written there; nil: the page is the list.
local function editor_for(names)
  if #names == 0 then return nil end
  local look = { capture = 1 }
  for i = #names, 1, -1 do look = { fields = { [names[i]] = look } } end
  return mg.json.editor { only = true, look = look, fields = { [LIST] = { fill = { 1 } } } }
end

local function expression(where, text)
  local scope = { values = { page = true }, uses = {} }
  return compile.within("pages." .. where, function() return compile.closure(compile.expression(text, scope)) end)
end

function M.new(conf)
  local names = names_of(conf.items)
  local p = { names = names, editor = editor_for(names), max = conf.max, max_bytes = conf.max_bytes,
    partial = conf.partial, count = conf.page or conf.offset, by_items = conf.offset ~= nil }
  if conf.cursor then
    p.arg, p.cursor = conf.cursor.arg, expression("cursor.value", conf.cursor.value)
  elseif conf.next and conf.next ~= "link" then
    p.next = expression("next", conf.next)
  end
  return setmetatable(p, Pages)
end

-- ------------------------------------------------------------------------------------------------ addresses

-- The target of an address of the service: what stands before its path does not count, for the services of the gateway
-- have no other names to it. Nil when it is none.
local function target_of(address, path)
  if type(address) ~= "string" then return nil end
  local target = address:gsub("#.*$", ""):gsub("^%a[%w+.-]*:", ""):gsub("^//[^/?]*", "")
  if target:sub(1, 1) == "?" then target = path .. target end
  if not target:find "^/[%w%-._~!$&'()*+,;=:@/%%?]*$" then return nil end
  if target:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
  for segment in target:match("^[^?]*"):gsub("%%2[eE]", "."):gmatch "[^/]+" do
    if segment == "." or segment == ".." then return nil end
  end
  return target
end

-- The address with rel="next" (RFC 8288).
local function next_link(res)
  for address, parameters in (res:header "Link" or ""):gmatch "<([^>]*)>([^<]*)" do
    parameters = parameters:lower()
    local relations = parameters:match ';%s*rel%s*=%s*"([^"]*)"' or parameters:match ";%s*rel%s*=%s*([^%s;,]+)"
    for relation in (relations or ""):gmatch "%S+" do
      if relation == "next" then return address end
    end
  end
end

-- ------------------------------------------------------------------------------------------------ the next request

local function copy(t)
  local out = {}
  for key, value in pairs(t) do out[key] = value end
  return out
end

-- The same with one argument set.
local function with_argument(spec, name, value)
  local path, query = spec.path:match "^([^?]*)[?]?(.*)$"
  local out = copy(spec)
  out.path, out.query = path, type(spec.query) == "table" and copy(spec.query) or mg.url.parse_query(query, true) or {}
  out.query[name] = value
  return out
end

-- Before the first one.
function Pages:first(spec)
  if not self.count then return spec end
  return with_argument(spec, self.count.arg, self.count.first)
end

-- The request for the page behind this one; nil when this was the last; or false and what is wrong.
function Pages:following(spec, res, page, state)
  if self.count then
    if state.items < (self.count.size or 1) then return nil end
    state.at = state.at + (self.by_items and state.items or 1)
    return with_argument(spec, self.count.arg, state.at)
  elseif self.cursor then
    local value = self.cursor({ page = page }, nil, state.req)
    if value == nil or value == mg.json.null or value == "" or value == false then return nil end
    if type(value) ~= "string" and type(value) ~= "number" then return false, "the cursor is no text" end
    return with_argument(spec, self.arg, value)
  end
  local address
  if self.next then address = self.next({ page = page }, nil, state.req) else address = next_link(res) end
  if address == nil or address == mg.json.null or address == "" then return nil end
  local target = target_of(address, spec.path:match "^[^?]*")
  if not target then return false, "the next page has no proper address" end
  local out = copy(spec)
  out.path, out.query = target, nil
  return out
end

-- ------------------------------------------------------------------------------------------------ items

local function value_at(value, names)
  for _, name in ipairs(names) do
    if type(value) ~= "table" then return nil end
    value = value[name]
  end
  return value
end

-- How many items the page has, and their text with commas between them; or nil and what is wrong.
function Pages:items_of(res, page)
  local list = value_at(page, self.names)
  if not mg.json.is_array(list) then return nil, "there is no list of items" end
  if #list == 0 then return 0, "" end
  if not self.editor then return #list, res:text():match "^%s*%[(.*)%]%s*$" end
  return #list, self.editor(res:text(), {}):match(IN_LIST)
end

-- ------------------------------------------------------------------------------------------------ all pages

local function failed(code, message) return nil, { code = code, message = message } end

local JSON = { ["Content-Type"] = "application/json" }

local function list_of(parts) return mg.reply(200, "[" .. table.concat(parts, ",") .. "]", JSON) end

-- Where a bound is met: what came so far, or an error.
function Pages:stop(parts, code, message)
  if self.partial then return list_of(parts) end
  return failed(code, message)
end

-- What tells requests apart.
local function name_of(spec) return mg.json.encode({ spec.path, spec.query or false }, { sort = true }) end

function Pages:fetch(spec, ask, req)
  local parts, bytes, seen = {}, 0, {}
  local state = { req = req, at = self.count and self.count.first }
  spec = self:first(spec)
  for n = 1, self.max do
    local res, err = ask(spec)
    if not res then return nil, err end
    local page
    page, err = res:json()
    if err then return failed(err.code, ("page %d is not JSON: %s"):format(n, err.message)) end
    local text
    state.items, text = self:items_of(res, page)
    if not state.items then return failed("no_list", ("page %d: %s"):format(n, text)) end
    bytes = bytes + #text
    if bytes > self.max_bytes then
      return self:stop(parts, "too_large", ("more than %d bytes in pages"):format(self.max_bytes))
    end
    if state.items > 0 then parts[#parts + 1] = text end
    seen[name_of(spec)] = true
    local following, fault = self:following(spec, res, page, state)
    if following == nil then return list_of(parts) end
    if not following then return failed("bad_page", ("page %d: %s"):format(n, fault)) end
    if seen[name_of(following)] then return failed("bad_page", ("page %d leads back to one before"):format(n)) end
    spec = following
  end
  return self:stop(parts, "too_many", ("more than %d pages"):format(self.max))
end

return M
