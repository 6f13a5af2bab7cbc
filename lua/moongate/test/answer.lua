-- What an upstream that the spec plays says.
--
-- An answer is a table, or a function that gives one when it is asked with the request; it may wait (mg.sleep).
--
--     status   200                          headers  { Name = "value" or { "value", "value" } }
--     body     text                         json     a value, in place of a body
--     chunks   { "a", "b" }, sent one after the other, without a length
--     delay    seconds before the response; math.huge: never
--     trickle  { bytes, seconds }: so many bytes of the body at a time
--     trailers { Name = "value" }, behind a body without a length
--     interim  { { 103, { Link = "..." } }, ... }, before the response
--     raw      exactly these bytes (16 KiB at most) in place of all that, and then the end
--     close    "before-headers", "after-headers", "mid-body": the connection ends there
--     error    "refused", "timeout": there is no connection; "reset": it is reset when the request has come

local mg = require "moongate"

local M = {}

local KEYS = {
  status = "number", headers = "table", body = "string", json = true, chunks = "table", delay = "number",
  trickle = "table", trailers = "table", interim = "table", raw = "string", close = "string", error = "string",
}
local CLOSES = { ["before-headers"] = true, ["after-headers"] = true, ["mid-body"] = true }
-- How a backend with such an error is reached.
local REACH = { refused = "refused", timeout = "silent", reset = "reached" }
local FOREVER = 1e9

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- Complains about what is no answer; gives it back.
function M.check(name, answer)
  local function fail(...) error(("upstream '%s': "):format(name) .. string.format(...), 0) end
  if type(answer) == "function" then return answer end
  if type(answer) ~= "table" then fail("the answer must be a table or a function, not a %s", type(answer)) end
  for _, key in ipairs(sorted_keys(answer)) do
    local wants = KEYS[key]
    if not wants then
      fail("an answer has no '%s'; it may have %s", tostring(key), table.concat(sorted_keys(KEYS), ", "))
    end
    if wants ~= true and type(answer[key]) ~= wants then
      fail("%s must be a %s, not a %s", key, wants, type(answer[key]))
    end
  end
  if answer.close and not CLOSES[answer.close] then fail("unknown close '%s'", answer.close) end
  if answer.error and not REACH[answer.error] then fail("unknown error '%s'", answer.error) end
  return answer
end

-- Whether a connection to it comes about: "reached", "refused" or "silent".
function M.reach(answer)
  return type(answer) == "table" and answer.error and REACH[answer.error] or "reached"
end

-- { Name = value or list } or { { name, value }, ... } as a flat list, in an order that does not change.
function M.fields(headers)
  local out = {}
  local function add(name, value)
    for _, item in ipairs(type(value) == "table" and value or { value }) do
      out[#out + 1] = name
      out[#out + 1] = tostring(item)
    end
  end
  for _, pair in ipairs(headers or {}) do add(pair[1], pair[2]) end
  for _, name in ipairs(sorted_keys(headers or {})) do
    if type(name) == "string" then add(name, headers[name]) end
  end
  return out
end

function M.has_field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i]:lower() == name then return true end
  end
  return false
end

-- The body in the pieces in which it is sent.
local function pieces_of(answer, body)
  if answer.chunks then return answer.chunks end
  local size = answer.trickle and answer.trickle[1] or #body
  if answer.close == "mid-body" then size = math.min(size, math.max(#body // 2, 1)) end
  local pieces = {}
  for at = 1, #body, math.max(size, 1) do pieces[#pieces + 1] = body:sub(at, at + size - 1) end
  return pieces
end

local function send_body(play, answer, pieces)
  local pause = answer.trickle and answer.trickle[2] or 0
  local last = answer.close == "mid-body" and math.max(#pieces // 2, 1) or #pieces
  for i = 1, last do
    if i > 1 then mg.sleep(pause) end -- also when it is 0: the gateway sees the pieces one by one
    if not play:write(pieces[i]) then return end
  end
  if answer.close ~= "mid-body" then return play:finish(M.fields(answer.trailers)) end
  mg.sleep(0) -- what was sent is read before the end is seen
  play:cut()
end

-- Says it on a play of the core. Runs as a task.
function M.give(play, answer)
  if answer.delay then mg.sleep(math.min(answer.delay, FOREVER)) end
  if answer.error then return play:cut(true) end
  for _, interim in ipairs(answer.interim or {}) do play:respond(interim[1], M.fields(interim[2])) end
  if answer.raw then play:raw(answer.raw) end
  if answer.raw or answer.close == "before-headers" then return play:cut() end
  local fields = M.fields(answer.headers)
  local body = answer.body or ""
  if answer.json ~= nil then
    body = assert(mg.json.encode(answer.json, { sort = true }))
    if not M.has_field(fields, "content-type") then
      fields[#fields + 1] = "Content-Type"
      fields[#fields + 1] = "application/json"
    end
  end
  local length = not (answer.chunks or answer.trailers) and #body or nil
  if not play:respond(answer.status or 200, fields, length) then return end
  if answer.close == "after-headers" then
    mg.sleep(0)
    return play:cut()
  end
  send_body(play, answer, pieces_of(answer, body))
end

return M
