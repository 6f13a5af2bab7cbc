---@meta moongate.schema
-- luacheck: ignore
-- Descriptions of what a config may hold, for editors. See "Schemas" in lua/README.md.

---@class moongate.Schema
---@field package kind string
local Schema = {}

---A rule between a record's fields: `fn` returns nil, or what is wrong and the field to blame. Returns the record.
---@param fn fun(conf: table): string?, string?
---@return moongate.Schema
function Schema:check(fn) end

---The checked copy with defaults, or nil and all that is wrong.
---@package
---@param value any
---@param ctx? moongate.schema.Context
---@return any checked
---@return moongate.schema.Fault[]? faults
---@nodiscard
function Schema:validate(value, ctx) end

---@class moongate.schema.Context
---@field path? string what the value is called in messages

---@class moongate.schema.Fault
---@field path string
---@field message string
---@field file? string
---@field line? integer
---@field col? integer

---@class moongate.schema.Options
---@field default? any
---@field required? boolean
---@field help? string

---@class moongate.schema.Range: moongate.schema.Options
---@field gt? number
---@field ge? number
---@field lt? number
---@field le? number
---@field one_of? any[]

---@class moongate.schema.Text: moongate.schema.Options
---@field match? string a Lua pattern
---@field one_of? string[]
---@field len? integer[] { min, max }

---@class moongate.schema.List: moongate.schema.Options
---@field len? integer[] { min, max }
---@field single? boolean the only item may stand without its list

---@class moongate.schema.Map: moongate.schema.Options
---@field len? integer[] { min, max }
---@field keys? moongate.Schema

---@class moongate.schema.Enum: moongate.schema.Options
---@field [integer] any

---@class moongate.schema.AnyOf: moongate.schema.Options
---@field [integer] moongate.Schema

---@class moongate.schema
local s = {}

---@param options? moongate.schema.Text
---@return moongate.Schema
function s.string(options) end

---@param options? moongate.schema.Range
---@return moongate.Schema
function s.number(options) end

---@param options? moongate.schema.Range
---@return moongate.Schema
function s.integer(options) end

---@param options? moongate.schema.Options
---@return moongate.Schema
function s.boolean(options) end

---`200ms`, `10s`, `5m`, `1h`, `1d`, or seconds; gives seconds.
---@param options? moongate.schema.Range
---@return moongate.Schema
function s.duration(options) end

---`64KiB`, `10MB`, or bytes; gives bytes.
---@param options? moongate.schema.Range
---@return moongate.Schema
function s.size(options) end

---@param options? moongate.schema.Text
---@return moongate.Schema
function s.header_name(options) end

---@param options? moongate.schema.Text
---@return moongate.Schema
function s.header_value(options) end

---@param options? moongate.schema.Text
---@return moongate.Schema
function s.method(options) end

---@param options? moongate.schema.Range
---@return moongate.Schema
function s.status(options) end

---@param options? moongate.schema.Text
---@return moongate.Schema
function s.url(options) end

---An address or a network.
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.cidr(options) end

---A name as things in the config have it.
---@param options? moongate.schema.Text
---@return moongate.Schema
function s.name(options) end

---A text with `${…}`, for req:expr.
---@param options? moongate.schema.Text
---@return moongate.Schema
function s.expr(options) end

---The name of a service in the config.
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.service(options) end

---The name of a cache in the config.
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.cache(options) end

---The name of a secret in the config.
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.secret(options) end

---The name of a key in the config.
---@package
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.key(options) end

---The name of a Redis in the config.
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.redis(options) end

---One of these values: `s.enum { "a", "b", default = "a" }`.
---@param values moongate.schema.Enum
---@return moongate.Schema
function s.enum(values) end

---@param item moongate.Schema
---@param options? moongate.schema.List
---@return moongate.Schema
function s.list(item, options) end

---A map from strings.
---@param item moongate.Schema
---@param options? moongate.schema.Map
---@return moongate.Schema
function s.map(item, options) end

---A map with these fields and no others.
---@param fields table<string, moongate.Schema>
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.record(fields, options) end

---Steps, written as everywhere in a config; `conf` has a function that runs them.
---@param options? moongate.schema.List
---@return moongate.Schema
function s.steps(options) end

---The first that fits: `s.any_of { s.integer(), s.string() }`.
---@param choices moongate.schema.AnyOf
---@return moongate.Schema
function s.any_of(choices) end

---Anything.
---@param options? moongate.schema.Options
---@return moongate.Schema
function s.any(options) end

---Whether it is a schema.
---@package
---@param value any
---@return boolean
---@nodiscard
function s.is_schema(value) end

---A kind that only its own module can read.
---@package
---@param kind string
---@param definition table
---@return fun(options?: table): moongate.Schema
function s.define(kind, definition) end

return s
