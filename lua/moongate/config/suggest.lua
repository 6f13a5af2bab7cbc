-- "did you mean": the known word that a misspelt one is nearest to.

local M = {}

local MAX_BYTES = 64

-- Edits (insert, delete, replace, swap two neighbours) that make `a` of `b`; more than `limit` gives limit + 1.
local function distance(a, b, limit)
  if math.abs(#a - #b) > limit then return limit + 1 end
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    local smallest = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local d = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      row[j] = d
      smallest = math.min(smallest, d)
    end
    if smallest > limit then return limit + 1 end
    before, last = last, row
  end
  return last[#b]
end

-- The nearest of `known` (a list, or a table whose keys are the words), or nil. A third of the letters may be wrong.
-- Of equally near ones the first by the alphabet wins.
function M.nearest(word, known)
  if type(word) ~= "string" or #word > MAX_BYTES then return nil end
  local limit = math.max(1, #word // 3)
  local best, best_distance
  for key, value in pairs(known) do
    local candidate = type(key) == "string" and key or value
    if type(candidate) == "string" and #candidate <= MAX_BYTES then
      local d = distance(word:lower(), candidate:lower(), limit)
      if d <= limit and (not best or d < best_distance or (d == best_distance and candidate < best)) then
        best, best_distance = candidate, d
      end
    end
  end
  return best
end

-- ", did you mean 'x'?" or "".
function M.hint(word, known)
  local best = M.nearest(word, known)
  return best and (", did you mean '%s'?"):format(best) or ""
end

return M
