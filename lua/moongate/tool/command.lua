-- What the programs of the tools have in common.
--
--     local command = require("moongate.tool.command").new("token", USAGE)
--     local opts, status = command:options(parse, { ... })
--     if not opts then return status end

local Command = {}
Command.__index = Command

-- `usage` is what help says, and what who is wrong gets to read.
function Command.new(name, usage)
  return setmetatable({ name = name, usage = usage }, Command)
end

function Command:complain(message)
  io.stderr:write("moongate " .. self.name .. ": " .. message .. "\n")
end

-- What `parse` makes of the arguments. nil and the exit status: they were wrong, which has been told, or only asked
-- for help. `parse` gives nil and what is wrong; what it gives beyond that comes third.
function Command:options(parse, args)
  local opts, fault, more = parse(args)
  if not opts then
    self:complain(fault .. "\n")
    io.stderr:write(self.usage)
    return nil, 2, more
  end
  if opts.help then
    io.write(self.usage)
    return nil, 0
  end
  return opts
end

-- The bytes of a file; nil and why.
function Command.read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text, fault = file:read "a"
  file:close()
  return text, fault and path .. ": " .. fault
end

return { new = Command.new, read = Command.read }
