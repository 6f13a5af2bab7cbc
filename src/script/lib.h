/*
 * The part of `mg` that never waits: dictionaries, keys, digests, addresses, URLs, logging,
 * secrets, consumers, files at load and JSON. Each lib_<x>.c adds its own fields to the table.
 *
 * What the functions need from outside comes in one struct, by hooks, so that a tool or a test can
 * offer as much of it as it has. One Lua state, one thread.
 */
#ifndef MG_SCRIPT_LIB_H
#define MG_SCRIPT_LIB_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/redact.h"
#include "base/str.h"
#include "shared/dicts.h"
#include "shared/token_cache.h"
#include "upstream/keyring.h"

/* Any hook may be NULL. They are called in the middle of policy code: they must not raise, run Lua
 * or call back. */
struct mg_lib_env {
    struct mg_dicts *dicts; /* borrowed, outlives the state; NULL: mg.shared raises */

    /* Sets the size that the config gives the dictionary; false when it names no such one. */
    bool (*dict_size)(void *arg, struct mg_str name, size_t *bytes);

    /* Sets the value, borrowed until the next call. NULL; or why not, static, to stand before the
     * name. */
    const char *(*secret)(void *arg, struct mg_str name, struct mg_str *value);

    /* The consumers of the config, packed by mg_pack; borrowed; empty: there are none. */
    struct mg_str consumers;

    /* The keys of that name in the config, borrowed; NULL: there are none. */
    struct mg_keyring *(*keys)(void *arg, struct mg_str name);
    struct mg_token_cache *tokens; /* of the process; borrowed; NULL: none */

    struct mg_redact redact; /* for mg.log; names borrowed */

    struct mg_str folder; /* of the config file, for mg.file; borrowed; empty: where we are */

    void *arg; /* for the hooks */
};

/* Copies `env` into the state, in place of an earlier one. May raise a Lua memory error. */
void mg_lib_set_env(lua_State *L, const struct mg_lib_env *env);

/* The state's env; one without anything when none was set. Stays until the next mg_lib_set_env. */
const struct mg_lib_env *mg_lib_env(lua_State *L);

/* Adds everything named above to the table on top of the stack. May raise a Lua memory error. */
void mg_lib_open_pure(lua_State *L);

#endif
