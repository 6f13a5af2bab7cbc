-- Errors and warnings as people read them:
--
--     moongate.yaml:41:15: routes[0].policies[1].token-bucket.burst: expected integer, got string "9"
--             burst: "9"
--                    ^

local M = {}

local WIDTH = 120 -- longer lines (JSON without breaks) are cut to the part around the column
local SHOWN_MAX = 1000 -- nobody reads more

-- Lines as the reader of YAML counts them: it takes Unicode's separators for line breaks too.
local function lines_of(text)
  text = text:gsub("^\xEF\xBB\xBF", ""):gsub("\r\n?", "\n"):gsub("\xC2\x85", "\n"):gsub("\xE2\x80[\xA8\xA9]", "\n")
  if not utf8.len(text, 1, -1, true) then text = text:gsub("[\x80-\xFF]", "?") end
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  return lines
end

-- Gives every error its line of the source. sources[file] is the file's text.
function M.quote_sources(errors, sources)
  local lines = {}
  for _, e in ipairs(errors) do
    local text = e.line and sources[e.file]
    if text then
      lines[e.file] = lines[e.file] or lines_of(text)
      e.source = lines[e.file][e.line]
    end
  end
  return errors
end

-- Sorts by file, in the order they were read, then by position.
function M.sort(errors, order)
  local rank = {}
  for i, file in ipairs(order) do rank[file] = i end
  table.sort(errors, function(a, b)
    local ra, rb = rank[a.file] or 0, rank[b.file] or 0
    if ra ~= rb then return ra < rb end
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    if a.col ~= b.col then return (a.col or 0) < (b.col or 0) end
    if a.path ~= b.path then return a.path < b.path end
    return a.message < b.message
  end)
  return errors
end

-- The part of a long line around character `col`, and which character of the part that one is. Lines may be as long as
-- the file, and each of them have thousands of errors.
local function part_around(line, col)
  if not utf8.offset(line, WIDTH + 2) then return line, col end
  local first = math.max(1, col - WIDTH // 2)
  local from = utf8.offset(line, first) or #line + 1
  local upto = utf8.offset(line, WIDTH + 1, from)
  return line:sub(from, upto and upto - 1), col - first + 1
end

-- The line and, below it, a caret under character `col`. Tabs stay tabs, so the caret keeps its place.
local function quoted(line, col)
  local part, at = part_around(line, col)
  local before = part:sub(1, (utf8.offset(part, at) or #part + 1) - 1):gsub("[\x80-\xBF]", ""):gsub("[^\t]", " ")
  return part .. "\n" .. before .. (" "):rep(at - 1 - #before) .. "^"
end

-- One error in one line, without its source.
function M.line(e)
  local where = e.file or "config"
  if e.line then where = ("%s:%d:%d"):format(where, e.line, e.col) end
  local path = e.path ~= "" and e.path .. ": " or ""
  return ("%s: %s%s"):format(where, path, e.message)
end

function M.render(errors)
  local out = {}
  for i = 1, math.min(#errors, SHOWN_MAX) do
    local e = errors[i]
    out[#out + 1] = M.line(e)
    if e.source then out[#out + 1] = quoted(e.source, e.col) end
  end
  if #errors > SHOWN_MAX then out[#out + 1] = ("... and %d more"):format(#errors - SHOWN_MAX) end
  return table.concat(out, "\n") .. (#out > 0 and "\n" or "")
end

return M
