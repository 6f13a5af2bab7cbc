-- Requests and responses as specs see them: plain values, with the methods that policies know.
--
--     status (of responses), method, path, raw_path, query (of requests), body, at (seconds since the gateway's start)
--     :header(name)  :header_values(name)  :headers()  :text()  :json()  :arg(name)  :trailer(name)
--
-- `chunked` says that the body of a request to an upstream came without its length.
-- A response also has `broken`, the word why it is not whole; nil when it is. One that never began has no status.

local json = require "moongate".json

local Message = {}
Message.__index = Message
Message.__name = "moongate.test.Message"

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- All values of a header, in order.
function Message:header_values(name)
  local out, fields = {}, self.fields
  name = name:lower()
  for i = 1, #fields, 2 do
    if fields[i]:lower() == name then out[#out + 1] = fields[i + 1] end
  end
  return out
end

-- Joined with ", " (RFC 9110 5.3); nil when there is none.
function Message:header(name)
  local values = self:header_values(name)
  return #values > 0 and table.concat(values, ", ") or nil
end

-- for name, value in message:headers() do
function Message:headers()
  local i = -1
  return function()
    i = i + 2
    return self.fields[i], self.fields[i + 1]
  end
end

function Message:trailer(name)
  for i = 1, #(self.trailers or {}), 2 do
    if self.trailers[i]:lower() == name:lower() then return self.trailers[i + 1] end
  end
  return nil
end

function Message:text()
  return self.body
end

function Message:json()
  return json.decode(self.body)
end

-- The first argument of that name in the query.
function Message:arg(name)
  for pair in (self.query or ""):gmatch "[^&]+" do
    local key, value = pair:match "^([^=]*)=?(.*)$"
    if decode((key:gsub("%+", " "))) == name then return decode((value:gsub("%+", " "))) end
  end
  return nil
end

function Message:is_json()
  return (self:header "content-type" or ""):lower():find("^application/[^;]*json") ~= nil
end

local M = { type = Message }

-- Takes what the core tells of a response.
function M.response(raw)
  raw.fields = raw.fields or {}
  raw.body = raw.body or ""
  return setmetatable(raw, Message)
end

-- The same of a request.
function M.request(raw)
  raw.raw_path = raw.raw_path or raw.path
  raw.path = decode(raw.path)
  return setmetatable(raw, Message)
end

function M.is(value)
  return type(value) == "table" and getmetatable(value) == Message
end

return M
