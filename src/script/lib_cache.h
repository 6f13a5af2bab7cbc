/*
 * mg.cache(name) -> cache: stored responses, shared by all workers, by the rules of RFC 9111; the
 * same store that the policy `cache` answers from. To be called in `new`. A name that the config
 * does not declare is as large as `default`.
 *
 *     c:lookup(req, { key }?)             -> hit?, key?    no key: do not use the cache
 *     c:store(key, res, { ttl, stale, tags }?) -> stored, why not
 *     c:refresh(key, fn)                  -> started: calls fn behind the client's back, unless
 *                                            somebody is at it, in any worker
 *     c:purge(key or tag, { soft }?)      -> how many responses
 *     hit.age .ttl .stale, hit:response()
 *
 * A hit is of its request, and ends with it; a key lives as long as Lua keeps it. `store` waits
 * for the whole body where no client reads it: in the background.
 */
#ifndef MG_SCRIPT_LIB_CACHE_H
#define MG_SCRIPT_LIB_CACHE_H

#include <lua.h>

#include "script/instances.h"

/* Adds `cache` to the `mg` table on top of the stack. */
void mg_lib_cache_open(lua_State *L);

/* Gives back what the state has opened, once no code of it can run any more. */
void mg_lib_cache_close(struct mg_instances *all);

#endif
