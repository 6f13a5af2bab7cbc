-- Any other program, run to its end beside the spec's clients and backends: curl, openssl.

local process = require "moongate.e2e.process"

-- The program reads from a pipe that stays open when all was read.
local READING = [[exec "$@" <"$0"]]

local function feed(folder, input)
  assert(os.execute(("mkfifo '%s/input'"):format(folder)))
  local pipe = assert(io.open(folder .. "/input", "r+")) -- for reading too, or it would wait for a reader
  pipe:write(input):flush()
  return pipe
end

-- E.command { "openssl", "s_client", "-connect", ..., input = "Q\n" } gives { status, stdout, stderr }; the status is
-- nil when it was not done in time. Options: input (on its standard input, which has no end; empty when left out), env,
-- seconds (30).
return function(options)
  local folder = process.folder()
  local pipe = options.input and feed(folder, options.input)
  local program, args = options[1], { table.unpack(options, 2) }
  if pipe then program, args = "sh", { "-c", READING, folder .. "/input", table.unpack(options) } end
  local p = process.start(folder, program, args, options.env)
  local status = p:wait(options.seconds)
  p:kill()
  if pipe then pipe:close() end
  local result = { status = status, stdout = p:stdout(), stderr = p:stderr() }
  process.remove_folder(folder)
  return result
end
