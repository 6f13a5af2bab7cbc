/*
 * mg.shared(name) -> dictionary: values under string keys, shared by all workers
 * (shared/dict.h, shared/limiter.h). To be called in `new`: a task gets only dictionaries that the
 * state has opened before. A name that the config does not declare has 1 MiB.
 *
 * Values are strings, numbers and booleans; times are seconds; a `ttl` left out means for ever.
 *
 *     d:get(key)                          -> value | nil
 *     d:set(key, value, ttl?)             -> true
 *     d:add(key, value, ttl?)             -> true, or "exists"
 *     d:replace(key, value, ttl?)         -> true, or "absent"
 *     d:delete(key)                       -> true | false when there was none
 *     d:ttl(key)                          -> seconds, math.huge for ever, or "absent"
 *     d:expire(key, ttl?)                 -> true, or "absent"
 *     d:incr(key, by?, init?, ttl?)       -> sum, or "absent" without `init`; ttl is for a new key
 *     d:cas(key, old|nil, new|nil)        -> true, or "differs"; nil stands for no value
 *     d:take(key, rate, burst, cost?)     -> token bucket: { ok, remaining, reset, retry_after }
 *     d:window(key, limit, seconds, cost?)   fixed window, the same
 *     d:sliding(key, limit, seconds, cost?)  sliding window, the same
 *     d:leaky(key, rate, burst, queue?, cost?) leaky bucket, the same and `delay`
 *     d:limiter { rules }, d:adaptive { rule }   script/lib_limiter.h
 *     d:acquire(key, max)                    concurrency, the same; undone by
 *     d:release(key)                      -> true, or "absent"
 *
 * A failure is nil, err, where err.code is what stands above or one of "type" (a limiter where a
 * value was asked for, or the reverse), "key" (too long), "too_large", "full", "overflow",
 * "memory". Arguments out of range are errors.
 */
#ifndef MG_SCRIPT_LIB_SHARED_H
#define MG_SCRIPT_LIB_SHARED_H

#include <lua.h>
#include <stdint.h>

#include "shared/dict.h"

struct mg_lib_shared;

/* For those who keep a dictionary's handle, as a user value. Raises when the value there is none.
 */
const struct mg_lib_shared *mg_lib_shared_check(lua_State *L, int index);
/* Its dictionary; raises when it is closed. */
struct mg_dict *mg_lib_shared_dict(lua_State *L, const struct mg_lib_shared *handle);
/* The time that dictionaries go by: monotonic in all cases, and one clock for all workers. */
int64_t mg_lib_shared_now_ms(lua_State *L);
/* Pushes nil and the error; raises for MG_DICT_BAD_ARGUMENT. Returns 2. */
int mg_lib_shared_push_failure(lua_State *L, enum mg_dict_rc rc);

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_shared_open(lua_State *L);

#endif
