-- Where in HTML or XML an expression may stand, and what makes its value harmless there.
--
--     markup.escapes(parts) -> for each expression the name of a function in moongate.template.functions, or nil and
--         what is wrong
--
-- `parts` are texts and nodes in turn (moongate.template.compile). A value may stand in text and in quoted attributes:
-- there it is escaped, so that it can end neither. In an attribute that is an address it is encoded as one part of it.
-- Nowhere else is there an escape that always holds, so anything else is refused when the config is loaded.

local M = {}

-- What stands in these is no text, or a program.
local RAW = {
  script = true, style = true, xmp = true, iframe = true, noembed = true, noframes = true, noscript = true,
  plaintext = true, template = true,
}
local PROGRAMS = { style = true, srcdoc = true }
local ADDRESSES = {
  href = true, src = true, action = true, formaction = true, data = true, poster = true, cite = true, ping = true,
  background = true, manifest = true, codebase = true, ["xlink:href"] = true, srcset = true,
}

-- What the text's bytes do in each state: state(at, text, s) gives where to go on.
local STATES = {}

function STATES.text(s, text, at)
  local open = text:find("<", at, true)
  if not open then return #text + 1 end
  if text:find("^<!%-%-", open) then
    s.state = "comment"
    return open + 4
  end
  local name, after = text:match("^</?([%a][%w:_-]*)()", open)
  if name then
    s.state, s.tag, s.closing = "tag", name:lower(), text:sub(open + 1, open + 1) == "/"
    return after
  end
  if text:find("^<[!?]", open) then
    s.state = "declaration"
    return open + 2
  end
  if open >= #text - 1 and text:find("^</?$", open) then s.state = "tag" end -- a value would be the tag's name
  return open + 1
end

local function until_text(mark)
  return function(s, text, at)
    local _, last = text:find(mark, at, true)
    if not last then return #text + 1 end
    s.state = "text"
    return last + 1
  end
end

STATES.comment, STATES.declaration = until_text "-->", until_text ">"

function STATES.raw(s, text, at)
  local _, last = text:lower():find("</" .. s.tag, at, true)
  if not last then return #text + 1 end
  s.state, s.closing = "tag", true
  return last + 1
end

function STATES.tag(s, text, at)
  local char
  char, at = text:match("^[%s/]*(.?)()", at)
  if char == "" then return at end
  if char == ">" then
    s.state = RAW[s.tag] and not s.closing and "raw" or "text"
    return at
  end
  local name, quote, after = text:match("^([^%s=>/\"']+)%s*=%s*([\"'])()", at - 1)
  if name then
    s.state, s.attribute, s.quote, s.before = "value", name:lower(), quote, ""
    return after
  end
  local _, last = text:find("^[^%s>/]+", at - 1)
  return (last or at - 1) + 1
end

function STATES.value(s, text, at)
  local stop = text:find(s.quote, at, true)
  s.before = s.before .. text:sub(at, (stop or #text + 1) - 1)
  if not stop then return #text + 1 end
  s.state = "tag"
  return stop + 1
end

local REFUSED = {
  tag = "inside of a tag a value needs quotes around it", comment = "in a comment there is no escape for a value",
  raw = "in <%s> there is no escape for a value", declaration = "in a declaration there is no escape for a value",
}

-- The escape of an expression that stands here, or nil and why it must not.
local function escape_for(s)
  if s.state == "text" then return "escape_markup" end
  if s.state ~= "value" then return nil, REFUSED[s.state]:format(s.tag) end
  if PROGRAMS[s.attribute] or s.attribute:find "^on" then
    return nil, ("in the attribute '%s' there is no escape for a value"):format(s.attribute)
  end
  local is_address = ADDRESSES[s.attribute] or s.attribute == "content" and s.before:lower():find("url", 1, true)
  if not is_address then return "escape_markup" end
  local scheme = s.before:match "^%s*(%a[%w+.-]*):"
  if scheme and not scheme:lower():find "^https?$" and scheme:lower() ~= "mailto" then
    return nil, ("in an address of the kind '%s:' there is no escape for a value"):format(scheme)
  end
  return "escape_address"
end

function M.escapes(parts)
  local s, out = { state = "text", tag = "" }, {}
  for i, part in ipairs(parts) do
    if type(part) == "string" then
      local at = 1
      while at <= #part do at = STATES[s.state](s, part, at) end
    else
      local escape, fault = escape_for(s)
      if not escape then return nil, fault end
      out[i // 2] = escape
      if s.state == "value" then s.before = s.before .. "x" end
    end
  end
  return out
end

return M
