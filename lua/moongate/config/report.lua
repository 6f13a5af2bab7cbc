-- Errors and warnings as people read them:
--
--     moongate.yaml:41:15: routes[0].policies[1].token-bucket.burst: expected integer, got string "9"
--             burst: "9"
--                    ^

local M = {}

local WIDTH = 120 -- longer lines (JSON without breaks) are cut to the part around the column

-- Lines as the reader of YAML counts them: it takes Unicode's separators for line breaks too.
local function lines_of(text)
  text = text:gsub("^\xEF\xBB\xBF", ""):gsub("\r\n?", "\n"):gsub("\xC2\x85", "\n"):gsub("\xE2\x80[\xA8\xA9]", "\n")
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

-- The line and, below it, a caret under character `col`. Tabs stay tabs, so the caret keeps its place.
local function quoted(line, col)
  local chars = {}
  for char in line:gmatch("[\0-\x7F\xC2-\xFD][\x80-\xBF]*") do chars[#chars + 1] = char end
  local first, last = 1, #chars
  if #chars > WIDTH then
    first = math.max(1, col - WIDTH // 2)
    last = math.min(#chars, first + WIDTH - 1)
  end
  local pad = {}
  for i = first, math.min(col - 1, last) do pad[#pad + 1] = chars[i] == "\t" and "\t" or " " end
  for _ = last + 1, col - 1 do pad[#pad + 1] = " " end
  return table.concat(chars, "", first, last) .. "\n" .. table.concat(pad) .. "^"
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
  for _, e in ipairs(errors) do
    out[#out + 1] = M.line(e)
    if e.source then out[#out + 1] = quoted(e.source, e.col) end
  end
  return table.concat(out, "\n") .. (#out > 0 and "\n" or "")
end

return M
