-- A table as Lua text: how a config that a spec writes as a table gets to the gateway.

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return keys
end

local function write(value, out, indent)
  if type(value) == "string" then
    out[#out + 1] = ("%q"):format(value)
  elseif type(value) ~= "table" then
    out[#out + 1] = tostring(value)
  else
    out[#out + 1] = "{\n"
    for _, key in ipairs(sorted_keys(value)) do
      out[#out + 1] = indent .. "  "
      if type(key) == "string" then out[#out + 1] = ("[%q] = "):format(key) end
      write(value[key], out, indent .. "  ")
      out[#out + 1] = ",\n"
    end
    out[#out + 1] = indent .. "}"
  end
end

return function(value)
  local out = {}
  write(value, out, "")
  return "return " .. table.concat(out) .. "\n"
end
