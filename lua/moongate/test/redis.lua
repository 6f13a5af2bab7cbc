-- A Redis in memory, for specs: what T.new's `redis = { main = true }` plays.
--
--     local t = T.new { redis = { main = true }, policies = { ... } }
--     t:redis("main"):command("SET", "key", 1)      as a client of its own; an error is raised
--     t:redis("main"):down()                        connections end and are refused, until :up()
--     t:redis("main"):hang()                        connections stay, and are not answered, until :up()
--     t:redis("main").delay = 0.5                   seconds before each answer
--     t:redis("main").fail = "OOM no room"          in place of each answer
--     t:redis("main").commands                      those that came, lists of words
--
-- Time is the gateway's: keys expire when t:advance goes past them. Scripts run in a sandbox with `redis.call`,
-- `redis.pcall`, `KEYS` and `ARGV`; their Lua is 5.4, which differs little from Redis' 5.1 where numbers are whole.

local mg = require "moongate"

local json = mg.json

local M = {}

local EPOCH = 1767225600 -- when gateways in simulation begin

local Store = {}
Store.__index = Store
Store.__name = "moongate.test.Redis"

-- What a command returns, besides strings, integers and lists:
local NIL = setmetatable({}, { __name = "nil" })
local function status(text) return { status = text } end
local function fault(text) return { fault = text } end
local OK = status "OK"

local WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
local NOT_INTEGER = "ERR value is not an integer or out of range"
local NOT_FLOAT = "ERR value is not a valid float"
local SYNTAX = "ERR syntax error"

local function raise(text) error(fault(text), 0) end

-- ------------------------------------------------------------------------------------------------ keys and values

-- The entry of a key that has not expired: { kind =, value =, expires = seconds or nil }.
function Store:_entry(key, kind)
  local entry = self._keys[key]
  if entry and entry.expires and entry.expires <= self._now then
    self._keys[key] = nil
    return nil
  end
  if entry and kind and entry.kind ~= kind then raise(WRONGTYPE) end
  return entry
end

function Store:_make(key, kind, empty)
  local entry = self:_entry(key, kind)
  if not entry then
    entry = { kind = kind, value = empty }
    self._keys[key] = entry
  end
  return entry
end

local function integer(text)
  local value = tostring(text):match "^%-?%d+$" and math.tointeger(tonumber(text))
  return value or raise(NOT_INTEGER)
end

local function float(text)
  local value = ({ ["inf"] = math.huge, ["+inf"] = math.huge, ["-inf"] = -math.huge })[tostring(text):lower()]
    or tonumber(text)
  return value or raise(NOT_FLOAT)
end

local function number_text(value)
  if value == math.huge then return "inf" elseif value == -math.huge then return "-inf" end
  return math.tointeger(value) and ("%d"):format(value) or ("%.17g"):format(value)
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- ------------------------------------------------------------------------------------------------ commands

-- Each is { least arguments, function(store, ...) }; the number counts what stands behind the name.
local C = {}

local function define(names, least, fn)
  for name in names:gmatch "%S+" do C[name] = { least, fn } end
end

define("PING", 0, function(_, text) return text or status "PONG" end)
define("ECHO", 1, function(_, text) return text end)
define("SELECT AUTH CLIENT READONLY", 1, function() return OK end)
define("TIME", 0, function(store)
  local now = EPOCH + store._now
  return { ("%d"):format(now // 1), ("%d"):format(now % 1 * 1e6 // 1) }
end)
define("FLUSHALL FLUSHDB", 0, function(store)
  store._keys = {}
  return OK
end)
define("DBSIZE", 0, function(store)
  local n = 0
  for _, key in ipairs(sorted_keys(store._keys)) do n = n + (store:_entry(key) and 1 or 0) end
  return n
end)

-- Strings.

define("GET", 1, function(store, key)
  local entry = store:_entry(key, "string")
  return entry and entry.value or NIL
end)

define("SET", 2, function(store, key, value, ...)
  local words, at = { ... }, 1
  local old, expires, get = store:_entry(key), nil, false
  while words[at] do
    local word = words[at]:upper()
    local amount = words[at + 1]
    if word == "NX" and old or word == "XX" and not old then return NIL end
    if word == "EX" then expires = store._now + integer(amount)
    elseif word == "PX" then expires = store._now + integer(amount) / 1000
    elseif word == "EXAT" then expires = integer(amount) - EPOCH
    elseif word == "PXAT" then expires = integer(amount) / 1000 - EPOCH
    elseif word == "KEEPTTL" then expires = old and old.expires
    elseif word == "GET" then get = true
    elseif word ~= "NX" and word ~= "XX" then raise(SYNTAX) end
    at = at + (word:find "^[EP]XA?T?$" and 2 or 1)
  end
  store._keys[key] = { kind = "string", value = value, expires = expires }
  if get then return old and old.value or NIL end
  return OK
end)
define("SETEX", 3, function(store, key, seconds, value) return C.SET[2](store, key, value, "EX", seconds) end)
define("PSETEX", 3, function(store, key, ms, value) return C.SET[2](store, key, value, "PX", ms) end)
define("SETNX", 2, function(store, key, value)
  return C.SET[2](store, key, value, "NX") == OK and 1 or 0
end)
define("GETSET", 2, function(store, key, value) return C.SET[2](store, key, value, "GET") end)
define("GETDEL", 1, function(store, key)
  local entry = store:_entry(key, "string")
  store._keys[key] = nil
  return entry and entry.value or NIL
end)
define("MGET", 1, function(store, ...)
  local out = {}
  for i, key in ipairs { ... } do
    local entry = store:_entry(key)
    out[i] = entry and entry.kind == "string" and entry.value or NIL
  end
  return out
end)
define("MSET", 2, function(store, ...)
  local words = { ... }
  for i = 1, #words, 2 do store._keys[words[i]] = { kind = "string", value = words[i + 1] } end
  return OK
end)
define("APPEND", 2, function(store, key, text)
  local entry = store:_make(key, "string", "")
  entry.value = entry.value .. text
  return #entry.value
end)
define("STRLEN", 1, function(store, key)
  local entry = store:_entry(key, "string")
  return entry and #entry.value or 0
end)

define("GETRANGE", 3, function(store, key, first, last)
  local entry = store:_entry(key, "string")
  first, last = integer(first), integer(last)
  return entry and entry.value:sub(first < 0 and first or first + 1, last < 0 and last or last + 1) or ""
end)

local function add(store, key, by)
  local entry = store:_make(key, "string", "0")
  local sum = integer(entry.value) + by
  entry.value = ("%d"):format(sum)
  return sum
end
define("INCR", 1, function(store, key) return add(store, key, 1) end)
define("DECR", 1, function(store, key) return add(store, key, -1) end)
define("INCRBY", 2, function(store, key, by) return add(store, key, integer(by)) end)
define("DECRBY", 2, function(store, key, by) return add(store, key, -integer(by)) end)
define("INCRBYFLOAT", 2, function(store, key, by)
  local entry = store:_make(key, "string", "0")
  entry.value = number_text(float(entry.value) + float(by))
  return entry.value
end)

-- Keys.

local function count_keys(fn)
  return function(store, ...)
    local n = 0
    for _, key in ipairs { ... } do
      if store:_entry(key) then
        n = n + 1
        fn(store, key)
      end
    end
    return n
  end
end
define("DEL UNLINK", 1, count_keys(function(store, key) store._keys[key] = nil end))
define("EXISTS TOUCH", 1, count_keys(function() end))
define("TYPE", 1, function(store, key)
  local entry = store:_entry(key)
  return status(entry and entry.kind or "none")
end)
define("KEYS", 1, function(store, pattern)
  local out = {}
  local lua = "^" .. pattern:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
  for _, key in ipairs(sorted_keys(store._keys)) do
    if store:_entry(key) and key:find(lua) then out[#out + 1] = key end
  end
  return out
end)

local function expire_at(store, key, at)
  local entry = store:_entry(key)
  if not entry then return 0 end
  entry.expires = at
  store:_entry(key)
  return 1
end
define("EXPIRE", 2, function(store, key, s) return expire_at(store, key, store._now + integer(s)) end)
define("PEXPIRE", 2, function(store, key, ms) return expire_at(store, key, store._now + integer(ms) / 1000) end)
define("EXPIREAT", 2, function(store, key, at) return expire_at(store, key, integer(at) - EPOCH) end)
define("PEXPIREAT", 2, function(store, key, at) return expire_at(store, key, integer(at) / 1000 - EPOCH) end)
define("PERSIST", 1, function(store, key)
  local entry = store:_entry(key)
  local had = entry and entry.expires
  if entry then entry.expires = nil end
  return had and 1 or 0
end)
local function left(unit)
  return function(store, key)
    local entry = store:_entry(key)
    if not entry then return -2 end
    return entry.expires and math.floor((entry.expires - store._now) * unit + 0.5) or -1
  end
end
define("TTL", 1, left(1))
define("PTTL", 1, left(1000))

-- Hashes.

local function pairs_of(fn)
  return function(store, key, ...)
    local words, n = { ... }, 0
    if #words % 2 == 1 then raise "ERR wrong number of arguments" end
    local hash = store:_make(key, "hash", {}).value
    for i = 1, #words, 2 do n = n + fn(hash, words[i], words[i + 1]) end
    return n
  end
end
define("HSET", 3, pairs_of(function(hash, name, value)
  local new = hash[name] == nil
  hash[name] = value
  return new and 1 or 0
end))
define("HMSET", 3, function(store, ...)
  C.HSET[2](store, ...)
  return OK
end)
define("HSETNX", 3, function(store, key, name, value)
  local hash = store:_make(key, "hash", {}).value
  if hash[name] then return 0 end
  hash[name] = value
  return 1
end)
local function hash_of(store, key)
  local entry = store:_entry(key, "hash")
  return entry and entry.value or {}
end
define("HGET", 2, function(store, key, name) return hash_of(store, key)[name] or NIL end)
define("HMGET", 2, function(store, key, ...)
  local out, hash = {}, hash_of(store, key)
  for i, name in ipairs { ... } do out[i] = hash[name] or NIL end
  return out
end)
define("HGETALL", 1, function(store, key)
  local out, hash = {}, hash_of(store, key)
  for _, name in ipairs(sorted_keys(hash)) do
    out[#out + 1] = name
    out[#out + 1] = hash[name]
  end
  return out
end)
define("HKEYS", 1, function(store, key) return sorted_keys(hash_of(store, key)) end)
define("HLEN", 1, function(store, key) return #sorted_keys(hash_of(store, key)) end)
define("HEXISTS", 2, function(store, key, name) return hash_of(store, key)[name] and 1 or 0 end)

-- A collection without members is no key.
local function drop_empty(store, key)
  local entry = store._keys[key]
  if entry and next(entry.value) == nil then store._keys[key] = nil end
end
local function remove(kind)
  return function(store, key, ...)
    local entry, n = store:_entry(key, kind), 0
    for _, name in ipairs(entry and { ... } or {}) do
      n = n + (entry.value[name] ~= nil and 1 or 0)
      entry.value[name] = nil
    end
    drop_empty(store, key)
    return n
  end
end
define("HDEL", 2, remove "hash")
define("HINCRBY", 3, function(store, key, name, by)
  local hash = store:_make(key, "hash", {}).value
  local sum = integer(hash[name] or "0") + integer(by)
  hash[name] = ("%d"):format(sum)
  return sum
end)
define("HINCRBYFLOAT", 3, function(store, key, name, by)
  local hash = store:_make(key, "hash", {}).value
  hash[name] = number_text(float(hash[name] or "0") + float(by))
  return hash[name]
end)

-- Sets.

define("SADD", 2, function(store, key, ...)
  local set, n = store:_make(key, "set", {}).value, 0
  for _, name in ipairs { ... } do
    n = n + (set[name] and 0 or 1)
    set[name] = true
  end
  return n
end)
local function set_of(store, key)
  local entry = store:_entry(key, "set")
  return entry and entry.value or {}
end
define("SREM", 2, remove "set")
define("SMEMBERS", 1, function(store, key) return sorted_keys(set_of(store, key)) end)
define("SISMEMBER", 2, function(store, key, name) return set_of(store, key)[name] and 1 or 0 end)
define("SCARD", 1, function(store, key) return #sorted_keys(set_of(store, key)) end)

-- Lists.

local function list_of(store, key)
  local entry = store:_entry(key, "list")
  return entry and entry.value or {}
end
local function push(front)
  return function(store, key, ...)
    local list = store:_make(key, "list", {}).value
    for _, value in ipairs { ... } do table.insert(list, front and 1 or #list + 1, value) end
    return #list
  end
end
define("LPUSH", 2, push(true))
define("RPUSH", 2, push(false))
local function pop(front)
  return function(store, key)
    local value = table.remove(list_of(store, key), front and 1 or nil)
    drop_empty(store, key)
    return value or NIL
  end
end
define("LPOP", 1, pop(true))
define("RPOP", 1, pop(false))
define("LLEN", 1, function(store, key) return #list_of(store, key) end)
-- First and last place of a range that may count from the end.
local function range(n, first, last)
  first, last = integer(first), integer(last)
  if first < 0 then first = math.max(n + first, 0) end
  if last < 0 then last = n + last end
  return first + 1, math.min(last + 1, n)
end
define("LRANGE", 3, function(store, key, first, last)
  local list = list_of(store, key)
  local from, to = range(#list, first, last)
  return table.move(list, from, to, 1, {})
end)
define("LTRIM", 3, function(store, key, first, last)
  local entry = store:_entry(key, "list")
  if not entry then return OK end
  local from, to = range(#entry.value, first, last)
  entry.value = table.move(entry.value, from, to, 1, {})
  drop_empty(store, key)
  return OK
end)

-- Sorted sets: { [member] = score }.

local function members_of(store, key)
  local entry = store:_entry(key, "zset")
  local scores = entry and entry.value or {}
  local members = sorted_keys(scores)
  table.sort(members, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] < scores[b] end
    return a < b
  end)
  return members, scores
end

-- Whether a score is inside of "5", "(5", "-inf", "+inf".
local function bound(text, inside)
  local open, rest = text:match "^(%(?)(.*)$"
  local limit = float(rest)
  return function(score) return inside(score, limit) and not (open == "(" and score == limit) end
end
local function between(least, most)
  local above = bound(least, function(score, limit) return score >= limit end)
  local below = bound(most, function(score, limit) return score <= limit end)
  return function(score) return above(score) and below(score) end
end

define("ZADD", 3, function(store, key, ...)
  local words, at, flags = { ... }, 1, {}
  while words[at] and words[at]:upper():find "^[NXLGCT][XTH]$" do
    flags[words[at]:upper()] = true
    at = at + 1
  end
  local scores, n = store:_make(key, "zset", {}).value, 0
  for i = at, #words, 2 do
    local score, name = float(words[i]), words[i + 1]
    local old = scores[name]
    if not (flags.NX and old or flags.XX and not old or flags.GT and old and score <= old
      or flags.LT and old and score >= old) then
      scores[name] = score
      n = n + ((not old or flags.CH and old ~= score) and 1 or 0)
    end
  end
  drop_empty(store, key)
  return n
end)
define("ZREM", 2, remove "zset")
define("ZCARD", 1, function(store, key) return #members_of(store, key) end)
define("ZSCORE", 2, function(store, key, name)
  local _, scores = members_of(store, key)
  return scores[name] and number_text(scores[name]) or NIL
end)
define("ZINCRBY", 3, function(store, key, by, name)
  local scores = store:_make(key, "zset", {}).value
  scores[name] = (scores[name] or 0) + float(by)
  return number_text(scores[name])
end)
define("ZCOUNT", 3, function(store, key, least, most)
  local fits, n = between(least, most), 0
  local members, scores = members_of(store, key)
  for _, name in ipairs(members) do n = n + (fits(scores[name]) and 1 or 0) end
  return n
end)
define("ZRANGE", 3, function(store, key, first, last, with)
  local out, members, scores = {}, members_of(store, key)
  local from, to = range(#members, first, last)
  for i = from, to do
    out[#out + 1] = members[i]
    if with then out[#out + 1] = number_text(scores[members[i]]) end
  end
  return out
end)
define("ZRANGEBYSCORE", 3, function(store, key, least, most, ...)
  local words, with, skip, count = { ... }, false, 0, math.huge
  for i, word in ipairs(words) do
    if word:upper() == "WITHSCORES" then with = true end
    if word:upper() == "LIMIT" then skip, count = integer(words[i + 1]), integer(words[i + 2]) end
  end
  if count < 0 then count = math.huge end
  local out, fits, members, scores = {}, between(least, most), members_of(store, key)
  for _, name in ipairs(members) do
    if fits(scores[name]) then
      skip = skip - 1
      if skip < 0 and skip >= -count then
        out[#out + 1] = name
        if with then out[#out + 1] = number_text(scores[name]) end
      end
    end
  end
  return out
end)
define("ZREMRANGEBYRANK", 3, function(store, key, first, last)
  local members, scores = members_of(store, key)
  local from, to = range(#members, first, last)
  for i = from, to do scores[members[i]] = nil end
  drop_empty(store, key)
  return math.max(to - from + 1, 0)
end)
define("ZREMRANGEBYSCORE", 3, function(store, key, least, most)
  local fits, n = between(least, most), 0
  local members, scores = members_of(store, key)
  for _, name in ipairs(members) do
    if fits(scores[name]) then
      scores[name] = nil
      n = n + 1
    end
  end
  drop_empty(store, key)
  return n
end)

-- ------------------------------------------------------------------------------------------------ scripts

-- A reply as a script sees it.
local function to_script(reply)
  if reply == NIL then return false end
  if type(reply) ~= "table" then return reply end
  if reply.status then return { ok = reply.status } end
  if reply.fault then return { err = reply.fault } end
  local out = {}
  for i, item in ipairs(reply) do out[i] = to_script(item) end
  return out
end

-- What a script returns, as a reply.
local function from_script(value)
  if type(value) == "number" then return math.tointeger(value) or math.tointeger(value // 1) or 0 end
  if type(value) == "string" then return value end
  if value == true then return 1 end
  if type(value) ~= "table" then return NIL end
  if value.ok then return status(value.ok) end
  if value.err then return fault(value.err) end
  local out = {}
  for i, item in ipairs(value) do out[i] = from_script(item) end
  return out
end

local function words_of(...)
  local words = table.pack(...)
  for i = 1, words.n do
    local word = words[i]
    if type(word) ~= "string" and type(word) ~= "number" then
      raise "ERR Lua redis lib command arguments must be strings or integers"
    end
    words[i] = type(word) == "number" and number_text(word) or word
  end
  return words
end

function Store:_script_env(keys, args)
  local redis = {}
  function redis.call(...)
    local reply = self:_execute(words_of(...))
    if type(reply) == "table" and reply.fault then error(reply, 0) end
    return to_script(reply)
  end
  function redis.pcall(...) return to_script(self:_execute(words_of(...))) end
  function redis.error_reply(text) return { err = text } end
  function redis.status_reply(text) return { ok = text } end
  function redis.sha1hex(text) return mg.crypto.sha1(text) end
  function redis.log() end
  function redis.replicate_commands() return true end
  redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3
  return {
    redis = redis, KEYS = keys, ARGV = args, string = string, table = table, math = math, tonumber = tonumber,
    tostring = tostring, type = type, pairs = pairs, ipairs = ipairs, next = next, select = select, error = error,
    pcall = pcall, assert = assert, unpack = table.unpack, rawget = rawget, rawset = rawset, rawequal = rawequal,
    cjson = { encode = json.encode, decode = json.decode, null = json.null },
  }
end

function Store:_run(text, count, ...)
  local words = { ... }
  count = integer(count)
  if count < 0 or count > #words then raise "ERR Number of keys can't be greater than number of args" end
  local keys, args = table.move(words, 1, count, 1, {}), table.move(words, count + 1, #words, 1, {})
  local fn, syntax = load(text, "@user_script", "t", self:_script_env(keys, args))
  if not fn then raise("ERR Error compiling script: " .. syntax) end
  local ok, value = pcall(fn)
  if ok then return from_script(value) end
  if type(value) == "table" then return fault(value.fault or value.err or "ERR script failed") end
  return fault("ERR " .. tostring(value):gsub("[\r\n]", " "))
end

define("EVAL", 2, function(store, text, ...)
  store._scripts[mg.crypto.sha1(text)] = text
  return store:_run(text, ...)
end)
define("EVALSHA", 2, function(store, digest, ...)
  local text = store._scripts[digest:lower()]
  if not text then return fault "NOSCRIPT No matching script. Please use EVAL." end
  return store:_run(text, ...)
end)
define("SCRIPT", 1, function(store, what, text)
  what = what:upper()
  if what == "FLUSH" then
    store._scripts = {}
    return OK
  end
  if what ~= "LOAD" then raise(SYNTAX) end
  store._scripts[mg.crypto.sha1(text)] = text
  return mg.crypto.sha1(text)
end)

-- ------------------------------------------------------------------------------------------------ the server

function Store:_execute(words)
  local name = words[1]:upper()
  local command = C[name]
  if not command then return fault(("ERR unknown command '%s'"):format(words[1])) end
  if #words - 1 < command[1] then
    return fault(("ERR wrong number of arguments for '%s' command"):format(words[1]:lower()))
  end
  local ok, reply = pcall(command[2], self, table.unpack(words, 2))
  if ok then return reply end
  if type(reply) == "table" and reply.fault then return reply end
  error(reply, 0)
end

-- MULTI to EXEC, of one connection.
function Store:_transact(connection, words)
  local name, queue = words[1]:upper(), self._queues[connection]
  if name == "MULTI" then
    self._queues[connection] = {}
    return OK
  end
  if not queue then return nil end
  if name ~= "EXEC" and name ~= "DISCARD" then
    queue[#queue + 1] = words
    return status "QUEUED"
  end
  self._queues[connection] = nil
  if name == "DISCARD" then return OK end
  local replies = {}
  for i, item in ipairs(queue) do replies[i] = self:_execute(item) end
  return replies
end

local function encode(reply)
  if reply == NIL then return "$-1\r\n" end
  if math.type(reply) == "integer" then return (":%d\r\n"):format(reply) end
  if type(reply) == "string" then return ("$%d\r\n%s\r\n"):format(#reply, reply) end
  if reply.status then return ("+%s\r\n"):format(reply.status) end
  if reply.fault then return ("-%s\r\n"):format(reply.fault) end
  local parts = { ("*%d\r\n"):format(#reply) }
  for i, item in ipairs(reply) do parts[i + 1] = encode(item) end
  return table.concat(parts)
end

-- A reply as a spec sees it.
local function to_spec(reply)
  if reply == NIL then return json.null end
  if type(reply) ~= "table" then return reply end
  if reply.fault then error("redis: " .. reply.fault, 0) end
  if reply.status then return reply.status end
  local out = {}
  for i, item in ipairs(reply) do out[i] = to_spec(item) end
  return out
end

local POLL = 0.05
-- What a new connection says: that is never refused, or it would not come about.
local GREETING = { AUTH = true, CLIENT = true, SELECT = true, PING = true }

-- The bytes that answer a command which came on this connection. Runs as a task.
function Store:_answer(connection, words)
  self.commands[#self.commands + 1] = words
  if self.delay then mg.sleep(self.delay) end
  while self._hangs do mg.sleep(POLL) end
  if self.fail and not GREETING[words[1]] then return encode(fault(self.fail)) end
  self._now = self._clock()
  if self._handler then return encode(from_script(self._handler(table.unpack(words)))) end
  return encode(self:_transact(connection, words) or self:_execute(words))
end

-- ------------------------------------------------------------------------------------------------ for specs

function Store:command(...)
  self._now = self._clock()
  return to_spec(self:_execute(words_of(...)))
end

function Store:down() self._reach "refused" end

function Store:hang() self._hangs = true end

function Store:up()
  self._hangs = false
  self._reach "reached"
end

-- `played` is true, or a function that answers commands in place of the store: nil, booleans, numbers, texts, lists,
-- { ok = text } and { err = text } are replies as in a script. clock() gives the time, reach(word) says whether it can
-- be connected to.
function M.new(name, played, clock, reach)
  if played ~= true and type(played) ~= "function" then
    error(("redis '%s': expected true or a function, got a %s"):format(name, type(played)), 0)
  end
  return setmetatable({
    commands = {}, _keys = {}, _scripts = {}, _queues = {}, _now = 0, _handler = played ~= true and played or nil,
    _clock = clock, _reach = reach,
  }, Store)
end

return M
