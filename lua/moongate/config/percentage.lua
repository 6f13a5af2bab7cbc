-- The kind of a share in a config: 20%, or 20; a whole number up to 100, from 0 or from `least`.

local s = require "moongate.schema"

return function(least)
  return s.define(least == 0 and "percentage" or "percentage_from_" .. least, {
    wants = { string = true, integer = true },
    describe = function(_, short) return short and "percentage" or ("percentage (%d%% to 100%%)"):format(least) end,
    check = function(schema, value, place, w)
      local n = math.tointeger(type(value) == "string" and tonumber(value:match "^(%d%d?%d?)%%$") or value)
      if n and n >= least and n <= 100 then return n end
      return w:fail_expected(schema, value, place)
    end,
  })
end
