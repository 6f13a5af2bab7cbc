-- Edits bodies by the operations of a rule: at once where the body is in memory or its length is known, else as it
-- streams by, when no operation needs all of it.

local mg = require "moongate"
local tree = require "moongate.transform.tree"

local M = {}

local FORM = "application/x-www-form-urlencoded"
local RECODE = { recode = true } -- what came compressed goes on compressed
local BODILESS = { [204] = true, [205] = true, [304] = true }

local function media_type(message)
  local value = message:header "Content-Type"
  return value and value:match("^[^;]*"):match("^%s*(.-)%s*$"):lower() or ""
end

local function is_json(full)
  return full == "application/json" or full == "text/json" or full:find "^[^/]+/[^/]+%+json$" ~= nil
end

local KNOWN = { identity = true, gzip = true, ["x-gzip"] = true, br = true, deflate = true }

-- Whoever reads a body gets its content; in a coding that nobody knows it says nothing.
local function is_readable(message)
  for coding in (message:header "Content-Encoding" or ""):gmatch "[^%s,]+" do
    if not KNOWN[coding:lower()] then return false end
  end
  return true
end

local function problem(err, res)
  if err.code ~= "too_large" then
    return res and mg.problem(502, "bad-response", "The response is incomplete")
      or mg.problem(400, "bad-request", "The body is incomplete")
  end
  -- Let through as it is, it would show what a rule takes away.
  return res and mg.problem(502, "response-too-large", "The response is too large to be changed")
    or mg.problem(413, "content-too-large", "The body is too large to be changed")
end

local function nothing() return nil end

-- A response without its body: the head must not tell of the one that is not changed.
local function forget_length(res) res:transform(nothing) end

-- function(req, res?) -> problem or nil, for JSON.
function M.json(ops)
  local built, expressions = tree.build(ops)
  local editor = mg.json.editor(built)

  local function values_for(req, res)
    if #expressions == 0 then return nil end
    local values = {}
    for i, expression in ipairs(expressions) do
      local text = expression and req:expr(expression, res)
      values[i] = text ~= "" and text or nil
    end
    return values
  end

  return function(req, res)
    local message = res or req
    if not is_json(media_type(message)) or not is_readable(message) then return nil end
    if res and (BODILESS[res.status] or res.status == 206) then return nil end
    if res and req.method == "HEAD" then return forget_length(res) end
    local values = values_for(req, res)
    local streams = editor:streams()
    if streams and not message:header "Content-Length" then
      message:transform(editor, values)
      return nil
    end
    local text, err = message:content()
    if text then
      local edited = text ~= "" and editor(text, values)
      if edited and edited ~= text then message:set_body(edited, RECODE) end
    elseif err.code == "too_large" and streams then
      message:transform(editor, values)
    else
      return problem(err, res)
    end
  end
end

-- function(req) -> problem or nil: `edit(text, req)` gives the new text of a form.
function M.form(edit)
  return function(req)
    if media_type(req) ~= FORM or not is_readable(req) then return nil end
    local text, err = req:content()
    if not text then return problem(err) end
    local edited = text ~= "" and edit(text, req)
    if edited and edited ~= text then req:set_body(edited, RECODE) end
  end
end

return M
