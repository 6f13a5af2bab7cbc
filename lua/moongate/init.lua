-- `moongate` for specs in a stock Lua, where the core is not loaded yet. From then on the core gives it.

require "moongate.core"

return package.preload["moongate"] "moongate"
