/*
 * Limiters that a policy makes once, in `new`, and asks at each request: without a table for the
 * answer, and without building keys or header fields in Lua.
 *
 *     local limits = d:limiter {
 *       { algorithm = "fixed-window", limit = 100, window = 60, name = "minute", prefix = "m" },
 *       { algorithm = "token-bucket", limit = 10, window = 1, burst = 20 }, ...
 *     }
 *     limits:take(cost|nil, key, ...) -> ok, field, retry_after, delay, which, remaining, reset
 *     limits:look(key, ...)           -> the same, and takes nothing
 *
 * One key for each rule, which stands behind the rule's prefix. All is taken, or nothing. `field`
 * is the value of the RateLimit field (draft-ietf-httpapi-ratelimit-headers-11) of the rules that
 * have a name, nil when none has. `which` is the rule that `retry_after`, `remaining` and `reset`
 * are about: the one that refuses for longest, or has the fewest units left.
 *
 *     local load = d:adaptive { min = 1, max = 1000, initial = 20, tolerance = 2 }
 *     load:acquire(key)                    -> ok, held, limit
 *     load:release(key, seconds?, failed?) -> true; `seconds` nil: it says nothing about the load
 *
 * Failures are nil, err, as of all calls on dictionaries.
 */
#ifndef MG_SCRIPT_LIB_LIMITER_H
#define MG_SCRIPT_LIB_LIMITER_H

#include <lua.h>

/* Adds `limiter` and `adaptive` to the methods of dictionaries, the table on top of the stack. May
 * raise a Lua memory error. */
void mg_lib_limiter_open(lua_State *L);

#endif
