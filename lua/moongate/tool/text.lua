-- Laying out text for a terminal.

local M = {}

local function width_of(text)
  return utf8.len(text) or #text
end

-- The text in lines of at most `width` characters, broken between words.
function M.wrap(text, width)
  local lines = {}
  for word in text:gmatch "%S+" do
    local last = lines[#lines]
    if last and width_of(last) + 1 + width_of(word) <= width then
      lines[#lines] = last .. " " .. word
    else
      lines[#lines + 1] = word
    end
  end
  return lines
end

-- Rows of texts as lines with aligned columns; the last column is left as it is.
function M.columns(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do widths[i] = math.max(widths[i] or 0, width_of(row[i])) end
  end
  for n, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i < #row and cell .. (" "):rep(widths[i] - width_of(cell)) or cell
    end
    lines[n] = table.concat(cells, "  "):gsub(" +$", "")
  end
  return lines
end

return M
